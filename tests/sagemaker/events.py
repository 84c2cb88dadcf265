"""EventBridge's "SageMaker Training Job State Change" events, sent to one queue; off until a test names a queue.

Like real events they arrive at least once, in no certain order, some time after the change.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import heapq
import itertools
import json
import math
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.sagemaker.job import Job, Json
    from tests.sagemaker.service import SageMaker

TICK = 0.05  # seconds between checks for due events
_DETAIL = (
    "TrainingJobName", "TrainingJobArn", "TrainingJobStatus", "SecondaryStatus", "FailureReason", "HyperParameters",
    "AlgorithmSpecification", "RoleArn", "InputDataConfig", "OutputDataConfig", "ResourceConfig", "VpcConfig",
    "StoppingCondition", "CreationTime", "TrainingStartTime", "TrainingEndTime", "LastModifiedTime",
    "SecondaryStatusTransitions", "FinalMetricDataList", "EnableNetworkIsolation", "EnableManagedSpotTraining",
    "EnableInterContainerTrafficEncryption", "ModelArtifacts", "WarmPoolStatus",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class Delivery:
    """Delivery of events: seconds of delay, up to `spread` more at random, chances of a duplicate or a loss."""

    delay: float = 0.1
    spread: float = 0.0
    twice: float = 0.0
    lost: float = 0.0


class Events:
    """Observes all jobs of a service and sends their changes."""

    def __init__(self, service: SageMaker, chance: random.Random) -> None:
        self._service = service
        self._chance = chance
        self._send: Callable[[str], object] | None = None
        self._delivery = Delivery()
        self._numbers = itertools.count()
        self._changes: list[tuple[float, int, Job]] = []
        self._last: dict[Job, float] = {}  # the last change sent; the same change may be expected twice
        self._travelling: list[tuple[float, int, str]] = []
        self._task: asyncio.Task[None] | None = None

    def start(self, send: Callable[[str], object], delivery: Delivery) -> None:
        """Sends every change from now on; call this in the event loop."""
        self._delivery = delivery
        if self._send is None:
            self._service.listeners.append(self._changed)
            for shelf in self._service.shelves().values():
                for job in shelf.jobs.values():
                    self._expect(job, self._service.now())
        self._send = send
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    def pause(self) -> None:
        """Stops sending; changes until the next start are lost."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _changed(self, job: Job, now: float) -> None:
        heapq.heappush(self._changes, (now, next(self._numbers), job))

    def _expect(self, job: Job, now: float) -> None:
        at = job.next_transition(now)
        if not math.isinf(at):
            heapq.heappush(self._changes, (at, next(self._numbers), job))

    async def _run(self) -> None:
        while True:
            self.tick(self._service.now())
            await asyncio.sleep(TICK)

    def tick(self, now: float) -> None:
        """Sends due events."""
        while self._changes and self._changes[0][0] <= now:
            at, _, job = heapq.heappop(self._changes)
            cut_off = job.modified(at) != at
            if not cut_off and self._last.get(job) != at:
                self._last[job] = at
                self._dispatch(json.dumps(event(job, at)), at)
                self._expect(job, at)
        while self._travelling and self._travelling[0][0] <= now:
            _, _, body = heapq.heappop(self._travelling)
            assert self._send is not None
            self._send(body)

    def _dispatch(self, body: str, at: float) -> None:
        if self._chance.random() < self._delivery.lost:
            return
        for _ in range(2 if self._chance.random() < self._delivery.twice else 1):
            arrival = at + self._delivery.delay + self._chance.uniform(0, self._delivery.spread)
            heapq.heappush(self._travelling, (arrival, next(self._numbers), body))


def event(job: Job, at: float) -> Json:
    """The event of a change at this time; times in the detail are epoch milliseconds."""
    description = job.describe(at)
    detail = {name: description[name] for name in _DETAIL if name in description}
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "SageMaker Training Job State Change",
        "source": "aws.sagemaker",
        "account": job.account,
        "time": dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": job.region,
        "resources": [job.arn],
        "detail": _in_milliseconds(detail) | {"Tags": job.tags},
    }


def _in_milliseconds(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _in_milliseconds(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_in_milliseconds(inner, name) for inner in value]
    if name.endswith(("Time", "Timestamp")) and isinstance(value, int | float):
        return int(value * 1000)
    return value
