"""Order of Create calls: first attempts first, namespaces in turn, one queue a quota, no object lost or starved."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from trainingjob_operator.logic.jobs.create_order import (
    CLAIM_SECONDS,
    FIRST_PROBE_SECONDS,
    PASSES,
    POINT_SECONDS,
    PROBE_SECONDS,
    RESERVED_SECONDS,
    SLOW_SECONDS,
    SLOW_TURNS,
    CreateOrder,
    Lack,
    Place,
    rank_object,
)
from trainingjob_operator.logic.jobs.quotas import Demand, read_demand

SMALL, LARGE = "ml.m5.large", "ml.p5.48xlarge"
QUOTA = f"training/{SMALL}"
NONE_FREE = Lack(QUOTA, "the quota", 0.0)


def demand_of(kind: str = SMALL, count: int = 1) -> Demand:
    return read_demand({"resourceConfig": {"instanceType": kind, "instanceCount": count}})


def at_once(_calls: int) -> float:
    return 0.0


def tokens(count: float) -> Any:
    """Budget with this number of calls and a refill of one a second."""
    return lambda calls: max(0.0, calls - count)


def join(
    turns: CreateOrder[str], *names: str, kind: str = SMALL, count: int = 1, time: float = 0.0, **more: Any
) -> None:
    """Add objects with the rank (time, name); the namespace is the first letter of the name."""
    for name in names:
        turns.join(name, namespace=name[0], rank=(time, name), demand=demand_of(kind, count), **more)


def line(*names: str, limit: int = 0, **more: Any) -> CreateOrder[str]:
    turns: CreateOrder[str] = CreateOrder(turns=limit)
    join(turns, *names, **more)
    return turns


def grant(turns: CreateOrder[str], now: float = 0.0, calls: float = math.inf) -> list[str]:
    """Grant turns; each is claimed at once."""
    granted: list[str] = []
    while len(granted) < calls and (keys := turns.grant(now, tokens(1)).keys):
        turns.claimed(keys[0])
        granted += keys
    return granted


def refuse(turns: CreateOrder[str], name: str, now: float, lack: Lack = NONE_FREE) -> None:
    assert turns.is_granted(name)
    turns.refused_for_capacity(name, lack, now)
    assert turns.is_waiting(name)


def test_turns_follow_the_creation_time_within_a_namespace() -> None:
    assert grant(line("a3", "a1", "a2")) == ["a1", "a2", "a3"]


def test_namespaces_take_turns() -> None:
    assert grant(line("a1", "a2", "a3", "b1", "b2", "c1")) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_a_point_of_priority_is_worth_a_minute_of_waiting() -> None:
    made = "2026-11-28T10:00:00Z"
    later = "2026-11-28T10:01:00Z"
    assert rank_object(later, "uid", 1) == rank_object(made, "uid", 0)
    assert rank_object(later, "uid", 2) < rank_object(made, "uid", 0) < rank_object(made, "uid", -1)
    assert rank_object(made, "a", 0) < rank_object(made, "b", 0) < rank_object(later, "a", 0)
    assert rank_object("yesterday", "uid", 0) < rank_object(made, "uid", 1000), (
        "objects without a valid creation time come first"
    )


def test_a_priority_reorders_its_namespace_and_delays_no_other() -> None:
    turns = line("a1", "a2", "b1", "b2")
    join(turns, "a3", "a4", time=-9.0)
    assert [turns.place(name) for name in ("a3", "b1", "a4", "b2", "a1")] == [Place(n, None) for n in range(5)]
    assert grant(turns) == ["a3", "b1", "a4", "b2", "a1", "a2"]


def test_a_stream_of_high_priority_objects_starves_neither_other_namespaces_nor_its_own() -> None:
    turns = line("a1", "b1", "b2", "b3")
    granted: list[str] = []
    for minute in range(30):  # one a minute, with a priority of ten minutes
        join(turns, f"a-{minute:02}", time=(minute - 10) * POINT_SECONDS)
        granted += grant(turns, calls=1)
    assert [name for name in granted if name[0] == "b"] == ["b1", "b2", "b3"]
    assert granted.index("b3") < 7
    assert granted.index("a1") < 16, "only objects of the next ten minutes come before it"


def test_an_object_with_another_rank_moves_without_a_new_attempt() -> None:
    turns = line("a1", "b1", "b2")
    assert grant(turns) == ["a1", "b1", "b2"]
    for name in ("a1", "b1", "b2"):
        refuse(turns, name, 0.0)
    join(turns, "a2")
    join(turns, "a2", time=-9.0)
    assert [turns.place(name) for name in ("a2", "b1", "a1", "b2")] == [Place(n, "the quota") for n in range(4)]
    assert grant(turns, FIRST_PROBE_SECONDS - 1) == []
    assert grant(turns, FIRST_PROBE_SECONDS) == ["a2"]
    refuse(turns, "a2", FIRST_PROBE_SECONDS)
    join(turns, "a2", time=9.0)
    assert grant(turns, 3 * FIRST_PROBE_SECONDS) == ["a1"]


@pytest.mark.parametrize("retries", [False, True], ids=["first attempts", "retries"])
def test_a_waiting_object_moves_with_its_rank(*, retries: bool) -> None:
    turns = line("a1", "a2", retries=retries)
    join(turns, "a2", time=-1.0, retries=retries)
    assert grant(turns) == ["a2", "a1"]


def test_an_empty_budget_ends_the_round_with_the_next_object_and_time() -> None:
    turns = line("a1", "a2", "a3")
    granted = turns.grant(0.0, tokens(1))
    assert granted.keys == ["a1"]
    assert granted.next == ("a2", 1.0)
    assert turns.is_granted("a1")
    assert turns.is_waiting("a2")
    assert len(turns) == 2


def test_an_empty_queue_reads_no_budget() -> None:
    def wait_for(_calls: int) -> float:
        raise AssertionError("no object can use it")

    turns: CreateOrder[str] = CreateOrder()
    assert turns.grant(0.0, wait_for).keys == []
    assert turns.grant(0.0, wait_for).next is None


def test_an_object_with_a_turn_keeps_it_and_does_not_wait() -> None:
    turns = line("a1")
    grant(turns)
    join(turns, "a1")
    assert turns.is_granted("a1")
    assert len(turns) == 0
    assert turns.place("a1") is None


def test_an_object_that_leaves_delays_no_other() -> None:
    turns = line("a1", "a2")
    turns.leave("a1")
    assert turns.place("a1") is None
    assert turns.place("a2") == Place(0, None)
    assert grant(turns) == ["a2"]
    turns.leave("nobody")
    turns.created("nobody", 0.0)
    turns.refused_for_capacity("nobody", NONE_FREE, 0.0)
    turns.claimed("nobody")
    assert len(turns) == 0


# -- first attempts and retries ---------------------------------------------------------------------------------------


def test_first_attempts_come_first_and_retries_have_their_share() -> None:
    turns = line(*(f"r{number:02}" for number in range(20)), retries=True)
    join(turns, *(f"f{number:02}" for number in range(20)))
    order = grant(turns)
    assert [name[0] for name in order[:10]] == list("ffffrffffr")
    assert sorted(order) == sorted(set(order))
    assert len(order) == 40


def test_retries_use_the_whole_budget_without_first_attempts() -> None:
    assert grant(line("a1", "a2", retries=True)) == ["a1", "a2"]


def test_the_position_is_the_number_of_turns_before() -> None:
    turns = line(*(f"r{number:02}" for number in range(10)), retries=True)
    join(turns, *(f"f{number:02}" for number in range(13)))
    places = {name: turns.place(name) for name in [*(f"f{n:02}" for n in range(13)), *(f"r{n:02}" for n in range(10))]}
    order = grant(turns)
    assert {name: Place(index, None) for index, name in enumerate(order)} == places


# -- claims -----------------------------------------------------------------------------------------------------------


def test_a_turn_uses_no_token_until_it_is_claimed() -> None:
    turns = line("a1", "b1", "c1")
    assert turns.grant(0.0, tokens(1)).keys == ["a1"]
    turns.leave("a1")
    assert turns.grant(0.0, tokens(1)).keys == ["b1"]
    turns.claimed("b1")
    assert turns.grant(0.0, tokens(1)).keys == ["c1"]


def test_an_unclaimed_turn_delays_the_next_by_a_second() -> None:
    turns = line("a1", "b1")
    granted = turns.grant(0.0, tokens(1))
    assert granted.keys == ["a1"]
    assert granted.next == ("b1", CLAIM_SECONDS)
    assert turns.grant(CLAIM_SECONDS, tokens(1)).keys == ["b1"]
    assert turns.is_granted("a1"), "it can still claim the turn"
    turns.claimed("a1")
    turns.created("a1", 2.0)


def test_a_namespace_has_a_share_of_the_workers_for_its_unclaimed_turns() -> None:
    turns = line(*(f"a{number}" for number in range(9)), "b1", "b2", limit=5)
    assert turns.grant(0.0, at_once).keys == ["a0", "b1", "a1", "b2", "a2", "a3", "a4"]
    assert turns.grant(0.0, at_once).keys == []
    turns.claimed("a1")
    assert turns.grant(0.0, at_once).keys == ["a5"]


def test_a_namespace_with_slow_objects_has_a_few_turns_at_a_time() -> None:
    turns = line(*(f"a{number}" for number in range(9)), "b1", limit=4)
    assert turns.grant(0.0, at_once).keys == ["a0", "b1", "a1", "a2", "a3"]
    turns.claimed("b1")
    for number in range(4):
        turns.begin(f"a{number}", 0.0)
    join(turns, "a9", kind=LARGE)
    join(turns, "b2")
    assert turns.grant(60.0, at_once).keys == ["b2"]
    turns.leave("a0")
    assert turns.grant(60.0, at_once).keys == [], "slow, with three unclaimed turns"
    turns.claimed("a1")
    turns.claimed("a2")
    turns.claimed("a3")
    assert len(turns.grant(60.0, at_once).keys) == SLOW_TURNS, "claimed late"
    turns.claimed("a4")
    assert turns.grant(60.0, at_once).keys == ["a7", "a8"], "claimed in time: no longer slow"


def test_the_wait_for_a_worker_makes_no_namespace_slow() -> None:
    turns = line(*(f"a{number}" for number in range(9)), limit=4)
    assert turns.grant(0.0, at_once).keys == ["a0", "a1", "a2", "a3"]
    assert turns.grant(CLAIM_SECONDS, at_once).keys == []
    late = CLAIM_SECONDS + 2 * SLOW_SECONDS
    assert turns.grant(late, at_once).keys == []
    turns.begin("a0", late)
    turns.claimed("a0")
    assert turns.grant(late, at_once).keys == ["a4"], "four turns, as before"
    turns.begin("a1", late)
    turns.begin("a1", late + SLOW_SECONDS - 1.0)
    assert turns.grant(late + SLOW_SECONDS, at_once).keys == [], "the first write counts: slow now"
    turns.claimed("a2")
    assert turns.grant(late + SLOW_SECONDS, at_once).keys == [], "three unclaimed turns"
    turns.begin("none", late)


def test_a_slow_object_does_not_block_the_queue_of_its_quota() -> None:
    turns = line("a1", "b1")
    grant(turns)
    refuse(turns, "a1", 0.0)
    refuse(turns, "b1", 0.0)
    granted = turns.grant(FIRST_PROBE_SECONDS, at_once)
    assert granted.keys == ["a1"]
    assert granted.next == ("b1", CLAIM_SECONDS), "one object is the next probe"
    lapsed = FIRST_PROBE_SECONDS + CLAIM_SECONDS
    assert turns.grant(lapsed, at_once).next == ("b1", FIRST_PROBE_SECONDS), "one attempt at a time"
    later = lapsed + FIRST_PROBE_SECONDS
    assert turns.grant(later, at_once).keys == ["b1"]
    turns.created("a1", later)
    turns.created("b1", later)
    assert len(turns) == 0


def test_a_late_refused_attempt_counts_once() -> None:
    turns = line("a1", "a2")
    grant(turns)
    refuse(turns, "a1", 0.0)
    refuse(turns, "a2", 0.0)
    grant(turns, FIRST_PROBE_SECONDS)
    late = FIRST_PROBE_SECONDS + 2 * CLAIM_SECONDS
    grant(turns, late - CLAIM_SECONDS)
    refuse(turns, "a1", late)
    assert grant(turns, late + 2 * FIRST_PROBE_SECONDS - 0.1) == []
    assert grant(turns, late + 2 * FIRST_PROBE_SECONDS) == ["a1"], "after the next interval, in the same order"


@pytest.mark.parametrize("answers", [("a1", "a2"), ("a2", "a1")])
def test_the_older_of_two_concurrent_probes_stays_first(answers: tuple[str, str]) -> None:
    turns = line("a1", "a2", "b1")
    grant(turns)
    for name in ("a1", "a2", "b1"):
        refuse(turns, name, 0.0)
    turns.leave("b1")
    assert turns.grant(FIRST_PROBE_SECONDS, at_once).keys == ["a1"]
    turns.grant(FIRST_PROBE_SECONDS + CLAIM_SECONDS, at_once)
    late = 2 * FIRST_PROBE_SECONDS + CLAIM_SECONDS
    assert turns.grant(late, at_once).keys == ["a2"]
    for name in answers:
        refuse(turns, name, late)
    assert [turns.place(name) for name in ("a1", "a2")] == [Place(0, "the quota"), Place(1, "the quota")]
    assert grant(turns, late + PROBE_SECONDS) == ["a1"]


def test_a_turn_without_a_sent_call_is_kept_and_delays_no_other() -> None:
    turns = line("a1", "a2", "b1")
    assert grant(turns, calls=1) == ["a1"]
    refuse(turns, "a1", 0.0)
    assert grant(turns, FIRST_PROBE_SECONDS) == ["a1"]
    turns.unclaimed("a1", FIRST_PROBE_SECONDS)
    turns.unclaimed("nobody", FIRST_PROBE_SECONDS)
    assert grant(turns, FIRST_PROBE_SECONDS + CLAIM_SECONDS / 2) == []
    assert grant(turns, FIRST_PROBE_SECONDS + CLAIM_SECONDS) == []
    assert grant(turns, 2 * FIRST_PROBE_SECONDS + CLAIM_SECONDS) == ["b1"]
    assert turns.is_granted("a1")


def test_a_namespace_with_unsent_calls_has_a_few_turns_at_a_time() -> None:
    turns = line(*(f"a{number}" for number in range(9)), "b1")
    assert turns.grant(0.0, at_once).keys == ["a0", "b1", "a1", "a2"]
    turns.claimed("b1")
    for _ in range(3):
        for key in ("a0", "a1", "a2"):
            turns.claimed(key)
            turns.unclaimed(key, 0.0)
    assert turns.grant(0.0, at_once).keys == []
    turns.claimed("a0")
    assert turns.grant(0.0, at_once).keys == [], "the namespace is still at its limit"
    turns.created("a0", 0.0)
    assert turns.grant(0.0, at_once).keys == ["a3"]
    turns.claimed("a1")
    refuse(turns, "a1", 0.0)
    turns.leave("a2")
    turns.leave("a3")
    assert len(turns.grant(60.0, at_once).keys) == 1
    assert turns._namespaces["a"].unclaimed == 1


def test_an_exhausted_quota_delays_only_objects_that_need_it() -> None:
    turns = line("a1", "a3", "a5")
    join(turns, "a2", kind=LARGE)
    assert grant(turns, calls=1) == ["a1"]
    refuse(turns, "a1", 0.0)
    assert grant(turns) == ["a2"]
    assert turns.grant(0.0, at_once).next == ("a1", FIRST_PROBE_SECONDS)
    assert [turns.place(name) for name in ("a1", "a3", "a5")] == [Place(n, "the quota") for n in range(3)]


def test_a_shortage_without_a_quota_delays_the_instance_type() -> None:
    turns = line("a1", "a2")
    grant(turns, calls=1)
    refuse(turns, "a1", 0.0, Lack(None, f"capacity of {SMALL}"))
    assert grant(turns) == []
    assert turns.place("a2") == Place(1, f"capacity of {SMALL}")
    join(turns, "a2", kind=LARGE)
    assert grant(turns) == ["a2"], "an edit of the instance type leaves the queue"


def test_an_unknown_quota_delays_only_the_refused_objects() -> None:
    turns = line("a1", "a2", "a3")
    grant(turns, calls=1)
    refuse(turns, "a1", 0.0, Lack("gadgets", "the quota 'gadgets'", 0.0))
    assert grant(turns, calls=1) == ["a2"]
    refuse(turns, "a2", 0.0, Lack("gadgets", "the quota 'gadgets'", 0.0))
    assert grant(turns) == ["a3"]
    assert grant(turns, FIRST_PROBE_SECONDS) == ["a1"]
    turns.created("a1", 6.0)
    assert grant(turns, 6.0) == ["a2"]


def test_probes_run_one_at_a_time_with_a_back_off_of_up_to_a_minute() -> None:
    turns, now, pauses = line("a1", "a2", "a3"), 0.0, []
    assert grant(turns, calls=1) == ["a1"]
    for _ in range(7):
        refuse(turns, "a1", now)
        granted = turns.grant(now, at_once)
        assert granted.keys == []
        assert granted.next is not None
        assert granted.next[0] == "a1", "the oldest object is the probe"
        pauses.append(granted.next[1])
        assert grant(turns, now + granted.next[1] - 0.01) == []
        now += granted.next[1]
        assert grant(turns, now) == ["a1"], "one probe, although the budget allows more"
    assert pauses == sorted(pauses)
    assert pauses[0] == FIRST_PROBE_SECONDS
    assert pauses[-1] == PROBE_SECONDS


def test_after_a_successful_probe_the_others_follow_one_by_one() -> None:
    turns = line("a1", "a2", "a3")
    grant(turns, calls=1)
    refuse(turns, "a1", 0.0)
    for name in ("a1", "a2", "a3"):
        assert grant(turns, 5.0) == [name]
        turns.created(name, 5.0)
    join(turns, "a4", "a5")
    assert grant(turns, 5.0) == ["a4", "a5"], "no object waits for the quota"


def test_a_burst_of_refusals_counts_as_one() -> None:
    turns = line("a1", "a2", "a3", "a4")
    assert grant(turns, calls=3) == ["a1", "a2", "a3"]
    refuse(turns, "a1", 0.0)
    refuse(turns, "a2", 0.0)
    assert turns.grant(0.0, at_once).next == ("a1", FIRST_PROBE_SECONDS)
    assert grant(turns, FIRST_PROBE_SECONDS) == ["a1"]
    refuse(turns, "a3", FIRST_PROBE_SECONDS)
    assert grant(turns, 10 * FIRST_PROBE_SECONDS) == [], "the probe is still in flight"


def test_objects_refused_together_keep_their_order() -> None:
    turns = line("a1", "a2", "a3")
    assert grant(turns, 0.0) == ["a1", "a2", "a3"]
    for name in ("a3", "a1", "a2"):
        refuse(turns, name, 0.0)
    assert [turns.place(name) for name in ("a1", "a2", "a3")] == [Place(n, "the quota") for n in range(3)]
    assert grant(turns, FIRST_PROBE_SECONDS) == ["a1"]


def test_the_next_object_replaces_a_probe_that_leaves() -> None:
    turns = line("a1", "a2")
    grant(turns, calls=1)
    refuse(turns, "a1", 0.0)
    assert grant(turns, 5.0) == ["a1"]
    turns.leave("a1")
    assert grant(turns, 5.0) == ["a2"]


def test_a_retry_refused_for_another_quota_changes_the_queue() -> None:
    turns = line("a1")
    grant(turns)
    refuse(turns, "a1", 0.0)
    assert grant(turns, FIRST_PROBE_SECONDS) == ["a1"]
    refuse(turns, "a1", FIRST_PROBE_SECONDS, Lack("instances", "all instances", 0.0))
    assert turns.place("a1") == Place(0, "all instances")
    assert grant(turns, FIRST_PROBE_SECONDS) == []
    assert grant(turns, 2 * FIRST_PROBE_SECONDS) == ["a1"]


def test_objects_that_alternate_between_quotas_are_never_lost() -> None:
    everything = Lack("instances", "all instances", 0.0)
    turns = line("a1", "a2", "a3")
    grant(turns, calls=2)
    refuse(turns, "a1", 0.0)
    refuse(turns, "a2", 0.0, everything)
    assert turns.place("a3") == Place(1, "all instances") or grant(turns, 0.0) == []
    seen = set()
    now = 0.0
    for _ in range(12):
        now += PROBE_SECONDS
        for name in grant(turns, now):
            seen.add(name)
            refuse(turns, name, now, everything if len(seen) % 2 else NONE_FREE)
    assert seen
    for _ in range(30):
        now += PROBE_SECONDS
        for name in grant(turns, now):
            turns.created(name, now)
    assert len(turns) == 0


# -- large and small --------------------------------------------------------------------------------------------------


def test_objects_that_fit_the_free_quota_pass_the_longest_waiting_one() -> None:
    turns = line("a1", count=8)
    grant(turns)
    refuse(turns, "a1", 0.0, Lack(QUOTA, "the quota", 3.0))
    join(turns, "a2", count=4)
    join(turns, "a3", count=2)
    join(turns, "a4", "a5")
    assert turns.place("a5") == Place(4, "the quota", is_passing=True)
    assert grant(turns, 0.0) == ["a4"]
    turns.created("a4", 0.0)
    assert grant(turns, 0.0) == ["a5"]
    turns.created("a5", 0.0)
    assert grant(turns, 0.0) == [], "one instance is free, and the next object needs two"
    assert grant(turns, FIRST_PROBE_SECONDS) == ["a1"]


def test_a_created_job_reduces_the_free_quota() -> None:
    turns: CreateOrder[str] = CreateOrder()
    join(turns, "a1", count=4)
    join(turns, "b1")
    assert grant(turns) == ["a1", "b1"]
    refuse(turns, "a1", 0.0, Lack(QUOTA, "the quota", 1.0))
    join(turns, "c1")
    assert grant(turns, calls=0) == [], "the object would fit"
    turns.created("b1", 0.0)
    assert grant(turns) == []
    assert grant(turns, FIRST_PROBE_SECONDS) == ["a1"]


def test_smaller_objects_follow_each_refusal_of_a_larger_one_if_the_free_quota_is_unknown() -> None:
    turns = line("a1", count=8)
    grant(turns)
    unnamed = Lack(None, "capacity")
    refuse(turns, "a1", 0.0, unnamed)
    join(turns, "a2", count=8)
    join(turns, "a3", count=2)
    assert grant(turns, 0.0) == ["a3"]
    refuse(turns, "a3", 0.0, unnamed)
    assert grant(turns, 1.0) == []
    assert grant(turns, FIRST_PROBE_SECONDS) == ["a1"]
    refuse(turns, "a1", FIRST_PROBE_SECONDS, unnamed)
    assert grant(turns, FIRST_PROBE_SECONDS) == ["a3"]


def test_the_quota_is_reserved_after_a_number_of_passes_for_longer_each_time() -> None:
    turns = line("a0", count=8)
    grant(turns)
    some = Lack(QUOTA, "the quota", 4.0)
    refuse(turns, "a0", 0.0, some)
    join(turns, *(f"a{number}" for number in range(100, 200)))
    now, began = 0.0, 0.0
    windows: list[float] = []
    while len(windows) < 3:
        passed = 0
        while name := next(iter(grant(turns, now)), None):
            if name == "a0":
                refuse(turns, name, now, some)
            else:
                turns.created(name, now)
                passed += 1
        if passed:
            windows.append(now - began)
            began = now
            assert passed <= PASSES
        now += 1.0
        place = turns.place("a0")
        assert place is not None
        assert place.is_reserved != place.is_passing
    assert windows[1] < PASSES * PROBE_SECONDS, "four at a time, by the free quota in the answer"


class QuotaService:
    """One quota with running jobs of various sizes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.running: list[tuple[float, int]] = []

    def free(self, now: float) -> int:
        self.running = [job for job in self.running if job[0] > now]
        return self.limit - sum(size for _, size in self.running)


sizes = st.lists(st.integers(1, 8), min_size=1, max_size=25)


@given(st.integers(8, 12), sizes, st.floats(30.0, 2 * RESERVED_SECONDS), st.booleans(), st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_jobs_of_all_sizes_are_created_and_small_ones_starve_no_large_one(
    limit: int, wanted: list[int], seconds: float, is_free_stated: bool, taken: int
) -> None:
    """New small objects arrive while others wait; another user holds `taken` instances at first."""
    service, turns = QuotaService(limit), CreateOrder[str]()
    service.running = [(5000.0, taken)]
    demands: dict[str, int] = {}

    def apply(size: int) -> None:
        name = f"{'abc'[len(demands) % 3]}{len(demands):04}"
        demands[name] = size
        join(turns, name, count=size)

    for size in wanted:
        apply(size)
    first, now = set(demands), 0.0
    created: set[str] = set()
    while not first <= created:
        if sum(name not in created for name in demands) < len(first) + 5:
            apply(1)
        for name in grant(turns, now):
            free = service.free(now)
            if demands[name] <= free:
                service.running.append((now + seconds, demands[name]))
                created.add(name)
                turns.created(name, now)
            else:
                refuse(turns, name, now, Lack(QUOTA, "the quota", float(free) if is_free_stated else None))
        now += 30.0
        assert now < 100 * RESERVED_SECONDS, f"{first - created} are never created"


@pytest.mark.parametrize("holder", [1, 4, 7])
def test_an_object_that_never_fits_does_not_block_small_ones(holder: int) -> None:
    turns, service = line("a0", count=8), QuotaService(8)
    service.running = [(math.inf, holder)]
    now = 0.0
    created: list[str] = []
    join(turns, *(f"b{number:02}" for number in range(35)))
    while len(created) < 35:
        for name in grant(turns, now):
            size, free = (8 if name == "a0" else 1), service.free(now)
            if size <= free:
                service.running.append((now + 60.0, size))
                created.append(name)
                turns.created(name, now)
            else:
                refuse(turns, name, now, Lack(QUOTA, "the quota", float(free)))
        now += 5.0
        assert now < 12 * RESERVED_SECONDS
    assert "a0" not in created


class Crowd(RuleBasedStateMachine):
    """Any number of objects that join, leave, change types, are created or refused, in any order."""

    names = st.sampled_from([f"{namespace}{number}" for namespace in "abc" for number in range(4)])
    kinds = st.sampled_from([SMALL, LARGE])
    quotas = st.sampled_from([None, QUOTA, "instances", "gadgets"])

    def __init__(self) -> None:
        super().__init__()
        self.turns: CreateOrder[str] = CreateOrder()
        self.now = 0.0
        self.there: set[str] = set()

    @property
    def granted(self) -> list[str]:
        return sorted(name for name in self.there if self.turns.is_granted(name))

    @rule(name=names, kind=kinds, count=st.integers(1, 3), time=st.integers(-1, 1), retries=st.booleans())
    def join(self, name: str, kind: str, count: int, time: int, retries: bool) -> None:
        join(self.turns, name, kind=kind, count=count, time=float(time), retries=retries)
        self.there.add(name)

    @rule(name=names)
    def leave(self, name: str) -> None:
        self.turns.leave(name)
        self.there.discard(name)

    @rule(seconds=st.floats(0, 90))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(calls=st.integers(0, 4))
    def grant(self, calls: int) -> None:
        before = set(self.granted)
        granted = self.turns.grant(self.now, tokens(calls))
        assert not before & set(granted.keys), "no object has two turns"
        if granted.next is not None:
            assert self.turns.is_waiting(granted.next[0])
            assert granted.next[1] >= 0

    @precondition(lambda self: self.granted)
    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        self.turns.claimed(data.draw(st.sampled_from(self.granted)))

    @precondition(lambda self: self.granted)
    @rule(data=st.data())
    def create(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.granted))
        self.turns.created(name, self.now)
        self.there.discard(name)

    @precondition(lambda self: self.granted)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.granted))
        self.turns.claimed(name)
        self.turns.unclaimed(name, self.now)

    @precondition(lambda self: self.granted)
    @rule(data=st.data(), quota=quotas, free=st.none() | st.floats(0, 3))
    def refuse(self, data: st.DataObject, quota: str | None, free: float | None) -> None:
        refuse(self.turns, data.draw(st.sampled_from(self.granted)), self.now, Lack(quota, "title", free))

    @invariant()
    def each_object_waits_or_has_a_turn(self) -> None:
        waiting = {name for name in self.there if self.turns.is_waiting(name)}
        assert waiting | set(self.granted) == self.there
        assert len(self.turns) == len(waiting)
        assert all((self.turns.place(name) is None) == (name not in waiting) for name in self.there)

    def teardown(self) -> None:
        """Every object obtains a turn, given time, tokens and capacity."""
        for name in self.granted:
            self.turns.created(name, self.now)
        for _ in range(100):
            self.now += PROBE_SECONDS
            for name in grant(self.turns, self.now):
                self.turns.created(name, self.now)
        assert len(self.turns) == 0, "an object was lost"
        assert not self.turns._queues
        assert not self.turns._namespaces
        assert not self.turns._suspended


Crowd.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestCrowd = pytest.mark.long(Crowd.TestCase)
