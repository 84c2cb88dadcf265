"""Errors of calls to the API server; calls raise no others.

    KubeError
    ├── Conflict            409: concurrent write, or the name belongs to another object; read again
    │   └── AlreadyExists   409 on create
    ├── NotFound            404: no such object, or no such kind
    ├── Forbidden           403: missing RBAC right, or rejection by an admission rule
    ├── Invalid             400, 405, 413, 415, 422: permanent rejection of this request
    ├── Expired             410: restart the watch or the list
    └── Unavailable         429, 5xx, 401 after a fresh login, no connection, timeout, unreadable response: retry
        └── NotLoggedIn     no usable credentials; nothing was sent

Messages come from the API server and never contain the request body.
"""

# ruff: noqa: N818 - the names are reasons of the API server
import json
from collections.abc import Mapping
from typing import Any

DEFAULT_RETRY_AFTER = 1.0
"""Seconds before a retry without Retry-After header."""


class KubeError(Exception):
    """Base class; `reason` is the reason in the API server's Status, such as AlreadyExists, or empty."""

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
        """True for a create in a namespace in deletion."""
        return self.reason == "NamespaceTerminating"


class Invalid(KubeError):
    pass


class Expired(KubeError):
    """Expired list or watch; `continue_token`, unless empty, continues a list at its next key from a newer state."""

    def __init__(self, message: str, *, reason: str = "", continue_token: str = "") -> None:
        super().__init__(message, reason=reason)
        self.continue_token = continue_token


class Unavailable(KubeError):
    """Temporary failure; `retry_after` is in seconds, from the Retry-After header if present."""

    def __init__(self, message: str, *, reason: str = "", retry_after: float = DEFAULT_RETRY_AFTER) -> None:
        super().__init__(message, reason=reason)
        self.retry_after = retry_after


class NotLoggedIn(Unavailable):
    """No usable credentials; nothing was sent."""


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
    """Build the error of a response from its HTTP status, body (usually a v1 Status) and Retry-After in seconds."""
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
        return Conflict(message, reason=reason)  # the name now belongs to another object
    if kind is Forbidden and any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
        reason = "NamespaceTerminating"
    return kind(message, reason=reason)


def _parse(body: bytes) -> Mapping[str, Any]:
    try:
        status = json.loads(body)
    except ValueError:  # a proxy's error page, or the API server's plain "404 page not found"
        return {}
    return status if isinstance(status, Mapping) else {}


def _seconds(value: object) -> float:
    try:
        return max(0.0, float(str(value)))
    except ValueError:  # absent, or a date, never sent by the API server
        return DEFAULT_RETRY_AFTER
