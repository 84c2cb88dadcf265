"""The sweep against a simulated service with SageMaker's quirks: it detects every change within its page budget.

The simulation has neither threads nor a clock: each page takes one second, the operator's own rate limit.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.jobs.sweep import (
    DISTRUST_SECONDS,
    NEWBORN_PAGES,
    PAGE_SIZE,
    SCAN_SECONDS,
    SPARSE_PAGES,
    STRAGGLER_SECONDS,
    STRAGGLER_SECONDS_ALONE,
    Request,
    Sweep,
    choose_stragglers,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

EPOCH = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
WEEKS = 21 * 86400.0
PAGE_SECONDS = 1.0
SWEEP_SECONDS = 5.0
STATUSES = ["Pending", "Downloading", "Training", "Uploading", "Completed"]


def moment(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


@dataclass
class Job:
    """`changes`: seconds of the changes of its secondary status."""

    name: str
    created: float
    changes: list[float] = field(default_factory=list)

    def modified(self, now: float) -> float:
        return max([self.created, *(at for at in self.changes if at <= now)])

    def summary(self, now: float) -> dict[str, Any]:
        secondary = STATUSES[min(sum(at <= now for at in self.changes), len(STATUSES) - 1)]
        return {
            "TrainingJobName": self.name,
            "CreationTime": moment(self.created),
            "LastModifiedTime": moment(self.modified(now)),
            "TrainingJobStatus": "Completed" if secondary == "Completed" else "InProgress",
            "SecondaryStatus": secondary,
        }


@dataclass
class ListingService:
    """ListTrainingJobs, newest first."""

    jobs: list[Job]
    filters_after_paging: bool = False
    endless_under_modified: bool = False
    ignores_modified: bool = False
    leaves_out: frozenset[str] = frozenset()
    stale_seconds: float = 0.0

    def __post_init__(self) -> None:
        self._by_age = sorted(self.jobs, key=lambda job: job.created)
        self._ages = [job.created for job in self._by_age]
        self._movers = [job for job in self.jobs if job.changes]
        self._quiet = [job for job in self._by_age if not job.changes]
        self._quiet_ages = [job.created for job in self._quiet]

    def list_page(self, filters: Mapping[str, Any], now: float) -> tuple[list[dict[str, Any]], str | None]:
        assert filters["MaxResults"] == PAGE_SIZE
        assert (filters["SortBy"], filters["SortOrder"]) == ("CreationTime", "Descending")
        created, modified = (
            (filters[name] - EPOCH).total_seconds() if name in filters else -math.inf
            for name in ("CreationTimeAfter", "LastModifiedTimeAfter")
        )
        if self.ignores_modified:
            modified = -math.inf
        start = int(filters.get("NextToken", "0"))
        first = -math.inf if self.filters_after_paging else created
        jobs = self._by_age[bisect_left(self._ages, first) : bisect_right(self._ages, now)]
        if modified > -math.inf and not self.filters_after_paging:
            jobs = [job for job in self._movers if job.created <= now and job.modified(now) >= modified]
            jobs += self._quiet[bisect_left(self._quiet_ages, modified) : bisect_right(self._quiet_ages, now)]
            jobs.sort(key=lambda job: job.created)
        page = jobs[max(0, len(jobs) - start - PAGE_SIZE) : max(0, len(jobs) - start)][::-1]
        times = [max(job.created, now - self.stale_seconds) for job in page]
        shown = [
            {name: member for name, member in job.summary(at).items() if name not in self.leaves_out}
            for job, at in zip(page, times, strict=True)
            if job.created >= created and job.modified(now) >= modified
        ]
        more = start + PAGE_SIZE < len(jobs) or (self.endless_under_modified and modified > -math.inf)
        return shown, str(start + PAGE_SIZE) if more else None


@dataclass
class SweepRun:
    """One run of the sweep: delays of the detected changes, and calls."""

    service: ListingService
    ours: list[Job]
    sweep: Sweep = field(default_factory=lambda: Sweep(SWEEP_SECONDS))
    now: float = 0.0
    requests: list[tuple[float, Request]] = field(default_factory=list)
    describes: int = 0
    late: list[float] = field(default_factory=list)
    live: dict[str, Observation] = field(default_factory=dict)
    known_until: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._by_name = {job.name.lower(): job for job in self.ours}

    def go(self, seconds: float) -> SweepRun:
        end = self.now + seconds
        while self.now < end:
            self._note_newcomers()
            if self.sweep.is_straggling_due(self.now):
                for name in self.sweep.stragglers | self.sweep.missing:
                    self._describe(name)
            request = self.sweep.next_request(self.live, self.now)
            if request is None:
                self.now += min(SWEEP_SECONDS, max(0.05, self.sweep.pause(self.now)))
                continue
            self.requests.append((self.now, request))
            shown, token = self.service.list_page(request.filters, self.now)
            self.now += PAGE_SECONDS
            for name in self.sweep.take_page(request, shown, token, self.live, self.now):
                self._describe(name)
        return self

    def _note_newcomers(self) -> None:
        for name, job in self._by_name.items():
            if name not in self.known_until and job.created <= self.now:
                self._describe(name)

    def _describe(self, name: str) -> None:
        """Describe and report without delay."""
        job = self._by_name[name]
        self.describes += 1
        since = self.known_until.get(name, job.created)
        self.late += [self.now - at for at in job.changes if since < at <= self.now]
        self.known_until[name] = self.now
        seen = Observation.from_summary(job.summary(self.now))
        if seen.is_ended():
            self.live.pop(name, None)
        else:
            self.live[name] = seen

    def undetected(self) -> list[float]:
        """Ages of the undetected changes, in seconds."""
        return [
            self.now - at
            for job in self.ours
            for at in job.changes
            if self.known_until[job.name.lower()] < at < self.now
        ]

    def pages(self, *, recent: bool) -> int:
        return sum(request.is_recent is recent for _, request in self.requests)


def crowd(count: int, *, created: float = -600.0, every: float = 120.0) -> list[Job]:
    """Jobs created one after the other, each with four changes, evenly spread."""
    return [
        Job(f"Job-{number}", created + number * 0.01, [number * every / count + every * step for step in range(1, 5)])
        for number in range(count)
    ]


def strangers(count: int, *, oldest: float = -WEEKS) -> list[Job]:
    """Jobs of others without changes, evenly spread over the time since the oldest."""
    return [Job(f"foreign-{number}", oldest * (number + 1) / count) for number in range(count)]


FIRST_SCAN = 50_000 / PAGE_SIZE * PAGE_SECONDS * 1.25
"""Seconds to list a large account while every fifth page belongs to the recent pass."""

QUIRKS: dict[str, dict[str, Any]] = {
    "none": {},
    "filters after paging": {"filters_after_paging": True},
    "endless empty pages under LastModifiedTimeAfter": {"endless_under_modified": True},
    "summaries stale by ten seconds": {"stale_seconds": 10.0},
    "LastModifiedTimeAfter is ignored": {"ignores_modified": True},
    "summaries without a modification time": {"leaves_out": frozenset({"LastModifiedTime"})},
    "all at once": {"filters_after_paging": True, "endless_under_modified": True, "stale_seconds": 10.0},
}


@pytest.mark.no_cover
@pytest.mark.parametrize("quirk", QUIRKS)
def test_hundreds_of_jobs_are_followed_in_spite_of_each_quirk(quirk: str) -> None:
    ours = crowd(400, every=60.0)
    service = ListingService(ours, **QUIRKS[quirk])
    run = SweepRun(service, ours).go(350.0)
    assert len(run.late) == 4 * 400, "every change of every job"
    late = sorted(run.late)
    one_scan = (400 / PAGE_SIZE + 2) * PAGE_SECONDS + SWEEP_SECONDS
    assert late[int(0.99 * len(late))] <= one_scan + service.stale_seconds
    assert late[-1] <= 2 * one_scan + service.stale_seconds


@pytest.mark.no_cover
def test_filters_applied_after_paging_cost_a_few_pages_before_the_scan() -> None:
    ours = crowd(3000, every=100.0)
    service = ListingService(ours)
    run = SweepRun(service, ours).go(100.0)
    service.filters_after_paging = True
    run.late.clear()
    before = run.pages(recent=True)
    run.go(200.0)
    assert run.pages(recent=True) - before <= 2 * SPARSE_PAGES
    assert max(run.late) <= 3000 / PAGE_SIZE * PAGE_SECONDS + SWEEP_SECONDS + 2 * SPARSE_PAGES * PAGE_SECONDS


def test_changes_during_a_downtime_are_on_the_first_page_after_a_restart() -> None:
    ours = [Job(f"job-{number}", -6000.0 + number, [-50.0]) for number in range(20)]
    run = SweepRun(ListingService(ours + strangers(3000, oldest=-5000.0)), ours, Sweep(SWEEP_SECONDS, moment(-60.0)))
    run.live = {job.name: Observation.from_summary(job.summary(-60.0)) for job in ours}
    run.known_until = dict.fromkeys(run.live, -60.0)
    run.go(PAGE_SECONDS)
    assert len(run.late) == len(ours)


@pytest.mark.parametrize("watermark", [-1e6, 1e6])
def test_a_wrong_first_watermark_only_costs_time(watermark: float) -> None:
    ours = [Job(f"job-{number}", -6000.0 + number, [-50.0, 300.0]) for number in range(20)]
    run = SweepRun(ListingService(ours + strangers(300, oldest=-5000.0)), ours, Sweep(SWEEP_SECONDS, moment(watermark)))
    run.live = {job.name: Observation.from_summary(job.summary(-60.0)) for job in ours}
    run.known_until = dict.fromkeys(run.live, -60.0)
    run.go(400.0)
    assert len(run.late) == 2 * len(ours)


def test_a_rejected_first_watermark_is_abandoned() -> None:
    live = {"job": Observation.from_summary(Job("job", -60.0).summary(0.0))}
    sweep = Sweep(SWEEP_SECONDS, datetime(2999, 1, 1, tzinfo=UTC))
    first = sweep.next_request(live, 0.0)
    assert first is not None
    assert first.is_recent
    sweep.abandon(0.0)
    second = sweep.next_request(live, 1.0)
    assert second is not None
    assert not second.is_recent


@pytest.mark.long
def test_without_quirks_the_next_recent_pass_detects_a_change_with_one_or_two_pages() -> None:
    ours = crowd(1000, every=60.0)
    run = SweepRun(ListingService(ours), ours).go(350.0)
    late = sorted(run.late)
    assert late[len(late) // 2] <= SWEEP_SECONDS
    assert late[int(0.99 * len(late))] <= SWEEP_SECONDS + 3 * PAGE_SECONDS
    assert run.describes <= 1000 * 6, "no Describe without a cause"


@pytest.mark.long
def test_endless_pages_suspend_the_filter() -> None:
    ours = crowd(150, every=3 * DISTRUST_SECONDS)
    run = SweepRun(ListingService(ours, endless_under_modified=True), ours).go(2 * DISTRUST_SECONDS)
    assert 0 < run.pages(recent=True) <= 12


@pytest.mark.no_cover
def test_an_ignored_filter_is_suspended() -> None:
    ours = crowd(150, every=3 * DISTRUST_SECONDS)
    service = ListingService(ours + strangers(3000, oldest=-5000.0), ignores_modified=True)
    run = SweepRun(service, ours).go(2 * DISTRUST_SECONDS)
    assert 0 < run.pages(recent=True) <= 12


@pytest.mark.parametrize("left_out", ["SecondaryStatus", "LastModifiedTime"])
def test_missing_members_of_summaries_trigger_no_describe(left_out: str) -> None:
    ours = [Job(f"j{number}", -600.0 + number) for number in range(80)]
    run = SweepRun(ListingService(ours, leaves_out=frozenset({left_out})), ours).go(600.0)
    assert run.describes == 80, "the first Describe of each job"


def test_unchanged_jobs_cost_one_page_a_pass() -> None:
    ours = [Job(f"j{number}", -600.0 + number) for number in range(80)]
    run = SweepRun(ListingService(ours), ours).go(600.0)
    assert run.describes == 80, "the first Describe of each job"
    assert run.pages(recent=True) <= 600 / SWEEP_SECONDS + 1
    assert run.pages(recent=False) <= 600 / SCAN_SECONDS + 1


@pytest.mark.no_cover
@pytest.mark.parametrize("quirk", ["none", "all at once"])
def test_an_old_straggler_among_foreign_jobs_does_not_widen_the_scan(quirk: str) -> None:
    young = crowd(20, created=-300.0, every=500.0)
    old = [Job(f"Old-{number}", -WEEKS + number, [900.0 + number]) for number in range(3)]
    service = ListingService([*young, *old, *strangers(50_000)], **QUIRKS[quirk])
    run = SweepRun(service, [*young, *old]).go(1300.0)
    assert max(run.undetected(), default=0.0) <= 30
    after_it = [(at, request) for at, request in run.requests if at > FIRST_SCAN + 10]
    widest = min(request.filters["CreationTimeAfter"] for _, request in after_it if not request.is_recent)
    assert widest > EPOCH - timedelta(seconds=3600)
    assert max(run.late) <= FIRST_SCAN + STRAGGLER_SECONDS + 10


@pytest.mark.no_cover
@pytest.mark.parametrize("quirk", ["none", "all at once"])
def test_old_jobs_alone_do_not_cause_repeated_scans_of_the_account(quirk: str) -> None:
    old = [Job(f"Old-{number}", -WEEKS + number, [900.0 + number]) for number in range(3)]
    service = ListingService([*old, *strangers(50_000)], **QUIRKS[quirk])
    run = SweepRun(service, old).go(1500.0)
    assert not run.undetected()
    assert max(run.late) <= STRAGGLER_SECONDS + service.stale_seconds + 10
    walked = sum(not request.is_recent for at, request in run.requests if at > FIRST_SCAN + 10)
    assert walked == 0
    assert run.describes <= 3 * (1500 / STRAGGLER_SECONDS_ALONE + 2)


def test_a_job_without_an_observation_is_searched_on_the_newest_pages_only() -> None:
    service = ListingService([Job("Newborn", 0.0), *strangers(5000)])
    sweep, live, pages = Sweep(SWEEP_SECONDS), {"newborn": Observation()}, 0
    found: dict[str, Observation] = {}
    while (request := sweep.next_request(live, 0.0)) is not None:
        assert "CreationTimeAfter" not in request.filters
        shown, token = service.list_page(request.filters, 0.0)
        found |= sweep.take_page(request, shown, token, live, 0.0)
        pages += not request.is_recent
    assert set(found) == {"newborn"}
    assert pages == NEWBORN_PAGES


@pytest.mark.no_cover
def test_constant_changes_of_many_jobs_do_not_keep_the_scan_from_its_end() -> None:
    busy = [Job(f"busy-{number}", -700.0, [float(at) for at in range(1, 400)]) for number in range(900)]
    ours = crowd(1000, every=80.0)
    run = SweepRun(ListingService([*ours, *busy]), ours).go(400.0)
    scans = [at for at, request in run.requests if not request.is_recent and "NextToken" not in request.filters]
    assert len(scans) >= 4
    assert max(run.late) <= 2 * 1900 / PAGE_SIZE
    assert max(run.undetected(), default=0.0) <= 2 * 1900 / PAGE_SIZE


@pytest.mark.long
def test_many_changes_at_once_do_not_suspend_the_filter() -> None:
    jobs = [Job(f"herd-{number}", -600.0 + number * 0.01, [100.0]) for number in range(1000)]
    run = SweepRun(ListingService(jobs), jobs).go(200)
    assert run.sweep.trusts_recent(run.now)
    assert max(run.late) <= 1000 / PAGE_SIZE * PAGE_SECONDS + SWEEP_SECONDS + PAGE_SECONDS


def test_full_pages_of_changes_make_a_crowd_until_a_pass_has_none() -> None:
    sweep = Sweep(SWEEP_SECONDS, moment(0.0))

    def take(count: int, token: str | None, now: float) -> bool:
        request = sweep.next_request({}, now)
        assert request is not None
        assert request.is_recent
        summaries = [Job(f"job-{number}", now).summary(now) for number in range(count)]
        sweep.take_page(request, summaries, token, {}, now)
        return sweep.is_crowded

    assert not take(3, None, 0.0)
    assert take(PAGE_SIZE, "more", 5.0)
    assert take(3, None, 6.0), "the next pass may find as many"
    assert not take(3, None, 11.0)


def test_the_next_pass_repeats_the_time_of_the_previous_one() -> None:
    sweep = Sweep(SWEEP_SECONDS)
    page = [Job("other", -50.0).summary(0.0)]
    sweep.take_page(Request(False, {}), page, None, {}, 0.0)
    first = sweep.next_request({}, 1.0)
    assert first is not None
    assert first.is_recent
    sweep.take_page(first, [Job("a", 0.0).summary(0.0)], "more", {}, 2.0)
    second = sweep.next_request({}, 2.0)
    assert second is not None
    sweep.take_page(second, [Job("b", 60.0).summary(60.0)], None, {}, 60.0)
    third = sweep.next_request({}, 120.0)
    assert third is not None
    assert third.filters["LastModifiedTimeAfter"] < moment(0.0)


@pytest.mark.parametrize("others", [[], [Job("here", -100.0)]])
def test_a_job_missing_from_scans_is_described_but_not_reported_as_missing(others: list[Job]) -> None:
    gone = Job("Gone", -90.0)
    run = SweepRun(ListingService(others), [*others, gone]).go(400.0)
    assert run.sweep.missing == {"gone"}
    assert "gone" in run.live
    assert 1 <= run.describes - len(others) - 1 <= 400 / STRAGGLER_SECONDS_ALONE


def test_a_new_job_missing_from_lists_triggers_no_describe() -> None:
    ours = [Job("here", -100.0), Job("Young", -1.0)]
    run = SweepRun(ListingService(ours[:1]), ours).go(30.0)
    assert run.sweep.missing == frozenset()
    run.service = ListingService(ours)
    assert run.go(300.0).describes == 2


def test_both_passes_restart_after_an_error() -> None:
    run = SweepRun(ListingService(ours := crowd(450, every=10_000.0)), ours).go(3.0)
    going_on = run.sweep.next_request(run.live, run.now)
    assert going_on is not None
    assert "NextToken" in going_on.filters
    run.sweep.abandon(run.now)
    assert run.sweep.pause(run.now) == 0.0
    for _ in range(2):
        request = run.sweep.next_request(run.live, run.now)
        assert request is not None
        assert "NextToken" not in request.filters
        run.sweep.take_page(request, [], None, run.live, run.now)


def test_a_page_yields_only_changes_of_own_jobs() -> None:
    live = {"a": Observation.from_summary(Job("A", 0.0).summary(0.0))}
    news = Job("A", 0.0, [5.0]).summary(10.0)
    same, foreign = Job("A", 0.0).summary(10.0), Job("b", 0.0, [5.0]).summary(10.0)
    for summaries, expected in (([news, foreign], {"a"}), ([same], set()), ([{}, {"TrainingJobName": None}], set())):
        sweep = Sweep(SWEEP_SECONDS)
        request = sweep.next_request(live, 0.0)
        assert request is not None
        assert set(sweep.take_page(request, summaries, None, live, 1.0)) == expected


@pytest.mark.parametrize(
    ("found_on", "stragglers"),
    [
        ([], set()),
        ([{"a"}], set()),
        ([{"a"}, {"b"}], set()),
        ([{"a"}, set(), set(), {"b"}], set()),
        ([{"a"}, *[set()] * 3, {"b"}], {"b"}),
        ([{"a"}, {"b"}, {"c"}, {"d"}], set()),
        ([{"a"}, *[set()] * 8, {"b"}, *[set()] * 8, {"c"}], {"b", "c"}),
        ([{"a"}, {"b"}, *[set()] * 8, {"c", "d"}], {"c", "d"}),
        ([{"a"}, set(), {f"j{number}" for number in range(50)}], set()),
        ([*[set()] * 9, {"a"}], {"a"}),
        ([*[set()] * 8, {"a", "b", "c"}], set()),
        ([*[set()] * 2, {"a"}], set()),
        ([set(), set()], set()),
    ],
)
def test_stragglers_are_jobs_cheaper_to_describe_than_to_list(found_on: list[set[str]], stragglers: set[str]) -> None:
    pages = [(number, frozenset(names)) for number, names in enumerate(found_on, 1)]
    assert choose_stragglers(pages) == stragglers


@pytest.mark.no_cover
@settings(max_examples=8, deadline=None)
@given(
    ours=st.lists(st.tuples(st.floats(-3000, 100), st.lists(st.floats(0, 400), max_size=4)), min_size=1, max_size=40),
    foreign=st.integers(0, 1500),
    quirk=st.sampled_from(sorted(QUIRKS)),
)
def test_every_change_is_detected_within_one_scan_or_one_round_of_describes(
    ours: list[tuple[float, list[float]]], foreign: int, quirk: str
) -> None:
    jobs = [
        Job(f"j{number}", created, sorted(at for at in changes if at > created))
        for number, (created, changes) in enumerate(ours)
    ]
    service = ListingService([*jobs, *strangers(foreign, oldest=-3000.0)], **QUIRKS[quirk])
    run = SweepRun(service, jobs).go(900.0)
    whole = (len(jobs) + foreign) / PAGE_SIZE + 2
    bound = max(2 * whole + SCAN_SECONDS, STRAGGLER_SECONDS + 10) + service.stale_seconds
    assert not run.undetected()
    assert max(run.late, default=0.0) <= bound
    assert len(run.requests) <= 900 / PAGE_SECONDS + 1


def test_the_next_page_of_an_unfinished_pass_is_due_at_once() -> None:
    sweep, live = Sweep(SWEEP_SECONDS), {"job": Observation()}
    request = sweep.next_request(live, 0.0)
    assert request is not None
    sweep.take_page(request, [], "more", live, 0.0)
    assert sweep.pause(0.0) == 0.0
