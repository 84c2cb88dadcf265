"""What an AWS error means for a job: one table from (operation, code) to a class, and the words to show for it.

Raising these errors is `aws/gateway.py`'s part, what follows from a class is `decision.py`'s.
"""

from __future__ import annotations

import enum
import re
from difflib import get_close_matches
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
    REGION = "region"
    """The region does not exist, or is not enabled for the account; other regions go on."""
    ACCOUNT = "account"
    """The operator's credentials are of another account than at its start: nothing is sent in its name."""
    IN_USE = "in_use"
    """The name is taken."""
    NOT_FOUND = "not_found"
    """There is no such job."""


class AwsError(Exception):
    """A call that did not succeed.

    `operation` is the API operation that failed, which may be one made on the way (AssumeRole). `code` is the
    service's error code, or the name of the client's exception when no error was answered. `message` is fit for
    people and conditions (see `readable`). `definite` tells that the service did not act; otherwise it may have
    (time-out, dropped connection, 5xx, unreadable answer). `answered` tells that the code is from an answer.
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
        """What conditions and Events say of it."""
        if self.answered:
            return f"{self.operation} was answered with {self.code}: {self.message}"
        return f"{self.operation} {'was not sent' if self.definite else 'got no answer'} ({self.code}): {self.message}"


def _table(*rows: tuple[ErrorClass, str]) -> dict[str, ErrorClass]:
    return {code: kind for kind, codes in rows for code in codes.split()}


_CODES: Final = _table(
    # Sources: [common] AWS's page "Common Error Types"; [model] botocore's models of SageMaker and STS; [sdk]
    # botocore/retries; [client] botocore/exceptions.py, which names what failed without an answer.
    #
    # [common] 5xx by their names, with the spellings of other services and of older ones
    (ErrorClass.RETRY, "InternalFailure InternalError InternalServerError InternalServerException"),
    (ErrorClass.RETRY, "InternalServiceError InternalServiceException ServiceUnavailable ServiceUnavailableException"),
    (ErrorClass.RETRY, "Unavailable"),
    # [common] 400, and yet of the transport: the request was aborted, or arrived other than it was sent
    (ErrorClass.RETRY, "RequestAborted RequestAbortedException MalformedHttpRequestException MalformedQueryString"),
    (ErrorClass.RETRY, "MissingAction SerializationException"),
    # [sdk] transient
    (ErrorClass.RETRY, "RequestTimeout RequestTimeoutException HttpTimeoutException"),
    # [common] a date stamp more than 15 minutes off; the other names are S3's and EC2's
    (ErrorClass.RETRY, "RequestExpired RequestTimeTooSkewed RequestInTheFuture"),
    # [model] STS could not reach the identity provider, and asks to try again
    (ErrorClass.RETRY, "IDPCommunicationError"),
    # [client] no answer, or none that can be read
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
    # [model] ResourceLimitExceeded, of Create and Update; the others are other services' words for the same
    (ErrorClass.WAITING, "ResourceLimitExceeded ServiceQuotaExceededException LimitExceeded LimitExceededException"),
    # the prefix of SageMaker's failure reasons, and EC2's names
    (ErrorClass.WAITING, "CapacityError InsufficientCapacity InsufficientCapacityException"),
    (ErrorClass.WAITING, "InsufficientInstanceCapacity"),
    # [common] a parameter is wrong, missing or one too many
    (ErrorClass.REFUSED, "InvalidParameter InvalidParameterCombination InvalidParameterCombinationException"),
    (ErrorClass.REFUSED, "InvalidParameterException InvalidParameterValue InvalidParameterValueException"),
    (ErrorClass.REFUSED, "InvalidQueryParameter MissingParameter MissingParameterException"),
    (ErrorClass.REFUSED, "MissingRequiredParameterException InvalidRequest InvalidRequestException"),
    (ErrorClass.REFUSED, "RequestEntityTooLarge RequestEntityTooLargeException ValidationException ValidationError"),
    # [common] the region's service does not know the operation
    (ErrorClass.REFUSED, "InvalidAction UnknownOperationException"),
    # [model] of AssumeRole
    (ErrorClass.REFUSED, "MalformedPolicyDocument PackedPolicyTooLarge"),
    # [client] botocore can make no request of it
    (ErrorClass.REFUSED, "ParamValidationError InvalidRegionError UnknownRegionError UnknownEndpointError"),
    (ErrorClass.REFUSED, "NoRegionError EndpointProviderError EndpointResolutionError InvalidEndpoint"),
    (ErrorClass.REFUSED, "InvalidEndpointConfigurationError"),
    # [model] another change of the same entity is under way
    (ErrorClass.CONFLICT, "ConflictException Conflict"),
    # [common] AccessDeniedException, NotAuthorized; the others are other services' words for the same
    (ErrorClass.DENIED, "AccessDenied AccessDeniedException UnauthorizedOperation UnauthorizedException Unauthorized"),
    (ErrorClass.DENIED, "NotAuthorized NotAuthorizedException AuthorizationError AuthorizationErrorException"),
    (ErrorClass.DENIED, "Forbidden ForbiddenException KMSAccessDeniedException"),
    # [common] OptInRequired: the access key needs a subscription; [model] RegionDisabledException of STS
    (ErrorClass.REGION, "OptInRequired OptInRequiredException SubscriptionRequiredException RegionDisabledException"),
    # set by aws/ where STS accepts the credentials that the region does not, and for a name that has no address
    (ErrorClass.REGION, "RegionNotEnabled RegionNotFound"),
    # [common] expired, unknown or missing keys
    (ErrorClass.CREDENTIALS, "ExpiredToken ExpiredTokenException TokenRefreshRequired UnrecognizedClientException"),
    (ErrorClass.CREDENTIALS, "UnrecognizedClient InvalidClientTokenId InvalidClientTokenIdException"),
    (ErrorClass.CREDENTIALS, "InvalidAccessKeyId InvalidToken InvalidSecurity AuthFailure"),
    (ErrorClass.CREDENTIALS, "MissingAuthenticationToken MissingAuthenticationTokenException"),
    # [common] not signed by the key that the service knows; a clock that is off is told by the words (below)
    (ErrorClass.CREDENTIALS, "InvalidSignatureException InvalidSignature SignatureDoesNotMatch IncompleteSignature"),
    (ErrorClass.CREDENTIALS, "IncompleteSignatureException"),
    # [model] of AssumeRoleWithWebIdentity
    (ErrorClass.CREDENTIALS, "InvalidIdentityToken InvalidIdentityTokenException IDPRejectedClaim"),
    # [client] no credentials could be found, read or refreshed
    (ErrorClass.CREDENTIALS, "NoCredentialsError PartialCredentialsError CredentialRetrievalError"),
    (ErrorClass.CREDENTIALS, "MetadataRetrievalError TokenRetrievalError NoAuthTokenError UnknownTokenProviderError"),
    (ErrorClass.CREDENTIALS, "UnknownCredentialError ProfileNotFound ConfigNotFound ConfigParseError"),
    (ErrorClass.CREDENTIALS, "InvalidConfigError InfiniteLoopConfigError RefreshWithMFAUnsupportedError SSOError"),
    (ErrorClass.CREDENTIALS, "SSOTokenLoadError UnauthorizedSSOTokenError LoginError LoginRefreshRequired"),
    (ErrorClass.CREDENTIALS, "LoginInsufficientPermissions LoginTokenLoadError LoginAuthorizationCodeError"),
    # an OSError before sending: a file of keys or of a token that can't be read
    (ErrorClass.CREDENTIALS, "FileNotFoundError PermissionError"),
    # set by aws/
    (ErrorClass.ACCOUNT, "AccountChanged"),
    # [model] of Create
    (ErrorClass.IN_USE, "ResourceInUse ResourceInUseException"),
    # [model] of Describe, Stop, Update
    (ErrorClass.NOT_FOUND, "ResourceNotFound ResourceNotFoundException"),
)
"""By code, for any operation: the services' codes, and the names of exceptions of botocore and of aws/."""

_CREATE_CODES: Final = _table(
    # [model] the job is only about to be made: what is missing is something that its spec names
    (ErrorClass.DOUBTFUL, "ResourceNotFound ResourceNotFoundException"),
    # [model] "a conflict when you attempted to modify an entity such as an Experiment": another job writes it
    (ErrorClass.DOUBTFUL, "ConflictException Conflict"),
    # a body that can't be read may be the transport's doing or a number out of range
    (ErrorClass.DOUBTFUL, "SerializationException"),
    # KMS, by way of the service: keys are made, enabled and shared without an edit of the spec
    (ErrorClass.DOUBTFUL, "KMSDisabledException KMSInvalidStateException KMSNotFoundException"),
)
"""Where CreateTrainingJob means something else by a code."""


class _Words(NamedTuple):
    kind: ErrorClass
    operations: frozenset[str]
    """Empty: any."""
    pattern: re.Pattern[str]


_ANY: Final[frozenset[str]] = frozenset()
_CREATE: Final = frozenset({"CreateTrainingJob"})
_JOB_CALLS: Final = frozenset({"StopTrainingJob", "UpdateTrainingJob", "DeleteTrainingJob"})


def _words(*rows: tuple[ErrorClass, frozenset[str], str]) -> tuple[_Words, ...]:
    return tuple(_Words(kind, operations, re.compile(pattern, re.IGNORECASE)) for kind, operations, pattern in rows)


_INCURABLE: Final = (
    # aws-samples/mlops-amazon-sagemaker#9: the image's registry is of another region or partition
    r"invalid dns[- ]suffix|invalid region \S+ (?:in|for|of) (?:the )?(?:\w+ )?image"
    # ed-donner/alex#30, aws/amazon-sagemaker-examples#1444
    r"|cross[- ]region|does not match (?:the )?expected|correct region"
    # aws/sagemaker-python-sdk#2063
    r"|invalid (?:\w+ )?image\b"
    # S3's words within "No S3 objects found" (the kedro tutorial quotes them): the bucket is in another region
    r"|is in this region:|permanent ?redirect|must be addressed using the specified"
    r"|(?:in|from|of) (?:a different|another|the same) (?:aws )?region"
    # Kenza-AI/sagify#111: wait time without spot, or below the run time
    r"|invalid (?:max\w+|\w+seconds)\b|\bmaxwaittimeinseconds\b|\bmaxruntimeinseconds\b"
    # aws/aws-cdk#16779: network isolation that the image or the algorithm demands
    r"|network ?isolation"
    # awslabs/mlspace quotes it of the metrics of built-in algorithms: what is not offered together
    r"|(?:can't|cannot|can not) (?:override|specify|set|provide|be (?:specified|used|set|combined))"
    r"|(?:is|are)(?:n't| not)(?: currently| yet)? supported|(?:does|do)(?:n't| not) support"
    r"|unsupported|only (?:be )?supported|not (?:available|offered) in (?:this|the) region"
    # the API reference's constraints: a field that is missing, one too many, given twice or out of bounds
    r"|must (?:not )?be (?:specified|provided|present|set|unique|true|false|equal|one of)"
    r"|must (?:not )?be (?:less|greater|smaller|larger|at (?:least|most)|between|empty)"
    r"|must (?:specify|provide|set|contain)\b|mutually exclusive|\bduplicate[sd]?\b"
    r"|missing required|is required (?:when|for|if)|exceeds? the (?:max|limit|allowed)"
)
"""What Create refuses and no time heals, by the words of public reports and of the API reference."""

_VALIDATION_WORDS: Final = _words(
    # the API's own bounds, patterns and enums
    (ErrorClass.REFUSED, _ANY, r"\d+ validation errors? detected"),
    # of Create it speaks of something else than the job, which may still appear
    (ErrorClass.DOUBTFUL, _CREATE, r"requested resource not found"),
    (ErrorClass.NOT_FOUND, _ANY, r"requested resource not found"),
    (ErrorClass.CONFLICT, _JOB_CALLS, r"training job is in status|\bin (?:the )?\S+ status\b"),
    # the words of ResourceInUse and of ResourceLimitExceeded
    (ErrorClass.IN_USE, _CREATE, r"job names must be unique|job with (?:this|that|the same) name already exists"),
    (ErrorClass.WAITING, _CREATE, r"account-level service limit|insufficient capacity|capacityerror"),
    (ErrorClass.REFUSED, _CREATE, _INCURABLE),
    # all else may heal: a role, data, an image, a subnet that is not there yet
    (ErrorClass.DOUBTFUL, _CREATE, r""),
)
"""ValidationException is one code for many things: the first line that fits decides, else the code's own class."""

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
"""The codes that mean many things: the words tell which."""

_QUOTED: Final = re.compile(r"\"[^\"]*\"|(?<!\w)'[^']*'|\b(?:s3|https?)://\S+|\barn:\S+|\S+\.dkr\.\S+")
"""What a message repeats of the request: paths and names must not count as the service's words."""

_CLOCK_CODES: Final = frozenset({"RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture"})


def classify(operation: str, code: str, message: str, http_status: int | None) -> ErrorClass:
    """The class of an error; total, whatever the arguments hold.

    `operation` and `code` are the API's names, `code` may be the name of a client's exception, with `http_status`
    None when there was no answer. The message decides only under the few codes that mean many things.
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
    """Whether the service refused a request because of its date: the clock here or there is off."""
    words = _WORDS_OF.get(code, ())
    return code in _CLOCK_CODES or (words is _CLOCK_WORDS and any(one.pattern.search(message) for one in words))


def is_named(code: str) -> bool:
    """Whether `code` names an error; botocore puts the HTTP status there for an answer that is not the service's."""
    return bool(code) and not code.isdigit()


VALUE_LIMIT: Final = 60
"""Longest quoted value, in characters: the path and the constraint after it tell what is wrong."""

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
    """An error's message, fit for conditions, Events and logs.

    One line (white space, line breaks included, becomes one blank), at most MESSAGE_LIMIT characters, the same for
    the same error: without request ids and encoded authorization messages. Of the values that validation messages
    quote, those of `environment` and `hyperParameters` are left out and others end at VALUE_LIMIT characters; of a
    long list of allowed values the nearest three are named.
    """
    text = _VALUE_AT.sub(_shorten_value, message)
    text = _VALUE_OF_PARAMETER.sub(_shorten_parameter, text)
    text = " ".join(_NOISE.sub("", text).split())
    return _cut(text, MESSAGE_LIMIT)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _shorten_value(match: re.Match[str]) -> str:
    path: str | None = match["path"]
    if path is None:  # cut off before its path: may be anything
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
