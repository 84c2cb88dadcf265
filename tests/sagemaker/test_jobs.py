"""The life of jobs in the pure model, with a manual clock."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.sagemaker import quotas
from tests.sagemaker.samples import full, minimal
from tests.sagemaker.service import SageMaker, ServiceError, Settings

START = 1_800_000_000.0
ACCOUNT, REGION = "111111111111", "us-west-2"


class TimedService:
    """The service with a clock that only the test advances."""

    def __init__(self, **settings: Any) -> None:
        self.time = START
        options = {"seconds_from": 100.0, "seconds_to": 100.0} | settings
        self.service = SageMaker(lambda: self.time, Settings(**options), random.Random(0))

    def __call__(self, operation: str, **request: Any) -> Any:
        return self.service.handle(operation, ACCOUNT, REGION, request)

    def create(self, name: str, hyper: dict[str, str] | None = None, **members: Any) -> str:
        request = minimal(name) | ({"HyperParameters": hyper} if hyper else {}) | members
        return str(self("CreateTrainingJob", **request)["TrainingJobArn"])

    def describe(self, name: str, at: float) -> Any:
        """Describe at this number of seconds after the start."""
        self.time = START + at
        return self("DescribeTrainingJob", TrainingJobName=name)

    def path(self, name: str) -> list[str]:
        self.time = START + 10_000_000
        return [t["Status"] for t in self.describe(name, 10_000_000)["SecondaryStatusTransitions"]]


DEFAULT = ["Starting", "Pending", "Downloading", "Training"]


@pytest.mark.parametrize(
    ("plan", "path", "status"),
    [
        ({}, [*DEFAULT, "Uploading", "Completed"], "Completed"),
        ({"standin/outcome": "Failed"}, [*DEFAULT, "Failed"], "Failed"),
        ({"standin/outcome": "Stopped"}, [*DEFAULT, "Stopping", "Uploading", "Stopped"], "Stopped"),
        (
            {"standin/outcome": "MaxRuntimeExceeded"},
            [*DEFAULT, "Stopping", "Uploading", "MaxRuntimeExceeded"],
            "Stopped",
        ),
        (
            {"standin/outcome": "MaxWaitTimeExceeded"},
            [*DEFAULT, "Stopping", "Uploading", "MaxWaitTimeExceeded"],
            "Stopped",
        ),
        ({"standin/outcome": "Running"}, DEFAULT, "InProgress"),
        (
            {"standin/interruptions": "1"},
            [*DEFAULT, "Interrupted", "Starting", "Downloading", "Training", "Uploading", "Completed"],
            "Completed",
        ),
        (
            {"standin/restarts": "1"},
            [*DEFAULT, "Restarting", "Downloading", "Training", "Uploading", "Completed"],
            "Completed",
        ),
        (
            {"standin/phases": "Starting:1,Updating:1,InProgress/BrandNew:inf"},
            ["Starting", "Updating", "BrandNew"],
            "InProgress",
        ),
        ({"standin/phases": "Starting:1,Resting/Resting:inf"}, ["Starting", "Resting"], "Resting"),
    ],
)
def test_a_job_passes_through_the_statuses_of_its_input(plan: dict[str, str], path: list[str], status: str) -> None:
    service = TimedService()
    service.create("job", plan, StoppingCondition={"MaxRuntimeInSeconds": 10**9})
    assert service.path("job") == path
    assert service.describe("job", 10_000_000)["TrainingJobStatus"] == status


def test_the_environment_selects_a_plan_like_hyperparameters() -> None:
    service = TimedService()
    service.create("job", Environment={"STANDIN_OUTCOME": "Failed", "STANDIN_FAILURE_REASON": "ClientError: no"})
    assert service.describe("job", 100)["FailureReason"] == "ClientError: no"


def test_transitions_are_complete_and_without_gaps() -> None:
    service = TimedService()
    service.create("job")
    running = service.describe("job", 30)["SecondaryStatusTransitions"]
    assert [("EndTime" in transition) for transition in running] == [True, True, False]
    ended = service.describe("job", 1000)["SecondaryStatusTransitions"]
    assert [t["EndTime"] for t in ended[:-1]] == [t["StartTime"] for t in ended[1:]]
    assert ended[0]["StartTime"] == START
    assert ended[-1]["StartTime"] == START + 100
    assert all(t["StatusMessage"] for t in ended)


def test_a_message_changes_within_its_status_and_moves_the_modification_time() -> None:
    service = TimedService()
    service.create("job")
    early, late = service.describe("job", 3), service.describe("job", 7)
    assert early["SecondaryStatus"] == late["SecondaryStatus"] == "Pending"
    messages = [answer["SecondaryStatusTransitions"][-1]["StatusMessage"] for answer in (early, late)]
    assert messages == ["Training job waiting for capacity", "Preparing the instances for training"]
    assert [answer["LastModifiedTime"] - START for answer in (early, late)] == [2, 6.5]
    listed = service("ListTrainingJobs", LastModifiedTimeAfter=START + 6)["TrainingJobSummaries"]
    assert [summary["LastModifiedTime"] - START for summary in listed] == [6.5]


def test_the_image_is_downloaded_before_the_training() -> None:
    service = TimedService()
    service.create("job")
    transitions = [(t["Status"], t["StatusMessage"]) for t in service.describe("job", 60)["SecondaryStatusTransitions"]]
    assert transitions[-2:] == [
        ("Downloading", "Downloading the training image"),
        ("Training", "Training image download completed. Training in progress."),
    ]
    early = service.describe("job", 21)["SecondaryStatusTransitions"][-1]
    assert (early["Status"], early["StatusMessage"]) == ("Downloading", "Downloading input data")


RULE = {"RuleConfigurationName": "Watch", "RuleEvaluatorImage": "rules"}
SPOT = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 1000, "MaxWaitTimeInSeconds": 2000},
}


@pytest.mark.parametrize(("members", "seconds"), [({}, 0.3), (SPOT, 10.0), ({"DebugRuleConfigurations": [RULE]}, 10.0)])
def test_the_service_writes_a_job_once_more_after_its_end(members: dict[str, Any], seconds: float) -> None:
    service = TimedService()
    service.create("job", **members)
    times = [service.describe("job", at)["LastModifiedTime"] - START for at in (100, 100 + seconds, 1000)]
    assert times == pytest.approx([100, 100 + seconds, 100 + seconds])
    listed = service("ListTrainingJobs", LastModifiedTimeAfter=START + 100.1)["TrainingJobSummaries"]
    assert [summary["TrainingJobName"] for summary in listed] == ["job"]


def test_a_change_cancelled_by_a_stop_does_not_hide_later_changes_from_lists() -> None:
    service = TimedService(stop_seconds=0.0)
    service.create("stopped")
    service.time = START + 1
    service("StopTrainingJob", TrainingJobName="stopped")
    service.time = START + 10
    service.create("other")
    service.time = START + 21  # the first change would be Downloading
    listed = service("ListTrainingJobs", LastModifiedTimeAfter=START + 5)["TrainingJobSummaries"]
    assert [summary["TrainingJobName"] for summary in listed] == ["other"]


def test_billable_seconds_may_appear_late() -> None:
    service = TimedService()
    service.create("job", {"standin/billable-delay": "20"})
    assert "BillableTimeInSeconds" not in service.describe("job", 119)
    assert service.describe("job", 120)["BillableTimeInSeconds"] == 80


def test_artifacts_appear_with_the_end() -> None:
    service = TimedService()
    service.create("job")
    service.create("failing", {"standin/outcome": "Failed"})
    assert "ModelArtifacts" not in service.describe("job", 99)
    assert service.describe("job", 100)["ModelArtifacts"]["S3ModelArtifacts"].endswith("/job/output/model.tar.gz")
    assert "ModelArtifacts" not in service.describe("failing", 100)


def test_the_message_of_a_failed_job_does_not_repeat_the_reason() -> None:
    service = TimedService()
    service.create("job", {"standin/outcome": "Failed", "standin/failure-reason": "ClientError: no"})
    failed = service.describe("job", 100)
    assert failed["SecondaryStatusTransitions"][-1]["StatusMessage"] == "Training job failed"
    assert failed["FailureReason"] == "ClientError: no"


def test_a_job_with_an_unassumable_role_fails_before_it_trains() -> None:
    service = TimedService(lost_roles=("*/training",))
    service.create("job", RoleArn="arn:aws:iam::111111111111:role/training")
    failed = service.describe("job", 10)
    assert failed["TrainingJobStatus"] == "Failed"
    assert "Failed to assume role arn:aws:iam::111111111111:role/training" in failed["FailureReason"]
    assert not {"TrainingStartTime", "TrainingEndTime", "BillableTimeInSeconds"} & failed.keys()


def test_reads_of_a_young_job_may_be_denied() -> None:
    service = TimedService(denied_seconds=5.0)
    arn = service.create("job")
    for operation, request in (("DescribeTrainingJob", {"TrainingJobName": "job"}), ("ListTags", {"ResourceArn": arn})):
        with pytest.raises(ServiceError, match=f"not authorized to perform: sagemaker:{operation} on") as refused:
            service(operation, **request)
        assert refused.value.code == "AccessDeniedException"
    service.time += 5
    assert service("ListTags", ResourceArn=arn) == {"Tags": []}
    assert service.describe("job", 5)["TrainingJobStatus"] == "InProgress"


def test_summaries_may_lack_the_secondary_status() -> None:
    service = TimedService(bare_summaries=True)
    service.create("job")
    [summary] = service("ListTrainingJobs")["TrainingJobSummaries"]
    assert "SecondaryStatus" not in summary
    assert summary["TrainingJobStatus"] == "InProgress"


def test_another_spelling_of_an_existing_name_is_in_use_and_not_found() -> None:
    service = TimedService()
    service.create("job")
    with pytest.raises(ServiceError, match="must be unique") as refused:
        service.create("Job")
    assert refused.value.code == "ResourceInUse"
    for operation in ("DescribeTrainingJob", "StopTrainingJob"):
        with pytest.raises(ServiceError, match="not found"):
            service(operation, TrainingJobName="Job")


def test_times_appear_with_their_phase() -> None:
    service = TimedService()
    service.create("job")
    timed = {"TrainingStartTime", "TrainingTimeInSeconds", "TrainingEndTime", "BillableTimeInSeconds"}
    assert not timed & service.describe("job", 5).keys()
    assert timed & service.describe("job", 50).keys() == {"TrainingStartTime", "TrainingTimeInSeconds"}
    assert service.describe("job", 100)["LastModifiedTime"] == START + 100
    ended = service.describe("job", 200)
    assert (ended["TrainingTimeInSeconds"], ended["BillableTimeInSeconds"]) == (80, 80)
    assert ended["TrainingEndTime"] == START + 100


def test_a_spot_job_bills_less_than_it_trains() -> None:
    service = TimedService()
    service.create(
        "spot",
        {"standin/interruptions": "1", "standin/billable": "0.25"},
        EnableManagedSpotTraining=True,
        StoppingCondition={"MaxRuntimeInSeconds": 1000, "MaxWaitTimeInSeconds": 2000},
    )
    ended = service.describe("spot", 200)
    assert ended["BillableTimeInSeconds"] == round(ended["TrainingTimeInSeconds"] * 0.25)


@pytest.mark.parametrize(
    ("condition", "spot", "end"),
    [
        ({"MaxRuntimeInSeconds": 30}, False, "MaxRuntimeExceeded"),
        ({"MaxRuntimeInSeconds": 40, "MaxWaitTimeInSeconds": 50}, True, "MaxWaitTimeExceeded"),
    ],
)
def test_a_job_ends_at_its_own_stopping_condition(condition: dict[str, int], spot: bool, end: str) -> None:
    service = TimedService()
    service.create("job", StoppingCondition=condition, EnableManagedSpotTraining=spot)
    ended = service.describe("job", 60)
    assert (ended["TrainingJobStatus"], ended["SecondaryStatus"]) == ("Stopped", end)
    assert [t["Status"] for t in ended["SecondaryStatusTransitions"][-3:-1]] == ["Stopping", "Uploading"]


def test_describe_returns_the_request_with_defaults() -> None:
    service = TimedService()
    request = full("Full")
    service("CreateTrainingJob", **request)
    answer = service.describe("Full", 0)
    left_out = {"Tags", "SessionChainingConfig", "ResourceConfig"}
    channels = request.pop("InputDataConfig")
    assert {key: answer[key] for key in request.keys() - left_out} == {
        key: value for key, value in request.items() if key not in left_out
    }
    assert answer["InputDataConfig"][0] == channels[0]
    assert answer["InputDataConfig"][1] == channels[1] | {"CompressionType": "None", "RecordWrapperType": "None"}
    assert answer["ResourceConfig"] == request["ResourceConfig"] | {"InstanceCount": 0}
    assert answer["TrainingJobArn"] == f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/full"

    service.create("least")
    answer = service.describe("least", 0)
    assert answer["OutputDataConfig"]["KmsKeyId"] == ""
    assert "ModelArtifacts" not in answer
    assert answer["OutputDataConfig"]["CompressionType"] == "GZIP"
    assert answer["AlgorithmSpecification"]["EnableSageMakerMetricsTimeSeries"] is False
    assert answer["ProfilingStatus"] == "Disabled"
    for name in ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining"):
        assert answer[name] is False


def test_stop_passes_through_stopping_and_further_stops_are_rejected() -> None:
    service = TimedService(stop_seconds=10.0)
    service.create("job")
    service.time = START + 50
    service("StopTrainingJob", TrainingJobName="job")
    assert service.describe("job", 55)["TrainingJobStatus"] == "Stopping"
    with pytest.raises(ServiceError, match="rejected because the training job is in status Stopping"):
        service("StopTrainingJob", TrainingJobName="job")
    ended = service.describe("job", 60)
    assert (ended["TrainingJobStatus"], ended["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert [t["Status"] for t in ended["SecondaryStatusTransitions"]] == [*DEFAULT, "Stopping", "Uploading", "Stopped"]
    with pytest.raises(ServiceError, match="rejected because the training job is in status Stopped"):
        service("StopTrainingJob", TrainingJobName="job")


def test_a_job_may_stay_in_stopping() -> None:
    service = TimedService()
    service.create("job", {"standin/stop-seconds": "inf"})
    service("StopTrainingJob", TrainingJobName="job")
    assert service.describe("job", 1_000_000)["TrainingJobStatus"] == "Stopping"


def test_a_name_is_free_only_after_delete() -> None:
    service = TimedService()
    arn = service.create("job")
    with pytest.raises(ServiceError, match=f"already exists .{arn}") as refused:
        service.create("JOB")
    assert refused.value.code == "ResourceInUse"
    with pytest.raises(ServiceError, match="cannot be deleted in status InProgress"):
        service("DeleteTrainingJob", TrainingJobName="job")
    service.time += 200
    service("DeleteTrainingJob", TrainingJobName="job")
    with pytest.raises(ServiceError, match=r"^ValidationException: Requested resource not found\.$"):
        service("DescribeTrainingJob", TrainingJobName="job")
    assert service.create("job") == arn


def test_a_deletion_may_take_time() -> None:
    service = TimedService()
    service.create("job", {"standin/delete-seconds": "20"})
    service.time += 200
    service("DeleteTrainingJob", TrainingJobName="job")
    assert service("DescribeTrainingJob", TrainingJobName="job")["TrainingJobStatus"] == "Deleting"
    listed = service("ListTrainingJobs", LastModifiedTimeAfter=START + 199)["TrainingJobSummaries"]
    assert [summary["TrainingJobStatus"] for summary in listed] == ["Deleting"]
    service.time += 21
    assert service("ListTrainingJobs")["TrainingJobSummaries"] == []
    service.create("job")


@pytest.mark.parametrize(
    ("member", "answer"),
    [
        ("DebugRuleConfigurations", "DebugRuleEvaluationStatuses"),
        ("ProfilerRuleConfigurations", "ProfilerRuleEvaluationStatuses"),
    ],
)
def test_rules_outlive_their_job(member: str, answer: str) -> None:
    service = TimedService()
    plan = {"standin/rule-seconds": "30", "standin/rule-outcome": "IssuesFound"}
    service.create("job", plan, **{member: [RULE]})
    seen = [service.describe("job", at)[answer][0]["RuleEvaluationStatus"] for at in (50, 110, 130)]
    assert seen == ["InProgress", "InProgress", "IssuesFound"]


def test_rules_of_a_stopped_job_stop() -> None:
    service = TimedService(stop_seconds=0.0)
    service.create("job", {"standin/rule-seconds": "30"}, DebugRuleConfigurations=[RULE])
    service("StopTrainingJob", TrainingJobName="job")
    seen = [service.describe("job", at)["DebugRuleEvaluationStatuses"][0]["RuleEvaluationStatus"] for at in (5, 31)]
    assert seen == ["Stopping", "Stopped"]


WARM = {"ResourceConfig": minimal("x")["ResourceConfig"] | {"KeepAlivePeriodInSeconds": 60}}


def test_a_warm_pool_is_kept_and_then_terminated() -> None:
    service = TimedService()
    service.create("job", {"standin/pool-delay": "5"}, **WARM)
    pools = [service.describe("job", at).get("WarmPoolStatus", {}).get("Status") for at in (50, 101, 110, 160)]
    assert pools == ["InUse", None, "Available", "Terminated"]


def test_a_matching_job_takes_over_a_warm_pool() -> None:
    service = TimedService()
    service.create("first", **WARM)
    service.time = START + 120
    service.create("other-role", **WARM, RoleArn="arn:aws:iam::111111111111:role/other")
    assert service.describe("first", 121)["WarmPoolStatus"]["Status"] == "Available"
    service.create("second", **WARM)
    pool = service.describe("first", 122)["WarmPoolStatus"]
    assert pool == {"Status": "Reused", "ReusedByJob": "second", "ResourceRetainedBillableTimeInSeconds": 21}


def test_a_job_with_an_available_warm_pool_is_not_deleted() -> None:
    service = TimedService()
    service.create("job", **WARM)
    service.time = START + 120
    with pytest.raises(ServiceError, match="warm pool is Available"):
        service("DeleteTrainingJob", TrainingJobName="job")


KIND = "ml.m5.large"
RESOURCES: dict[str, Any] = {"InstanceType": KIND, "InstanceCount": 2, "VolumeSizeInGB": 30}
ON_SPOT: dict[str, Any] = {
    "ResourceConfig": RESOURCES,
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60},
}
GROUP = {"InstanceType": KIND, "InstanceCount": 1}
GROUPS: dict[str, Any] = {
    "InstanceGroups": [{**GROUP, "InstanceGroupName": name} for name in "ab"],
    "VolumeSizeInGB": 30,
}


@pytest.mark.parametrize(
    ("name", "members", "unit"),
    [
        (quotas.training(KIND), {"ResourceConfig": RESOURCES}, "Instances"),
        (quotas.training(KIND), {"ResourceConfig": GROUPS}, "Instances"),
        (quotas.spot(KIND), ON_SPOT, "Instances"),
        (quotas.warm_pool(KIND), {"ResourceConfig": {**RESOURCES, "KeepAlivePeriodInSeconds": 60}}, "Instances"),
        (quotas.INSTANCES, {"ResourceConfig": RESOURCES}, "Instances"),
        (quotas.INSTANCES, ON_SPOT, "Instances"),
        (quotas.VOLUMES, {"ResourceConfig": RESOURCES}, "GB"),
    ],
)
def test_each_quota_counts_running_jobs_and_the_error_names_its_amounts(
    name: str, members: dict[str, Any], unit: str
) -> None:
    one = 30 if unit == "GB" else 1
    service = TimedService(quotas={name: 3 * one})
    service.create("one", **members)
    limit, used = f"{3 * one} {unit}", f"{2 * one} {unit}"
    with pytest.raises(ServiceError) as refused:
        service.create("two", **members)
    assert refused.value.code == "ResourceLimitExceeded"
    assert refused.value.message.startswith(
        f"The account-level service limit '{name}' is {limit}, with current utilization of {used} and a request delta "
        f"of {used}. "
    )
    service.time += 100
    if "warm pool" not in name:
        service.create("two", **members)


def test_a_quota_ignores_jobs_of_other_uses_and_regions() -> None:
    service = TimedService(quotas={quotas.training(KIND): 2, quotas.spot(KIND): 2, quotas.training("ml.m5.xlarge"): 0})
    service.create("one", ResourceConfig=RESOURCES)
    service.create("two", **ON_SPOT)
    service.service.handle("CreateTrainingJob", ACCOUNT, "eu-west-1", minimal("one"))
    with pytest.raises(ServiceError, match="is 0 Instances, with current utilization of 0 Instances"):
        service.create("three", ResourceConfig={**RESOURCES, "InstanceType": "ml.m5.xlarge"})


def test_a_warm_pool_counts_until_it_is_terminated() -> None:
    service = TimedService(quotas={quotas.training(KIND): 2})
    service.create("one", ResourceConfig={**RESOURCES, "KeepAlivePeriodInSeconds": 600})
    service.time += 150
    with pytest.raises(ServiceError, match="with current utilization of 2 Instances"):
        service.create("two", ResourceConfig=RESOURCES)
    service.time += 600
    service.create("two", ResourceConfig=RESOURCES)


@pytest.mark.parametrize("resources", [RESOURCES, GROUPS])
def test_an_instance_type_unavailable_in_the_region_is_rejected(resources: dict[str, Any]) -> None:
    service = TimedService(unavailable_types=(KIND,), quotas={quotas.training(KIND): 0})
    words = f"The requested resource training-job/{KIND} is not available in this region"
    with pytest.raises(ServiceError, match=words) as refused:
        service.create("one", ResourceConfig=resources)
    assert refused.value.code == "ResourceLimitExceeded"
    service.create("two", ResourceConfig={**RESOURCES, "InstanceType": "ml.m5.xlarge"})


KEEP = {"ResourceConfig": {"KeepAlivePeriodInSeconds": 600}}
PROFILER = {"ProfilerConfig": {"ProfilingIntervalInMilliseconds": 100}}
RULES = {"ProfilerRuleConfigurations": [RULE]}
REMOTE = {"RemoteDebugConfig": {"EnableRemoteDebug": True}}


@pytest.mark.parametrize(
    ("members", "at", "accepted"),
    [
        (KEEP, 50, False),
        (KEEP, 110, True),
        (KEEP, 200, False),  # the pool is terminated
        (PROFILER, 1, False),
        (PROFILER, 15, True),
        (PROFILER, 110, False),
        (RULES, 1, False),
        (RULES, 50, True),
        (RULES | {"ProfilerConfig": {"DisableProfiler": True}}, 50, False),
        (REMOTE, 1, False),
        (REMOTE, 15, False),  # Pending
        (REMOTE, 25, True),
        (REMOTE, 50, True),
        (REMOTE, 90, False),  # Uploading
        ({}, 50, False),
    ],
)
def test_updates_are_accepted_only_in_their_phase(members: dict[str, Any], at: float, accepted: bool) -> None:
    service = TimedService()
    service.create("job", **WARM)
    service.time = START + at
    if not accepted:
        with pytest.raises(ServiceError, match=r"^ValidationException: "):
            service("UpdateTrainingJob", TrainingJobName="job", **members)
        return
    service("UpdateTrainingJob", TrainingJobName="job", **members)
    after = service.describe("job", at)
    assert after["LastModifiedTime"] == START + at
    for member, value in members.items():
        given = after[member][0] if isinstance(value, list) else after[member]
        assert given.items() >= (value[0] if isinstance(value, list) else value).items()


def test_a_zero_keep_alive_ends_the_pool_and_a_longer_one_extends_it() -> None:
    service = TimedService()
    service.create("longer", **WARM)
    service.create("shorter", **WARM)
    service.time = START + 110
    service("UpdateTrainingJob", TrainingJobName="longer", **KEEP)
    service("UpdateTrainingJob", TrainingJobName="shorter", ResourceConfig={"KeepAlivePeriodInSeconds": 0})
    assert service.describe("longer", 300)["WarmPoolStatus"]["Status"] == "Available"
    assert service.describe("shorter", 111)["WarmPoolStatus"] == {
        "Status": "Terminated",
        "ResourceRetainedBillableTimeInSeconds": 10,
    }


def test_a_profiler_rule_is_added_only_once() -> None:
    service = TimedService()
    service.create("job")
    service.time = START + 50
    service("UpdateTrainingJob", TrainingJobName="job", **RULES)
    with pytest.raises(ServiceError, match="already exists"):
        service("UpdateTrainingJob", TrainingJobName="job", **RULES)
    assert service.describe("job", 51)["ProfilingStatus"] == "Enabled"


def test_an_update_may_show_as_updating() -> None:
    service = TimedService(updating_seconds=5.0)
    service.create("job")
    service.time = START + 50
    service("UpdateTrainingJob", TrainingJobName="job", **PROFILER)
    assert service.describe("job", 51)["SecondaryStatus"] == "Updating"
    assert service.path("job") == [*DEFAULT, "Updating", "Training", "Uploading", "Completed"]


def test_scale_shortens_all_durations() -> None:
    service = TimedService(scale=0.01, stop_seconds=100.0)
    service.create("job")
    service.create("stopped")
    service("StopTrainingJob", TrainingJobName="stopped")
    assert service.describe("stopped", 0.9)["TrainingJobStatus"] == "Stopping"
    assert service.describe("stopped", 1)["TrainingJobStatus"] == "Stopped"
    assert service.describe("job", 1)["TrainingJobStatus"] == "Completed"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"EnableManagedSpotTraining": True}, "Invalid MaxWaitTimeInSeconds"),
        ({"StoppingCondition": {"MaxWaitTimeInSeconds": 90000}}, "only when EnableManagedSpotTraining"),
        ({"AlgorithmSpecification": {"TrainingInputMode": "File"}}, "either TrainingImage or AlgorithmName"),
        ({"Tags": [{"Key": "aws:x", "Value": "y"}]}, "aws: prefixed tag key"),
        ({"Tags": [{"Key": "x", "Value": "y"}, {"Key": "x", "Value": "z"}]}, "Duplicate tag keys"),
        ({"HyperParameters": {"standin/sceonds": "1"}}, "cannot read"),
    ],
)
def test_rules_across_fields_are_checked(members: dict[str, Any], message: str) -> None:
    with pytest.raises(ServiceError, match=message):
        TimedService().create("job", **members)
