"""Error table: every class, every message pattern, and redaction of messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_operator.logic.jobs.errors import MESSAGE_LIMIT, AwsError, ErrorClass, classify, is_clock, readable

CREATE, DESCRIBE, STOP = "CreateTrainingJob", "DescribeTrainingJob", "StopTrainingJob"
UPDATE, LIST, ASSUME = "UpdateTrainingJob", "ListTrainingJobs", "AssumeRole"

BY_CODE = [
    (DESCRIBE, "InternalFailure", 500, ErrorClass.RETRY),
    (CREATE, "ServiceUnavailable", 503, ErrorClass.RETRY),
    (CREATE, "SomethingNew", 502, ErrorClass.RETRY),
    (CREATE, "SomethingNew", None, ErrorClass.RETRY),
    (CREATE, "403", 403, ErrorClass.RETRY),
    (CREATE, "", 400, ErrorClass.RETRY),
    (ASSUME, "RequestExpired", 400, ErrorClass.RETRY),
    (CREATE, "RequestAbortedException", 400, ErrorClass.RETRY),
    (CREATE, "MalformedHttpRequestException", 400, ErrorClass.RETRY),
    (DESCRIBE, "SerializationException", 400, ErrorClass.RETRY),
    (CREATE, "SomethingNew", 408, ErrorClass.RETRY),
    (ASSUME, "MalformedQueryString", 404, ErrorClass.RETRY),
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
    (CREATE, "RequestEntityTooLargeException", 413, ErrorClass.REFUSED),
    (STOP, "SomethingNew", 400, ErrorClass.REFUSED),
    (CREATE, "SomethingNew", 400, ErrorClass.DOUBTFUL),
    (CREATE, "SomethingNew", 404, ErrorClass.DOUBTFUL),
    (CREATE, "ConflictException", 409, ErrorClass.DOUBTFUL),
    (CREATE, "SerializationException", 400, ErrorClass.DOUBTFUL),
    (CREATE, "KMSNotFoundException", 400, ErrorClass.DOUBTFUL),
    (UPDATE, "ConflictException", 409, ErrorClass.CONFLICT),
    (CREATE, "AccessDeniedException", 400, ErrorClass.DENIED),
    (ASSUME, "AccessDenied", 403, ErrorClass.DENIED),
    (LIST, "UnauthorizedOperation", 403, ErrorClass.DENIED),
    (LIST, "SomethingNew", 403, ErrorClass.DENIED),
    (LIST, "SomethingNew", 401, ErrorClass.DENIED),
    (ASSUME, "RegionDisabledException", 403, ErrorClass.REGION),
    (DESCRIBE, "OptInRequired", 403, ErrorClass.REGION),
    (CREATE, "InvalidSignatureException", 400, ErrorClass.CREDENTIALS),
    (ASSUME, "SignatureDoesNotMatch", 403, ErrorClass.CREDENTIALS),
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
def test_error_codes_are_classified(operation: str, code: str, status: int | None, kind: ErrorClass) -> None:
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
    # from reports of users; logic/jobs/errors.py names the sources
    (
        CREATE,
        (
            "Invalid DNS suffix 'amazonaws.com' for region 'us-east-1' in training image. Please provide the valid "
            "<region>.<dns-suffix>: 'eu-central-1.amazonaws.com'"
        ),
        ErrorClass.REFUSED,
    ),
    (
        CREATE,
        "Invalid region us-east-2 in image URI 1.dkr.ecr.us-east-2.amazonaws.com/a:1. Please provide another.",
        ErrorClass.REFUSED,
    ),
    (
        CREATE,
        'Region of "1.dkr.ecr.us-east-1.amazonaws.com/a" does not match expected region of eu-central-1.',
        ErrorClass.REFUSED,
    ),
    (CREATE, "Cross region ECR image pulls are not allowed.", ErrorClass.REFUSED),
    (
        CREATE,
        (
            "Invalid training image. Please provide a valid Amazon Elastic Container Registry path of the Docker image "
            "to run."
        ),
        ErrorClass.REFUSED,
    ),
    (
        CREATE,
        (
            'No S3 objects found under S3 URL "s3://data" given in input data source. Please ensure that the bucket '
            "exists in the selected region (us-east-1), that objects exist under that S3 prefix, and that the role "
            '"arn:aws:iam::111122223333:role/x" has "s3:ListBucket" permissions on bucket "data". Error message from '
            "S3: The bucket is in this region: ap-southeast-1. Please use this region to retry the request"
        ),
        ErrorClass.REFUSED,
    ),
    (
        CREATE,
        (
            'No S3 objects found under S3 URL "s3://data/unsupported" given in input data source. Please ensure that '
            "the bucket exists in the selected region (us-east-1), that objects exist under that S3 prefix, and that "
            'the role "arn:aws:iam::111122223333:role/must-be-set" has "s3:ListBucket" permissions on bucket "data".'
        ),
        ErrorClass.DOUBTFUL,
    ),
    (CREATE, "The S3 bucket must be in the same region as the training job.", ErrorClass.REFUSED),
    (CREATE, "S3 says PermanentRedirect: it must be addressed using the specified endpoint.", ErrorClass.REFUSED),
    (
        CREATE,
        "Invalid MaxWaitTimeInSeconds. It is only supported when EnableManagedSpotTraining is set to true",
        ErrorClass.REFUSED,
    ),
    (
        CREATE,
        "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds",
        ErrorClass.REFUSED,
    ),
    (
        CREATE,
        "EnableNetworkIsolation must be true for jobs using SageMaker Marketplace algorithms.",
        ErrorClass.REFUSED,
    ),
    (CREATE, "The training image requires network isolation.", ErrorClass.REFUSED),
    (
        CREATE,
        (
            "You can't override the metric definitions for Amazon SageMaker algorithms. Please retry the request "
            "without specifying metric definitions."
        ),
        ErrorClass.REFUSED,
    ),
    (CREATE, "Instance type ml.t3.medium isn't supported for training.", ErrorClass.REFUSED),
    (CREATE, "Warm pools are not currently supported with this instance type.", ErrorClass.REFUSED),
    (CREATE, "This algorithm does not support FastFile mode.", ErrorClass.REFUSED),
    (CREATE, "ml.p5.48xlarge is not available in this region.", ErrorClass.REFUSED),
    (CREATE, "TrainingImage and AlgorithmName are mutually exclusive.", ErrorClass.REFUSED),
    (CREATE, "VolumeSizeInGB must be greater than 0.", ErrorClass.REFUSED),
    (CREATE, "Duplicate channel name train.", ErrorClass.REFUSED),
    (CREATE, "Training job names must be unique within an AWS account and region.", ErrorClass.IN_USE),
    (CREATE, "The account-level service limit 'a' is 1 Instances.", ErrorClass.WAITING),
    (CREATE, "Unexpected failure code: InvalidImageDigest", ErrorClass.DOUBTFUL),
    (CREATE, "The subnet 'subnet-1' does not exist.", ErrorClass.DOUBTFUL),
    (CREATE, "The image 1.dkr.ecr.eu-west-1.amazonaws.com/must-be-set:1 does not exist.", ErrorClass.DOUBTFUL),
    (UPDATE, "Something else.", ErrorClass.REFUSED),
    (LIST, "The token is not valid.", ErrorClass.REFUSED),
]


@pytest.mark.parametrize(("operation", "message", "kind"), BY_WORDS)
def test_validation_exceptions_are_classified_by_message(operation: str, message: str, kind: ErrorClass) -> None:
    assert classify(operation, "ValidationException", message, 400) is kind


def test_messages_of_other_codes_are_ignored() -> None:
    assert classify(CREATE, "AccessDeniedException", "1 validation error detected", 400) is ErrorClass.DENIED


CLOCK = [
    ("RequestExpired", "", True),
    ("RequestTimeTooSkewed", "The difference is too large.", True),
    ("InvalidSignatureException", "Signature expired: 20261127T1 is now earlier than 20261127T2", True),
    ("SignatureDoesNotMatch", "Signature not yet current: 20261127T2 is still later than 20261127T1", True),
    ("InvalidSignatureException", "The request signature we calculated does not match", False),
    ("ValidationException", "Signature expired", False),
    ("ExpiredTokenException", "Signature expired", False),
]


@pytest.mark.parametrize(("code", "message", "is_off"), CLOCK)
def test_only_errors_of_a_wrong_clock_are_retried_and_recognized(code: str, message: str, is_off: bool) -> None:
    assert is_clock(code, message) is is_off
    assert (classify(DESCRIBE, code, message, 403) is ErrorClass.RETRY) is is_off


@given(st.text(), st.text(), st.text(), st.none() | st.integers())
def test_every_error_has_a_class(operation: str, code: str, message: str, status: int | None) -> None:
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


LONG = [
    (
        f"1 validation error detected: Value '{'x' * 5000}' at 'trainingJobName' failed to satisfy constraint: c",
        f"1 validation error detected: Value '{'x' * 59}…' at 'trainingJobName' failed to satisfy constraint: c",
    ),
    (
        "1 validation error detected: Value 'ml.m5.larg' at 'resourceConfig.instanceType' failed to satisfy "
        "constraint: Member must satisfy enum value set: ["
        + ", ".join(f"ml.{family}.{size}" for family in ("c5", "m4", "m5", "p5") for size in ("large", "4xlarge"))
        + ", "
        + ", ".join(f"ml.g{n}.metal" for n in range(90))
        + "]",
        (
            "1 validation error detected: Value 'ml.m5.larg' at 'resourceConfig.instanceType' failed to satisfy "
            "constraint: Member must satisfy enum value set: [ml.m5.large, ml.m5.4xlarge, ml.p5.large, …] "
            "(98 values; the SageMaker API reference lists all)"
        ),
    ),
    (
        (
            "2 validation errors detected: Value 'Pip' at 'algorithmSpecification.trainingInputMode' failed to satisfy "
            "constraint: Member must satisfy enum value set: [Pipe, File, FastFile]; Value '' at 'roleArn' failed to "
            "satisfy constraint: Member must have length greater than or equal to 20"
        ),
        (
            "2 validation errors detected: Value 'Pip' at 'algorithmSpecification.trainingInputMode' failed to satisfy "
            "constraint: Member must satisfy enum value set: [Pipe, File, FastFile]; Value '' at 'roleArn' failed to "
            "satisfy constraint: Member must have length greater than or equal to 20"
        ),
    ),
    (
        f"Invalid length for parameter TrainingJobName, value: {'7' * 500}, valid max length: 63",
        f"Invalid length for parameter TrainingJobName, value: {'7' * 59}…, valid max length: 63",
    ),
    (
        f"Invalid type for parameter Tags[0].Value, value: {'y' * 500}, type: <class 'int'>, valid types: x",
        f"Invalid type for parameter Tags[0].Value, value: {'y' * 59}…, type: <class 'int'>, valid types: x",
    ),
]


@pytest.mark.parametrize(("message", "shown"), LONG)
def test_a_long_value_leaves_room_for_path_and_constraint(message: str, shown: str) -> None:
    assert readable(message) == shown


@pytest.mark.parametrize(("message", "shown"), READABLE)
def test_a_message_is_one_line_without_ids_and_private_values(message: str, shown: str) -> None:
    assert readable(message) == shown


@given(st.text())
def test_a_message_stays_within_its_limit(message: str) -> None:
    shown = readable(message)
    assert len(shown) <= MESSAGE_LIMIT
    assert "\n" not in shown


@pytest.mark.long
def test_a_huge_message_is_truncated_with_an_ellipsis() -> None:
    shown = readable("word " * 1_000_000)
    assert len(shown) == MESSAGE_LIMIT
    assert shown.endswith("…")


@pytest.mark.parametrize(("message", "shown"), [("No.", "ResourceInUse: No."), ("", "ResourceInUse")])
def test_an_error_is_formatted_as_code_and_message(message: str, shown: str) -> None:
    assert str(AwsError(CREATE, "ResourceInUse", message, ErrorClass.IN_USE, definite=True)) == shown


@pytest.mark.parametrize(
    ("answered", "definite", "sentence"),
    [
        (True, True, "CreateTrainingJob failed with X: No."),
        (False, True, "CreateTrainingJob was not sent (X): No."),
        (False, False, "CreateTrainingJob got no answer (X): No."),
    ],
)
def test_the_sentence_distinguishes_answered_unsent_and_unanswered_calls(
    answered: bool, definite: bool, sentence: str
) -> None:
    assert AwsError(CREATE, "X", "No.", ErrorClass.RETRY, definite=definite, answered=answered).sentence == sentence
