"""What a call to the API server may raise, and nothing else.

    KubeError
    ├── Conflict            409: somebody wrote first, or another object has the name now; read again
    │   └── AlreadyExists   409 on create
    ├── NotFound            404: no such object, or no such kind
    ├── Forbidden           403: the operator's role does not allow it, or an admission rule refused
    ├── Invalid             400, 405, 413, 415, 422: the same request will never be taken
    ├── Expired             410: the watch or the list must start again
    └── Unavailable         429, 5xx, 401 after a fresh login, no connection, time-out, unreadable answer: again later
        └── NotLoggedIn     no usable credentials: nothing was sent

Messages are the API server's own words and never hold what was sent.
"""

# ruff: noqa: N818 - the names are the API server's own words for what happened
import json
from collections.abc import Mapping
from typing import Any

DEFAULT_RETRY_AFTER = 1.0
"""Seconds before another try where the API server names none."""


class KubeError(Exception):
    """`reason` is the API server's word for it, such as AlreadyExists; empty where it gave none."""

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class Conflict(KubeError):
    pass


class AlreadyExists(Conflict):
    pass


class NotFound(KubeError):
    pass


class Forbidden(KubeError):
    @property
    def namespace_terminating(self) -> bool:
        """True where the namespace is going away: nothing new can be created in it."""
        return self.reason == "NamespaceTerminating"


class Invalid(KubeError):
    pass


class Expired(KubeError):
    """`continue_token` goes on with the list at its next key from a newer state; empty where there is none."""

    def __init__(self, message: str, *, reason: str = "", continue_token: str = "") -> None:
        super().__init__(message, reason=reason)
        self.continue_token = continue_token


class Unavailable(KubeError):
    """`retry_after`: seconds, the API server's Retry-After where it gave one."""

    def __init__(self, message: str, *, reason: str = "", retry_after: float = DEFAULT_RETRY_AFTER) -> None:
        super().__init__(message, reason=reason)
        self.retry_after = retry_after


class NotLoggedIn(Unavailable):
    """No credentials that could be used; nothing was sent."""


_BY_STATUS: Mapping[int, type[KubeError]] = {
    400: Invalid,
    403: Forbidden,
    404: NotFound,
    405: Invalid,
    409: Conflict,
    413: Invalid,
    415: Invalid,
    422: Invalid,
}


def from_answer(http_status: int, body: bytes | Mapping[str, Any], retry_after: str | None = None) -> KubeError:
    """The error of an answer: its HTTP status, its body (a v1 Status, or not), its Retry-After header in seconds."""
    status = body if isinstance(body, Mapping) else _parse(body)
    message = str(status.get("message") or f"HTTP {http_status}")
    reason = str(status.get("reason") or "")
    details = status.get("details") or {}
    if http_status == 410:
        token = (status.get("metadata") or {}).get("continue") or ""
        return Expired(message, reason=reason, continue_token=str(token))
    kind = _BY_STATUS.get(http_status)
    if kind is None:
        return Unavailable(
            message, reason=reason, retry_after=_seconds(retry_after or details.get("retryAfterSeconds"))
        )
    causes = [cause for cause in details.get("causes") or () if isinstance(cause, Mapping)]
    if kind is Conflict and reason == "AlreadyExists":
        return AlreadyExists(message, reason=reason)
    if kind is Invalid and any(cause.get("field") == "metadata.uid" for cause in causes):
        return Conflict(message, reason=reason)  # the name belongs to another object now
    if kind is Forbidden and any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
        reason = "NamespaceTerminating"
    return kind(message, reason=reason)


def _parse(body: bytes) -> Mapping[str, Any]:
    try:
        status = json.loads(body)
    except ValueError:  # a proxy's page, or the API server's plain "404 page not found"
        return {}
    return status if isinstance(status, Mapping) else {}


def _seconds(value: object) -> float:
    try:
        return max(0.0, float(str(value)))
    except ValueError:  # none given, or a date, which the API server never sends
        return DEFAULT_RETRY_AFTER
