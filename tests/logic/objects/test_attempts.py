"""The list of attempts in a status: read without trust, and the names of their jobs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from tests.logic.builders import ACCOUNT, ARN, JOB, REGION, resource
from tests.logic.nonsense import nonsense
from trainingjob_operator.logic.naming import Identity, build_arn, is_job_name, name_attempt, shares_base
from trainingjob_operator.logic.objects.annotations import JOB_NAME_SUFFIX, MAX_ATTEMPTS_KEY, Defaults, resolve
from trainingjob_operator.logic.objects.attempts import MAX_ATTEMPTS, Attempt, read_attempts

ENDED = Attempt(1, JOB, ARN, "InternalServerError", "words", "2026-11-21T12:00:00Z", 40, 30)
OPEN = Attempt(2, f"{JOB}-r2", f"{ARN}-r2")


def status(*attempts: Attempt, arn: str | None = None) -> dict[str, Any]:
    metadata = {} if arn is None else {"ackResourceMetadata": {"arn": arn}}
    return {"attempts": [attempt.to_status() for attempt in attempts], **metadata}


def test_what_is_written_is_read_in_order_and_once() -> None:
    assert read_attempts(status(OPEN, ENDED, OPEN)["attempts"]) == (ENDED, OPEN)
    many = [Attempt(number, JOB, f"{ARN}-r{number}") for number in range(1, 20)]
    assert len(read_attempts(status(*many)["attempts"])) == MAX_ATTEMPTS


@pytest.mark.parametrize(
    "item",
    [
        None,
        {},
        {"number": 1},
        {"number": 1, "arn": "arn:aws:s3:::bucket"},
        {"number": 1, "arn": [ARN]},
        {"number": 0, "arn": ARN},
        {"number": True, "arn": ARN},
        {"number": "1", "arn": ARN},
    ],
)
def test_an_item_without_number_or_job_is_left_out(item: object) -> None:
    assert read_attempts([item, ENDED.to_status()]) == (ENDED,)


def test_a_missing_name_is_that_of_the_arn() -> None:
    assert read_attempts([{"number": 1, "arn": ARN}]) == (Attempt(1, JOB.lower(), ARN),)


@given(nonsense)
def test_any_value_is_read(value: Any) -> None:
    for attempt in read_attempts(value):
        assert attempt.number >= 1


def test_an_attempt_knows_its_job() -> None:
    assert ENDED.is_job(Identity(ACCOUNT, REGION, JOB))
    assert not ENDED.is_job(Identity(ACCOUNT, "eu-central-1", JOB))
    assert not Attempt(1, JOB, "").is_job(Identity(ACCOUNT, REGION, JOB))


@pytest.mark.parametrize("base", ["a", "a" * 60, "a" * 61, "a" * 63, "a" * 48 + "-" * 14 + "b"])
def test_the_name_of_an_attempt_is_valid_and_its_own(base: str) -> None:
    names = [name_attempt(base, number) for number in range(1, MAX_ATTEMPTS + 1)]
    assert names[0] == base
    assert names[1].endswith("-r2")
    assert len({name.lower() for name in names}) == MAX_ATTEMPTS
    assert all(is_job_name(name) for name in names)
    assert name_attempt("a" * 62 + "b", 2) != name_attempt("a" * 62 + "c", 2)


def test_two_names_with_other_hashes_share_their_base() -> None:
    assert shares_base("base-0123abcd", "base-4567abcd")
    assert shares_base("base-0123abcd", "base-4567abcd-r2")
    assert not shares_base("base-0123abcd", "bas-4567abcd-r2")
    long, other = f"{'a' * 54}-0123abcd", name_attempt(f"{'a' * 54}-4567abcd", 3)
    assert shares_base(long, other)
    assert not shares_base(f"{'b' * 54}-0123abcd", other)


@pytest.mark.parametrize(
    ("limit", "shown", "number"),
    [
        ("3", {}, 1),
        ("3", status(ENDED, arn=ARN), 1),
        ("3", status(ENDED), 2),
        ("3", status(ENDED, OPEN, arn=OPEN.arn), 2),
        ("3", status(ENDED, OPEN), 2),
        ("1", status(ENDED), 1),
        ("1", status(ENDED, OPEN, arn=OPEN.arn), 2),
        ("many", status(ENDED), 2),
    ],
)
def test_the_number_of_the_attempt_is_that_of_the_recorded_job_or_the_next_one(
    limit: str, shown: dict[str, Any], number: int
) -> None:
    read = resource(annotations={MAX_ATTEMPTS_KEY: limit}, status=shown)
    policy = resolve(read, {}, Defaults(ACCOUNT, REGION))
    assert (policy.attempt, policy.job_name) == (number, name_attempt(JOB, number))
    assert policy.number_of(f"{JOB}-R2".lower()) == 2
    assert policy.number_of("another") is None


def test_the_number_follows_the_suffix() -> None:
    read = resource(annotations={MAX_ATTEMPTS_KEY: "2", JOB_NAME_SUFFIX: "uid"}, status=status(ENDED))
    policy = resolve(read, {}, Defaults(ACCOUNT, REGION))
    assert policy.job_name == f"{policy.first_name}-r2"
    assert policy.first_name.startswith(f"{JOB}-")


@pytest.mark.parametrize("value", ["0", "11", "-1", "two", "", "1.0", "9" * 5000])
def test_an_invalid_limit_is_named(value: str) -> None:
    (problem,) = resolve(resource(annotations={MAX_ATTEMPTS_KEY: value}), {}, Defaults(ACCOUNT, REGION)).problems
    assert f"Annotation {MAX_ATTEMPTS_KEY} is '{value[:64]}" in problem.message
    assert "Use an integer from 1 to 10." in problem.message
    (problem,) = resolve(resource(), {MAX_ATTEMPTS_KEY: value}, Defaults(ACCOUNT, REGION)).problems
    assert "of the namespace" in problem.message


def test_an_intent_is_closed_once_its_attempt_has_ended_and_been_left() -> None:
    wanted = Identity(ACCOUNT, REGION, JOB)
    for shown, is_closed in (
        ({}, False),
        (status(ENDED), True),
        (status(ENDED, arn=ARN), False),
        (status(Attempt(1, JOB, ARN)), False),
        (status(Attempt(1, "other", build_arn("aws", Identity(ACCOUNT, REGION, "other")), "Failed")), False),
    ):
        read = resource(pending=wanted, status=shown)
        assert read.holds_closed_intent == is_closed
        assert (read.pending is None) == is_closed
    assert not resource(status=status(ENDED)).holds_closed_intent
