"""Gauges of the state of the process, read from its parts at intervals."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from trainingjob_operator.aws.budget import Budgets
from trainingjob_operator.building import Operator
from trainingjob_operator.logic.jobs.observation import ENDED
from trainingjob_operator.metrics import PLACES
from trainingjob_operator.object_store import ObjectStore, StoredObject
from trainingjob_operator.runtime import Runtime


class Gauges:
    """Reads the parts of one operator and sets its gauges."""

    def __init__(self, runtime: Runtime, operator: Operator, budgets: Budgets, *, max_jobs: int) -> None:
        """:param max_jobs: maximum number of objects with series of their own"""
        self._runtime = runtime
        self._operator = operator
        self._budgets = budgets
        self._max_jobs = max_jobs

    def update(self) -> None:
        """Set all gauges."""
        runtime, operator, metrics = self._runtime, self._operator, self._runtime.metrics
        metrics.jobs_are(Counter((tracked.key[0], tracked.phase) for tracked in runtime.jobs))
        if self._max_jobs:
            metrics.jobs_show({tracked.key: tracked.phase for tracked in choose(runtime.jobs, self._max_jobs)})
        metrics.jobs_wait(operator.create_queue.count_by_quota())
        metrics.objects_are_passive(operator.reconciler.passive())
        metrics.queue_is(runtime.queue.depth)
        metrics.leading(runtime.leadership.is_leading())
        metrics.watch_is(operator.watcher.age)
        metrics.budgets_are(dict(self._read_budgets()))

    def _read_budgets(self) -> Iterator[tuple[tuple[str, str, str], tuple[float, int]]]:
        """Return the budgets of the places with most jobs."""
        places = self._operator.create_queue.count_by_location()
        for target in self._runtime.jobs.live_targets():
            places[target.account, target.region] += len(self._runtime.jobs.live_jobs(target))
        for (account, region), _ in places.most_common(PLACES):
            for operation, budget in self._budgets.of(account, region).by_operation().items():
                yield (account, region, operation), (budget.rate, budget.waiting)


def choose(jobs: ObjectStore, limit: int) -> Iterator[StoredObject]:
    """Return up to `limit` objects by turns of namespaces, in each first the open ones, then the ended ones."""
    by_namespace: defaultdict[str, list[StoredObject]] = defaultdict(list)
    for tracked in jobs:
        by_namespace[tracked.key[0]].append(tracked)
    for tracked_jobs in by_namespace.values():
        tracked_jobs.sort(key=lambda tracked: tracked.phase not in ENDED)
    while limit > 0 and by_namespace:
        for namespace in sorted(by_namespace)[:limit]:
            yield by_namespace[namespace].pop()
            limit -= 1
            if not by_namespace[namespace]:
                del by_namespace[namespace]
