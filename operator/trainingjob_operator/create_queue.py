"""Queues of the objects that wait to call CreateTrainingJob, one per account and region, within their budgets."""

from collections import Counter

from trainingjob_operator.aws.budget import Budgets
from trainingjob_operator.clocks import Clocks
from trainingjob_operator.logic.jobs.create_order import CreateOrder, Lack, Place, rank_object
from trainingjob_operator.logic.jobs.quotas import Shortage, read_demand
from trainingjob_operator.logic.naming import Identity, Location
from trainingjob_operator.logic.objects.resource import Key, Resource
from trainingjob_operator.work_queue import WorkQueue


class CreateQueue:
    """Grants turns to create in the order of logic/jobs/create_order.py, and requeues the objects that have one."""

    def __init__(self, *, budgets: Budgets, queue: WorkQueue[Key], clocks: Clocks, workers: int) -> None:
        self._turns = workers * 3 // 4
        """Maximum number of unclaimed turns of a namespace: each may occupy a worker."""
        self._budgets = budgets
        self._queue = queue
        self._clocks = clocks
        self._orders: dict[Location, CreateOrder[Key]] = {}
        self._locations: dict[Key, Location] = {}
        """The location of each object that joined: it may join again until its job is created or it is forgotten."""
        self._users: Counter[Location] = Counter()
        """Number of these objects per location; the order of a location without any is deleted."""

    def __len__(self) -> int:
        """Number of waiting objects."""
        return sum(len(order) for order in self._orders.values())

    def count_by_quota(self) -> Counter[str]:
        """Return the number of waiting objects by exhausted quota; "" for those that wait for their turn only."""
        return sum((order.count_by_quota() for order in self._orders.values()), Counter[str]())

    def count_by_location(self) -> Counter[Location]:
        """Return the number of objects that may create a job, by account and region."""
        return self._users.copy()

    def look_up(self, resource: Resource, identity: Identity, *, priority: int) -> tuple[bool, Place | None]:
        """Return whether the object has its turn, and its position; None if it does not wait.

        An object that an edit moved to another location loses its position in the first: it would block the others.
        """
        key, here = resource.key, _locate(identity)
        if self._locations.get(key, here) != here:
            self.forget(key)
        order = self._orders.get(here)
        if order is None:
            return False, None
        if order.is_waiting(key):
            self.join(resource, identity, priority=priority)
        return order.is_granted(key), order.place(key)

    def join(self, resource: Resource, identity: Identity, *, priority: int, retries: bool = False) -> None:
        """Add the object, and grant its turn at once if possible: the caller's reconcile continues with it.

        :param priority: orders the objects of its namespace
        :param retries: SageMaker refused this version of the object before
        """
        location = _locate(identity)
        if self._locations.get(resource.key) != location:
            self.forget(resource.key)
            self._locations[resource.key] = location
            self._users[location] += 1
        order = self._orders.setdefault(location, CreateOrder(turns=self._turns))
        order.join(
            resource.key,
            namespace=resource.namespace,
            rank=rank_object(resource.created, resource.uid, priority),
            demand=read_demand(resource.spec),
            retries=retries,
        )
        self._serve(location, order, caller=resource.key)

    def begin(self, key: Key, identity: Identity) -> None:
        """Record that the object's intent is being written, before it claims its turn."""
        if (order := self._orders.get(_locate(identity))) is not None:
            order.begin(key, self._clocks.monotonic())

    def claim(self, key: Key, identity: Identity) -> float:
        """Use the turn: 0.0 allows one call; otherwise the seconds until the next claim."""
        wait = self._budgets.of(*_locate(identity)).create.claim(key)
        if wait <= 0 and (order := self._orders.get(_locate(identity))) is not None:
            order.claimed(key)
            self._serve(_locate(identity), order)
        return wait

    def give_back(self, key: Key, identity: Identity) -> None:
        """Return a claimed turn without a call: the object keeps the turn, and claims it again for the next try."""
        if (order := self._orders.get(_locate(identity))) is not None:
            self._budgets.of(*_locate(identity)).create.give_back()
            order.unclaimed(key, self._clocks.monotonic())
            self._serve(_locate(identity), order)

    def leave(self, key: Key, identity: Identity) -> None:
        """Release the turn: the next attempt needs a new one."""
        if (order := self._orders.get(_locate(identity))) is not None:
            self._leave(key, _locate(identity), order)

    def succeed(self, key: Key, identity: Identity) -> None:
        """Record a created job: there is capacity, so the next object may try."""
        if (order := self._orders.get(_locate(identity))) is not None:
            order.created(key, self._clocks.monotonic())
            self.forget(key)

    def created_jobs(self, identity: Identity) -> int:
        """Number of jobs created at the location since the first of its present objects joined.

        An object whose Create fails repeatedly compares two of these numbers. It waits for no turn between its
        attempts, but keeps its location, so the number lasts as long as the comparison.
        """
        order = self._orders.get(_locate(identity))
        return 0 if order is None else order.created_jobs

    def lack_capacity(self, resource: Resource, identity: Identity, shortage: Shortage) -> None:
        """Record a refusal for lack of quota or capacity: the object waits for it."""
        if (order := self._orders.get(_locate(identity))) is None:
            return  # the object was deleted during the call, and no other object waits there
        kind = read_demand(resource.spec).kind
        title = f"the quota '{shortage.name}'" if shortage.name else f"capacity of {kind}"
        lack = Lack(shortage.quota or shortage.name or None, title, shortage.free)
        order.refused_for_capacity(resource.key, lack, self._clocks.monotonic())
        self._serve(_locate(identity), order)

    def forget(self, key: Key) -> None:
        """Remove the object; the last one of a location removes the location, too."""
        location = self._locations.pop(key, None)
        if location is None:
            return
        self._leave(key, location, self._orders[location])
        self._users[location] -= 1
        if not self._users[location]:
            del self._users[location], self._orders[location]

    def _leave(self, key: Key, location: Location, order: CreateOrder[Key]) -> None:
        order.leave(key)
        self._budgets.of(*location).create.withdraw(key)
        self._serve(location, order)

    def _serve(self, location: Location, order: CreateOrder[Key], *, caller: Key | None = None) -> None:
        """Grant turns within the budget, and requeue a key for the next ones.

        :param caller: not requeued, because that would undo the back-off of a failed reconcile
        """
        budget = self._budgets.of(*location).create
        granted = order.grant(self._clocks.monotonic(), budget.wait_for)
        for key in granted.keys:
            if key != caller:
                self._queue.add(key, urgent=True)  # until it is claimed, the turn counts against others
        if granted.next is not None:
            self._queue.add(*granted.next)


def _locate(identity: Identity) -> Location:
    return identity.account, identity.region
