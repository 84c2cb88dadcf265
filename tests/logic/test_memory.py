"""What outcomes leave behind in what is known of one object."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from tests.logic.objects import ACCOUNT, ARN, REGION, WANTED, resource
from trainingjob_operator.logic.annotations import Defaults, resolve
from trainingjob_operator.logic.errors import AwsError, ErrorClass
from trainingjob_operator.logic.memory import (
    ACK_MANAGER,
    DENIED_RETRY_FIRST,
    DENIED_RETRY_SECONDS,
    PASSIVE_SECONDS,
    RETRY_FIRST,
    RETRY_SECONDS,
    RIVAL_SECONDS,
    RIVAL_WRITES,
    THROTTLED_RETRY_SECONDS,
    VANGUARD_RETRY_FIRST,
    VANGUARD_SHARE,
    JobMemory,
    Memory,
)
from trainingjob_operator.logic.observation import Observation
from trainingjob_operator.logic.ownership import TagProof, Verdict
from trainingjob_operator.logic.report import Finding

RUNS = Observation({"trainingJobStatus": "InProgress"})


def error(kind: ErrorClass = ErrorClass.RETRY) -> AwsError:
    return AwsError("DescribeTrainingJob", "Code", "words", kind, definite=True)


def test_the_first_not_found_is_remembered_until_the_job_is_found() -> None:
    memory = Memory(first_seen=0.0, needs_describe=True)
    memory.note_not_found(10.0)
    memory.note_not_found(40.0)
    assert (memory.not_found, memory.not_found_since, memory.looked_at, memory.needs_describe) == (
        True,
        10.0,
        40.0,
        False,
    )
    memory.note_found(RUNS, 50.0)
    assert (memory.not_found, memory.not_found_since, memory.looked_at, memory.observation) == (False, None, 50.0, RUNS)


@pytest.mark.parametrize(
    ("kind", "first", "longest"),
    [
        (ErrorClass.RETRY, RETRY_FIRST, RETRY_SECONDS),
        (ErrorClass.THROTTLED, RETRY_FIRST, THROTTLED_RETRY_SECONDS),
        (ErrorClass.DENIED, DENIED_RETRY_FIRST, DENIED_RETRY_SECONDS),
    ],
)
def test_errors_are_waited_out_longer_each_time_up_to_a_limit(kind: ErrorClass, first: float, longest: float) -> None:
    memory, now, pauses = Memory(first_seen=0.0), 5.0, []
    for _ in range(12):
        memory.note_trouble("Op", error(kind), now, 1.0)
        pauses.append(memory.troubles["Op"].retry_at - now)
        now = memory.troubles["Op"].retry_at
    assert pauses[:2] == [first, 2 * first]
    assert pauses == sorted(pauses)
    assert pauses[-1] == longest
    assert memory.troubles["Op"].since == 5.0
    assert memory.troubles["Op"].failures == 12


def test_objects_that_fail_together_are_spread() -> None:
    memory = Memory(first_seen=0.0)
    memory.note_trouble("Op", error(), 0.0, 0.5)
    assert memory.troubles["Op"].retry_at == RETRY_FIRST / 2


def test_everything_that_was_learned_of_another_job_is_forgotten() -> None:
    memory = Memory(first_seen=0.0, handled_request="now", marked=WANTED, decided_generation=3)
    memory.turn_to(WANTED.slot, None)
    for known in fields(JobMemory):
        setattr(memory, known.name, object())
    before = replace(memory)
    memory.turn_to(WANTED.slot, None)
    assert memory == before
    other = (*WANTED.slot[:2], "other")
    memory.turn_to(other, None)
    assert memory == Memory(first_seen=0.0, slot=other, handled_request="now", marked=WANTED, decided_generation=3)


def test_errors_are_those_of_one_way_to_the_service() -> None:
    memory = Memory(first_seen=0.0)
    memory.reach_by("one endpoint")
    memory.note_trouble("Op", error(ErrorClass.DENIED), 0.0, 1.0)
    memory.reach_by("one endpoint")
    assert memory.troubles
    memory.reach_by("another endpoint")
    assert not memory.troubles


def test_another_endpoint_knows_other_jobs() -> None:
    memory = Memory(first_seen=0.0, arn=ARN, created_at=1.0, claim=Verdict.CREATED, proof=TagProof.SAME_OBJECT)
    memory.turn_to(WANTED.slot, "https://fake")
    assert memory.claim is Verdict.CREATED
    memory.turn_to(WANTED.slot, None)
    assert memory == Memory(first_seen=0.0, slot=WANTED.slot)


def test_the_existence_of_another_object_is_relied_on_for_a_minute() -> None:
    memory = Memory(first_seen=0.0)
    assert memory.owner_exists(0.0) is None
    memory.named_owner = (False, 10.0)
    assert memory.owner_exists(69.0) is False
    assert memory.owner_exists(70.0) is None


def test_a_request_ends_every_delay_but_not_the_doubt_about_an_attempt() -> None:
    memory = Memory(first_seen=0.0, name_taken=True, unsettled=True, doubtful_since=3.0, doubtful_rounds=2)
    memory.note_trouble("Op", error(), 0.0, 1.0)
    memory.note_request("now")
    assert memory.handled_request == "now"
    assert memory.needs_describe
    assert memory.asked
    assert memory.troubles == {}
    assert memory.name_taken, "who has the name is still unknown"
    assert (memory.doubtful_since, memory.doubtful_rounds) == (None, 0)
    settled = Memory(first_seen=0.0, name_taken=True)
    settled.note_request("now")
    assert not settled.name_taken, "the name may be free by now"


def test_an_attempt_that_is_over_leaves_nothing_behind() -> None:
    memory = Memory(first_seen=0.0, name_taken=True, unsettled=True)
    memory.note_found(RUNS, 1.0)
    memory.note_not_found(2.0)
    memory.proof = TagProof.NONE
    memory.forget_attempt()
    assert memory == Memory(first_seen=0.0)


@pytest.mark.parametrize("manager", ["velero-server", "kubectl-patch"])
def test_a_single_write_by_others_is_no_other_controller(manager: str) -> None:
    memory = Memory(first_seen=0.0)
    for number in range(10):
        memory.note_foreign_write(manager, number * RIVAL_SECONDS / (RIVAL_WRITES - 1))
        assert memory.passive_until is None
        assert (memory.disputed, memory.needs_describe) == (True, True), "what it has written is overwritten"


@pytest.mark.parametrize(("manager", "writes"), [(ACK_MANAGER, 1), ("dashboard", RIVAL_WRITES)])
def test_another_controller_is_left_alone_for_ten_minutes_after_its_last_write_and_reported_once(
    manager: str, writes: int
) -> None:
    memory = Memory(first_seen=0.0)
    for number in range(writes):
        assert memory.passive_until is None
        memory.note_foreign_write(manager, 100.0 + number)
    last = 100.0 + writes - 1
    assert memory.foreign_writer == manager
    assert memory.passive_until == last + PASSIVE_SECONDS
    memory.passive_shown = True
    memory.note_foreign_write("dashboard", last + PASSIVE_SECONDS - 1.0)
    assert memory.passive_until == last + 2 * PASSIVE_SECONDS - 1.0
    assert memory.passive_shown
    memory.note_foreign_write(manager, 5000.0)
    assert not memory.passive_shown


def test_news_of_a_job_is_a_reason_to_look() -> None:
    memory = Memory(first_seen=0.0)
    memory.note_told(RUNS)
    assert memory.needs_describe
    assert memory.told is RUNS


def test_what_waits_for_the_service_is_due_when_it_answers_again_and_a_missing_right_is_not() -> None:
    memory = Memory(first_seen=0.0)
    memory.note_trouble("Passing", error(ErrorClass.RETRY), 0.0, 1.0)
    memory.note_trouble("Denied", error(ErrorClass.DENIED), 0.0, 1.0)
    assert memory.forgive(0.5)
    assert memory.troubles["Passing"].retry_at == 0.5
    assert memory.troubles["Denied"].retry_at == DENIED_RETRY_FIRST
    assert not memory.forgive(0.5)


def test_who_is_allowed_what_was_denied_has_news_for_the_others_unless_they_woke_it() -> None:
    pioneer, other, healthy = (Memory(first_seen=0.0) for _ in range(3))
    for memory in (pioneer, other):
        memory.note_trouble("Stop", error(ErrorClass.DENIED), 0.0, 1.0)
    healthy.note_trouble("Stop", error(ErrorClass.RETRY), 0.0, 1.0)
    assert pioneer.note_success("Stop")
    assert not pioneer.troubles
    assert other.wake("Stop", 1.0)
    assert other.troubles["Stop"].retry_at == 1.0
    assert not other.wake("Stop", 1.0), "it is due already"
    assert not other.note_success("Stop")
    assert not healthy.wake("Stop", 0.5), "that is not what it waits for"
    assert not healthy.note_success("Stop")
    assert not healthy.note_success("Stop"), "nothing was wrong"


def test_who_tries_on_behalf_of_others_tries_sooner_but_never_all_the_time() -> None:
    memory, now, pauses = Memory(first_seen=0.0), 0.0, []
    for _ in range(30):
        memory.note_trouble("Stop", error(ErrorClass.DENIED), now, 1.0, is_vanguard=True)
        pauses.append(memory.troubles["Stop"].retry_at - now)
        now += pauses[-1]
    assert pauses[:5] == [VANGUARD_RETRY_FIRST] * 5
    assert pauses[6] == pytest.approx(VANGUARD_SHARE * sum(pauses[:6]))
    assert pauses == sorted(pauses)
    assert pauses[-1] == DENIED_RETRY_SECONDS


def test_who_was_woken_in_vain_may_be_woken_again() -> None:
    memory = Memory(first_seen=0.0)
    memory.note_trouble("Stop", error(ErrorClass.DENIED), 0.0, 1.0)
    memory.wake("Stop", 1.0)
    memory.note_trouble("Stop", error(ErrorClass.DENIED), 1.0, 1.0)
    assert memory.troubles["Stop"].retry_at == 1.0 + 2 * DENIED_RETRY_FIRST
    assert memory.wake("Stop", 2.0)


@pytest.mark.parametrize(
    ("generation", "region", "kept"), [(1, REGION, 5.0), (2, REGION, None), (1, "eu-west-1", None)]
)
def test_the_time_to_heal_in_is_that_of_one_spec_under_one_set_of_annotations(
    generation: int, region: str, kept: float | None
) -> None:
    policy = resolve(resource(), {}, Defaults(ACCOUNT, REGION))
    memory = Memory(first_seen=0.0)
    memory.note_attempt(1, policy)
    memory.doubtful_since, memory.doubtful_rounds = 5.0, 2
    memory.note_attempt(generation, replace(policy, region=region))
    assert memory.doubtful_since == kept
    assert memory.doubtful_rounds == (0 if kept is None else 2)


def test_a_create_that_fails_for_long_is_tried_at_intervals_that_grow_with_the_time() -> None:
    memory, now = Memory(first_seen=0.0), 0.0
    for _ in range(40):
        memory.note_trouble("Create", error(ErrorClass.RETRY), now, 1.0, is_lasting=True)
        pause = memory.troubles["Create"].retry_at - now
        assert pause <= max(RETRY_SECONDS, 0.1 * now) + 1e-6
        now = memory.troubles["Create"].retry_at
    assert pause > 200.0


def test_a_quota_that_is_too_small_is_tried_at_long_intervals_and_is_no_wait_for_capacity() -> None:
    waiting, too_small = Memory(first_seen=0.0), Memory(first_seen=0.0)
    waiting.note_trouble("Create", error(ErrorClass.WAITING), 0.0, 1.0)
    assert waiting.troubles["Create"].waits_for_capacity
    too_small.note_trouble("Create", error(ErrorClass.WAITING), 0.0, 1.0, finding=Finding("QuotaTooSmall", "words"))
    assert not too_small.troubles["Create"].waits_for_capacity
    assert too_small.troubles["Create"].retry_at == 300.0


def test_a_request_to_look_again_tries_a_refused_mark_at_once() -> None:
    memory = Memory(first_seen=0.0)
    assert [memory.note_unmarked((1, 2), "words", 10.0, 1.0) for _ in range(3)] == [2.0, 4.0, 8.0]
    memory.note_request("again")
    assert memory.unmarked is not None
    assert memory.unmarked.retry_at == 0.0


def test_only_failures_after_others_were_created_count_as_the_specs_own() -> None:
    memory = Memory(first_seen=0.0)
    assert [memory.note_outdone(created) for created in (0, 1, 1, 5, 5)] == [0, 1, 1, 2, 2]
