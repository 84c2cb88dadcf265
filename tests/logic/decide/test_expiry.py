"""Time to live of finished objects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.logic.decide.situations import ENDED, NOW, RUNS, condition, own, view_of
from trainingjob_operator.logic.decide.expiry import describe_undeleted, expires_in
from trainingjob_operator.logic.decide.phases import decide
from trainingjob_operator.logic.objects.annotations import TTL
from trainingjob_operator.logic.state.memory import Undeleted
from trainingjob_operator.logic.state.steps import DeleteObject

FINISHED = {**condition("Finished", "Completed"), "lastTransitionTime": "2026-11-21T11:59:00Z"}
"""Transition one minute before WALL."""


def situation(ttl: str | None, *conditions: dict[str, Any], undeleted: Undeleted | None = None, **members: Any) -> Any:
    members.setdefault("status", own(ENDED, conditions=list(conditions)))
    view = view_of({"annotations": {} if ttl is None else {TTL: ttl}, **members}, {}, {}, {})
    return replace(view, memory=replace(view.memory, undeleted=undeleted))


@pytest.mark.parametrize(
    ("view", "seconds"),
    [
        (situation(None, FINISHED), None),
        (situation("60", FINISHED), 0.0),
        (situation("59", FINISHED), 0.0),
        (situation("100", FINISHED), 40.0),
        (situation("60"), 60.0),
        (situation("0"), 1.0),
        (situation("0", {**FINISHED, "lastTransitionTime": "soon"}), 1.0),
        (situation("0", {**FINISHED, "status": "False"}), 1.0),
        (situation("0", FINISHED, deleting=True), None),
        (situation("0", FINISHED, status=own(RUNS, conditions=[FINISHED])), None),
        (situation("0", FINISHED, undeleted=Undeleted("No.", NOW + 30.0)), 30.0),
        (situation("0", FINISHED, undeleted=Undeleted("No.", NOW - 1.0)), 0.0),
    ],
)
def test_time_to_live_counts_from_the_condition_finished(view: Any, seconds: float | None) -> None:
    assert expires_in(view) == seconds
    assert isinstance(decide(view), DeleteObject) == (seconds == 0.0)


def test_a_rejected_deletion_is_an_advisory() -> None:
    assert describe_undeleted(situation("0", FINISHED)) is None
    finding = describe_undeleted(situation("0", FINISHED, undeleted=Undeleted("Forbidden.", NOW)))
    assert finding is not None
    assert "Forbidden. Grant the operator the verb delete" in finding.message
