"""Times of each object from a separate watch: creation, ARN, each reported status, and removal.

All times are wall-clock seconds of this machine, as are those of the stand-in.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from trainingjob_operator.kube.errors import Expired, KubeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trainingjob_operator.kube.client import ApiServer

Moment = tuple[str, int]
"""A secondary status and its start, in milliseconds."""
PATH = "/apis/sagemaker.services.k8s.aws/v1alpha1/trainingjobs"
ENDED = frozenset({"Completed", "Failed", "Stopped"})


@dataclass(slots=True)
class Sight:
    """Observed times of one object."""

    created: float
    arn: float | None = None
    shown: dict[str, float] = field(default_factory=dict)
    """Time at which each secondary status was first the present one."""
    reported: dict[Moment, float] = field(default_factory=dict)
    """Time at which each transition first appeared in the list of transitions."""
    ended: float | None = None
    gone: float | None = None
    writes: int = 0

    def lag(self, moments: Iterable[Moment], index: int) -> float | None:
        """Delay of one of the job's moments: until the object reported it, or any later one."""
        later = list(moments)[index:]
        seen = [at for status, began in later if (at := self.reported.get((status, began), self.shown.get(status)))]
        return max(0.0, min(seen) - later[0][1] / 1000) if seen else None


class Follower:
    """Watches all TrainingJobs; `seen` by name."""

    def __init__(self, api: ApiServer) -> None:
        self.seen: dict[str, Sight] = {}
        self._api = api
        self._moments: dict[str, int] = {}

    @property
    def writes(self) -> int:
        """Changes of objects after their creation."""
        return sum(sight.writes for sight in self.seen.values())

    async def run(self) -> None:
        """Follow until cancelled."""
        version = ""
        while True:
            try:
                if not version:
                    listed = await self._api.call("GET", PATH, seconds=30, query={"limit": "1"})
                    version = listed["metadata"]["resourceVersion"]
                query = {"resourceVersion": version, "allowWatchBookmarks": "true"}
                async with self._api.watch(PATH, query=query, silence=600) as events:
                    async for event in events:
                        version = event["object"]["metadata"]["resourceVersion"]
                        self._take(event["type"], event["object"])
            except Expired:
                version = ""
            except KubeError:
                await asyncio.sleep(0.1)

    async def until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Wait for the condition; False after the time limit."""
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.1)
        return True

    def count(self, is_so: Callable[[Sight], object]) -> int:
        return sum(bool(is_so(sight)) for sight in self.seen.values())

    def _take(self, kind: str, body: dict[str, Any]) -> None:
        now = time.time()
        name = body["metadata"].get("name")
        if kind == "BOOKMARK":
            return
        sight = self.seen.get(name)
        if sight is None:
            sight = self.seen[name] = Sight(now)
        elif kind == "DELETED":
            sight.gone = now
            return
        else:
            sight.writes += 1
        status = body.get("status", {})
        if sight.arn is None and status.get("ackResourceMetadata", {}).get("arn"):
            sight.arn = now
        if secondary := status.get("secondaryStatus"):
            sight.shown.setdefault(secondary, now)
        for transition in status.get("secondaryStatusTransitions", ()):
            sight.reported.setdefault((transition["status"], self._milliseconds(transition["startTime"])), now)
        if sight.ended is None and status.get("trainingJobStatus") in ENDED:
            sight.ended = now

    def _milliseconds(self, text: str) -> int:
        moment = self._moments.get(text)
        if moment is None:
            moment = self._moments[text] = round(datetime.fromisoformat(text).timestamp() * 1000)
        return moment


def count_missing(sight: Sight, moments: Iterable[Moment]) -> tuple[int, int]:
    """Number of the job's moments missing from the list of transitions, and number of those never shown at all."""
    from_list = Counter(moment not in sight.reported for moment in moments)[True]
    in_any_way = Counter(moment not in sight.reported and moment[0] not in sight.shown for moment in moments)[True]
    return from_list, in_any_way
