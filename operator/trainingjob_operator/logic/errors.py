"""What an AWS error means for a job: one table from (operation, code) to a class, and the words to show for it.

Raising these errors is `aws/gateway.py`'s part, what follows from a class is `decision.py`'s.
"""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

MESSAGE_LIMIT: Final = 1000
"""Longest message, in characters; a Kubernetes Event's note takes 1024."""


class ErrorClass(enum.Enum):
    """What follows from an error; the value is the word used in metrics."""

    RETRY = "retry"
    """Nobody's fault: 5xx, the network, an unreadable answer, clocks that differ."""
    THROTTLED = "throttled"
    """Too many calls; the bucket of the operation slows down."""
    WAITING = "waiting"
    """A quota or capacity is used up and may become free."""
    REFUSED = "refused"
    """The request is wrong for good; asking again changes nothing until it differs."""
    DOUBTFUL = "doubtful"
    """Create was turned down for something that may heal without an edit: a role, data, an image."""
    CONFLICT = "conflict"
    """The job's phase does not allow this (Stop of an ended job, an early Update): look at the job."""
    DENIED = "denied"
    """A permission is missing."""
    CREDENTIALS = "credentials"
    """Ours are missing, expired or not accepted."""
    IN_USE = "in_use"
    """The name is taken."""
    NOT_FOUND = "not_found"
    """There is no such job."""


class AwsError(Exception):
    """A call that did not succeed.

    `operation` is the API operation that failed, which may be one made on the way (AssumeRole). `code` is the
    service's error code, or the name of the client's exception when no error was answered. `message` is fit for
    people and conditions (see `readable`). `definite` tells that the service did not act; otherwise it may have
    (time-out, dropped connection, 5xx, unreadable answer).
    """

    def __init__(self, operation: str, code: str, message: str, kind: ErrorClass, *, definite: bool) -> None:
        super().__init__(operation, code, message)
        self.operation = operation
        self.code = code
        self.message = message
        self.kind = kind
        self.definite = definite

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code

    @property
    def sentence(self) -> str:
        """What conditions and Events say of it."""
        return f"{self.operation} was answered with {self.code}: {self.message}"


def _table(groups: Mapping[ErrorClass, str]) -> dict[str, ErrorClass]:
    return {code: kind for kind, codes in groups.items() for code in codes.split()}


_CODES: Final = _table(
    {
        ErrorClass.RETRY: """
            InternalFailure InternalError InternalServerError InternalServerException InternalServiceError
            InternalServiceException ServiceUnavailable ServiceUnavailableException Unavailable
            RequestTimeout RequestTimeoutException HttpTimeoutException
            RequestExpired RequestTimeTooSkewed RequestInTheFuture InvalidSignatureException SignatureDoesNotMatch
            IDPCommunicationError HTTPClientError ConnectionClosedError ConnectTimeoutError EndpointConnectionError
            ProxyConnectionError ReadTimeoutError SSLError ResponseParserError ResponseStreamingError
            IncompleteReadError UnreadableAnswer DeadlineExceeded""",
        ErrorClass.THROTTLED: """
            Throttling ThrottlingException ThrottledException RequestThrottled RequestThrottledException
            TooManyRequests TooManyRequestsException RequestLimitExceeded BandwidthLimitExceeded
            ProvisionedThroughputExceededException PriorRequestNotComplete SlowDown EC2ThrottledException""",
        ErrorClass.WAITING: """
            ResourceLimitExceeded ServiceQuotaExceededException LimitExceeded LimitExceededException CapacityError
            InsufficientCapacity InsufficientCapacityException InsufficientInstanceCapacity""",
        ErrorClass.REFUSED: """
            InvalidParameter InvalidParameterCombination InvalidParameterException InvalidParameterValue
            InvalidParameterValueException InvalidParameterCombinationException MissingParameter
            MissingParameterException MissingRequiredParameterException InvalidRequest InvalidRequestException
            MalformedQueryString SerializationException InvalidAction UnknownOperationException ValidationException
            ValidationError MalformedPolicyDocument PackedPolicyTooLarge
            ParamValidationError InvalidRegionError UnknownRegionError UnknownEndpointError NoRegionError
            EndpointProviderError EndpointResolutionError InvalidEndpointConfigurationError InvalidEndpoint""",
        ErrorClass.CONFLICT: "ConflictException Conflict",
        ErrorClass.DENIED: """
            AccessDenied AccessDeniedException UnauthorizedOperation UnauthorizedException Unauthorized
            NotAuthorized NotAuthorizedException AuthorizationError AuthorizationErrorException Forbidden
            ForbiddenException OptInRequired SubscriptionRequiredException RegionDisabledException
            KMSAccessDeniedException""",
        ErrorClass.CREDENTIALS: """
            ExpiredToken ExpiredTokenException TokenRefreshRequired UnrecognizedClientException UnrecognizedClient
            InvalidClientTokenId InvalidClientTokenIdException InvalidAccessKeyId InvalidToken InvalidIdentityToken
            InvalidIdentityTokenException InvalidSecurity MissingAuthenticationToken
            MissingAuthenticationTokenException IncompleteSignature IncompleteSignatureException AuthFailure
            IDPRejectedClaim
            NoCredentialsError PartialCredentialsError CredentialRetrievalError MetadataRetrievalError
            TokenRetrievalError NoAuthTokenError UnknownTokenProviderError UnknownCredentialError ProfileNotFound
            ConfigNotFound ConfigParseError InvalidConfigError InfiniteLoopConfigError
            RefreshWithMFAUnsupportedError SSOError SSOTokenLoadError UnauthorizedSSOTokenError LoginError
            LoginRefreshRequired LoginInsufficientPermissions LoginTokenLoadError LoginAuthorizationCodeError
            FileNotFoundError PermissionError""",
        ErrorClass.IN_USE: "ResourceInUse ResourceInUseException",
        ErrorClass.NOT_FOUND: "ResourceNotFound ResourceNotFoundException",
    }
)
"""By code, for any operation: the services' codes, and the names of exceptions of botocore and of the gateway.

An OSError before sending is a token or credentials file that cannot be read.
"""

_OPERATION_CODES: Final[dict[tuple[str, str], ErrorClass]] = {
    # the job is only about to be made: what is missing is something that its spec names
    ("CreateTrainingJob", "ResourceNotFound"): ErrorClass.DOUBTFUL,
    ("CreateTrainingJob", "ResourceNotFoundException"): ErrorClass.DOUBTFUL,
}
"""Where one operation means something else by a code."""


class _Words(NamedTuple):
    pattern: re.Pattern[str]
    operations: frozenset[str]
    """Empty: any."""
    kind: ErrorClass


_JOB_CALLS: Final = frozenset({"StopTrainingJob", "UpdateTrainingJob", "DeleteTrainingJob"})

_VALIDATION_WORDS: Final = (
    _Words(re.compile(r"\d+ validation errors? detected", re.IGNORECASE), frozenset(), ErrorClass.REFUSED),
    # of Create it speaks of something else than the job, which may still appear
    _Words(
        re.compile(r"requested resource not found", re.IGNORECASE),
        frozenset({"CreateTrainingJob"}),
        ErrorClass.DOUBTFUL,
    ),
    _Words(re.compile(r"requested resource not found", re.IGNORECASE), frozenset(), ErrorClass.NOT_FOUND),
    _Words(
        re.compile(r"training job is in status|\bin (?:the )?\S+ status\b", re.IGNORECASE),
        _JOB_CALLS,
        ErrorClass.CONFLICT,
    ),
    _Words(re.compile(r""), frozenset({"CreateTrainingJob"}), ErrorClass.DOUBTFUL),
)
"""ValidationException is one code for many things: the first line that fits decides, else the code's own class."""


def classify(operation: str, code: str, message: str, http_status: int | None) -> ErrorClass:
    """The class of an error; total, whatever the arguments hold.

    `operation` and `code` are the API's names, `code` may be the name of a client's exception, with `http_status`
    None when there was no answer. Only a ValidationException's message is looked at.
    """
    if code == "ValidationException":
        for words in _VALIDATION_WORDS:
            if (not words.operations or operation in words.operations) and words.pattern.search(message):
                return words.kind
    known = _OPERATION_CODES.get((operation, code)) or _CODES.get(code)
    if known is not None:
        return known
    return _by_status(code, http_status)


def _by_status(code: str, http_status: int | None) -> ErrorClass:
    if http_status == 429:
        return ErrorClass.THROTTLED
    if http_status is None or not 400 <= http_status < 500 or not is_named(code):
        return ErrorClass.RETRY
    if http_status in {401, 403}:
        return ErrorClass.DENIED
    return ErrorClass.REFUSED


def is_named(code: str) -> bool:
    """Whether `code` names an error; botocore puts the HTTP status there for an answer that is not the service's."""
    return bool(code) and not code.isdigit()


_VALUE_AT = re.compile(r"Value '(.*?)(?:' at '([^']*)' failed to satisfy|\Z)", re.DOTALL)
_VALUE_OF_PARAMETER = re.compile(
    r"(parameter (?:Environment|HyperParameters)\b.*?, value: )(.*?)(, type: <class|, valid m|\Z)", re.DOTALL
)
_PRIVATE_PATH = re.compile(r"environment|hyperparameters", re.IGNORECASE)
_NOISE = re.compile(
    r"\s*\([^()]*\brequest ?id\b[^()]*\)"  # the SDK style: (Service: …; Status Code: …; Request ID: …)
    r"|[\s;,.]*\brequest ?id\b\s*(?:is\b)?\s*[:=]?\s*[\w-]+"
    r"|\s*Encoded authorization failure message:\s*\S+",
    re.IGNORECASE,
)


def readable(message: str) -> str:
    """An error's message, fit for conditions, Events and logs.

    One line (white space, line breaks included, becomes one blank), at most MESSAGE_LIMIT characters, the same for
    the same error: without request ids and encoded authorization messages. Values of `environment` and
    `hyperParameters`, which validation messages quote, are left out.
    """
    text = _VALUE_AT.sub(_hide_private_value, message)
    text = _VALUE_OF_PARAMETER.sub(r"\1…\3", text)
    text = " ".join(_NOISE.sub("", text).split())
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"


def _hide_private_value(match: re.Match[str]) -> str:
    path: str | None = match[2]
    if path is None:  # cut off before its path: may be anything
        return "Value '…"
    if _PRIVATE_PATH.search(path):
        return f"Value '…' at '{path}' failed to satisfy"
    return match[0]
