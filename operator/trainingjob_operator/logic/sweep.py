"""Which page of ListTrainingJobs to ask for next, and what a page tells: the sweep of one account and region.

Two passes take turns. The *recent* pass asks for what was modified since the newest time the service has shown; it is
quick, and it is given up for a while where the service answers it badly (endless empty pages, or no fewer pages than
a whole scan). The *scan* walks all jobs since the oldest live one, newest first, and is the truth. Jobs for whose sake
the scan would have to go far back are stragglers, looked at one by one instead.

All times compared here are the service's own; `now` is monotonic seconds and only paces.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from trainingjob_operator.logic.observation import Observation

PAGE_SIZE = 100
"""The most that the service gives at once."""

OVERLAP = timedelta(seconds=5)
"""Times of one service are not shown in strict order; asking a little further back misses nothing."""

SCAN_SECONDS = 30.0
"""From the begin of a scan to that of the next while the recent pass works; else they follow each other."""

EMPTY_PAGES = 2
"""So many empty pages in a row, each with a promise of more, are the service's endless kind."""

DISTRUST_SECONDS = 600.0
"""How long the recent pass is left alone after it was answered badly."""

STRAGGLER_SECONDS, STRAGGLER_SECONDS_ALONE = 300.0, 60.0
"""How often a straggler is looked at, with the recent pass working and without."""

NEWBORN = timedelta(seconds=60)
"""A job this young may be missing from a list for no reason."""


@dataclass(frozen=True, slots=True)
class Request:
    """One page to ask for."""

    is_recent: bool
    filters: Mapping[str, Any]


@dataclass(slots=True)
class _Pass:
    token: str | None = None
    pages: int = 0
    empty: int = 0
    is_open: bool = False


@dataclass(slots=True)
class Sweep:
    """What is remembered between pages. `seconds` is the time from one recent pass to the next."""

    seconds: float
    watermark: datetime | None = None
    newest: datetime | None = None
    """The newest time that the service has shown in any way: its clock, as far as it is known."""
    stragglers: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    """Live jobs that the last whole scan did not show; never an outcome, but a reason to look."""
    scan_pages: int = 0
    _recent: _Pass = field(default_factory=_Pass)
    _scan: _Pass = field(default_factory=_Pass)
    _since: datetime | None = None
    _distrusted_until: float = 0.0
    _next_recent: float = 0.0
    _next_scan: float = 0.0
    _next_straggling: float = 0.0
    _seen: set[str] = field(default_factory=set)
    _found_on: list[tuple[int, frozenset[str]]] = field(default_factory=list)

    def next_request(self, live: Mapping[str, Observation], now: float) -> Request | None:
        """The page to ask for now; None when none is due yet."""
        if self._recent.is_open or (now >= self._next_recent and self.trusts_recent(now)):
            if not self._recent.is_open:
                self._recent = _Pass(is_open=True)
                self._next_recent = now + self.seconds
            return Request(True, self._filters(self._recent, LastModifiedTimeAfter=self._modified_since()))
        if self._scan.is_open or now >= self._next_scan:
            if not self._scan.is_open:
                self._open_scan(live, now)
            return Request(False, self._filters(self._scan, CreationTimeAfter=self._since))
        return None

    def pause(self, now: float) -> float:
        """Seconds until a page is due."""
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
        """Take in the answer; the live jobs (by name in lower case) of which it tells something new."""
        changed: dict[str, Observation] = {}
        shown: set[str] = set()
        modified = []
        for summary in summaries:
            told = Observation.from_summary(summary)
            name = (told.job_name or "").lower()
            shown.add(name)
            if told.last_modified_time is not None:
                modified.append(told.last_modified_time)
            if name in live and told.shows_change_from(live[name]):
                changed[name] = told
        if modified:
            newest = max(modified)
            self.newest = newest if self.newest is None else max(self.newest, newest)
        state = self._recent if request.is_recent else self._scan
        state.pages += 1
        state.token = token
        state.empty = 0 if shown else state.empty + 1
        state.is_open = token is not None
        if request.is_recent:
            self._end_recent(state, now)
        else:
            self._seen |= shown & live.keys()
            self._found_on.append((state.pages, frozenset(shown & live.keys())))
            self._end_scan(state, live)
        return changed

    def abandon(self, now: float) -> None:
        """The call failed: begin anew after the pause that the caller makes."""
        self._recent.is_open = self._scan.is_open = False
        self._next_recent = self._next_scan = now

    def is_straggling_due(self, now: float) -> bool:
        """Whether it is time to look at the stragglers, and at what the scan has missed; asked once per round."""
        if now < self._next_straggling:
            return False
        self._next_straggling = now + (STRAGGLER_SECONDS if self.trusts_recent(now) else STRAGGLER_SECONDS_ALONE)
        return bool(self.stragglers or self.missing)

    def _open_scan(self, live: Mapping[str, Observation], now: float) -> None:
        self._scan = _Pass(is_open=True)
        self._next_scan = now + (SCAN_SECONDS if self.trusts_recent(now) else self.seconds)
        self._seen, self._found_on = set(), []
        self.stragglers &= live.keys()
        created = [
            seen.creation_time
            for name, seen in live.items()
            if seen.creation_time is not None and name not in self.stragglers
        ]
        self._since = min(created) - OVERLAP if created else None

    def _end_recent(self, state: _Pass, now: float) -> None:
        useless = state.empty >= EMPTY_PAGES or (state.is_open and state.pages >= max(2, self.scan_pages))
        if useless:
            self._distrusted_until = now + DISTRUST_SECONDS
            state.is_open = False
            self._next_scan = min(self._next_scan, now + self.seconds)
        if not state.is_open and self.newest is not None:
            self.watermark = self.newest

    def _end_scan(self, state: _Pass, live: Mapping[str, Observation]) -> None:
        if state.is_open and state.empty < EMPTY_PAGES:
            return
        state.is_open = False
        self.scan_pages = state.pages
        if self.newest is not None:
            self.watermark = self.newest if self.watermark is None else max(self.watermark, self.newest)
        self.missing = frozenset(
            name
            for name, seen in live.items()
            if name not in self._seen | self.stragglers and not self._is_newborn(seen)
        )
        self.stragglers = self.stragglers | choose_stragglers(self._found_on)

    def _is_newborn(self, seen: Observation) -> bool:
        created = seen.creation_time
        return created is None or (self.newest is not None and self.newest - created < NEWBORN)

    def _modified_since(self) -> datetime | None:
        return None if self.watermark is None else self.watermark - OVERLAP

    def _filters(self, state: _Pass, **since: datetime | None) -> dict[str, Any]:
        filters: dict[str, Any] = {"MaxResults": PAGE_SIZE, "SortBy": "CreationTime", "SortOrder": "Descending"}
        filters.update({name: time for name, time in since.items() if time is not None})
        if state.token is not None:
            filters["NextToken"] = state.token
        return filters


def choose_stragglers(found_on: Collection[tuple[int, frozenset[str]]]) -> frozenset[str]:
    """The jobs that are cheaper to look at one by one, given on which page of a scan (newest first) each was found.

    Leaving out the oldest k jobs saves the pages behind the next oldest one; a look at each of them costs k calls.
    """
    pages = sorted(found_on)
    if not pages:
        return frozenset()
    last = pages[-1][0]
    best: frozenset[str] = frozenset()
    best_gain = 0
    dropped: frozenset[str] = frozenset()
    for index in range(len(pages) - 1, -1, -1):
        number, names = pages[index]
        if names:
            gain = last - number - len(dropped)  # what scanning only up to this page would save
            if gain > best_gain:
                best, best_gain = dropped, gain
        dropped |= names
    return best if dropped != best else frozenset()
