"""Sessions: as whom AWS is called, and with which settings.

Botocore finds, assumes and refreshes the credentials; here is which session belongs to which role, that clients are
made one at a time, and the settings that all of them share. What is called is gateway.py's and event_queue.py's part.
"""

from __future__ import annotations

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
from botocore.session import Session
from botocore.utils import parse_timestamp

from trainingjob_operator.aws.connections import show_sockets
from trainingjob_operator.aws.recent import Recent
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

ROLE_SESSION_NAME: Final = "trainingjob-operator"
"""The session name of assumed roles, as CloudTrail and access-denied messages show it; a namespace follows."""
_NAME_LIMIT: Final = 64


class Timeouts(NamedTuple):
    """Seconds until a connection stands, and between two pieces of an answer."""

    connect: float
    read: float


IDENTITY_TIMEOUTS: Final = Timeouts(2, 5)
READING_TIMEOUTS: Final = Timeouts(5, 15)
MUTATING_TIMEOUTS: Final = Timeouts(2, 8)
"""Short enough for a call to end before a Lease of 15 s can be lost."""

MODELS: Final = Path(__file__).with_name("models")
"""SageMaker's model with the operations that are called alone (codegen), found before botocore's whole one."""

RENEWAL_SECONDS: Final = 30.0
"""A session is made anew at most this often."""

CLIENTS: Final = 64
SESSIONS: Final = 64
IDLE_SECONDS: Final = 600.0
"""Clients (a third of a megabyte each) and sessions are kept until so many others were used, or for so long."""

log = logging.getLogger(__name__)


class Principal(NamedTuple):
    """As whom calls are made; without a role as the operator itself."""

    role_arn: str | None = None
    external_id: str | None = None
    namespace: str | None = None
    """In whose name the role is assumed; the session is called after it."""


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
        """Make no session yet.

        :param region: the operator's own, where STS is asked
        :param version: of this operator, for the user agent
        :param connections: how many each client keeps, not fewer than there are threads
        :param before_send: called in the calling thread right before a client sends a request, which it can prevent
            by raising; not for requests on the way to credentials
        :param hold: called in the calling thread with every socket before it is used
        :param identity_endpoint_url: another endpoint of STS; botocore's AWS_ENDPOINT_URL_STS holds without it
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
            # Whole, because botocore composes its own anew, twice, for each call.
            user_agent=f"{Session().user_agent()} trainingjob-operator/{version}",
        )
        self._lock = RLock()
        self._loader = Loader(extra_search_paths=[str(MODELS)])
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
        """The client of `service`, with the principal's credentials; the same one while it is in use.

        Raises what botocore raises, NoCredentialsError among others. May ask the container's or the instance's
        credential endpoint, so belongs into a thread. Without `endpoint_url` botocore's own variables hold.
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
        """The client of STS with the principal's credentials."""
        return self.client(
            "sts",
            region=self._region,
            timeouts=IDENTITY_TIMEOUTS,
            principal=principal,
            endpoint_url=self._identity_endpoint_url,
        )

    def knows_region(self, region: str) -> bool:
        """Whether botocore's data name the region; there are newer ones."""
        data = self._loader.load_data("endpoints")
        return any(region in partition["regions"] for partition in data["partitions"])

    def expect_account(self, account: str) -> None:
        """From now on the operator's own credentials send nothing unless STS says that they are of that account."""
        self._account = self._shown = account

    @property
    def account_problem(self) -> str | None:
        """That the operator's credentials were of another account when last used, in a sentence."""
        if self._account is None or self._shown == self._account:
            return None
        return (
            f"The operator's credentials are of account {self._shown} now, and were of {self._account} at its start. "
            f"It sends nothing with them until they are of {self._account} again. To serve the other, restart it."
        )

    def renew(self, principal: Principal = OWN) -> None:
        """The credentials were not accepted: get others for the next call, at most every RENEWAL_SECONDS.

        Botocore renews by the expiry that it was told; this is for keys that ended before it, and for files with
        keys that it reads only once. The operator's own (no role) are the source of all others, which then go too.
        """
        with self._lock:
            session = self._sessions.get(principal)
            if session is None or self._clock() < session.made_at + RENEWAL_SECONDS:
                return
            self._sessions.pop_if(lambda key: principal in (OWN, key))
            self._clients.pop_if(lambda key: principal in (OWN, key.principal))

    def close(self) -> None:
        """Close the connections that are idle."""
        for client in self._clients:
            client.close()

    def _new_client(self, key: _ClientKey) -> Any:
        session = self._session(key.principal)
        if session.get_credentials() is None:
            # a client made now would stay without credentials for good
            raise NoCredentialsError
        client = session.create_client(
            key.service,
            region_name=key.region,
            endpoint_url=key.endpoint_url,
            config=Config(connect_timeout=key.timeouts.connect, read_timeout=key.timeouts.read),
        )
        if key.service == "sts":  # a question on the way to another call
            return client

        def before_send(request: Any, event_name: str, **_: object) -> None:
            if key.principal == OWN:
                self._check_account(request, event_name.rpartition(".")[2])
            self._before_send()

        client.meta.events.register("before-send", before_send)
        return client

    def _check_account(self, request: Any, operation: str) -> None:
        """Raises AwsError unless the key that has signed the request is of the account that is expected."""
        match = _KEY.search(str(request.headers.get("Authorization")))
        if self._account is None or match is None:
            return
        account = self._accounts_by_key.get(match[1])
        if account is None:
            account = str(self.identity_client().get_caller_identity()["Account"])
            # a key never changes its account, and only the present one is used again
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
        session.register_component("data_loader", self._loader)
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
    """The session name of a role that is assumed for that namespace; at most 64 letters, digits, '-' and '.'."""
    if namespace is None:
        return ROLE_SESSION_NAME
    name = f"{ROLE_SESSION_NAME}.{namespace}"
    if len(name) <= _NAME_LIMIT:
        return name
    return f"{name[: _NAME_LIMIT - 9]}-{hashlib.sha256(namespace.encode()).hexdigest()[:8]}"


def read_time(value: float | str) -> datetime:
    """A time of an answer, in UTC: epoch seconds, or any text that botocore knows."""
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    parsed: datetime = parse_timestamp(value)
    return parsed.astimezone(UTC)


class _Session(Session):  # type: ignore[misc]  # botocore has no types
    """A session that makes clients one at a time, those of its credential providers included."""

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
    """Credentials of a role, assumed at first use and again well before they expire."""

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
