"""Back-off: the first pause, its growth, its limit."""

from __future__ import annotations

import pytest

from trainingjob_operator.logic.backoff import Backoff


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0.5), (1, 0.5), (2, 1.0), (3, 2.0), (7, 30.0), (8, 30.0), (10**9, 30.0)]
)
def test_the_pause_doubles_up_to_the_limit(failures: int, seconds: float) -> None:
    assert Backoff(0.5, 30.0).after(failures) == seconds


def test_a_limit_below_the_first_pause_holds() -> None:
    assert Backoff(5.0, 2.0).after(1) == 2.0
