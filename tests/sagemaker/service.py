"""SageMaker's training-job operations over jobs in memory. No HTTP, no faults; the clock is injected.

The work of a call does not grow with the number of jobs: a job is evaluated on demand, creation order is a sorted list,
and a heap of future changes keeps the order of modification.
"""

from __future__ import annotations

import base64
import bisect
import dataclasses
import fnmatch
import heapq
import itertools
import json
import math
from collections import OrderedDict, defaultdict
from typing import TYPE_CHECKING, Any

from tests.sagemaker.job import Job, Json, stopped_life
from tests.sagemaker.quotas import find_exceeded, find_unavailable
from tests.sagemaker.timeline import Moment, Plan, life, moment, plan_of, read_plan

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

TAG_LIMIT = 50
RULE_LIMIT = 20
NOT_FOUND = "Requested resource not found."
_LOST_ROLE = (
    "ClientError: Failed to assume role {role}. Please ensure that the role exists and allows principal "
    "'sagemaker.amazonaws.com' to assume the role."
)


class ServiceError(Exception):
    """An error answer: code, message and HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)


def partition_of(region: str) -> str:
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


@dataclasses.dataclass(slots=True)
class Settings:
    """Settings that a test may change at run time. Seconds are multiplied by `scale` unless marked as unscaled."""

    scale: float = 1.0
    seconds_from: float = 60.0  # duration of a job without a plan
    seconds_to: float = 120.0
    stop_seconds: float = 2.0
    updating_seconds: float = 0.0  # a profiler update shows as Updating for this time
    # List filters applied to a page instead of before paging; StatusEquals is documented so
    filters_after_paging: frozenset[str] = frozenset({"StatusEquals"})
    empty_pages: int = 0  # empty pages with a NextToken after each LastModifiedTimeAfter list; -1: no limit
    stale_list_seconds: float = 0.0  # unscaled: List answers with the state this long ago
    stale_describe_seconds: float = 0.0  # unscaled, the same for Describe
    hidden_seconds: float = 0.0  # unscaled: reads omit jobs younger than this
    denied_seconds: float = 0.0  # unscaled: Describe and ListTags are denied for jobs younger than this
    bare_summaries: bool = False  # List answers without SecondaryStatus
    lost_roles: Sequence[
        str
    ] = ()  # globs on role ARNs: Create accepts them, the job fails because it cannot assume them
    quotas: Mapping[str, int] = dataclasses.field(default_factory=dict)  # by name, see quotas.py; others: no limit
    unavailable_types: tuple[str, ...] = ()  # instance types unavailable in every region


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """Time of the state in the answer of a read, and the age below which it omits jobs."""

    at: float
    hidden_after: float


class Shelf:
    """The jobs of one account and region, in the orders that lists need."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}  # by lower-case name, the name in its ARN
        self.order: list[tuple[float, str]] = []  # (created, lower-case name), ascending
        self.pools: defaultdict[str, list[Job]] = defaultdict(list)
        self._changes: list[tuple[float, int, Job]] = []
        self._numbers = itertools.count()
        self._modified: OrderedDict[str, float] = OrderedDict()  # oldest first, up to the settled time

    def add(self, jobs: Iterable[Job], now: float) -> None:
        added = []
        for job in jobs:
            key = job.name.lower()
            self.jobs[key] = job
            added.append((job.created, key))
            self.touch(job, min(job.created, now))
        self.order.extend(added)
        if len(added) > 1 or self.order[-2:] != sorted(self.order[-2:]):
            self.order.sort()

    def remove(self, job: Job) -> None:
        key = job.name.lower()
        del self.jobs[key]
        self._modified.pop(key, None)
        del self.order[bisect.bisect_left(self.order, (job.created, key))]

    def touch(self, job: Job, at: float) -> None:
        """Records a change of the job at this time in the order of modification."""
        heapq.heappush(self._changes, (at, next(self._numbers), job))

    def _settle(self, now: float) -> None:
        while self._changes and self._changes[0][0] <= now:
            at, _, job = heapq.heappop(self._changes)
            key = job.name.lower()
            if self.jobs.get(key) is not job:
                continue
            modified = job.modified(at)
            if self._modified.get(key) != modified:  # otherwise the change was cut off
                self._modified[key] = modified
                self._modified.move_to_end(key)
            following = job.next_change(at)
            if not math.isinf(following):
                self.touch(job, following)

    def modified_after(self, after: float, now: float) -> list[Job]:
        self._settle(now)
        found = []
        for key in reversed(self._modified):
            if self._modified[key] <= after:
                break
            found.append(self.jobs[key])
        return found

    def created_between(
        self, after: float, before: float, *, newest_first: bool, behind: tuple[float, str] | None = None
    ) -> Iterator[Job]:
        """Jobs created later than `after` and earlier than `before`, starting after an entry of `order`."""
        low = bisect.bisect_right(self.order, after, key=lambda entry: entry[0])
        high = bisect.bisect_left(self.order, before, key=lambda entry: entry[0])
        if behind is not None and newest_first:
            high = min(high, bisect.bisect_left(self.order, behind))
        elif behind is not None:
            low = max(low, bisect.bisect_right(self.order, behind))
        places = range(high - 1, low - 1, -1) if newest_first else range(low, high)
        return (self.jobs[self.order[place][1]] for place in places)


class SageMaker:
    """The service. `handle` carries out one valid request."""

    def __init__(self, clock: Callable[[], float], settings: Settings, chance: random.Random) -> None:
        self.settings = settings
        self.plans: list[tuple[str, Mapping[str, Any]]] = []  # glob on names, members of Plan; first match wins
        self._clock = clock
        self._chance = chance
        self._shelves: defaultdict[tuple[str, str], Shelf] = defaultdict(Shelf)
        self._operations: dict[str, Callable[[Shelf, str, str, Json], Json]] = {
            "CreateTrainingJob": self._create,
            "StopTrainingJob": self._stop,
            "UpdateTrainingJob": self._update,
            "DeleteTrainingJob": self._delete,
            "AddTags": self._add_tags,
            "DeleteTags": self._delete_tags,
            "ListTags": self._list_tags,
        }
        self.listeners: list[
            Callable[[Job, float], None]
        ] = []  # called for each job that is created or changed by a command

    # -- for the transport -----------------------------------------------------------------------------

    def now(self) -> float:
        return round(self._clock(), 3)

    def handle(
        self,
        operation: str,
        account: str,
        region: str,
        request: Json,
        *,
        stale: float = 0.0,
        hidden: float = 0.0,
    ) -> Json:
        """The answer; raises ServiceError. Reads show the state `stale` seconds ago and omit jobs younger than `hidden`
        seconds.
        """
        shelf = self._shelves[account, region]
        if operation == "DescribeTrainingJob":
            return self._describe(shelf, request, self._view(self.settings.stale_describe_seconds + stale, hidden))
        if operation == "ListTrainingJobs":
            return self._list(shelf, request, self._view(self.settings.stale_list_seconds + stale, hidden))
        return self._operations[operation](shelf, account, region, request)

    def shelf(self, account: str, region: str) -> Shelf:
        return self._shelves[account, region]

    def shelves(self) -> Mapping[tuple[str, str], Shelf]:
        return self._shelves

    def find(self, shelf: Shelf, name: str) -> Job:
        job = shelf.jobs.get(name.lower())
        if job is not None and self.now() >= job.gone_at:
            shelf.remove(job)
            job = None
        if job is None or job.name != name:
            raise invalid(NOT_FOUND)
        return job

    def _view(self, stale: float, hidden: float) -> View:
        now = self.now()
        return View(now - stale, now - max(self.settings.hidden_seconds, hidden, stale))

    # -- create ----------------------------------------------------------------------------------------

    def _create(self, shelf: Shelf, account: str, region: str, request: Json) -> Json:
        name = request["TrainingJobName"]
        _check_create(request)
        arn = f"arn:{partition_of(region)}:sagemaker:{region}:{account}:training-job/{name.lower()}"
        known = shelf.jobs.get(name.lower())
        now = self.now()
        if known is not None and now >= known.gone_at:
            shelf.remove(known)
        elif known is not None:
            raise ServiceError(
                "ResourceInUse",
                "Training job names must be unique within an AWS account and region, and a training job with "
                f"this name already exists ({known.arn})",
            )
        self._check_quotas(shelf, request, now)
        job = self.build(account, region, arn, request, now)
        shelf.add([job], now)
        self._take_pool(shelf, job, now)
        self._notify(job, now)
        return {"TrainingJobArn": arn}

    def build(self, account: str, region: str, arn: str, request: Json, created: float) -> Job:
        """A job with the life from its plan, its stopping condition and the scale."""
        settings, name = self.settings, request["TrainingJobName"]
        imposed = next((values for glob, values in self.plans if fnmatch.fnmatchcase(name, glob)), {})
        try:
            plan = read_plan(imposed, plan_of(request, Plan()))
        except (KeyError, ValueError) as error:
            raise invalid(f"standin/ or STANDIN_ input that the stand-in cannot read: {error}") from error
        role = request["RoleArn"]
        if any(fnmatch.fnmatchcase(role, glob) for glob in settings.lost_roles):
            plan = dataclasses.replace(plan, phases="Starting:1,Failed", failure_reason=_LOST_ROLE.format(role=role))
        seconds = plan.seconds
        if seconds is None:
            seconds = self._chance.uniform(settings.seconds_from, settings.seconds_to)
        moments = life(plan, created, seconds, settings.scale)
        job = Job(
            account=account,
            region=region,
            arn=arn,
            request=request,
            created=created,
            moments=moments,
            plan=plan,
            scale=settings.scale,
        )
        self._limit(job)
        return job

    def _limit(self, job: Job) -> None:
        """Cuts a life at the job's own stopping condition."""
        condition = job.fixed["StoppingCondition"]
        limits = [(job.training_started() + condition["MaxRuntimeInSeconds"] * job.scale, "MaxRuntimeExceeded")]
        if "MaxWaitTimeInSeconds" in condition:
            limits.append((job.created + condition["MaxWaitTimeInSeconds"] * job.scale, "MaxWaitTimeExceeded"))
        at, end = min(limits)
        if at < job.ended_at() and not math.isinf(at):
            job.cut(at, stopped_life(at, self._stop_seconds(job), end, uploads=at >= job.training_started()))

    def _stop_seconds(self, job: Job) -> float:
        own = job.plan.stop_seconds
        return (own if own is not None else self.settings.stop_seconds) * job.scale

    def _check_quotas(self, shelf: Shelf, request: Json, now: float) -> None:
        running = (
            job.request for job in shelf.jobs.values() if not job.has_ended(now) or job.pool_status(now) == "Available"
        )
        message = find_unavailable(self.settings.unavailable_types, request)
        message = message or find_exceeded(self.settings.quotas, request, running)
        if message is not None:
            raise ServiceError("ResourceLimitExceeded", message)

    def _take_pool(self, shelf: Shelf, job: Job, now: float) -> None:
        if not job.keep_alive():
            return
        waiting = shelf.pools[job.pool_key()]
        for other in waiting:
            if other.pool_status(now) == "Available":
                other.reused = (now, job.name)
                break
        shelf.pools[job.pool_key()] = [
            other for other in waiting if other.pool_status(now) not in {"Reused", "Terminated"}
        ] + [job]

    # -- reads -----------------------------------------------------------------------------------------

    def _describe(self, shelf: Shelf, request: Json, view: View) -> Json:
        job = self.find(shelf, request["TrainingJobName"])
        if job.created > view.hidden_after:
            raise invalid(NOT_FOUND)
        self._check_rights(job, "DescribeTrainingJob")
        return job.describe(view.at)

    def _check_rights(self, job: Job, operation: str) -> None:
        """Denial by a policy on tags that have not yet reached authorization."""
        if self.now() < job.created + self.settings.denied_seconds:
            raise ServiceError(
                "AccessDeniedException",
                f"User: arn:aws:iam::{job.account}:user/test is not authorized to perform: sagemaker:{operation} on "
                f"resource: {job.arn} because no identity-based policy allows the sagemaker:{operation} action",
            )

    def _list(self, shelf: Shelf, request: Json, view: View) -> Json:
        sort_by = request.get("SortBy", "CreationTime")
        newest_first = request.get("SortOrder", "Descending") == "Descending"
        token = _read_token(request, sort_by)
        if isinstance(token, int):
            return {"TrainingJobSummaries": [], **self._empty_page(token)}
        limit = request.get("MaxResults", 10)
        after_paging = self.settings.filters_after_paging
        before = {key: value for key, value in request.items() if key not in after_paging}
        behind = {key: value for key, value in request.items() if key in after_paging}
        page: list[Job] = []
        more = False
        for job in self._candidates(shelf, before, view, sort_by, newest_first, token):
            if job.created > view.hidden_after or self.now() >= job.gone_at or not _matches(job, before, view):
                continue
            if len(page) == limit:
                more = True
                break
            page.append(job)
        shown = [job.summary(view.at) for job in page if _matches(job, behind, view)]
        if self.settings.bare_summaries:
            for summary in shown:
                del summary["SecondaryStatus"]
        answer: Json = {"TrainingJobSummaries": shown}
        if more:
            answer["NextToken"] = _token([sort_by, _sort_key(page[-1], sort_by, view)])
        elif "LastModifiedTimeAfter" in request and self.settings.empty_pages:
            answer |= self._empty_page(self.settings.empty_pages)
        return answer

    def _empty_page(self, left: int) -> Json:
        if left == 0:
            return {}
        return {"NextToken": _token(left - 1 if left > 0 else left)}

    def _candidates(
        self, shelf: Shelf, filters: Json, view: View, sort_by: str, newest_first: bool, token: list[Any] | None
    ) -> Iterable[Job]:
        """Jobs in the requested order, starting after the token; a superset of the matching ones."""
        jobs: Iterable[Job]
        if "LastModifiedTimeAfter" in filters:
            jobs = shelf.modified_after(filters["LastModifiedTimeAfter"], self.now())
        else:
            after = filters.get("CreationTimeAfter", -math.inf)
            before = filters.get("CreationTimeBefore", math.inf)
            if sort_by == "CreationTime":
                behind = (token[0], token[1]) if token else None
                return shelf.created_between(after, before, newest_first=newest_first, behind=behind)
            jobs = shelf.created_between(after, before, newest_first=newest_first)
        keyed = sorted(((_sort_key(job, sort_by, view), job) for job in jobs), key=_first, reverse=newest_first)
        if token is None:
            return (job for _, job in keyed)
        return (job for key, job in keyed if (key < token if newest_first else key > token))

    # -- stop, update, delete --------------------------------------------------------------------------

    def _stop(self, shelf: Shelf, account: str, region: str, request: Json) -> Json:
        job = self.find(shelf, request["TrainingJobName"])
        now = self.now()
        status = job.status(now)
        if status != "InProgress":
            raise invalid(f"The request was rejected because the training job is in status {status}.")
        self.interfere(shelf, job, stopped_life(now, self._stop_seconds(job), uploads=now >= job.training_started()))
        return {}

    def interfere(self, shelf: Shelf, job: Job, ahead: list[Moment]) -> None:
        """Replaces the job's future from now on."""
        now = self.now()
        job.cut(now, ahead)
        shelf.touch(job, now)
        self._notify(job, now)

    def _update(self, shelf: Shelf, account: str, region: str, request: Json) -> Json:
        job = self.find(shelf, request["TrainingJobName"])
        now = self.now()
        members = {key: value for key, value in request.items() if key != "TrainingJobName"}
        if not members:
            raise invalid("At least one field to update must be specified.")
        _check_update(job, members, now)
        job.update(now, members)
        if self.settings.updating_seconds and {"ProfilerConfig", "ProfilerRuleConfigurations"} & members.keys():
            current = job.now(now)
            back = now + self.settings.updating_seconds * job.scale
            ahead = [one for one in job.moments[job.index(now) + 1 :] if one.start > back]
            job.cut(now, [moment(now, "Updating"), dataclasses.replace(current, start=round(back, 3)), *ahead])
        shelf.touch(job, now)
        self._notify(job, now)
        return {"TrainingJobArn": job.arn}

    def _delete(self, shelf: Shelf, account: str, region: str, request: Json) -> Json:
        job = self.find(shelf, request["TrainingJobName"])
        now = self.now()
        if not job.has_ended(now) or job.status(now) == "Deleting":
            raise ServiceError(
                "ResourceInUse", f"Training job {job.arn} cannot be deleted in status {job.status(now)}."
            )
        if job.pool_status(now) == "Available":
            raise ServiceError(
                "ResourceInUse", f"Training job {job.arn} cannot be deleted while its warm pool is Available."
            )
        job.delete(now)
        shelf.touch(job, now)
        if now >= job.gone_at:
            shelf.remove(job)
        return {}

    def _notify(self, job: Job, now: float) -> None:
        for listener in self.listeners:
            listener(job, now)

    # -- tags ------------------------------------------------------------------------------------------

    def _tagged(self, shelf: Shelf, request: Json, account: str, region: str) -> Job:
        prefix, _, name = request["ResourceArn"].partition(":training-job/")
        if not name or prefix != f"arn:{partition_of(region)}:sagemaker:{region}:{account}":
            raise invalid(NOT_FOUND)
        job = shelf.jobs.get(name.lower())
        if job is None:
            raise invalid(NOT_FOUND)
        return self.find(shelf, job.name)

    def _add_tags(self, shelf: Shelf, account: str, region: str, request: Json) -> Json:
        job = self._tagged(shelf, request, account, region)
        _check_tags(request["Tags"])
        tags = job.tags | {tag["Key"]: tag["Value"] for tag in request["Tags"]}
        if len(tags) > TAG_LIMIT:
            raise invalid(f"The number of tags cannot exceed {TAG_LIMIT} for resource {job.arn}.")
        job.tags = tags
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def _delete_tags(self, shelf: Shelf, account: str, region: str, request: Json) -> Json:
        job = self._tagged(shelf, request, account, region)
        job.tags = {key: value for key, value in job.tags.items() if key not in request["TagKeys"]}
        return {}

    def _list_tags(self, shelf: Shelf, account: str, region: str, request: Json) -> Json:
        job = self._tagged(shelf, request, account, region)
        self._check_rights(job, "ListTags")
        return {"Tags": [{"Key": key, "Value": value} for key, value in job.tags.items()]}


# -- rules over more than one field --------------------------------------------------------------------


def _check_create(request: Json) -> None:
    algorithm = request.get("AlgorithmSpecification", {})
    if "ServerlessJobConfig" not in request:
        for member in ("AlgorithmSpecification", "ResourceConfig", "StoppingCondition"):
            if member not in request:
                short = member[0].lower() + member[1:]
                raise invalid(
                    f"1 validation error detected: Value null at '{short}' failed to satisfy constraint: "
                    "Member must not be null"
                )
        if ("TrainingImage" in algorithm) == ("AlgorithmName" in algorithm):
            raise invalid("You must specify either TrainingImage or AlgorithmName in AlgorithmSpecification.")
    condition = request.get("StoppingCondition", {})
    wait, runtime = condition.get("MaxWaitTimeInSeconds"), condition.get("MaxRuntimeInSeconds", 86400)
    if request.get("EnableManagedSpotTraining"):
        if wait is None or wait < runtime:
            raise invalid(
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"
            )
    elif wait is not None:
        raise invalid("MaxWaitTimeInSeconds above 0 is supported only when EnableManagedSpotTraining is true")
    _check_tags(request.get("Tags", ()))


def _check_tags(tags: Iterable[Json]) -> None:
    keys = [tag["Key"] for tag in tags]
    if len(set(keys)) != len(keys):
        raise invalid("Duplicate tag keys found. Please note that Tag keys are case sensitive.")
    if any(key.lower().startswith("aws:") for key in keys):
        raise invalid("aws: prefixed tag key names are not allowed for external use.")


def _check_update(job: Job, members: Json, now: float) -> None:
    """Phases in which UpdateTrainingJob accepts each member."""
    current = job.now(now)
    running = current.primary == "InProgress" and current.secondary != "Starting"
    if "ResourceConfig" in members:
        pool = job.pool_status(now)
        if current.primary != "Completed" or pool not in {"Available", "InUse"}:
            raise invalid(
                "KeepAlivePeriodInSeconds can only be updated while the warm pool of a completed training job is "
                f"available; the training job is {current.primary} and its warm pool {pool or 'missing'}."
            )
    if {"ProfilerConfig", "ProfilerRuleConfigurations"} & members.keys() and not running:
        raise invalid(
            "Profiler configuration can only be updated while the training job is in progress and has started; its "
            f"status is {current.primary} ({current.secondary})."
        )
    rules = members.get("ProfilerRuleConfigurations", [])
    if rules:
        if members.get("ProfilerConfig", {}).get("DisableProfiler"):
            raise invalid("ProfilerRuleConfigurations cannot be specified together with DisableProfiler.")
        known = job.fixed.get("ProfilerRuleConfigurations", [])
        names = [rule["RuleConfigurationName"] for rule in (*known, *rules)]
        if len(set(names)) != len(names):
            raise invalid("A profiler rule configuration with the same RuleConfigurationName already exists.")
        if len(names) > RULE_LIMIT:
            raise invalid(f"A training job can have {RULE_LIMIT} profiler rules at most.")
    if "RemoteDebugConfig" in members and current.secondary not in {"Downloading", "Training"}:
        raise invalid(
            "RemoteDebugConfig can only be updated while the secondary status is Downloading or Training; it is "
            f"{current.secondary}."
        )


REFUSALS = {
    "role": "Could not assume role {role}. Please ensure that the role exists and allows principal "
    "'sagemaker.amazonaws.com' to assume the role.",
    "data": 'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket exists '
    'in the selected region ({region}), that objects exist under that S3 prefix, and that the role "{role}" has '
    '"s3:ListBucket" permissions on the bucket.',
    "image": "Cannot find the requested image {image}. Please ensure that it exists and is readable.",
    "data-region": 'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket '
    'exists in the selected region ({region}), that objects exist under that S3 prefix, and that the role "{role}" '
    'has "s3:ListBucket" permissions on the bucket. Error message from S3: The bucket is in this region: eu-west-1. '
    "Please use this region to retry the request",
    "image-suffix": "Invalid DNS suffix in image {image}. The suffix for this partition is amazonaws.com.",
    "image-region": "The training image {image} is in a different region. Cross-region images are not supported in "
    "{region}.",
    "image-name": "Invalid image {image}.",
    "isolation": "Network isolation must be enabled for this image: {image}.",
    "region-type": "The requested instance type {type} is not available in this region.",
}
"""CreateTrainingJob's ValidationExceptions by reason. The first three can succeed later without an edit, the others
cannot.
"""


def refusal(reason: str, request: Json, region: str) -> ServiceError:
    """The error of a Create rejected for a reason of REFUSALS."""
    if reason not in REFUSALS:
        raise ValueError(f"unknown reason {reason!r}; known: {', '.join(REFUSALS)}")
    channel: Json = next(iter(request.get("InputDataConfig", ())), {})
    return invalid(
        REFUSALS[reason].format(
            role=request.get("RoleArn", ""),
            uri=channel.get("DataSource", {}).get("S3DataSource", {}).get("S3Uri", "s3://bucket/"),
            image=request.get("AlgorithmSpecification", {}).get("TrainingImage", ""),
            type=request.get("ResourceConfig", {}).get("InstanceType", ""),
            region=region,
        )
    )


# -- lists ---------------------------------------------------------------------------------------------


def _matches(job: Job, filters: Json, view: View) -> bool:
    for name, wanted in filters.items():
        match name:
            case "CreationTimeAfter":
                passes = job.created > wanted
            case "CreationTimeBefore":
                passes = job.created < wanted
            case "LastModifiedTimeAfter":
                passes = job.modified(view.at) > wanted
            case "LastModifiedTimeBefore":
                passes = job.modified(view.at) < wanted
            case "NameContains":
                passes = wanted.lower() in job.name.lower()
            case "StatusEquals":
                passes = job.status(view.at) == wanted
            case "WarmPoolStatusEquals":
                passes = job.pool_status(view.at) == wanted
            case "TrainingPlanArnEquals":
                passes = job.fixed["ResourceConfig"].get("TrainingPlanArn") == wanted
            case _:
                continue  # sorting and paging
        if not passes:
            return False
    return True


def _sort_key(job: Job, sort_by: str, view: View) -> list[Any]:
    match sort_by:
        case "Name":
            return [job.name]
        case "Status":
            return [job.status(view.at), job.created, job.name]
        case _:
            return [job.created, job.name.lower()]


def _first(pair: tuple[list[Any], Job]) -> list[Any]:
    return pair[0]


def _token(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


def _read_token(request: Json, sort_by: str) -> list[Any] | int | None:
    """Position to continue from; a number: this many further empty pages; None: from the start."""
    text = request.get("NextToken")
    if not text:
        return None
    try:
        content = json.loads(base64.urlsafe_b64decode(text.encode()))
        if isinstance(content, int):
            return content
        kind, key = content
    except ValueError as error:
        raise invalid("Invalid NextToken.") from error
    if kind != sort_by or not isinstance(key, list):
        raise invalid("Invalid NextToken.")
    return key
