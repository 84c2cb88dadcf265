"""Limits of calls to regions without answers, and early ends of such calls; on the test's clock."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.fakes.clock import Clock
from trainingjob_operator.aws.lanes import (
    DARK_AFTER,
    LONG_PAUSE,
    LONG_SECONDS,
    PAUSE,
    PLACES,
    PROBE_FIRST,
    ROOM,
    SWEEPS,
    THREADS_LEFT,
    THREADS_OF_ONE,
    WAIT_SECONDS,
    Busy,
    Lane,
    Lanes,
    Place,
)
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LIST, STOP = "ListTrainingJobs", "StopTrainingJob"


def no_answer(operation: str = STOP) -> AwsError:
    return AwsError(operation, "DeadlineExceeded", "words", ErrorClass.RETRY, definite=False, answered=False)


class LaneBench:
    """Lanes, and calls with a controlled end."""

    def __init__(self, workers: int = 20) -> None:
        self.clock = Clock()
        self.lanes = Lanes(self.clock, workers=workers)
        self.calls: list[asyncio.Task[None]] = []

    def lane(self, region: str) -> Lane:
        return self.lanes.of(Place("123456789012", region, None))

    async def trusted(self, region: str) -> Lane:
        lane = self.lane(region)
        past = 2 * WAIT_SECONDS
        self.clock.now -= past
        await self.answer(lane)
        self.clock.now += past
        return lane

    async def answer(self, lane: Lane, seconds: float = 0.0) -> None:
        """A call with an answer after this time."""
        async with lane.entered(STOP, asyncio.timeout(None)):
            self.clock.now += seconds

    async def begin(self, lane: Lane, operation: str = STOP) -> asyncio.Task[None]:
        """A call without an answer; raises Busy or AwsError if it is not made."""
        began = asyncio.get_running_loop().create_future()

        async def call() -> None:
            limit = asyncio.timeout(None)
            async with lane.entered(operation, limit):
                await lane.acquire()
                try:
                    async with limit:
                        began.set_result(None)
                        await asyncio.get_running_loop().create_future()
                except TimeoutError:
                    raise no_answer(operation) from None
                finally:
                    lane.release()

        task = asyncio.create_task(call())
        await asyncio.wait((task, began), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        self.calls.append(task)
        return task

    async def fill(self, lane: Lane, operation: str = STOP) -> int:
        """Begin as many calls as the region may have."""
        for count in range(100):
            try:
                await self.begin(lane, operation)
            except Busy:
                return count
        raise AssertionError("no limit")

    async def settle(self) -> list[asyncio.Task[None]]:
        """Calls that ended early."""
        for _ in range(5):
            await asyncio.sleep(0)
        return [call for call in self.calls if call.done()]

    async def fail(self, lane: Lane) -> None:
        with contextlib.suppress(AwsError):
            async with lane.entered(STOP, asyncio.timeout(None)):
                raise no_answer()

    async def aclose(self) -> None:
        for call in self.calls:
            call.cancel()
        await asyncio.gather(*self.calls, return_exceptions=True)


@pytest.fixture
async def bench() -> AsyncIterator[LaneBench]:
    made = LaneBench()
    yield made
    await made.aclose()


async def test_a_region_may_have_as_many_calls_as_it_leaves_free(bench: LaneBench) -> None:
    regions = [await bench.trusted(str(number)) for number in range(ROOM + 1)]
    assert await bench.fill(regions[0]) == ROOM // 2
    assert [await bench.fill(region) for region in regions[1:5]] == [4, 2, 1, 1]
    assert len(bench.calls) == ROOM


@pytest.mark.parametrize(("workers", "most"), [(1, 1), (2, 1), (5, 2), (10, 4), (100, 8)])
async def test_few_workers_are_shared_like_many(workers: int, most: int) -> None:
    bench = LaneBench(workers)
    assert await bench.fill(await bench.trusted("one")) == most
    if workers > 2:
        await bench.begin(await bench.trusted("other"))
    await bench.aclose()


async def test_regions_without_answers_share_six_calls_and_one_has_at_most_three(bench: LaneBench) -> None:
    trusted = await bench.trusted("d")
    assert [await bench.fill(bench.lane(region)) for region in ("a", "b", "c")] == [3, 3, 0]
    await bench.begin(trusted)


async def test_a_region_with_a_missed_answer_counts_as_one_without_answers(bench: LaneBench) -> None:
    region = await bench.trusted("a")
    await bench.fail(region)
    assert await bench.fill(region) == 3


async def test_a_full_lane_ends_the_longest_call_of_the_region_with_most_calls(bench: LaneBench) -> None:
    many, newcomer = await bench.trusted("many"), await bench.trusted("newcomer")
    for number in range(ROOM):
        await bench.begin(many if number in (1, 2) else await bench.trusted(str(number)))
        bench.clock.now += 0.01
    with pytest.raises(Busy) as busy:
        await bench.begin(newcomer)
    assert busy.value.seconds == PAUSE
    bench.clock.now += LONG_SECONDS
    with pytest.raises(Busy):  # the region has own calls
        await bench.begin(many)
    await bench.begin(newcomer)
    assert await bench.settle() == [bench.calls[1]]
    assert isinstance(bench.calls[1].exception(), AwsError)


async def test_a_call_to_an_untrusted_region_ends_first(bench: LaneBench) -> None:
    regions = [await bench.trusted(str(number)) for number in range(ROOM - 1)]
    for region in regions:
        await bench.begin(region)
    await bench.begin(bench.lane("new"))
    bench.clock.now += LONG_SECONDS
    await bench.begin(bench.lane("other"))
    assert await bench.settle() == [bench.calls[ROOM - 1]]


async def test_a_region_without_answers_ends_no_call_of_one_with_answers(bench: LaneBench) -> None:
    regions = [await bench.trusted(str(number)) for number in range(ROOM)]
    suspect = bench.lane("suspect")
    await bench.fail(suspect)
    for region in regions:
        await bench.begin(region)
    bench.clock.now += LONG_SECONDS
    with pytest.raises(Busy) as busy:
        await bench.begin(suspect)
    assert busy.value.seconds == LONG_PAUSE
    assert await bench.settle() == []


async def test_regions_without_answers_take_turns(bench: LaneBench) -> None:
    suspect = bench.lane("suspect")
    await bench.fail(suspect)
    for region in ("a", "b"):
        assert await bench.fill(bench.lane(region)) == 3
    with pytest.raises(Busy):
        await bench.begin(suspect)
    bench.clock.now += LONG_SECONDS
    await bench.begin(suspect)
    assert await bench.settle() == [bench.calls[0]]


async def test_a_call_at_its_deadline_can_still_be_ended(bench: LaneBench) -> None:
    limit = asyncio.timeout(None)
    async with bench.lane("a").entered(STOP, limit):  # never entered: like an expired one, it cannot be rescheduled
        for number in range(5):
            await bench.begin(bench.lane("b" if number < 3 else "a"))
            bench.clock.now += 0.01
        bench.clock.now += LONG_SECONDS
        await bench.begin(bench.lane("d"))
        assert await bench.settle() == []


async def test_a_suspended_region_gets_one_call_after_its_pause(bench: LaneBench) -> None:
    dark = await bench.trusted("dark")
    for _ in range(DARK_AFTER):
        await bench.fail(dark)
    with pytest.raises(AwsError, match="has not answered for 0 s"):
        await bench.begin(dark)
    bench.clock.now += PROBE_FIRST
    probe = await bench.begin(dark)
    with pytest.raises(AwsError, match="has not answered for 1 s"):
        await bench.begin(dark)
    await bench.begin(dark, LIST)
    assert not probe.done()


async def test_sweeps_have_their_own_calls(bench: LaneBench) -> None:
    regions = [await bench.trusted(str(number)) for number in range(SWEEPS + 1)]
    for region in regions[:SWEEPS]:
        await bench.begin(region, LIST)
    await bench.begin(regions[0])
    with pytest.raises(Busy):
        await bench.begin(regions[SWEEPS], LIST)
    bench.clock.now += LONG_SECONDS
    await bench.begin(regions[SWEEPS], LIST)
    assert await bench.settle() == [bench.calls[0]]


async def test_the_number_of_threads_beyond_the_end_of_their_calls_is_bounded(bench: LaneBench) -> None:
    stuck, well = bench.lane("stuck"), await bench.trusted("well")
    for _ in range(THREADS_OF_ONE):
        await stuck.acquire()
    with pytest.raises(Busy):
        await bench.begin(stuck)
    other = bench.lane("other")
    await bench.begin(other)
    for number in range(THREADS_LEFT - THREADS_OF_ONE):
        await bench.lane(f"more-{number}").acquire()
    with pytest.raises(Busy):
        await bench.begin(other)
    await bench.begin(well)
    stuck.release()
    await bench.begin(other)


async def test_a_region_with_busy_threads_is_not_forgotten(bench: LaneBench) -> None:
    held, idle = bench.lane("held"), bench.lane("idle")
    await held.acquire()
    for number in range(PLACES):
        bench.lane(str(number))
    assert bench.lane("held") is held
    assert bench.lane("idle") is not idle
    assert len(bench.lanes) <= PLACES + 1


# -- waiting at a region with frequent answers ----------------------------------------------------------------------


async def full(bench: LaneBench, seconds: float) -> Lane:
    """A full region with an answer just now, after this time."""
    lane = await bench.trusted("quick")
    await bench.answer(lane, seconds)
    for _ in range(ROOM // 2):
        await bench.begin(lane)
    return lane


async def test_a_call_waits_for_a_slot_of_a_region_with_frequent_answers(bench: LaneBench) -> None:
    lane = await full(bench, 0.1)
    order: list[int] = []

    async def call(number: int) -> None:
        async with lane.entered(STOP, asyncio.timeout(None)):
            order.append(number)

    waiting = [asyncio.create_task(call(number)) for number in range(3)]
    await bench.settle()
    assert order == []
    waiting[0].cancel()
    await bench.settle()
    bench.calls[0].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert order == [1, 2]
    assert bench.lanes.count(lane) == ROOM // 2 - 1


async def test_a_wait_without_an_answer_ends(bench: LaneBench) -> None:
    lane = await full(bench, 0.1)
    with pytest.raises(Busy):
        await bench.begin(lane)
    for call in bench.calls:
        call.cancel()
    await bench.settle()
    assert bench.lanes.count(lane) == 0, "no call uses the slot"


async def test_a_call_cancelled_with_its_slot_leaves_it_to_the_next(bench: LaneBench) -> None:
    lane = await full(bench, 0.1)
    entered: list[str] = []

    async def call(name: str) -> None:
        async with lane.entered(STOP, asyncio.timeout(None)):
            entered.append(name)

    first, second = asyncio.create_task(call("first")), asyncio.create_task(call("second"))
    await bench.settle()
    bench.lanes.leave(bench.lanes._calls[0])
    lane._admit_waiting()
    first.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert entered == ["second"]
    assert bench.lanes.count(lane) == ROOM // 2 - 1


@pytest.mark.parametrize("case", ["slow answers", "an answer long ago", "a sweep", "many wait"])
async def test_a_call_without_a_slot_in_sight_holds_no_worker(bench: LaneBench, case: str) -> None:
    lane = await full(bench, 10.0 if case == "slow answers" else 0.4)
    if case == "an answer long ago":
        bench.clock.now += WAIT_SECONDS + 0.1
    if case == "a sweep":
        assert await bench.fill(lane, LIST) == SWEEPS // 2
        return
    waiting = [asyncio.create_task(bench.begin(lane)) for _ in range(12 if case == "many wait" else 0)]
    await bench.settle()
    refused = [task for task in waiting if task.done()]
    assert len(refused) == (2 if case == "many wait" else 0)
    began = asyncio.get_running_loop().time()
    with pytest.raises(Busy):
        await bench.begin(lane)
    assert asyncio.get_running_loop().time() - began < WAIT_SECONDS
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
