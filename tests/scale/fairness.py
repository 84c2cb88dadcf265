"""A long create queue in one region and no answers in another: neither may delay other objects."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.scale.figures import Figure
from tests.scale.scenarios import PATIENCE, Result, is_training, read_lags

if TYPE_CHECKING:
    from tests.scale.world import World

FLAGS = ("--create-tps=1",)
"""SageMaker's default quota, and the operator's default budget."""
OTHER_REGION, HANGING_REGION = "eu-west-1", "eu-central-1"
HANGING_SECONDS = 60.0
"""Delay of each call there: longer than any time-out."""
FEW, HANGING = 10, 200


async def fairness(world: World) -> Result:
    """Many objects wait for their turn while other objects are deleted, change, or are created in another region."""
    follower, sagemaker = world.follower, world.sagemaker
    stopped, changed, elsewhere = (
        [f"{group}-{number}" for number in range(FEW)] for group in ("stopped", "changed", "new")
    )
    sagemaker.plan(phases="Starting:2,Training:1000000")
    await world.create([*stopped, *changed])
    await follower.until(lambda: follower.count(is_training) == 2 * FEW, PATIENCE)
    sagemaker.fault("delay", region=HANGING_REGION, amount=HANGING_SECONDS)
    await world.create([f"hanging-{number}" for number in range(HANGING)], HANGING_REGION)
    await world.create([f"waiting-{number}" for number in range(world.parameters.jobs)])
    begun = time.time()
    await world.create(elsewhere, OTHER_REGION)
    await world.command(changed, lambda name: sagemaker.enter(name, "Uploading"))
    asked = time.time()
    await world.delete(stopped)
    await follower.until(
        lambda: (
            all(is_training(follower.seen.get(name)) for name in elsewhere)
            and all("Uploading" in follower.seen[name].shown for name in changed)
            and all(follower.seen[name].gone for name in stopped)
        ),
        HANGING_SECONDS,
    )
    took = time.time() - begun
    stops = [call["at"] - asked for call in sagemaker.calls("StopTrainingJob")]
    arns = [sight.arn - sight.created for name in elsewhere if (sight := follower.seen[name]).arn]
    lags = read_lags(follower.seen, await world.read_moments(elsewhere), first=0)
    lags += read_lags(follower.seen, await world.read_moments(changed), first=-1)
    waiting = follower.count(lambda sight: not sight.arn and not sight.gone)
    return Result(
        [
            Figure(f"Objects waiting for their turn, and {HANGING} for a region without answers", waiting - HANGING),
            Figure("  running jobs not stopped", FEW - len(stops), "", 0),
            Figure("  Stop sent after the deletion, at most", max(stops, default=None), "s", 3),
            Figure("  objects elsewhere without an ARN", FEW - len(arns), "", 0),
            Figure("  CR to ARN elsewhere, at most", max(arns, default=None), "s", 6),
            Figure("  status behind SageMaker, at most", max(lags, default=None), "s", 8),
            Figure("  all of that reported within", took, "s"),
        ]
    )
