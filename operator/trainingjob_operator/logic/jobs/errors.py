"""Classification of AWS errors: one table from (operation, code) to a class, and the text for conditions and Events.

Not here: raising the errors (aws/gateway.py) and the reaction to a class (decide/).
"""

from __future__ import annotations

import enum
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NamedTuple

from trainingjob_operator.logic.operations import CREATE, STOP, UPDATE

if TYPE_CHECKING:
    from collections.abc import Mapping

MESSAGE_LIMIT: Final = 1000
"""Maximum length in characters; a Kubernetes Event's note permits 1024."""


class ErrorClass(enum.Enum):
    """Class of an error; the value is its metric label."""

    RETRY = "retry"
    """Transient: 5xx, network error, unreadable answer, clock skew."""
    THROTTLED = "throttled"
    """Request rate exceeded; the token bucket of the operation slows down."""
    WAITING = "waiting"
    """A quota or capacity is exhausted and may become free."""
    REFUSED = "refused"
    """The request is invalid; a retry without an edit cannot succeed."""
    DOUBTFUL = "doubtful"
    """Create was refused for a cause that may heal without an edit: a role, data, an image."""
    CONFLICT = "conflict"
    """The job's phase does not permit the operation (Stop of an ended job, an early Update): describe the job."""
    DENIED = "denied"
    """A permission is missing."""
    CREDENTIALS = "credentials"
    """The operator's credentials are missing, expired or invalid."""
    REGION = "region"
    """The region does not exist, or is not enabled for the account; other regions are unaffected."""
    ACCOUNT = "account"
    """The operator's credentials belong to another account than at its start: it sends no call with them."""
    IN_USE = "in_use"
    """The job name is taken."""
    NOT_FOUND = "not_found"
    """The job does not exist."""


class AwsError(Exception):
    """A failed call.

    `operation` is the API operation that failed; it may be a preliminary one (AssumeRole). `code` is the service's
    error code, or the name of the client's exception without an answer. `message` is fit for conditions (see
    `readable`). `definite` is True if the service did not act; otherwise it may have (time-out, dropped connection,
    5xx, unreadable answer). `answered` is True if the code comes from an answer.
    """

    def __init__(
        self, operation: str, code: str, message: str, kind: ErrorClass, *, definite: bool, answered: bool = True
    ) -> None:
        super().__init__(operation, code, message)
        self.operation = operation
        self.code = code
        self.message = message
        self.kind = kind
        self.definite = definite
        self.answered = answered

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code

    @property
    def sentence(self) -> str:
        """The sentence for conditions and Events."""
        if self.answered:
            return f"{self.operation} failed with {self.code}: {self.message}"
        return f"{self.operation} {'was not sent' if self.definite else 'got no answer'} ({self.code}): {self.message}"


def _table(*rows: tuple[ErrorClass, str]) -> dict[str, ErrorClass]:
    return {code: kind for kind, codes in rows for code in codes.split()}


_CODES: Final = _table(
    # Sources: [common] AWS's page "Common Error Types"; [model] botocore's models of SageMaker and STS; [sdk]
    # botocore/retries; [client] botocore/exceptions.py, failures without an answer.
    #
    # [common] 5xx by name, with the spellings of other services and of older ones
    (ErrorClass.RETRY, "InternalFailure InternalError InternalServerError InternalServerException"),
    (ErrorClass.RETRY, "InternalServiceError InternalServiceException ServiceUnavailable ServiceUnavailableException"),
    (ErrorClass.RETRY, "Unavailable"),
    # [common] 400 caused by the transport: request aborted or damaged
    (ErrorClass.RETRY, "RequestAborted RequestAbortedException MalformedHttpRequestException MalformedQueryString"),
    (ErrorClass.RETRY, "MissingAction SerializationException"),
    # [sdk] transient
    (ErrorClass.RETRY, "RequestTimeout RequestTimeoutException HttpTimeoutException"),
    # [common] a date stamp more than 15 minutes off; the other names are those of S3 and EC2
    (ErrorClass.RETRY, "RequestExpired RequestTimeTooSkewed RequestInTheFuture"),
    # [model] STS could not reach the identity provider and requests a retry
    (ErrorClass.RETRY, "IDPCommunicationError"),
    # [client] no answer, or an unreadable one
    (ErrorClass.RETRY, "HTTPClientError ConnectionClosedError ConnectTimeoutError EndpointConnectionError"),
    (ErrorClass.RETRY, "ProxyConnectionError ReadTimeoutError SSLError ResponseParserError ResponseStreamingError"),
    (ErrorClass.RETRY, "IncompleteReadError UnreadableAnswer DeadlineExceeded"),
    # set by aws/
    (ErrorClass.RETRY, "NotSent NameNotResolved NotAnswering"),
    # [sdk] throttled; [common] ThrottlingException
    (ErrorClass.THROTTLED, "Throttling ThrottlingException ThrottledException RequestThrottled"),
    (ErrorClass.THROTTLED, "RequestThrottledException TooManyRequests TooManyRequestsException RequestLimitExceeded"),
    (ErrorClass.THROTTLED, "BandwidthLimitExceeded ProvisionedThroughputExceededException PriorRequestNotComplete"),
    (ErrorClass.THROTTLED, "TransactionInProgressException SlowDown EC2ThrottledException KMSThrottlingException"),
    # [model] ResourceLimitExceeded, of Create and Update; the others are equivalents of other services
    (ErrorClass.WAITING, "ResourceLimitExceeded ServiceQuotaExceededException LimitExceeded LimitExceededException"),
    # the prefix of SageMaker's failure reasons, and EC2's names
    (ErrorClass.WAITING, "CapacityError InsufficientCapacity InsufficientCapacityException"),
    (ErrorClass.WAITING, "InsufficientInstanceCapacity"),
    # [common] a parameter is invalid, missing or not permitted
    (ErrorClass.REFUSED, "InvalidParameter InvalidParameterCombination InvalidParameterCombinationException"),
    (ErrorClass.REFUSED, "InvalidParameterException InvalidParameterValue InvalidParameterValueException"),
    (ErrorClass.REFUSED, "InvalidQueryParameter MissingParameter MissingParameterException"),
    (ErrorClass.REFUSED, "MissingRequiredParameterException InvalidRequest InvalidRequestException"),
    (ErrorClass.REFUSED, "RequestEntityTooLarge RequestEntityTooLargeException ValidationException ValidationError"),
    # [common] the operation is unknown in the region
    (ErrorClass.REFUSED, "InvalidAction UnknownOperationException"),
    # [model] of AssumeRole
    (ErrorClass.REFUSED, "MalformedPolicyDocument PackedPolicyTooLarge"),
    # [client] botocore cannot build the request
    (ErrorClass.REFUSED, "ParamValidationError InvalidRegionError UnknownRegionError UnknownEndpointError"),
    (ErrorClass.REFUSED, "NoRegionError EndpointProviderError EndpointResolutionError InvalidEndpoint"),
    (ErrorClass.REFUSED, "InvalidEndpointConfigurationError"),
    # [model] another change of the same entity is in progress
    (ErrorClass.CONFLICT, "ConflictException Conflict"),
    # [common] AccessDeniedException, NotAuthorized; the others are equivalents of other services
    (ErrorClass.DENIED, "AccessDenied AccessDeniedException UnauthorizedOperation UnauthorizedException Unauthorized"),
    (ErrorClass.DENIED, "NotAuthorized NotAuthorizedException AuthorizationError AuthorizationErrorException"),
    (ErrorClass.DENIED, "Forbidden ForbiddenException KMSAccessDeniedException"),
    # [common] OptInRequired: the access key needs a subscription; [model] RegionDisabledException of STS
    (ErrorClass.REGION, "OptInRequired OptInRequiredException SubscriptionRequiredException RegionDisabledException"),
    # set by aws/ for credentials accepted by STS but not in the region, and for a host name without an address
    (ErrorClass.REGION, "RegionNotEnabled RegionNotFound"),
    # [common] expired, unknown or missing keys
    (ErrorClass.CREDENTIALS, "ExpiredToken ExpiredTokenException TokenRefreshRequired UnrecognizedClientException"),
    (ErrorClass.CREDENTIALS, "UnrecognizedClient InvalidClientTokenId InvalidClientTokenIdException"),
    (ErrorClass.CREDENTIALS, "InvalidAccessKeyId InvalidToken InvalidSecurity AuthFailure"),
    (ErrorClass.CREDENTIALS, "MissingAuthenticationToken MissingAuthenticationTokenException"),
    # [common] signed with an unknown key; clock skew is recognised by its message (below)
    (ErrorClass.CREDENTIALS, "InvalidSignatureException InvalidSignature SignatureDoesNotMatch IncompleteSignature"),
    (ErrorClass.CREDENTIALS, "IncompleteSignatureException"),
    # [model] of AssumeRoleWithWebIdentity
    (ErrorClass.CREDENTIALS, "InvalidIdentityToken InvalidIdentityTokenException IDPRejectedClaim"),
    # [client] credentials could not be found, read or refreshed
    (ErrorClass.CREDENTIALS, "NoCredentialsError PartialCredentialsError CredentialRetrievalError"),
    (ErrorClass.CREDENTIALS, "MetadataRetrievalError TokenRetrievalError NoAuthTokenError UnknownTokenProviderError"),
    (ErrorClass.CREDENTIALS, "UnknownCredentialError ProfileNotFound ConfigNotFound ConfigParseError"),
    (ErrorClass.CREDENTIALS, "InvalidConfigError InfiniteLoopConfigError RefreshWithMFAUnsupportedError SSOError"),
    (ErrorClass.CREDENTIALS, "SSOTokenLoadError UnauthorizedSSOTokenError LoginError LoginRefreshRequired"),
    (ErrorClass.CREDENTIALS, "LoginInsufficientPermissions LoginTokenLoadError LoginAuthorizationCodeError"),
    # an OSError before sending: unreadable file of keys or of a token
    (ErrorClass.CREDENTIALS, "FileNotFoundError PermissionError"),
    # set by aws/
    (ErrorClass.ACCOUNT, "AccountChanged"),
    # [model] of Create
    (ErrorClass.IN_USE, "ResourceInUse ResourceInUseException"),
    # [model] of Describe, Stop, Update
    (ErrorClass.NOT_FOUND, "ResourceNotFound ResourceNotFoundException"),
)
"""Class by code, for any operation: error codes of the services, and exceptions of botocore and aws/."""

_CREATE_CODES: Final = _table(
    # [model] the job does not exist yet: the missing resource is one named in its spec
    (ErrorClass.DOUBTFUL, "ResourceNotFound ResourceNotFoundException"),
    # [model] "a conflict when you attempted to modify an entity such as an Experiment": another job writes it
    (ErrorClass.DOUBTFUL, "ConflictException Conflict"),
    # an unreadable body: damaged in transport, or a number out of range
    (ErrorClass.DOUBTFUL, "SerializationException"),
    # KMS, through the service: keys are created, enabled and shared without an edit of the spec
    (ErrorClass.DOUBTFUL, "KMSDisabledException KMSInvalidStateException KMSNotFoundException"),
)
"""Codes with another meaning for CreateTrainingJob."""


class _Words(NamedTuple):
    kind: ErrorClass
    operations: frozenset[str]
    """Empty: any operation."""
    pattern: re.Pattern[str]


_ANY: Final[frozenset[str]] = frozenset()
_CREATE: Final = frozenset({CREATE})
_JOB_CALLS: Final = frozenset({STOP, UPDATE})


def _words(*rows: tuple[ErrorClass, frozenset[str], str]) -> tuple[_Words, ...]:
    return tuple(_Words(kind, operations, re.compile(pattern, re.IGNORECASE)) for kind, operations, pattern in rows)


_INCURABLE: Final = (
    # aws-samples/mlops-amazon-sagemaker#9: the image's registry is in another region or partition
    r"invalid dns[- ]suffix|invalid region \S+ (?:in|for|of) (?:the )?(?:\w+ )?image"
    # ed-donner/alex#30, aws/amazon-sagemaker-examples#1444
    r"|cross[- ]region|does not match (?:the )?expected|correct region"
    # aws/sagemaker-python-sdk#2063
    r"|invalid (?:\w+ )?image\b"
    # S3's message within "No S3 objects found" (quoted by the kedro tutorial): the bucket is in another region
    r"|is in this region:|permanent ?redirect|must be addressed using the specified"
    r"|(?:in|from|of) (?:a different|another|the same) (?:aws )?region"
    # Kenza-AI/sagify#111: wait time without spot, or below the run time
    r"|invalid (?:max\w+|\w+seconds)\b|\bmaxwaittimeinseconds\b|\bmaxruntimeinseconds\b"
    # aws/aws-cdk#16779: the image or the algorithm requires network isolation
    r"|network ?isolation"
    # quoted by awslabs/mlspace for metrics of built-in algorithms: unsupported combination
    r"|(?:can't|cannot|can not) (?:override|specify|set|provide|be (?:specified|used|set|combined))"
    r"|(?:is|are)(?:n't| not)(?: currently| yet)? supported|(?:does|do)(?:n't| not) support"
    r"|unsupported|only (?:be )?supported|not (?:available|offered) in (?:this|the) region"
    # constraints of the API reference: a field is missing, superfluous, duplicate or out of bounds
    r"|must (?:not )?be (?:specified|provided|present|set|unique|true|false|equal|one of)"
    r"|must (?:not )?be (?:less|greater|smaller|larger|at (?:least|most)|between|empty)"
    r"|must (?:specify|provide|set|contain)\b|mutually exclusive|\bduplicate[sd]?\b"
    r"|missing required|is required (?:when|for|if)|exceeds? the (?:max|limit|allowed)"
)
"""Permanent refusals of Create, by phrases from public reports and the API reference."""

_VALIDATION_WORDS: Final = _words(
    # bounds, patterns and enums of the API
    (ErrorClass.REFUSED, _ANY, r"\d+ validation errors? detected"),
    # on Create it concerns a resource other than the job, possibly created later
    (ErrorClass.DOUBTFUL, _CREATE, r"requested resource not found"),
    (ErrorClass.NOT_FOUND, _ANY, r"requested resource not found"),
    (ErrorClass.CONFLICT, _JOB_CALLS, r"training job is in status|\bin (?:the )?\S+ status\b"),
    # messages of ResourceInUse and of ResourceLimitExceeded
    (ErrorClass.IN_USE, _CREATE, r"job names must be unique|job with (?:this|that|the same) name already exists"),
    (ErrorClass.WAITING, _CREATE, r"account-level service limit|insufficient capacity|capacityerror"),
    (ErrorClass.REFUSED, _CREATE, _INCURABLE),
    # everything else may heal: a role, data, an image, a subnet not created yet
    (ErrorClass.DOUBTFUL, _CREATE, r""),
)
"""ValidationException covers many causes: the first matching line decides, otherwise the code's own class."""

_CLOCK_WORDS: Final = _words(
    # "Signature expired: <signed at> is now earlier than <now less 5 min.>", "Signature not yet current: …"
    (ErrorClass.RETRY, _ANY, r"signature expired|signature not yet current|not yet valid|request time.*too skewed"),
)

_WORDS_OF: Final[Mapping[str, tuple[_Words, ...]]] = {
    "ValidationException": _VALIDATION_WORDS,
    "ValidationError": _VALIDATION_WORDS,
    "InvalidSignatureException": _CLOCK_WORDS,
    "InvalidSignature": _CLOCK_WORDS,
    "SignatureDoesNotMatch": _CLOCK_WORDS,
}
"""Ambiguous codes: the message decides."""

_QUOTED: Final = re.compile(r"\"[^\"]*\"|(?<!\w)'[^']*'|\b(?:s3|https?)://\S+|\barn:\S+|\S+\.dkr\.\S+")
"""Parts of a message quoted from the request: paths and names are not the service's words."""

CODES: Final = frozenset(_CODES) | frozenset(_CREATE_CODES)
"""All codes of the tables."""

_CLOCK_CODES: Final = frozenset({"RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture"})


def classify(operation: str, code: str, message: str, http_status: int | None) -> ErrorClass:
    """Return the class of an error; a total function of any arguments.

    `operation` and `code` are the API's names; `code` may be the name of a client exception, with `http_status` None if
    there was no answer. The message decides only for ambiguous codes.
    """
    text = _QUOTED.sub("", message)
    for words in _WORDS_OF.get(code, ()):
        if (not words.operations or operation in words.operations) and words.pattern.search(text):
            return words.kind
    known = _CREATE_CODES.get(code) if operation in _CREATE else None
    return known or _CODES.get(code) or _by_status(operation, code, http_status)


def _by_status(operation: str, code: str, http_status: int | None) -> ErrorClass:
    if http_status == 429:
        return ErrorClass.THROTTLED
    if http_status is None or http_status == 408 or not 400 <= http_status < 500 or not is_named(code):
        return ErrorClass.RETRY
    if http_status in {401, 403}:
        return ErrorClass.DENIED
    return ErrorClass.DOUBTFUL if operation in _CREATE else ErrorClass.REFUSED


def is_clock(code: str, message: str) -> bool:
    """Return True if the service refused the request because of its date: client or server clock is off."""
    words = _WORDS_OF.get(code, ())
    return code in _CLOCK_CODES or (words is _CLOCK_WORDS and any(one.pattern.search(message) for one in words))


def is_named(code: str) -> bool:
    """Return True if `code` names an error; for an answer of another server botocore uses the HTTP status as code."""
    return bool(code) and not code.isdigit()


VALUE_LIMIT: Final = 60
"""Maximum length of a quoted value in characters; the path and the constraint behind it identify the error."""

_VALUE_AT = re.compile(
    r"Value '(?P<value>.*?)(?:' at '(?P<path>[^']*)' failed to satisfy(?P<rest>.*?)(?=; Value '|\Z)|\Z)", re.DOTALL
)
_ENUM = re.compile(r"enum value set: \[(?P<values>[^\]]*)(?:\]|\Z)")
_VALUE_OF_PARAMETER = re.compile(
    r"(?P<before>parameter (?P<path>[\w.\[\]-]*).*?, value: )(?P<value>.*?)"
    r"(?P<after>, type: <class|, valid (?:m|r|v)|\n|\Z)",
    re.DOTALL,
)
_PRIVATE_PATH = re.compile(r"environment|hyperparameters", re.IGNORECASE)
_NOISE = re.compile(
    r"\s*\([^()]*\brequest ?id\b[^()]*\)"  # the SDK style: (Service: …; Status Code: …; Request ID: …)
    r"|[\s;,.]*\brequest ?id\b\s*(?:is\b)?\s*[:=]?\s*[\w-]+"
    r"|\s*Encoded authorization failure message:\s*\S+",
    re.IGNORECASE,
)


def readable(message: str) -> str:
    """Return the message in a form fit for conditions, Events and logs.

    One line (each run of white space becomes one blank) of at most MESSAGE_LIMIT characters, identical for repeated
    errors: without request IDs and encoded authorization messages. In validation messages, values of `environment` and
    `hyperParameters` are omitted, other quoted values are cut at VALUE_LIMIT characters, and a long list of allowed
    values is reduced to the nearest three.
    """
    text = _VALUE_AT.sub(_shorten_value, message)
    text = _VALUE_OF_PARAMETER.sub(_shorten_parameter, text)
    text = " ".join(_NOISE.sub("", text).split())
    return _cut(text, MESSAGE_LIMIT)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _shorten_value(match: re.Match[str]) -> str:
    path: str | None = match["path"]
    if path is None:  # cut before its path: may be any value
        return "Value '…"
    value = "…" if _PRIVATE_PATH.search(path) else match["value"]
    rest = _ENUM.sub(lambda enum: _name_nearest(value, enum["values"]), match["rest"])
    return f"Value '{_cut(value, VALUE_LIMIT)}' at '{path}' failed to satisfy{rest}"


def _name_nearest(value: str, allowed: str) -> str:
    values = allowed.split(", ")
    if len(allowed) <= 2 * VALUE_LIMIT:
        return f"enum value set: [{allowed}]"
    near = get_close_matches(value, values, n=3, cutoff=0.0)
    return f"enum value set: [{', '.join(near)}, …] ({len(values)} values; the SageMaker API reference lists all)"


def _shorten_parameter(match: re.Match[str]) -> str:
    value = "…" if _PRIVATE_PATH.match(match["path"]) else _cut(match["value"], VALUE_LIMIT)
    return f"{match['before']}{value}{match['after']}"
