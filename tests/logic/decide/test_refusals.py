"""Refusals, of this process and of the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.logic.decide.situations import ARN_ELSEWHERE, MARKED, NOW, REFUSED, condition, says, shown, when
from tests.logic.objects import ARN, WANTED
from trainingjob_operator.logic.decide.phases import decide
from trainingjob_operator.logic.report import Finding
from trainingjob_operator.logic.steps import (
    ClearIntent,
    Idle,
    JoinQueue,
    Step,
)

if TYPE_CHECKING:
    from trainingjob_operator.logic.view import View

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
        {"status": {"observedGeneration": 1, "conditions": [condition("ACK.Terminal", "NameClash", f"{ARN} exists.")]}},
    ),
    when(
        "so under a CRD that does not keep the generation",
        says(terminal="NameClash", disowned=True),
        {"status": {"conditions": [condition("ACK.Terminal", "NameClash", f"{ARN} exists.")]}},
    ),
    when(
        "there too, an edit may have healed it",
        JoinQueue(WANTED),
        {"generation": 2, "status": {"conditions": [condition("ACK.Terminal", "NameClash", f"{ARN} exists.")]}},
        {"decided_generation": 1},
    ),
    when(
        "a refused spec under such a CRD may have been edited meanwhile",
        JoinQueue(WANTED),
        {"status": {"conditions": [condition("ACK.Terminal", "Refused")]}},
    ),
    when(
        "the name was taken in another region, which an annotation has left meanwhile",
        JoinQueue(WANTED),
        {
            "status": {
                "observedGeneration": 1,
                "conditions": [condition("ACK.Terminal", "NameClash", f"{ARN_ELSEWHERE} exists.")],
            }
        },
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
