"""Budgets: bounded call rates, a turn for every caller, slower after throttles and faster afterwards."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.clock import Clock
from trainingjob_operator.aws.budget import (
    DOUBLE_SECONDS,
    FLOOR,
    GRACE,
    LIST_CREDIT,
    LONGEST_WAIT,
    RAISE_SECONDS,
    RECOVERY_SECONDS,
    SETTLING,
    Budget,
    Budgets,
    Limits,
)

LIMITS = Limits(rate=1, burst=10, ceiling=100)


def drain(
    budget: Budget, clock: Clock, seconds: float, *, quota: float | None = None, on_credit: bool = False
) -> list[float]:
    """Times of the calls of one caller without pauses; a `quota` of calls a second throttles it."""
    calls: list[float] = []
    served: list[float] = []
    end = clock.now + seconds
    while clock.now < end:
        wait = budget.claim("caller", on_credit=on_credit)
        if wait > 0:
            clock.now += wait
            continue
        calls.append(clock.now)
        if quota is not None and len([at for at in served if at > clock.now - 1]) >= quota:
            budget.throttled()
        else:
            served.append(clock.now)
            budget.succeeded()
    return calls


def test_a_burst_is_granted_at_once_and_then_the_rate() -> None:
    clock = Clock()
    budget = Budget(LIMITS, clock)
    assert [budget.claim(key) for key in range(13)] == [0.0] * 10 + [1.0, 2.0, 3.0]


def test_a_waiting_caller_keeps_its_position_before_later_ones() -> None:
    clock = Clock()
    budget = Budget(Limits(rate=1, burst=1, ceiling=1), clock)
    assert budget.claim("running") == 0.0
    assert budget.claim("first") == 1.0
    assert budget.claim("second") == 2.0
    clock.now += 1
    assert budget.claim("late") == 2.0
    assert budget.claim("second") == 1.0
    assert budget.claim("first") == 0.0


def test_an_early_claim_returns_the_remaining_wait() -> None:
    clock = Clock()
    budget = Budget(Limits(rate=1, burst=1, ceiling=1), clock)
    budget.claim("running")
    budget.claim("early")
    clock.now += 0.25
    assert budget.claim("early") == 0.75


def test_an_abandoned_reservation_lapses() -> None:
    clock = Clock()
    budget = Budget(Limits(rate=1, burst=1, ceiling=1), clock)
    budget.claim("running")
    for key in range(100):
        assert budget.claim(key) <= LONGEST_WAIT
    clock.now += LONGEST_WAIT + GRACE + 1
    assert budget.claim("live") == 0.0
    assert budget.claim("next") == 1.0


@settings(max_examples=60, deadline=None)
@given(
    rate=st.floats(0.1, 20),
    burst=st.floats(1, 20),
    peak=st.none() | st.floats(0.5, 30),
    steps=st.lists(st.tuples(st.integers(0, 5), st.floats(0, 5)), max_size=80),
)
def test_no_window_holds_more_than_burst_and_rate(
    rate: float, burst: float, peak: float | None, steps: list[tuple[int, float]]
) -> None:
    clock = Clock()
    budget = Budget(Limits(rate, burst, ceiling=rate, peak=peak), clock)
    grants: list[float] = []
    for key, pause in steps:
        clock.now += pause
        while budget.claim(key) == 0.0:
            grants.append(clock.now)
    for i, first in enumerate(grants):
        for j in range(i, len(grants)):
            span = grants[j] - first
            assert j - i + 1 <= burst + rate * span + 1e-6
            if peak is not None:
                assert j - i + 1 <= 1 + peak * span + 1e-6


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 60),
    rate=st.floats(0.2, 10),
    peak=st.none() | st.floats(0.5, 10),
    lateness=st.floats(0, GRACE / 2),
    throttles=st.integers(0, 3),
)
def test_every_waiting_caller_obtains_a_turn_in_order(
    count: int, rate: float, peak: float | None, lateness: float, throttles: int
) -> None:
    clock = Clock()
    budget = Budget(Limits(rate, 1, ceiling=rate, peak=peak), clock)
    due = dict.fromkeys(range(count), clock.now)
    granted: list[int] = []
    for _ in range(100_000):
        if not due:
            break
        key = min(due, key=lambda k: (due[k], k))
        clock.now = max(clock.now, due[key] + (lateness if granted else 0))
        wait = budget.claim(key)
        if wait > 0:
            due[key] = clock.now + wait
            continue
        granted.append(key)
        del due[key]
        if len(granted) <= throttles:
            budget.throttled()
    assert granted == list(range(count))


@pytest.mark.parametrize("quota", [1, 2, 10])
def test_under_throttles_the_rate_settles_near_the_quota_and_rises_after(quota: int) -> None:
    clock = Clock()
    budget = Budget(Limits(rate=5, burst=10, ceiling=100), clock)
    stormy = drain(budget, clock, 300, quota=quota)
    served_rate = len(stormy) / 300
    assert 0.5 * quota <= served_rate <= 1.5 * quota
    before = budget.rate
    drain(budget, clock, 60)
    assert budget.rate >= before + 5


def test_throttles_of_concurrent_calls_count_as_one() -> None:
    clock = Clock()
    budget = Budget(Limits(rate=4, burst=10, ceiling=100), clock)
    for _ in range(8):
        budget.throttled()
    assert budget.rate == 2
    assert budget.claim("next") == pytest.approx(0.5)
    clock.now += SETTLING
    budget.throttled()
    assert budget.rate == 1


def test_below_its_starting_rate_a_budget_delays_no_caller_for_the_present_rate_alone() -> None:
    clock = Clock()
    budget = Budget(Limits(rate=50, burst=50, ceiling=100), clock)
    for _ in range(20):
        budget.throttled()
        clock.now += SETTLING
    budget.throttled()
    assert budget.rate == FLOOR
    waits = [budget.claim(key) for key in range(500)]
    assert waits[:3] == [2.0, 4.0, RECOVERY_SECONDS + 2 / 50]
    assert waits[499] == pytest.approx(RECOVERY_SECONDS + 499 / 50)
    assert budget.wait_for(1) == pytest.approx(RECOVERY_SECONDS + 500 / 50)


def test_the_rate_never_falls_below_the_floor_and_recovers_from_it() -> None:
    clock = Clock()
    budget = Budget(LIMITS, clock)
    for _ in range(50):
        budget.throttled()
        clock.now += SETTLING
    assert budget.rate == FLOOR
    drain(budget, clock, 120)
    assert budget.rate >= LIMITS.rate


def test_after_throttles_the_rate_doubles_up_to_its_former_value() -> None:
    clock = Clock()
    budget = Budget(Limits(rate=5, burst=10, ceiling=100), clock)
    drain(budget, clock, 60, quota=1)
    before = budget.rate
    drain(budget, clock, 2 * DOUBLE_SECONDS + SETTLING)
    assert before < 2.5
    assert budget.rate >= min(5, 3 * before)


def test_the_rate_does_not_rise_without_waiting_callers() -> None:
    clock = Clock()
    budget = Budget(LIMITS, clock)
    for key in range(1000):
        clock.now += 5
        assert budget.claim(key) == 0.0
        budget.succeeded()
    assert budget.rate == LIMITS.rate


def test_full_use_raises_the_rate_by_its_start_in_the_given_time() -> None:
    clock = Clock()
    budget = Budget(LIMITS, clock)
    drain(budget, clock, 10)  # the burst
    before = budget.rate
    drain(budget, clock, RAISE_SECONDS)
    assert budget.rate == pytest.approx(before + LIMITS.rate, rel=0.15)


def test_the_rate_stops_at_its_ceiling() -> None:
    clock = Clock()
    budget = Budget(Limits(rate=1, burst=1, ceiling=1.5), clock)
    drain(budget, clock, 200)
    assert budget.rate == 1.5


def test_listing_stays_at_two_a_second_and_one_a_second_over_time() -> None:
    clock = Clock()
    calls = drain(Budgets(clock).of("111122223333", "eu-west-1").list_page, clock, 600)
    assert all(later - earlier >= 0.5 - 1e-6 for earlier, later in itertools.pairwise(calls))
    assert len(calls) <= 610
    assert len([at for at in calls if at > clock.now - 60]) <= 60


def test_list_calls_on_credit_run_at_two_a_second_for_two_minutes_and_pay_it_back() -> None:
    clock = Clock()
    budget = Budgets(clock).of("111122223333", "eu-west-1").list_page
    calls = drain(budget, clock, 100, on_credit=True)
    assert len(calls) == pytest.approx(200, abs=2)
    calls = drain(budget, clock, 600, on_credit=True)
    assert len(calls) == pytest.approx(600 + LIST_CREDIT + 10 - 100, abs=2), "the credit ends"
    clock.now += 60
    assert len(drain(budget, clock, 100, on_credit=True)) == pytest.approx(100 + 60, abs=2), "what a pause refilled"


def test_a_throttle_ends_the_credit_and_ordinary_calls_leave_it_alone() -> None:
    clock = Clock()
    budget = Budgets(clock).of("111122223333", "eu-west-1").list_page
    assert len(drain(budget, clock, 100)) == pytest.approx(110, abs=2)
    assert len(drain(budget, clock, 20, on_credit=True)) == pytest.approx(40, abs=2)
    budget.throttled()
    clock.now += SETTLING
    assert len(drain(budget, clock, 20, on_credit=True)) <= 21


def test_a_waiting_caller_is_served_before_a_call_on_credit() -> None:
    clock = Clock()
    budget = Budget(Limits(rate=1, burst=1, ceiling=1, credit=5), clock)
    assert budget.claim("first") == 0.0
    assert budget.claim("second") == 1.0
    assert budget.claim("third", on_credit=True) == 2.0
    clock.now += 1
    assert budget.claim("second") == 0.0
    assert budget.claim("third", on_credit=True) == 0.0


def test_budgets_start_at_the_given_rates() -> None:
    budgets = Budgets(Clock(), create_tps=40, list_tps=5, describe_tps=0.05).of("111122223333", "eu-west-1")
    assert (budgets.create.rate, budgets.list_page.rate, budgets.describe.rate) == (40, 5, 0.05)
    assert [budgets.create.claim(key) for key in range(40)] == [0.0] * 40


def test_accounts_and_regions_do_not_share_budgets() -> None:
    budgets = Budgets(Clock())
    here = budgets.of("111122223333", "eu-west-1")
    here.create.throttled()
    assert budgets.of("111122223333", "eu-west-1") is here
    assert budgets.of("111122223333", "eu-west-2").create.rate == 1
    assert budgets.of("444455556666", "eu-west-1").create.rate == 1
    assert here.stop.rate > here.describe.rate


def test_wait_for_claims_no_token_and_counts_waiting_callers() -> None:
    now = [0.0]
    budget = Budget(Limits(rate=1.0, burst=2.0, ceiling=1.0), lambda: now[0])
    assert [budget.wait_for(calls) for calls in (1, 2, 3, 100)] == [0.0, 0.0, 1.0, LONGEST_WAIT]
    assert [budget.claim(name) for name in "abc"] == [0.0, 0.0, 1.0]
    assert budget.wait_for(1) == 2.0
    budget.withdraw("c")
    budget.withdraw("nobody")
    assert budget.wait_for(1) == 1.0


def test_an_unsent_call_returns_its_token_up_to_the_burst() -> None:
    budget = Budget(Limits(rate=1.0, burst=2.0, ceiling=1.0), Clock())
    assert [budget.claim(name) for name in "ab"] == [0.0, 0.0]
    budget.give_back()
    assert [budget.claim(name) for name in "cd"] == [0.0, 1.0]
    for _ in range(5):
        budget.give_back()
    assert [budget.wait_for(calls) for calls in (1, 2)] == [0.0, 1.0]
