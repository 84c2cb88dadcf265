"""Identity of callers: access keys, accounts, and the STS operations that issue keys. No jobs, no HTTP.

An access key registered with an account belongs to it; a key of the form `AKIA<12 digits>` belongs to that account; any
other key belongs to the default account. Keys issued by AssumeRole belong to the account in the role's ARN.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import fnmatch
import itertools
import re
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from tests.sagemaker.service import ServiceError, partition_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_ACCOUNT = "123456789012"
_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")
_OWN_ACCOUNT = re.compile(r"AKIA(\d{12})")
_ROLE = re.compile(r"arn:[^:]+:iam::(\d{12}):role/(.+)")
_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


@dataclasses.dataclass(frozen=True, slots=True)
class Caller:
    """Signer of a request, with the region and service of the signature."""

    account: str
    region: str
    service: str
    arn: str


@dataclasses.dataclass(slots=True)
class Session:
    """Keys issued by STS."""

    account: str
    role: str
    name: str
    token: str
    expires: float


class Identity:
    """Accounts and roles. Public attributes are settings for tests."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._numbers = itertools.count(1)
        self.accounts: dict[str, str] = {}  # access key -> account
        self.refused_keys: dict[str, str] = {}  # access key -> error code, e.g. ExpiredTokenException
        self.sessions: dict[str, Session] = {}  # issued access key -> session
        self.denied_roles: list[str] = []  # globs on ARNs of roles that no caller may assume
        self.unavailable = 0  # number of further requests without an answer
        self.external_ids: dict[str, str] = {}  # role ARN -> required external id
        self.session_seconds: float | None = None  # overrides the duration in the request
        self.web_tokens: list[str] | None = None  # accepted web identity tokens; None: all
        self.seen_web_tokens: list[str] = []

    def caller(self, authorization: str, token: str) -> Caller:
        """Raises ServiceError for missing, rejected, expired keys and for session keys that STS did not issue."""
        match = _CREDENTIAL.search(authorization)
        if match is None:
            raise ServiceError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
        key, region, service = match.groups()
        if key in self.refused_keys:
            raise _key_error(self.refused_keys[key])
        session = self.sessions.get(key)
        if session is not None:
            if token != session.token:
                raise _key_error("UnrecognizedClientException")
            if self._clock() >= session.expires:
                raise _key_error("ExpiredTokenException")
            arn = f"arn:{partition_of(region)}:sts::{session.account}:assumed-role/{session.role}/{session.name}"
            return Caller(session.account, region, service, arn)
        if key.startswith("ASIASTANDIN"):
            raise _key_error("UnrecognizedClientException")
        own = _OWN_ACCOUNT.fullmatch(key)
        account = self.accounts.get(key) or (own.group(1) if own else DEFAULT_ACCOUNT)
        return Caller(account, region, service, f"arn:{partition_of(region)}:iam::{account}:user/{key}")

    def expire_sessions(self) -> int:
        """Expires every issued key from now on."""
        for session in self.sessions.values():
            session.expires = min(session.expires, self._clock())
        return len(self.sessions)

    def issue(self, role_arn: str, name: str, seconds: float) -> tuple[str, Session]:
        """Issues keys of a role; returns the access key and its session. The secret is `secret`."""
        match = _ROLE.fullmatch(role_arn)
        if match is None:
            raise ServiceError("ValidationError", f"{role_arn} is invalid")
        account, role = match.groups()
        number = next(self._numbers)
        seconds = self.session_seconds if self.session_seconds is not None else seconds
        session = Session(account, role.rpartition("/")[2], name, f"session-token-{number}", self._clock() + seconds)
        key = f"ASIASTANDIN{number:09d}"
        self.sessions[key] = session
        return key, session

    # -- STS, protocol query ---------------------------------------------------------------------------

    def answer(self, form: Mapping[str, str], caller: Caller | None) -> str:
        """The XML of GetCallerIdentity, AssumeRole or AssumeRoleWithWebIdentity; raises ServiceError."""
        action = form.get("Action", "")
        if self.unavailable > 0:
            self.unavailable -= 1
            raise ServiceError("ServiceUnavailable", "Service is unable to handle request.", 503)
        if action == "AssumeRoleWithWebIdentity":
            return self._assume(action, form, f"web identity {form.get('RoleSessionName', '')}")
        if caller is None:
            raise ServiceError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
        if action == "GetCallerIdentity":
            body = (
                f"<Arn>{escape(caller.arn)}</Arn><UserId>{caller.account}</UserId><Account>{caller.account}</Account>"
            )
            return _envelope(action, body)
        if action == "AssumeRole":
            return self._assume(action, form, caller.arn)
        raise ServiceError("InvalidAction", f"Could not find operation {action} for version 2011-06-15")

    def _assume(self, action: str, form: Mapping[str, str], caller_arn: str) -> str:
        role_arn = form.get("RoleArn", "")
        token = form.get("WebIdentityToken")
        if token is not None:
            self.seen_web_tokens.append(token)
            if self.web_tokens is not None and token not in self.web_tokens:
                raise ServiceError("InvalidIdentityToken", "The web identity token that was passed is not valid.")
        wanted = self.external_ids.get(role_arn)
        denied = any(fnmatch.fnmatchcase(role_arn, pattern) for pattern in self.denied_roles)
        if denied or (wanted is not None and form.get("ExternalId") != wanted):
            raise ServiceError(
                "AccessDenied",
                f"User: {caller_arn} is not authorized to perform: sts:{action} on resource: {role_arn}",
                403,
            )
        name = form.get("RoleSessionName", "session")
        key, session = self.issue(role_arn, name, float(form.get("DurationSeconds", "3600")))
        arn = f"arn:aws:sts::{session.account}:assumed-role/{session.role}/{name}"
        return _envelope(
            action,
            f"<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>"
            f"<SessionToken>{session.token}</SessionToken><Expiration>{expiry(session)}</Expiration></Credentials>"
            f"<AssumedRoleUser><Arn>{escape(arn)}</Arn><AssumedRoleId>AROASTANDIN:{escape(name)}</AssumedRoleId>"
            "</AssumedRoleUser>",
        )


def expiry(session: Session) -> str:
    return dt.datetime.fromtimestamp(session.expires, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def error_xml(error: ServiceError) -> str:
    return (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>Sender</Type><Code>{error.code}</Code>'
        f"<Message>{escape(error.message)}</Message></Error><RequestId>standin</RequestId></ErrorResponse>"
    )


def _envelope(action: str, body: str) -> str:
    return (
        f'<{action}Response xmlns="{_NAMESPACE}"><{action}Result>{body}</{action}Result>'
        f"<ResponseMetadata><RequestId>standin</RequestId></ResponseMetadata></{action}Response>"
    )


def _key_error(code: str) -> ServiceError:
    messages = {
        "ExpiredTokenException": "The security token included in the request is expired",
        "UnrecognizedClientException": "The security token included in the request is invalid.",
    }
    return ServiceError(code, messages.get(code, "The request was refused."), 403 if "Denied" in code else 400)
