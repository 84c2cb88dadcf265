"""What calls to places without an answer hold, and which of them end for others; by a clock of the test."""

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
    """The lanes, and calls that last until their end."""

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
        """A call that is answered after that time."""
        async with lane.entered(STOP, asyncio.timeout(None)):
            self.clock.now += seconds

    async def begin(self, lane: Lane, operation: str = STOP) -> asyncio.Task[None]:
        """A call that gets no answer; Busy, or AwsError, where it is not made."""
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
        """As many as the place gets."""
        for count in range(100):
            try:
                await self.begin(lane, operation)
            except Busy:
                return count
        raise AssertionError("no limit")

    async def settle(self) -> list[asyncio.Task[None]]:
        """The calls that have ended early."""
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


async def test_a_place_gets_as_many_calls_as_it_leaves_free(bench: LaneBench) -> None:
    regions = [await bench.trusted(str(number)) for number in range(ROOM + 1)]
    assert await bench.fill(regions[0]) == ROOM // 2
    assert [await bench.fill(region) for region in regions[1:5]] == [4, 2, 1, 1]
    assert len(bench.calls) == ROOM


@pytest.mark.parametrize(("workers", "most"), [(1, 1), (2, 1), (5, 2), (10, 4), (100, 8)])
async def test_few_workers_are_shared_as_many_are(workers: int, most: int) -> None:
    bench = LaneBench(workers)
    assert await bench.fill(await bench.trusted("one")) == most
    if workers > 2:
        await bench.begin(await bench.trusted("other"))
    await bench.aclose()


async def test_places_that_have_not_answered_get_six_calls_together_and_one_gets_three(bench: LaneBench) -> None:
    trusted = await bench.trusted("d")
    assert [await bench.fill(bench.lane(region)) for region in ("a", "b", "c")] == [3, 3, 0]
    await bench.begin(trusted)


async def test_a_place_that_failed_to_answer_counts_as_one_that_never_has(bench: LaneBench) -> None:
    region = await bench.trusted("a")
    await bench.fail(region)
    assert await bench.fill(region) == 3


async def test_a_full_room_is_opened_by_the_longest_call_of_the_place_with_most(bench: LaneBench) -> None:
    many, newcomer = await bench.trusted("many"), await bench.trusted("newcomer")
    for number in range(ROOM):
        await bench.begin(many if number in (1, 2) else await bench.trusted(str(number)))
        bench.clock.now += 0.01
    with pytest.raises(Busy) as busy:
        await bench.begin(newcomer)
    assert busy.value.seconds == PAUSE
    bench.clock.now += LONG_SECONDS
    with pytest.raises(Busy):  # it has calls of its own
        await bench.begin(many)
    await bench.begin(newcomer)
    assert await bench.settle() == [bench.calls[1]]
    assert isinstance(bench.calls[1].exception(), AwsError)


async def test_a_call_to_a_place_without_trust_ends_first(bench: LaneBench) -> None:
    regions = [await bench.trusted(str(number)) for number in range(ROOM - 1)]
    for region in regions:
        await bench.begin(region)
    await bench.begin(bench.lane("new"))
    bench.clock.now += LONG_SECONDS
    await bench.begin(bench.lane("other"))
    assert await bench.settle() == [bench.calls[ROOM - 1]]


async def test_a_place_that_fails_to_answer_ends_no_call_of_one_that_answers(bench: LaneBench) -> None:
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


async def test_places_without_an_answer_take_turns(bench: LaneBench) -> None:
    suspect = bench.lane("suspect")
    await bench.fail(suspect)
    for region in ("a", "b"):
        assert await bench.fill(bench.lane(region)) == 3
    with pytest.raises(Busy):
        await bench.begin(suspect)
    bench.clock.now += LONG_SECONDS
    await bench.begin(suspect)
    assert await bench.settle() == [bench.calls[0]]


async def test_a_call_at_its_deadline_can_still_be_chosen(bench: LaneBench) -> None:
    limit = asyncio.timeout(None)
    async with bench.lane("a").entered(STOP, limit):  # never entered: as little to be moved as one that has expired
        for number in range(5):
            await bench.begin(bench.lane("b" if number < 3 else "a"))
            bench.clock.now += 0.01
        bench.clock.now += LONG_SECONDS
        await bench.begin(bench.lane("d"))
        assert await bench.settle() == []


async def test_a_dark_place_gets_one_call_when_its_pause_is_over(bench: LaneBench) -> None:
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


async def test_sweeps_have_room_of_their_own(bench: LaneBench) -> None:
    regions = [await bench.trusted(str(number)) for number in range(SWEEPS + 1)]
    for region in regions[:SWEEPS]:
        await bench.begin(region, LIST)
    await bench.begin(regions[0])
    with pytest.raises(Busy):
        await bench.begin(regions[SWEEPS], LIST)
    bench.clock.now += LONG_SECONDS
    await bench.begin(regions[SWEEPS], LIST)
    assert await bench.settle() == [bench.calls[0]]


async def test_threads_that_outlast_their_calls_are_not_left_behind_without_end(bench: LaneBench) -> None:
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


async def test_a_place_whose_threads_are_held_is_not_forgotten(bench: LaneBench) -> None:
    held, idle = bench.lane("held"), bench.lane("idle")
    await held.acquire()
    for number in range(PLACES):
        bench.lane(str(number))
    assert bench.lane("held") is held
    assert bench.lane("idle") is not idle
    assert len(bench.lanes) <= PLACES + 1


# -- room at a place with frequent answers ----------------------------------------------------------------------------


async def full(bench: LaneBench, seconds: float) -> Lane:
    """A place without room whose last call was answered just now, after that time."""
    lane = await bench.trusted("quick")
    await bench.answer(lane, seconds)
    for _ in range(ROOM // 2):
        await bench.begin(lane)
    return lane


async def test_a_call_waits_for_room_where_answers_are_frequent(bench: LaneBench) -> None:
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
    assert bench.lanes.count(lane) == 0, "nobody took the room"


async def test_a_call_that_is_cancelled_when_it_gets_room_leaves_it_to_the_next(bench: LaneBench) -> None:
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
async def test_a_call_without_the_prospect_of_room_holds_no_worker(bench: LaneBench, case: str) -> None:
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
