"""Trust in the event queue of an account and region, from the first useful event to the first missing one."""

from __future__ import annotations

import pytest

from tests.logic.answers import after, observed
from trainingjob_operator.logic.jobs.event_flow import DISTRUST_SECONDS, GRACE_SECONDS, EventFlow

PLACE, ELSEWHERE = ("1", "r"), ("1", "q")
JOB, OTHER, FAR = (*PLACE, "job"), (*PLACE, "other"), (*ELSEWHERE, "job")
TRAINING = observed(SecondaryStatus="Training", LastModifiedTime=after(60)).summary()
UPLOADING = observed(SecondaryStatus="Uploading", LastModifiedTime=after(90)).summary()


@pytest.fixture
def flow() -> EventFlow:
    """Events flow in both regions since second 0."""
    flow = EventFlow()
    flow.note_event(JOB, TRAINING, 0, is_news=True)
    flow.note_event(FAR, TRAINING, 0, is_news=True)
    return flow


def test_events_flow_from_the_first_useful_event_of_a_region() -> None:
    flow = EventFlow()
    flow.note_event(JOB, TRAINING, 0, is_news=False)
    assert not flow.is_flowing(PLACE, 0)
    flow.note_event(JOB, TRAINING, 1, is_news=True)
    assert flow.is_flowing(PLACE, 1)
    assert not flow.is_flowing(ELSEWHERE, 1)


def test_silence_alone_keeps_the_trust(flow: EventFlow) -> None:
    assert flow.is_flowing(PLACE, 1e6)


def test_a_change_without_a_timely_event_suspends_the_trust_in_its_region(flow: EventFlow) -> None:
    flow.note_found(JOB, UPLOADING, 100)
    assert flow.is_flowing(PLACE, 100 + GRACE_SECONDS - 1)
    ended = 100 + GRACE_SECONDS
    assert not flow.is_flowing(PLACE, ended)
    assert flow.is_flowing(ELSEWHERE, ended)
    flow.note_event(JOB, UPLOADING, ended + 1, is_news=True)
    assert not flow.is_flowing(PLACE, ended + 1)
    flow.note_event(OTHER, UPLOADING, ended + DISTRUST_SECONDS, is_news=True)
    assert flow.is_flowing(PLACE, ended + DISTRUST_SECONDS)


@pytest.mark.parametrize(
    ("slot", "reported", "flows"),
    [
        pytest.param(JOB, UPLOADING, True, id="the same"),
        pytest.param(JOB, observed(TrainingJobStatus="Completed").summary(), True, id="a later one"),
        pytest.param(JOB, TRAINING, False, id="an earlier one"),
        pytest.param(OTHER, UPLOADING, False, id="another job's"),
    ],
)
def test_a_found_change_is_confirmed_by_an_event_of_the_same_or_later_time(
    flow: EventFlow, slot: tuple[str, str, str], reported: object, flows: bool
) -> None:
    flow.note_found(JOB, UPLOADING, 100)
    flow.note_event(slot, reported, 105, is_news=False)  # type: ignore[arg-type]
    assert flow.is_flowing(PLACE, 100 + GRACE_SECONDS) is flows


def test_a_repeated_finding_does_not_extend_the_deadline_of_the_event(flow: EventFlow) -> None:
    flow.note_found(JOB, UPLOADING, 100)
    flow.note_found(JOB, UPLOADING, 105)
    assert not flow.is_flowing(PLACE, 100 + GRACE_SECONDS)


def test_a_failed_queue_suspends_the_trust_until_the_next_event(flow: EventFlow) -> None:
    flow.note_found(JOB, UPLOADING, 100)
    flow.note_failure()
    assert not flow.is_flowing(PLACE, 100)
    assert not flow.is_flowing(ELSEWHERE, 100)
    flow.note_event(JOB, UPLOADING, 101, is_news=True)
    assert flow.is_flowing(PLACE, 200)


def test_changes_found_before_the_first_event_do_not_count() -> None:
    flow = EventFlow()
    flow.note_found(OTHER, UPLOADING, 0)
    flow.note_event(JOB, TRAINING, 1, is_news=True)
    assert flow.is_flowing(PLACE, 1000)


def test_the_trust_in_a_region_lasts_while_an_object_uses_it(flow: EventFlow) -> None:
    flow.note_found(JOB, UPLOADING, 0)
    flow.keep({PLACE})
    assert flow.is_flowing(PLACE, GRACE_SECONDS / 2)
    assert not flow.is_flowing(ELSEWHERE, 0)
    flow.keep(set())
    assert flow == EventFlow()


def test_distrust_of_an_unused_region_is_forgotten(flow: EventFlow) -> None:
    flow.note_found(JOB, UPLOADING, 0)
    assert not flow.is_flowing(PLACE, GRACE_SECONDS)
    flow.keep(set())
    assert flow == EventFlow()
