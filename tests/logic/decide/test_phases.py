"""Passive objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.logic.builders import WANTED
from tests.logic.decide.situations import EDITED, ENDED, NOW, PROVEN, condition, of, own, says, shown, when
from trainingjob_operator.logic.decide.phases import decide
from trainingjob_operator.logic.state.memory import ACK_MANAGER
from trainingjob_operator.logic.state.steps import (
    Describe,
    JoinQueue,
    RemoveFinalizer,
    Requeue,
    Step,
    Stop,
)

if TYPE_CHECKING:
    from trainingjob_operator.logic.state.view import View

PASSIVITY = [
    when(
        "another controller writes the object: report it once, and leave the object alone",
        says(advisories=("Passive",), passive=True, again=50.0, unfinished=True),
        known={"passive_until": NOW + 50, "foreign_writer": "dashboard"},
    ),
    when(
        "what is reported of an edit is kept meanwhile",
        says(advisories=("Passive", "EditPending"), passive=True, again=50.0, unfinished=True),
        {**EDITED, "status": own(conditions=[condition("ACK.Advisory", "EditPending")])},
        {"passive_until": NOW + 50, "foreign_writer": ACK_MANAGER},
    ),
    when("it was reported", Requeue(50.0), known={"passive_until": NOW + 50, "passive_shown": True}),
    when("the other one has been quiet for long enough", JoinQueue(WANTED), known={"passive_until": NOW}),
    when(
        "the operator was told to act all the same",
        JoinQueue(WANTED),
        known={"passive_until": NOW + 50},
        overrides_passive=True,
    ),
    when(
        "a job whose object is deleted is stopped all the same",
        Stop(WANTED),
        {"held": True, "deleting": True, "status": own()},
        {"passive_until": NOW + 50, "passive_shown": True, **PROVEN},
    ),
    when(
        "an object that was told to retain its job goes all the same",
        RemoveFinalizer(),
        {"held": True, "deleting": True, "status": own(), "annotations": of(deletion="retain")},
        {"passive_until": NOW + 50},
    ),
    when(
        "what another field manager has written of the job is not believed",
        Describe(WANTED),
        {"held": True, "deleting": True, "status": own(ENDED)},
        {"disputed": True, "needs_describe": True},
    ),
]


@pytest.mark.parametrize(("view", "step"), PASSIVITY)
def test_in_this_situation_comes_that_step(view: View, step: Step | dict[str, Any]) -> None:
    assert shown(decide(view)) == step
