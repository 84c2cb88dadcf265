"""Rate of the sweep with an event queue: reduced while events report all changes, normal after a missing one."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from prometheus_client import CollectorRegistry

from tests.fakes.virtual_time import run
from trainingjob_operator.aws.budget import Budgets
from trainingjob_operator.aws.gateway import Target
from trainingjob_operator.clocks import Clocks
from trainingjob_operator.leadership import AlwaysLeading
from trainingjob_operator.logic.jobs.event_flow import DISTRUST_SECONDS, GRACE_SECONDS, EventFlow
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.naming import Identity
from trainingjob_operator.logic.state.outcomes import Described, Hinted
from trainingjob_operator.metrics import Metrics
from trainingjob_operator.object_store import Live, ObjectStore, StoredObject
from trainingjob_operator.runtime import Runtime
from trainingjob_operator.sweeper import EVENTFUL_SECONDS, IDLE_SECONDS, Sweeper
from trainingjob_operator.work_queue import WorkQueue

if TYPE_CHECKING:
    from trainingjob_operator.aws.gateway import Accounts
    from trainingjob_operator.logic.objects.resource import Key

TARGET = Target("123456789012", "us-east-1")
PLACE = (TARGET.account, TARGET.region)
SLOT = (*PLACE, "job")
CREATED = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECONDS = 5.0
PATH = ["Starting", "Downloading", "Training", "Uploading"]


def summary(secondary: str) -> dict[str, Any]:
    return {
        "TrainingJobName": "job",
        "TrainingJobArn": "arn:aws:sagemaker:us-east-1:123456789012:training-job/job",
        "TrainingJobStatus": "InProgress",
        "SecondaryStatus": secondary,
        "CreationTime": CREATED,
        "LastModifiedTime": CREATED + timedelta(seconds=10 * PATH.index(secondary)),
    }


@dataclass
class ListedJob:
    """One job with the times of its lists."""

    secondary: str = "Starting"
    listed: list[float] = field(default_factory=list)

    def get(self, _: Target) -> ListedJob:
        return self

    async def list_page(self, **_: Any) -> tuple[list[dict[str, Any]], str | None]:
        self.listed.append(now())
        return [summary(self.secondary)], None

    def longest_pause(self, since: float) -> float:
        """Longest time between two lists since then, up to now."""
        times = [since, *(at for at in self.listed if at >= since), now()]
        return max(after - before for before, after in pairwise(times))


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class SweepBeside:
    service: ListedJob
    flow: EventFlow
    job: StoredObject
    sweeping: asyncio.Task[None]

    def report_event(self, secondary: str) -> None:
        """Report the change as the listener does, before the sweep."""
        seen = Observation.from_summary(summary(secondary))
        self.job.note(Hinted(seen))
        self.flow.note_event(SLOT, seen, now(), is_news=True)

    def report_describe(self) -> None:
        """Report the answer of Describe as the reconciler does."""
        self.job.note(Described(Observation.from_describe(summary(self.service.secondary)), now(), Observation()))


async def sweep_beside_events() -> SweepBeside:
    """Running sweep of one followed job."""
    jobs, service, flow = ObjectStore("us"), ListedJob(), EventFlow()
    job = jobs.see({"metadata": {"namespace": "n", "name": "job", "uid": "1", "resourceVersion": "1"}}, now())
    assert job is not None
    jobs.claim(job, SLOT, is_owner=True)
    jobs.watch(job, Live(TARGET, Identity(*SLOT), Observation.from_summary(summary("Starting"))))
    queue: WorkQueue[Key] = WorkQueue(jitter=random.Random(1))
    sweeper = Sweeper(
        Runtime(
            jobs,
            queue,
            AlwaysLeading(),
            Metrics(CollectorRegistry(), "1", now),
            Clocks(now, lambda: CREATED, random.Random(1)),
        ),
        seconds=SECONDS,
        call_seconds=0.0,
        accounts=cast("Accounts", service),
        budgets=Budgets(now, list_tps=100),
        flow=flow,
    )
    sweeping = asyncio.create_task(sweeper.run())
    queue.release(await queue.take())  # the first reconcile
    await asyncio.sleep(20)
    assert service.longest_pause(now() - 15) <= SECONDS + IDLE_SECONDS
    return SweepBeside(service, flow, job, sweeping)


def test_the_sweep_is_slower_while_events_report_each_change_first() -> None:
    async def main() -> None:
        world = await sweep_beside_events()
        for secondary in PATH[1:]:
            world.service.secondary = secondary
            world.report_event(secondary)
            await asyncio.sleep(1)
            world.report_describe()
            began, listed = now(), len(world.service.listed)
            await asyncio.sleep(600)
            assert len(world.service.listed) - listed <= 2 * (600 / EVENTFUL_SECONDS + 2)
            assert world.service.longest_pause(began) <= EVENTFUL_SECONDS + SECONDS + 1

    run(main())


def test_a_change_reported_and_listed_before_its_describe_does_not_count_as_a_missing_event() -> None:
    async def main() -> None:
        world = await sweep_beside_events()
        world.service.secondary = "Downloading"
        world.report_event("Downloading")
        await asyncio.sleep(EVENTFUL_SECONDS * 3)
        assert world.flow.is_flowing(PLACE, now())

    run(main())


def test_one_missing_event_restores_the_rate_of_the_sweep_for_a_while() -> None:
    async def main() -> None:
        world = await sweep_beside_events()
        world.service.secondary = "Downloading"
        world.report_event("Downloading")
        world.report_describe()
        await asyncio.sleep(100)
        world.service.secondary = "Training"  # without an event
        missed = now()
        await asyncio.sleep(EVENTFUL_SECONDS + SECONDS + 1)
        assert world.job.memory.job.needs_describe, "the sweep found the change"
        world.report_describe()
        await asyncio.sleep(GRACE_SECONDS + SECONDS)
        began = now()
        await asyncio.sleep(DISTRUST_SECONDS - (began - missed))
        assert world.service.longest_pause(began) <= SECONDS + 1
        await asyncio.sleep(2 * EVENTFUL_SECONDS)
        world.service.secondary = "Uploading"
        world.report_event("Uploading")
        assert world.flow.is_flowing(PLACE, now())

    run(main())
