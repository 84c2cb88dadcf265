"""Commands of tests and people for a running stand-in: `POST /_control/<command>` with JSON, answered with JSON.

Each public method of Commands is one command; its keyword arguments are the members of the JSON object. stand_in.py is
the typed client.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import inspect
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.sagemaker.events import Delivery
from tests.sagemaker.faults import Fault
from tests.sagemaker.identity import DEFAULT_ACCOUNT
from tests.sagemaker.samples import minimal
from tests.sagemaker.service import ServiceError, partition_of
from tests.sagemaker.timeline import Plan, moment, read_plan

if TYPE_CHECKING:
    from tests.sagemaker.calls import Call
    from tests.sagemaker.job import Job, Json
    from tests.sagemaker.server import Front

PREFIX = "/_control/"


class Commands:
    """The control interface of one stand-in."""

    def __init__(self, front: Front, *, account: str = DEFAULT_ACCOUNT, region: str = "us-east-1") -> None:
        self._front = front
        self._account = account
        self._region = region

    async def answer(self, request: web.BaseRequest) -> web.Response:
        method = getattr(self, request.path.removeprefix(PREFIX), None)
        if method is None or not inspect.ismethod(method) or method.__name__.startswith("_"):
            return web.json_response({"error": f"no command {request.path}"}, status=404)
        try:
            result = method(**json.loads(await request.read() or b"{}"))
        except (ServiceError, TypeError, ValueError, KeyError) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)
        return web.json_response(result)

    # -- settings --------------------------------------------------------------------------------------

    def plan(self, name: str = "*", **values: Any) -> None:
        """Sets the plan of future jobs with a name that matches the glob (members of timeline.Plan). It overrides the
        plan in the job's own input; the latest match wins.
        """
        read_plan(values, Plan())
        self._front.service.plans.insert(0, (name, values))

    def settings(self, **values: Any) -> Json:
        """Changes service.Settings, or `latency` (seconds of each call); answers all of them."""
        if "latency" in values:
            self._front.latency = values.pop("latency")
        if "filters_after_paging" in values:
            values["filters_after_paging"] = frozenset(values["filters_after_paging"])
        service = self._front.service
        service.settings = dataclasses.replace(service.settings, **values)
        current = dataclasses.asdict(service.settings)
        return current | {
            "filters_after_paging": sorted(service.settings.filters_after_paging),
            "latency": self._front.latency,
        }

    def fault(self, seconds: float | None = None, **values: Any) -> int:
        """Adds a fault (see faults.Fault), for a number of seconds if given; answers its number."""
        until = None if seconds is None else self._front.clock() + seconds
        return self._front.faults.add(Fault(until=until, **values))

    def faults(self) -> list[Json]:
        """Active faults that are not used up."""
        return [dataclasses.asdict(fault) | {"hits": self.hits(fault.number)} for fault in self._front.faults]

    def clear_faults(self, number: int | None = None) -> None:
        self._front.faults.remove(number)

    def hits(self, number: int) -> int:
        """Number of calls hit by a fault, also after it is used up."""
        return self._front.faults.hits[number]

    def release(self, number: int, drop: bool = False) -> None:
        """Releases or drops the calls under a hold; later calls are not held."""
        self._front.faults.remove(number)
        held = self._front.held.setdefault(number, asyncio.Future())
        if not held.done():
            held.set_result(drop)

    def quota(self, operation: str, rate: float | None = None, burst: float | None = None) -> None:
        """Limits the calls per second of an account and region; without a rate the limit is removed."""
        self._front.quotas.set(operation, rate, burst)

    def identity(self, **values: Any) -> None:
        """Changes attributes of identity.Identity: accounts, refused_keys, denied_roles, external_ids, …"""
        for name, value in values.items():
            if name not in vars(self._front.identity) or name.startswith("_"):
                raise ValueError(f"identity has no {name}")
            setattr(self._front.identity, name, value)

    def expire_sessions(self) -> int:
        return self._front.identity.expire_sessions()

    def seen_web_tokens(self) -> list[str]:
        return self._front.identity.seen_web_tokens

    def advance(self, seconds: float) -> float:
        """Advances the service's clock; answers its time."""
        self._front.clock.offset += seconds
        return self._front.clock()

    def send_events(self, queue: str, **how: Any) -> None:
        """Sends every change of a job as an EventBridge event to this queue (URL, in the default region)."""
        account, name = queue.split("/")[-2:]
        target = self._front.queues.get(account, self._region, name)
        self._front.events.start(lambda body: self._front.queues.send(target, body), Delivery(**how))

    def pause_events(self) -> None:
        self._front.events.pause()

    # -- queries ---------------------------------------------------------------------------------------

    def calls(
        self,
        operation: str | None = None,
        job: str | None = None,
        since: int = 0,
        effect: bool | None = None,
    ) -> list[Json]:
        selected = self._front.calls.select(operation=operation, job=job, since=since, effect=effect)
        return [_call(call) for call in selected]

    def counts(self) -> Json:
        calls = self._front.calls
        return {"total": len(calls), "operations": dict(calls.counts), "errors": dict(calls.errors)}

    def drift(self) -> list[str]:
        """Answers of the stand-in outside SageMaker's shapes; must stay empty."""
        return self._front.drift

    def jobs(self, account: str | None = None, region: str | None = None) -> list[Json]:
        """Summaries of all jobs, with account and region."""
        now = self._front.service.now()
        return [
            {"Account": key[0], "Region": key[1], **job.summary(now)}
            for key, shelf in self._front.service.shelves().items()
            if account in {None, key[0]} and region in {None, key[1]}
            for job in shelf.jobs.values()
        ]

    def job(self, name: str, account: str | None = None, region: str | None = None) -> Json | None:
        """One job: its original request, its tags, and the current answer of Describe; None for a missing job."""
        job = self._find(name, account, region)
        if job is None:
            return None
        now = self._front.service.now()
        return {
            "account": job.account,
            "region": job.region,
            "request": job.request,
            "tags": job.tags,
            "description": job.describe(now),
            "ends": job.ended_at() if job.ended_at() < float("inf") else None,
        }

    # -- the console -----------------------------------------------------------------------------------

    def stop(self, name: str, account: str | None = None, region: str | None = None) -> None:
        self._by_hand("StopTrainingJob", name, account, region)

    def delete(self, name: str, account: str | None = None, region: str | None = None) -> None:
        self._by_hand("DeleteTrainingJob", name, account, region)

    def fail(self, name: str, reason: str | None = None, account: str | None = None, region: str | None = None) -> None:
        job = self._need(name, account, region)
        if reason is not None:
            job.plan = dataclasses.replace(job.plan, failure_reason=reason)
        self._end(job, "Failed", "")

    def complete(self, name: str, account: str | None = None, region: str | None = None) -> None:
        self._end(self._need(name, account, region), "Completed", "")

    def enter(self, name: str, status: str, account: str | None = None, region: str | None = None) -> None:
        """Puts a running job into a status (`Secondary` or `Primary/Secondary`) until the next command."""
        self._end(self._need(name, account, region), status, "")

    def tag(self, name: str, tags: dict[str, str], account: str | None = None, region: str | None = None) -> None:
        job = self._need(name, account, region)
        job.tags = job.tags | tags

    def untag(
        self,
        name: str,
        keys: list[str] | None = None,
        account: str | None = None,
        region: str | None = None,
    ) -> None:
        """Removes these tags, or all."""
        job = self._need(name, account, region)
        job.tags = {key: value for key, value in job.tags.items() if keys is not None and key not in keys}

    def create(self, name: str, account: str | None = None, region: str | None = None, **request: Any) -> str:
        """Creates a job of another client, with the given members of CreateTrainingJob. Answers its ARN."""
        account, region = account or self._account, region or self._region
        members = minimal(name, account) | request
        answer: Json = self._front.service.handle("CreateTrainingJob", account, region, members)
        return str(answer["TrainingJobArn"])

    def foreign(
        self,
        count: int,
        prefix: str = "foreign",
        status: str = "Completed",
        oldest: float = 30 * 86400.0,
        newest: float = 0.0,
        account: str | None = None,
        region: str | None = None,
    ) -> int:
        """Creates many jobs of another client at once, in one lasting status, with creation times spread over these
        ages in seconds.
        """
        account, region = account or self._account, region or self._region
        service, now = self._front.service, self._front.service.now()
        shelf = service.shelf(account, region)
        arn = f"arn:{partition_of(region)}:sagemaker:{region}:{account}:training-job/"
        model = service.build(account, region, arn + prefix, minimal(prefix, account), now)
        jobs = []
        for number in range(count):
            job = copy.copy(model)  # all jobs share the common parts, because no code changes them in place
            job.name = f"{prefix}-{number:06d}"
            job.arn = arn + job.name.lower()
            job.created = round(now - oldest + (oldest - newest) * number / count, 3)
            job.fixed = {**model.fixed, "TrainingJobName": job.name}
            job.moments = [moment(job.created, status)]
            jobs.append(job)
        shelf.add(jobs, now)
        return count

    # -- internals -------------------------------------------------------------------------------------

    def _find(self, name: str, account: str | None, region: str | None) -> Job | None:
        for key, shelf in self._front.service.shelves().items():
            if account in {None, key[0]} and region in {None, key[1]} and name.lower() in shelf.jobs:
                return shelf.jobs[name.lower()]
        return None

    def _need(self, name: str, account: str | None, region: str | None) -> Job:
        job = self._find(name, account, region)
        if job is None:
            raise ValueError(f"no job {name}")
        return job

    def _by_hand(self, operation: str, name: str, account: str | None, region: str | None) -> None:
        job = self._need(name, account, region)
        self._front.service.handle(operation, job.account, job.region, {"TrainingJobName": job.name})

    def _end(self, job: Job, status: str, message: str) -> None:
        service = self._front.service
        shelf = service.shelf(job.account, job.region)
        service.interfere(shelf, job, [moment(service.now(), status, message)])


def _call(call: Call) -> Json:
    return {field.name: getattr(call, field.name) for field in dataclasses.fields(call)}
