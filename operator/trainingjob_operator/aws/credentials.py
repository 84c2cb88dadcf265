"""Sessions: as whom AWS is called, and with which settings.

Botocore finds, assumes and refreshes the credentials; here is which session belongs to which role, that clients are
made one at a time, and the settings that all of them share. What is called is gateway.py's and event_queue.py's part.
"""

from __future__ import annotations

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

if TYPE_CHECKING:
    from collections.abc import Callable

ROLE_SESSION_NAME: Final = "trainingjob-operator"
"""The session name of assumed roles, as CloudTrail and access-denied messages show it."""


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
        identity_endpoint_url: str | None = None,
    ) -> None:
        """Make no session yet.

        :param region: the operator's own, where STS is asked
        :param version: of this operator, for the user agent
        :param connections: how many each client keeps, not fewer than there are threads
        :param before_send: called in the calling thread right before a client sends a request, which it can prevent
            by raising; not for requests on the way to credentials
        :param identity_endpoint_url: another endpoint of STS; botocore's AWS_ENDPOINT_URL_STS holds without it
        """
        self._region = region
        self._identity_endpoint_url = identity_endpoint_url
        self._before_send = before_send
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
        self._sessions: dict[_Principal, _Session] = {}
        self._clients: dict[_ClientKey, Any] = {}

    def client(
        self,
        service: str,
        *,
        region: str,
        timeouts: Timeouts,
        role_arn: str | None = None,
        external_id: str | None = None,
        endpoint_url: str | None = None,
    ) -> Any:
        """The client of `service`, with the operator's own credentials or an assumed role's; always the same one.

        Raises what botocore raises, NoCredentialsError among others. May ask the container's or the instance's
        credential endpoint, so belongs into a thread. Without `endpoint_url` botocore's own variables hold.
        """
        principal = _Principal(role_arn, external_id)
        key = _ClientKey(principal, service, region, endpoint_url, timeouts)
        client = self._clients.get(key)
        if client is not None:
            return client
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._new_client(key)
            return self._clients[key]

    def identity_client(self) -> Any:
        """The client of STS with the operator's own credentials."""
        return self.client(
            "sts",
            region=self._region,
            timeouts=IDENTITY_TIMEOUTS,
            endpoint_url=self._identity_endpoint_url,
        )

    def renew(self, role_arn: str | None = None, external_id: str | None = None) -> None:
        """The credentials were not accepted: get others for the next call, at most every RENEWAL_SECONDS.

        Botocore renews by the expiry that it was told; this is for keys that ended before it, and for files with
        keys that it reads only once. The operator's own (no role) are the source of all others, which then go too.
        """
        principal = _Principal(role_arn, external_id)
        with self._lock:
            session = self._sessions.get(principal)
            if session is None or self._clock() < session.made_at + RENEWAL_SECONDS:
                return
            stale = set(self._sessions) if role_arn is None else {principal}
            for key in stale:
                del self._sessions[key]
            for client_key in [key for key in self._clients if key.principal in stale]:
                self._clients.pop(client_key).close()

    def close(self) -> None:
        """Close the connections that are idle."""
        for client in list(self._clients.values()):
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
        client.meta.events.register("before-send", lambda **_: self._before_send())
        return client

    def _session(self, principal: _Principal) -> _Session:
        session = self._sessions.get(principal)
        if session is None:
            session = self._new_session()
            if principal != _OWN:
                provider = _AssumedRole(self._session(_OWN), principal, self._create_sts)
                session.register_component("credential_provider", CredentialResolver([provider]))
            self._sessions[principal] = session
        return session

    def _new_session(self) -> _Session:
        session = _Session(self._lock, self._clock())
        session.set_config_variable("region", self._region)
        session.set_default_client_config(self._config)
        session.register_component("data_loader", self._loader)
        session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=read_time)
        return session

    def _create_sts(self, service: str, **credentials: Any) -> Any:
        with self._lock:
            return self._session(_OWN).create_client(
                service, region_name=self._region, endpoint_url=self._identity_endpoint_url, **credentials
            )


class _Principal(NamedTuple):
    role_arn: str | None
    external_id: str | None


_OWN: Final = _Principal(None, None)


class _ClientKey(NamedTuple):
    principal: _Principal
    service: str
    region: str
    endpoint_url: str | None
    timeouts: Timeouts


def read_time(value: float | str) -> datetime:
    """A time of an answer, in UTC: epoch seconds, or any text that botocore knows."""
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    parsed: datetime = parse_timestamp(value)
    return parsed.astimezone(UTC)


class _Session(Session):  # type: ignore[misc]  # botocore has no types
    """A session that makes clients one at a time, those of its credential providers included."""

    def __init__(self, lock: RLock, made_at: float) -> None:
        super().__init__()
        self._creating = lock
        self.made_at = made_at

    def create_client(self, *args: Any, **kwargs: Any) -> Any:
        with self._creating:
            return super().create_client(*args, **kwargs)


class _AssumedRole(CredentialProvider):  # type: ignore[misc]  # botocore has no types
    """Credentials of a role, assumed at first use and again well before they expire."""

    METHOD = "assume-role"

    def __init__(self, source: _Session, principal: _Principal, create_client: Callable[..., Any]) -> None:
        super().__init__()
        self._source = source
        self._principal = principal
        self._create_client = create_client

    def load(self) -> DeferredRefreshableCredentials | None:
        source = self._source.get_credentials()
        if source is None:
            return None
        arguments = {"RoleSessionName": ROLE_SESSION_NAME}
        if self._principal.external_id is not None:
            arguments["ExternalId"] = self._principal.external_id
        fetcher = AssumeRoleCredentialFetcher(
            self._create_client, source, self._principal.role_arn, extra_args=arguments
        )
        return DeferredRefreshableCredentials(refresh_using=fetcher.fetch_credentials, method=self.METHOD)
