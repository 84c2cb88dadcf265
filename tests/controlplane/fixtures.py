"""pytest fixtures over plane.py; tests/conftest.py loads them for every test."""

from __future__ import annotations

import os
import secrets
from functools import partial
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.controlplane.plane import Cluster, ClusterError, ControlPlane, choose_cluster
from tests.controlplane.programs import ProgramsMissingError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Kubectl(Protocol):
    """kubectl as the admin, in the namespace of one test; returns stdout, raises KubectlError."""

    def __call__(self, *arguments: str, input: str | None = None, timeout: float = 60) -> str: ...  # noqa: A002 - as in Cluster.kubectl


def needs_cluster(item: pytest.Item) -> bool:
    """True for a test that uses the control plane, directly or through another fixture."""
    return "control_plane" in getattr(item, "fixturenames", ())


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need the control plane, so that `-m "not controlplane"` selects the quick half."""
    for item in items:
        if needs_cluster(item):
            item.add_marker(pytest.mark.controlplane)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Find or build the programs here, outside the time-out of any test and with visible progress."""
    if session.config.option.collectonly or not any(map(needs_cluster, session.items)):
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        try:
            choose_cluster(os.environ)
        except (ClusterError, ProgramsMissingError) as error:
            raise pytest.UsageError(f'{error}\n-m "not controlplane" runs the tests without a control plane') from error


@pytest.fixture(scope="session")
def control_plane() -> Iterator[Cluster]:
    """The cluster of this test run; all its processes are dead at the end."""
    with choose_cluster(os.environ)() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def own_control_plane(control_plane: Cluster) -> ControlPlane:
    """The same cluster for tests with faults (restart, pause, compact); they skip on any other cluster."""
    if not isinstance(control_plane, ControlPlane):
        pytest.skip("faults are for the own control plane only")
    return control_plane


@pytest.fixture
def namespace(control_plane: Cluster) -> Iterator[str]:
    """The name of a fresh namespace. Its deletion is started, and not awaited, after the test."""
    name = f"test-{secrets.token_hex(4)}"
    control_plane.kubectl("create", "namespace", name)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def kubectl(control_plane: Cluster, namespace: str) -> Kubectl:
    """kubectl in `namespace`; another --namespace among the arguments takes precedence."""
    return partial(control_plane.kubectl, "--namespace", namespace)
