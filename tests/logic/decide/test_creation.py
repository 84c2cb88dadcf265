"""Objects without a job."""

from __future__ import annotations

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
    decides,
    reports,
    trouble,
    view_of,
    when,
)
from trainingjob_operator.logic.decide.phases import decide
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.naming import JOB_ARN
from trainingjob_operator.logic.objects.annotations import ALLOWED_ROLES
from trainingjob_operator.logic.operations import CREATE
from trainingjob_operator.logic.state.steps import ClearIntent, Create, Describe, JoinQueue, RecordIntent, WriteStatus

NEW_OBJECTS = [
    when("new object: join the create queue", JoinQueue(WANTED)),
    when("own turn: record the intent before Create", RecordIntent(WANTED), own_turn=True),
    when("intent without finalizer: record it again", RecordIntent(WANTED), {"pending": WANTED}, own_turn=True),
    when("finalizer without intent: record it", RecordIntent(WANTED), {"held": True}, own_turn=True),
    when("own turn and recorded intent: Create", Create(WANTED), MARKED, own_turn=True),
    when(
        "intent of an earlier process: join the create queue",
        JoinQueue(WANTED),
        MARKED,
        {"unsettled": True},
    ),
    when("invalid annotation", reports(terminal="InvalidAnnotation", disowned=True), NOWHERE),
    when(
        "invalid annotation after a refused Create: clear the intent",
        ClearIntent(Finding("InvalidAnnotation", view_of(NOWHERE, {}, {}, {}).policy.problems[0].message)),
        {**MARKED, **NOWHERE},
        {"attempted_at": NOW - 1},
    ),
    when(
        "invalid annotation during an open attempt: Describe first",
        Describe(WANTED),
        {**MARKED, **NOWHERE},
        {"unsettled": True},
    ),
    when("no valid job name", reports(terminal="InvalidSpec", disowned=True), {"spec": NAMELESS, "name": "a.b"}),
    when(
        "no valid job name, and a finalizer: clear the intent",
        ClearIntent(Finding("InvalidSpec", NO_NAME)),
        {"spec": NAMELESS, "name": "a.b", "held": True},
    ),
    when("no access to the account", reports(hindrance="RoleUnavailable", again=30.0), no_access=NO_ACCESS),
    when("unreadable namespace", AWAITS, namespace_unread=NO_NAMESPACE),
    when("spec without a valid request", reports(terminal="InvalidSpec", disowned=True), request_problem=BAD_SPEC),
    when(
        "role outside the list of the namespace",
        reports(terminal="RoleNotAllowed", disowned=True),
        namespace={ALLOWED_ROLES: "arn:aws:iam::123456789012:role/other"},
    ),
    when("another object has proof of ownership", reports(terminal="NameClash", disowned=True), rival=RIVAL),
]

CREATE_FAILS = [
    when(
        "throttled: retry without a report",
        reports(again=10.0),
        MARKED,
        {"tried": 1, "troubles": trouble(CREATE, ErrorClass.THROTTLED)},
    ),
    when(
        "throttled for a minute: report",
        reports(hindrance="Throttled", again=10.0),
        MARKED,
        {"tried": 1, "troubles": trouble(CREATE, ErrorClass.THROTTLED, lasts=60.0)},
    ),
    when(
        "throttled, back-off has passed: Create",
        Create(WANTED),
        MARKED,
        {"tried": 1, "troubles": trouble(CREATE, ErrorClass.THROTTLED, again=0.0)},
        own_turn=True,
    ),
    when(
        "denied before an edit: join the create queue",
        JoinQueue(WANTED),
        {"generation": 2},
        {"tried": 1, "troubles": trouble(CREATE, ErrorClass.DENIED)},
    ),
    when(
        "denied with intent: clear the intent, so that deletion needs no operator",
        ClearIntent(),
        MARKED,
        {"tried": 1, "attempted_at": NOW - 1, "troubles": trouble(CREATE, ErrorClass.DENIED)},
    ),
    when(
        "denied without intent: report",
        reports(hindrance="AccessDenied", again=10.0),
        known={"tried": 1, "attempted_at": NOW - 1, "troubles": trouble(CREATE, ErrorClass.DENIED)},
    ),
    when(
        "waiting for capacity with intent: clear the intent",
        ClearIntent(),
        MARKED,
        {"tried": 1, "attempted_at": NOW - 1, "troubles": trouble(CREATE, ErrorClass.WAITING)},
    ),
    when(
        "waiting for capacity, own turn: Create before the back-off has passed",
        Create(WANTED),
        MARKED,
        {"tried": 1, "attempted_at": NOW - 1, "troubles": trouble(CREATE, ErrorClass.WAITING)},
        own_turn=True,
    ),
]


test_situation_leads_to_step = decides(NEW_OBJECTS, CREATE_FAILS)


def test_a_missing_job_recorded_in_the_annotation_is_not_created_again() -> None:
    step = decide(view_of({"annotations": {JOB_ARN: ARN}}, {**FOUND_ABSENT, "not_found_since": NOW - 600}, {}, {}))
    assert isinstance(step, WriteStatus)
    assert step.terminal is not None
    assert step.terminal.reason == "JobNotFound"
    for words in (JOB_ARN, str(WANTED), "remove the annotation"):
        assert words in step.terminal.message
