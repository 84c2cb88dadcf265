"""Parsing of EventBridge events: valid ones yield a summary, all others nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.logic.answers import ARN, CREATED, NAME, after, observed
from tests.logic.nonsense import nonsense
from trainingjob_operator.logic.jobs.job_events import JobEvent, read_event
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.naming import Identity

if TYPE_CHECKING:
    from datetime import datetime


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def event(*, without: str = "", **detail: Any) -> dict[str, Any]:
    """Event in EventBridge's form; keyword arguments replace members of its detail."""
    members = {
        "TrainingJobName": NAME,
        "TrainingJobArn": ARN,
        "TrainingJobStatus": "InProgress",
        "SecondaryStatus": "Training",
        "HyperParameters": {"eta": "0.2"},
        "CreationTime": milliseconds(CREATED),
        "LastModifiedTime": milliseconds(after(60)),
        "SecondaryStatusTransitions": [{"Status": "Starting", "StartTime": milliseconds(CREATED)}],
        "Tags": {"team": "red"},
        **detail,
    }
    whole = {
        "version": "0",
        "id": "844e2571-85d4-695f-b930-0153b71dcb42",
        "detail-type": "SageMaker Training Job State Change",
        "source": "aws.sagemaker",
        "account": "123456789012",
        "time": "2026-11-21T10:34:44Z",
        "region": "us-west-2",
        "resources": [ARN],
        "detail": {name: value for name, value in members.items() if name != without},
    }
    return {name: value for name, value in whole.items() if name != without}


def read(body: Any) -> JobEvent | None:
    return read_event(json.dumps(body))


def test_an_event_yields_the_fields_of_a_summary_for_the_job_of_its_arn() -> None:
    parsed = read(event())
    assert parsed is not None
    assert parsed.identity == Identity("123456789012", "us-west-2", NAME.lower())
    assert parsed.seen == Observation(
        fields={
            "trainingJobStatus": "InProgress",
            "secondaryStatus": "Training",
            "creationTime": "2026-11-21T10:33:44.120Z",
            "lastModifiedTime": "2026-11-21T10:34:44.120Z",
        },
        job_name=NAME,
        arn=ARN,
        whole=False,
    )


def test_an_event_and_describe_have_equal_times_for_one_change() -> None:
    parsed = read(event())
    assert parsed is not None
    described = observed(LastModifiedTime=after(60), SecondaryStatus="Training")
    assert not parsed.seen.shows_change_from(described)
    assert parsed.seen.shows_change_from(observed(LastModifiedTime=after(59), SecondaryStatus="Downloading"))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="broken JSON"),
        pytest.param("[" * 100_000, id="nested beyond any stack"),
        pytest.param("1" * 5000, id="a number too long"),
        pytest.param(None, id="no text"),
        pytest.param(json.dumps([event()]), id="a list"),
        pytest.param(json.dumps({"Message": json.dumps(event())}), id="wrapped by SNS"),
        pytest.param(json.dumps(event() | {"source": "my.app"}), id="of another source"),
        pytest.param(json.dumps(event() | {"detail-type": "SageMaker Model State Change"}), id="of another kind"),
        pytest.param(json.dumps(event(without="detail")), id="without detail"),
        pytest.param(json.dumps(event(without="TrainingJobArn")), id="without ARN"),
        pytest.param(json.dumps(event(TrainingJobArn=ARN.replace("training-job", "model"))), id="another thing's ARN"),
        pytest.param(json.dumps(event(without="TrainingJobStatus")), id="without status"),
        pytest.param(json.dumps(event(TrainingJobStatus=1)), id="a status that is no text"),
    ],
)
def test_unusable_events_are_none(body: object) -> None:
    assert read_event(body) is None


@pytest.mark.parametrize(
    "time",
    [
        milliseconds(after(60)),
        str(milliseconds(after(60))),
        after(60).timestamp(),
        str(after(60).timestamp()),
        "2026-11-21T10:34:44.120Z",
        "2026-11-21T11:34:44.120+01:00",
        "2026-11-21T10:34:44.120456789Z",
        "2026-11-21T10:34:44.120",
        "2026-11-21 10:34:44.120+0000",
    ],
)
def test_a_time_is_parsed_from_number_and_text(time: object) -> None:
    parsed = read(event(LastModifiedTime=time))
    assert parsed is not None
    assert parsed.seen.last_modified_time == after(60)


@pytest.mark.parametrize("text", ["2026-13-21T10:34:44Z", "2026-11-21", "20261121", "now", "", "1e12", "١٢٣٤٥٦٧٨٩٠"])
def test_an_invalid_text_for_a_time_is_omitted(text: str) -> None:
    parsed = read(event(LastModifiedTime=text))
    assert parsed is not None
    assert parsed.seen.last_modified_time is None


@pytest.mark.parametrize("time", [True, 0, 12, None, "2026", 1e300, -(10**400), float("nan"), float("inf"), [], 10**15])
def test_an_impossible_time_is_omitted(time: object) -> None:
    parsed = read(event(LastModifiedTime=time))
    assert parsed is not None
    assert parsed.seen.last_modified_time is None


details = st.dictionaries(st.sampled_from([*event()["detail"], "WarmPoolStatus", "TrainingEndTime"]), nonsense)


@pytest.mark.no_cover
@given(detail=details, envelope=st.dictionaries(st.sampled_from([*event()]), nonsense))
def test_parsing_accepts_any_event(detail: dict[str, Any], envelope: dict[str, Any]) -> None:
    body = event(**detail) | envelope
    parsed = read_event(json.dumps(body, default=str, skipkeys=True))
    assert parsed is None or parsed.seen.status
