"""SageMaker's training jobs behind a gateway, in the time of the event loop, with the errors of SageMaker."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from trainingjob_operator.aws.credentials import MUTATING_TIMEOUTS, READING_TIMEOUTS
from trainingjob_operator.aws.gateway import Target
from trainingjob_operator.aws.lanes import Lanes, Place
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass
from trainingjob_operator.logic.naming import Identity, build_arn

EPOCH = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
STOPPING_SECONDS = 10.0
LATE_SECONDS = 25.0
PHASES = ((0.0, "Starting"), (10.0, "Downloading"), (20.0, "Training"))

CHANGES = frozenset({"StopTrainingJob", "UpdateTrainingJob", "AddTags", "DeleteTags"})
MUTATING = CHANGES | {"CreateTrainingJob"}

Fault = Literal["before", "after"]


def wall() -> datetime:
    return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())


@dataclass
class Job:
    request: Mapping[str, Any]
    identity: Identity
    created: float
    seconds: float
    outcome: str
    tags: dict[str, str] = field(default_factory=dict)
    failure_reason: str | None = None
    """Of a job that fails; no list shows it."""
    stopped: float | None = None
    stopping_seconds: float = STOPPING_SECONDS
    late: dict[str, Any] = field(default_factory=dict)
    """Members that SageMaker adds to its answers some seconds after the end."""
    changes: list[str] = field(default_factory=list)
    """Operations requested for this job, with or without effect."""

    def history(self, now: float) -> list[tuple[float, str, str]]:
        """(since, status, secondary status), up to now."""
        end = self.created + self.seconds
        past = [(self.created + after, "InProgress", name) for after, name in PHASES if after < self.seconds]
        if self.stopped is not None and self.stopped < end:
            past = [item for item in past if item[0] < self.stopped]
            past.append((self.stopped, "Stopping", "Stopping"))
            past.append((self.stopped + self.stopping_seconds, "Stopped", "Stopped"))
        else:
            past.append((end, self.outcome, self.outcome))
        return [item for item in past if item[0] <= now]

    def status(self, now: float) -> str:
        return self.history(now)[-1][1]

    def describe(self, now: float) -> dict[str, Any]:
        past = self.history(now)
        shown = {name: value for name, value in self.request.items() if name != "Tags"}
        since, status, _ = past[-1]
        is_late = status not in ("InProgress", "Stopping") and now >= since + LATE_SECONDS
        added = {"LastModifiedTime": EPOCH + timedelta(seconds=since + LATE_SECONDS), **self.late} if self.late else {}
        cause = {"FailureReason": self.failure_reason} if status == "Failed" and self.failure_reason else {}
        return {
            **shown,
            **self.summary(now),
            **cause,
            **(added if is_late else {}),
            "SecondaryStatusTransitions": [
                {"Status": secondary, "StartTime": EPOCH + timedelta(seconds=at), "StatusMessage": secondary}
                for at, _, secondary in past
            ],
        }

    def summary(self, now: float) -> dict[str, Any]:
        at, status, secondary = self.history(now)[-1]
        return {
            "TrainingJobName": self.identity.job_name,
            "TrainingJobArn": build_arn("aws", self.identity),
            "CreationTime": EPOCH + timedelta(seconds=self.created),
            "LastModifiedTime": EPOCH + timedelta(seconds=at),
            "TrainingJobStatus": status,
            "SecondaryStatus": secondary,
        }


@dataclass
class FakeService:
    """All accounts and regions. `fault` decides for each call: failure before its effect, after it, or none."""

    seconds: float = 60.0
    outcome: str = "Completed"
    hidden_seconds: float = 0.0
    """Describe answers NotFound for this time after the creation."""
    capacity: int = 1000
    lacking: set[tuple[str, str]] = field(default_factory=set)
    """(region, instance type) without capacity."""
    summaries_lack: frozenset[str] = frozenset()
    """Members absent from lists."""
    refusals: dict[str, AwsError] = field(default_factory=dict)
    """Error of every call, by operation."""
    create_errors: Callable[[Mapping[str, Any]], AwsError | None] = lambda _request: None
    """Error of a CreateTrainingJob by its request; None for a valid one."""
    quotas: dict[str, float] = field(default_factory=dict)
    """Limits by SageMaker's name of the quota; other quotas have no limit."""
    fault: Callable[[str, bool], None] = lambda _operation, _before: None
    lanes: Lanes | None = None
    """Limits the concurrent calls to one place, as in the real gateway."""
    dark: set[str] = field(default_factory=set)
    """Regions without answers."""
    misplaced: AwsError | None = None
    """Error of GetCallerIdentity."""
    answer_create: Callable[[Identity], str] = lambda identity: build_arn("aws", identity)
    """The ARN in the answer to CreateTrainingJob."""
    elsewhere: dict[str, "FakeService"] = field(default_factory=dict)
    """Services by endpoint URL, each with its own jobs."""
    jobs: dict[tuple[str, str, str], Job] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    roles: set[tuple[str, str | None]] = field(default_factory=set)
    """(account, role) of every call so far; None for the operator's own credentials."""
    hung: list[tuple[str, str]] = field(default_factory=list)
    """Calls to dark regions."""
    created: list[Job] = field(default_factory=list)
    stopped: list[tuple[str, float]] = field(default_factory=list)

    def get(self, target: Target) -> "FakeGateway":
        return FakeGateway(self.elsewhere.get(target.endpoint_url or "", self), target)

    async def confirm(self, target: Target) -> None:
        """Ask STS for the account of the credentials."""
        self.calls.append(("GetCallerIdentity", target.account))
        if self.misplaced is not None:
            raise self.misplaced

    def running(self) -> list[Job]:
        now = asyncio.get_running_loop().time()
        return [job for job in self.jobs.values() if job.status(now) in ("InProgress", "Stopping")]

    def put(self, identity: Identity, request: Mapping[str, Any], tags: Mapping[str, str]) -> Job:
        """Add a job that somebody else created."""
        now = asyncio.get_running_loop().time()
        job = Job(request, identity, now, self.seconds, self.outcome, dict(tags))
        self.jobs[identity.slot] = job
        return job


def failed(operation: str, code: str, kind: ErrorClass, message: str = "words", *, definite: bool = True) -> AwsError:
    return AwsError(operation, code, message, kind, definite=definite)


def usage_of(request: Mapping[str, Any]) -> dict[str, float]:
    """Usage of SageMaker's quotas by one job, by the names of the quotas."""
    config = request["ResourceConfig"]
    use = "spot training job" if request.get("EnableManagedSpotTraining") else "training job"
    usage: Counter[str] = Counter()
    for group in config.get("InstanceGroups") or [config]:
        kind, count = group.get("InstanceType"), group.get("InstanceCount", 1)
        usage[f"{kind} for {use} usage"] += count
        usage["Number of instances across all training jobs"] += count
        if config.get("KeepAlivePeriodInSeconds"):
            usage[f"{kind} for training warm pool usage"] += count
    return dict(usage)


@dataclass
class FakeGateway:
    service: FakeService
    target: Target

    async def _call(self, operation: str, name: str) -> float:
        if self.service.lanes is None:
            return await self._answer(operation, name)
        lane = self.service.lanes.of(Place(self.target.account, self.target.region, self.target.endpoint_url))
        limit = asyncio.timeout(sum(MUTATING_TIMEOUTS if operation in MUTATING else READING_TIMEOUTS))
        async with lane.entered(operation, limit):
            await lane.acquire()
            try:
                async with limit:
                    return await self._answer(operation, name)
            except TimeoutError:
                message = "No whole answer."
                raise AwsError(
                    operation, "DeadlineExceeded", message, ErrorClass.RETRY, definite=False, answered=False
                ) from None
            finally:
                lane.release()

    async def _answer(self, operation: str, name: str) -> float:
        await asyncio.sleep(0.04)
        if self.target.region in self.service.dark:
            self.service.hung.append((operation, name))
            await asyncio.get_running_loop().create_future()
        self.service.calls.append((operation, name))
        self.service.roles.add((self.target.account, self.target.role_arn))
        self.service.fault(operation, True)
        refusal = self.service.refusals.get(operation)
        if refusal is not None:
            raise refusal
        return asyncio.get_running_loop().time()

    def _find(self, operation: str, name: str, now: float) -> Job:
        job = self.service.jobs.get((self.target.account, self.target.region, name.lower()))
        if job is None or now < job.created + self.service.hidden_seconds:
            raise failed(operation, "ValidationException", ErrorClass.NOT_FOUND, "Requested resource not found.")
        if operation in CHANGES:
            job.changes.append(operation)
        return job

    async def create(self, request: Mapping[str, Any]) -> str:
        name = request["TrainingJobName"]
        await self._call("CreateTrainingJob", name)
        identity = Identity(self.target.account, self.target.region, name)
        if identity.slot in self.service.jobs:
            raise failed("CreateTrainingJob", "ResourceInUse", ErrorClass.IN_USE)
        error = self.service.create_errors(request) or self._exceed(request)
        if error is not None:
            raise error
        is_lacking = (self.target.region, request["ResourceConfig"].get("InstanceType")) in self.service.lacking
        if is_lacking or len(self.service.running()) >= self.service.capacity:
            raise failed("CreateTrainingJob", "ResourceLimitExceeded", ErrorClass.WAITING, "The limit is reached.")
        self.service.created.append(
            self.service.put(identity, request, {tag["Key"]: tag["Value"] for tag in request["Tags"]})
        )
        self.service.fault("CreateTrainingJob", False)
        return self.service.answer_create(identity)

    def _exceed(self, request: Mapping[str, Any]) -> AwsError | None:
        """The error of the first quota that the job exceeds, in SageMaker's wording."""
        running = [usage_of(job.request) for job in self.service.running()]
        for name, wanted in usage_of(request).items():
            used, limit = sum(usage.get(name, 0) for usage in running), self.service.quotas.get(name)
            if limit is not None and used + wanted > limit:
                message = (
                    f"The account-level service limit '{name}' is {limit:g} Instances, with current utilization of "
                    f"{used:g} Instances and a request delta of {wanted:g} Instances. Please use AWS Service Quotas to "
                    "request an increase for this quota."
                )
                return failed("CreateTrainingJob", "ResourceLimitExceeded", ErrorClass.WAITING, message)
        return None

    async def describe(self, job_name: str) -> dict[str, Any]:
        now = await self._call("DescribeTrainingJob", job_name)
        return self._find("DescribeTrainingJob", job_name, now).describe(now)

    async def list_page(self, **filters: Any) -> tuple[list[dict[str, Any]], str | None]:
        now = await self._call("ListTrainingJobs", "")
        place = (self.target.account, self.target.region)
        jobs = [job for slot, job in self.service.jobs.items() if slot[:2] == place]
        since = {
            "CreationTime": filters.get("CreationTimeAfter"),
            "LastModifiedTime": filters.get("LastModifiedTimeAfter"),
        }
        shown = [job.summary(now) for job in sorted(jobs, key=lambda job: -job.created)]
        shown = [one for one in shown if all(after is None or one[name] >= after for name, after in since.items())]
        start = int(filters.get("NextToken", "0"))
        rest = start + filters["MaxResults"]
        lacking = self.service.summaries_lack
        page = [{name: one[name] for name in one if name not in lacking} for one in shown[start:rest]]
        return page, str(rest) if len(shown) > rest else None

    async def stop(self, job_name: str) -> None:
        now = await self._call("StopTrainingJob", job_name)
        job = self._find("StopTrainingJob", job_name, now)
        if job.status(now) != "InProgress":
            raise failed("StopTrainingJob", "ValidationException", ErrorClass.CONFLICT, "Training job is in status X")
        job.stopped = now
        self.service.stopped.append((job_name, now))
        self.service.fault("StopTrainingJob", False)

    async def update(self, request: Mapping[str, Any]) -> None:
        name = request["TrainingJobName"]
        now = await self._call("UpdateTrainingJob", name)
        job = self._find("UpdateTrainingJob", name, now)
        job.request = {**job.request, **{key: value for key, value in request.items() if key != "TrainingJobName"}}
        self.service.fault("UpdateTrainingJob", False)

    async def list_tags(self, arn: str) -> dict[str, str]:
        name = arn.rpartition("/")[2]
        now = await self._call("ListTags", name)
        return dict(self._find("ListTags", name, now).tags)

    async def add_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        name = arn.rpartition("/")[2]
        now = await self._call("AddTags", name)
        self._find("AddTags", name, now).tags.update(tags)
        self.service.fault("AddTags", False)

    async def delete_tags(self, arn: str, keys: Collection[str]) -> None:
        name = arn.rpartition("/")[2]
        now = await self._call("DeleteTags", name)
        job = self._find("DeleteTags", name, now)
        job.tags = {key: value for key, value in job.tags.items() if key not in keys}
        self.service.fault("DeleteTags", False)
