"""Jobs after their end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.logic.builders import SPEC, WANTED
from tests.logic.decide.situations import (
    FRESH,
    NO_ACCESS,
    NOW,
    RULED,
    SPOT,
    STALE,
    TO_SHOW,
    job,
    own,
    says,
    shown,
    trouble,
    when,
)
from trainingjob_operator.logic.decide.phases import decide
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.operations import DESCRIBE
from trainingjob_operator.logic.state.steps import (
    Describe,
    Step,
)

if TYPE_CHECKING:
    from trainingjob_operator.logic.state.view import View

AFTERMATH = [
    *(
        when(
            f"an edit of the keep-alive waits for the pool, {sentence}",
            step,
            {
                "generation": 2,
                "spec": {**SPEC, "resourceConfig": {**SPEC["resourceConfig"], "keepAlivePeriodInSeconds": 0}},
                "status": own(job("Completed", trainingEndTime=end)),
            },
            {"compared_generation": 2, "tags_generation": 2, "described_at": NOW - 1, "plan": TO_SHOW},
        )
        for sentence, end, step in (
            ("which the job still keeps", "2026-11-21T11:59:00Z", says(pending_edit="EditPending", again=30.0)),
            ("which never showed", "2026-11-21T11:40:00Z", says(advisories=("EditNotPossible",))),
        )
    ),
    *(
        when(
            f"after an end {sentence}",
            step,
            {
                "spec": spec,
                "status": own(job("Completed", profilingStatus="Disabled", lastModifiedTime=changed, **told)),
            },
            {"ended_at": NOW - since, "described_at": NOW - looked},
            no_access=access,
        )
        for sentence, spec, changed, told, since, looked, step, access in (
            ("with spot", SPOT, FRESH, {}, 40, 40, says(again=20.0), None),
            ("with spot a minute ago", SPOT, FRESH, {}, 60, 60, Describe(WANTED), None),
            ("with spot, described since", SPOT, FRESH, {}, 70, 10, says(), None),
            ("with spot long ago", SPOT, STALE, {}, 60, 60, says(), None),
            ("with spot and no time", SPOT, "soon", {}, 60, 60, says(), None),
            ("with spot and no access", SPOT, FRESH, {}, 60, 60, says(), NO_ACCESS),
            ("with rules", SPEC, FRESH, {"debugRuleEvaluationStatuses": RULED}, 60, 60, Describe(WANTED), None),
            (
                "with a rule that ended later",
                SPEC,
                STALE,
                {"profilerRuleEvaluationStatuses": [{**RULED[0], "lastModifiedTime": FRESH}]},
                60,
                60,
                Describe(WANTED),
                None,
            ),
            ("without either", SPEC, FRESH, {}, 60, 60, says(), None),
        )
    ),
    when(
        "after an end with spot, while Describe is throttled",
        says(again=10.0),
        {"spec": SPOT, "status": own(job("Completed", profilingStatus="Disabled", lastModifiedTime=FRESH))},
        {"ended_at": NOW - 60, "described_at": NOW - 60, "troubles": trouble(DESCRIBE, ErrorClass.THROTTLED)},
    ),
]


@pytest.mark.parametrize(("view", "step"), AFTERMATH)
def test_in_this_situation_comes_that_step(view: View, step: Step | dict[str, Any]) -> None:
    assert shown(decide(view)) == step
