"""Cache of recently used entries."""

from __future__ import annotations

from tests.fakes.clock import Clock
from trainingjob_operator.aws.recent import Recent


def test_the_least_recently_used_entry_is_dropped_first() -> None:
    gone: list[str] = []
    recent: Recent[int, str] = Recent(limit=2, seconds=60.0, clock=Clock(), drop=gone.append)
    recent.put(1, "one")
    recent.put(2, "two")
    assert recent.get(1) == "one"
    recent.put(3, "three")
    assert (gone, recent.get(2), len(recent)) == (["two"], None, 2)


def test_unused_entries_are_dropped_after_a_time() -> None:
    clock = Clock()
    gone: list[str] = []
    recent: Recent[int, str] = Recent(limit=9, seconds=60.0, clock=clock, drop=gone.append)
    recent.put(1, "one")
    recent.put(2, "two")
    clock.now += 59.0
    assert recent.get(2) == "two"
    clock.now += 2.0
    recent.put(3, "three")
    assert gone == ["one"]
    assert list(recent) == ["two", "three"]


def test_old_entries_are_dropped_without_new_ones() -> None:
    clock = Clock()
    gone: list[str] = []
    recent: Recent[int, str] = Recent(limit=9, seconds=60.0, clock=clock, drop=gone.append)
    recent.put(1, "one")
    recent.put(2, "two")
    clock.now += 61.0
    assert recent.get(2) == "two", "the entry is used now"
    assert gone == ["one"]
    clock.now += 61.0
    assert recent.get(3) is None
    assert (gone, len(recent)) == (["one", "two"], 0)


def test_busy_and_newest_entries_are_kept_beyond_the_limit() -> None:
    busy = {"one", "two"}
    recent: Recent[int, str] = Recent(limit=1, seconds=60.0, clock=Clock(), is_busy=busy.__contains__)
    for key, value in enumerate(("one", "two", "three")):
        recent.put(key, value)
    assert list(recent) == ["one", "two", "three"]
    busy.clear()
    recent.put(9, "nine")
    assert list(recent) == ["nine"]


def test_entries_with_a_condition_are_dropped() -> None:
    gone: list[str] = []
    recent: Recent[int, str] = Recent(limit=9, seconds=60.0, clock=Clock(), drop=gone.append)
    for key, value in enumerate(("none", "one", "two")):
        recent.put(key, value)
    recent.pop_if(lambda key: key > 0)
    assert (gone, list(recent)) == (["one", "two"], ["none"])
