"""Known objects: read by pages, updated by the watch, repaired by lists."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.fakes.api_server import FakeApiServer
from tests.fakes.discovery import FakeDiscovery, make_coverage
from tests.fakes.operator import SimulatedOperator
from tests.fakes.service import FakeService, wall
from tests.fakes.virtual_time import run
from tests.logic.builders import NAME, NAMESPACE, UID, body
from trainingjob_operator.clocks import Clocks
from trainingjob_operator.coverage import Coverage
from trainingjob_operator.kube.client import Login
from trainingjob_operator.kube.errors import Unavailable
from trainingjob_operator.metrics import Metrics
from trainingjob_operator.runtime import Runtime
from trainingjob_operator.watcher import RELIST_SECONDS, Watcher

KEY = (NAMESPACE, NAME)


async def watcher(
    api: FakeApiServer, operator: SimulatedOperator, *, label_selector: str = "", coverage: Coverage | None = None
) -> Watcher:
    coverage = coverage or make_coverage(FakeDiscovery())
    await coverage.survey()
    runtime = Runtime(
        operator.jobs,
        operator.queue,
        operator.leadership,
        Metrics(CollectorRegistry(), "0", lambda: 0.0),
        Clocks(asyncio.get_running_loop().time, wall, random.Random(7)),
    )
    return Watcher(
        runtime,
        login=Login.__new__(Login),  # used only by Kopf's thread, not part of these tests
        lists=api,
        coverage=coverage,
        label_selector=label_selector,
        reconciler=operator.reconciler,
    )


async def quiet(api: FakeApiServer) -> SimulatedOperator:
    """Operator with a silent watch and idle workers."""
    operator = SimulatedOperator(api, FakeService())
    await operator.end()
    return operator


def test_a_list_queues_objects_missed_by_the_watch() -> None:
    async def main() -> None:
        api = FakeApiServer()
        operator = await quiet(api)
        api.apply(body())
        api.apply(body(name="b", uid="b"))
        watch = await watcher(api, operator)
        assert await watch.list_all() == 2
        assert operator.queue.depth == 2
        assert await watch.list_all() == 0, "an unchanged object is not queued again"

    run(main())


def test_an_object_under_deletion_is_reconciled_before_earlier_ones() -> None:
    async def main() -> None:
        api = FakeApiServer()
        operator = await quiet(api)
        watch = await watcher(api, operator)
        for name in ("a", "b"):
            watch.take("ADDED", body(name=name, uid=name))
        watch.take("MODIFIED", body(name="b", uid="b", version=2, deleting=True, held=True))
        assert await operator.queue.take() == (NAMESPACE, "b")
        api.apply(body(name="c", uid="c", deleting=True, held=True))
        api.apply(body(name="a", uid="a"))
        await watch.list_all()
        assert await operator.queue.take() == (NAMESPACE, "c")

    run(main())


def test_a_vanished_object_is_forgotten_only_after_an_answer_of_the_api_server() -> None:
    async def main() -> None:
        api = FakeApiServer()
        operator = await quiet(api)
        api.apply(body())
        watch = await watcher(api, operator)
        await watch.list_all()
        hidden, api.list_pages = api.list_pages, nothing  # type: ignore[method-assign]
        assert await watch.list_all() == 0
        assert operator.jobs.get(KEY) is not None, "a list may omit objects created during it"
        api.delete(KEY)
        assert await watch.list_all() == 1
        assert operator.jobs.get(KEY) is None
        api.apply(body(uid="new"))
        api.list_pages = hidden  # type: ignore[method-assign]
        assert await watch.list_all() == 1

    run(main())


def test_an_object_relabelled_without_an_event_is_no_longer_followed() -> None:
    async def main() -> None:
        api = FakeApiServer()
        operator = await quiet(api)
        api.apply(body())
        watch = await watcher(api, operator, label_selector="shard=a")
        await watch.list_all()

        async def another(
            namespace: str | None = None, label_selector: str = ""
        ) -> AsyncIterator[list[dict[str, Any]]]:
            yield []
            watch.take("ADDED", body(name="young", uid="y"))

        api.apply(body(name="young", uid="y"))
        api.list_pages = another  # type: ignore[method-assign]
        assert await watch.list_all() == 1
        assert [tracked.key for tracked in operator.jobs] == [(NAMESPACE, "young")], "created during the list"
        assert KEY in api.objects

    run(main())


def test_a_list_after_the_restore_of_a_backup_is_accepted() -> None:
    async def main() -> None:
        api = FakeApiServer()
        operator = await quiet(api)
        api.apply(body())
        restore = api.back_up()
        api.edit(KEY, stoppingCondition={"maxRuntimeInSeconds": 60})
        api.apply(body(name="younger", uid="y"))
        watch = await watcher(api, operator)
        await watch.list_all()
        restore()
        assert await watch.list_all() == 2, "one object is unchanged, one deleted"
        known = operator.jobs.get(KEY)
        assert known is not None
        assert known.resource().spec == body()["spec"]
        assert len(operator.jobs) == 1
        assert await watch.list_all() == 0

    run(main())


async def nothing(namespace: str | None = None, label_selector: str = "") -> AsyncIterator[list[dict[str, Any]]]:
    yield []


def test_an_object_recreated_without_an_event_counts_as_a_new_one() -> None:
    async def main() -> None:
        api = FakeApiServer()
        operator = await quiet(api)
        api.apply(body())
        watch = await watcher(api, operator)
        await watch.list_all()
        api.delete(KEY)
        api.apply(body(uid="new"))
        api.list_pages = nothing  # type: ignore[method-assign]
        assert await watch.list_all() == 1
        known = operator.jobs.get(KEY)
        assert known is not None
        assert known.uid == "new"

    run(main())


def test_an_object_is_forgotten_only_by_its_own_deletion_and_old_events_are_ignored() -> None:
    async def main() -> None:
        api = FakeApiServer()
        operator = await quiet(api)
        watch = await watcher(api, operator)
        for kind, one in ((None, body()), ("ADDED", body(name="b", uid="b", version=2))):
            watch.take(kind, one)
        assert operator.queue.depth == 2
        watch.take("DELETED", body(uid="another"))
        assert operator.jobs.get(KEY) is not None
        watch.take("DELETED", body(uid=UID))
        assert operator.jobs.get(KEY) is None
        assert operator.queue.depth == 1
        watch.take("DELETED", body(name="unheard-of"))
        operator.queue.release(await operator.queue.take())
        watch.take("MODIFIED", body(name="b", uid="b", version=2))
        assert operator.queue.depth == 0, "an old event"

    run(main())


@pytest.mark.parametrize("fails", [False, True])
def test_lists_repeat_every_few_minutes_also_after_a_failure(fails: bool) -> None:
    async def main() -> None:
        api = FakeApiServer()
        operator = await quiet(api)
        watch = await watcher(api, operator)
        task = asyncio.ensure_future(watch.relist())
        if fails:
            whole, api.list_pages = api.list_pages, away  # type: ignore[method-assign]
            await asyncio.sleep(1.2 * RELIST_SECONDS)
            api.list_pages = whole  # type: ignore[method-assign]
        api.apply(body())
        await asyncio.sleep(1.2 * RELIST_SECONDS)
        assert operator.jobs.get(KEY) is not None
        task.cancel()

    run(main())


async def away(namespace: str | None = None, label_selector: str = "") -> AsyncIterator[list[dict[str, Any]]]:
    pages: tuple[list[dict[str, Any]] | None, ...] = ([], None)
    for page in pages:
        if page is None:
            raise Unavailable("no connection")
        yield page
