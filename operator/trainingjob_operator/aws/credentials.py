"""Sessions: the credentials and settings of all AWS clients.

Botocore finds, assumes and refreshes the credentials. This module keeps one session per role, creates clients one at a
time, and holds their common settings. Not here: the calls (gateway.py, event_queue.py).
"""

from __future__ import annotations

import functools
import hashlib
import logging
import re
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import NoCredentialsError
from botocore.loaders import Loader
from botocore.regions import EndpointResolver
from botocore.session import Session
from botocore.utils import parse_timestamp

from trainingjob_operator.aws.connections import show_sockets
from trainingjob_operator.aws.recent import Recent
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

ROLE_SESSION_NAME: Final = "trainingjob-operator"
"""Session name of assumed roles in CloudTrail and access-denied messages; the namespace is appended."""
_NAME_LIMIT: Final = 64


class Timeouts(NamedTuple):
    """Seconds to establish a connection, and between two parts of an answer."""

    connect: float
    read: float


IDENTITY_TIMEOUTS: Final = Timeouts(2, 5)
READING_TIMEOUTS: Final = Timeouts(5, 15)
MUTATING_TIMEOUTS: Final = Timeouts(2, 8)
"""A call ends before a Lease of 15 s can be lost."""

MODELS: Final = Path(__file__).with_name("models")
"""SageMaker's model with the called operations, and the endpoints of the called services (codegen).

They precede botocore's complete files.
"""

RENEWAL_SECONDS: Final = 30.0
"""Minimum age of a session before its renewal."""

CLIENTS: Final = 64
SESSIONS: Final = 64
IDLE_SECONDS: Final = 600.0
"""Bounds of the caches: a client takes a third of a megabyte."""

log = logging.getLogger(__name__)


class Principal(NamedTuple):
    """Caller of AWS; the operator itself without a role."""

    role_arn: str | None = None
    external_id: str | None = None
    namespace: str | None = None
    """Namespace served with the role; part of the session name."""


OWN: Final = Principal()


class Sessions:
    """One botocore session for the operator's own account and one per assumed role; safe to use from any thread."""

    def __init__(
        self,
        *,
        region: str,
        version: str,
        connections: int,
        clock: Callable[[], float],
        before_send: Callable[[], None],
        hold: Callable[[socket.socket], None],
        identity_endpoint_url: str | None = None,
    ) -> None:
        """Create no session yet.

        :param region: the operator's own region, with the STS endpoint
        :param version: version of the operator, for the user agent
        :param connections: pool size of each client, at least the number of threads
        :param before_send: called in the calling thread right before a request; an exception prevents the request. Not
            called for requests that obtain credentials
        :param hold: called in the calling thread with every socket before its use
        :param identity_endpoint_url: STS endpoint; default: botocore's, with AWS_ENDPOINT_URL_STS
        """
        self._region = region
        self._identity_endpoint_url = identity_endpoint_url
        self._before_send = before_send
        self._hold = hold
        self._clock = clock
        self._config = Config(
            connect_timeout=IDENTITY_TIMEOUTS.connect,
            read_timeout=IDENTITY_TIMEOUTS.read,
            retries={"mode": "standard", "total_max_attempts": 1},
            max_pool_connections=connections,
            parameter_validation=True,
            tcp_keepalive=True,
            # Complete: botocore would compose its own twice for each call.
            user_agent=f"{Session().user_agent()} trainingjob-operator/{version}",
        )
        self._lock = RLock()
        self._sessions: Recent[Principal, _Session] = Recent(
            limit=SESSIONS, seconds=IDLE_SECONDS, clock=clock, is_busy=lambda session: session.is_own
        )
        self._clients: Recent[_ClientKey, Any] = Recent(
            limit=CLIENTS, seconds=IDLE_SECONDS, clock=clock, drop=lambda client: client.close()
        )
        self._account: str | None = None
        self._accounts_by_key: dict[str, str] = {}
        self._shown: str | None = None

    def client(
        self,
        service: str,
        *,
        region: str,
        timeouts: Timeouts,
        principal: Principal = OWN,
        endpoint_url: str | None = None,
    ) -> Any:
        """Return the cached client of `service` with the principal's credentials.

        Raises botocore's errors, such as NoCredentialsError. Call it in a thread: it may call the credential endpoint
        of the container or instance. Without `endpoint_url` botocore's own variables apply.
        """
        key = _ClientKey(principal, service, region, endpoint_url, timeouts)
        client = self._clients.get(key)
        if client is not None:
            return client
        with self._lock:
            client = self._clients.get(key)
            if client is None:
                client = self._new_client(key)
                self._clients.put(key, client)
            return client

    def identity_client(self, principal: Principal = OWN) -> Any:
        """Return the STS client with the principal's credentials."""
        return self.client(
            "sts",
            region=self._region,
            timeouts=IDENTITY_TIMEOUTS,
            principal=principal,
            endpoint_url=self._identity_endpoint_url,
        )

    def knows_region(self, region: str) -> bool:
        """Return True if botocore's data contain the region; they lack new regions."""
        data = load_models().load_data("endpoints")
        return any(region in partition["regions"] for partition in data["partitions"])

    def expect_account(self, account: str) -> None:
        """Send nothing from now on with the operator's own credentials unless STS confirms that account."""
        self._account = self._shown = account

    @property
    def account_problem(self) -> str | None:
        """Sentence about credentials of another account at their last use; None if the account is right."""
        if self._account is None or self._shown == self._account:
            return None
        return (
            f"The operator's credentials are of account {self._shown} now, and were of {self._account} at its start. "
            f"It sends nothing with them until they are of {self._account} again. To serve the other, restart it."
        )

    def renew(self, principal: Principal = OWN) -> None:
        """Discard rejected credentials, at most every RENEWAL_SECONDS; the next call obtains new ones.

        Botocore renews credentials at their expiry. This covers keys revoked before it, and files that botocore reads
        only once. The operator's own credentials are the source of all others, so these are discarded with them.
        """
        with self._lock:
            session = self._sessions.get(principal)
            if session is None or self._clock() < session.made_at + RENEWAL_SECONDS:
                return
            self._sessions.pop_if(lambda key: principal in (OWN, key))
            self._clients.pop_if(lambda key: principal in (OWN, key.principal))

    def close(self) -> None:
        """Close idle connections."""
        for client in self._clients:
            client.close()

    def _new_client(self, key: _ClientKey) -> Any:
        session = self._session(key.principal)
        if session.get_credentials() is None:
            # a client created now would never get credentials
            raise NoCredentialsError
        client = session.create_client(
            key.service,
            region_name=key.region,
            endpoint_url=key.endpoint_url,
            config=Config(connect_timeout=key.timeouts.connect, read_timeout=key.timeouts.read),
        )
        if key.service == "sts":  # part of another call
            return client

        def before_send(request: Any, event_name: str, **_: object) -> None:
            if key.principal == OWN:
                self._check_account(request, event_name.rpartition(".")[2])
            self._before_send()

        client.meta.events.register("before-send", before_send)
        return client

    def _check_account(self, request: Any, operation: str) -> None:
        """Raise AwsError unless the signing key belongs to the expected account."""
        match = _KEY.search(str(request.headers.get("Authorization")))
        if self._account is None or match is None:
            return
        account = self._accounts_by_key.get(match[1])
        if account is None:
            account = str(self.identity_client().get_caller_identity()["Account"])
            # a key never changes its account; former keys are not used again
            self._accounts_by_key = {match[1]: account}
        if account != self._shown:
            self._shown = account
            if self.account_problem is None:
                log.info("The operator's credentials are of account %s again", account)
            else:
                log.error("%s", self.account_problem)
        if account != self._account:
            message = self.account_problem or ""
            raise AwsError(operation, "AccountChanged", message, ErrorClass.ACCOUNT, definite=True, answered=False)

    def _session(self, principal: Principal) -> _Session:
        session = self._sessions.get(principal)
        if session is None:
            session = self._new_session(is_own=principal == OWN)
            if principal != OWN:
                provider = _AssumedRole(self._session(OWN), principal, self._create_sts)
                session.register_component("credential_provider", CredentialResolver([provider]))
            self._sessions.put(principal, session)
        return session

    def _new_session(self, *, is_own: bool) -> _Session:
        session = _Session(self._lock, self._clock(), self._hold, is_own=is_own)
        session.set_config_variable("region", self._region)
        session.set_default_client_config(self._config)
        session.register_component("data_loader", load_models())
        # Else botocore takes the reduced endpoints for a user's own, and leaves its rule sets out.
        session.register_component(
            "endpoint_resolver", EndpointResolver(load_models().load_data("endpoints"), uses_builtin_data=True)
        )
        session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=read_time)
        return session

    def _create_sts(self, service: str, **credentials: Any) -> Any:
        with self._lock:
            return self._session(OWN).create_client(
                service, region_name=self._region, endpoint_url=self._identity_endpoint_url, **credentials
            )


_KEY: Final = re.compile(r"Credential=([^/,\s]+)/")


class _ClientKey(NamedTuple):
    principal: Principal
    service: str
    region: str
    endpoint_url: str | None
    timeouts: Timeouts


def name_session(namespace: str | None) -> str:
    """Return the session name of a role for that namespace: at most 64 letters, digits, '-' and '.'."""
    if namespace is None:
        return ROLE_SESSION_NAME
    name = f"{ROLE_SESSION_NAME}.{namespace}"
    if len(name) <= _NAME_LIMIT:
        return name
    return f"{name[: _NAME_LIMIT - 9]}-{hashlib.sha256(namespace.encode()).hexdigest()[:8]}"


@functools.cache
def load_models() -> Loader:
    """Return the service models of botocore and of this package; each is parsed once in the life of the process."""
    return Loader(extra_search_paths=[str(MODELS)])


def read_time(value: float | str) -> datetime:
    """Return a time in UTC from epoch seconds, or from any text format of botocore."""
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    parsed: datetime = parse_timestamp(value)
    return parsed.astimezone(UTC)


class _Session(Session):  # type: ignore[misc]  # botocore has no types
    """A session that creates clients one at a time, including those of its credential providers."""

    def __init__(self, lock: RLock, made_at: float, hold: Callable[[socket.socket], None], *, is_own: bool) -> None:
        super().__init__()
        self._creating = lock
        self._hold = hold
        self.made_at = made_at
        self.is_own = is_own

    def create_client(self, *args: Any, **kwargs: Any) -> Any:
        with self._creating:
            client = super().create_client(*args, **kwargs)
            show_sockets(client, self._hold)
            return client


class _AssumedRole(CredentialProvider):  # type: ignore[misc]  # botocore has no types
    """Credentials of a role, obtained at first use and again before they expire."""

    METHOD = "assume-role"

    def __init__(self, source: _Session, principal: Principal, create_client: Callable[..., Any]) -> None:
        super().__init__()
        self._source = source
        self._principal = principal
        self._create_client = create_client

    def load(self) -> DeferredRefreshableCredentials | None:
        source = self._source.get_credentials()
        if source is None:
            return None
        arguments = {"RoleSessionName": name_session(self._principal.namespace)}
        if self._principal.external_id is not None:
            arguments["ExternalId"] = self._principal.external_id
        fetcher = AssumeRoleCredentialFetcher(
            self._create_client, source, self._principal.role_arn, extra_args=arguments
        )
        return DeferredRefreshableCredentials(refresh_using=fetcher.fetch_credentials, method=self.METHOD)
