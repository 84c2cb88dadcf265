"""The end of an attempt, and the wait for the next one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.logic.builders import ACCOUNT, ARN, JOB, REGION, claimed, recorded, resource
from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.decide.phases import decide
from trainingjob_operator.logic.decide.succession import await_pause, close_attempt, holds_end, list_attempts
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.naming import Identity
from trainingjob_operator.logic.objects.annotations import ADOPTION_POLICY, MAX_ATTEMPTS_KEY, Defaults, resolve
from trainingjob_operator.logic.state.memory import JobState, Memory
from trainingjob_operator.logic.state.steps import RemoveFinalizer, WriteStatus
from trainingjob_operator.logic.state.view import View

FIRST, SECOND = Identity(ACCOUNT, REGION, JOB), Identity(ACCOUNT, REGION, f"{JOB}-r2")
ENDED = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ITEM = {"number": 1, "trainingJobName": JOB, "arn": ARN, "reason": "InternalServerError", "endTime": ENDED.isoformat()}
FAILURE = Observation(
    {"trainingJobStatus": "Failed", "secondaryStatus": "Failed", "failureReason": "InternalServerError: words."}
)


def see(status: dict[str, Any], *, seconds: float = 0.0, limit: str = "3", **job: Any) -> View:
    body = resource(annotations={MAX_ATTEMPTS_KEY: limit}, status=status, held=True)
    policy = resolve(body, {}, Defaults(ACCOUNT, REGION))
    memory = Memory(first_seen=0.0, job=JobState(**job))
    return View(body, policy, memory, now=1000.0, wall=ENDED + timedelta(seconds=seconds), partition="aws")


@pytest.mark.parametrize(
    ("item", "seconds", "again"),
    [
        (ITEM, 0.0, 10.0),
        (ITEM, 4.0, 6.0),
        (ITEM, 10.0, None),
        (ITEM, -3600.0, 10.0),
        ({**ITEM, "number": 2}, 0.0, 20.0),
        ({**ITEM, "endTime": "soon"}, 0.0, None),
        ({name: ITEM[name] for name in ITEM if name != "endTime"}, 0.0, None),
    ],
    ids=["at once", "later", "over", "a clock that is behind", "doubled", "unreadable", "unknown"],
)
def test_the_pause_counts_from_the_end_of_the_last_attempt(
    item: dict[str, Any], seconds: float, again: float | None
) -> None:
    step = await_pause(see({"attempts": [item]}, seconds=seconds), SECOND)
    if again is None:
        assert step is None
    else:
        assert isinstance(step, WriteStatus)
        assert step.again == pytest.approx(again)
        assert step.retrying is not None
        assert step.retrying.reason == reasons.RETRYING


def test_the_first_attempt_has_no_pause() -> None:
    assert await_pause(see({}), FIRST) is None


OWN = recorded(ownership=claimed())


@pytest.mark.parametrize(
    ("status", "limit", "is_followed"),
    [
        (OWN, "3", True),
        (OWN, "1", False),
        (recorded(), "3", False),
        (recorded(ownership=claimed(claim="TakenOver")), "3", False),
        (recorded(ownership=claimed(claim="Inherited")), "3", True),
        ({**OWN, "conditions": [{"type": "Failed", "status": "True"}]}, "3", False),
    ],
    ids=["own", "last", "unproven", "of ACK's", "of an earlier object", "recorded end"],
)
def test_only_the_end_of_a_job_created_for_the_object_is_followed(
    status: dict[str, Any], limit: str, *, is_followed: bool
) -> None:
    view = see(status, limit=limit, observation=FAILURE)
    assert holds_end(view) == is_followed
    step = close_attempt(view, FIRST)
    assert (step is not None) == is_followed
    if step is not None:
        assert step.lists_attempt
        assert not step.closes_attempt
        assert step.retrying is not None
        assert step.retrying.message == (
            f"Attempt 1 of 3, the training job {JOB}, ended with InternalServerError: words. Attempt 2 follows."
        )


def test_an_ended_job_is_left_once_it_is_listed() -> None:
    step = close_attempt(see({**OWN, "attempts": [ITEM]}, observation=FAILURE), FIRST)
    assert step is not None
    assert step.closes_attempt


def test_an_adopted_job_is_no_attempt() -> None:
    status = recorded(ownership=claimed(claim="Adopted"))
    body = resource(annotations={ADOPTION_POLICY: "adopt"}, status=status)
    policy = resolve(body, {}, Defaults(ACCOUNT, REGION))
    view = View(body, policy, Memory(first_seen=0.0), now=1000.0, wall=ENDED, partition="aws")
    assert list_attempts(view, view.attached()) == ()


def test_the_end_of_an_object_that_is_being_deleted_is_reported() -> None:
    body = resource(annotations={MAX_ATTEMPTS_KEY: "3"}, status=OWN, held=True, deleting=True)
    policy = resolve(body, {}, Defaults(ACCOUNT, REGION))
    memory = Memory(first_seen=0.0, job=JobState(observation=FAILURE))
    assert not holds_end(View(body, policy, memory, now=1000.0, wall=ENDED, partition="aws"))


def test_an_object_deleted_between_two_attempts_has_nothing_to_stop() -> None:
    body = resource(pending=FIRST, status={"attempts": [ITEM]}, held=True, deleting=True)
    policy = resolve(body, {}, Defaults(ACCOUNT, REGION))
    view = View(body, policy, Memory(first_seen=0.0), now=1000.0, wall=ENDED, partition="aws")
    assert decide(view) == RemoveFinalizer()
