"""State of accounts, regions, namespaces and jobs is removed with the last object that uses it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from tests.fakes.service import failed
from tests.fakes.simulation import Simulation, simulated
from tests.logic.builders import ACCOUNT, SPEC, body
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.naming import Identity
from trainingjob_operator.logic.objects.annotations import REGION
from trainingjob_operator.logic.state.outcomes import PROBE_RETRY_FIRST
from trainingjob_operator.metrics import ABSENT_SECONDS

if TYPE_CHECKING:
    from tests.fakes.operator import SimulatedOperator

CREATE = "CreateTrainingJob"
DENIED = failed(CREATE, "AccessDeniedException", ErrorClass.DENIED)
REGIONS = [f"us-{word}-{number}" for word, number in product("abcdefghij", range(10))]


def job_object(name: str, region: str | None = None, namespace: str = "ml") -> dict[str, Any]:
    annotations = {} if region is None else {REGION: region}
    made = body(name=name, uid=f"{namespace}-{name}", spec={**SPEC, "trainingJobName": name}, annotations=annotations)
    made["metadata"]["namespace"] = namespace
    return made


def sizes(operator: SimulatedOperator) -> dict[str, int]:
    """Length of every non-empty collection in the operator, by path.

    Included are collections of strings and numbers, in instances of this package and in collections.
    """
    found: dict[str, int] = {}
    seen: set[int] = set()
    parts = {
        "jobs": operator.jobs,
        "create_queue": operator.create_queue,
        "budgets": operator.budgets,
        "queue": operator.queue,
    }
    waiting = deque[tuple[str, object]](
        {**parts, "sweeper": operator.sweeper, "reconciler": operator.reconciler}.items()
    )
    while waiting:
        path, value = waiting.popleft()
        if id(value) in seen or isinstance(value, str | bytes):
            continue
        seen.add(id(value))
        if isinstance(value, Mapping) or (isinstance(value, Collection) and not hasattr(value, "__dict__")):
            found[path] = found.get(path, 0) + len(value)
            waiting.extend((f"{path}[]", one) for one in (value.values() if isinstance(value, Mapping) else value))
        elif type(value).__module__.startswith("trainingjob_operator"):
            slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
            names = [*getattr(value, "__dict__", {}), *slots]
            waiting.extend((f"{path}.{name}", getattr(value, name)) for name in names if hasattr(value, name))
    return {path: size for path, size in found.items() if size}


def without_budgets(found: Mapping[str, int]) -> dict[str, int]:
    """Budgets expire with time."""
    return {path: size for path, size in found.items() if not path.startswith("budgets")}


def regions_in_metrics(operator: SimulatedOperator) -> set[str]:
    samples = [sample for metric in operator.registry.collect() for sample in metric.samples]
    return {sample.labels["region"] for sample in samples if "region" in sample.labels}


async def come_and_go(simulation: Simulation, regions: list[str | None], *, at_once: int, number: int = 0) -> None:
    """Create and delete one object a region, each in its own namespace: some end, some are running, some are denied.

    The number of concurrent objects is limited; `number` is the first in their names.
    """
    for first in range(0, len(regions), at_once):
        keys = []
        for index, region in enumerate(regions[first : first + at_once], number + first):
            name = f"{'bad' if index % 3 == 0 else 'good'}-{index}"
            simulation.api.apply(job_object(name, region, f"ns-{index}"))
            keys.append((f"ns-{index}", name))
        await simulation.wait(4.0)
        for key in keys[: at_once // 2]:
            simulation.api.delete(key)
        await simulation.wait(10.0)
        for key in keys[at_once // 2 :]:
            simulation.api.delete(key)
        await simulation.wait(14.0)
        assert not simulation.api.objects


@pytest.mark.no_cover
@simulated(seconds=6.0)
async def test_a_hundred_deleted_objects_of_a_hundred_regions_leave_no_state(
    simulation: Simulation,
) -> None:
    simulation.service.create_errors = lambda request: DENIED if request["TrainingJobName"].startswith("bad") else None
    operator = await simulation.start(workers=20)
    assert operator is not None
    await come_and_go(simulation, [None] * 6, at_once=6)
    before = sizes(operator)
    await come_and_go(simulation, list(REGIONS), at_once=50)
    assert len({job.identity.region for job in simulation.service.created}) > 60, "most regions had a job"
    await simulation.wait(ABSENT_SECONDS)
    operator.gauges.update()
    await come_and_go(simulation, [None] * 6, at_once=6, number=300)
    assert sizes(operator) == before
    assert regions_in_metrics(operator) == set()


@pytest.mark.no_cover
@simulated()
async def test_an_object_with_changing_regions_leaves_no_state(simulation: Simulation) -> None:
    simulation.service.refusals[CREATE] = DENIED
    operator = await simulation.start()
    assert operator is not None
    key = ("ml", "bad")
    simulation.api.apply(job_object("bad", REGIONS[0]))
    await simulation.wait(5.0)
    before = sizes(operator)
    for region in REGIONS[1:40]:
        simulation.api.annotate(key, **{REGION: region})
        await simulation.wait(5.0)
    assert simulation.count(CREATE) >= 40, "each region had an attempt"
    assert without_budgets(sizes(operator)) == without_budgets(before)


@simulated()
async def test_a_denied_object_that_changes_its_region_leaves_a_probe_to_the_others(
    simulation: Simulation,
) -> None:
    simulation.service.refusals[CREATE] = DENIED
    await simulation.start()
    simulation.api.apply(job_object("first", REGIONS[0]))
    await simulation.wait(1.0)
    simulation.api.apply(job_object("second", REGIONS[0]))
    await simulation.wait(1.0)
    simulation.api.annotate(("ml", "first"), **{REGION: REGIONS[1]})
    await simulation.wait(40.0)
    tries = simulation.service.calls.count((CREATE, "second"))
    await simulation.wait(60.0)
    assert simulation.service.calls.count((CREATE, "second")) >= tries + 60.0 / (4 * PROBE_RETRY_FIRST)


@simulated()
async def test_an_object_deleted_during_its_call_leaves_no_state(simulation: Simulation) -> None:
    simulation.service.refusals[CREATE] = DENIED
    operator = await simulation.start()
    assert operator is not None
    before = sizes(operator)
    key = ("ml", "bad")

    def fault(operation: str, _before: bool) -> None:
        if operation == CREATE:
            simulation.api.objects[key]["metadata"]["finalizers"] = []  # as kubectl would
            simulation.api.delete(key)

    simulation.service.fault = fault
    simulation.api.apply(job_object("bad", REGIONS[0]))
    await simulation.wait(2.0)
    assert simulation.count(CREATE) == 1
    assert not simulation.api.objects
    assert without_budgets(sizes(operator)) == without_budgets(before)


@simulated(seconds=600.0)
async def test_events_of_a_region_are_forgotten_with_its_last_object(simulation: Simulation) -> None:
    operator = simulation.operator
    assert operator is not None
    flow = operator.flow
    simulation.api.apply(job_object("job", REGIONS[0]))
    simulation.api.apply(job_object("other", REGIONS[1]))
    await simulation.wait(5.0)
    now, seen = asyncio.get_running_loop().time(), Observation({"trainingJobStatus": "InProgress"})
    for region, name in ((REGIONS[0], "job"), (REGIONS[1], "other")):
        flow.note_event(Identity(ACCOUNT, region, name).slot, seen, now, is_news=True)
    flow.note_found(Identity(ACCOUNT, REGIONS[0], "job").slot, seen, now)
    simulation.api.delete(("ml", "job"))
    await simulation.wait(30.0)
    assert list(simulation.api.objects) == [("ml", "other")]
    assert not flow.is_flowing((ACCOUNT, REGIONS[0]), now)
    assert flow.is_flowing((ACCOUNT, REGIONS[1]), now)
    assert regions_in_metrics(operator) == {REGIONS[1]}
