from __future__ import annotations

from typing import Any

from hypothesis import given

from tests.logic.answers import ARN, NOW, after, observed, report, transition
from tests.logic.nonsense import nonsense
from trainingjob_operator.logic.events import EventDraft, drafts
from trainingjob_operator.logic.observation import Observation
from trainingjob_operator.logic.report import Finding, Hindrance, Report
from trainingjob_operator.logic.status import build_status

DENIED = Hindrance("AccessDenied", "The role may not call sagemaker:DescribeTrainingJob.")
EDIT = Finding("EditNotPossible", "spec.roleARN cannot be changed.")
EARLY = Finding("EditPending", "keepAlivePeriodInSeconds waits for the end.")
LIFE = [
    transition("Starting", 1, 9, "Preparing the instances for training"),
    transition("Downloading", 9, 9.5),
    transition("Training", 9.5, 40, "Training in progress."),
]


def tell(previous: dict[str, Any], learned: Report) -> tuple[list[EventDraft], dict[str, Any]]:
    wanted = build_status(previous, learned, NOW)
    return drafts(previous, wanted, learned), wanted


def reasons(news: list[EventDraft]) -> list[tuple[str, str]]:
    return [(draft.type, draft.reason) for draft in news]


def test_a_life_is_told_from_creation_to_end_and_each_part_once() -> None:
    created, status = tell({}, report())
    started, status = tell(status, report(observed(SecondaryStatusTransitions=LIFE[:1])))
    nothing, status = tell(status, report(observed(SecondaryStatusTransitions=LIFE[:1])))
    completion = [*LIFE, transition("Completed", 40, 40, "Training job completed")]
    ended, status = tell(
        status,
        report(observed("Completed", "Completed", SecondaryStatusTransitions=completion, LastModifiedTime=after(61))),
    )
    assert created == [
        EventDraft("Normal", "Created", f"SageMaker has taken the training job {ARN}.", f"Created/{ARN}")
    ]
    assert started == [
        EventDraft(
            "Normal",
            "Starting",
            "Preparing the instances for training",
            "Starting@2026-11-21T10:33:45.120Z",
        )
    ]
    assert nothing == []
    assert [(draft.type, draft.reason, draft.message) for draft in ended] == [
        ("Normal", "Downloading", "The training job is in secondary status Downloading."),
        ("Normal", "Training", "Training in progress."),
        ("Normal", "Completed", "Training job completed"),
        ("Normal", "JobCompleted", "TrainingJob is in Completed status."),
    ]
    assert tell(status, report(vanished=Finding("JobNotFound", "gone")))[0] == []


def test_a_repeat_after_a_crash_has_the_same_keys() -> None:
    learned = report(observed("Failed", "Failed", SecondaryStatusTransitions=LIFE), advisories=(EDIT,))
    assert tell({}, learned)[0] == tell({}, learned)[0]
    keys = [draft.key for draft in tell({}, learned)[0]]
    assert len(set(keys)) == len(keys) == 6


def test_a_bad_end_is_a_warning_with_its_reason() -> None:
    failed = observed(
        "Failed",
        "Failed",
        FailureReason="AlgorithmError: exit code 1",
        SecondaryStatusTransitions=[transition("Failed", 9, 9, "Training job failed")],
    )
    assert tell(build_status({}, report(), NOW), report(failed))[0] == [
        EventDraft("Warning", "Failed", "Training job failed", "Failed@2026-11-21T10:33:53.120Z"),
        EventDraft("Warning", "JobFailed", "AlgorithmError: exit code 1", "JobFailed"),
    ]
    stopped = tell(build_status({}, report(), NOW), report(observed("Stopped", "MaxRuntimeExceeded")))[0]
    assert stopped == [
        EventDraft(
            "Warning",
            "JobStopped",
            "The training job was stopped: it ran longer than maxRuntimeInSeconds.",
            "JobStopped",
        )
    ]


def test_an_adopted_job_was_not_created() -> None:
    assert reasons(tell({}, report(adopted=True))[0]) == [("Normal", "Adopted")]


def test_an_error_is_told_once_and_not_at_every_retry() -> None:
    first, status = tell(build_status({}, report(observed()), NOW), report(hindrance=DENIED))
    again, status = tell(status, report(hindrance=DENIED))
    other, status = tell(status, report(hindrance=Hindrance("Throttled", "Rate exceeded")))
    assert reasons(first) == [("Warning", "AccessDenied")]
    assert first[0].key == f"AccessDenied: {DENIED.message}"
    assert again == []
    assert reasons(other) == [("Warning", "Throttled")]


def test_of_several_advisories_only_the_new_one_is_told() -> None:
    first, status = tell(build_status({}, report(observed()), NOW), report(advisories=(EDIT,)))
    second, _ = tell(status, report(advisories=(EDIT,), pending_edit=EARLY))
    assert reasons(first) == [("Warning", "EditNotPossible")]
    assert reasons(second) == [("Normal", "EditPending")]


def test_a_refusal_and_a_vanishing_are_told() -> None:
    refused, _ = tell({}, Report(generation=1, terminal=Finding("Refused", "no such role")))
    vanished, _ = tell(build_status({}, report(observed()), NOW), report(vanished=Finding("JobNotFound", "gone")))
    assert reasons(refused) == [("Warning", "Refused")]
    assert reasons(vanished) == [("Warning", "JobNotFound")]


def test_waiting_for_a_turn_is_no_event() -> None:
    assert tell({}, Report(generation=1, waiting=Finding("Waiting", "3 of 40.")))[0] == []


def test_under_a_crd_without_transitions_only_what_came_since_the_last_change_is_told() -> None:
    recorded_by_ack = {
        "ackResourceMetadata": {"arn": ARN},
        "secondaryStatus": "Downloading",
        "lastModifiedTime": "2026-11-21T10:33:53Z",
    }
    learned = report(observed(SecondaryStatusTransitions=LIFE))
    news, wanted = tell(recorded_by_ack, learned)
    assert [draft.reason for draft in news] == ["Downloading", "Training"]
    stored = {name: value for name, value in wanted.items() if name != "secondaryStatusTransitions"}
    assert tell(stored, learned)[0] == []


def test_a_job_that_had_ended_under_ack_is_no_news() -> None:
    recorded_by_ack = {"ackResourceMetadata": {"arn": ARN}, "trainingJobStatus": "Failed", "conditions": "none"}
    assert tell(recorded_by_ack, report())[0] == []


def test_a_message_fits_into_an_event_and_a_reason_is_one_word() -> None:
    learned = report(advisories=(Finding("2: odd-ness", "é" * 1500),))
    (draft,) = tell(build_status({}, report(), NOW), learned)[0]
    assert (draft.reason, draft.message) == ("oddness", "é" * 500)


@given(previous=nonsense, answer=nonsense)
def test_any_status_and_any_answer_give_events_or_none(previous: object, answer: object) -> None:
    status = {"conditions": previous, "ackResourceMetadata": previous, "secondaryStatusTransitions": previous}
    for draft in tell(status, report(Observation.from_describe(answer)))[0]:
        assert draft.reason.isalnum()
        assert len(draft.message.encode()) <= 1000
