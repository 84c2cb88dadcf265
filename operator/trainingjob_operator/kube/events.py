"""Event recorder: posts Kubernetes Events in the background, without delaying reconciles.

logic/status/events.py decides on Events and their messages.
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
from trainingjob_operator.logic.backoff import Backoff

log = logging.getLogger(__name__)

COMPONENT = "trainingjob-operator"
ACTION = "Reconcile"
"""Value of the required field `action`, the same for every Event."""
INTERNAL_ERROR = "InternalError"
"""The API server's reason for a failing webhook, among other errors."""
MESSAGE_LIMIT = 1024
"""Maximum length of `note` in bytes, by API validation."""
INSTANCE_LIMIT = 128
"""Maximum length of `reportingInstance` in characters, by API validation."""
NAME_LIMIT = 253
"""Maximum length of an object name in characters, by API validation."""
TICK = timedelta(microseconds=1)
"""The precision of `eventTime`."""
BACKOFF = Backoff(1.0, 30.0)
"""While the API server is unavailable."""
YIELDING = 4.0
"""Slowdown factor while reconciles wait for the same API server."""
MOST_FAILURES = 3
"""Internal errors of the API server, such as failing webhooks, before an Event is dropped."""
IN_FLIGHT = 4
"""Number of Events posted concurrently; sequential posts would fall behind a busy API server."""


@dataclass(frozen=True, slots=True)
class Subject:
    """TrainingJob of an Event."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class _Record:
    """Queued Event, in a compact form until it is posted."""

    subject: Subject
    kind: str
    reason: str
    message: str
    key: str
    order: str
    moment: datetime
    failures: int = 0
    """Number of internal errors of the API server."""

    def compose(self, instance: str) -> dict[str, Any]:
        """Build the Event object."""
        subject, message = self.subject, self.message
        # The API lists Events by name, and `kubectl describe` sorts by a timestamp missing in events.k8s.io/v1.
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
    """Bounded queue of Events; `run` posts `per_second` with bursts of `burst`, and fewer while `is_busy`.

    The limits cover thousands of concurrent jobs with about eight Events each. Reconciles take precedence over Events
    until the queue is half full.

    The name of an Event is a hash of the object's UID and the caller's key and order, so recording is idempotent across
    restarts. A full queue drops its oldest Event and calls `dropped`. `instance` is the reporting instance of Events.
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
        self._full_at = clock()  # time at which the token bucket is full; every token moves it on
        self._denial_logged = False

    def record(self, subject: Subject, kind: str, reason: str, message: str, key: str, order: str = "") -> None:
        """Queue one Event.

        :param kind: Normal or Warning
        :param key: unique among the Events of the object
        :param order: sort key, as text, among the Events of the object; characters of object names
        """
        moment = self._now()
        if moment <= self._last_moment < moment + timedelta(seconds=1):  # beyond a second the clock was set back
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
                if error.reason == INTERNAL_ERROR:  # possibly specific to this Event; keep the back-off short
                    event, failures = replace(event, failures=event.failures + 1), 1
                if event.failures < MOST_FAILURES and len(self._queue) < self._capacity:
                    self._queue.append(event)
                    self._filled.set()
                else:
                    self._dropped()
                backoff = BACKOFF.after(failures) * self._jitter.uniform(0.5, 1.0)
                log.debug("Cannot post Events, backing off: %s", error)
                await asyncio.sleep(max(error.retry_after, backoff))
            else:
                failures = 0
            finally:
                self._posting -= 1
            if not self._queue and not self._posting:
                self._emptied.set()

    async def _take(self) -> _Record:
        """Wait for an Event and for the rate limit; returns the oldest Event."""
        while True:
            await self._filled.wait()
            if not self._queue:
                continue  # another poster took the Event
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
        """Wait up to `seconds` for an empty queue, before the cancellation of `run`."""
        try:
            await asyncio.wait_for(self._emptied.wait(), seconds)
        except TimeoutError:
            log.warning("Shutdown with %d Events not posted", len(self._queue))

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
                log.debug("The API server rejected an Event: %s", error)
            else:
                self._denial_logged = True
                log.warning("Cannot post Events; grant the right to create events.events.k8s.io: %s", error)
        except KubeError as error:
            log.debug("The API server rejected an Event: %s", error)
