"""Work queue: each due key is taken once, in order, by one worker; no key is lost."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.virtual_time import run
from trainingjob_operator.work_queue import BACKOFF_FIRST, URGENT_RUN, WorkQueue


def queue() -> WorkQueue[str]:
    return WorkQueue(jitter=random.Random(7))


async def taken_within(work: WorkQueue[str], seconds: float) -> str | None:
    try:
        return await asyncio.wait_for(work.take(), seconds)
    except TimeoutError:
        return None


def test_keys_are_taken_in_order_of_their_due_times() -> None:
    async def main() -> list[str]:
        work = queue()
        work.add("late", 5.0)
        work.add("a")
        work.add("soon", 1.0)
        work.add("b")
        assert work.depth == 2
        return [await work.take() for _ in range(4)]

    assert run(main()) == ["a", "b", "soon", "late"]


def test_a_key_added_twice_is_taken_once_at_the_earlier_time() -> None:
    async def main() -> None:
        work, loop = queue(), asyncio.get_running_loop()
        began = loop.time()
        for delay in (9.0, 3.0, 6.0):
            work.add("a", delay)
        assert await work.take() == "a"
        assert loop.time() - began == pytest.approx(3.0)
        work.release("a")
        assert await taken_within(work, 60.0) is None
        work.add("a")
        work.add("a")
        work.add("a", 4.0)
        assert await work.take() == "a"
        work.release("a")
        assert await taken_within(work, 60.0) is None

    run(main())


def test_an_urgent_key_overtakes_waiting_ones_even_if_it_is_queued() -> None:
    async def main() -> list[str]:
        work = queue()
        for key in ("a", "b", "c"):
            work.add(key)
        work.add("urgent", urgent=True)
        work.add("c", urgent=True)
        work.add("c")
        assert work.depth == 4
        order = [await work.take() for _ in range(4)]
        assert await taken_within(work, 60.0) is None
        return order

    assert run(main()) == ["urgent", "c", "a", "b"]


def test_a_key_that_becomes_urgent_during_its_work_is_urgent_afterwards() -> None:
    async def main() -> None:
        work = queue()
        work.add("a")
        assert await work.take() == "a"
        work.add("b")
        work.add("a", urgent=True)
        work.add("a", 9.0)
        work.release("a")
        assert [await work.take() for _ in range(2)] == ["a", "b"]

    run(main())


def test_urgent_keys_leave_a_share_of_the_turns_to_others() -> None:
    async def main() -> list[str]:
        work = queue()
        for number in range(9):
            work.add(f"urgent {number}", urgent=True)
        for key in ("a", "b", "c"):
            work.add(key)
        return [await work.take() for _ in range(12)]

    order = run(main())
    assert [index for index, key in enumerate(order) if key in "abc"] == [2, 5, 8]
    assert [key for key in order if key not in "abc"] == [f"urgent {number}" for number in range(9)]
    assert URGENT_RUN == 2


def test_a_discarded_key_delays_no_other() -> None:
    async def main() -> list[str]:
        work = queue()
        work.add("a", urgent=True)
        work.add("b")
        work.discard("a")
        work.add("c")
        taken = [await work.take(), await work.take()]
        assert work.depth == 0
        assert await taken_within(work, 60.0) is None
        return taken

    assert run(main()) == ["b", "c"]


def test_a_key_in_work_is_never_taken_by_another_worker_but_requeued_afterwards() -> None:
    async def main() -> None:
        work = queue()
        work.add("a")
        assert await work.take() == "a"
        work.add("a", 5.0)
        work.add("a")
        assert await taken_within(work, 60.0) is None
        work.release("a")
        assert await taken_within(work, 0.1) == "a"

    run(main())


def test_a_delay_requested_during_work_counts_from_the_request() -> None:
    async def main() -> None:
        work, loop = queue(), asyncio.get_running_loop()
        work.add("a")
        await work.take()
        due = loop.time() + 5.0
        work.add("a", 5.0)
        await asyncio.sleep(2.0)
        work.release("a")
        assert await work.take() == "a"
        assert loop.time() == pytest.approx(due)

    run(main())


def test_a_forgotten_key_is_not_taken_again() -> None:
    async def main() -> None:
        work = queue()
        work.add("due")
        work.add("later", 1.0)
        work.add("working")
        assert await work.take() == "due"
        work.discard("due")
        work.discard("later")
        work.discard("working")
        work.discard("unheard of")
        work.add("due")
        work.discard("due")
        work.release("due")
        assert await taken_within(work, 60.0) is None
        work.add("working")
        assert await taken_within(work, 1.0) == "working"

    run(main())


def test_a_failing_key_is_requeued_with_a_bounded_back_off_until_it_succeeds() -> None:
    async def main() -> None:
        work = queue()
        delays = []
        for _ in range(12):
            delays.append(work.retry("a", 30.0))
            assert await work.take() == "a"
            work.release("a")
        assert all(0.5 * BACKOFF_FIRST <= delay <= 30.0 for delay in delays)
        assert delays[0] <= BACKOFF_FIRST
        assert min(delays[7:]) >= 15.0
        work.succeeded("a")
        assert work.retry("a", 30.0) <= BACKOFF_FIRST

    run(main())


def test_the_back_off_of_keys_has_jitter() -> None:
    async def main() -> None:
        work = queue()
        delays = {work.retry(f"o{number}", 30.0) for number in range(20)}
        assert len(delays) == 20

    run(main())


def test_draining_waits_for_work_in_progress_and_stops_taking_keys() -> None:
    async def main() -> None:
        work = queue()
        work.add("a")
        assert await work.drain(1.0), "no worker is active yet"
        work = queue()
        work.add("a")
        await work.take()
        work.add("b")
        asyncio.get_running_loop().call_later(2.0, work.release, "a")
        assert not await work.drain(1.0)
        assert await work.drain(5.0)
        assert await taken_within(work, 60.0) is None

    run(main())


def test_the_turnover_shows_active_workers() -> None:
    async def main() -> None:
        work = queue()
        work.add("a")
        before = work.turnover
        await work.take()
        between = work.turnover
        work.release("a")
        assert before < between < work.turnover

    run(main())


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.floats(0, 20), st.floats(0, 5), st.sampled_from(["add", "discard"])),
        max_size=40,
    )
)
def test_every_added_key_is_taken_after_its_due_time_by_one_worker_at_a_time(
    plan: list[tuple[str, float, float, str]],
) -> None:
    async def main() -> None:
        work, loop = queue(), asyncio.get_running_loop()
        busy: set[str] = set()
        served: dict[str, float] = {}
        owed: dict[str, float] = {}

        async def serve() -> None:
            while True:
                key = await work.take()
                assert key not in busy
                busy.add(key)
                served[key] = loop.time()
                await asyncio.sleep(1.5)
                busy.discard(key)
                work.release(key)

        workers = [asyncio.create_task(serve()) for _ in range(2)]
        for key, delay, pause, what in plan:
            if what == "add":
                work.add(key, delay)
                owed[key] = loop.time()
            else:
                work.discard(key)
                owed.pop(key, None)
            await asyncio.sleep(pause)
        await asyncio.sleep(200.0)
        assert all(served.get(key, 0.0) >= since for key, since in owed.items())
        assert work.depth == 0
        assert not [worker for worker in workers if worker.done()]
        for worker in workers:
            worker.cancel()

    run(main())
