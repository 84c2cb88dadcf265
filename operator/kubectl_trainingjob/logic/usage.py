"""Jobs, outcomes and billable instance time of a namespace, from the objects that still exist."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kubectl_trainingjob.logic.job import Job, Outcome


@dataclass(frozen=True, slots=True)
class Usage:
    """Totals of one namespace."""

    namespace: str
    outcomes: Mapping[Outcome, int]
    billable_instance_seconds: int

    @property
    def jobs(self) -> int:
        return sum(self.outcomes.values())

    def count(self, *outcomes: Outcome) -> int:
        return sum(self.outcomes.get(outcome, 0) for outcome in outcomes)


def sum_usage(jobs: Iterable[Job]) -> list[Usage]:
    """Return the totals by namespace, the largest first; read-only objects show jobs of others and count nowhere."""
    outcomes: defaultdict[str, Counter[Outcome]] = defaultdict(Counter)
    seconds: Counter[str] = Counter()
    for job in jobs:
        if not job.is_read_only:
            outcomes[job.namespace][job.outcome] += 1
            seconds[job.namespace] += job.billable_instance_seconds or 0
    totals = [Usage(namespace, counts, seconds[namespace]) for namespace, counts in outcomes.items()]
    return sorted(totals, key=lambda usage: (-usage.billable_instance_seconds, usage.namespace))
