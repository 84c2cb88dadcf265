from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given

from tests.logic.answers import NOW, observed, report, rule
from tests.logic.nonsense import nonsense
from tests.logic.verdicts import Health, Progress, is_reached, judge_as_argo_cd, judge_as_kstatus
from trainingjob_operator.logic.findings import Finding, Hindrance
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.objects.role_selectors import RoleSelection
from trainingjob_operator.logic.status.conditions import (
    MAX_MESSAGE,
    STOP_CAUSES,
    TYPES,
    build_conditions,
    read_conditions,
    recorded_vanishing,
)

if TYPE_CHECKING:
    from trainingjob_operator.logic.status.report import Report

QUOTA = Hindrance("ResourceLimitExceeded", "ResourceLimitExceeded: quota is 0. Second of 3 in line.", waiting=True)
DENIED = Hindrance("AccessDenied", "arn:aws:iam::1:role/op may not call sagemaker:DescribeTrainingJob.")
REFUSED = Finding("Refused", "1 validation error detected: roleArn")
GONE = Finding("JobNotFound", "The job is gone.")
EDIT = Finding("EditNotPossible", "spec.roleARN cannot be changed.")
ANNOTATION = Finding("InvalidAnnotation", "deletion-policy must be delete or retain.")
EARLY = Finding("EditPending", "keepAlivePeriodInSeconds waits for the end of the job.")
NO_JOB: dict[str, Any] = {"arn": None, "job_name": None}
IN_PROGRESS = "TrainingJob is in InProgress status."


@dataclass(frozen=True)
class Row:
    """One situation: the report, the expected conditions, and the health for other tools."""

    situation: str
    report: Report
    held: dict[str, str]
    argo: Health
    kstatus: Progress
    words: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Reason and message by condition."""


RUNNING = {"ACK.ResourceSynced": "False", "Ready": "False"}
COMPLETED = {
    "ACK.ResourceSynced": "True",
    "Ready": "True",
    "Complete": "True",
    "Finished": "True",
    "Settled": "True",
}
GIVEN_UP = {
    "ACK.Terminal": "True",
    "ACK.ResourceSynced": "False",
    "Ready": "False",
    "Stalled": "True",
    "Settled": "True",
}
FAILED = GIVEN_UP | {"ACK.ResourceSynced": "True", "Failed": "True", "Finished": "True"}
VANISHED = FAILED | {"ACK.ResourceSynced": "False"}
RULES = [rule("NoIssuesFound"), rule("InProgress")]

TABLE = [
    Row(
        "first reconcile",
        report(**NO_JOB),
        RUNNING,
        "Progressing",
        "InProgress",
        {"Ready": ("Pending", "The training job has not been created yet.")},
    ),
    Row(
        "waiting for its turn",
        report(waiting=Finding("Waiting", "Waiting for its turn: 3 of 40."), **NO_JOB),
        RUNNING,
        "Progressing",
        "InProgress",
        dict.fromkeys(RUNNING, ("Waiting", "Waiting for its turn: 3 of 40.")),
    ),
    Row(
        "waiting for quota",
        report(hindrance=QUOTA, **NO_JOB),
        {"ACK.Recoverable": "True"} | RUNNING,
        "Progressing",
        "InProgress",
        {"ACK.Recoverable": ("ResourceLimitExceeded", QUOTA.message), "Ready": ("Waiting", QUOTA.message)},
    ),
    Row(
        "waiting for quota, with its position in the queue",
        report(hindrance=QUOTA, waiting=Finding("Waiting", "2 of 3."), **NO_JOB),
        {"ACK.Recoverable": "True"} | RUNNING,
        "Progressing",
        "InProgress",
        {"ACK.Recoverable": ("ResourceLimitExceeded", QUOTA.message), "Ready": ("Waiting", "2 of 3.")},
    ),
    Row(
        "created and not described yet",
        report(),
        RUNNING,
        "Progressing",
        "InProgress",
        {"Ready": ("Created", "SageMaker accepted the training job; its status has not been read yet.")},
    ),
    *(
        Row(
            f"in progress: {secondary}",
            report(observed("InProgress", secondary)),
            RUNNING,
            "Progressing",
            "InProgress",
            dict.fromkeys(RUNNING, (secondary, IN_PROGRESS)),
        )
        for secondary in ("Starting", "Pending", "Downloading", "Training", "Interrupted", "Restarting", "Updating")
    ),
    *(
        Row(
            status.lower(),
            report(observed(status, secondary)),
            RUNNING,
            "Progressing",
            "InProgress",
            dict.fromkeys(RUNNING, (reason, f"TrainingJob is in {status} status.")),
        )
        for status, secondary, reason in [
            ("Stopping", "Stopping", "Stopping"),
            ("Deleting", "", "Deleting"),
            ("Hibernating", "2nd deep-sleep", "nddeepsleep"),
            ("InProgress", "x" * 200, "x" * 128),
            ("InProgress", "-- 42 --", "Unknown"),
        ]
    ),
    Row(
        "completed",
        report(observed("Completed", "Completed")),
        COMPLETED,
        "Healthy",
        "Current",
        dict.fromkeys(COMPLETED, ("Completed", "TrainingJob is in Completed status.")),
    ),
    Row(
        "completed, a debug rule still running",
        report(observed("Completed", "Completed", DebugRuleEvaluationStatuses=RULES)),
        COMPLETED | {"ACK.ResourceSynced": "False"},
        "Healthy",
        "Current",
        {"ACK.ResourceSynced": ("RulesRunning", "DebugRule is in InProgress status.")},
    ),
    Row(
        "failed, a profiler rule still running",
        report(
            observed(
                "Failed",
                "Failed",
                ProfilingStatus="Enabled",
                ProfilerRuleEvaluationStatuses=[rule("Stopping")],
            )
        ),
        FAILED | {"ACK.ResourceSynced": "False"},
        "Degraded",
        "Failed",
        {"ACK.ResourceSynced": ("RulesRunning", "ProfilerRule is in Stopping status.")},
    ),
    Row(
        "in progress, with a running rule",
        report(observed(DebugRuleEvaluationStatuses=RULES)),
        RUNNING,
        "Progressing",
        "InProgress",
        {"ACK.ResourceSynced": ("Training", IN_PROGRESS)},
    ),
    Row(
        "failed",
        report(observed("Failed", "Failed", FailureReason="AlgorithmError: exit code 1")),
        FAILED,
        "Degraded",
        "Failed",
        dict.fromkeys(FAILED.keys() - {"ACK.ResourceSynced"}, ("JobFailed", "AlgorithmError: exit code 1"))
        | {"ACK.ResourceSynced": ("JobFailed", "TrainingJob is in Failed status.")},
    ),
    Row(
        "failed, without a reason",
        report(observed("Failed", "Failed", FailureReason="")),
        FAILED,
        "Degraded",
        "Failed",
        {"ACK.Terminal": ("JobFailed", "TrainingJob is in Failed status.")},
    ),
    *(
        Row(
            f"stopped: {secondary}",
            report(observed("Stopped", secondary)),
            FAILED,
            "Degraded",
            "Failed",
            dict.fromkeys(FAILED.keys() - {"ACK.ResourceSynced"}, (reason, STOP_CAUSES[reason]))
            | {"ACK.ResourceSynced": (reason, "TrainingJob is in Stopped status.")},
        )
        for secondary, reason in [
            ("Stopped", "Stopped"),
            ("MaxRuntimeExceeded", "MaxRuntimeExceeded"),
            ("MaxWaitTimeExceeded", "MaxWaitTimeExceeded"),
            ("", "Stopped"),
            ("Evicted", "Stopped"),
        ]
    ),
    Row(
        "stopped, with SageMaker's reason",
        report(observed("Stopped", "MaxWaitTimeExceeded", FailureReason="No spot capacity.")),
        FAILED,
        "Degraded",
        "Failed",
        {"Ready": ("MaxWaitTimeExceeded", "No spot capacity.")},
    ),
    Row(
        "refused",
        report(terminal=REFUSED, **NO_JOB),
        GIVEN_UP,
        "Degraded",
        "Failed",
        dict.fromkeys(GIVEN_UP, (REFUSED.reason, REFUSED.message)),
    ),
    Row(
        "read-only, and no longer found",
        report(observed(), terminal=Finding("JobNotFound", "There is no such job.")),
        GIVEN_UP,
        "Degraded",
        "Failed",
    ),
    Row(
        "vanished before it ended",
        report(observed(), vanished=GONE),
        VANISHED,
        "Degraded",
        "Failed",
        dict.fromkeys(VANISHED, ("JobNotFound", GONE.message)),
    ),
    Row("vanished after its end", report(observed("Completed"), vanished=GONE), COMPLETED, "Healthy", "Current"),
    Row(
        "running, with an impossible edit",
        report(observed(), advisories=(EDIT,)),
        {"ACK.Advisory": "True"} | RUNNING,
        "Progressing",
        "InProgress",
        {"ACK.Advisory": (EDIT.reason, EDIT.message), "ACK.ResourceSynced": ("Training", IN_PROGRESS)},
    ),
    Row(
        "completed, with two advisories",
        report(observed("Completed"), advisories=(EDIT, ANNOTATION)),
        {"ACK.Advisory": "True"} | COMPLETED,
        "Healthy",
        "Current",
        {"ACK.Advisory": (EDIT.reason, f"{EDIT.message} {ANNOTATION.message}")},
    ),
    Row(
        "failed, then refused",
        report(observed("Failed", "Failed"), terminal=REFUSED),
        {"ACK.Terminal": "True", "ACK.Advisory": "True"} | FAILED,
        "Degraded",
        "Failed",
        {
            "ACK.Terminal": ("JobFailed", "TrainingJob is in Failed status."),
            "ACK.Advisory": (REFUSED.reason, REFUSED.message),
        },
    ),
    Row(
        "a valid edit waits for its phase",
        report(observed(), pending_edit=EARLY),
        {"ACK.Advisory": "True"} | RUNNING,
        "Progressing",
        "InProgress",
        dict.fromkeys(("ACK.Advisory", "ACK.ResourceSynced"), (EARLY.reason, EARLY.message))
        | {"Ready": ("Training", IN_PROGRESS)},
    ),
    Row(
        "a valid edit waits although the job has completed",
        report(observed("Completed"), pending_edit=EARLY),
        {"ACK.Advisory": "True"} | COMPLETED | {"ACK.ResourceSynced": "False"},
        "Healthy",
        "Current",
    ),
    Row(
        "denied without a job",
        report(hindrance=DENIED, **NO_JOB),
        {"ACK.Recoverable": "True", "ACK.ResourceSynced": "Unknown", "Ready": "False"},
        "Progressing",
        "InProgress",
        dict.fromkeys(("ACK.Recoverable", "ACK.ResourceSynced", "Ready"), (DENIED.reason, DENIED.message)),
    ),
    Row(
        "running, with an error",
        report(observed(), hindrance=DENIED),
        {"ACK.Recoverable": "True", "ACK.ResourceSynced": "Unknown", "Ready": "False"},
        "Progressing",
        "InProgress",
    ),
    Row(
        "completed, then an error",
        report(observed("Completed"), hindrance=DENIED),
        {"ACK.Recoverable": "True"} | COMPLETED | {"ACK.ResourceSynced": "Unknown"},
        "Healthy",
        "Current",
        {"Ready": ("Completed", "TrainingJob is in Completed status.")},
    ),
    Row(
        "vanished, then an error",
        report(vanished=GONE, hindrance=DENIED),
        {"ACK.Terminal": "True", "ACK.Recoverable": "True"} | VANISHED | {"ACK.ResourceSynced": "Unknown"},
        "Degraded",
        "Failed",
        {"Ready": ("JobNotFound", GONE.message)},
    ),
    Row(
        "passive",
        report(observed(), advisories=(Finding("Passive", "ACK's controller writes this object too."),)),
        {"ACK.Advisory": "True"} | RUNNING,
        "Progressing",
        "InProgress",
    ),
    Row("adopted", report(observed(), adopted=True), RUNNING | {"ACK.Adopted": "True"}, "Progressing", "InProgress"),
]


@pytest.mark.parametrize("row", [pytest.param(row, id=row.situation) for row in TABLE])
def test_a_report_leads_to_the_conditions_of_the_table(row: Row) -> None:
    conditions = build(row.report)
    assert {condition["type"]: condition["status"] for condition in conditions} == row.held
    reason_and_message = {condition["type"]: (condition["reason"], condition["message"]) for condition in conditions}
    assert {name: reason_and_message[name] for name in row.words} == row.words


@pytest.mark.parametrize("row", [pytest.param(row, id=row.situation) for row in TABLE])
def test_argo_cd_flux_and_kubectl_show_the_expected_health(row: Row) -> None:
    resource = as_resource(build(row.report))
    assert judge_as_argo_cd(resource) == row.argo
    assert judge_as_kstatus(resource) == row.kstatus
    assert is_reached(resource, "Finished") == (is_reached(resource, "Complete") or is_reached(resource, "Failed"))
    assert is_reached(resource, "Finished") == (row.held.get("Finished") == "True")
    assert is_reached(resource, "Settled") == (row.argo != "Progressing") == (row.kstatus != "InProgress")


def test_an_edit_of_a_refused_object_removes_settled() -> None:
    refused = build(report(terminal=REFUSED, **NO_JOB))
    waiting = build_conditions(refused, report(waiting=Finding("Waiting", "It is next."), **NO_JOB), Observation(), NOW)
    assert is_reached(as_resource(refused), "Settled")
    assert not is_reached(as_resource(waiting), "Settled")


@pytest.mark.parametrize("row", [pytest.param(row, id=row.situation) for row in TABLE])
def test_every_condition_is_complete_and_in_order(row: Row) -> None:
    conditions = build(row.report)
    types = [condition["type"] for condition in conditions]
    assert types == sorted(types, key=TYPES.index)
    for condition in conditions:
        assert list(condition) == ["type", "status", "lastTransitionTime", "reason", "message"]
        assert re.fullmatch(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", condition["reason"])
        assert condition["message"]
        assert condition["lastTransitionTime"] == "2026-11-21T12:00:00Z"


def test_ready_of_a_deleted_object_has_the_reason_deleting() -> None:
    running = reason_and_message(build(report(observed("Stopping", "Stopping"), deleting=True)))
    assert running["Ready"] == ("Deleting", "TrainingJob is in Stopping status.")
    unsure = reason_and_message(build(report(deleting=True, **NO_JOB)))
    assert unsure["Ready"] == ("Deleting", "The operator is verifying that no training job of this object is running.")


def test_the_transition_time_changes_only_with_the_status() -> None:
    first = build(report(observed("InProgress", "Starting")))
    later = build(report(observed("InProgress", "Training"), advisories=(EDIT,)), first, seconds=60)
    last = build(report(observed("Completed", "Completed")), later, seconds=120)
    assert times(later) == {
        "ACK.Advisory": "2026-11-21T12:01:00Z",
        "ACK.ResourceSynced": "2026-11-21T12:00:00Z",
        "Ready": "2026-11-21T12:00:00Z",
    }
    assert times(last) == dict.fromkeys(COMPLETED, "2026-11-21T12:02:00Z")


@pytest.mark.parametrize("since", [None, "", "just now", 5])
def test_a_condition_without_a_valid_time_gets_one(since: object) -> None:
    written_by_ack = [{"type": "Ready", "status": "False", "lastTransitionTime": since}]
    assert times(build(report(observed()), written_by_ack))["Ready"] == "2026-11-21T12:00:00Z"


def test_obsolete_conditions_are_removed() -> None:
    troubled = build(report(observed(), hindrance=DENIED, advisories=(EDIT,), adopted=True))
    assert [condition["type"] for condition in build(report(observed()), troubled)] == ["ACK.ResourceSynced", "Ready"]


def test_conditions_of_others_are_kept_last_and_those_of_ack_removed() -> None:
    previous = [
        {"type": "example.org/Approved", "status": "True", "reason": "ByHand", "odd": 7},
        {"type": "ACK.LateInitialized", "status": "True"},
        {"type": "ACK.ReferencesResolved", "status": "True"},
        {"type": "example.org/Approved", "status": "False"},
    ]
    conditions = build(report(observed()), previous)
    assert [condition["type"] for condition in conditions] == ["ACK.ResourceSynced", "Ready", "example.org/Approved"]
    assert conditions[-1] == {"type": "example.org/Approved", "status": "True", "reason": "ByHand"}


SELECTION = RoleSelection("gold", "7", "arn:aws:iam::111122223333:role/gold", "111122223333")
SELECTED = ("Selected", "roleARN: arn:aws:iam::111122223333:role/gold, selectorName: gold, selectorResourceVersion: 7")


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({}, "False", "NotSelected"),
        ({"selection": replace(SELECTION, selector="lead")}, "True", "Selected"),
        ({"hindrance": Hindrance("RoleSelectorsConflict", "2 match.")}, "False", "RoleSelectorsConflict"),
        ({"hindrance": Hindrance("RoleSelectorGone", "None does now.")}, "False", "RoleSelectorGone"),
        ({"hindrance": Hindrance("RoleSelectorsUnreadable", "Forbidden.")}, "True", "Selected"),
        ({"hindrance": DENIED}, "True", "Selected"),
    ],
)
def test_a_selected_role_is_shown_and_the_condition_stays(changes: dict[str, Any], status: str, reason: str) -> None:
    once = build(report(observed(), selection=SELECTION))
    assert reason_and_message(once)["ACK.IAMRoleSelected"] == SELECTED
    again = next(
        each for each in build(report(observed(), **changes), once, 60) if each["type"] == "ACK.IAMRoleSelected"
    )
    assert (again["status"], again["reason"]) == (status, reason)
    ended = build(report(observed("Completed"), **changes), once, 60)
    assert reason_and_message(ended)["ACK.IAMRoleSelected"] == SELECTED


def test_an_object_without_a_selection_has_no_condition_about_it() -> None:
    for changes in ({}, {"hindrance": DENIED}):
        assert "ACK.IAMRoleSelected" not in reason_and_message(build(report(observed(), **changes)))
    assert "ACK.IAMRoleSelected" not in reason_and_message(build(report(observed("Completed"), selection=SELECTION)))


def test_conditions_of_others_keep_their_order() -> None:
    previous = [{"type": f"example.org/{name}", "status": "True"} for name in ("Zoned", "Approved", "Mirrored")]
    once = build(report(observed()), previous)
    assert once[-3:] == previous
    assert build(report(observed()), once) == once


def test_a_failure_reason_is_complete_and_a_longer_message_truncated() -> None:
    longest = "x" * 1024
    assert reason_and_message(build(report(observed("Failed", FailureReason=longest))))["Ready"] == (
        "JobFailed",
        longest,
    )
    flooded = reason_and_message(build(report(observed(), advisories=(Finding("Odd", "y\ud800" * 5000),))))
    assert flooded["ACK.Advisory"][1] == ("y?" * 1000)[: MAX_MESSAGE - 1] + "…"


def test_a_vanished_job_is_restored_from_its_condition_alone() -> None:
    assert recorded_vanishing(build(report(observed(), vanished=GONE))) == GONE
    assert recorded_vanishing(build(report(observed("Failed")))) is None
    assert recorded_vanishing([{"type": "Failed", "status": "True", "reason": "JobNotFound"}]) == Finding(
        "JobNotFound", ""
    )
    assert recorded_vanishing(None) is None


@given(previous=nonsense)
def test_parsing_accepts_any_previous_conditions(previous: object) -> None:
    conditions = build(report(observed()), previous)
    assert [condition["type"] for condition in conditions[:2]] == ["ACK.ResourceSynced", "Ready"]
    assert list(read_conditions(conditions)) == conditions


def build(learned: Report, previous: object = None, seconds: int = 0) -> list[dict[str, Any]]:
    known = learned.observation or Observation()
    return build_conditions(previous, learned, known, NOW + timedelta(seconds=seconds))


def as_resource(conditions: list[dict[str, Any]]) -> dict[str, Any]:
    return {"metadata": {"generation": 3}, "status": {"conditions": conditions, "observedGeneration": 3}}


def reason_and_message(conditions: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    return {condition["type"]: (condition["reason"], condition["message"]) for condition in conditions}


def times(conditions: list[dict[str, Any]]) -> dict[str, str]:
    return {condition["type"]: condition["lastTransitionTime"] for condition in conditions}
