"""Leader election: its time spans on an injected clock, and electors on one Lease of a real API server."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.fakes.clock import Clock
from tests.kube.leases import LeaseStore
from tests.kube.proxy import Relay
from tests.kube.test_client import through
from trainingjob_operator.kube.client import ApiServer, Login
from trainingjob_operator.kube.errors import Unavailable
from trainingjob_operator.kube.leader import LEASE_NAME, Elector, Timing
from trainingjob_operator.leadership import AlwaysLeading, Leadership, NotLeading

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.controlplane.plane import Cluster, ControlPlane

LEASE, RENEW = Timing().lease, Timing().renew
QUICK = Timing(lease=4.0, renew=2.5, retry=0.5, poll=0.25, call=1.0)
"""About a quarter of the default spans, for electors on the real clock."""
SPANS = Timing(retry=0.2, poll=0.1)
"""Default spans, with short pauses between the rounds."""


def make_elector(
    api: ApiServer,
    identity: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    namespace: str = "operators",
    timing: Timing = QUICK,
    may_lead: Callable[[], bool] = lambda: True,
) -> Elector:
    return Elector(
        api,
        namespace=namespace,
        identity=identity,
        clock=clock,
        now=lambda: datetime.now(UTC),
        jitter=random.Random(1),
        timing=timing,
        may_lead=may_lead,
    )


@contextlib.asynccontextmanager
async def running(*electors: Elector) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(elector.run()) for elector in electors]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def store() -> LeaseStore:
    return LeaseStore()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def allows(leadership: Leadership, seconds: float) -> bool:
    try:
        leadership.fence(seconds)
    except NotLeading:
        return False
    return True


async def called(store: LeaseStore, turns: int = 1) -> None:
    """Wait for this number of calls of the store."""
    calls = asyncio.Semaphore(0)
    store.before = lambda method: calls.release()
    for _ in range(turns):
        await calls.acquire()
    store.before = lambda method: None
    await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("age", "seconds", "leading", "passes"),
    [
        (0.0, 10.0, True, True),
        (2.0, 10.0, True, True),
        (LEASE - 10.0, 10.0, True, True),
        (LEASE - 9.9, 10.0, True, False),
        (LEASE - 9.9, 8.0, True, True),
        (RENEW - 0.1, 5.0, True, True),
        (RENEW - 0.1, 5.2, True, False),
        (RENEW, 0.0, False, False),
        (LEASE, 0.0, False, False),
    ],
)
async def test_a_call_is_allowed_only_if_it_ends_before_the_lease_can_expire(
    store: LeaseStore, clock: Clock, age: float, seconds: float, *, leading: bool, passes: bool
) -> None:
    elector = make_elector(store, "a", clock=clock, timing=SPANS)
    async with running(elector):
        await asyncio.wait_for(elector.until(leading=True), 5)
        clock.now += age
        assert elector.is_leading() is leading
        assert allows(elector, seconds) is passes


async def test_a_replica_barred_from_leading_neither_acquires_nor_keeps_the_lease(
    store: LeaseStore, clock: Clock
) -> None:
    able = False
    elector = make_elector(store, "a", clock=clock, timing=SPANS, may_lead=lambda: able)
    other = make_elector(store, "b", clock=clock, timing=SPANS)
    async with running(elector):
        await asyncio.sleep(0.5)
        assert not elector.is_leading()
        able = True
        await asyncio.wait_for(elector.until(leading=True), 5)
        async with running(other):
            able = False
            await asyncio.wait_for(elector.until(leading=False), 5)
            await called(store, turns=2)
            assert not other.is_leading(), "calls allowed by the fence may be in flight"
            clock.now += LEASE
            await asyncio.wait_for(other.until(leading=True), 5)
            assert not elector.is_leading()


async def test_a_candidate_logs_the_leader_once(
    store: LeaseStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    leader, candidate = (make_elector(store, name, clock=clock, timing=SPANS) for name in "ab")
    async with running(leader):
        await asyncio.wait_for(leader.until(leading=True), 5)
        async with running(candidate):
            await called(store, turns=10)
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["Became leader as a", "Standing by; the leader is a"]


async def test_a_waiting_replica_does_not_lead_by_a_lease_that_expired_unobserved(
    store: LeaseStore, clock: Clock
) -> None:
    elector = make_elector(store, "a", clock=clock, timing=SPANS)
    async with running(elector):
        await asyncio.wait_for(elector.until(leading=True), 5)
        clock.now += RENEW
        waiting = asyncio.create_task(elector.until(leading=True))
        await asyncio.sleep(0)
        assert not waiting.done()
        await asyncio.wait_for(waiting, 5)
        assert elector.term == 2


async def test_a_renewal_counts_from_the_time_of_its_request(store: LeaseStore, clock: Clock) -> None:
    def answer_late(_: str) -> None:
        clock.now += 3.0

    store.before = lambda method: answer_late(method) if method == "POST" else None
    elector = make_elector(store, "a", clock=clock, timing=SPANS)
    async with running(elector):
        await asyncio.wait_for(elector.until(leading=True), 5)
        clock.now += RENEW - 3.0
        assert not elector.is_leading()


@pytest.mark.parametrize("renew_time", ["1999-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"])
async def test_a_foreign_lease_expires_by_local_observation_and_not_by_its_times(
    store: LeaseStore, clock: Clock, renew_time: str
) -> None:
    store.edit(LEASE_NAME, holderIdentity="other", renewTime=renew_time, leaseDurationSeconds=15)
    elector = make_elector(store, "a", clock=clock, timing=SPANS)
    async with running(elector):
        await called(store)
        clock.now += LEASE - 0.1
        await called(store)
        assert not elector.is_leading()
        store.edit(LEASE_NAME, renewTime="2500-01-01T00:00:00.000000Z")  # the holder renews
        clock.now += 1.0
        await called(store)
        assert not elector.is_leading()
        clock.now += LEASE
        await asyncio.wait_for(elector.until(leading=True), 5)
    assert store.leases[LEASE_NAME]["spec"]["leaseTransitions"] == 1


async def test_a_renewal_with_a_lost_answer_is_recognized_as_own(store: LeaseStore, clock: Clock) -> None:
    elector = make_elector(store, "a", clock=clock, timing=SPANS)
    async with running(elector):
        await asyncio.wait_for(elector.until(leading=True), 5)
        lost: list[str] = []

        def lose_one(method: str) -> None:
            if not lost:
                lost.append(method)
                raise Unavailable("the connection was dropped")

        store.after = lose_one
        await called(store, turns=3)
        clock.now += RENEW - 1.0
        await called(store)
        clock.now += RENEW - 1.0
        assert elector.is_leading()
    assert lost == ["PUT"]
    assert store.leases[LEASE_NAME]["spec"]["leaseTransitions"] == 0


async def test_leadership_ends_at_once_when_another_replica_holds_the_lease(store: LeaseStore, clock: Clock) -> None:
    elector = make_elector(store, "a", clock=clock, timing=SPANS)
    async with running(elector):
        await asyncio.wait_for(elector.until(leading=True), 5)
        store.edit(LEASE_NAME, holderIdentity="other")
        await asyncio.wait_for(elector.until(leading=False), 5)
        assert not elector.is_leading()
        assert not allows(elector, 0.0)


async def test_leadership_ends_at_once_with_a_deleted_lease_and_can_be_regained(
    store: LeaseStore, clock: Clock
) -> None:
    elector = make_elector(store, "a", clock=clock, timing=SPANS)
    async with running(elector):
        await asyncio.wait_for(elector.until(leading=True), 5)
        store.leases.clear()
        await asyncio.wait_for(elector.until(leading=False), 5)
        await asyncio.wait_for(elector.until(leading=True), 5)


async def test_the_election_continues_after_an_unexpected_error(
    store: LeaseStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    elector = make_elector(store, "a", clock=clock, timing=SPANS)
    failures = [ZeroDivisionError("one"), ZeroDivisionError("two")]

    def fail(_: str) -> None:
        if failures:
            raise failures.pop()

    store.before = fail
    async with running(elector):
        await asyncio.wait_for(elector.until(leading=True), 5)
    assert [record.exc_info is not None for record in caplog.records if record.levelname == "ERROR"] == [True] * 2


async def test_a_leader_suspended_beyond_its_lease_stops_leading(store: LeaseStore, clock: Clock) -> None:
    elector = make_elector(store, "a", clock=clock, timing=SPANS)
    async with running(elector):
        await asyncio.wait_for(elector.until(leading=True), 5)
        clock.now += 60.0
        store.edit(LEASE_NAME, holderIdentity="other", renewTime="now")
        assert not elector.is_leading()
        await asyncio.wait_for(elector.until(leading=False), 5)


async def test_leadership_ends_in_spite_of_a_failed_release(
    store: LeaseStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    elector = make_elector(store, "a", clock=clock, timing=SPANS)

    def refuse(_: str) -> None:
        raise Unavailable("the API server is away")

    async with running(elector) as tasks:
        await asyncio.wait_for(elector.until(leading=True), 5)
        store.before = refuse
        await elector.release()
        assert not elector.is_leading()
        await asyncio.wait_for(tasks[0], 3)
    assert "Failed to release the Lease" in caplog.text
    assert store.leases[LEASE_NAME]["spec"]["holderIdentity"] == "a"


async def test_a_replica_without_election_always_leads() -> None:
    alone = AlwaysLeading()
    assert alone.is_leading()
    assert allows(alone, 3600.0)
    await asyncio.wait_for(alone.until(leading=True), 1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(alone.until(leading=False), 0.05)


async def test_one_of_many_candidates_leads(api: ApiServer, namespace: str) -> None:
    electors = [make_elector(api, f"candidate-{number}", namespace=namespace) for number in range(5)]
    async with running(*electors):
        for _ in range(10):
            await asyncio.sleep(0.2)
            assert sum(elector.is_leading() for elector in electors) <= 1
        async with asyncio.timeout(20):
            while sum(elector.is_leading() for elector in electors) != 1:
                await asyncio.sleep(0.05)


async def test_a_released_lease_is_acquired_before_its_expiry(api: ApiServer, namespace: str) -> None:
    first, second = (make_elector(api, name, namespace=namespace, timing=Timing()) for name in ("first", "second"))
    async with running(first) as tasks:
        await asyncio.wait_for(first.until(leading=True), 5)
        async with running(second):
            await asyncio.sleep(1.5)
            assert not second.is_leading()
            started = time.monotonic()
            await first.release()
            assert not first.is_leading()
            await asyncio.wait_for(second.until(leading=True), 5)
            assert time.monotonic() - started < LEASE / 3
            await asyncio.wait_for(tasks[0], 10)  # the replica does not run for election again
            lease = await api.call(
                "GET", f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{LEASE_NAME}", seconds=5
            )
    assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == ("second", 1)


async def test_a_disconnected_leader_stops_before_another_starts(
    control_plane: Cluster, api: ApiServer, namespace: str, tmp_path: Path
) -> None:
    async with Relay(control_plane.url) as relay:
        far_api = ApiServer(Login({"KUBECONFIG": str(through(relay, control_plane, tmp_path))}))
        leader = make_elector(far_api, "leader", namespace=namespace)
        heir = make_elector(api, "heir", namespace=namespace)
        async with running(leader):
            await asyncio.wait_for(leader.until(leading=True), 5)
            async with running(heir):
                await asyncio.sleep(0.5)
                relay.stall()
                started = time.monotonic()
                await asyncio.wait_for(leader.until(leading=False), QUICK.renew + 1)
                ended = time.monotonic() - started
                assert not heir.is_leading()
                await asyncio.wait_for(heir.until(leading=True), 20)
                taken = time.monotonic() - started
                assert not leader.is_leading()
                assert time.monotonic() - leader.heartbeat < 4 * QUICK.call
        await far_api.close()
    assert ended < QUICK.lease - QUICK.retry
    assert QUICK.lease - QUICK.retry - 0.5 < taken < QUICK.lease + 3 * QUICK.poll + 5.0


async def test_leadership_ends_and_returns_with_the_api_server(
    own_control_plane: ControlPlane, api: ApiServer, namespace: str
) -> None:
    elector = make_elector(api, "one", namespace=namespace)
    async with running(elector):
        await asyncio.wait_for(elector.until(leading=True), 5)
        try:
            await asyncio.to_thread(own_control_plane.kill_apiserver)
            started = time.monotonic()
            await asyncio.wait_for(elector.until(leading=False), 20)
            assert time.monotonic() - started < QUICK.lease
        finally:
            await asyncio.to_thread(own_control_plane.restart_apiserver)
        await asyncio.wait_for(elector.until(leading=True), 30)
