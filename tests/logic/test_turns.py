"""Who may create next: first come first served, one probe at a time where capacity is lacking, nobody lost."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from trainingjob_operator.logic.turns import FIRST_PROBE_SECONDS, PROBE_SECONDS, Place, Turns

SMALL, LARGE = "ml.m5.large", "ml.p5.48xlarge"


def at_once() -> float:
    return 0.0


def line(*names: str, lane: str = SMALL) -> Turns[str]:
    """Objects in line, created in the order of their names."""
    turns: Turns[str] = Turns()
    for name in names:
        turns.join(name, lane=lane, created=name, uid=name)
    return turns


def refused(turns: Turns[str], name: str, lane: str, now: float) -> None:
    """The object has its turn, and there is no capacity; it stands in line again at once."""
    assert turns.is_granted(name)
    turns.refused_for_capacity(name, lane, now)
    turns.join(name, lane=lane, created=name, uid=name)


def test_turns_go_by_the_time_of_creation_not_of_arrival() -> None:
    turns = line("c", "a", "b")
    assert turns.grant(0.0, at_once).keys == ["a", "b", "c"]


def test_of_two_objects_of_one_second_the_uid_decides() -> None:
    turns: Turns[str] = Turns()
    turns.join("x", lane=SMALL, created="t", uid="2")
    turns.join("y", lane=SMALL, created="t", uid="1")
    assert turns.grant(0.0, at_once).keys == ["y", "x"]


def test_lanes_share_one_line() -> None:
    turns = line("a", "d")
    for name in ("b", "c"):
        turns.join(name, lane=LARGE, created=name, uid=name)
    assert turns.grant(0.0, at_once).keys == ["a", "b", "c", "d"]


def test_the_budget_ends_the_round_and_tells_who_asks_again_when() -> None:
    turns = line("a", "b", "c")
    tokens = iter([0.0, 0.5])
    granted = turns.grant(0.0, lambda: next(tokens))
    assert granted.keys == ["a"]
    assert granted.next == ("b", 0.5)
    assert turns.is_granted("a")
    assert not turns.is_waiting("a")
    assert turns.is_waiting("b")


def test_an_empty_line_costs_no_token() -> None:
    turns: Turns[str] = Turns()

    def claim() -> float:
        raise AssertionError("nobody is there to use the token")

    assert turns.grant(0.0, claim).keys == []
    assert turns.grant(0.0, claim).next is None


def test_who_has_the_turn_keeps_it_and_stands_in_line_no_more() -> None:
    turns = line("a")
    turns.grant(0.0, at_once)
    turns.join("a", lane=SMALL, created="a", uid="a")
    assert turns.is_granted("a")
    assert len(turns) == 0


def test_who_leaves_is_not_given_a_turn_and_holds_nobody_up() -> None:
    turns = line("a", "b")
    turns.leave("a")
    assert turns.place("a") is None
    assert turns.place("b") == Place(0, None)
    assert turns.grant(0.0, at_once).keys == ["b"]
    turns.leave("nobody")


def test_who_comes_back_has_the_old_place() -> None:
    turns = line("a", "b")
    turns.leave("a")
    turns.join("a", lane=SMALL, created="a", uid="a")
    assert turns.grant(0.0, at_once).keys == ["a", "b"]
    assert turns.grant(0.0, at_once).keys == []


def test_an_object_whose_instance_type_is_edited_changes_lanes() -> None:
    turns = line("a", "b")
    turns.grant(0.0, iter([0.0, 1.0]).__next__)
    refused(turns, "a", SMALL, 0.0)
    assert turns.grant(1.0, at_once).keys == []
    turns.join("a", lane=LARGE, created="a", uid="a")
    assert turns.grant(1.0, at_once).keys == ["a"]


def test_without_capacity_a_lane_waits_and_the_others_go_on() -> None:
    turns = line("a", "c", "e")
    turns.join("b", lane=LARGE, created="b", uid="b")
    turns.grant(0.0, iter([0.0, 1.0]).__next__)
    refused(turns, "a", SMALL, 0.0)
    granted = turns.grant(0.0, at_once)
    assert granted.keys == ["b"]
    assert granted.next == ("a", FIRST_PROBE_SECONDS)


def test_the_place_in_a_held_lane_counts_its_own_kind_only() -> None:
    turns = line("a", "c", "e")
    turns.join("b", lane=LARGE, created="b", uid="b")
    assert turns.place("e") == Place(3, None)
    turns.grant(0.0, iter([0.0, 1.0]).__next__)
    refused(turns, "a", SMALL, 0.0)
    assert [turns.place(name) for name in "ace"] == [Place(0, SMALL), Place(1, SMALL), Place(2, SMALL)]


def test_probes_come_one_at_a_time_further_and_further_apart_up_to_a_minute() -> None:
    turns, now, pauses = line("a", "b", "c"), 0.0, []
    turns.grant(now, iter([0.0, 1.0]).__next__)
    for _ in range(7):
        refused(turns, "a", SMALL, now)
        granted = turns.grant(now, at_once)
        assert granted.keys == []
        assert granted.next is not None
        assert granted.next[0] == "a", "the oldest is the one that tries"
        pauses.append(granted.next[1])
        assert turns.grant(now + granted.next[1] - 0.01, at_once).keys == []
        now += granted.next[1]
        probe = turns.grant(now, at_once)
        assert probe.keys == ["a"], "one probe, although the budget allows more"
        assert probe.next is None, "the others wait for how it goes"
    assert pauses == sorted(pauses)
    assert pauses[0] == FIRST_PROBE_SECONDS
    assert pauses[-1] == PROBE_SECONDS


def test_after_a_probe_that_succeeds_the_others_go_one_by_one_and_then_the_lane_is_open() -> None:
    turns = line("a", "b", "c")
    turns.grant(0.0, iter([0.0, 1.0]).__next__)
    refused(turns, "a", SMALL, 0.0)
    assert turns.grant(5.0, at_once).keys == ["a"]
    turns.created("a", SMALL)
    assert turns.grant(5.0, at_once).keys == ["b"]
    assert turns.grant(5.0, at_once).keys == []
    turns.created("b", SMALL)
    assert turns.grant(5.0, at_once).keys == ["c"]
    turns.created("c", SMALL)
    for name in ("d", "e"):
        turns.join(name, lane=SMALL, created="2", uid=name)
    assert turns.grant(5.0, at_once).keys == ["d", "e"]
    turns.created("b", SMALL)
    turns.refused_for_capacity("c", SMALL, 5.0)
    turns.join("c", lane=SMALL, created="c", uid="c")
    assert turns.grant(5.0, at_once).next == ("c", FIRST_PROBE_SECONDS), "the pauses begin anew"


def test_a_burst_that_is_refused_as_a_whole_is_one_refusal() -> None:
    turns = line("a", "b", "c", "d")
    turns.grant(0.0, iter([0.0, 0.0, 0.0, 1.0]).__next__)
    for name in ("a", "b"):
        refused(turns, name, SMALL, 0.0)
    assert turns.grant(0.0, at_once).next == ("a", FIRST_PROBE_SECONDS)
    assert turns.grant(FIRST_PROBE_SECONDS, at_once).keys == ["a"]
    refused(turns, "c", SMALL, FIRST_PROBE_SECONDS)
    assert turns.grant(10 * FIRST_PROBE_SECONDS, at_once).keys == [], "the probe is still under way"


def test_a_probe_that_leaves_gives_way_to_the_next() -> None:
    turns = line("a", "b")
    turns.grant(0.0, iter([0.0, 1.0]).__next__)
    refused(turns, "a", SMALL, 0.0)
    assert turns.grant(5.0, at_once).keys == ["a"]
    turns.leave("a")
    assert turns.grant(5.0, at_once).keys == ["b"]


def test_a_probe_whose_instance_type_was_edited_meanwhile_holds_nobody_up() -> None:
    turns = line("a", "b")
    turns.grant(0.0, iter([0.0, 1.0]).__next__)
    refused(turns, "a", SMALL, 0.0)
    assert turns.grant(5.0, at_once).keys == ["a"]
    turns.created("a", LARGE)
    assert turns.grant(5.0, at_once).keys == ["b"]


def test_a_create_of_a_lane_nobody_else_waits_in_leaves_nothing_behind() -> None:
    turns = line("a")
    turns.grant(0.0, at_once)
    turns.created("a", SMALL)
    assert not turns.is_granted("a")
    assert turns.grant(0.0, at_once).keys == []


class Crowd(RuleBasedStateMachine):
    """Any number of objects that come, go, change lanes, are created or refused, in any order."""

    names = st.sampled_from([f"o{number}" for number in range(6)])
    lanes = st.sampled_from([SMALL, LARGE])

    def __init__(self) -> None:
        super().__init__()
        self.turns: Turns[str] = Turns()
        self.now = 0.0
        self.lane: dict[str, str] = {}
        self.granted: set[str] = set()
        self.held: set[str] = set()
        self.probes: dict[str, str] = {}

    def settle(self, name: str) -> None:
        self.granted.discard(name)
        self.probes = {lane: probe for lane, probe in self.probes.items() if probe != name}

    @rule(name=names, lane=lanes)
    def join(self, name: str, lane: str) -> None:
        self.turns.join(name, lane=lane, created=name, uid=name)
        if name not in self.granted:
            self.lane[name] = lane

    @rule(name=names)
    def leave(self, name: str) -> None:
        self.turns.leave(name)
        self.lane.pop(name, None)
        self.settle(name)

    @rule(seconds=st.floats(0, 90))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(tokens=st.integers(0, 4))
    def grant(self, tokens: int) -> None:
        left = [0.0] * tokens + [1.0]
        before = [name for name in sorted(self.lane) if name not in self.granted]
        keys = self.turns.grant(self.now, lambda: left.pop(0)).keys
        for name in keys:
            assert name in before, "nobody has a turn twice, or after leaving"
            lane = self.lane[name]
            older = [n for n in before if n < name and self.lane[n] == lane and n not in self.granted]
            assert not older, "first come, first served"
            if lane in self.held:
                assert lane not in self.probes, "one probe at a time"
                self.probes[lane] = name
            self.granted.add(name)

    @precondition(lambda self: self.granted)
    @rule(data=st.data())
    def create(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.granted)))
        lane = self.lane.pop(name)
        self.turns.created(name, lane)
        self.held.discard(lane)
        self.probes.pop(lane, None)
        self.granted.discard(name)

    @precondition(lambda self: self.granted)
    @rule(data=st.data(), lane=lanes)
    def create_with_another_type(self, data: st.DataObject, lane: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.granted)))
        del self.lane[name]
        self.turns.created(name, lane)
        self.held.discard(lane)
        self.settle(name)
        self.probes.pop(lane, None)

    @precondition(lambda self: self.granted)
    @rule(data=st.data())
    def refuse(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.granted)))
        lane = self.lane[name]
        refused(self.turns, name, lane, self.now)
        self.granted.discard(name)
        self.held.add(lane)
        if self.probes.get(lane) == name:
            del self.probes[lane]

    @invariant()
    def everybody_is_known(self) -> None:
        waiting = set(self.lane) - self.granted
        assert len(self.turns) == len(waiting)
        assert all(self.turns.is_waiting(name) for name in waiting)
        assert all(self.turns.is_granted(name) for name in self.granted)
        assert all((self.turns.place(name) is None) == (name not in waiting) for name in self.lane)

    def teardown(self) -> None:
        """With time, tokens and capacity everybody has a turn in the end."""
        for _ in range(100):
            for name in sorted(self.granted):
                self.turns.created(name, self.lane.pop(name))
            self.granted.clear()
            self.now += PROBE_SECONDS
            self.granted.update(self.turns.grant(self.now, at_once).keys)
        assert not self.lane, "somebody was lost"


Crowd.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestCrowd = Crowd.TestCase
