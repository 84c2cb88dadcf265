"""The lines of those who want to create: one per account and region, served as their budgets allow."""

from trainingjob_operator.aws.budget import Budgets
from trainingjob_operator.clocks import Clocks
from trainingjob_operator.logic.naming import Identity
from trainingjob_operator.logic.resource import Key, Resource, mapping, string
from trainingjob_operator.logic.turns import Place, Turns
from trainingjob_operator.work_queue import WorkQueue


class CreateLine:
    """Who may create next (logic/turns.py), and who is to be woken for it."""

    def __init__(self, *, budgets: Budgets, queue: WorkQueue[Key], clocks: Clocks) -> None:
        self._budgets = budgets
        self._queue = queue
        self._clocks = clocks
        self._turns: dict[tuple[str, str], Turns[Key]] = {}

    def __len__(self) -> int:
        """How many objects wait."""
        return sum(len(turns) for turns in self._turns.values())

    def look_up(self, resource: Resource, identity: Identity) -> tuple[bool, Place | None]:
        """Whether it is the object's turn, and else where it stands; None when it does not wait.

        An object that was edited since gives up its place in another line or lane: nobody else would go on behind it.
        """
        key, here = resource.key, _line_of(identity)
        for line, others in self._turns.items():
            if line != here and (others.is_waiting(key) or others.is_granted(key)):
                others.leave(key)
                self._serve(line, others)
        turns = self._turns.get(here)
        if turns is None:
            return False, None
        if turns.is_waiting(key):
            self.join(resource, identity)
        return turns.is_granted(key), turns.place(key)

    def join(self, resource: Resource, identity: Identity) -> None:
        """Stand in line, and be served at once if possible."""
        turns = self._turns.setdefault(_line_of(identity), Turns())
        turns.join(resource.key, lane=lane_of(resource), created=resource.created, uid=resource.uid)
        self._serve(_line_of(identity), turns)

    def leave(self, key: Key, identity: Identity) -> None:
        """Give up the turn: the next attempt needs a new one."""
        if (turns := self._turns.get(_line_of(identity))) is not None:
            turns.leave(key)

    def succeed(self, resource: Resource, identity: Identity) -> None:
        """The create was taken: there is capacity, so the next may go."""
        if (turns := self._turns.get(_line_of(identity))) is not None:
            turns.created(resource.key, lane_of(resource))
            self._serve(_line_of(identity), turns)

    def lack_capacity(self, resource: Resource, identity: Identity) -> None:
        """The create was refused because a quota or the capacity of the instance type is used up."""
        turns = self._turns.setdefault(_line_of(identity), Turns())
        turns.refused_for_capacity(resource.key, lane_of(resource), self._clocks.monotonic())

    def forget(self, key: Key) -> None:
        """The object is gone: nobody waits behind it any more."""
        for line, turns in self._turns.items():
            turns.leave(key)
            self._serve(line, turns)

    def _serve(self, line: tuple[str, str], turns: Turns[Key]) -> None:
        """Give turns while the budget lasts, and see to it that the next ones are not forgotten."""
        budget = self._budgets.of(*line).create
        granted = turns.grant(self._clocks.monotonic(), lambda: budget.claim(turns))
        for key in granted.keys:
            self._queue.add(key)
        if granted.next is not None:
            self._queue.add(*granted.next)


def _line_of(identity: Identity) -> tuple[str, str]:
    return identity.account, identity.region


def lane_of(resource: Resource) -> str:
    """Capacity is refused per instance type."""
    config = mapping(resource.spec.get("resourceConfig"))
    groups = config.get("instanceGroups")
    kinds = [string(mapping(group).get("instanceType")) for group in groups] if isinstance(groups, list) else []
    return string(config.get("instanceType")) or ",".join(sorted({kind for kind in kinds if kind})) or "unknown"
