"""Outcomes of answers from AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.logic.builders import ARN, OWNER, SPEC, WANTED
from tests.logic.decide.situations import NOW, own, trouble, view_of
from trainingjob_operator.logic.decide.responses import (
    CallResult,
    fail,
    react_to_create,
    react_to_edit,
    react_to_stop,
    read_description,
    read_tags,
)
from trainingjob_operator.logic.decide.retries import (
    DOUBTFUL_REPEATS,
    DOUBTFUL_SECONDS,
    OUTDONE_FAILURES,
    OUTDONE_SECONDS,
)
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass
from trainingjob_operator.logic.objects.fields import to_request
from trainingjob_operator.logic.operations import CREATE, DESCRIBE, STOP, UPDATE
from trainingjob_operator.logic.state.outcomes import (
    Claimed,
    Compared,
    CreateFailed,
    Described,
    Dismissed,
    Doubted,
    DoubtEnded,
    EditRefused,
    JobMissing,
    NameTaken,
    Outdone,
    Seen,
    Stopping,
    Suspected,
    TagsRead,
)
from trainingjob_operator.logic.state.ownership import TagProof, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainingjob_operator.logic.state.memory import Outcome
    from trainingjob_operator.logic.state.view import View

NOT_OFFERED = "The requested instance type ml.p9.large is not supported in this region."


def failed(kind: ErrorClass, message: str = "words", *, operation: str = CREATE) -> AwsError:
    return AwsError(operation, "Code", message, kind, definite=True)


def answer(**members: Any) -> dict[str, Any]:
    """Answer of DescribeTrainingJob about the job of SPEC."""
    return {**to_request(SPEC), "TrainingJobArn": ARN, "TrainingJobStatus": "InProgress", **members}


def kinds(outcomes: tuple[Outcome, ...]) -> list[type[Outcome]]:
    return [type(outcome) for outcome in outcomes]


def test_a_description_of_the_objects_job_is_compared_after_an_edit() -> None:
    view = view_of({"status": own(), "generation": 2, "held": True}, {}, {}, {})
    described, compared, seen = read_description(view, WANTED, answer(SecondaryStatus="Training"), NOW)
    assert isinstance(described, Described)
    assert described.seen.secondary_status == "Training"
    assert isinstance(compared, Compared)
    assert compared.differences == ()
    assert seen == Seen(2)


def test_a_description_of_an_unchanged_object_is_not_compared() -> None:
    view = view_of({"status": own(), "held": True}, {"decided_generation": 1, "compared_generation": 1}, {}, {})
    assert kinds(read_description(view, WANTED, answer(), NOW)) == [Described, Seen]


def test_a_description_of_another_run_counts_as_a_missing_job() -> None:
    status = own(creationTime="2026-11-21T10:00:00Z")
    view = view_of({"status": status, "held": True}, {}, {}, {})
    another = answer(TrainingJobArn=ARN.replace("training-job/", "training-job/another-"))
    assert read_description(view, WANTED, another, NOW) == (JobMissing(NOW, is_replaced=True),)


def test_a_job_without_a_claim_is_compared_with_the_whole_spec() -> None:
    view = view_of({}, {"name_taken": True}, {}, {})
    found = answer(HyperParameters={"rate": "1"}, Environment={"A": "b"})
    compared = next(outcome for outcome in read_description(view, WANTED, found, NOW) if isinstance(outcome, Compared))
    assert {"hyperParameters", "environment"} & set(compared.differences)


def test_a_spec_without_a_valid_request_is_refused_as_an_edit() -> None:
    spec = {**SPEC, "tags": [{"value": "no key"}], "resourceConfig": 7}
    view = view_of({"status": own(), "generation": 2, "spec": spec, "held": True}, {}, {}, {})
    refused = next(
        outcome for outcome in read_description(view, WANTED, answer(), NOW) if isinstance(outcome, EditRefused)
    )
    assert refused.finding.reason == "EditNotPossible"
    assert refused.generation == 2


@pytest.mark.parametrize(
    ("object", "tags", "expected"),
    [
        ({"status": own(), "held": True}, OWNER.tags(), Verdict.CREATED),
        ({}, OWNER.tags(), None),  # no ARN in the status yet
        ({"status": own(), "held": True}, {}, Verdict.CREATED),  # by the ownership record
    ],
)
def test_tags_yield_a_claim_only_on_the_job_in_the_status(
    object: Mapping[str, Any],  # noqa: A002
    tags: Mapping[str, str],
    expected: Verdict | None,
) -> None:
    outcomes = read_tags(view_of(object, {}, {}, {}), tags, OWNER)
    proof = TagProof.SAME_OBJECT if tags else TagProof.NONE
    assert outcomes[0] == TagsRead(tags, 1, proof)
    assert outcomes[1:] == (() if expected is None else (Claimed(expected),))


def view_of_new_object(**known: Any) -> View:
    return view_of({"held": True}, known, {}, {})


def test_an_unsupported_instance_type_is_a_refusal_for_every_error_class() -> None:
    for kind in (ErrorClass.DOUBTFUL, ErrorClass.REFUSED, ErrorClass.NOT_FOUND):
        result = react_to_create(view_of_new_object(), failed(kind, NOT_OFFERED), NOW, 0)
        assert result.refusal is not None
        assert (result.refusal.reason, result.failure) == ("Refused", None)


@pytest.mark.parametrize(
    ("error", "outcomes", "reason", "is_retried"),
    [
        (failed(ErrorClass.IN_USE), (NameTaken(),), None, False),
        (failed(ErrorClass.REFUSED), (), "Refused", False),
        (failed(ErrorClass.REFUSED, operation="AssumeRole"), (), None, True),
        (failed(ErrorClass.DENIED), (), None, True),
        (failed(ErrorClass.DOUBTFUL), (Doubted(NOW),), None, True),
        (failed(ErrorClass.RETRY), (Outdone(3),), None, True),
    ],
)
def test_the_error_class_of_a_failed_create_selects_refusal_or_retry(
    error: AwsError, outcomes: tuple[Outcome, ...], reason: str | None, *, is_retried: bool
) -> None:
    result = react_to_create(view_of_new_object(), error, NOW, 3)
    assert result.outcomes == (CreateFailed(definite=True, now=NOW), *outcomes)
    assert (None if result.refusal is None else result.refusal.reason) == reason
    assert (result.failure is not None) == is_retried


@pytest.mark.parametrize(("rounds", "again"), [*enumerate(DOUBTFUL_REPEATS), (len(DOUBTFUL_REPEATS), None)])
def test_a_lasting_doubtful_error_refuses_the_spec_for_longer_each_round(rounds: int, again: float | None) -> None:
    view = view_of_new_object(doubtful_since=NOW - DOUBTFUL_SECONDS, doubtful_rounds=rounds)
    result = react_to_create(view, failed(ErrorClass.DOUBTFUL), NOW, 0)
    assert result.outcomes[1:] == (DoubtEnded(),)
    assert result.refusal is not None
    assert result.refusal.reason == "CreateFailed"
    assert result.retry_at == (None if again is None else NOW + again)


@pytest.mark.parametrize(
    ("lasts", "failures", "operation", "gives_up"),
    [
        (OUTDONE_SECONDS, OUTDONE_FAILURES - 1, CREATE, True),
        (OUTDONE_SECONDS - 1, OUTDONE_FAILURES - 1, CREATE, False),
        (OUTDONE_SECONDS, OUTDONE_FAILURES - 2, CREATE, False),
        (OUTDONE_SECONDS, OUTDONE_FAILURES - 1, "AssumeRole", False),
    ],
)
def test_a_server_error_of_this_spec_alone_becomes_a_refusal_after_two_hours(
    lasts: float, failures: int, operation: str, *, gives_up: bool
) -> None:
    view = view_of_new_object(troubles=trouble(CREATE, ErrorClass.RETRY, lasts=lasts), outdone=failures, created_jobs=5)
    result = react_to_create(view, failed(ErrorClass.RETRY, operation=operation), NOW, 6)
    assert (result.failure is None) == gives_up
    if gives_up:
        assert result.outcomes[1:] == (Outdone(6), Dismissed(CREATE))
        assert result.refusal is not None
        assert "for 2 hours" in result.refusal.message
    else:
        assert result.outcomes[1:] == (Outdone(6),)


QUOTA = (
    "The account-level service limit 'ml.m5.large for training job usage' is {limit} Instances, with current "
    "utilization of 0 Instances and a request delta of 2 Instances. Please contact AWS support."
)


@pytest.mark.parametrize(
    ("message", "is_retried", "refusal", "reported"),
    [
        (QUOTA.format(limit=2), True, None, None),
        (QUOTA.format(limit=1), True, None, "QuotaTooSmall"),
        (NOT_OFFERED, False, "Refused", None),
    ],
)
def test_an_exhausted_quota_is_retried_unless_it_is_too_small_for_the_job(
    message: str, refusal: str | None, reported: str | None, *, is_retried: bool
) -> None:
    error = failed(ErrorClass.WAITING, message)
    result = react_to_create(view_of_new_object(), error, NOW, 0)
    assert (result.failure is not None) == is_retried
    assert (None if result.refusal is None else result.refusal.reason) == refusal
    finding = None if result.failure is None else result.failure.finding
    assert (None if finding is None else finding.reason) == reported
    assert (result.shortage is not None) == (is_retried and finding is None)


@pytest.mark.parametrize(
    ("kind", "outcomes", "is_retried"),
    [
        (ErrorClass.NOT_FOUND, (Stopping(NOW), JobMissing(NOW)), False),
        (ErrorClass.CONFLICT, (Stopping(NOW), Suspected()), True),
        (ErrorClass.DENIED, (Stopping(NOW),), True),
    ],
)
def test_a_failed_stop_starts_the_deadline_of_the_stop(
    kind: ErrorClass, outcomes: tuple[Outcome, ...], *, is_retried: bool
) -> None:
    view, error = view_of_new_object(), failed(kind, operation=STOP)
    expected = fail(view, STOP, error, *outcomes) if is_retried else CallResult(outcomes)
    assert react_to_stop(view, error, NOW) == expected


@pytest.mark.parametrize(
    ("kind", "known", "kept"),
    [
        (ErrorClass.DENIED, {"created_at": NOW - 5.0}, ErrorClass.RETRY),
        (ErrorClass.DENIED, {"created_at": NOW - 500.0}, ErrorClass.DENIED),
        (ErrorClass.THROTTLED, {"created_at": NOW - 5.0}, ErrorClass.THROTTLED),
    ],
)
def test_a_denied_describe_soon_after_create_is_a_transient_error(
    kind: ErrorClass, known: dict[str, Any], kept: ErrorClass
) -> None:
    failure = fail(view_of_new_object(**known), DESCRIBE, failed(kind, operation=DESCRIBE)).failure
    assert failure is not None
    assert failure.error.kind is kept
    assert failure.is_expected == (kept is not kind)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (failed(ErrorClass.REFUSED, operation=UPDATE), EditRefused),
        (failed(ErrorClass.NOT_FOUND, operation=UPDATE), EditRefused),
        (failed(ErrorClass.REFUSED, operation="AssumeRole"), None),
        (failed(ErrorClass.CONFLICT, operation=UPDATE), Suspected),
        (failed(ErrorClass.THROTTLED, operation=UPDATE), None),
    ],
)
def test_an_edit_is_abandoned_only_if_sagemaker_refuses_it(error: AwsError, expected: type[Outcome] | None) -> None:
    result = react_to_edit(view_of_new_object(), error, UPDATE)
    assert kinds(result.outcomes) == ([] if expected is None else [expected])
    assert (result.failure is not None) == (expected is not EditRefused)
