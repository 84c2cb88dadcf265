"""Sweeper: lists all running jobs by ListTrainingJobs pages and queues the changed ones.

One loop per target (account, region, role) with running jobs. logic/jobs/sweep.py interprets pages; the reconciler
handles each job.
"""

import asyncio
import logging
import math
from collections.abc import Mapping

from trainingjob_operator.aws.budget import Budgets
from trainingjob_operator.aws.gateway import Accounts, Target
from trainingjob_operator.aws.lanes import Busy
from trainingjob_operator.health import Heartbeat
from trainingjob_operator.logic.backoff import Backoff
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass
from trainingjob_operator.logic.jobs.event_flow import EventFlow
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.jobs.sweep import Sweep
from trainingjob_operator.logic.state.outcomes import Forgiven, Hinted, Suspected
from trainingjob_operator.object_store import StoredObject
from trainingjob_operator.runtime import Runtime

log = logging.getLogger(__name__)

BACKOFF = Backoff(1.0, 10.0)
"""Of a sweep after errors."""

EVENTFUL_SECONDS = 60.0
"""Sweep interval while the event queue delivers state changes."""

BUSY_SECONDS = 1.0
"""Retry delay while too many calls to slow endpoints are in flight."""

DENIED_SECONDS = 60.0
"""Retry interval of a denied ListTrainingJobs."""

IDLE_SECONDS = 0.5
"""Polling interval for targets with running jobs."""

INTAKE_SECONDS = 30.0
"""Maximum delay of the first sweep until every object was reconciled once: pages are matched against known running
jobs only, and a job missed by them waits for the full scan."""

STUCK_SECONDS = 120.0
"""Heartbeat limit of a target's loop, beyond its interval and the longest call."""


class Sweeper:
    """Sweeps the jobs of all targets."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        seconds: float,
        call_seconds: float,
        accounts: Accounts,
        budgets: Budgets,
        flow: EventFlow,
    ) -> None:
        self._jobs = runtime.jobs
        self._queue = runtime.queue
        self._leadership = runtime.leadership
        self._metrics = runtime.metrics
        self._clocks = runtime.clocks
        self._seconds = seconds
        self._call_seconds = call_seconds
        self._accounts = accounts
        self._budgets = budgets
        self._flow = flow
        self.heartbeat = Heartbeat(runtime.clocks.monotonic)
        self._loops: dict[Target, asyncio.Task[None]] = {}
        self._turned: dict[Target, float] = {}
        self._described_each: dict[Target, float] = {}
        self._term: int | None = None
        self._begins = 0.0

    async def run(self) -> None:
        """Run one loop per target with running jobs while leading; never returns. Ticks unless a loop is stuck."""
        try:
            while True:
                if not self._is_stuck():
                    self.heartbeat.tick()
                wanted = set(self._jobs.live_targets()) if self._may_sweep() else set()
                for target in wanted - self._loops.keys():
                    self._turned[target] = self._clocks.monotonic()
                    self._metrics.sweep_begins(target, (target.account, target.region))
                    self._loops[target] = asyncio.create_task(self._sweep(target), name=f"sweep of {target.region}")
                for target in [target for target, loop in self._loops.items() if target not in wanted or loop.done()]:
                    self._end(target)
                self._flow.keep(self._jobs.places())
                self._metrics.keep_sweeps(self._jobs.places())
                await asyncio.sleep(IDLE_SECONDS)
        finally:
            for loop in self._loops.values():
                loop.cancel()

    def _may_sweep(self) -> bool:
        """True if this replica leads and has reconciled every object once in this term."""
        if not self._leadership.is_leading():
            return False
        now = self._clocks.monotonic()
        if self._term != self._leadership.term:
            self._term, self._begins = self._leadership.term, now + INTAKE_SECONDS
            for tracked in self._jobs:  # observations of an earlier term are stale
                self._queue.add(tracked.key)
        if self._queue.depth == 0:
            self._begins = min(self._begins, now)
        return now >= self._begins

    def _is_stuck(self) -> bool:
        oldest = self._clocks.monotonic() - STUCK_SECONDS - self._seconds - self._call_seconds
        return any(turned < oldest for turned in self._turned.values())

    def _end(self, target: Target) -> None:
        loop = self._loops.pop(target)
        del self._turned[target]
        self._described_each.pop(target, None)
        if loop.done() and not loop.cancelled():  # a bug; the next iteration restarts the loop
            where = {"account": target.account, "region": target.region}
            log.error("Unexpected error in sweep; restarting it", exc_info=loop.exception(), extra=where)
        loop.cancel()
        self._metrics.sweep_rests(target)

    async def _sweep(self, target: Target) -> None:
        sweep, failures = Sweep(self._seconds, self._jobs.last_modified(target.account, target.region)), 0
        live = self._jobs.last_seen(target)
        began, pages = self._clocks.monotonic(), 0
        while True:
            now = self._turned[target] = self._clocks.monotonic()
            self._pace(sweep, target, now)
            if sweep.is_straggling_due(now):
                self._suspect(target, sweep.stragglers | sweep.missing)
            request = sweep.next_request(live, now)
            if request is None:
                if pages:
                    self._metrics.sweep_ended(target, now - began, pages)
                await asyncio.sleep(min(self._seconds, max(0.05, sweep.pause(now))))
                began, pages = self._clocks.monotonic(), 0
                continue
            await self._await_budget(target, on_credit=request.is_recent and sweep.is_crowded)
            try:
                summaries, token = await self._accounts.get(target).list_page(**request.filters)
            except Busy:
                sweep.abandon(self._clocks.monotonic())
                await asyncio.sleep(BUSY_SECONDS)
                continue
            except AwsError as error:
                failures += 1
                sweep.abandon(self._clocks.monotonic())
                await self._ride_out(target, error, failures)
                continue
            if failures:
                self._forgive(target)
            failures, pages = 0, pages + 1
            changed = sweep.take_page(request, summaries, token, live, self._clocks.monotonic())
            self._queue_changed(target, changed)

    def _pace(self, sweep: Sweep, target: Target, now: float) -> None:
        is_flowing = self._flow.is_flowing((target.account, target.region), now)
        seconds = max(self._seconds, EVENTFUL_SECONDS) if is_flowing else self._seconds
        sweep.set_pace(seconds, now)
        self._metrics.sweep_interval_is(target, seconds)

    async def _await_budget(self, target: Target, *, on_credit: bool) -> None:
        budget = self._budgets.of(target.account, target.region).list_page
        wait = budget.claim(target, on_credit=on_credit)
        while wait > 0:
            await asyncio.sleep(wait)
            wait = budget.claim(target, on_credit=on_credit)

    def _queue_changed(self, target: Target, changed: Mapping[str, Observation]) -> None:
        live = self._jobs.live_jobs(target)
        for name, seen in changed.items():
            for key in live.get(name, ()):
                tracked = self._jobs.get(key)
                if tracked is not None:
                    if _is_found_first(tracked, seen):
                        self._flow.note_found((target.account, target.region, name), seen, self._clocks.monotonic())
                    tracked.note(Hinted(seen))
                    self._queue.add(key, urgent=True)

    def _suspect(self, target: Target, names: frozenset[str]) -> None:
        live = self._jobs.live_jobs(target)
        for name in names:
            for key in live.get(name, ()):
                tracked = self._jobs.get(key)
                if tracked is not None:
                    tracked.note(Suspected())
                    self._queue.add(key)

    def _forgive(self, target: Target) -> None:
        """End the back-off of the target's objects after the service recovers; the budgets limit the rate."""
        now = self._clocks.monotonic()
        for tracked in self._jobs.in_region(target.account, target.region):
            if tracked.memory.job.may_forgive(now):
                tracked.note(Forgiven(now))
                self._queue.add(tracked.key)

    async def _describe_each(self, target: Target) -> None:
        """Describe each job instead of listing, at half of the Describe budget."""
        budget = self._budgets.of(target.account, target.region).describe
        retry_at = self._clocks.monotonic() + DENIED_SECONDS
        while (now := self._clocks.monotonic()) < retry_at:
            self._turned[target] = now
            live = frozenset(self._jobs.live_jobs(target))
            due = self._described_each.get(target, -math.inf) + max(self._seconds, 2 * len(live) / budget.rate)
            if now >= due:
                self._described_each[target] = now
                self._suspect(target, live)
                self._metrics.sweep_is_fresh(target)
                continue
            await asyncio.sleep(min(retry_at, due) - now)

    async def _ride_out(self, target: Target, error: AwsError, failures: int) -> None:
        where = {"account": target.account, "region": target.region}
        log.warning("ListTrainingJobs failed: %s: %s", error.code, error.message, extra=where)
        if error.kind is ErrorClass.DENIED:
            await self._describe_each(target)
            return
        await asyncio.sleep(BACKOFF.after(failures) * self._clocks.jitter.uniform(0.5, 1.0))


def _is_found_first(tracked: StoredObject, seen: Observation) -> bool:
    """True if the job's state changed and neither an event nor an earlier page reported the change."""
    known, before = tracked.seen, tracked.memory.job.hint
    is_change = known is not None and seen.has_other_phase_than(known)
    return is_change and (before is None or seen.shows_change_from(before))
