"""Refusals, of this process and of the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.logic.builders import ARN, WANTED
from tests.logic.decide.situations import (
    ARN_ELSEWHERE,
    FOUND_ABSENT,
    MARKED,
    NOW,
    REFUSED,
    condition,
    says,
    shown,
    trouble,
    when,
)
from trainingjob_operator.logic.decide.phases import decide
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.operations import DESCRIBE
from trainingjob_operator.logic.state.steps import (
    ClearIntent,
    Describe,
    Idle,
    JoinQueue,
    Step,
)

if TYPE_CHECKING:
    from trainingjob_operator.logic.state.view import View

TAKEN: dict[str, Any] = {"clashingJobARN": ARN, "conditions": [condition("ACK.Terminal", "NameClash")]}

REFUSALS = [
    when(
        "a refused spec is not sent again",
        says(terminal="Refused", disowned=True),
        known={"refused": (1, REFUSED, None)},
    ),
    when(
        "one that may heal is, later",
        says(terminal="Refused", disowned=True, again=60.0),
        known={"refused": (1, REFUSED, NOW + 60)},
    ),
    when("its time has come", JoinQueue(WANTED), known={"refused": (1, REFUSED, NOW)}),
    when("it was edited", JoinQueue(WANTED), {"generation": 2}, {"refused": (1, REFUSED, None)}),
    when(
        "a refused object is let go, so that it can be deleted at any time",
        ClearIntent(REFUSED),
        MARKED,
        {"refused": (1, REFUSED, NOW + 60), "attempted_at": NOW - 1},
    ),
    when(
        "refused in an earlier life of the process",
        Idle(Finding("Refused", "Words.")),
        {"status": {"observedGeneration": 1, "conditions": [condition("ACK.Terminal", "Refused")]}},
    ),
    when(
        "the name was taken in an earlier life of the process",
        says(terminal="NameClash", disowned=True),
        {"status": {"observedGeneration": 1, **TAKEN}},
    ),
    when(
        "so, and it was edited since",
        JoinQueue(WANTED),
        {"generation": 2, "status": {"observedGeneration": 1, **TAKEN}},
    ),
    when(
        "a CRD that prunes the job's ARN: whose is it?",
        Describe(WANTED),
        {"status": {"conditions": TAKEN["conditions"]}},
    ),
    when(
        "it stays until Describe answers",
        says(terminal="NameClash", disowned=True, again=10.0),
        {"status": {"conditions": TAKEN["conditions"]}},
        {"troubles": trouble(DESCRIBE, ErrorClass.THROTTLED)},
    ),
    when(
        "nobody's any more",
        JoinQueue(WANTED),
        {"status": {"conditions": TAKEN["conditions"]}},
        FOUND_ABSENT,
    ),
    when(
        "a refused spec under such a CRD may have been edited meanwhile",
        JoinQueue(WANTED),
        {"status": {"conditions": [condition("ACK.Terminal", "Refused")]}},
    ),
    when(
        "the name was taken in another region, which an annotation has left meanwhile",
        JoinQueue(WANTED),
        {"status": {"observedGeneration": 1, **TAKEN, "clashingJobARN": ARN_ELSEWHERE}},
    ),
    when(
        "refused in an earlier life, and edited since",
        JoinQueue(WANTED),
        {"generation": 2, "status": {"observedGeneration": 1, "conditions": [condition("ACK.Terminal", "Refused")]}},
    ),
    when(
        "refused in an earlier life, and somebody asks",
        JoinQueue(WANTED),
        {"status": {"observedGeneration": 1, "conditions": [condition("ACK.Terminal", "Refused")]}},
        {"asked": True},
    ),
]


@pytest.mark.parametrize(("view", "step"), REFUSALS)
def test_in_this_situation_comes_that_step(view: View, step: Step | dict[str, Any]) -> None:
    assert shown(decide(view)) == step
