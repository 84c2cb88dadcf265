"""Prometheus of the pinned version; its tests are skipped where the cache does not have it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.prometheus.program import cached_prometheus

if TYPE_CHECKING:
    from pathlib import Path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs Prometheus, for `make prometheus`."""
    for item in items:
        if "prometheus_programs" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.prometheus)


@pytest.fixture(scope="session")
def prometheus_programs() -> Path:
    programs = cached_prometheus(os.environ)
    if not programs.exists():
        pytest.skip("Prometheus is not in the cache: make prometheus builds it")
    return programs
