"""Regions without answers: their use of workers, and the delay of jobs in other regions.

In virtual time, with the lanes of the real gateway.
"""

import asyncio

import pytest

from tests.fakes.api_server import FakeApiServer
from tests.fakes.operator import SimulatedOperator
from tests.fakes.service import FakeService
from tests.fakes.virtual_time import in_virtual_time
from tests.logic.builders import NAMESPACE, SPEC, body
from trainingjob_operator.aws.lanes import Lanes
from trainingjob_operator.logic.objects.annotations import REGION

WORKERS = 20
PROMPT_SECONDS = 6.0


class Scene:
    """Objects in several regions, some without answers after a while."""

    def __init__(self, **service: float) -> None:
        self.api = FakeApiServer()
        lanes = Lanes(asyncio.get_running_loop().time, workers=WORKERS)
        self.service = FakeService(lanes=lanes, seconds=100_000.0)
        self.operator = SimulatedOperator(self.api, self.service, workers=WORKERS, create_tps=100.0)

    def apply(self, name: str, region: str) -> None:
        spec = {**SPEC, "trainingJobName": name}
        self.api.apply(body(name=name, uid=f"uid-{name}", spec=spec, annotations={REGION: region}))

    def _exists(self, name: str) -> bool:
        return (NAMESPACE, name) in self.api.objects

    def seen(self, name: str) -> str:
        status = self.api.objects.get((NAMESPACE, name), {}).get("status", {})
        return str(status.get("secondaryStatus", ""))

    async def until_all(self, status: str, names: list[str], seconds: float) -> float:
        """Wait until every object shows the status ("" for a deleted one); return the seconds."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(seconds):
            while not all(self.seen(name) == status and self._exists(name) is bool(status) for name in names):
                await asyncio.sleep(0.1)
        return loop.time() - began


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("dark", "elsewhere"), [(1, "eu-north-1"), (5, "us-east-1"), (5, "eu-north-1")], ids="{}".format
)
@in_virtual_time
async def test_jobs_elsewhere_are_created_followed_and_stopped_during_an_outage_of_regions(
    dark: int, elsewhere: str
) -> None:
    it = Scene()
    regions = [f"eu-dark-{number + 1}" for number in range(dark)]
    names = [f"job-{number}" for number in range(60)]
    for number, name in enumerate(names):
        it.apply(name, regions[number % dark])
    it.apply("neighbour", "us-east-1")
    await it.until_all("Training", [*names, "neighbour"], 120.0)
    it.service.dark.update(regions)
    for name in names:
        it.api.delete((NAMESPACE, name))
    await asyncio.sleep(0.5)
    it.apply("new", elsewhere)
    await it.until_all("Starting", ["new"], PROMPT_SECONDS)
    await it.until_all("Training", ["new"], 20.0 + PROMPT_SECONDS)
    it.api.delete((NAMESPACE, "new"))
    await it.until_all("", ["new"], 10.0 + 2 * PROMPT_SECONDS)
    assert len(it.service.hung) > 3
    it.service.dark.clear()
    await it.until_all("", names, 120.0)
    await it.operator.end()
