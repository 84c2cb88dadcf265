"""Evaluation of ordered rules."""

from collections.abc import Callable, Iterable

from trainingjob_operator.logic.naming import Identity
from trainingjob_operator.logic.state.steps import Step
from trainingjob_operator.logic.state.view import View

Rule = Callable[[View], Step | None]
JobRule = Callable[[View, Identity], Step | None]
"""A rule about the job with that identity."""


def first(steps: Iterable[Step | None]) -> Step | None:
    """Return the first step; rules after it are not evaluated."""
    return next((step for step in steps if step is not None), None)
