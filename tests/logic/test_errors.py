"""The table of errors: every class, every match of a message, and what messages keep to themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_operator.logic.errors import MESSAGE_LIMIT, AwsError, ErrorClass, classify, readable

CREATE, DESCRIBE, STOP = "CreateTrainingJob", "DescribeTrainingJob", "StopTrainingJob"
UPDATE, LIST, ASSUME = "UpdateTrainingJob", "ListTrainingJobs", "AssumeRole"

BY_CODE = [
    (DESCRIBE, "InternalFailure", 500, ErrorClass.RETRY),
    (CREATE, "ServiceUnavailable", 503, ErrorClass.RETRY),
    (CREATE, "SomethingNew", 502, ErrorClass.RETRY),
    (CREATE, "SomethingNew", None, ErrorClass.RETRY),
    (CREATE, "403", 403, ErrorClass.RETRY),
    (CREATE, "", 400, ErrorClass.RETRY),
    (CREATE, "InvalidSignatureException", 400, ErrorClass.RETRY),
    (ASSUME, "RequestExpired", 400, ErrorClass.RETRY),
    (CREATE, "EndpointConnectionError", None, ErrorClass.RETRY),
    (CREATE, "ReadTimeoutError", None, ErrorClass.RETRY),
    (CREATE, "ThrottlingException", 400, ErrorClass.THROTTLED),
    (LIST, "TooManyRequestsException", 429, ErrorClass.THROTTLED),
    (LIST, "SomethingNew", 429, ErrorClass.THROTTLED),
    (LIST, "SlowDown", 503, ErrorClass.THROTTLED),
    (CREATE, "ResourceLimitExceeded", 400, ErrorClass.WAITING),
    (UPDATE, "ResourceLimitExceeded", 400, ErrorClass.WAITING),
    (CREATE, "InsufficientCapacity", 400, ErrorClass.WAITING),
    (CREATE, "InvalidParameterValue", 400, ErrorClass.REFUSED),
    (CREATE, "InvalidParameterCombination", 400, ErrorClass.REFUSED),
    (CREATE, "MissingParameter", 400, ErrorClass.REFUSED),
    (CREATE, "ParamValidationError", None, ErrorClass.REFUSED),
    (DESCRIBE, "InvalidRegionError", None, ErrorClass.REFUSED),
    (CREATE, "SomethingNew", 400, ErrorClass.REFUSED),
    (UPDATE, "ConflictException", 409, ErrorClass.CONFLICT),
    (CREATE, "AccessDeniedException", 400, ErrorClass.DENIED),
    (ASSUME, "AccessDenied", 403, ErrorClass.DENIED),
    (LIST, "UnauthorizedOperation", 403, ErrorClass.DENIED),
    (LIST, "SomethingNew", 403, ErrorClass.DENIED),
    (LIST, "SomethingNew", 401, ErrorClass.DENIED),
    (ASSUME, "RegionDisabledException", 403, ErrorClass.DENIED),
    (DESCRIBE, "ExpiredTokenException", 400, ErrorClass.CREDENTIALS),
    (ASSUME, "ExpiredToken", 403, ErrorClass.CREDENTIALS),
    (DESCRIBE, "UnrecognizedClientException", 400, ErrorClass.CREDENTIALS),
    (ASSUME, "InvalidClientTokenId", 403, ErrorClass.CREDENTIALS),
    ("AssumeRoleWithWebIdentity", "InvalidIdentityToken", 400, ErrorClass.CREDENTIALS),
    (DESCRIBE, "NoCredentialsError", None, ErrorClass.CREDENTIALS),
    (DESCRIBE, "CredentialRetrievalError", None, ErrorClass.CREDENTIALS),
    (DESCRIBE, "FileNotFoundError", None, ErrorClass.CREDENTIALS),
    (CREATE, "ResourceInUse", 400, ErrorClass.IN_USE),
    (DESCRIBE, "ResourceNotFound", 400, ErrorClass.NOT_FOUND),
    (STOP, "ResourceNotFound", 400, ErrorClass.NOT_FOUND),
    (CREATE, "ResourceNotFound", 400, ErrorClass.DOUBTFUL),
]


@pytest.mark.parametrize(("operation", "code", "status", "kind"), BY_CODE)
def test_a_code_has_its_class(operation: str, code: str, status: int | None, kind: ErrorClass) -> None:
    assert classify(operation, code, "Requested resource not found.", status) is kind


BY_WORDS = [
    (CREATE, "1 validation error detected: Value 'x' at 'roleArn' failed to satisfy", ErrorClass.REFUSED),
    (CREATE, "2 validation errors detected: Value null at 'a' failed to satisfy", ErrorClass.REFUSED),
    (DESCRIBE, "1 validation error detected: Value 'x' at 'trainingJobName' failed", ErrorClass.REFUSED),
    (DESCRIBE, "Requested resource not found.", ErrorClass.NOT_FOUND),
    (STOP, "Requested resource not found.", ErrorClass.NOT_FOUND),
    ("ListTags", "Requested resource not found.", ErrorClass.NOT_FOUND),
    (CREATE, "Requested resource not found.", ErrorClass.DOUBTFUL),
    (
        STOP,
        "The request was rejected because the training job is in status Completed.",
        ErrorClass.CONFLICT,
    ),
    (UPDATE, "Cannot update a training job in the Starting status.", ErrorClass.CONFLICT),
    (CREATE, "The warm pool of job a is in InUse status.", ErrorClass.DOUBTFUL),
    (CREATE, "Could not assume role arn:aws:iam::111122223333:role/x.", ErrorClass.DOUBTFUL),
    (CREATE, "No S3 objects found under S3 URL s3://bucket/prefix.", ErrorClass.DOUBTFUL),
    (CREATE, "", ErrorClass.DOUBTFUL),
    (UPDATE, "Something else.", ErrorClass.REFUSED),
    (LIST, "The token is not valid.", ErrorClass.REFUSED),
]


@pytest.mark.parametrize(("operation", "message", "kind"), BY_WORDS)
def test_a_validation_exception_goes_by_its_words(operation: str, message: str, kind: ErrorClass) -> None:
    assert classify(operation, "ValidationException", message, 400) is kind


def test_words_count_for_no_other_code() -> None:
    assert classify(CREATE, "AccessDeniedException", "1 validation error detected", 400) is ErrorClass.DENIED


@given(st.text(), st.text(), st.text(), st.none() | st.integers())
def test_anything_has_a_class(operation: str, code: str, message: str, status: int | None) -> None:
    assert isinstance(classify(operation, code, message, status), ErrorClass)


READABLE = [
    ("Rate exceeded", "Rate exceeded"),
    ("one\n  two\t three ", "one two three"),
    (
        "No role. (Service: AmazonSageMaker; Status Code: 400; Error Code: X; Request ID: 1a-2b; Proxy: null)",
        "No role.",
    ),
    ("Not now, RequestId: 1a2b-3c", "Not now"),
    ("Not allowed. Encoded authorization failure message: Zm9vYmFy", "Not allowed."),
    (
        "1 validation error detected: Value 'ml.x' at 'instanceType' failed to satisfy constraint: c",
        "1 validation error detected: Value 'ml.x' at 'instanceType' failed to satisfy constraint: c",
    ),
    (
        "1 validation error detected: Value '{k=hush}' at 'environment' failed to satisfy constraint: c",
        "1 validation error detected: Value '…' at 'environment' failed to satisfy constraint: c",
    ),
    (
        (
            "2 validation errors detected: Value 'a' at 'roleArn' failed to satisfy constraint: c; "
            "Value '{k=it's ' at 'hush' }' at 'hyperParameters' failed to satisfy constraint: d"
        ),
        (
            "2 validation errors detected: Value 'a' at 'roleArn' failed to satisfy constraint: c; "
            "Value '…' at 'hyperParameters' failed to satisfy constraint: d"
        ),
    ),
    ("1 validation error detected: Value '{k=hush", "1 validation error detected: Value '…"),
    (
        (
            "Parameter validation failed:\nInvalid type for parameter HyperParameters.lr, value: {'hush': 1}, "
            "type: <class 'dict'>, valid types: <class 'str'>\nMissing required parameter in input: \"RoleArn\""
        ),
        (
            "Parameter validation failed: Invalid type for parameter HyperParameters.lr, value: …, "
            "type: <class 'dict'>, valid types: <class 'str'> Missing required parameter in input: \"RoleArn\""
        ),
    ),
    (
        "Invalid type for parameter RoleArn, value: 5, type: <class 'int'>, valid types: <class 'str'>",
        "Invalid type for parameter RoleArn, value: 5, type: <class 'int'>, valid types: <class 'str'>",
    ),
]


@pytest.mark.parametrize(("message", "shown"), READABLE)
def test_a_message_is_one_line_without_ids_and_private_values(message: str, shown: str) -> None:
    assert readable(message) == shown


@given(st.text())
def test_a_message_stays_within_its_limit(message: str) -> None:
    shown = readable(message)
    assert len(shown) <= MESSAGE_LIMIT
    assert "\n" not in shown


def test_a_huge_message_is_cut_and_says_so() -> None:
    shown = readable("word " * 1_000_000)
    assert len(shown) == MESSAGE_LIMIT
    assert shown.endswith("…")


@pytest.mark.parametrize(("message", "shown"), [("No.", "ResourceInUse: No."), ("", "ResourceInUse")])
def test_an_error_reads_as_code_and_message(message: str, shown: str) -> None:
    assert str(AwsError(CREATE, "ResourceInUse", message, ErrorClass.IN_USE, definite=True)) == shown
