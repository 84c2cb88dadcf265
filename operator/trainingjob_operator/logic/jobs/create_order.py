"""Create queues of one account and region: the order of CreateTrainingJob calls.

First attempts have precedence. Retries and objects waiting for a quota share one turn in RETRY_SHARE while first
attempts wait. Within each queue the turns rotate between namespaces (round_robin.py); within a namespace they go by
rank, which a priority changes by a bounded time (`rank_object`).

An object refused for a quota waits in the queue of that quota, as does every other object whose job requires the quota.
The longest-waiting object is retried with increasing intervals. A job that fits the free amount may pass it; after
PASSES such jobs the quota is reserved for the longest-waiting object, for RESERVED_SECONDS and then twice as long each
time: a large job is served eventually, and smaller jobs pass in between.

A turn consumes no token until it is claimed: the object first records its intent to create in its metadata. A turn not
claimed within CLAIM_SECONDS blocks no other object. A turn whose write takes SLOW_SECONDS, or whose call is not sent,
makes its namespace slow until another one is claimed in time; the wait for a worker does not count. A slow namespace
has at most SLOW_TURNS unclaimed turns, any other one a share of the workers: the writes of one namespace do not occupy
all of them. Time is an argument (monotonic seconds).
"""

import heapq
import math
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Generic, TypeVar

from trainingjob_operator.logic.jobs.quotas import Demand
from trainingjob_operator.logic.jobs.round_robin import Rank, RoundRobin
from trainingjob_operator.logic.timestamps import parse_time

K = TypeVar("K", bound=Hashable)

PROBE_SECONDS = 60.0
"""Maximum interval between two attempts of the longest-waiting object of a quota."""

FIRST_PROBE_SECONDS = 5.0
"""First interval: capacity often returns with the end of the next job."""

RETRY_SHARE = 5
"""While first attempts wait, one turn in this number goes to retries."""

PASSES = 10
"""Number of smaller jobs that may pass the longest-waiting object of a quota."""

RESERVED_SECONDS = 900.0
"""Duration of the reservation after PASSES; doubled each time."""

CLAIM_SECONDS = 1.0
"""Time to claim a turn; after it the next object no longer waits for the write."""

SLOW_SECONDS = 5.0
"""Duration of the write before a turn is claimed, until its namespace counts as slow: a busy API server answers within
it, a hung webhook does not."""

SLOW_TURNS = 3
"""Maximum number of unclaimed turns of a slow namespace."""

POINT_SECONDS = 60.0
"""Head start of an object in its namespace for each point of its priority."""

ROUNDING = 1e-6
"""Tolerance for early timers in seconds."""

_FIRST, _RETRIES = " first attempts", " retries"
"""Names of the queues without a quota; the leading blank keeps them apart from quota names."""


def rank_object(created: str, uid: str, priority: int) -> Rank:
    """Return the rank of an object in its namespace: its creation time, less the head start by its priority.

    Two objects keep their order while both wait: each gains as much by waiting as the other. An object is overtaken
    only by those created within the difference of the head starts after it, so none waits forever.

    :param created: RFC 3339; an unreadable time sorts first
    """
    time = parse_time(created)
    return (0.0 if time is None else time.timestamp()) - priority * POINT_SECONDS, uid


@dataclass(frozen=True, slots=True)
class Place:
    """Position in a queue: `ahead` objects are served earlier; `capacity` names the exhausted quota."""

    ahead: int
    capacity: str | None
    is_passing: bool = False
    """Smaller jobs may pass the objects in the queue."""
    is_reserved: bool = False
    """The quota is reserved for the longest-waiting object."""


@dataclass(frozen=True, slots=True)
class Lack:
    """A refusal for a quota: its key in `Demand.amounts` (None: the job's kind), and the free amount."""

    quota: str | None
    title: str
    free: float | None = None


@dataclass(frozen=True, slots=True)
class Granted(Generic[K]):
    """Keys with a new turn, and the key to call again with after a time in seconds (None: call on a change)."""

    keys: list[K]
    next: tuple[K, float] | None


@dataclass(slots=True)
class _Member:
    namespace: str
    rank: Rank
    demand: Demand
    retries: bool
    queue: str | None = None
    """The quota of its queue; None in the queue of first attempts or retries."""
    left: set[str] = field(default_factory=set)
    """The quota queues left for another one."""


@dataclass(slots=True)
class _Turn:
    """A turn in progress."""

    member: _Member
    is_oldest: bool = False
    """Granted as the longest-waiting object of its quota, not as a passing one."""
    is_unclaimed: bool = True
    has_begun: bool = False
    """A worker writes the object's intent."""
    is_kept: bool = False
    """Its call was not sent: the turn counts as unclaimed until it ends."""


@dataclass(slots=True)
class _Namespace:
    objects: int = 0
    """Number of objects that wait or have a turn."""
    unclaimed: int = 0
    is_slow: bool = False


class _Queue(Generic[K]):
    """The queue for one quota."""

    def __init__(self, title: str, suspended: set[str]) -> None:
        self.title = title
        self.suspended = suspended
        self.waiting: RoundRobin[K] = RoundRobin(suspended)
        self.sizes: dict[float, RoundRobin[K]] = {}
        self.amounts: list[float] = []  # sorted keys of `sizes`
        self.held_until = -math.inf
        self.pause = 0.0
        self.probing: K | None = None
        self.oldest: K | None = None  # keeps its position, although each attempt is a turn of its namespace
        self.free = 0.0
        self.refused = 0.0
        self.passes = 0
        self.reserved_until = -math.inf
        self.reserved_for = 0.0

    def add(self, key: K, member: _Member, amount: float) -> None:
        self.waiting.join(key, member.namespace, member.rank)
        if amount not in self.sizes:
            self.sizes[amount] = RoundRobin(self.suspended)
            insort(self.amounts, amount)
        self.sizes[amount].join(key, member.namespace, member.rank)
        self._yield_to_leader()

    def rerank(self, key: K, amount: float, rank: Rank) -> None:
        for line in (self.waiting, self.sizes[amount]):
            line.rerank(key, rank)
        self._yield_to_leader()

    def _yield_to_leader(self) -> None:
        """Let the first object of a namespace take the place of a later one that waits for the quota longest."""
        if self.oldest is not None and self.oldest in self.waiting:
            self.oldest = self.waiting.leader(self.oldest)

    def remove(self, key: K, amount: float, *, is_turn: bool) -> None:
        for line in (self.waiting, self.sizes[amount]):
            line.leave(key, is_turn=is_turn)
        if not self.sizes[amount]:
            del self.sizes[amount]
            del self.amounts[bisect_left(self.amounts, amount)]

    def is_over(self) -> bool:
        return self.probing is None and not self.waiting

    def next(self, now: float) -> K | None:
        """Return the longest-waiting object if its retry is due, otherwise an object that may pass it."""
        if self.held_until > now + ROUNDING:
            return self.passer(now)
        if self.oldest is None or self.oldest not in self.waiting:
            self.oldest = self.waiting.first()
        return self.oldest

    def place(self, key: K) -> Place:
        index = self.waiting.index(key)
        if self.oldest is not None and self.oldest in self.waiting:
            index = 0 if key == self.oldest else index + (self.waiting.index(self.oldest) > index)
        return Place(index + (self.probing is not None), self.title)

    def passer(self, now: float) -> K | None:
        """Return the smallest object that fits the free amount, if known; None while none may pass."""
        if not self.amounts or self.is_reserved(now):
            return None
        smallest = self.amounts[0]
        return self.sizes[smallest].first() if smallest <= self.free and smallest < self.refused else None

    def is_reserved(self, now: float) -> bool:
        return now < self.reserved_until

    def due(self, now: float) -> float:
        """Return the time of the next attempt; infinity while there is none."""
        if self.probing is not None or self.waiting.first() is None:
            return math.inf
        return now if self.passer(now) is not None else self.held_until

    def refuse(self, amount: float, free: float | None, now: float, *, is_oldest: bool) -> None:
        """Record a refusal for that amount; `free` is the free amount in SageMaker's message, if any."""
        self.free, self.refused = (math.inf if free is None else free), amount
        if is_oldest:
            self.pause = min(PROBE_SECONDS, max(FIRST_PROBE_SECONDS, self.pause * 2))
            self.held_until = now + self.pause

    def lapse(self, now: float) -> None:
        """Continue with another object after an unclaimed turn, with a delay.

        With slow writes every object would otherwise be tried within seconds of its predecessor, and the order of the
        queue would depend on the speed of the writes.
        """
        self.held_until = now + FIRST_PROBE_SECONDS

    def serve(self, now: float, *, is_oldest: bool) -> None:
        """Record the creation of a job of this queue."""
        if is_oldest:  # more is free than was known: the next object tries at once, alone
            self.pause, self.held_until, self.free = 0.0, -math.inf, 0.0
            self.passes, self.reserved_for, self.reserved_until = 0, 0.0, -math.inf
            return
        self.passes += 1
        if self.passes >= PASSES:
            self.passes = 0
            self.reserved_for = max(RESERVED_SECONDS, self.reserved_for * 2)
            self.reserved_until = now + self.reserved_for


class CreateOrder(Generic[K]):
    """The create queues of one account and region."""

    def __init__(self, *, turns: int = SLOW_TURNS) -> None:
        """:param turns: maximum number of unclaimed turns of a namespace"""
        self._limit = max(turns, SLOW_TURNS)
        self._members: dict[K, _Member] = {}  # waiting objects
        self._suspended: set[str] = set()  # namespaces
        self._first: RoundRobin[K] = RoundRobin(self._suspended)
        self._retries: RoundRobin[K] = RoundRobin(self._suspended)
        self._queues: dict[str, _Queue[K]] = {}
        self._turns: dict[K, _Turn] = {}
        self._unclaimed: dict[K, float] = {}  # time of the grant, oldest first; without lapsed turns
        self._lapsed: dict[K, float] = {}  # likewise; without slow turns
        self._namespaces: defaultdict[str, _Namespace] = defaultdict(_Namespace)
        self._agenda: list[tuple[float, int, str]] = []  # a heap of (due, entry, queue)
        self._entries: dict[str, tuple[float, int]] = {}  # the valid entry of each queue
        self._entry = 0
        self._firsts = 0  # first attempts since the last retry
        self._now = -math.inf
        self.created_jobs = 0
        """Number of jobs created so far."""

    def __len__(self) -> int:
        return len(self._members)

    def count_by_quota(self) -> Counter[str]:
        """Return the number of waiting objects by the quota of their queue; "" without one."""
        return Counter(member.queue or "" for member in self._members.values())

    def join(self, key: K, *, namespace: str, rank: Rank, demand: Demand, retries: bool = False) -> None:
        """Join the queue. A waiting object keeps its position unless its job's demand or its rank has changed."""
        if key in self._turns:
            return
        known = self._members.get(key)
        if known is None:
            self._namespaces[namespace].objects += 1
        if known is None or known.demand != demand:
            self._drop(key)
            retries = retries if known is None else known.retries
            self._members[key] = _Member(namespace, rank, demand, retries)
            (self._retries if retries else self._first).join(key, namespace, rank)
            self._schedule(_RETRIES)
        elif known.rank != rank:
            self._rerank(key, known, rank)
        self._sort(key)

    def leave(self, key: K) -> None:
        """Give up the position or the turn."""
        if (member := self._members.get(key)) is not None:
            self._drop(key)
            self._count_out(member.namespace)
        self._end_turn(key)

    def is_granted(self, key: K) -> bool:
        return key in self._turns

    def is_waiting(self, key: K) -> bool:
        return key in self._members

    def grant(self, now: float, wait_for: Callable[[int], float]) -> Granted[K]:
        """Grant as many turns as the budget permits now.

        :param wait_for: returns the seconds until the budget permits this number of calls
        """
        self._now = now
        self._lapse()
        granted: list[K] = []
        while (chosen := self._choose()) is not None:
            line, key = chosen
            if (wait := wait_for(len(self._unclaimed) + 1)) > 0:
                return Granted(granted, (key, min(wait, self._next_lapse())))
            self._give(key, line)
            granted.append(key)
        return Granted(granted, self._next_due())

    def begin(self, key: K, now: float) -> None:
        """Record that a worker begins to write the object's intent; the first time of a turn counts."""
        turn = self._turns.get(key)
        if turn is not None and turn.is_unclaimed and not turn.has_begun:
            turn.has_begun = True
            if key not in self._unclaimed:
                self._lapsed.pop(key, None)
                self._lapsed[key] = now

    def claimed(self, key: K) -> None:
        """Record that the object has its intent recorded and calls the service."""
        is_in_time = key in self._unclaimed or key in self._lapsed
        self._forget_grant(key)
        turn = self._turns.get(key)
        if turn is not None and not turn.is_kept:
            self._namespaces[turn.member.namespace].is_slow &= not is_in_time
            self._set_claimed(turn)

    def unclaimed(self, key: K, now: float) -> None:
        """Revert claimed() for a call that was not sent; the turn lapses like any other, and is counted throughout."""
        self._now = now
        turn = self._turns.get(key)
        if turn is not None:
            self._unclaimed[key] = now
            there = self._namespaces[turn.member.namespace]
            there.unclaimed += not turn.is_unclaimed
            turn.is_unclaimed = turn.is_kept = True
            self._slow_down(turn.member.namespace)

    def created(self, key: K, now: float) -> None:
        """End the turn of a created job."""
        self._now = now
        self.created_jobs += 1
        turn = self._turns.get(key)
        if turn is None:
            return
        for name in self._queues_of(turn.member):
            self._queues[name].free -= turn.member.demand.of(name)
        if turn.member.queue in self._queues:
            self._queues[turn.member.queue].serve(now, is_oldest=turn.is_oldest)
        self._end_turn(key)

    def refused_for_capacity(self, key: K, shortage: Lack, now: float) -> None:
        """Move the object to the queue of the exhausted quota."""
        self._now = now
        turn = self._turns.get(key)
        if turn is None:
            return
        member = turn.member
        name = shortage.quota or member.demand.kind
        queue = self._queues.get(name)
        is_oldest = turn.is_oldest and member.queue == name
        if is_oldest and queue is not None and not self._is_behind(member, queue.oldest):
            queue.oldest = key
        if queue is None:  # for simultaneous refusals the order of the queue decides, not the order of the answers
            queue = self._queues[name] = _Queue(shortage.title, self._suspended)
            is_oldest = True
        queue.refuse(member.demand.of(name), shortage.free, now, is_oldest=is_oldest)
        before = member.queue
        if before is not None and before != name:
            member.left.add(before)
        self._forget_grant(key)
        self._set_claimed(self._turns.pop(key))
        self._enter(key, member, name)
        self._end_probe(key, before)

    def _is_behind(self, member: _Member, key: K | None) -> bool:
        """Return True if an older object of the same namespace is waiting: a slow write caused two attempts."""
        other = None if key is None else self._members.get(key)
        return other is not None and other.namespace == member.namespace and other.rank < member.rank

    def place(self, key: K) -> Place | None:
        """Return the position of a waiting object, None for others."""
        member = self._members.get(key)
        if member is None:
            return None
        if member.queue is not None:
            queue = self._queues[member.queue]
            is_reserved = queue.is_reserved(self._now)
            is_passing = not is_reserved and queue.refused > 1
            return replace(queue.place(key), is_passing=is_passing, is_reserved=is_reserved)
        share = RETRY_SHARE - 1
        if member.retries:
            index = self._retries.index(key)
            return Place(index + min(len(self._first), (index + 1) * share - self._firsts), None)
        index = self._first.index(key)
        return Place(index + min(len(self._retries), (index + self._firsts) // share), None)

    # -- whose turn is next -------------------------------------------------------------------------------------------

    def _choose(self) -> tuple[str, K] | None:
        """Return the queue and the key of the next turn."""
        for line in (self._first, self._retries):
            while (key := line.first()) is not None and self._sort(key):
                pass
        self._schedule(_RETRIES)
        key = self._first.first()
        if key is not None and self._firsts < RETRY_SHARE - 1:
            return _FIRST, key
        other = self._choose_other()
        return other if other is not None or key is None else (_FIRST, key)

    def _choose_other(self) -> tuple[str, K] | None:
        """Return the retry or quota queue that has been due for longest."""
        while (entry := self._first_entry()) is not None and entry[0] <= self._now + ROUNDING:
            name = entry[1]
            key = self._retries.first() if name == _RETRIES else self._queues[name].next(self._now)
            if key is None:  # a job of another queue has taken the free amount of this quota
                self._entries.pop(name)
                self._schedule(name)
                continue
            member = self._members[key]
            other = next((one for one in self._queues_of(member) if one not in {name, *member.left}), None)
            if other is None or name == _RETRIES:
                return name, key
            self._drop(key)
            member.left.add(name)
            self._enter(key, member, other)
        return None

    def _give(self, key: K, line: str) -> None:
        member = self._members[key]
        queue = self._queues.get(line)
        is_oldest = queue is not None and queue.held_until <= self._now + ROUNDING
        self._firsts = min(self._firsts + 1, RETRY_SHARE - 1) if line == _FIRST else 0
        if line == _RETRIES:
            self._entries.pop(_RETRIES, None)  # behind all other due queues
        if queue is not None:
            queue.probing = key
        self._drop(key, is_turn=True)
        self._turns[key] = _Turn(member, is_oldest)
        self._unclaimed[key] = self._now
        self._namespaces[member.namespace].unclaimed += 1
        self._limit_turns(member.namespace)

    # -- lines and queues ---------------------------------------------------------------------------------------------

    def _sort(self, key: K) -> bool:
        """Move the object to the queue of an exhausted quota required by its job; return True if there is one."""
        member = self._members[key]
        if member.queue is not None:
            return False
        name = next(iter(self._queues_of(member)), None)
        if name is None:
            return False
        self._drop(key)
        self._enter(key, member, name)
        return True

    def _rerank(self, key: K, member: _Member, rank: Rank) -> None:
        """Change the rank of a waiting object; neither back-off nor turns of its namespace begin anew."""
        member.rank = rank
        if member.queue is not None:
            self._queues[member.queue].rerank(key, member.demand.of(member.queue), rank)
        else:
            (self._retries if member.retries else self._first).rerank(key, rank)

    def _queues_of(self, member: _Member) -> list[str]:
        """Return the queues of the quotas required by the job."""
        return [name for name, _ in member.demand.amounts if name in self._queues]

    def _enter(self, key: K, member: _Member, name: str) -> None:
        self._members[key] = member
        member.queue = name
        self._queues[name].add(key, member, member.demand.of(name))
        self._schedule(name)

    def _drop(self, key: K, *, is_turn: bool = False) -> None:
        """Remove the object from its queue, with a turn or without."""
        member = self._members.pop(key, None)
        if member is None:
            return
        if member.queue is not None:
            self._queues[member.queue].remove(key, member.demand.of(member.queue), is_turn=is_turn)
            self._tidy(member.queue)
            return
        (self._retries if member.retries else self._first).leave(key, is_turn=is_turn)
        self._schedule(_RETRIES)

    def _end_turn(self, key: K) -> None:
        self._forget_grant(key)
        turn = self._turns.pop(key, None)
        if turn is not None:
            self._set_claimed(turn)
            self._count_out(turn.member.namespace)
            self._end_probe(key, turn.member.queue)

    def _end_probe(self, key: K, name: str | None) -> None:
        if name is not None and name in self._queues:
            if self._queues[name].probing == key:
                self._queues[name].probing = None
            self._tidy(name)

    def _tidy(self, name: str) -> None:
        """Delete the queue of a quota without waiting objects."""
        if self._queues[name].is_over():
            del self._queues[name]
            self._entries.pop(name, None)
        else:
            self._schedule(name)

    def _forget_grant(self, key: K) -> None:
        self._unclaimed.pop(key, None)
        self._lapsed.pop(key, None)

    def _count_out(self, namespace: str) -> None:
        """Count an object that neither waits nor has a turn any more."""
        self._namespaces[namespace].objects -= 1
        if not self._namespaces[namespace].objects:
            del self._namespaces[namespace]

    def _set_claimed(self, turn: _Turn) -> None:
        """Count the turn as unclaimed no more."""
        self._namespaces[turn.member.namespace].unclaimed -= turn.is_unclaimed
        turn.is_unclaimed = False
        self._limit_turns(turn.member.namespace)

    def _slow_down(self, namespace: str) -> None:
        self._namespaces[namespace].is_slow = True
        self._limit_turns(namespace)

    def _limit_turns(self, namespace: str) -> None:
        """Suspend a namespace while it has too many unclaimed turns."""
        there = self._namespaces[namespace]
        is_full = there.unclaimed >= (SLOW_TURNS if there.is_slow else self._limit)
        if is_full == (namespace in self._suspended):
            return
        (self._suspended.add if is_full else self._suspended.remove)(namespace)
        lines = [self._first, self._retries]
        for queue in self._queues.values():
            lines += [queue.waiting, *queue.sizes.values()]
        for line in lines:
            (line.suspend if is_full else line.resume)(namespace)
        for name in self._queues:
            self._schedule(name)

    # -- time ---------------------------------------------------------------------------------------------------------

    def _lapse(self) -> None:
        """Let unclaimed turns lapse: a slow write blocks neither later objects nor those of the same quota."""
        for key, since in self._pop_older(self._unclaimed, CLAIM_SECONDS):
            self._lapsed[key] = since
            name = self._turns[key].member.queue
            if name in self._queues and self._queues[name].probing == key:
                self._queues[name].lapse(self._now)
            self._end_probe(key, name)
        for key, _ in self._pop_older(self._lapsed, SLOW_SECONDS):
            if self._turns[key].has_begun:
                self._slow_down(self._turns[key].member.namespace)

    def _pop_older(self, grants: dict[K, float], seconds: float) -> list[tuple[K, float]]:
        """Remove the grants from so long ago; returns them."""
        since = self._now + ROUNDING - seconds
        older = list(takewhile(lambda grant: grant[1] <= since, grants.items()))
        for key, _ in older:
            del grants[key]
        return older

    def _next_lapse(self) -> float:
        return next((since + CLAIM_SECONDS - self._now for since in self._unclaimed.values()), math.inf)

    def _schedule(self, name: str) -> None:
        """Schedule the next due time of the queue."""
        if name == _RETRIES:
            due = math.inf if self._retries.first() is None else self._now
        else:
            due = max(self._queues[name].due(self._now), self._now)
        known = self._entries.get(name)
        if due == math.inf:
            self._entries.pop(name, None)
        elif known is None or (known[0] != due and max(known[0], due) > self._now):
            self._entry += 1
            self._entries[name] = (due, self._entry)
            heapq.heappush(self._agenda, (due, self._entry, name))

    def _first_entry(self) -> tuple[float, str] | None:
        while self._agenda:
            due, entry, name = self._agenda[0]
            if self._entries.get(name) == (due, entry):
                return due, name
            heapq.heappop(self._agenda)
        return None

    def _next_due(self) -> tuple[K, float] | None:
        """Return the key for the next call, and its delay, while no turn can be granted."""
        entry = self._first_entry()
        found: list[tuple[float, K]] = []
        if entry is not None and (key := self._queues[entry[1]].waiting.first()) is not None:
            found.append((max(0.0, entry[0] - self._now), key))
        if self._members and self._unclaimed:
            found.append((self._next_lapse(), next(iter(self._members))))
        if not found:
            return None
        seconds, key = min(found, key=lambda one: one[0])
        return key, seconds
