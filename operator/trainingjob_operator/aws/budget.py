"""Rate limits: one adaptive token bucket per account, region and operation.

A budget returns the wait of a caller, and keeps its place; the caller waits. Budgets know no operations, and
call nothing. Time is monotonic seconds from the given clock. Budgets belong to the event loop's thread.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from trainingjob_operator.aws.recent import Recent
from trainingjob_operator.logic import operations

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

LONGEST_WAIT: Final = 30.0
"""Longest wait of a caller, in seconds: a caller moves up when others give up."""
RECOVERY_SECONDS: Final = 5.0
"""Longest wait below the starting rate, in seconds, beside the wait for its place at that rate: the rate can recover
sooner than the present one suggests.
"""
GRACE: Final = 30.0
"""Seconds after the due time at which the reservation of a caller lapses."""
SETTLING: Final = 2.0
"""Seconds in which further throttles count as the same one: calls in flight cause them."""
FLOOR: Final = 0.5
"""Lowest rate, in calls a second; a budget at its floor recovers with the first calls that succeed."""
RAISE_SECONDS: Final = 30.0
"""Time of full use without a throttle in which the rate grows by its starting value."""
DOUBLE_SECONDS: Final = 2.0
"""Time in which a rate below its starting value doubles."""
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one budget, in calls and calls a second.

    In any t seconds at most `burst` + `credit` + rate·t calls are granted, where the rate begins at `rate` and never
    exceeds `ceiling`; and at most 1 + `peak`·t, if given. The credit fills while the bucket is full, and serves only
    callers that ask for it.
    """

    rate: float
    burst: float
    ceiling: float
    peak: float | None = None
    credit: float = 0.0


@dataclass(slots=True)
class _Reservation:
    ticket: int
    lapses: float


class Budget:
    """An adaptive token bucket with reservations, first come first served."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._rate = limits.rate
        self._tokens = limits.burst
        self._credit = limits.credit
        self._refilled = clock()
        self._open_from = self._refilled  # the next grant, by the peak
        self._settled_from = self._refilled
        self._held_back_until = self._refilled
        self._next_ticket = 0
        self._tickets: list[int] = []  # of all reservations, in order
        self._reservations: dict[Hashable, _Reservation] = {}
        self._next_purge = self._refilled + GRACE

    @property
    def waiting(self) -> int:
        """Number of callers with a place in line."""
        return len(self._tickets)

    @property
    def rate(self) -> float:
        """The present rate, in calls a second."""
        return self._rate

    def claim(self, key: Hashable, *, on_credit: bool = False) -> float:
        """Claim one call: 0.0 grants it, once; otherwise the seconds until the next claim with the same key.

        Until then the place in line is kept, and for GRACE seconds more; who does not come back loses it.

        :param on_credit: the first in line may take a call from the credit
        """
        now = self._clock()
        self._refill(now)
        if now >= self._next_purge:
            self._purge(now)
        place = self._place(key)
        wait = (place + 1 - self._tokens) / self._rate
        if wait > _ROUNDING:
            self._held_back_until = now + wait + GRACE
        is_credited = wait > _ROUNDING and on_credit and place == 0 and self._credit >= 1
        if is_credited:
            wait = 0.0
        if self._limits.peak is not None:
            wait = max(wait, self._open_from - now + place / self._limits.peak)
        if wait <= _ROUNDING:
            self._drop(key)
            if is_credited:
                self._credit -= 1
            else:
                self._tokens = max(0.0, self._tokens - 1)
            if self._limits.peak is not None:
                self._open_from = now + 1 / self._limits.peak
            return 0.0
        wait = self._shorten(wait, place)
        self._keep(key, now + wait + GRACE)
        return wait

    def wait_for(self, calls: int) -> float:
        """Return the seconds until that number of calls could be granted behind all waiting callers; claims nothing."""
        now = self._clock()
        self._refill(now)
        wait = (len(self._tickets) + calls - self._tokens) / self._rate
        if wait <= _ROUNDING:
            return 0.0
        self._held_back_until = now + wait + GRACE
        return self._shorten(wait, len(self._tickets) + calls - 1)

    def withdraw(self, key: Hashable) -> None:
        """Drop the reservation of a caller."""
        self._drop(key)

    def give_back(self) -> None:
        """Return the token of a granted call that was not sent."""
        self._refill(self._clock())
        self._tokens = min(self._limits.burst, self._tokens + 1)

    def throttled(self) -> None:
        """Halve the rate after a throttled call, and empty the bucket and the credit."""
        now = self._clock()
        self._refill(now)
        self._tokens = self._credit = 0.0
        if now >= self._settled_from:
            self._rate = max(min(FLOOR, self._limits.rate), self._rate / 2)
            self._settled_from = now + SETTLING

    def succeeded(self) -> None:
        """Raise the rate after a successful call, if the rate limits the callers."""
        now = self._clock()
        if now < self._settled_from or now > self._held_back_until:
            return
        self._refill(now)
        step = self._limits.rate / RAISE_SECONDS / self._rate
        if self._rate < self._limits.rate:
            step = max(step, math.log(2) / DOUBLE_SECONDS)
        self._rate = min(self._limits.ceiling, self._rate + step)

    def _refill(self, now: float) -> None:
        tokens = self._tokens + self._rate * (now - self._refilled)
        self._tokens = min(self._limits.burst, tokens)
        self._credit = min(self._limits.credit, self._credit + tokens - self._tokens)
        self._refilled = now

    def _shorten(self, wait: float, place: int) -> float:
        """Return the seconds until a caller with `place` others before it asks again."""
        if self._rate < self._limits.rate:
            wait = min(wait, RECOVERY_SECONDS + place / self._limits.rate)
        return min(wait, LONGEST_WAIT)

    def _place(self, key: Hashable) -> int:
        """Return the number of callers before `key`."""
        reservation = self._reservations.get(key)
        return len(self._tickets) if reservation is None else bisect_left(self._tickets, reservation.ticket)

    def _keep(self, key: Hashable, lapses: float) -> None:
        reservation = self._reservations.get(key)
        if reservation is None:
            self._reservations[key] = _Reservation(self._next_ticket, lapses)
            self._tickets.append(self._next_ticket)
            self._next_ticket += 1
        else:
            reservation.lapses = lapses

    def _drop(self, key: Hashable) -> None:
        reservation = self._reservations.pop(key, None)
        if reservation is not None:
            del self._tickets[bisect_left(self._tickets, reservation.ticket)]

    def _purge(self, now: float) -> None:
        self._reservations = {k: r for k, r in self._reservations.items() if r.lapses > now}
        self._tickets = [r.ticket for r in self._reservations.values()]
        self._next_purge = now + GRACE / 3


@dataclass(frozen=True, slots=True)
class OperationBudgets:
    """The budgets of one account and region, each with the name of the gateway's method."""

    create: Budget
    describe: Budget
    list_page: Budget
    stop: Budget
    update: Budget
    list_tags: Budget
    add_tags: Budget
    delete_tags: Budget

    def by_operation(self) -> Mapping[str, Budget]:
        """Return the budgets by the name of the operation."""
        return {
            operations.CREATE: self.create,
            operations.DESCRIBE: self.describe,
            operations.LIST_JOBS: self.list_page,
            operations.STOP: self.stop,
            operations.UPDATE: self.update,
            operations.LIST_TAGS: self.list_tags,
            operations.ADD_TAGS: self.add_tags,
            operations.DELETE_TAGS: self.delete_tags,
        }


REGIONS: Final = 512
IDLE_SECONDS: Final = 600.0
"""Bounds of the cache of budgets; a new budget starts full, too."""

LIST_CREDIT: Final = 120.0
"""ListTrainingJobs calls beyond the rate while pages are full of changes: two minutes at 2 a second."""

_GENEROUS: Final = Limits(rate=10, burst=100, ceiling=100)


class Budgets:
    """The budgets of every account and region, each with the same starting rates (calls a second)."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        create_tps: float = 1.0,
        list_tps: float = 1.0,
        describe_tps: float = 5.0,
    ) -> None:
        self._clock = clock
        self._limits = {
            "create": Limits(create_tps, max(10, create_tps), max(100, create_tps)),
            "describe": Limits(describe_tps, max(10, describe_tps), max(100, describe_tps)),
            # the account's quota is 2 a second and shared with other tools: recovers, but never grows
            "list_page": Limits(list_tps, max(10, list_tps), list_tps, peak=max(2, list_tps), credit=LIST_CREDIT),
        }
        self._budgets: Recent[tuple[str, str], OperationBudgets] = Recent(
            limit=REGIONS, seconds=IDLE_SECONDS, clock=clock
        )

    def of(self, account: str, region: str) -> OperationBudgets:
        """Return the budgets of that account and region."""
        found = self._budgets.get((account, region))
        if found is None:
            found = OperationBudgets(
                **{
                    name: Budget(self._limits.get(name, _GENEROUS), self._clock)
                    for name in OperationBudgets.__dataclass_fields__
                }
            )
            self._budgets.put((account, region), found)
        return found
