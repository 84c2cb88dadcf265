"""A queue with turns by group: one member of each group per round, in order of rank within a group.

A new group joins the next round; a group of a thousand members delays the others by one turn a round. Each operation
takes O(log n) comparisons, except for those that suspend a group.
"""

from bisect import bisect_left, insort
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K")

Rank = tuple[float, str]
"""(time, uid): members of a group have their turns in this order"""
_Slot = tuple[int, int, str]
"""(round, arrival of the group, group): a group of n members has n slots in consecutive rounds."""


@dataclass(slots=True)
class _Group(Generic[K]):
    arrival: int
    first_round: int
    members: list[tuple[Rank, K]] = field(default_factory=list)

    def slot(self, name: str, index: int) -> _Slot:
        return self.first_round + index, self.arrival, name


class RoundRobin(Generic[K]):
    """The waiting members, each with its group and its rank."""

    def __init__(self, suspended: Collection[str] = ()) -> None:
        """:param suspended: groups without turns; `suspend` or `resume` follows each change of it"""
        self._suspended = suspended
        self._groups: dict[str, _Group[K]] = {}
        self._members: dict[K, tuple[str, Rank]] = {}
        self._slots: list[_Slot] = []  # sorted, the next one last
        self._round = 0
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, key: K) -> bool:
        return key in self._members

    def join(self, key: K, group: str, rank: Rank) -> None:
        """Add a new member."""
        there = self._groups.get(group)
        if there is None:
            self._arrivals += 1
            there = self._groups[group] = _Group(self._arrivals, self._round + 1)
        if group not in self._suspended:
            insort(self._slots, there.slot(group, len(there.members)), key=_backwards)
        insort(there.members, (rank, key), key=_rank)
        self._members[key] = (group, rank)

    def leave(self, key: K, *, is_turn: bool = False) -> None:
        """Remove a member: its group has one slot less, and later members of the group move up.

        :param is_turn: the member got its turn: if it was next, its group's turn of this round is used
        """
        if (member := self._members.pop(key, None)) is None:
            return
        name, rank = member
        group = self._groups[name]
        index = bisect_left(group.members, rank, key=_rank)
        is_next = self.first() == key
        del group.members[index]
        if name in self._suspended:
            pass
        elif is_turn and is_next:
            self._round, *_ = self._slots.pop()
            group.first_round += 1
        else:
            last = group.slot(name, len(group.members))
            del self._slots[bisect_left(self._slots, _backwards(last), key=_backwards)]
        if not group.members:
            del self._groups[name]

    def rerank(self, key: K, rank: Rank) -> None:
        """Change the rank of a member; the turns of its group stay the same."""
        name, known = self._members[key]
        members = self._groups[name].members
        del members[bisect_left(members, known, key=_rank)]
        insort(members, (rank, key), key=_rank)
        self._members[key] = (name, rank)

    def suspend(self, name: str) -> None:
        """Exclude the group from turns."""
        if name in self._groups:
            self._slots = [slot for slot in self._slots if slot[2] != name]

    def resume(self, name: str) -> None:
        """Include the group again, from the next round on."""
        if (group := self._groups.get(name)) is not None:
            group.first_round = self._round + 1
            self._slots += [group.slot(name, index) for index in range(len(group.members))]
            self._slots.sort(key=_backwards)

    def first(self) -> K | None:
        """Return the member with the next turn."""
        return self._groups[self._slots[-1][2]].members[0][1] if self._slots else None

    def leader(self, key: K) -> K:
        """Return the first member of the group of a member."""
        return self._groups[self._members[key][0]].members[0][1]

    def index(self, key: K) -> int:
        """Return the number of turns before that of a member."""
        name, rank = self._members[key]
        group = self._groups[name]
        place = bisect_left(group.members, rank, key=_rank)
        if name in self._suspended:
            return place
        slot = group.slot(name, place)
        return len(self._slots) - 1 - bisect_left(self._slots, _backwards(slot), key=_backwards)


def _rank(member: tuple[Rank, object]) -> Rank:
    return member[0]


def _backwards(slot: _Slot) -> tuple[int, int]:
    return -slot[0], -slot[1]
