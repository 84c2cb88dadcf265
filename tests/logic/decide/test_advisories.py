"""Advisories about jobs."""

from __future__ import annotations

from tests.logic.decide.situations import DELETED, NOW, look_at
from trainingjob_operator.logic.decide.phases import decide
from trainingjob_operator.logic.objects.annotations import (
    DELETION_POLICY,
)
from trainingjob_operator.logic.state.steps import (
    WriteStatus,
)


def test_a_job_that_does_not_stop_says_how_to_let_the_object_go() -> None:
    step = decide(look_at(DELETED, {"stop_sent_at": NOW - 900, "stopping_since": NOW - 900}, {}, {}))
    assert isinstance(step, WriteStatus)
    assert f"{DELETION_POLICY}: retain" in step.advisories[0].message
