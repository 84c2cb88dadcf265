"""The environment of the image, made once for a test run; tests/conftest.py loads this for every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.image.environment import build_environment

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def image_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the packages of the image alone."""
    return build_environment(tmp_path_factory.mktemp("image"))
