"""The lines of those that want to create: one per account and region, served as their budgets allow."""

from collections import Counter

from trainingjob_operator.aws.budget import Budgets
from trainingjob_operator.clocks import Clocks
from trainingjob_operator.logic.create_order import CreateOrder, Lack, Place
from trainingjob_operator.logic.naming import Identity, Location
from trainingjob_operator.logic.quotas import Shortage, read_demand
from trainingjob_operator.logic.resource import Key, Resource
from trainingjob_operator.work_queue import WorkQueue


class CreateQueue:
    """Who may create next (logic/create_order.py), and who is to be woken for it."""

    def __init__(self, *, budgets: Budgets, queue: WorkQueue[Key], clocks: Clocks) -> None:
        self._budgets = budgets
        self._queue = queue
        self._clocks = clocks
        self._turns: dict[Location, CreateOrder[Key]] = {}
        self._places: dict[Key, Location] = {}
        """The line that each object has joined: it may come back to it until its job is created, or it is forgotten."""
        self._users: Counter[Location] = Counter()
        """How many objects those are in each line; a line without any is deleted."""

    def __len__(self) -> int:
        """How many objects wait."""
        return sum(len(turns) for turns in self._turns.values())

    def look_up(self, resource: Resource, identity: Identity) -> tuple[bool, Place | None]:
        """Whether it is the object's turn, and else where it stands; None when it does not wait.

        An object that was edited since gives up its place in another line or queue: nobody else would go on behind it.
        """
        key, here = resource.key, _line_of(identity)
        if self._places.get(key, here) != here:
            self.forget(key)
        turns = self._turns.get(here)
        if turns is None:
            return False, None
        if turns.is_waiting(key):
            self.join(resource, identity)
        return turns.is_granted(key), turns.place(key)

    def join(self, resource: Resource, identity: Identity, *, retries: bool = False) -> None:
        """Stand in line, and be served at once if possible: the caller's pass goes on with it.

        :param retries: the object was tried before, as it is now
        """
        line = _line_of(identity)
        if self._places.get(resource.key) != line:
            self.forget(resource.key)
            self._places[resource.key] = line
            self._users[line] += 1
        turns = self._turns.setdefault(line, CreateOrder())
        turns.join(
            resource.key,
            namespace=resource.namespace,
            rank=(resource.created, resource.uid),
            demand=read_demand(resource.spec),
            retries=retries,
        )
        self._serve(line, turns, caller=resource.key)

    def claim(self, key: Key, identity: Identity) -> float:
        """Use the turn: 0.0 allows one call; otherwise the seconds after which to ask again."""
        wait = self._budgets.of(*_line_of(identity)).create.claim(key)
        if wait <= 0 and (turns := self._turns.get(_line_of(identity))) is not None:
            turns.claimed(key)
            self._serve(_line_of(identity), turns)
        return wait

    def give_back(self, key: Key, identity: Identity) -> None:
        """The call of a claimed turn was not sent: the object keeps the turn, and claims it again for the next try."""
        if (turns := self._turns.get(_line_of(identity))) is not None:
            self._budgets.of(*_line_of(identity)).create.give_back()
            turns.unclaimed(key, self._clocks.monotonic())
            self._serve(_line_of(identity), turns)

    def leave(self, key: Key, identity: Identity) -> None:
        """Give up the turn: the next attempt needs a new one."""
        if (turns := self._turns.get(_line_of(identity))) is not None:
            self._leave(key, _line_of(identity), turns)

    def succeed(self, key: Key, identity: Identity) -> None:
        """The create was taken: there is capacity, so the next may go."""
        if (turns := self._turns.get(_line_of(identity))) is not None:
            turns.created(key, self._clocks.monotonic())
            self.forget(key)

    def created_jobs(self, identity: Identity) -> int:
        """How many jobs were created in that account and region since somebody has been using the line.

        An object whose Create fails again and again compares two of these numbers. It leaves the line between its
        attempts, but uses it on, so the line and the number last at least as long as the comparison.
        """
        turns = self._turns.get(_line_of(identity))
        return 0 if turns is None else turns.created_jobs

    def lack_capacity(self, resource: Resource, identity: Identity, shortage: Shortage) -> None:
        """The create was refused because a quota or the capacity of the instance type is used up: wait for it."""
        if (turns := self._turns.get(_line_of(identity))) is None:
            return  # the object was deleted during the call, and nobody else waits there
        kind = read_demand(resource.spec).kind
        title = f"the quota '{shortage.name}'" if shortage.name else f"capacity of {kind}"
        lack = Lack(shortage.quota or shortage.name or None, title, shortage.free)
        turns.refused_for_capacity(resource.key, lack, self._clocks.monotonic())
        self._serve(_line_of(identity), turns)

    def forget(self, key: Key) -> None:
        """The object uses its line no longer: nobody waits behind it, and the last one takes the line along."""
        line = self._places.pop(key, None)
        if line is None:
            return
        self._leave(key, line, self._turns[line])
        self._users[line] -= 1
        if not self._users[line]:
            del self._users[line], self._turns[line]

    def _leave(self, key: Key, line: Location, turns: CreateOrder[Key]) -> None:
        turns.leave(key)
        self._budgets.of(*line).create.withdraw(key)
        self._serve(line, turns)

    def _serve(self, line: Location, turns: CreateOrder[Key], *, caller: Key | None = None) -> None:
        """Give turns while the budget lasts, and see to it that the next ones are not forgotten.

        :param caller: it is not woken, because an entry in the queue would undo the back-off of a pass that fails
        """
        budget = self._budgets.of(*line).create
        granted = turns.grant(self._clocks.monotonic(), budget.wait_for)
        for key in granted.keys:
            if key != caller:
                self._queue.add(key)
        if granted.next is not None:
            self._queue.add(*granted.next)


def _line_of(identity: Identity) -> Location:
    return identity.account, identity.region
