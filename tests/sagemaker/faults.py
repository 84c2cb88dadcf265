"""Deliberate faults: those requested by tests, and the rate quotas of the service.

This module selects the faults of a call; the transport carries them out.
"""

from __future__ import annotations

import dataclasses
import fnmatch
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Mapping

KINDS = frozenset(
    {
        "throttle",
        "error",
        "refuse",
        "drop",
        "garbage",
        "plain",
        "delay",
        "hold",
        "stale",
        "hidden",
        "duplicate",
        "answer",
    }
)


@dataclasses.dataclass(slots=True)
class Fault:
    """One fault: the calls it hits, their number, and its effect.

    Kinds: throttle; error (code, message, status); refuse (reason: one of service.REFUSALS); drop (connection closed);
    garbage (200 with a body that is not JSON); plain (message as plain text, with status); delay (amount seconds); hold
    (until its release); stale (reads answer with the state `amount` seconds ago); hidden (reads omit jobs younger than
    `amount` seconds); duplicate (the call is carried out twice, the second answer is sent); answer (patch is merged
    into the answer, None removes).
    With `after`, the call takes effect first: throttle, error, drop, garbage, plain, delay and hold hide a success.
    """

    kind: str
    operation: str = "*"  # glob
    job: str = "*"  # glob on job name
    account: str = "*"
    region: str = "*"
    skip: int = 0  # this number of matching calls passes first
    count: int | None = None  # number of calls hit after them; None: no limit
    rate: float = 1.0  # chance of a hit for each call
    until: float | None = None  # epoch seconds of the service's clock
    after: bool = False
    amount: float = 0.0
    code: str = "InternalFailure"
    message: str = "The request processing has failed because of an unknown error, exception or failure."
    status: int = 500
    reason: str = "role"
    patch: Mapping[str, Any] | None = None
    number: int = 0


class Faults:
    """The active faults, in order of creation."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._faults: dict[int, Fault] = {}
        self._numbers = 0
        self.hits: Counter[int] = Counter()  # by number, also of faults that are used up

    def add(self, fault: Fault) -> int:
        if fault.kind not in KINDS:
            raise ValueError(f"unknown kind of fault {fault.kind!r}; known: {', '.join(sorted(KINDS))}")
        self._numbers += 1
        fault.number = self._numbers
        self._faults[fault.number] = fault
        return fault.number

    def remove(self, number: int | None) -> None:
        if number is None:
            self._faults.clear()
        else:
            self._faults.pop(number, None)

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults.values())

    def hit(self, now: float, operation: str, account: str, region: str, job: str) -> list[Fault]:
        """The faults for this call; each counts it as a hit."""
        if not self._faults:
            return []
        hits = []
        for fault in list(self._faults.values()):
            if fault.until is not None and now >= fault.until:
                del self._faults[fault.number]
                continue
            if not (
                fnmatch.fnmatchcase(operation, fault.operation)
                and fnmatch.fnmatchcase(job, fault.job)
                and fnmatch.fnmatchcase(account, fault.account)
                and fnmatch.fnmatchcase(region, fault.region)
            ):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if fault.rate < 1 and self._chance.random() >= fault.rate:
                continue
            self.hits[fault.number] += 1
            if fault.count is not None and self.hits[fault.number] >= fault.count:
                del self._faults[fault.number]
            hits.append(fault)
        return hits


class Quotas:
    """Permitted calls per second by operation, account and region; no limit by default."""

    def __init__(self) -> None:
        self._rates: dict[str, tuple[float, float]] = {}
        self._levels: dict[tuple[str, str, str], tuple[float, float]] = {}

    def set(self, operation: str, rate: float | None, burst: float | None) -> None:
        self._levels = {key: level for key, level in self._levels.items() if key[0] != operation}
        if rate is None:
            self._rates.pop(operation, None)
        else:
            self._rates[operation] = (rate, burst if burst is not None else max(1.0, rate))

    def allows(self, now: float, operation: str, account: str, region: str) -> bool:
        """True if this call passes; a rejected call takes no token."""
        if operation not in self._rates:
            return True
        rate, burst = self._rates[operation]
        key = (operation, account, region)
        level, at = self._levels.get(key, (burst, now))
        level = min(burst, level + (now - at) * rate)
        allowed = level >= 1
        self._levels[key] = (level - 1 if allowed else level, now)
        return allowed
