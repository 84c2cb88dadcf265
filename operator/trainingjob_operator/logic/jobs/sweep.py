"""Sweep of one account and region: the next page of ListTrainingJobs, and the changes found in a page.

Two passes alternate. The *recent* pass lists jobs modified since the newest time shown by the service; it is fast, and
it is suspended if the service answers it badly (endless empty pages, pages filtered so late that they equal those of a
scan, or unfiltered ones). The *scan* walks all jobs since the oldest live one, newest first, and is the source of
truth. Old jobs that would widen the scan are stragglers, described one by one instead.

All times compared here are the service's own; `now` is monotonic seconds and only sets the pace.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from trainingjob_operator.logic.jobs.observation import Observation

PAGE_SIZE = 100
"""The service's maximum."""

OVERLAP = timedelta(seconds=5)
"""The service does not show times in strict order; this overlap closes the gap."""

SCAN_SECONDS = 30.0
"""Interval between starts of scans while the recent pass works; otherwise scans run back to back."""

EMPTY_PAGES = 2
"""This number of consecutive empty pages, each with a next token, indicates an endless series."""

SPARSE_PAGES = 5
"""A recent pass of this number of pages, most of them not full, is filtered after paging: it walks through all jobs."""

DISTRUST_SECONDS = 600.0
"""Suspension of the recent pass after a bad answer."""

STRAGGLER_SECONDS, STRAGGLER_SECONDS_ALONE = 300.0, 60.0
"""Interval between Describe calls for a straggler, with the recent pass working and without."""

PAGES_PER_STRAGGLER = 3
"""Minimum number of pages per scan that a straggler saves: its changes are noticed later than those of other jobs."""

NEWBORN_PAGES = 3
"""Number of newest pages read for jobs of unknown age."""

ABSENT_SECONDS = 60.0
"""Time for which a job may be missing from scans: it is new, or was created during a scan."""


@dataclass(frozen=True, slots=True)
class Request:
    """One page to request."""

    is_recent: bool
    filters: Mapping[str, Any]


@dataclass(slots=True)
class _Pass:
    began: float = 0.0
    token: str | None = None
    pages: int = 0
    empty: int = 0
    """Consecutive empty pages so far."""
    sparse: int = 0
    """Pages not full, with a next token."""
    is_unfiltered: bool = False
    """Pages contained jobs modified before the requested time."""
    is_full: bool = False
    """A page had as many jobs as a page may have."""
    seen_until: datetime | None = None
    """The newest time shown by the service before the first page."""
    is_open: bool = False


@dataclass(slots=True)
class Sweep:
    """State between pages.

    `seconds` is the interval between recent passes; `watermark` is the newest known modification of any job, if any:
    later changes appear on the first pages, long before the end of the first scan.
    """

    seconds: float
    watermark: datetime | None = None
    newest: datetime | None = None
    """The newest time shown by the service: the best known value of its clock."""
    stragglers: frozenset[str] = frozenset()
    is_crowded: bool = False
    """Recent passes find full pages: the next page shows changes that wait for it."""
    missing: frozenset[str] = frozenset()
    """Live jobs missing from complete scans for a while; never an end state, but a cause for a Describe."""
    _recent: _Pass = field(default_factory=_Pass)
    _scan: _Pass = field(default_factory=_Pass)
    _since: datetime | None = None
    _distrusted_until: float = 0.0
    _next_recent: float = 0.0
    _next_scan: float = 0.0
    _next_straggling: float = 0.0
    _seen: set[str] = field(default_factory=set)
    _absent_since: dict[str, float] = field(default_factory=dict)
    _found_on: list[tuple[int, frozenset[str]]] = field(default_factory=list)

    def next_request(self, live: Mapping[str, Observation], now: float) -> Request | None:
        """Return the page to request now; None if none is due yet."""
        if self._recent.is_open or (now >= self._next_recent and self.trusts_recent(now)):
            if not self._recent.is_open:
                self._recent = _Pass(began=now, is_open=True)
                self._next_recent = now + self.seconds
            return Request(True, self._filters(self._recent, LastModifiedTimeAfter=self._modified_since()))
        if self._scan.is_open or now >= self._next_scan:
            if not self._scan.is_open:
                self._open_scan(live, now)
            if not self._scan.is_open:
                return None  # stragglers only: a scan would walk through the whole account
            return Request(False, self._filters(self._scan, CreationTimeAfter=self._since))
        return None

    def set_pace(self, seconds: float, now: float) -> None:
        """Set the interval between recent passes; a shorter one applies to the next pass already."""
        if seconds < self.seconds:
            self._next_recent = min(self._next_recent, now + seconds)
            self._next_scan = min(self._next_scan, now + seconds)
        self.seconds = seconds

    def pause(self, now: float) -> float:
        """Return the seconds until a page is due."""
        if self._recent.is_open or self._scan.is_open:
            return 0.0
        due = min(self._next_scan, self._next_recent) if self.trusts_recent(now) else self._next_scan
        return max(0.0, due - now)

    def trusts_recent(self, now: float) -> bool:
        return self.watermark is not None and now >= self._distrusted_until

    def take_page(
        self,
        request: Request,
        summaries: Iterable[Mapping[str, Any]],
        token: str | None,
        live: Mapping[str, Observation],
        now: float,
    ) -> dict[str, Observation]:
        """Process an answer; return the live jobs (by lower-case name) with a change in it."""
        changed: dict[str, Observation] = {}
        shown: set[str] = set()
        modified = []
        for summary in summaries:
            seen = Observation.from_summary(summary)
            name = (seen.job_name or "").lower()
            shown.add(name)
            if seen.last_modified_time is not None:
                modified.append(seen.last_modified_time)
            if name in live and seen.shows_change_from(live[name]):
                changed[name] = seen
        if modified:
            newest = max(modified)
            self.newest = newest if self.newest is None else max(self.newest, newest)
        state = self._recent if request.is_recent else self._scan
        if state.pages == 0:
            state.seen_until = self.newest
        state.pages += 1
        state.sparse += token is not None and len(shown) < PAGE_SIZE
        state.token = token
        state.empty = 0 if shown else state.empty + 1
        state.is_open = token is not None
        if request.is_recent:
            state.is_full |= len(shown) >= PAGE_SIZE
            is_long = token is not None or state.pages > 1
            state.is_unfiltered |= is_long and _are_older(modified, request.filters.get("LastModifiedTimeAfter"))
            self._end_recent(state, now)
        else:
            self._seen |= shown & live.keys()
            self._found_on.append((state.pages, frozenset(shown & live.keys())))
            if self.watermark is None:
                self.watermark = self.newest  # the recent pass covers changes from now on
            self._end_scan(state, live, now)
        return changed

    def abandon(self, now: float) -> None:
        """Restart after a failed call; the caller makes the pause."""
        self._recent.is_open = self._scan.is_open = False
        if self.newest is None:
            self.watermark = None  # not confirmed by the service yet, and a possible cause of its refusal
        self._next_recent = self._next_scan = now

    def is_straggling_due(self, now: float) -> bool:
        """Return True if the stragglers and the jobs missing from the scan are due; called once per round."""
        if now < self._next_straggling:
            return False
        self._next_straggling = now + (STRAGGLER_SECONDS if self.trusts_recent(now) else STRAGGLER_SECONDS_ALONE)
        return bool(self.stragglers or self.missing)

    def _open_scan(self, live: Mapping[str, Observation], now: float) -> None:
        self._next_scan = now + (max(SCAN_SECONDS, self.seconds) if self.trusts_recent(now) else self.seconds)
        self._seen, self._found_on = set(), []
        self.stragglers &= live.keys()
        created = [
            seen.creation_time
            for name, seen in live.items()
            if seen.creation_time is not None and name not in self.stragglers
        ]
        self._since = min(created) - OVERLAP if created else None
        self._scan = _Pass(began=now, is_open=bool(live.keys() - self.stragglers))

    def _end_recent(self, state: _Pass, now: float) -> None:
        # Full pages are correct, in any number: they contain real changes.
        is_filtered_late = state.is_open and SPARSE_PAGES <= state.pages < 2 * state.sparse
        if state.empty >= EMPTY_PAGES or is_filtered_late or state.is_unfiltered:
            self._distrusted_until = now + DISTRUST_SECONDS
            state.is_open = False
            self._next_scan = min(self._next_scan, now + self.seconds)
        self.is_crowded = state.is_full and self.trusts_recent(now)
        if not state.is_open:
            self.watermark = state.seen_until  # the next pass covers changes behind this one
            if now > self._next_scan + SCAN_SECONDS:  # an overdue scan gets half of the time
                self._next_recent = max(self._next_recent, now + (now - state.began))

    def _end_scan(self, state: _Pass, live: Mapping[str, Observation], now: float) -> None:
        is_whole = self._since is not None
        goes_on = state.empty < EMPTY_PAGES if is_whole else state.pages < NEWBORN_PAGES
        if state.is_open and goes_on:
            return
        state.is_open = False
        not_found = live.keys() - self._seen - self.stragglers
        self._absent_since = {name: self._absent_since.get(name, now) for name in not_found}
        self.missing = frozenset(name for name, since in self._absent_since.items() if now - since >= ABSENT_SECONDS)
        self.stragglers |= choose_stragglers(self._found_on)

    def _modified_since(self) -> datetime | None:
        return None if self.watermark is None else self.watermark - OVERLAP

    def _filters(self, state: _Pass, **since: datetime | None) -> dict[str, Any]:
        filters: dict[str, Any] = {"MaxResults": PAGE_SIZE, "SortBy": "CreationTime", "SortOrder": "Descending"}
        filters.update({name: time for name, time in since.items() if time is not None})
        if state.token is not None:
            filters["NextToken"] = state.token
        return filters


def _are_older(modified: Collection[datetime], asked: datetime | None) -> bool:
    """Return True if most of the times precede the requested one: a list may lag slightly behind its own filter."""
    older = sum(asked is not None and moment < asked - OVERLAP for moment in modified)
    return 2 * older > len(modified)


def choose_stragglers(found_on: Collection[tuple[int, frozenset[str]]]) -> frozenset[str]:
    """Return the jobs cheaper to describe one by one, from their pages in a scan (newest first).

    Without the oldest jobs the scan ends at the page of the next oldest one; without any job there is no scan.
    """
    pages = sorted(found_on, key=lambda page: page[0], reverse=True)
    last = pages[0][0] if pages else 0
    best: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()
    best_gain = 0
    for number, names in pages:
        gain = last - number - PAGES_PER_STRAGGLER * len(dropped)
        if names and gain > best_gain:
            best, best_gain = dropped, gain
        dropped |= names
    return dropped if last - PAGES_PER_STRAGGLER * len(dropped) > best_gain else best
