"""Events are relied on from the first that brought news until one was missing, for each account and region."""

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
    """Events flow in both places since 0."""
    flow = EventFlow()
    flow.note_event(JOB, TRAINING, 0, is_news=True)
    flow.note_event(FAR, TRAINING, 0, is_news=True)
    return flow


def test_events_flow_from_the_first_news_on_where_they_came_from() -> None:
    flow = EventFlow()
    flow.note_event(JOB, TRAINING, 0, is_news=False)
    assert not flow.is_flowing(PLACE, 0)
    flow.note_event(JOB, TRAINING, 1, is_news=True)
    assert flow.is_flowing(PLACE, 1)
    assert not flow.is_flowing(ELSEWHERE, 1)


def test_silence_alone_is_no_reason_for_distrust(flow: EventFlow) -> None:
    assert flow.is_flowing(PLACE, 1e6)


def test_a_change_that_no_event_tells_of_in_time_ends_it_there_for_a_while(flow: EventFlow) -> None:
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
    ("slot", "told", "flows"),
    [
        pytest.param(JOB, UPLOADING, True, id="the same"),
        pytest.param(JOB, observed(TrainingJobStatus="Completed").summary(), True, id="a later one"),
        pytest.param(JOB, TRAINING, False, id="an earlier one"),
        pytest.param(OTHER, UPLOADING, False, id="another job's"),
    ],
)
def test_a_found_change_is_settled_by_an_event_that_is_not_older(
    flow: EventFlow, slot: tuple[str, str, str], told: object, flows: bool
) -> None:
    flow.note_found(JOB, UPLOADING, 100)
    flow.note_event(slot, told, 105, is_news=False)  # type: ignore[arg-type]
    assert flow.is_flowing(PLACE, 100 + GRACE_SECONDS) is flows


def test_a_change_found_again_gives_the_event_no_more_time(flow: EventFlow) -> None:
    flow.note_found(JOB, UPLOADING, 100)
    flow.note_found(JOB, UPLOADING, 105)
    assert not flow.is_flowing(PLACE, 100 + GRACE_SECONDS)


def test_without_the_queue_no_event_flows_until_the_next_one(flow: EventFlow) -> None:
    flow.note_found(JOB, UPLOADING, 100)
    flow.note_failure()
    assert not flow.is_flowing(PLACE, 100)
    assert not flow.is_flowing(ELSEWHERE, 100)
    flow.note_event(JOB, UPLOADING, 101, is_news=True)
    assert flow.is_flowing(PLACE, 200)


def test_what_was_found_while_no_events_flowed_is_nobodys_fault() -> None:
    flow = EventFlow()
    flow.note_found(OTHER, UPLOADING, 0)
    flow.note_event(JOB, TRAINING, 1, is_news=True)
    assert flow.is_flowing(PLACE, 1000)


def test_what_is_known_of_a_place_lasts_as_long_as_an_object_names_it(flow: EventFlow) -> None:
    flow.note_found(JOB, UPLOADING, 0)
    flow.keep({PLACE})
    assert flow.is_flowing(PLACE, GRACE_SECONDS / 2)
    assert not flow.is_flowing(ELSEWHERE, 0)
    flow.keep(set())
    assert flow == EventFlow()


def test_distrust_of_a_place_that_no_object_names_is_forgotten(flow: EventFlow) -> None:
    flow.note_found(JOB, UPLOADING, 0)
    assert not flow.is_flowing(PLACE, GRACE_SECONDS)
    flow.keep(set())
    assert flow == EventFlow()
