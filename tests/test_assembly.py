"""Order of the shutdown: running work ends before another replica may lead."""

import asyncio
import random
from typing import TYPE_CHECKING, cast

from tests.fakes.virtual_time import run
from trainingjob_operator.logic.objects.resource import Key
from trainingjob_operator.process import FINISH_SECONDS, finish
from trainingjob_operator.work_queue import WorkQueue

if TYPE_CHECKING:
    from trainingjob_operator.kube.events import EventRecorder
    from trainingjob_operator.kube.leader import Elector

KEY = ("team-a", "churn")


class Ending:
    """Elector and recorder with a record of their end."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    async def release(self) -> None:
        self.steps.append("the Lease is given back")

    async def flush(self, seconds: float) -> None:
        self.steps.append("Events are sent")


def ended_after(seconds: float) -> list[str]:
    """Steps of a shutdown during a pass of this duration."""

    async def scene() -> list[str]:
        ending, queue = Ending(), WorkQueue[Key](jitter=random.Random(1))
        queue.add(KEY)
        key = await queue.take()

        def end_pass() -> None:
            ending.steps.append("the pass has ended")
            queue.release(key)

        asyncio.get_running_loop().call_later(seconds, end_pass)
        await finish(queue, cast("Elector", ending), cast("EventRecorder", ending))
        await asyncio.sleep(2 * seconds)
        return ending.steps

    steps: list[str] = run(scene())
    return steps


def test_running_work_ends_before_the_release_of_the_lease() -> None:
    assert ended_after(FINISH_SECONDS / 2) == ["the pass has ended", "the Lease is given back", "Events are sent"]


def test_a_slow_step_does_not_delay_the_shutdown() -> None:
    assert ended_after(FINISH_SECONDS * 2) == ["the Lease is given back", "Events are sent", "the pass has ended"]
