"""Reading a job's log streams from CloudWatch Logs."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.aws.conftest import REGION, RawServer, Request, answer_json
from trainingjob_operator.aws.calls import Caller
from trainingjob_operator.aws.credentials import Sessions
from trainingjob_operator.aws.gateway import Target
from trainingjob_operator.aws.logs import LOG_GROUP, LogReader
from trainingjob_operator.logic.errors import AwsError, ErrorClass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sagemaker.stand_in import StandIn

START = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)


@pytest.fixture
def reader() -> Iterator[LogReader]:
    caller = Caller(threads=2, clock=time.monotonic)
    sessions = Sessions(region=REGION, version="0", connections=2, clock=time.monotonic, before_send=caller.before_send)
    yield LogReader(Target("123456789012", REGION), caller=caller, sessions=sessions)
    caller.close()
    sessions.close()


def event(number: int, seconds: float, stream: str = "job/algo-1") -> dict[str, Any]:
    at = int((START + timedelta(seconds=seconds)).timestamp() * 1000)
    return {"eventId": str(number), "timestamp": at, "logStreamName": stream, "message": f"line {number}"}


async def test_lines_of_all_containers_of_one_job_are_read(
    sagemaker: StandIn, reader: LogReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", sagemaker.url)
    logs = sagemaker.client("logs")
    logs.create_log_group(logGroupName=LOG_GROUP)
    at = int(START.timestamp() * 1000)
    for stream in ("job/algo-1", "job/algo-2"):
        logs.create_log_stream(logGroupName=LOG_GROUP, logStreamName=stream)
        logs.put_log_events(
            logGroupName=LOG_GROUP,
            logStreamName=stream,
            logEvents=[{"timestamp": at, "message": f"hello from {stream}"}],
        )
    logs.close()
    lines = [line async for line in reader.tail("job", follow=lambda: False)]
    assert sorted(line.text for line in lines) == ["hello from job/algo-1", "hello from job/algo-2"]
    assert {line.time for line in lines} == {START}


async def test_following_shows_every_line_once_and_ends_after_a_last_look(
    reader: LogReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = [
        {"events": [event(1, 0), event(2, 1)], "nextToken": "more"},
        {"events": [event(3, 60)]},
        {"events": [event(3, 60), event(4, 45), event(5, 61)]},
        {"events": [event(5, 61), event(6, 62)]},
    ]
    requests: list[Request] = []

    async def behave(request: Request) -> tuple[int, bytes]:
        requests.append(request)
        return answer_json(looks.pop(0))

    again = iter([True, True, False])
    async with RawServer(behave) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        lines = [line async for line in reader.tail("job", follow=lambda: next(again), pause_seconds=0.01)]
    assert [line.text for line in lines] == [f"line {number}" for number in range(1, 7)]
    assert looks == []
    assert all(b'"logStreamNamePrefix": "job/"' in request.body for request in requests)


async def test_a_job_that_has_printed_nothing_has_no_lines(reader: LogReader, monkeypatch: pytest.MonkeyPatch) -> None:
    async def behave(_: Request) -> tuple[int, bytes]:
        return answer_json({"__type": "ResourceNotFoundException", "message": "no such group"}, 400)

    async with RawServer(behave) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        assert [line async for line in reader.tail("job", follow=lambda: False)] == []


async def test_a_missing_permission_is_an_error(reader: LogReader, monkeypatch: pytest.MonkeyPatch) -> None:
    async def behave(_: Request) -> tuple[int, bytes]:
        return answer_json({"__type": "AccessDeniedException", "message": "not yours"}, 400)

    async with RawServer(behave) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        with pytest.raises(AwsError) as raised:
            [line async for line in reader.tail("job", follow=lambda: False, since=START)]
    assert raised.value.kind is ErrorClass.DENIED
