"""Jobs after their end."""

from __future__ import annotations

from tests.logic.builders import SPEC, WANTED
from tests.logic.decide.situations import (
    FRESH,
    NO_ACCESS,
    NOW,
    RULED,
    SPOT,
    STALE,
    TO_SHOW,
    decides,
    job,
    own,
    reports,
    trouble,
    when,
)
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.operations import DESCRIBE
from trainingjob_operator.logic.state.steps import Describe

AFTERMATH = [
    *(
        when(
            f"edit of the keep-alive period, {sentence}",
            step,
            {
                "generation": 2,
                "spec": {**SPEC, "resourceConfig": {**SPEC["resourceConfig"], "keepAlivePeriodInSeconds": 0}},
                "status": own(job("Completed", trainingEndTime=end)),
            },
            {"compared_generation": 2, "tags_generation": 2, "described_at": NOW - 1, "plan": TO_SHOW},
        )
        for sentence, end, step in (
            (
                "recent end: pending while the warm pool may exist",
                "2026-11-21T11:59:00Z",
                reports(pending_edit="EditPending", again=30.0),
            ),
            (
                "old end without a warm pool: not possible",
                "2026-11-21T11:40:00Z",
                reports(advisories=("EditNotPossible",)),
            ),
        )
    ),
    *(
        when(
            f"ended job {sentence}",
            step,
            {
                "spec": spec,
                "status": own(job("Completed", profilingStatus="Disabled", lastModifiedTime=changed, **members)),
            },
            {"ended_at": NOW - since, "described_at": NOW - described},
            no_access=access,
        )
        for sentence, spec, changed, members, since, described, step, access in (
            ("with spot", SPOT, FRESH, {}, 40, 40, reports(again=20.0), None),
            ("with spot a minute ago", SPOT, FRESH, {}, 60, 60, Describe(WANTED), None),
            ("with spot, described after that", SPOT, FRESH, {}, 70, 10, reports(), None),
            ("with spot long ago", SPOT, STALE, {}, 60, 60, reports(), None),
            ("with spot and an invalid time", SPOT, "soon", {}, 60, 60, reports(), None),
            ("with spot and no access", SPOT, FRESH, {}, 60, 60, reports(), NO_ACCESS),
            ("with rules", SPEC, FRESH, {"debugRuleEvaluationStatuses": RULED}, 60, 60, Describe(WANTED), None),
            (
                "with a later end of a rule",
                SPEC,
                STALE,
                {"profilerRuleEvaluationStatuses": [{**RULED[0], "lastModifiedTime": FRESH}]},
                60,
                60,
                Describe(WANTED),
                None,
            ),
            ("without spot and rules", SPEC, FRESH, {}, 60, 60, reports(), None),
        )
    ),
    when(
        "ended job with spot, Describe is throttled",
        reports(again=10.0),
        {"spec": SPOT, "status": own(job("Completed", profilingStatus="Disabled", lastModifiedTime=FRESH))},
        {"ended_at": NOW - 60, "described_at": NOW - 60, "troubles": trouble(DESCRIBE, ErrorClass.THROTTLED)},
    ),
]


test_situation_leads_to_step = decides(AFTERMATH)
