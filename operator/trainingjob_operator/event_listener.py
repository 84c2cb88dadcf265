"""Event listener: reads the SQS queue of EventBridge events and queues their jobs.

An event is a hint: it triggers a reconcile, and the reconciler describes the job. The sweep finds changes without an
event. logic/jobs/job_events.py parses messages.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from trainingjob_operator.aws.event_queue import BATCH, Message
from trainingjob_operator.health import Heartbeat
from trainingjob_operator.leadership import NotLeading
from trainingjob_operator.logic.backoff import Backoff
from trainingjob_operator.logic.jobs.errors import AwsError
from trainingjob_operator.logic.jobs.event_flow import EventFlow
from trainingjob_operator.logic.jobs.job_events import read_event
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.naming import Slot
from trainingjob_operator.logic.state.outcomes import Hinted
from trainingjob_operator.runtime import Runtime

log = logging.getLogger(__name__)

BACKOFF = Backoff(1.0, 60.0)
"""After errors; the sweep keeps its own interval meanwhile."""

IDLE_SECONDS = 0.5
"""Polling interval of leadership."""

GATHER_SECONDS = 0.2
"""Pause after a partial batch; one call per message would cost more than its job."""

PATIENCE = (0.5, 2.0, 5.0)
"""Retry delays of a hint without confirmation: Describe may lag behind events, and a new job may not be tracked yet."""

TICK_SECONDS = 0.25
"""Resolution of the retry delays."""


class Queue(Protocol):
    """The event queue (aws/event_queue.py)."""

    async def receive(self) -> list[Message]: ...

    async def delete(self, messages: Collection[Message]) -> None: ...


@dataclass(frozen=True, slots=True)
class _Hint:
    """State of a job in an event, number of tries, and time of the next one."""

    seen: Observation
    tries: int
    due: float


class EventListener:
    """Reads one queue for the jobs of all accounts and regions while this replica leads."""

    def __init__(self, runtime: Runtime, *, events: Queue, flow: EventFlow, url: str = "") -> None:
        """:param url: queue URL for log lines"""
        self._jobs = runtime.jobs
        self._queue = runtime.queue
        self._leadership = runtime.leadership
        self._metrics = runtime.metrics
        self._clocks = runtime.clocks
        self._events = events
        self._flow = flow
        self._url = url
        self.heartbeat = Heartbeat(runtime.clocks.monotonic)
        self._hints: dict[Slot, _Hint] = {}

    async def run(self) -> None:
        """Read the queue and retry hints; never returns."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._listen())
            loops.create_task(self._insist())

    async def _listen(self) -> None:
        trouble: AwsError | None = None
        failures, is_first = 0, True
        while True:
            self.heartbeat.tick()
            if not self._leadership.is_leading():
                await asyncio.sleep(IDLE_SECONDS)
                continue
            try:
                messages = await self._events.receive()
                if is_first and trouble is None:
                    log.info("Reading the event queue", extra={"url": self._url})
                is_first = False
                self._take(messages)
                if messages:
                    await self._events.delete(messages)
            except NotLeading:
                continue  # SQS delivers them again, to the leader
            except AwsError as error:
                if trouble is None:
                    log.warning(
                        "Event queue unavailable; the sweep continues without it: %s",
                        error,
                        extra={"url": self._url},
                    )
                trouble, failures = error, failures + 1
                self._flow.note_failure()
                self._metrics.event_queue_failed(error)
                await asyncio.sleep(self._pause(failures))
                continue
            # An empty batch is no proof that DeleteMessageBatch works again.
            if trouble is not None and (messages or trouble.operation != "DeleteMessageBatch"):
                log.info("Event queue available again")
                trouble, failures = None, 0
            if len(messages) < BATCH:
                await asyncio.sleep(GATHER_SECONDS)

    def _pause(self, failures: int) -> float:
        return BACKOFF.after(failures) * self._clocks.jitter.uniform(0.5, 1.0)

    def _take(self, messages: Sequence[Message]) -> None:
        now = self._clocks.monotonic()
        for message in messages:
            event = read_event(message.body)
            if event is None:
                # Deleted like the others: SQS would deliver it again and again.
                outcome = "unreadable"
            elif not self._jobs.claimants(event.identity.slot):
                outcome = "foreign"
            else:
                outcome = "news" if self._try(event.identity.slot, event.seen, 0, now) else "known"
            self._metrics.event_received(outcome)

    def _try(self, slot: Slot, seen: Observation, tries: int, now: float) -> bool:
        """Queue the job if its state is new, and keep the hint until confirmation; True if the state is new."""
        open_hint = self._hints.get(slot)
        if tries == 0 and open_hint is not None and open_hint.seen.is_newer_than(seen):
            return False
        is_news = is_open = False
        for tracked in self._jobs.claimants(slot):
            known = tracked.seen
            if known is None:
                is_open = True
            elif seen.shows_change_from(known) and (tries == 0 or seen.has_other_phase_than(known)):
                is_news = is_open = True
                tracked.note(Hinted(seen))
                self._queue.add(tracked.key, urgent=True)
        # Only a first delivery proves that events flow; a retried hint may outlive the queue.
        self._flow.note_event(slot, seen, now, is_news=is_news and tries == 0)
        if is_open and tries < len(PATIENCE):
            self._hints[slot] = _Hint(seen, tries + 1, now + PATIENCE[tries])
        else:
            self._hints.pop(slot, None)
        return is_news

    async def _insist(self) -> None:
        """Retry hints without timely confirmation; never returns."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = self._clocks.monotonic()
            for slot, hint in [(slot, hint) for slot, hint in self._hints.items() if now >= hint.due]:
                self._try(slot, hint.seen, hint.tries, now)
