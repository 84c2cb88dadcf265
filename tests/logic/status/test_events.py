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


def tell(previous: dict[str, Any], learned: Report) -> tuple[list[EventDraft], dict[str, Any]]:
    wanted = build_status(previous, learned, NOW)
    return drafts(previous, wanted, learned), wanted


def words(news: list[EventDraft]) -> list[tuple[str, str, str]]:
    return [(draft.type, draft.reason, draft.message) for draft in news]


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
    assert words(created) == [("Normal", "Created", f"SageMaker accepted the training job {ARN}.")]
    assert words(started) == [("Normal", "Starting", "Preparing the instances for training")]
    assert nothing == []
    assert words(ended) == [
        ("Normal", "Downloading", "The training job is in secondary status Downloading."),
        ("Normal", "Training", "Training in progress."),
        ("Normal", "JobCompleted", "TrainingJob is in Completed status."),
    ]
    assert tell(status, report(vanished=Finding("JobNotFound", "gone")))[0] == []
    news = [*created, *started, *ended]
    assert sorted(news, key=lambda draft: draft.order) == news
    assert len({draft.order for draft in news}) == len(news)


def test_events_sort_as_the_life_went_whatever_the_order_in_which_they_were_told() -> None:
    together = [transition("Downloading", 9, 9), transition("Training", 9, 40), transition("Uploading", 40)]
    waiting, status = tell({}, Report(generation=1, waiting=Finding("Waiting", "3 of 40.")))
    denied, status = tell(status, Report(generation=1, hindrance=DENIED))
    created, status = tell(status, report())
    advised, status = tell(status, report(advisories=(EDIT,)))
    begun, status = tell(status, report(observed(SecondaryStatusTransitions=together[:2])))
    hindered, status = tell(status, report(hindrance=DENIED))
    went_on, status = tell(status, report(observed(SecondaryStatusTransitions=together)))
    ended, status = tell(status, report(observed("Stopped", "Stopped", LastModifiedTime=after(61))))
    late, status = tell(status, report(pending_edit=EARLY))
    news = [*waiting, *denied, *created, *advised, *begun, *hindered, *went_on, *ended, *late]
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


def test_a_repeat_after_a_crash_has_the_same_keys() -> None:
    learned = report(observed("Failed", "Failed", SecondaryStatusTransitions=LIFE), advisories=(EDIT,))
    assert tell({}, learned)[0] == tell({}, learned)[0]
    keys = [draft.key for draft in tell({}, learned)[0]]
    assert len(set(keys)) == len(keys) == 5


def test_a_bad_end_is_one_warning_with_its_reason() -> None:
    failed = observed(
        "Failed",
        "Failed",
        FailureReason="AlgorithmError: exit code 1",
        SecondaryStatusTransitions=[transition("Failed", 9, 9, "Training job failed")],
    )
    starved = observed("Failed", "Failed", FailureReason="CapacityError: Unable to provision")
    created = build_status({}, report(), NOW)
    assert words(tell(created, report(failed))[0]) == [("Warning", "JobFailed", "AlgorithmError: exit code 1")]
    assert reasons(tell(created, report(starved))[0]) == [("Warning", "CapacityError")]
    timed_out = [transition("MaxRuntimeExceeded", 9, 9, "Training job runtime exceeded MaxRuntimeInSeconds provided")]
    stopped = observed("Stopped", "MaxRuntimeExceeded", SecondaryStatusTransitions=timed_out)
    message = (
        "The training job was stopped: it ran longer than maxRuntimeInSeconds. SageMaker's last status message: "
        "Training job runtime exceeded MaxRuntimeInSeconds provided"
    )
    assert words(tell(created, report(stopped))[0]) == [("Warning", "JobStopped", message)]


def test_a_failure_that_a_list_has_told_is_news_once_its_reason_is_known() -> None:
    summary = Observation.from_summary({"TrainingJobStatus": "Failed", "SecondaryStatus": "Failed"})
    known = observed(SecondaryStatusTransitions=LIFE)
    _, status = tell({}, report(known))
    from_list, status = tell(status, report(known.updated_by(summary)))
    described = [*LIFE, transition("Failed", 41, 41, "Training job failed")]
    failed = observed("Failed", "Failed", FailureReason="AlgorithmError: x", SecondaryStatusTransitions=described)
    whole, status = tell(status, report(failed))
    assert from_list == []
    assert words(whole) == [("Warning", "JobFailed", "AlgorithmError: x")]
    assert tell(status, report(failed))[0] == []
    silent = observed("Failed", "Failed", SecondaryStatusTransitions=described)
    assert reasons(tell(build_status({}, report(), NOW), report(silent))[0])[-1] == ("Warning", "JobFailed")


def test_commands_are_in_no_event() -> None:
    command = 'ExecuteUserScriptError:\nCommand "/usr/bin/python3 train.py --token hunter2"'
    path = [transition("Training", 1, 8, command), transition("Failed", 9, 9, command)]
    rules = [rule("IssuesFound") | {"StatusDetails": command}]
    for status, secondary in (("Failed", "Failed"), ("Stopped", "Stopped")):
        for reason in ({}, {"FailureReason": f"AlgorithmError: {command}"}):
            members = {"SecondaryStatusTransitions": path, "DebugRuleEvaluationStatuses": rules, **reason}
            news, wanted = tell({}, report(observed(status, secondary, **members)))
            assert len(news) == 4
            assert "hunter2" not in str(news)
            assert "hunter2" not in str(wanted["conditions"])
            assert wanted.get("failureReason") == reason.get("FailureReason")


def test_a_rule_that_finds_issues_is_one_warning() -> None:
    _, status = tell({}, report(observed(DebugRuleEvaluationStatuses=[rule("InProgress")])))
    found = observed(
        DebugRuleEvaluationStatuses=[rule("IssuesFound") | {"StatusDetails": "RuleEvaluationConditionMet"}],
        ProfilerRuleEvaluationStatuses=[rule("IssuesFound"), rule("NoIssuesFound")],
    )
    news, status = tell(status, report(found))
    assert words(news) == [
        (
            "Warning",
            "RuleIssuesFound",
            "DebugRule LossNotDecreasing is in IssuesFound status: RuleEvaluationConditionMet",
        ),
        ("Warning", "RuleIssuesFound", "ProfilerRule LossNotDecreasing is in IssuesFound status."),
    ]
    assert tell(status, report(found, advisories=(EDIT,)))[0][0].reason == "EditNotPossible"
    assert len({draft.key for draft in news}) == 2


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


def test_waiting_for_a_turn_is_told_once_whatever_the_place() -> None:
    first, status = tell({}, Report(generation=1, waiting=Finding("Waiting", "3 of 40.")))
    second, status = tell(status, Report(generation=1, waiting=Finding("Waiting", "2 of 40.")))
    assert words(first) == [("Normal", "Waiting", "3 of 40.")]
    assert second == []


def test_waiting_for_quota_is_told_once_whatever_the_figures() -> None:
    def lacking(used: int) -> Report:
        message = f"The limit is 4 instances, with current utilization of {used} instances."
        return Report(generation=1, hindrance=Hindrance("ResourceLimitExceeded", message, waiting=True))

    first, status = tell({}, lacking(4))
    second, status = tell(status, lacking(3))
    turn, status = tell(status, Report(generation=1, waiting=Finding("Waiting", "2 of 40.")))
    third, status = tell(status, lacking(2))
    assert reasons(first) == [("Warning", "ResourceLimitExceeded")]
    assert (second, turn) == ([], [])
    assert [(draft.key, draft.order) for draft in third] == [(draft.key, draft.order) for draft in first]


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
