"""Kubernetes Events, posted in the background: a reconcile never waits for one.

What is worth an Event and its words are decided in logic/events.py.
"""

import asyncio
import hashlib
import logging
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from trainingjob_operator.kube.client import WRITE_SECONDS, ApiServer
from trainingjob_operator.kube.errors import AlreadyExists, Forbidden, KubeError, Unavailable
from trainingjob_operator.kube.objects import API_VERSION, KIND

log = logging.getLogger(__name__)

COMPONENT = "trainingjob-operator"
ACTION = "Reconcile"
"""The API server requires one; no other is taken."""
INTERNAL_ERROR = "InternalError"
"""The API server's reason where a webhook could not be asked, among others."""
MESSAGE_LIMIT = 1024
"""Bytes of a message that the API server takes."""
INSTANCE_LIMIT = 128
"""Characters of a reporting instance that it takes."""
NAME_LIMIT = 253
"""Characters of an object's name that it takes."""
TICK = timedelta(microseconds=1)
"""The precision of `eventTime`."""
RETRY_LIMIT = 30.0
"""Seconds between two tries at most, while the API server is away."""
YIELDING = 4.0
"""So much slower they are posted while more pressing work waits for the same API server."""
MOST_FAILURES = 3
"""So often the API server may answer with an error of its own, as where a webhook fails, until an Event is given up."""
IN_FLIGHT = 4
"""So many Events are posted side by side: one by one they would fall behind a busy API server."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The TrainingJob that an Event is about."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class _Record:
    """An Event that waits, in less memory than as the object that it becomes."""

    subject: Subject
    kind: str
    reason: str
    message: str
    key: str
    order: str
    moment: datetime
    failures: int = 0
    """How often the API server answered with an error of its own."""

    def compose(self, instance: str) -> dict[str, Any]:
        """The object that is posted."""
        subject, message = self.subject, self.message
        # Event lists come in the order of their names, and `kubectl describe` sorts by a time that this API lacks.
        digest = hashlib.sha256(f"{subject.uid}/{self.key}".encode()).hexdigest()[:16]
        suffix = f".{self.order}{digest}"
        if len(message.encode()) > MESSAGE_LIMIT:
            message = message.encode()[: MESSAGE_LIMIT - 3].decode(errors="ignore") + "…"
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                "name": subject.name[: NAME_LIMIT - len(suffix)].rstrip("-.") + suffix,
                "namespace": subject.namespace,
            },
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "namespace": subject.namespace,
                "name": subject.name,
                "uid": subject.uid,
            },
            "type": self.kind,
            "reason": self.reason,
            "note": message,
            "eventTime": self.moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "action": ACTION,
            "reportingController": COMPONENT,
            "reportingInstance": instance[:INSTANCE_LIMIT],
        }


class EventRecorder:
    """A bounded queue, from which `run` posts at most `burst` at once and `per_second` lasting, less while `is_busy`.

    The limits are for thousands of jobs that are applied at once: each is worth eight Events or so in its life, and
    what brings the jobs about has to come first, as long as the queue is less than half full.

    The name of an Event follows from the object's uid and the caller's key and order, so that what is recorded again
    after a crash exists already. When the queue is full the oldest Event is dropped and `dropped` called.
    `instance` names this process to readers of its Events.
    """

    def __init__(
        self,
        api: ApiServer,
        *,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        jitter: random.Random,
        dropped: Callable[[], None],
        is_busy: Callable[[], bool],
        instance: str,
        capacity: int = 20_000,
        per_second: float = 100.0,
        burst: int = 100,
    ) -> None:
        self._api = api
        self._clock = clock
        self._now = now
        self._jitter = jitter
        self._dropped = dropped
        self._is_busy = is_busy
        self._instance = instance
        self._last_moment = datetime.min.replace(tzinfo=UTC)
        self._capacity = capacity
        self._interval = 1.0 / per_second
        self._burst = burst
        self._queue: deque[_Record] = deque()
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()
        self._posting = 0
        self._full_at = clock()  # when the token bucket will be full; every token taken moves it on
        self._denial_logged = False

    def record(self, subject: Subject, kind: str, reason: str, message: str, key: str, order: str = "") -> None:
        """Queue one Event.

        :param kind: Normal or Warning
        :param key: tells it from the object's other Events
        :param order: sorts it, as text, among the object's other Events; letters and digits as in names of objects
        """
        moment = self._now()
        if moment <= self._last_moment < moment + timedelta(seconds=1):  # else the clock was set back
            moment = self._last_moment + TICK
        self._last_moment = moment
        if len(self._queue) >= self._capacity:
            self._queue.popleft()
            self._dropped()
        self._queue.append(_Record(subject, kind, reason, message, key, order, moment))
        self._filled.set()
        self._emptied.clear()

    async def run(self) -> None:
        """Post until cancelled."""
        async with asyncio.TaskGroup() as posters:
            for _ in range(IN_FLIGHT):
                posters.create_task(self._post_in_turn())

    async def _post_in_turn(self) -> None:
        failures = 0
        while True:
            event = await self._take()
            self._posting += 1
            try:
                await self._post(event)
            except Unavailable as error:
                failures += 1
                if error.reason == INTERNAL_ERROR:  # it may be of this one alone: the others need not wait for long
                    event, failures = replace(event, failures=event.failures + 1), 1
                if event.failures < MOST_FAILURES and len(self._queue) < self._capacity:
                    self._queue.append(event)
                    self._filled.set()
                else:
                    self._dropped()
                backoff = min(RETRY_LIMIT, 0.5 * 2.0 ** min(failures, 16)) * self._jitter.uniform(0.5, 1.0)
                log.debug("Events wait for the API server: %s", error)
                await asyncio.sleep(max(error.retry_after, backoff))
            else:
                failures = 0
            finally:
                self._posting -= 1
            if not self._queue and not self._posting:
                self._emptied.set()

    async def _take(self) -> _Record:
        """The oldest Event, once there is one and the rate lets it out."""
        while True:
            await self._filled.wait()
            if not self._queue:
                continue  # all that waited were woken, and another was quicker
            wait = self._full_at - (self._burst - 1) * self._interval - self._clock()
            if wait > 0:
                await asyncio.sleep(wait)
                continue
            event = self._queue.popleft()
            if not self._queue:
                self._filled.clear()
            yields = self._is_busy() and len(self._queue) < self._capacity / 2
            interval = self._interval * (YIELDING if yields else 1.0)
            self._full_at = max(self._full_at, self._clock()) + interval
            return event

    async def flush(self, seconds: float) -> None:
        """Give the queue at most that long to empty, before `run` is cancelled."""
        try:
            await asyncio.wait_for(self._emptied.wait(), seconds)
        except TimeoutError:
            log.warning("%d Events were not posted before the end", len(self._queue))

    async def _post(self, event: _Record) -> None:
        path = f"/apis/events.k8s.io/v1/namespaces/{event.subject.namespace}/events"
        body = event.compose(self._instance)
        try:
            await self._api.call("POST", path, seconds=WRITE_SECONDS, body=body)
        except AlreadyExists:
            pass
        except Unavailable:
            raise
        except Forbidden as error:
            if error.namespace_terminating or self._denial_logged:
                log.debug("An Event was refused: %s", error)
            else:
                self._denial_logged = True
                log.warning("Events can't be posted without the right to create events.events.k8s.io: %s", error)
        except KubeError as error:
            log.debug("An Event was refused: %s", error)
