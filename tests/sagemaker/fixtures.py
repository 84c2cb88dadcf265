"""Fixtures that start a SageMaker stand-in. Loaded by tests/conftest.py through `pytest_plugins`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sagemaker.program import Options
from tests.sagemaker.stand_in import StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def sagemaker(request: pytest.FixtureRequest) -> Iterator[StandIn]:
    """A stand-in with fresh state; jobs last 60 to 120 s by default, `@pytest.mark.parametrize("sagemaker",
    [Options(…)], indirect=True)` and plans change that. A test fails after an answer outside SageMaker's shapes.
    """
    options = getattr(request, "param", None) or Options()
    with StandIn(options) as stand_in:
        yield stand_in
        assert stand_in.drift() == []
