"""Turns by group: one of each group in each round, in order of rank within a group."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from trainingjob_operator.logic.jobs.round_robin import RoundRobin


def serve(line: RoundRobin[str]) -> list[str]:
    """Grant all turns; return the keys in order."""
    served = []
    while (key := line.first()) is not None:
        line.leave(key, is_turn=True)
        served.append(key)
    return served


def join(line: RoundRobin[str], *keys: str) -> None:
    """The group is the first letter of the key, the rank the key."""
    for key in keys:
        line.join(key, key[0], (0.0, key))


def test_groups_take_turns_and_members_go_in_order_of_rank() -> None:
    line: RoundRobin[str] = RoundRobin()
    join(line, "a3", "a1", "a2", "b2", "c1", "b1")
    assert serve(line) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_a_new_group_has_its_first_turn_in_the_next_round() -> None:
    line: RoundRobin[str] = RoundRobin()
    join(line, "a1", "a2", "a3")
    line.leave("a1", is_turn=True)
    join(line, "b1", "b2")
    assert serve(line) == ["a2", "b1", "a3", "b2"]


def test_a_group_that_rejoins_does_not_overtake_a_waiting_one() -> None:
    line: RoundRobin[str] = RoundRobin()
    join(line, *(f"a{number}" for number in range(5)))
    served = []
    for number in range(8):
        join(line, f"b{number}")
        key = line.first()
        assert key is not None
        line.leave(key, is_turn=True)
        served.append(key[0])
    assert served == ["a", "b"] * 4


def test_a_member_that_leaves_costs_its_group_no_turn() -> None:
    line: RoundRobin[str] = RoundRobin()
    join(line, "a1", "a2", "b1")
    line.leave("a1")
    line.leave("nobody")
    assert "a1" not in line
    assert serve(line) == ["a2", "b1"]


def test_a_suspended_group_gets_no_turns_until_it_is_resumed() -> None:
    suspended = {"a"}
    line: RoundRobin[str] = RoundRobin(suspended)
    join(line, "a1", "a2", "a3", "b1")
    line.suspend("a")
    line.suspend("nobody's")
    assert line.index("a2") == 1
    line.leave("a1")
    assert line.first() == "b1"
    line.leave("b1", is_turn=True)
    assert line.first() is None
    suspended.clear()
    line.resume("a")
    line.resume("nobody's")
    assert serve(line) == ["a2", "a3"]


members = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 30)), unique=True, max_size=40)


def test_a_member_with_another_rank_moves_within_its_group_only() -> None:
    line: RoundRobin[str] = RoundRobin()
    join(line, "a1", "a2", "b1", "a3")
    line.rerank("a3", (-1.0, "a3"))
    assert line.leader("a1") == "a3"
    line.rerank("a1", (1.0, "a1"))
    assert [line.index(key) for key in ("a3", "b1", "a2", "a1")] == [0, 1, 2, 3]
    assert serve(line) == ["a3", "b1", "a2", "a1"]


@given(members, st.data())
@settings(max_examples=100, deadline=None)
def test_the_index_is_the_number_of_turns_before(pairs: list[tuple[str, int]], data: st.DataObject) -> None:
    line: RoundRobin[str] = RoundRobin()
    keys = [f"{group}{rank:02}" for group, rank in pairs]
    join(line, *keys)
    for key in data.draw(st.lists(st.sampled_from(keys), unique=True)) if keys else []:
        line.leave(key, is_turn=data.draw(st.booleans()))
    places = {key: line.index(key) for key in keys if key in line}
    assert len(line) == len(places)
    assert serve(line) == sorted(places, key=places.__getitem__)


def test_ten_thousand_members_cost_little() -> None:
    """The limit is CPU time of this process, far above the usual half second for 60,000 operations."""
    line: RoundRobin[int] = RoundRobin()
    began = time.process_time()
    for number in range(10_000):
        line.join(number, f"namespace-{number % 5000}", (float(number), ""))
    for number in range(10_000):
        assert line.index(number) == number
    for number in range(0, 10_000, 2):
        line.leave(number)
    while (key := line.first()) is not None:
        line.leave(key, is_turn=True)
    assert time.process_time() - began < 10
