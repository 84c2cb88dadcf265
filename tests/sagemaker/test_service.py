"""The stand-in over HTTP through boto3: every operation, errors, accounts, faults, the record."""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import http.client
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from tests.e2e.operator_process import await_true
from tests.sagemaker.program import Options
from tests.sagemaker.samples import full, minimal
from tests.sagemaker.server import OPERATIONS
from tests.sagemaker.stand_in import ROOT, CommandError, StandIn, stand_in_process

if TYPE_CHECKING:
    from pathlib import Path


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def message_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Message"])


# -- operations ----------------------------------------------------------------------------------------


def test_every_operation_answers_boto3(sagemaker: StandIn) -> None:
    client = sagemaker.client()
    arn = client.create_training_job(**full("Job"))["TrainingJobArn"]
    assert arn == "arn:aws:sagemaker:us-east-1:123456789012:training-job/job"
    described = client.describe_training_job(TrainingJobName="Job")
    assert described["TrainingJobArn"] == arn
    assert described["CreationTime"].tzinfo is not None
    (summary,) = client.list_training_jobs(MaxResults=100)["TrainingJobSummaries"]
    assert summary["SecondaryStatus"] == "Starting"
    added = client.add_tags(ResourceArn=arn, Tags=[{"Key": "more", "Value": ""}])["Tags"]
    assert {tag["Key"] for tag in added} == {"team", "more"}
    client.delete_tags(ResourceArn=arn, TagKeys=["team", "unknown"])
    assert client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "more", "Value": ""}]
    sagemaker.advance(40)
    rules = [{"RuleConfigurationName": "Second", "RuleEvaluatorImage": "rules"}]
    updated = client.update_training_job(TrainingJobName="Job", ProfilerRuleConfigurations=rules)
    assert updated["TrainingJobArn"] == arn
    client.stop_training_job(TrainingJobName="Job")
    assert client.describe_training_job(TrainingJobName="Job")["TrainingJobStatus"] == "Stopping"
    sagemaker.advance(10)
    ended = client.describe_training_job(TrainingJobName="Job")
    assert (ended["TrainingJobStatus"], len(ended["ProfilerRuleEvaluationStatuses"])) == ("Stopped", 2)
    client.delete_training_job(TrainingJobName="Job")
    assert client.list_training_jobs()["TrainingJobSummaries"] == []
    assert sagemaker.counts().keys() == OPERATIONS


@pytest.mark.parametrize(
    ("operation", "request_members"),
    [
        ("describe_training_job", {"TrainingJobName": "none"}),
        ("stop_training_job", {"TrainingJobName": "none"}),
        ("update_training_job", {"TrainingJobName": "none", "ProfilerConfig": {"DisableProfiler": True}}),
        ("delete_training_job", {"TrainingJobName": "none"}),
        ("list_tags", {"ResourceArn": "arn:aws:sagemaker:us-east-1:123456789012:training-job/none"}),
        (
            "delete_tags",
            {"ResourceArn": "arn:aws:sagemaker:us-east-1:123456789012:training-job/none", "TagKeys": ["a"]},
        ),
        ("list_tags", {"ResourceArn": "arn:aws:sagemaker:eu-west-1:123456789012:training-job/there"}),
    ],
)
def test_a_missing_job_is_a_validation_exception(
    sagemaker: StandIn, operation: str, request_members: dict[str, Any]
) -> None:
    sagemaker.create_job("there")
    with pytest.raises(ClientError) as refused:
        getattr(sagemaker.client(), operation)(**request_members)
    assert (code_of(refused), message_of(refused)) == ("ValidationException", "Requested resource not found.")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            {"TrainingJobName": "a_b"},
            "1 validation error detected: Value 'a_b' at 'trainingJobName' failed to satisfy constraint: Member must ",
        ),
        (
            {"ResourceConfig": {"InstanceType": "ml.none", "InstanceCount": 1, "VolumeSizeInGB": 1}},
            "at 'resourceConfig.instanceType' failed to satisfy constraint: Member must satisfy enum value set: [",
        ),
        (
            {"Tags": [{"Key": str(number), "Value": ""} for number in range(51)]},
            "at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50",
        ),
        (
            {"HyperParameters": {"key": "x" * 2501}},
            "at 'hyperParameters.key.member' failed to satisfy constraint: Member must have length less than or",
        ),
        (
            {"TrainingJobName": "a_b"},
            "Member must satisfy regular expression pattern: ^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$",
        ),
        (
            {"TrainingJobName": "-", "RoleArn": "arn:aws:iam::1:role/x"},
            "2 validation errors detected: ",
        ),
        ({"RetryStrategy": {"MaximumRetryAttempts": 31}}, "Member must have value less than or equal to 30"),
        ({"ResourceConfig": None}, "Value null at 'resourceConfig' failed to satisfy constraint"),
    ],
)
def test_violations_of_bounds_patterns_and_enums_have_the_messages_of_sagemaker(
    sagemaker: StandIn, members: dict[str, Any], message: str
) -> None:
    request = {key: value for key, value in (minimal("job") | members).items() if value is not None}
    with pytest.raises(ClientError) as refused:
        sagemaker.client().create_training_job(**request)
    assert code_of(refused) == "ValidationException"
    assert message in message_of(refused)
    assert sagemaker.effects() == []


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"TrainingJobName": 7}', b'{"TrainingJobName": "job", "Unknown": 1}'])
def test_an_invalid_request_body_is_a_serialization_exception(sagemaker: StandIn, body: bytes) -> None:
    connection = http.client.HTTPConnection(sagemaker.url.removeprefix("http://"), timeout=10)
    scope = "AKIA123456789012/20260101/us-east-1/sagemaker/aws4_request"
    headers = {
        "X-Amz-Target": "SageMaker.DescribeTrainingJob",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
    }
    connection.request("POST", "/", body, headers)
    answer = connection.getresponse()
    assert (answer.status, b"SerializationException" in answer.read()) == (400, True)
    connection.close()


# -- accounts ------------------------------------------------------------------------------------------


def test_accounts_and_regions_are_isolated(sagemaker: StandIn) -> None:
    clients = [
        sagemaker.client(account=account, region=region)
        for account in ("111111111111", "222222222222")
        for region in ("us-east-1", "cn-north-1")
    ]
    arns = {client.create_training_job(**minimal("job"))["TrainingJobArn"] for client in clients}
    assert arns == {
        f"arn:{partition}:sagemaker:{region}:{account}:training-job/job"
        for account in ("111111111111", "222222222222")
        for partition, region in (("aws", "us-east-1"), ("aws-cn", "cn-north-1"))
    }
    assert [len(client.list_training_jobs()["TrainingJobSummaries"]) for client in clients] == [1, 1, 1, 1]
    assert len(sagemaker.jobs()) == 4
    assert sagemaker.job("job", account="222222222222", region="cn-north-1") is not None


def assumed(sagemaker: StandIn, role: str, **how: Any) -> Any:
    """A SageMaker client with the keys of an assumed role."""
    keys = sagemaker.client("sts").assume_role(RoleArn=role, RoleSessionName="test", **how)["Credentials"]
    return boto3.client(
        "sagemaker",
        region_name="us-east-1",
        endpoint_url=sagemaker.url,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )


ROLE = "arn:aws:iam::333333333333:role/path/team"


def test_an_assumed_role_acts_in_its_account_until_it_expires(sagemaker: StandIn) -> None:
    client = assumed(sagemaker, ROLE)
    arn = client.create_training_job(**minimal("job"))["TrainingJobArn"]
    assert arn.split(":")[4] == "333333333333"
    assert sagemaker.expire_sessions() == 1
    with pytest.raises(ClientError) as refused:
        client.describe_training_job(TrainingJobName="job")
    assert code_of(refused) == "ExpiredTokenException"


def test_a_role_may_be_denied_or_require_an_external_id(sagemaker: StandIn) -> None:
    sagemaker.identity(denied_roles=["*:role/denied"], external_ids={ROLE: "secret-id"})
    for role, how in (("arn:aws:iam::1:role/denied", {}), (ROLE, {}), (ROLE, {"ExternalId": "wrong"})):
        with pytest.raises(ClientError, match="is not authorized to perform: sts:AssumeRole") as refused:
            assumed(sagemaker, role, **how)
        assert code_of(refused) == "AccessDenied"
    assumed(sagemaker, ROLE, ExternalId="secret-id").list_training_jobs()
    assert [call["error"] for call in sagemaker.calls("sts:AssumeRole")] == ["AccessDenied"] * 3 + [""]


def test_get_caller_identity_returns_the_account_of_the_keys(sagemaker: StandIn) -> None:
    who = sagemaker.client("sts", account="444444444444").get_caller_identity()
    assert (who["Account"], who["Arn"].split(":")[4]) == ("444444444444", "444444444444")
    sagemaker.identity(accounts={"AKIA444444444444": "555555555555"})
    assert sagemaker.client("sts", account="444444444444").get_caller_identity()["Account"] == "555555555555"


def test_keys_may_be_rejected(sagemaker: StandIn) -> None:
    sagemaker.identity(refused_keys={"AKIA123456789012": "ExpiredTokenException"})
    with pytest.raises(ClientError) as refused:
        sagemaker.client().list_training_jobs()
    assert code_of(refused) == "ExpiredTokenException"


def test_web_identity_tokens_are_read_again_after_the_expiry_of_keys(
    sagemaker: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    for name, value in {
        "AWS_ENDPOINT_URL": sagemaker.url,
        "AWS_ROLE_ARN": ROLE,
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    sagemaker.identity(session_seconds=60, web_tokens=["first", "second"])
    client = boto3.Session().client("sagemaker")
    client.list_training_jobs()
    token.write_text("second")
    client.list_training_jobs()
    assert sagemaker.seen_web_tokens() == ["first", "second"]
    assert {call["account"] for call in sagemaker.calls("ListTrainingJobs")} == {"333333333333"}


def test_pod_identity_issues_keys(sagemaker: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    token.write_text("pod-token")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{sagemaker.url}/credentials?role={ROLE}")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))
    sagemaker.identity(web_tokens=["pod-token"])
    client = boto3.Session(region_name="us-east-1").client("sagemaker", endpoint_url=sagemaker.url)
    client.list_training_jobs()
    assert sagemaker.calls("ListTrainingJobs")[0]["account"] == "333333333333"


# -- faults --------------------------------------------------------------------------------------------


def test_throttling_ends_after_its_count_or_its_duration(sagemaker: StandIn) -> None:
    client = sagemaker.client()
    sagemaker.throttle("List*", count=2)
    for _ in range(2):
        with pytest.raises(ClientError) as refused:
            client.list_training_jobs()
        assert (code_of(refused), message_of(refused)) == ("ThrottlingException", "Rate exceeded")
    client.list_training_jobs()
    sagemaker.throttle(seconds=30)
    with pytest.raises(ClientError):
        client.list_training_jobs()
    sagemaker.advance(31)
    client.list_training_jobs()
    assert sagemaker.faults() == []


def test_a_fault_with_a_rate_hits_some_calls(sagemaker: StandIn) -> None:
    client = sagemaker.client()
    sagemaker.throttle("ListTrainingJobs", rate=0.5)
    for _ in range(40):
        try:
            client.list_training_jobs()
        except ClientError:
            continue
    assert 5 < sagemaker.errors()["ListTrainingJobs:ThrottlingException"] < 35


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("kind", "more", "recorded"),
    [
        ("drop", {}, "dropped"),
        ("garbage", {}, "garbage"),
        ("plain", {}, "plain"),
        ("error", {}, "InternalFailure"),
        ("error", {"code": "ServiceUnavailable", "status": 503}, "ServiceUnavailable"),
        ("throttle", {}, "ThrottlingException"),
    ],
)
def test_a_call_may_fail_before_or_after_its_effect(
    sagemaker: StandIn, after: bool, kind: str, more: dict[str, Any], recorded: str
) -> None:
    sagemaker.fault(kind, "CreateTrainingJob", after=after, count=1, **more)
    client = sagemaker.client()
    try:
        client.create_training_job(**minimal("job"))
    except (ClientError, ConnectionClosedError) as error:
        broken = error
    else:
        broken = None
    assert (broken is None) == (
        kind == "garbage"
    )  # botocore itself takes an invalid body with status 200 for an empty answer
    (call,) = sagemaker.calls("CreateTrainingJob")
    assert (call["effect"], call["error"]) == (after, recorded)
    assert (sagemaker.job("job") is not None) == after
    assert len(sagemaker.effects(job="job")) == int(after)
    client.list_training_jobs()


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        ({"code": "AccessDeniedException"}, "AccessDeniedException", 400),
        ({"code": "ExpiredTokenException"}, "ExpiredTokenException", 400),
        ({"code": "ServiceUnavailable", "status": 503}, "ServiceUnavailable", 503),
    ],
)
def test_a_fault_answers_any_error_code(sagemaker: StandIn, fault: dict[str, Any], code: str, status: int) -> None:
    sagemaker.fail("StopTrainingJob", **fault)
    sagemaker.create_job("job")
    with pytest.raises(ClientError) as refused:
        sagemaker.client().stop_training_job(TrainingJobName="job")
    assert code_of(refused) == code
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_a_fault_may_answer_plain_text(sagemaker: StandIn) -> None:
    sagemaker.fault("plain", "ListTrainingJobs", message="Internal Server Error")
    with pytest.raises(ClientError) as refused:
        sagemaker.client().list_training_jobs()
    assert code_of(refused) == "500"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500


def test_access_denied_names_the_action(sagemaker: StandIn) -> None:
    sagemaker.deny("ListTrainingJobs")
    with pytest.raises(ClientError, match="not authorized to perform: sagemaker:ListTrainingJobs"):
        sagemaker.client().list_training_jobs()


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("role", "Could not assume role arn:aws:iam::123456789012:role/training."),
        ("data", 'No S3 objects found under S3 URL "s3://bucket/train"'),
        ("image", "Cannot find the requested image image."),
        ("data-region", "The bucket is in this region: eu-west-1."),
        ("image-suffix", "Invalid DNS suffix in image image."),
        ("image-region", "The training image image is in a different region."),
        ("image-name", "Invalid image image."),
        ("isolation", "Network isolation must be enabled for this image: image."),
        ("region-type", "is not available in this region."),
    ],
)
def test_creates_may_be_rejected_with_the_messages_of_sagemaker(sagemaker: StandIn, reason: str, message: str) -> None:
    sagemaker.refuse(reason, count=1)
    client = sagemaker.client()
    with pytest.raises(ClientError) as refused:
        client.create_training_job(**full("job"))
    assert message in message_of(refused)
    assert not message_of(refused)[0].isdigit()
    client.create_training_job(**full("job"))


def test_a_fault_may_skip_calls_and_select_a_job(sagemaker: StandIn) -> None:
    for name in ("one", "two"):
        sagemaker.create_job(name)
    sagemaker.fault("throttle", "Describe*", job="two", skip=1, count=1)
    client = sagemaker.client()
    outcomes = []
    for name in ("one", "two", "one", "two", "two"):
        try:
            client.describe_training_job(TrainingJobName=name)
            outcomes.append("")
        except ClientError:
            outcomes.append(name)
    assert outcomes == ["", "", "", "two", ""]


def test_a_duplicate_create_answers_resource_in_use(sagemaker: StandIn) -> None:
    sagemaker.fault("duplicate", "CreateTrainingJob", count=1)
    with pytest.raises(ClientError) as refused:
        sagemaker.client().create_training_job(**minimal("job"))
    assert code_of(refused) == "ResourceInUse"
    assert [call["effect"] for call in sagemaker.calls(job="job")] == [True]


def test_reads_may_be_stale_and_may_omit_young_jobs(sagemaker: StandIn) -> None:
    client = sagemaker.client()
    sagemaker.settings(hidden_seconds=20)
    sagemaker.plan(seconds=100)
    sagemaker.create_job("job")
    with pytest.raises(ClientError, match="Requested resource not found"):
        client.describe_training_job(TrainingJobName="job")
    sagemaker.advance(101)
    sagemaker.fault("stale", "DescribeTrainingJob", amount=50.0, count=1)
    assert client.describe_training_job(TrainingJobName="job")["SecondaryStatus"] == "Training"
    assert client.describe_training_job(TrainingJobName="job")["SecondaryStatus"] == "Completed"


def test_an_answer_may_be_patched(sagemaker: StandIn) -> None:
    sagemaker.create_job("job")
    patch = {"TrainingJobStatus": "Napping", "SecondaryStatus": None, "ResourceConfig": {"InstanceType": "ml.z"}}
    sagemaker.fault("answer", "DescribeTrainingJob", patch=patch, count=1)
    answer = sagemaker.client().describe_training_job(TrainingJobName="job")
    assert answer["TrainingJobStatus"] == "Napping"
    assert "SecondaryStatus" not in answer
    assert answer["ResourceConfig"] == minimal("job")["ResourceConfig"] | {"InstanceType": "ml.z"}


def test_an_answer_may_be_late(sagemaker: StandIn) -> None:
    sagemaker.fault("delay", "ListTrainingJobs", amount=0.3)
    client = sagemaker.client()
    before = time.monotonic()
    client.list_training_jobs()
    assert time.monotonic() - before >= 0.3


def test_a_call_takes_effect_after_the_time_out_of_its_client(sagemaker: StandIn) -> None:
    sagemaker.fault("delay", "CreateTrainingJob", amount=1.0, after=True)
    config = Config(read_timeout=0.2, retries={"total_max_attempts": 1})
    client = boto3.client("sagemaker", region_name="us-east-1", endpoint_url=sagemaker.url, config=config)
    with pytest.raises(ReadTimeoutError):
        client.create_training_job(**minimal("job"))
    await_true("the job is created", lambda: sagemaker.job("job"))


@pytest.mark.parametrize(("after", "drop", "effect"), [(False, True, False), (False, False, True), (True, True, True)])
def test_a_call_may_be_held_while_its_caller_is_killed(
    sagemaker: StandIn, after: bool, drop: bool, effect: bool
) -> None:
    hold = sagemaker.hold("CreateTrainingJob", after=after)
    assert not sagemaker.wait_for_hit(hold, 0)
    with concurrent.futures.ThreadPoolExecutor() as threads:
        create = threads.submit(sagemaker.client().create_training_job, **minimal("job"))
        assert sagemaker.wait_for_hit(hold)
        assert (sagemaker.job("job") is not None) == after
        sagemaker.release(hold, drop=drop)
        assert isinstance(create.exception(10), ConnectionClosedError) == drop
    assert (sagemaker.job("job") is not None) == effect


def test_a_quota_permits_its_rate(sagemaker: StandIn) -> None:
    sagemaker.quota("ListTrainingJobs", 2)
    client, other = sagemaker.client(), sagemaker.client(account="111111111111")
    for _ in range(2):
        client.list_training_jobs()
    with pytest.raises(ClientError, match="Rate exceeded"):
        client.list_training_jobs()
    other.list_training_jobs()
    sagemaker.advance(0.5)
    client.list_training_jobs()
    sagemaker.quota("ListTrainingJobs", None)
    client.list_training_jobs()


# -- the console and the record ------------------------------------------------------------------------


def test_the_console_stops_fails_completes_and_deletes(sagemaker: StandIn) -> None:
    client = sagemaker.client()
    for name in ("stopped", "failed", "completed", "unknown"):
        client.create_training_job(**minimal(name))
    sagemaker.stop_job("stopped")
    sagemaker.fail_job("failed", "InternalServerError: hardware")
    sagemaker.complete_job("completed")
    sagemaker.enter("unknown", "InProgress/Resting")
    sagemaker.advance(1000)
    statuses = {job["TrainingJobName"]: (job["TrainingJobStatus"], job["SecondaryStatus"]) for job in sagemaker.jobs()}
    assert statuses == {
        "stopped": ("Stopped", "Stopped"),
        "failed": ("Failed", "Failed"),
        "completed": ("Completed", "Completed"),
        "unknown": ("InProgress", "Resting"),
    }
    assert client.describe_training_job(TrainingJobName="failed")["FailureReason"] == "InternalServerError: hardware"
    sagemaker.delete_job("failed")
    assert sagemaker.job("failed") is None
    assert client.describe_training_job(TrainingJobName="unknown")["SecondaryStatus"] == "Resting"


def test_the_console_changes_tags(sagemaker: StandIn) -> None:
    client = sagemaker.client()
    arn = sagemaker.create_job("job", Tags=[{"Key": "a", "Value": "1"}])
    sagemaker.tag("job", {"b": "2", "c": "3"})
    sagemaker.untag("job", ["b"])
    assert {tag["Key"] for tag in client.list_tags(ResourceArn=arn)["Tags"]} == {"a", "c"}
    sagemaker.untag("job")
    assert client.list_tags(ResourceArn=arn)["Tags"] == []


def test_plans_are_selected_by_name_and_the_latest_wins(sagemaker: StandIn) -> None:
    sagemaker.plan("bad-*", outcome="Failed", seconds=1)
    sagemaker.plan("bad-but-well", outcome="Completed", seconds=1)
    sagemaker.plan("quick", seconds=1)
    for name in ("bad-1", "bad-but-well", "other"):
        sagemaker.create_job(name)
    sagemaker.create_job("quick", HyperParameters={"standin/outcome": "Failed", "standin/seconds": "1000"})
    sagemaker.advance(30)
    statuses = {job["TrainingJobName"]: job["TrainingJobStatus"] for job in sagemaker.jobs()}
    assert statuses == {"bad-1": "Failed", "bad-but-well": "Completed", "other": "InProgress", "quick": "Failed"}


def test_fifty_thousand_foreign_jobs_are_created_and_listed_quickly(sagemaker: StandIn) -> None:
    sagemaker.create_foreign_jobs(50_000, newest=3600)
    sagemaker.create_job("ours")
    client = sagemaker.client()
    before = time.process_time()  # CPU time of this process, including the stand-in; other processes do not count
    for _ in range(20):
        page = client.list_training_jobs(MaxResults=100)
        assert page["TrainingJobSummaries"][0]["TrainingJobName"] == "ours"
    hour = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    assert len(client.list_training_jobs(MaxResults=100, CreationTimeAfter=hour)["TrainingJobSummaries"]) == 1
    assert len(client.list_training_jobs(MaxResults=100, LastModifiedTimeAfter=hour)["TrainingJobSummaries"]) == 1
    assert time.process_time() - before < 20


def test_every_call_is_recorded_with_its_effect(sagemaker: StandIn) -> None:
    client = sagemaker.client()
    client.create_training_job(**minimal("Job"))
    with pytest.raises(ClientError):
        client.create_training_job(**minimal("Job"))
    client.describe_training_job(TrainingJobName="Job")
    client.list_tags(ResourceArn="arn:aws:sagemaker:us-east-1:123456789012:training-job/job")
    recorded = [(call["operation"], call["effect"], call["error"]) for call in sagemaker.calls(job="Job")]
    assert recorded == [
        ("CreateTrainingJob", True, ""),
        ("CreateTrainingJob", False, "ResourceInUse"),
        ("DescribeTrainingJob", False, ""),
        ("ListTags", False, ""),
    ]
    assert sagemaker.calls(since=3)[0]["operation"] == "ListTags"
    assert sagemaker.calls("CreateTrainingJob")[0]["request"] == minimal("Job")
    job = sagemaker.job("Job")
    assert job is not None
    assert job["request"] == minimal("Job")
    assert (sagemaker.total(), sagemaker.counts()["CreateTrainingJob"]) == (4, 2)


def test_an_invalid_command_returns_an_error(sagemaker: StandIn) -> None:
    with pytest.raises(CommandError, match="unknown kind of fault"):
        sagemaker.fault("earthquake")
    with pytest.raises(CommandError, match="KeyError: 'sceonds'"):
        sagemaker.plan(sceonds=1)
    with pytest.raises(CommandError, match="no job none"):
        sagemaker.stop_job("none")
    with pytest.raises(CommandError, match="no command"):
        sagemaker.command("_find")


# -- neighbours and the program ------------------------------------------------------------------------


def test_moto_answers_other_services_on_the_same_port(sagemaker: StandIn) -> None:
    logs = sagemaker.client("logs")
    logs.create_log_group(logGroupName="/aws/sagemaker/TrainingJobs")
    assert [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]] == [
        "/aws/sagemaker/TrainingJobs"
    ]


def test_the_program_serves_until_sigterm() -> None:
    with stand_in_process("--seconds", "1-1", "--scale", "0.1", "--fast", region="eu-west-1") as stand_in:
        arn = stand_in.client().create_training_job(**minimal("job"))["TrainingJobArn"]
        assert ":eu-west-1:" in arn
        time.sleep(0.2)
        ended = stand_in.client().describe_training_job(TrainingJobName="job")
        assert ended["TrainingJobStatus"] == "Completed"


def test_the_program_ends_with_its_parent() -> None:
    command = [sys.executable, "-m", "tests.sagemaker", "--with-parent"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline().startswith(b"http://127.0.0.1:")
        process.stdin.close()
        assert process.wait(10) == 0


@pytest.mark.parametrize("sagemaker", [Options(seconds=(0.0, 0.0))], indirect=True)
def test_the_fixture_takes_options(sagemaker: StandIn) -> None:
    sagemaker.create_job("job")
    assert sagemaker.jobs()[0]["TrainingJobStatus"] == "Completed"
