"""The pinned version of Flux; its tests are skipped if the cache lacks it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.gitops.program import cached_flux

if TYPE_CHECKING:
    from pathlib import Path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need Flux, for `make gitops`."""
    for item in items:
        if "flux_programs" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.gitops)


@pytest.fixture(scope="session")
def flux_programs() -> Path:
    programs = cached_flux(os.environ)
    if not programs.exists():
        pytest.skip("Flux is not in the cache: make gitops builds it")
    return programs
