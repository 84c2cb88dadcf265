"""What a job's containers print, read from CloudWatch Logs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from trainingjob_operator.aws.credentials import READING_TIMEOUTS, Sessions
from trainingjob_operator.logic.errors import AwsError, ErrorClass

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from trainingjob_operator.aws.calls import Caller
    from trainingjob_operator.aws.gateway import Target

LOG_GROUP: Final = "/aws/sagemaker/TrainingJobs"
"""The group of every training job's streams; they are named "<job name>/<container>"."""
LATENESS: Final = timedelta(seconds=30)
"""How much later than its time a line may appear."""
DEADLINE_SECONDS: Final = 30.0
"""How long one look may take."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of one container; the time is in UTC."""

    time: datetime
    stream: str
    text: str


class LogReader:
    """The logs of the jobs of one target."""

    def __init__(self, target: Target, *, caller: Caller, sessions: Sessions) -> None:
        self._target = target
        self._caller = caller
        self._sessions = sessions
        self._slots = asyncio.Semaphore(1)

    async def tail(
        self,
        job_name: str,
        *,
        follow: Callable[[], bool],
        since: datetime | None = None,
        pause_seconds: float = 2.0,
    ) -> AsyncIterator[LogLine]:
        """Every line once, each look's in order of time; raises AwsError.

        :param follow: whether to look again; asked before each look, so that the last one sees what was last printed
        :param since: lines before it are left out
        """
        start = since or datetime.fromtimestamp(0, UTC)
        seen: dict[str, datetime] = {}
        while True:
            again = follow()
            newest = start
            token: str | None = None
            while True:
                events, token = await self._look(job_name, start, token)
                for event_id, line in events:
                    if event_id not in seen:
                        seen[event_id] = line.time
                        newest = max(newest, line.time)
                        yield line
                if token is None:
                    break
            if not again:
                return
            start = max(start, newest - LATENESS)
            seen = {event_id: time for event_id, time in seen.items() if time >= start}
            await asyncio.sleep(pause_seconds)

    async def _look(
        self, job_name: str, start: datetime, token: str | None
    ) -> tuple[list[tuple[str, LogLine]], str | None]:
        request = {
            "logGroupName": LOG_GROUP,
            "logStreamNamePrefix": f"{job_name}/",
            "startTime": int(start.timestamp() * 1000),
        }
        if token is not None:
            request["nextToken"] = token
        try:
            answer = await self._caller.call(
                "FilterLogEvents",
                lambda: self._filter(request),
                deadline=DEADLINE_SECONDS,
                slots=self._slots,
            )
        except AwsError as failure:
            if failure.kind is ErrorClass.NOT_FOUND:  # nothing was printed yet
                return [], None
            raise
        return list(_read_events(answer)), answer.get("nextToken")

    def _filter(self, request: dict[str, Any]) -> dict[str, Any]:
        client = self._sessions.client(
            "logs",
            region=self._target.region,
            timeouts=READING_TIMEOUTS,
            role_arn=self._target.role_arn,
            external_id=self._target.external_id,
        )
        answer: dict[str, Any] = client.filter_log_events(**request)
        return answer


def _read_events(answer: dict[str, Any]) -> Iterator[tuple[str, LogLine]]:
    for event in answer.get("events", ()):
        time = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
        yield event["eventId"], LogLine(time, event["logStreamName"], event["message"])
