from __future__ import annotations

from typing import Any

from hypothesis import given

from tests.logic.answers import ARN, NOW, after, observed, report, rule, transition
from tests.logic.nonsense import nonsense
from trainingjob_operator.logic.findings import Finding, Hindrance
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.status.contents import build_status
from trainingjob_operator.logic.status.events import EventDraft, drafts
from trainingjob_operator.logic.status.report import Report

DENIED = Hindrance("AccessDenied", "The role may not call sagemaker:DescribeTrainingJob.")
EDIT = Finding("EditNotPossible", "spec.roleARN cannot be changed.")
EARLY = Finding("EditPending", "keepAlivePeriodInSeconds waits for the end.")
LIFE = [
    transition("Starting", 1, 9, "Preparing the instances for training"),
    transition("Downloading", 9, 9.5),
    transition("Training", 9.5, 40, "Training in progress."),
]


def publish(previous: dict[str, Any], learned: Report) -> tuple[list[EventDraft], dict[str, Any]]:
    wanted = build_status(previous, learned, NOW)
    return drafts(previous, wanted, learned), wanted


def texts(news: list[EventDraft]) -> list[tuple[str, str, str]]:
    return [(draft.type, draft.reason, draft.message) for draft in news]


def reasons(news: list[EventDraft]) -> list[tuple[str, str]]:
    return [(draft.type, draft.reason) for draft in news]


def test_each_change_from_creation_to_end_has_one_event() -> None:
    created, status = publish({}, report())
    started, status = publish(status, report(observed(SecondaryStatusTransitions=LIFE[:1])))
    nothing, status = publish(status, report(observed(SecondaryStatusTransitions=LIFE[:1])))
    completion = [*LIFE, transition("Completed", 40, 40, "Training job completed")]
    ended, status = publish(
        status,
        report(observed("Completed", "Completed", SecondaryStatusTransitions=completion, LastModifiedTime=after(61))),
    )
    assert texts(created) == [("Normal", "Created", f"SageMaker accepted the training job {ARN}.")]
    assert texts(started) == [("Normal", "Starting", "Preparing the instances for training")]
    assert nothing == []
    assert texts(ended) == [
        ("Normal", "Downloading", "The training job is in secondary status Downloading."),
        ("Normal", "Training", "Training in progress."),
        ("Normal", "JobCompleted", "TrainingJob is in Completed status."),
    ]
    assert publish(status, report(vanished=Finding("JobNotFound", "gone")))[0] == []
    news = [*created, *started, *ended]
    assert sorted(news, key=lambda draft: draft.order) == news
    assert len({draft.order for draft in news}) == len(news)


def test_events_are_sorted_by_the_order_of_the_changes() -> None:
    together = [transition("Downloading", 9, 9), transition("Training", 9, 40), transition("Uploading", 40)]
    waiting, status = publish({}, Report(generation=1, waiting=Finding("Waiting", "3 of 40.")))
    denied, status = publish(status, Report(generation=1, hindrance=DENIED))
    created, status = publish(status, report())
    advised, status = publish(status, report(advisories=(EDIT,)))
    started, status = publish(status, report(observed(SecondaryStatusTransitions=together[:2])))
    hindered, status = publish(status, report(hindrance=DENIED))
    continued, status = publish(status, report(observed(SecondaryStatusTransitions=together)))
    ended, status = publish(status, report(observed("Stopped", "Stopped", LastModifiedTime=after(61))))
    late, status = publish(status, report(pending_edit=EARLY))
    news = [*waiting, *denied, *created, *advised, *started, *hindered, *continued, *ended, *late]
    shuffled = news[::-1]
    assert [draft.reason for draft in sorted(shuffled, key=lambda draft: draft.order)] == [
        "Waiting",
        "AccessDenied",
        "Created",
        "EditNotPossible",
        "Downloading",
        "Training",
        "AccessDenied",
        "Uploading",
        "JobStopped",
        "EditPending",
    ]


def test_events_repeated_after_a_crash_have_the_same_keys() -> None:
    learned = report(observed("Failed", "Failed", SecondaryStatusTransitions=LIFE), advisories=(EDIT,))
    assert publish({}, learned)[0] == publish({}, learned)[0]
    keys = [draft.key for draft in publish({}, learned)[0]]
    assert len(set(keys)) == len(keys) == 5


def test_a_failed_job_has_one_warning_with_its_reason() -> None:
    failed = observed(
        "Failed",
        "Failed",
        FailureReason="AlgorithmError: exit code 1",
        SecondaryStatusTransitions=[transition("Failed", 9, 9, "Training job failed")],
    )
    starved = observed("Failed", "Failed", FailureReason="CapacityError: Unable to provision")
    created = build_status({}, report(), NOW)
    assert texts(publish(created, report(failed))[0]) == [("Warning", "JobFailed", "AlgorithmError: exit code 1")]
    assert reasons(publish(created, report(starved))[0]) == [("Warning", "CapacityError")]
    timed_out = [transition("MaxRuntimeExceeded", 9, 9, "Training job runtime exceeded MaxRuntimeInSeconds provided")]
    stopped = observed("Stopped", "MaxRuntimeExceeded", SecondaryStatusTransitions=timed_out)
    message = (
        "The training job was stopped: it ran longer than maxRuntimeInSeconds. SageMaker's last status message: "
        "Training job runtime exceeded MaxRuntimeInSeconds provided"
    )
    assert texts(publish(created, report(stopped))[0]) == [("Warning", "JobStopped", message)]


def test_a_failure_seen_in_a_list_has_an_event_after_describe() -> None:
    summary = Observation.from_summary({"TrainingJobStatus": "Failed", "SecondaryStatus": "Failed"})
    known = observed(SecondaryStatusTransitions=LIFE)
    _, status = publish({}, report(known))
    from_list, status = publish(status, report(known.updated_by(summary)))
    described = [*LIFE, transition("Failed", 41, 41, "Training job failed")]
    failed = observed("Failed", "Failed", FailureReason="AlgorithmError: x", SecondaryStatusTransitions=described)
    whole, status = publish(status, report(failed))
    assert from_list == []
    assert texts(whole) == [("Warning", "JobFailed", "AlgorithmError: x")]
    assert publish(status, report(failed))[0] == []
    silent = observed("Failed", "Failed", SecondaryStatusTransitions=described)
    assert reasons(publish(build_status({}, report(), NOW), report(silent))[0])[-1] == ("Warning", "JobFailed")


def test_events_contain_no_commands() -> None:
    command = 'ExecuteUserScriptError:\nCommand "/usr/bin/python3 train.py --token hunter2"'
    path = [transition("Training", 1, 8, command), transition("Failed", 9, 9, command)]
    rules = [rule("IssuesFound") | {"StatusDetails": command}]
    for status, secondary in (("Failed", "Failed"), ("Stopped", "Stopped")):
        for reason in ({}, {"FailureReason": f"AlgorithmError: {command}"}):
            members = {"SecondaryStatusTransitions": path, "DebugRuleEvaluationStatuses": rules, **reason}
            news, wanted = publish({}, report(observed(status, secondary, **members)))
            assert len(news) == 4
            assert "hunter2" not in str(news)
            assert "hunter2" not in str(wanted["conditions"])
            assert wanted.get("failureReason") == reason.get("FailureReason")


def test_a_rule_with_issues_has_one_warning() -> None:
    _, status = publish({}, report(observed(DebugRuleEvaluationStatuses=[rule("InProgress")])))
    found = observed(
        DebugRuleEvaluationStatuses=[rule("IssuesFound") | {"StatusDetails": "RuleEvaluationConditionMet"}],
        ProfilerRuleEvaluationStatuses=[rule("IssuesFound"), rule("NoIssuesFound")],
    )
    news, status = publish(status, report(found))
    assert texts(news) == [
        (
            "Warning",
            "RuleIssuesFound",
            "DebugRule LossNotDecreasing is in IssuesFound status: RuleEvaluationConditionMet",
        ),
        ("Warning", "RuleIssuesFound", "ProfilerRule LossNotDecreasing is in IssuesFound status."),
    ]
    assert publish(status, report(found, advisories=(EDIT,)))[0][0].reason == "EditNotPossible"
    assert len({draft.key for draft in news}) == 2


def test_an_adopted_job_has_no_event_created() -> None:
    assert reasons(publish({}, report(adopted=True))[0]) == [("Normal", "Adopted")]


def test_an_error_has_one_event_for_all_retries() -> None:
    first, status = publish(build_status({}, report(observed()), NOW), report(hindrance=DENIED))
    again, status = publish(status, report(hindrance=DENIED))
    other, status = publish(status, report(hindrance=Hindrance("Throttled", "Rate exceeded")))
    assert reasons(first) == [("Warning", "AccessDenied")]
    assert first[0].key == f"AccessDenied: {DENIED.message}"
    assert again == []
    assert reasons(other) == [("Warning", "Throttled")]


def test_of_several_advisories_only_the_new_one_has_an_event() -> None:
    first, status = publish(build_status({}, report(observed()), NOW), report(advisories=(EDIT,)))
    second, _ = publish(status, report(advisories=(EDIT,), pending_edit=EARLY))
    assert reasons(first) == [("Warning", "EditNotPossible")]
    assert reasons(second) == [("Normal", "EditPending")]


def test_refused_specs_and_vanished_jobs_have_an_event() -> None:
    refused, _ = publish({}, Report(generation=1, terminal=Finding("Refused", "no such role")))
    vanished, _ = publish(build_status({}, report(observed()), NOW), report(vanished=Finding("JobNotFound", "gone")))
    assert reasons(refused) == [("Warning", "Refused")]
    assert reasons(vanished) == [("Warning", "JobNotFound")]


def test_waiting_for_a_turn_has_one_event_for_all_positions() -> None:
    first, status = publish({}, Report(generation=1, waiting=Finding("Waiting", "3 of 40.")))
    second, status = publish(status, Report(generation=1, waiting=Finding("Waiting", "2 of 40.")))
    assert texts(first) == [("Normal", "Waiting", "3 of 40.")]
    assert second == []


def test_waiting_for_quota_has_one_event_for_all_amounts() -> None:
    def lacking(used: int) -> Report:
        message = f"The limit is 4 instances, with current utilization of {used} instances."
        return Report(generation=1, hindrance=Hindrance("ResourceLimitExceeded", message, waiting=True))

    first, status = publish({}, lacking(4))
    second, status = publish(status, lacking(3))
    turn, status = publish(status, Report(generation=1, waiting=Finding("Waiting", "2 of 40.")))
    third, status = publish(status, lacking(2))
    assert reasons(first) == [("Warning", "ResourceLimitExceeded")]
    assert (second, turn) == ([], [])
    assert [(draft.key, draft.order) for draft in third] == [(draft.key, draft.order) for draft in first]


def test_under_a_crd_without_transitions_only_later_transitions_have_events() -> None:
    recorded_by_ack = {
        "ackResourceMetadata": {"arn": ARN},
        "secondaryStatus": "Downloading",
        "lastModifiedTime": "2026-11-21T10:33:53Z",
    }
    learned = report(observed(SecondaryStatusTransitions=LIFE))
    news, wanted = publish(recorded_by_ack, learned)
    assert [draft.reason for draft in news] == ["Downloading", "Training"]
    stored = {name: value for name, value in wanted.items() if name != "secondaryStatusTransitions"}
    assert publish(stored, learned)[0] == []


def test_a_job_that_ended_under_ack_has_no_event() -> None:
    recorded_by_ack = {"ackResourceMetadata": {"arn": ARN}, "trainingJobStatus": "Failed", "conditions": "none"}
    assert publish(recorded_by_ack, report())[0] == []


def test_an_event_has_a_bounded_message_and_an_alphanumeric_reason() -> None:
    learned = report(advisories=(Finding("2: odd-ness", "é" * 1500),))
    (draft,) = publish(build_status({}, report(), NOW), learned)[0]
    assert (draft.reason, draft.message) == ("oddness", "é" * 500)


@given(previous=nonsense, answer=nonsense)
def test_any_status_and_answer_yield_valid_events(previous: object, answer: object) -> None:
    status = {"conditions": previous, "ackResourceMetadata": previous, "secondaryStatusTransitions": previous}
    for draft in publish(status, report(Observation.from_describe(answer)))[0]:
        assert draft.reason.isalnum()
        assert len(draft.message.encode()) <= 1000
