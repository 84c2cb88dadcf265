"""One training job: its request, its moments, and its answers at a time. Pure; time is an argument.

It is evaluated only on demand, so ten thousand idle jobs cost nothing.
"""

from __future__ import annotations

import bisect
import copy
import dataclasses
import itertools
import math
from typing import Any

from tests.sagemaker.timeline import ENDED, Moment, Plan, moment

Json = dict[str, Any]

_NOT_DESCRIBED = frozenset({"Tags", "SessionChainingConfig"})
_BUILT_IN_METRICS = [
    {"Name": "train:error", "Regex": ".*\\[[0-9]+\\].*#011train-error:([-+]?[0-9]*\\.?[0-9]+).*"},
    {"Name": "validation:error", "Regex": ".*\\[[0-9]+\\].*#011validation-error:([-+]?[0-9]*\\.?[0-9]+).*"},
]
LIVE_RULES = frozenset({"InProgress", "Stopping"})


@dataclasses.dataclass(frozen=True, slots=True)
class Update:
    """The changes of one UpdateTrainingJob."""

    at: float
    members: Json


def described(request: Json) -> Json:
    """The constant members of DescribeTrainingJob from the request, with SageMaker's defaults."""
    fixed: Json = copy.deepcopy({key: value for key, value in request.items() if key not in _NOT_DESCRIBED})
    algorithm = fixed.setdefault("AlgorithmSpecification", {"TrainingInputMode": "File"})
    algorithm.setdefault("EnableSageMakerMetricsTimeSeries", False)
    if "xgboost" in algorithm.get("TrainingImage", "") and "MetricDefinitions" not in algorithm:
        algorithm["MetricDefinitions"] = copy.deepcopy(_BUILT_IN_METRICS)
    output = fixed["OutputDataConfig"]
    output.setdefault("KmsKeyId", "")
    output.setdefault("CompressionType", "GZIP")
    resources = fixed.setdefault("ResourceConfig", {})
    resources.setdefault("VolumeSizeInGB", 0)
    resources.setdefault("InstanceCount", 0)
    fixed.setdefault("StoppingCondition", {}).setdefault("MaxRuntimeInSeconds", 86400)
    for name in ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining"):
        fixed.setdefault(name, False)
    for channel in fixed.get("InputDataConfig", ()):
        channel.setdefault("CompressionType", "None")
        channel.setdefault("RecordWrapperType", "None")
        if "S3DataSource" in channel["DataSource"]:
            channel["DataSource"]["S3DataSource"].setdefault("S3DataDistributionType", "FullyReplicated")
    for rule in (*fixed.get("DebugRuleConfigurations", ()), *fixed.get("ProfilerRuleConfigurations", ())):
        rule.setdefault("VolumeSizeInGB", 0)
    if "ProfilerConfig" in fixed:
        _fill_profiler(fixed)
    return fixed


def _fill_profiler(fixed: Json) -> None:
    profiler = fixed["ProfilerConfig"]
    profiler.setdefault("DisableProfiler", False)
    if not profiler["DisableProfiler"]:
        profiler.setdefault("S3OutputPath", fixed["OutputDataConfig"]["S3OutputPath"])
        profiler.setdefault("ProfilingIntervalInMilliseconds", 500)


class Job:
    """A training job. `moments` is its known life; `seconds` are multiplied by the service's scale."""

    __slots__ = (
        "account", "arn", "created", "deleted_at", "fixed", "gone_at", "moments", "name", "plan", "pool_ended",
        "region", "request", "reused", "scale", "tags", "updates",
    )  # fmt: skip

    def __init__(
        self,
        *,
        account: str,
        region: str,
        arn: str,
        request: Json,
        created: float,
        moments: list[Moment],
        plan: Plan,
        scale: float,
    ) -> None:
        self.account = account
        self.region = region
        self.arn = arn
        self.name: str = request["TrainingJobName"]
        self.request = request
        self.fixed = described(request)
        self.created = created
        self.moments = moments
        self.plan = plan
        self.scale = scale
        self.tags: dict[str, str] = {tag["Key"]: tag["Value"] for tag in request.get("Tags", ())}
        self.updates: tuple[Update, ...] = ()
        self.reused: tuple[float, str] | None = None  # time and job that took its warm pool
        self.pool_ended: float | None = None  # keep-alive set to 0 by an update
        self.deleted_at = math.inf
        self.gone_at = math.inf

    # -- status at a time ------------------------------------------------------------------------------

    def index(self, now: float) -> int:
        return max(bisect.bisect_right(self.moments, now, key=lambda moment: moment.start) - 1, 0)

    def now(self, now: float) -> Moment:
        return self.moments[self.index(now)]

    def status(self, now: float) -> str:
        """TrainingJobStatus."""
        return "Deleting" if now >= self.deleted_at else self.now(now).primary

    def next_transition(self, now: float) -> float:
        """Time of the next change of status without interference; infinite after the last."""
        index = self.index(now) + 1
        return self.moments[index].start if index < len(self.moments) else math.inf

    def next_change(self, now: float) -> float:
        """Time of the next change of LastModifiedTime without interference; infinite after the last."""
        coming = (self.next_transition(now), self.message_change(now), self.last_write())
        return min((at for at in coming if at > now), default=math.inf)

    def message_change(self, now: float) -> float:
        """Time of the change of message within the present status, past or future."""
        return self.now(now).late(self.next_transition(now))

    def last_write(self) -> float:
        """Time of the last write of the job by SageMaker; infinite for a job without end."""
        seconds = self.plan.last_write
        if seconds is None:
            is_slow = (
                self.fixed["EnableManagedSpotTraining"]
                or {"DebugRuleConfigurations", "ProfilerRuleConfigurations"} & self.fixed.keys()
            )
            seconds = 10.0 if is_slow else 0.3
        return round(self.ended_at() + seconds * self.scale, 3)

    def ended_at(self) -> float:
        """End of the job without interference; infinite for a job without end."""
        return next((moment.start for moment in self.moments if moment.secondary in ENDED), math.inf)

    def has_ended(self, now: float) -> bool:
        return now >= self.ended_at()

    def modified(self, now: float) -> float:
        """LastModifiedTime: of the last transition, message, update or deletion, or of the last write after the end;
        not of pools and rules.
        """
        changes = (
            self.message_change(now),
            self.last_write(),
            self.deleted_at,
            *(update.at for update in self.updates),
        )
        return max([self.now(now).start, *(at for at in changes if at <= now)])

    def training_started(self) -> float:
        return next((m.start for m in self.moments if m.secondary in {"Downloading", "Training"}), math.inf)

    # -- changes ---------------------------------------------------------------------------------------

    def cut(self, now: float, ahead: list[Moment]) -> None:
        """Replaces the future by these moments."""
        self.moments = [*self.moments[: self.index(now) + 1], *ahead]

    def delete(self, now: float) -> None:
        """Shows the job as Deleting from now on, for the time in its plan."""
        self.deleted_at = now
        self.gone_at = now + self.plan.delete_seconds * self.scale

    def update(self, now: float, members: Json) -> None:
        """Applies an UpdateTrainingJob that SageMaker accepted."""
        self.updates = (*self.updates, Update(now, members))
        fixed = self.fixed = copy.deepcopy(self.fixed)  # earlier answers keep theirs
        if "ResourceConfig" in members:
            seconds = members["ResourceConfig"]["KeepAlivePeriodInSeconds"]
            fixed["ResourceConfig"]["KeepAlivePeriodInSeconds"] = seconds
            if seconds == 0:
                self.pool_ended = now
        if "RemoteDebugConfig" in members:
            fixed["RemoteDebugConfig"] = {**fixed.get("RemoteDebugConfig", {}), **members["RemoteDebugConfig"]}
        if "ProfilerConfig" in members:
            fixed["ProfilerConfig"] = {**fixed.get("ProfilerConfig", {}), **members["ProfilerConfig"]}
            if "DisableProfiler" not in members["ProfilerConfig"]:
                fixed["ProfilerConfig"]["DisableProfiler"] = False
        if "ProfilerRuleConfigurations" in members:
            rules = copy.deepcopy(members["ProfilerRuleConfigurations"])
            for rule in rules:
                rule.setdefault("VolumeSizeInGB", 0)
            fixed["ProfilerRuleConfigurations"] = [*fixed.get("ProfilerRuleConfigurations", ()), *rules]
            fixed.setdefault("ProfilerConfig", {})
        if "ProfilerConfig" in fixed:
            _fill_profiler(fixed)

    # -- answers ---------------------------------------------------------------------------------------

    def keep_alive(self) -> float:
        """Life of its warm pool after the end in scaled seconds; 0 without a pool."""
        seconds: float = self.fixed["ResourceConfig"].get("KeepAlivePeriodInSeconds", 0)
        return seconds * self.scale

    def pool_end(self) -> float:
        return self.ended_at() + self.keep_alive() if self.pool_ended is None else self.pool_ended

    def warm_pool(self, now: float) -> Json | None:
        """WarmPoolStatus; None without a pool and before the pool is shown."""
        if not self.keep_alive() and self.pool_ended is None:
            return None
        if not self.has_ended(now):
            return {"Status": "InUse"}
        if self.now(now).primary != "Completed":
            return {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": 0}
        end = self.ended_at()
        if now < end + self.plan.pool_delay * self.scale:
            return None
        if self.reused and now >= self.reused[0]:
            retained = int(self.reused[0] - end)
            return {
                "Status": "Reused",
                "ResourceRetainedBillableTimeInSeconds": retained,
                "ReusedByJob": self.reused[1],
            }
        if now >= self.pool_end():
            retained = int(self.pool_end() - end)
            return {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": retained}
        return {"Status": "Available", "ResourceRetainedBillableTimeInSeconds": int(now - end)}

    def pool_status(self, now: float) -> str:
        """The warm pool's status, or nothing."""
        pool = self.warm_pool(now)
        return str(pool["Status"]) if pool else ""

    def pool_key(self) -> str:
        """Key of warm pools; a job takes over pools of its own key only."""
        resources = {
            key: value
            for key, value in self.fixed["ResourceConfig"].items()
            if key in {"InstanceType", "InstanceCount", "VolumeSizeInGB", "VolumeKmsKeyId", "InstanceGroups"}
        }
        parts = (
            self.fixed["RoleArn"],
            sorted(resources.items(), key=lambda item: item[0]),
            self.fixed.get("VpcConfig"),
            self.fixed["EnableNetworkIsolation"],
            self.fixed["EnableInterContainerTrafficEncryption"],
        )
        return repr(parts)

    def _rules(self, now: float, member: str) -> list[Json]:
        end = self.ended_at()
        done = end + self.plan.rule_seconds * self.scale
        if not self.has_ended(now):
            status, changed = "InProgress", self.created
        elif self.now(now).primary == "Completed":
            status, changed = ("InProgress", end) if now < done else (self.plan.rule_outcome, done)
        else:
            status, changed = ("Stopping", end) if now < done else ("Stopped", done)
        return [
            {
                "RuleConfigurationName": rule["RuleConfigurationName"],
                "RuleEvaluationJobArn": _rule_arn(self.arn, rule["RuleConfigurationName"]),
                "RuleEvaluationStatus": status,
                "LastModifiedTime": round(changed, 3),
            }
            for rule in self.fixed.get(member, ())
        ]

    def summary(self, now: float) -> Json:
        """TrainingJobSummary."""
        current = self.now(now)
        answer = {
            "TrainingJobName": self.name,
            "TrainingJobArn": self.arn,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified(now),
            "TrainingJobStatus": self.status(now),
            "SecondaryStatus": current.secondary,
        }
        if self.has_ended(now):
            answer["TrainingEndTime"] = self.ended_at()
        pool = self.warm_pool(now)
        if pool:
            answer["WarmPoolStatus"] = pool
        plan_arn = self.fixed["ResourceConfig"].get("TrainingPlanArn")
        if plan_arn:
            answer["TrainingPlanArn"] = plan_arn
        return answer

    def describe(self, now: float) -> Json:
        """DescribeTrainingJob's answer, times as epoch seconds."""
        index = self.index(now)
        current = self.moments[index]
        answer = {
            **self.fixed,
            "TrainingJobArn": self.arn,
            "TrainingJobStatus": self.status(now),
            "SecondaryStatus": current.secondary,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified(now),
            "SecondaryStatusTransitions": self._transitions(now),
            **self._artifacts(now),
            **self._times(now),
        }
        if current.primary == "Failed":
            answer["FailureReason"] = self.plan.failure_reason
        elif current.secondary in {"MaxRuntimeExceeded", "MaxWaitTimeExceeded"}:
            answer["FailureReason"] = current.message
        if current.primary == "Completed" and "MetricDefinitions" in self.fixed["AlgorithmSpecification"]:
            answer["FinalMetricDataList"] = [
                {"MetricName": metric["Name"], "Value": round(0.1 * number, 3), "Timestamp": self.ended_at()}
                for number, metric in enumerate(self.fixed["AlgorithmSpecification"]["MetricDefinitions"], 1)
            ]
        pool = self.warm_pool(now)
        if pool:
            answer["WarmPoolStatus"] = pool
        if "DebugRuleConfigurations" in self.fixed:
            answer["DebugRuleEvaluationStatuses"] = self._rules(now, "DebugRuleConfigurations")
        if "ProfilerRuleConfigurations" in self.fixed:
            answer["ProfilerRuleEvaluationStatuses"] = self._rules(now, "ProfilerRuleConfigurations")
        profiler = self.fixed.get("ProfilerConfig", {"DisableProfiler": True})
        answer["ProfilingStatus"] = "Disabled" if profiler["DisableProfiler"] else "Enabled"
        if "MlflowConfig" in self.fixed:
            answer["MlflowDetails"] = {"MlflowExperimentId": "1", "MlflowRunId": self.name}
        if "ServerlessJobConfig" in self.fixed:
            answer["ProgressInfo"] = {"CurrentEpoch": min(index, 3), "MaxEpoch": 3, "CurrentStep": index}
        return answer

    def _transitions(self, now: float) -> list[Json]:
        index = self.index(now)
        transitions: list[Json] = [
            {
                "Status": current.secondary,
                "StartTime": current.start,
                "EndTime": following.start,
                "StatusMessage": current.message,
            }
            for current, following in itertools.pairwise(self.moments[: index + 1])
        ]
        last = self.moments[index]
        until = self.moments[index + 1].start if index + 1 < len(self.moments) else last.start
        transitions.append(
            {
                "Status": last.secondary,
                "StartTime": last.start,
                "StatusMessage": last.message_at(now, until),
            }
        )
        if last.secondary in ENDED:
            transitions[-1]["EndTime"] = last.start
        return transitions

    def _artifacts(self, now: float) -> Json:
        """ModelArtifacts after the end of a job with an upload."""
        uploaded = self.now(now).primary == "Completed" or any(each.secondary == "Uploading" for each in self.moments)
        if not self.has_ended(now) or not uploaded:
            return {}
        path = self.fixed["OutputDataConfig"]["S3OutputPath"].rstrip("/")
        return {"ModelArtifacts": {"S3ModelArtifacts": f"{path}/{self.name}/output/model.tar.gz"}}

    def _times(self, now: float) -> Json:
        started, ended = self.training_started(), self.ended_at()
        if now < started or ended <= started:
            return {}
        seconds = max(1, round(min(now, ended) - started))
        times: Json = {"TrainingStartTime": started, "TrainingTimeInSeconds": seconds}
        if now >= ended:
            spot = self.fixed["EnableManagedSpotTraining"]
            share = self.plan.billable if self.plan.billable is not None else 0.3 if spot else 1.0
            times["TrainingEndTime"] = ended
            if now >= ended + self.plan.billable_delay * self.scale:
                times["BillableTimeInSeconds"] = max(1, round(seconds * share))
        return times


def _rule_arn(job_arn: str, rule: str) -> str:
    name = "".join(character for character in rule.lower() if character.isalnum() or character == "-").strip("-")
    prefix, _, job = job_arn.partition(":training-job/")
    return f"{prefix}:processing-job/{job[:40].rstrip('-')}-{name[:20].rstrip('-') or 'rule'}"


def stopped_life(now: float, seconds: float, end: str = "Stopped", *, uploads: bool = False) -> list[Moment]:
    """The moments of a job stopped now; with infinite seconds it stays in Stopping.

    :param uploads: the job has trained, and SageMaker uploads its partial model
    """
    moments = [moment(now, "Stopping")]
    if math.isinf(seconds):
        return moments
    if uploads:
        moments.append(moment(now + seconds / 2, "Stopping/Uploading"))
    return [*moments, moment(now + seconds, end)]
