"""Objects without a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.logic.builders import ARN, WANTED
from tests.logic.decide.situations import (
    AWAITS,
    BAD_SPEC,
    FOUND_ABSENT,
    MARKED,
    NAMELESS,
    NO_ACCESS,
    NO_NAME,
    NO_NAMESPACE,
    NOW,
    NOWHERE,
    RIVAL,
    look_at,
    says,
    shown,
    trouble,
    when,
)
from trainingjob_operator.logic.decide.phases import decide
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.naming import JOB_ARN
from trainingjob_operator.logic.objects.annotations import (
    ALLOWED_ROLES,
)
from trainingjob_operator.logic.operations import CREATE
from trainingjob_operator.logic.state.steps import (
    ClearIntent,
    Create,
    Describe,
    JoinQueue,
    RecordIntent,
    Step,
    WriteStatus,
)

if TYPE_CHECKING:
    from trainingjob_operator.logic.state.view import View

BIRTH = [
    when("a new object stands in line", JoinQueue(WANTED)),
    when("its turn has come: mark it before anything is sent", RecordIntent(WANTED), own_turn=True),
    when("a mark without the finalizer is none", RecordIntent(WANTED), {"pending": WANTED}, own_turn=True),
    when("a finalizer without the mark is none", RecordIntent(WANTED), {"held": True}, own_turn=True),
    when("it is marked", Create(WANTED), MARKED, own_turn=True),
    when(
        "a mark of an earlier life of the process stands in line like all",
        JoinQueue(WANTED),
        MARKED,
        {"unsettled": True},
    ),
    when("an unusable annotation", says(terminal="InvalidAnnotation", disowned=True), NOWHERE),
    when(
        "an unusable annotation on a marked object that was refused: let go first",
        ClearIntent(Finding("InvalidAnnotation", look_at(NOWHERE, {}, {}, {}).policy.problems[0].message)),
        {**MARKED, **NOWHERE},
        {"attempted_at": NOW - 1},
    ),
    when(
        "an unusable annotation while an attempt is open: settle it first",
        Describe(WANTED),
        {**MARKED, **NOWHERE},
        {"unsettled": True},
    ),
    when("no name", says(terminal="InvalidSpec", disowned=True), {"spec": NAMELESS, "name": "a.b"}),
    when(
        "no name, and a finalizer",
        ClearIntent(Finding("InvalidSpec", NO_NAME)),
        {"spec": NAMELESS, "name": "a.b", "held": True},
    ),
    when("no way to the account", says(hindrance="RoleUnavailable", again=30.0), no_access=NO_ACCESS),
    when("a namespace that may not be read", AWAITS, namespace_unread=NO_NAMESPACE),
    when("a spec that makes no request", says(terminal="InvalidSpec", disowned=True), request_problem=BAD_SPEC),
    when(
        "a role that the namespace does not allow",
        says(terminal="RoleNotAllowed", disowned=True),
        namespace={ALLOWED_ROLES: "arn:aws:iam::123456789012:role/other"},
    ),
    when("a job that another object has proof of", says(terminal="NameClash", disowned=True), rival=RIVAL),
]

CREATE_FAILS = [
    when(
        "what usually passes is waited out in silence",
        says(again=10.0),
        MARKED,
        {"tried": 1, "troubles": trouble(CREATE, ErrorClass.THROTTLED)},
    ),
    when(
        "what lasts is told",
        says(hindrance="Throttled", again=10.0),
        MARKED,
        {"tried": 1, "troubles": trouble(CREATE, ErrorClass.THROTTLED, lasts=60.0)},
    ),
    when(
        "its time has come",
        Create(WANTED),
        MARKED,
        {"tried": 1, "troubles": trouble(CREATE, ErrorClass.THROTTLED, again=0.0)},
        own_turn=True,
    ),
    when(
        "what the spec before the edit met is no reason to wait",
        JoinQueue(WANTED),
        {"generation": 2},
        {"tried": 1, "troubles": trouble(CREATE, ErrorClass.DENIED)},
    ),
    when(
        "a denied object is let go, so that it can be deleted at any time",
        ClearIntent(),
        MARKED,
        {"tried": 1, "attempted_at": NOW - 1, "troubles": trouble(CREATE, ErrorClass.DENIED)},
    ),
    when(
        "a denied object that holds nothing says who must act",
        says(hindrance="AccessDenied", again=10.0),
        known={"tried": 1, "attempted_at": NOW - 1, "troubles": trouble(CREATE, ErrorClass.DENIED)},
    ),
    when(
        "an object that waits for capacity is let go too",
        ClearIntent(),
        MARKED,
        {"tried": 1, "attempted_at": NOW - 1, "troubles": trouble(CREATE, ErrorClass.WAITING)},
    ),
    when(
        "a probe for capacity goes when its turn comes, not when the clock says so",
        Create(WANTED),
        MARKED,
        {"tried": 1, "attempted_at": NOW - 1, "troubles": trouble(CREATE, ErrorClass.WAITING)},
        own_turn=True,
    ),
]


@pytest.mark.parametrize(("view", "step"), [*BIRTH, *CREATE_FAILS])
def test_in_this_situation_comes_that_step(view: View, step: Step | dict[str, Any]) -> None:
    assert shown(decide(view)) == step


def test_a_job_that_the_annotation_records_and_that_is_gone_is_not_created_again() -> None:
    step = decide(look_at({"annotations": {JOB_ARN: ARN}}, {**FOUND_ABSENT, "not_found_since": NOW - 600}, {}, {}))
    assert isinstance(step, WriteStatus)
    assert step.terminal is not None
    assert step.terminal.reason == "JobNotFound"
    for words in (JOB_ARN, str(WANTED), "remove the annotation"):
        assert words in step.terminal.message
