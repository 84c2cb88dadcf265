"""Record of all calls of the stand-in and their effects. No faults, no jobs."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclasses.dataclass(slots=True)
class Call:
    """One call. `error` is the code of the answer, or the fault (`dropped`, `garbage`), or empty."""

    number: int
    at: float  # arrival, in epoch seconds of the service's clock
    operation: str  # "CreateTrainingJob", "sts:AssumeRole", "sqs:ReceiveMessage", "credentials"
    account: str = ""
    region: str = ""
    job: str = ""  # job name, its ARN for tag operations, the role's ARN for STS
    effect: bool = False  # the call changed something, with any answer
    error: str = ""
    request: Mapping[str, Any] | None = None  # of changing operations only


class Calls:
    """The record. The cost of counts and of a selection by job does not grow with it."""

    def __init__(self) -> None:
        self._all: list[Call] = []
        self._by_job: defaultdict[str, list[Call]] = defaultdict(list)
        self.counts: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()  # "operation:code"

    def begin(self, at: float, operation: str) -> Call:
        call = Call(len(self._all), at, operation)
        self._all.append(call)
        self.counts[operation] += 1
        return call

    def concern(self, call: Call, job: str) -> None:
        call.job = job
        self._by_job[job.rpartition("/")[2].lower()].append(call)

    def end(self, call: Call, error: str) -> None:
        call.error = error
        if error:
            self.errors[f"{call.operation}:{error}"] += 1

    def select(
        self,
        *,
        operation: str | None = None,
        job: str | None = None,
        since: int = 0,
        effect: bool | None = None,
    ) -> Iterable[Call]:
        """Calls in order of arrival; `since` is the number of the first one."""
        calls = self._by_job.get(job.rpartition("/")[2].lower(), []) if job else self._all[since:]
        return (
            call
            for call in calls
            if call.number >= since
            and (operation is None or call.operation == operation)
            and (effect is None or call.effect is effect)
        )

    def __len__(self) -> int:
        return len(self._all)
