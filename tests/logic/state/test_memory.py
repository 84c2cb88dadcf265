"""Changes of the memory of one object by outcomes."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from tests.logic.builders import ACCOUNT, ARN, REGION, WANTED, remembered, resource
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.objects.annotations import Defaults, resolve
from trainingjob_operator.logic.state.memory import (
    ACK_MANAGER,
    PASSIVE_SECONDS,
    RETRY_SECONDS,
    RIVAL_SECONDS,
    RIVAL_WRITES,
    JobState,
)
from trainingjob_operator.logic.state.outcomes import (
    DENIED_RETRY_FIRST,
    DENIED_RETRY_SECONDS,
    PROBE_RETRY_FIRST,
    PROBE_SHARE,
    RETRY_FIRST,
    THROTTLED_RETRY_SECONDS,
    Attempted,
    AttemptSettled,
    Described,
    Dismissed,
    Doubted,
    DoubtEnded,
    Failed,
    Forgiven,
    Hinted,
    JobMissing,
    Outdone,
    OwnerChecked,
    PlaceShown,
    Queued,
    Stopping,
    TagsRead,
    Woken,
)
from trainingjob_operator.logic.state.ownership import TagProof, Verdict

RUNS = Observation({"trainingJobStatus": "InProgress"})


def error(kind: ErrorClass = ErrorClass.RETRY) -> AwsError:
    return AwsError("DescribeTrainingJob", "Code", "words", kind, definite=True)


def test_the_time_of_the_first_not_found_is_kept_until_the_job_is_found() -> None:
    missing = remembered(needs_describe=True).after(JobMissing(10.0)).after(JobMissing(40.0))
    assert missing == remembered(not_found=True, not_found_since=10.0, described_at=40.0)
    assert missing.after(Described(RUNS, 50.0, Observation())) == remembered(described_at=50.0, observation=RUNS)


@pytest.mark.parametrize(
    ("kind", "first", "longest"),
    [
        (ErrorClass.RETRY, RETRY_FIRST, RETRY_SECONDS),
        (ErrorClass.THROTTLED, RETRY_FIRST, THROTTLED_RETRY_SECONDS),
        (ErrorClass.DENIED, DENIED_RETRY_FIRST, DENIED_RETRY_SECONDS),
    ],
)
def test_the_back_off_of_errors_grows_up_to_a_limit(kind: ErrorClass, first: float, longest: float) -> None:
    memory, now, pauses = remembered(), 5.0, []
    for _ in range(12):
        memory = memory.after(Failed("Op", error(kind), now, 1.0))
        pauses.append(memory.job.troubles["Op"].retry_at - now)
        now = memory.job.troubles["Op"].retry_at
    assert pauses[:2] == [first, 2 * first]
    assert pauses == sorted(pauses)
    assert pauses[-1] == longest
    assert memory.job.troubles["Op"].since == 5.0
    assert memory.job.troubles["Op"].failures == 12


def test_the_back_off_has_jitter() -> None:
    memory = remembered()
    memory = memory.after(Failed("Op", error(), 0.0, 0.5))
    assert memory.job.troubles["Op"].retry_at == RETRY_FIRST / 2


def test_a_move_to_another_job_clears_the_state_of_the_job() -> None:
    memory = remembered(handled_request="now", marked=WANTED, decided_generation=3).turned_to(WANTED.slot, None)
    every: dict[str, Any] = {field.name: object() for field in fields(JobState)}
    full = replace(memory, job=JobState(**every))
    assert full.turned_to(WANTED.slot, None) is full
    other = (*WANTED.slot[:2], "other")
    assert full.turned_to(other, None) == replace(memory, slot=other)


def test_a_change_of_the_endpoint_clears_errors() -> None:
    memory = remembered()
    memory = memory.reached_by("one endpoint")
    memory = memory.after(Failed("Op", error(ErrorClass.DENIED), 0.0, 1.0))
    memory = memory.reached_by("one endpoint")
    assert memory.job.troubles
    memory = memory.reached_by("another endpoint")
    assert not memory.job.troubles


def test_a_change_of_the_namespaces_endpoint_clears_the_state_of_the_job() -> None:
    memory = remembered(arn=ARN, created_at=1.0, claim=Verdict.CREATED, proof=TagProof.SAME_OBJECT)
    memory = memory.turned_to(WANTED.slot, "https://fake")
    assert memory.job.owner.claim is Verdict.CREATED
    memory = memory.turned_to(WANTED.slot, None)
    assert memory == remembered(slot=WANTED.slot)


def test_the_existence_of_another_object_is_cached_for_a_minute() -> None:
    memory = remembered()
    assert memory.job.owner.exists(0.0) is None
    memory = memory.after(OwnerChecked(exists=False, now=10.0))
    assert memory.job.owner.exists(69.0) is False
    assert memory.job.owner.exists(70.0) is None


def test_a_reconcile_request_ends_back_off_but_keeps_an_unknown_attempt() -> None:
    memory = remembered(name_taken=True, unsettled=True, doubtful_since=3.0, doubtful_rounds=2)
    memory = memory.after(Failed("Op", error(), 0.0, 1.0))
    memory = memory.after_request("now")
    assert memory.handled_request == "now"
    assert memory.job.needs_describe
    assert memory.asked
    assert memory.job.troubles == {}
    assert memory.job.attempt.name_taken, "the owner of the name is still unknown"
    assert (memory.job.attempt.doubtful_since, memory.job.attempt.doubtful_rounds) == (None, 0)
    settled = remembered(name_taken=True)
    settled = settled.after_request("now")
    assert not settled.job.attempt.name_taken, "the name may be free"


def test_a_settled_attempt_leaves_no_state() -> None:
    memory = remembered(name_taken=True, unsettled=True)
    memory = memory.after(Described(RUNS, 1.0, Observation()))
    memory = memory.after(JobMissing(2.0))
    memory = memory.after(TagsRead({}, 1, TagProof.NONE)).after(OwnerChecked(exists=True, now=1.0))
    memory = memory.after(AttemptSettled())
    assert memory == remembered(tags_generation=1)


@pytest.mark.parametrize("manager", ["velero-server", "kubectl-patch"])
def test_rare_writes_by_others_are_not_another_controller(manager: str) -> None:
    memory = remembered()
    for number in range(10):
        memory = memory.after_foreign_write(manager, number * RIVAL_SECONDS / (RIVAL_WRITES - 1))
        assert memory.rival.passive_until is None
        assert (memory.rival.disputed, memory.job.needs_describe) == (True, True), "the operator overwrites the status"


@pytest.mark.parametrize(("manager", "writes"), [(ACK_MANAGER, 1), ("dashboard", RIVAL_WRITES)])
def test_another_controller_makes_the_object_passive_for_ten_minutes_after_its_last_write(
    manager: str, writes: int
) -> None:
    memory = remembered()
    for number in range(writes):
        assert memory.rival.passive_until is None
        memory = memory.after_foreign_write(manager, 100.0 + number)
    last = 100.0 + writes - 1
    assert memory.rival.foreign_writer == manager
    assert memory.rival.passive_until == last + PASSIVE_SECONDS
    memory = replace(memory, rival=replace(memory.rival, passive_shown=True))
    memory = memory.after_foreign_write("dashboard", last + PASSIVE_SECONDS - 1.0)
    assert memory.rival.passive_until == last + 2 * PASSIVE_SECONDS - 1.0
    assert memory.rival.passive_shown
    memory = memory.after_foreign_write(manager, 5000.0)
    assert not memory.rival.passive_shown


def test_a_hint_triggers_a_describe() -> None:
    memory = remembered()
    memory = memory.after(Hinted(RUNS))
    assert memory.job.needs_describe
    assert memory.job.hint is RUNS


def test_a_recovered_service_ends_the_back_off_except_for_denials() -> None:
    memory = remembered()
    memory = memory.after(Failed("Passing", error(ErrorClass.RETRY), 0.0, 1.0))
    memory = memory.after(Failed("Denied", error(ErrorClass.DENIED), 0.0, 1.0))
    assert memory.job.may_forgive(0.5)
    memory = memory.after(Forgiven(0.5))
    assert memory.job.troubles["Passing"].retry_at == 0.5
    assert memory.job.troubles["Denied"].retry_at == DENIED_RETRY_FIRST
    assert not memory.job.may_forgive(0.5)


def test_a_permitted_call_wakes_other_denied_objects_once() -> None:
    denied = remembered().after(Failed("Stop", error(ErrorClass.DENIED), 0.0, 1.0))
    unavailable = remembered().after(Failed("Stop", error(ErrorClass.RETRY), 0.0, 1.0))
    assert denied.job.has_news("Stop")
    assert not denied.after(Dismissed("Stop")).job.troubles
    assert denied.job.may_wake("Stop", 1.0)
    woken = denied.after(Woken("Stop", 1.0))
    assert woken.job.troubles["Stop"].retry_at == 1.0
    assert not woken.job.may_wake("Stop", 1.0), "the retry is already due"
    assert not woken.job.has_news("Stop")
    assert not unavailable.job.may_wake("Stop", 0.5), "an unavailable service is not a denial"
    assert not unavailable.job.has_news("Stop")
    assert not remembered().job.has_news("Stop"), "no call failed"
    assert remembered().after(Dismissed("Stop")) == remembered()


def test_a_probe_retries_sooner_with_a_growing_back_off() -> None:
    memory, now, pauses = remembered(), 0.0, []
    for _ in range(30):
        memory = memory.after(Failed("Stop", error(ErrorClass.DENIED), now, 1.0, is_probe=True))
        pauses.append(memory.job.troubles["Stop"].retry_at - now)
        now += pauses[-1]
    assert pauses[:5] == [PROBE_RETRY_FIRST] * 5
    assert pauses[6] == pytest.approx(PROBE_SHARE * sum(pauses[:6]))
    assert pauses == sorted(pauses)
    assert pauses[-1] == DENIED_RETRY_SECONDS


def test_an_object_denied_after_waking_can_be_woken_again() -> None:
    memory = remembered()
    memory = memory.after(Failed("Stop", error(ErrorClass.DENIED), 0.0, 1.0))
    memory = memory.after(Woken("Stop", 1.0))
    memory = memory.after(Failed("Stop", error(ErrorClass.DENIED), 1.0, 1.0))
    assert memory.job.troubles["Stop"].retry_at == 1.0 + 2 * DENIED_RETRY_FIRST
    assert memory.job.may_wake("Stop", 2.0)


@pytest.mark.parametrize(
    ("generation", "region", "kept"), [(1, REGION, 5.0), (2, REGION, None), (1, "eu-west-1", None)]
)
def test_doubtful_errors_count_for_one_generation_and_policy(generation: int, region: str, kept: float | None) -> None:
    policy = resolve(resource(), {}, Defaults(ACCOUNT, REGION))
    memory = remembered()
    memory = memory.after(Attempted(1, policy))
    for _ in range(2):
        memory = memory.after(Doubted(5.0)).after(DoubtEnded())
    memory = memory.after(Attempted(generation, replace(policy, region=region)))
    assert memory.job.attempt.doubtful_since == kept
    assert memory.job.attempt.doubtful_rounds == (0 if kept is None else 2)


def test_the_back_off_of_a_lasting_create_error_grows_with_its_duration() -> None:
    memory, now = remembered(), 0.0
    for _ in range(40):
        memory = memory.after(Failed("Create", error(ErrorClass.RETRY), now, 1.0, is_lasting=True))
        pause = memory.job.troubles["Create"].retry_at - now
        assert pause <= max(RETRY_SECONDS, 0.1 * now) + 1e-6
        now = memory.job.troubles["Create"].retry_at
    assert pause > 200.0


def test_a_quota_too_small_for_the_job_is_retried_rarely_and_outside_the_capacity_queue() -> None:
    waiting, too_small = remembered(), remembered()
    waiting = waiting.after(Failed("Create", error(ErrorClass.WAITING), 0.0, 1.0))
    assert waiting.job.troubles["Create"].waits_for_capacity
    too_small = too_small.after(
        Failed("Create", error(ErrorClass.WAITING), 0.0, 1.0, finding=Finding("QuotaTooSmall", "words"))
    )
    assert not too_small.job.troubles["Create"].waits_for_capacity
    assert too_small.job.troubles["Create"].retry_at == 300.0


def test_a_reconcile_request_retries_a_rejected_intent_at_once() -> None:
    memory = remembered()
    pauses = []
    for _ in range(3):
        memory = replace(memory, unmarked=memory.refuse_mark((1, 2), "words", 10.0, 1.0))
        assert memory.unmarked is not None
        pauses.append(memory.unmarked.retry_at - 10.0)
    assert pauses == [2.0, 4.0, 8.0]
    memory = memory.after_request("again")
    assert memory.unmarked is not None
    assert memory.unmarked.retry_at == 0.0


def test_only_failures_between_successful_creates_count_against_the_spec() -> None:
    memory = remembered()
    counts = []
    for created in (0, 1, 1, 5, 5):
        memory = memory.after(Outdone(created))
        counts.append(memory.job.attempt.outdone)
    assert counts == [0, 1, 1, 2, 2]


def test_a_repeated_stop_or_position_keeps_the_first_time() -> None:
    job = JobState()
    for now in (1.0, 2.0):
        job = PlaceShown("2 ahead", now).after(Queued(now).after(Stopping(now).after(job)))
    assert job.stop.stopping_since == 1.0
    assert job.attempt.waiting_since == 1.0
    assert job.attempt.place_shown == ("2 ahead", 1.0)
    assert PlaceShown("1 ahead", 3.0).after(job).attempt.place_shown == ("1 ahead", 3.0)


def test_a_finished_object_keeps_only_state_missing_in_the_status() -> None:
    kept: dict[str, Any] = {"described_at": 1.0, "ended_at": 2.0, "counted": {}, "foreign_writes": (3.0,), "term": 4}
    memory = remembered(arn=ARN, applied_fields=("x",), asked=True, **kept)
    assert memory.after_end() == remembered(**kept)
