"""Served namespaces: missing rights are reported once and do not affect other namespaces."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from tests.fakes.discovery import FakeDiscovery, make_coverage
from tests.fakes.virtual_time import run
from trainingjob_operator.coverage import DEAF_SECONDS, SURVEY_SECONDS
from trainingjob_operator.health import Readiness
from trainingjob_operator.kube.discovery import Right, right_to_cluster_id
from trainingjob_operator.kube.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def lacks(**wanted: str) -> Callable[[Right], bool]:
    """Deny these rights."""
    return lambda right: all(getattr(right, part) == value for part, value in wanted.items())


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_without_a_list_of_namespaces_all_are_served_together() -> None:
    async def main() -> None:
        coverage = make_coverage(FakeDiscovery())
        assert coverage.served == frozenset()
        await coverage.survey()
        assert coverage.served == {""}
        assert coverage.problems == ""

    run(main())


def test_a_namespace_without_rights_delays_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        readiness, registry = Readiness(), CollectorRegistry()
        discovery = FakeDiscovery(denied=lacks(namespace="b", verb="list"))
        coverage = make_coverage(discovery, "a", "b", readiness=readiness, registry=registry)
        for _ in range(3):
            await coverage.survey()
        assert coverage.served == {"a"}
        [sentence] = warnings(caplog)
        assert sentence.startswith(
            "The operator (system:serviceaccount:ops:operator) is not allowed to list trainingjobs"
        )
        assert "in namespace b: apply the roles in deploy/" in sentence
        assert readiness.explain() == []
        assert readiness.notes() == [f"note: {sentence}"]
        served = [registry.get_sample_value("trainingjob_namespace_served", {"namespace": name}) for name in "ab"]
        assert served == [1.0, 0.0]
        discovery.denied = lambda _: False
        await coverage.survey()
        assert coverage.served == {"a", "b"}
        assert readiness.notes() == []

    run(main())


def test_a_missing_namespace_is_reported_and_watched(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        readiness, registry = Readiness(), CollectorRegistry()
        discovery = FakeDiscovery()
        coverage = make_coverage(discovery, "a", "b", readiness=readiness, registry=registry)
        await coverage.survey()
        discovery.not_found.add("b")
        state = coverage.state
        await coverage.survey()
        assert coverage.state == state, "no restart of the watch"
        assert warnings(caplog) == [
            "Namespace b of --watch-namespace does not exist: create it, or remove it from the flag."
        ]
        assert "Namespace b" in readiness.notes()[0]
        assert registry.get_sample_value("trainingjob_namespace_served", {"namespace": "b"}) == 0.0
        discovery.not_found.clear()
        await coverage.survey()
        assert readiness.notes() == []
        assert registry.get_sample_value("trainingjob_namespace_served", {"namespace": "b"}) == 1.0

    run(main())


def test_without_the_kind_no_object_is_served_and_readiness_reports_it(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        readiness = Readiness()
        discovery = FakeDiscovery()
        coverage = make_coverage(discovery, readiness=readiness)
        await coverage.survey()
        discovery.schema = None
        for _ in range(3):
            await coverage.survey()
        assert coverage.served == frozenset()
        [sentence] = warnings(caplog)
        assert "does not serve trainingjobs" in sentence
        assert readiness.explain() == [f"waiting for the watch: {sentence}"]
        discovery.schema = "2"
        await coverage.survey()
        assert readiness.explain() == []

    run(main())


def test_every_missing_right_is_reported_in_one_sentence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        coverage = make_coverage(FakeDiscovery(denied=lambda _: True), beside=[right_to_cluster_id()])
        await coverage.survey()
        assert coverage.served == frozenset()
        [sentence] = warnings(caplog)
        for words in (
            "list/watch/get/patch trainingjobs",
            "create events.events.k8s.io in all",
            "in namespace kube-system",
        ):
            assert words in sentence

    run(main())


def test_a_right_required_only_at_the_start_does_not_end_a_running_watch() -> None:
    async def main() -> None:
        discovery = FakeDiscovery()
        coverage = make_coverage(discovery, beside=[right_to_cluster_id()])
        await coverage.survey()
        discovery.denied = lacks(namespace="kube-system")
        await coverage.survey(anew=True)
        assert coverage.served == {""}

    run(main())


def test_rights_are_checked_again_while_one_is_missing() -> None:
    async def main() -> None:
        discovery = FakeDiscovery()
        coverage = make_coverage(discovery, "a")
        for _ in range(5):
            await coverage.survey()
        assert discovery.reviews == 1
        discovery.denied = lacks(verb="watch")
        await coverage.survey(anew=True)
        assert coverage.served == frozenset()
        discovery.denied = lambda _: False
        await coverage.survey()
        assert coverage.served == {"a"}

    run(main())


def test_a_deleted_namespace_with_its_roles_is_no_longer_served() -> None:
    async def main() -> None:
        discovery = FakeDiscovery()
        coverage = make_coverage(discovery, "a", "b")
        await coverage.survey()
        discovery.denied = lacks(namespace="b")
        await coverage.survey()
        assert coverage.served == {"a"}
        assert "rights are also missing if the namespace does not exist: b" in coverage.problems

    run(main())


def test_a_failed_check_of_rights_has_no_effect_until_the_next_one() -> None:
    async def main() -> None:
        ticks = 0

        def tick() -> None:
            nonlocal ticks
            ticks += 1

        discovery = FakeDiscovery()
        coverage = make_coverage(discovery)
        await coverage.survey()
        task = asyncio.ensure_future(coverage.run(tick))
        discovery.error = Unavailable("no connection")
        await asyncio.sleep(3.5 * SURVEY_SECONDS)
        assert coverage.served == {""}
        assert ticks == 3
        discovery.error, discovery.schema = None, None
        assert await coverage.change_from(coverage.state, 2 * SURVEY_SECONDS)
        assert coverage.served == frozenset()
        assert not await coverage.change_from(coverage.state, 2 * SURVEY_SECONDS)
        task.cancel()

    run(main())


def test_a_replica_without_a_list_or_the_right_to_list_must_not_lead() -> None:
    async def main() -> None:
        now = 0.0
        discovery = FakeDiscovery()
        coverage = make_coverage(discovery, clock=lambda: now)
        await coverage.survey()
        assert not coverage.can_list()
        coverage.note_list(succeeded=True)
        assert coverage.can_list()
        coverage.note_list(succeeded=False)
        now += DEAF_SECONDS - 1
        coverage.note_list(succeeded=False)
        assert coverage.can_list()
        now += 1
        assert not coverage.can_list()
        coverage.note_list(succeeded=True)
        assert coverage.can_list()
        discovery.schema = None
        await coverage.survey()
        assert not coverage.can_list()

    run(main())
