"""Event listener: requeued objects by message, retries, and a missing queue."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import random
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ParamSpec

import pytest
from prometheus_client import CollectorRegistry

from tests.fakes.virtual_time import run
from trainingjob_operator.aws.event_queue import BATCH, Message
from trainingjob_operator.aws.gateway import Target
from trainingjob_operator.clocks import Clocks
from trainingjob_operator.event_listener import GATHER_SECONDS, PATIENCE, TICK_SECONDS, EventListener
from trainingjob_operator.leadership import AlwaysLeading, NotLeading
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass
from trainingjob_operator.logic.jobs.event_flow import EventFlow
from trainingjob_operator.logic.jobs.job_events import DETAIL_TYPE, SOURCE
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.naming import Identity, build_arn
from trainingjob_operator.logic.state.outcomes import Described
from trainingjob_operator.metrics import Metrics
from trainingjob_operator.object_store import Live, ObjectStore, StoredObject
from trainingjob_operator.runtime import Runtime
from trainingjob_operator.work_queue import WorkQueue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Coroutine

    from trainingjob_operator.logic.objects.resource import Key

P = ParamSpec("P")

PLACE = ("123456789012", "us-east-1")
CREATED = datetime(2026, 11, 21, 12, tzinfo=UTC)
PATH = ["Starting", "Downloading", "Training", "Uploading"]
GONE = AwsError("ReceiveMessage", "NonExistentQueue", "It is gone.", ErrorClass.REFUSED, definite=True)
KEPT = AwsError("DeleteMessageBatch", "AccessDenied", "No.", ErrorClass.DENIED, definite=True)


def modified(secondary: str) -> datetime:
    return CREATED + timedelta(seconds=10 * PATH.index(secondary))


def event(name: str, secondary: str) -> str:
    detail = {
        "TrainingJobArn": build_arn("aws", Identity(*PLACE, name)),
        "TrainingJobStatus": "InProgress",
        "SecondaryStatus": secondary,
        "LastModifiedTime": round(modified(secondary).timestamp() * 1000),
    }
    return json.dumps({"source": SOURCE, "detail-type": DETAIL_TYPE, "detail": detail})


def seen(secondary: str) -> Observation:
    members = {"TrainingJobStatus": "InProgress", "SecondaryStatus": secondary}
    return Observation.from_describe({**members, "LastModifiedTime": modified(secondary)})


def now() -> float:
    return asyncio.get_running_loop().time()


class ScriptedQueue:
    """Event queue with prepared batches, in order; an error among them is raised."""

    def __init__(self) -> None:
        self.coming: deque[list[str] | AwsError] = deque()
        self.deleted: list[str] = []
        self.polls = 0
        self.keeps: Exception | None = None
        self._news = asyncio.Event()

    def bring(self, *batches: list[str] | AwsError) -> None:
        self.coming.extend(batches)
        self._news.set()

    async def receive(self) -> list[Message]:
        self.polls += 1
        while not self.coming:
            self._news.clear()
            await self._news.wait()
        batch = self.coming.popleft()
        if isinstance(batch, AwsError):
            raise batch
        return [Message(body, body) for body in batch]

    async def delete(self, messages: Collection[Message]) -> None:
        if self.keeps is not None:
            raise self.keeps
        self.deleted += [message.receipt for message in messages]


class Follower(AlwaysLeading):
    def is_leading(self) -> bool:
        return False


@dataclass
class Listening:
    """Listener with its dependencies."""

    jobs: ObjectStore = field(default_factory=lambda: ObjectStore("us"))
    queue: WorkQueue[Key] = field(default_factory=lambda: WorkQueue(jitter=random.Random(1)))
    flow: EventFlow = field(default_factory=EventFlow)
    events: ScriptedQueue = field(default_factory=ScriptedQueue)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def track(self, name: str, secondary: str | None) -> StoredObject:
        """Object with a followed job in this last observed state, or without one."""
        body = {"metadata": {"namespace": "n", "name": name, "uid": name, "resourceVersion": "1"}}
        tracked = self.jobs.see(body, 0)
        assert tracked is not None
        self.jobs.claim(tracked, Identity(*PLACE, name).slot, is_owner=True)
        if secondary is not None:
            self.follow(tracked, secondary)
        return tracked

    def follow(self, tracked: StoredObject, secondary: str) -> None:
        identity = Identity(*PLACE, tracked.key[1])
        self.jobs.watch(tracked, Live(Target(*PLACE), identity, seen(secondary).summary()))

    @asynccontextmanager
    async def listening(self, leadership: AlwaysLeading | None = None) -> AsyncIterator[None]:
        runtime = Runtime(
            self.jobs,
            self.queue,
            leadership or AlwaysLeading(),
            Metrics(self.registry, "1", now),
            Clocks(now, lambda: CREATED, random.Random(1)),
        )
        self.listener = EventListener(runtime, events=self.events, flow=self.flow)
        task = asyncio.create_task(self.listener.run())
        try:
            yield
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    async def woken(self) -> str | None:
        """Due object, taken from the work queue."""
        if not self.queue.depth:
            return None
        key = await self.queue.take()
        self.queue.release(key)
        return key[1]

    def count(self, outcome: str) -> float | None:
        return self.registry.get_sample_value("trainingjob_event_queue_messages_total", {"outcome": outcome})


@pytest.fixture
def world() -> Listening:
    return Listening()


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    @functools.wraps(test)
    def run_test(*args: P.args, **kwargs: P.kwargs) -> None:
        run(test(*args, **kwargs))

    return run_test


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@in_virtual_time
async def test_an_event_wakes_its_job_and_is_deleted(world: Listening) -> None:
    job, other = world.track("Job", "Starting"), world.track("other", "Starting")
    message = event("Job", "Training")
    async with world.listening():
        world.events.bring([message])
        await settle()
    assert (job.memory.job.needs_describe, other.memory.job.needs_describe) == (True, False)
    assert job.memory.job.hint is not None
    assert job.memory.job.hint.secondary_status == "Training"
    assert await world.woken() == "Job"
    assert world.events.deleted == [message]
    assert world.flow.is_flowing(PLACE, now())


@pytest.mark.parametrize(
    ("message", "outcome"),
    [
        pytest.param(event("job", "Training"), "known", id="known state"),
        pytest.param(event("job", "Starting"), "known", id="older than the observation"),
        pytest.param(event("stranger", "Training"), "foreign", id="unclaimed job"),
        pytest.param('{"poison": ', "unreadable", id="invalid event"),
    ],
)
@in_virtual_time
async def test_a_message_without_news_requeues_no_object_and_is_deleted(
    world: Listening, message: str, outcome: str
) -> None:
    job = world.track("job", "Training")
    async with world.listening():
        world.events.bring([message, message])
        await settle()
    assert not job.memory.job.needs_describe
    assert await world.woken() is None
    assert world.events.deleted == [message, message]
    assert world.count(outcome) == 2
    assert not world.flow.is_flowing(PLACE, now())


@in_virtual_time
async def test_single_messages_are_collected_and_full_batches_are_handled_at_once(world: Listening) -> None:
    full = [event("stranger", "Training")] * BATCH
    async with world.listening():
        world.events.bring(full, full, full[:1], full[:1], full[:1])
        await settle()
        assert len(world.events.deleted) == 2 * BATCH + 1
        await asyncio.sleep(GATHER_SECONDS * 1.5)
        assert len(world.events.deleted) == 2 * BATCH + 2


@in_virtual_time
async def test_an_event_waits_for_the_object_of_its_job(world: Listening) -> None:
    job = world.track("job", None)
    async with world.listening():
        world.events.bring([event("job", "Downloading")])
        await settle()
        assert await world.woken() is None
        world.follow(job, "Starting")
        await asyncio.sleep(PATIENCE[0] + TICK_SECONDS)
    assert await world.woken() == "job"
    assert job.memory.job.needs_describe


@in_virtual_time
async def test_a_hint_is_retried_until_a_describe_confirms_it(world: Listening) -> None:
    job = world.track("job", "Starting")
    async with world.listening():
        world.events.bring([event("job", "Training"), event("job", "Downloading")])
        await settle()
        assert await world.woken() == "job"
        await asyncio.sleep(PATIENCE[0] + TICK_SECONDS)
        assert await world.woken() == "job"
        job.note(Described(seen("Training"), now(), Observation()))
        await asyncio.sleep(PATIENCE[1] + TICK_SECONDS)
        assert await world.woken() is None


@in_virtual_time
async def test_a_hint_without_confirmation_by_describe_is_dropped(world: Listening) -> None:
    world.track("job", "Starting")
    woken = []
    async with world.listening():
        world.events.bring([event("job", "Training")])
        await settle()
        woken.append(await world.woken())
        for pause in [*PATIENCE, 60.0]:
            await asyncio.sleep(pause + TICK_SECONDS)
            woken.append(await world.woken())
    assert woken == ["job"] * (1 + len(PATIENCE)) + [None]


@in_virtual_time
async def test_a_missing_queue_is_logged_once_and_suspends_the_trust_in_events(
    world: Listening, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world.track("job", "Starting")
    world.flow.note_event((*PLACE, "job"), seen("Starting"), now(), is_news=True)
    async with world.listening():
        world.events.bring(GONE)
        await settle()
        assert not world.flow.is_flowing(PLACE, now())
        world.events.bring(GONE, [event("job", "Training")])
        await asyncio.sleep(3.2)  # the first pause is at most a second, the next at most two
    assert world.count("news") == 1
    assert world.flow.is_flowing(PLACE, now())
    errors = {"kind": GONE.kind.value}
    assert world.registry.get_sample_value("trainingjob_event_queue_errors_total", errors) == 2
    assert [record.message for record in caplog.records] == [
        "Event queue unavailable; the sweep continues without it: NonExistentQueue: It is gone.",
        "Event queue available again",
    ]


@in_virtual_time
async def test_failed_deletions_of_messages_are_an_error_until_one_succeeds(
    world: Listening, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    job = world.track("job", "Starting")
    world.events.keeps = KEPT
    async with world.listening():
        world.events.bring([event("job", "Training")])
        await settle()
        world.events.bring([])
        await asyncio.sleep(1.1)
    assert job.memory.job.needs_describe
    assert not world.flow.is_flowing(PLACE, now())
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]


@in_virtual_time
async def test_only_the_leader_reads_the_queue(world: Listening) -> None:
    async with world.listening(Follower()):
        world.events.bring(["message"])
        began = now()
        await asyncio.sleep(1.2)
        assert world.listener.heartbeat.last() > began
    assert world.events.polls == 0


@in_virtual_time
async def test_a_former_leader_leaves_the_messages_to_the_next(
    world: Listening, caplog: pytest.LogCaptureFixture
) -> None:
    world.events.keeps = NotLeading()
    async with world.listening():
        world.events.bring(["message"])
        await settle()
    assert world.events.deleted == []
    assert caplog.records == []
