"""Advisories about jobs."""

from __future__ import annotations

from tests.logic.decide.situations import DELETED, NOW, view_of
from trainingjob_operator.logic.decide.phases import decide
from trainingjob_operator.logic.objects.annotations import DELETION_POLICY
from trainingjob_operator.logic.state.steps import WriteStatus


def test_advisory_of_a_stuck_stop_names_the_deletion_policy() -> None:
    step = decide(view_of(DELETED, {"stop_sent_at": NOW - 900, "stopping_since": NOW - 900}, {}, {}))
    assert isinstance(step, WriteStatus)
    assert f"{DELETION_POLICY}: retain" in step.advisories[0].message
