"""Observation of objects over time: states by repeated reads, log lines until the end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from kubectl_trainingjob.errors import CommandError
from kubectl_trainingjob.kubectl import Kubectl, NotFound, Unreachable
from kubectl_trainingjob.logic.log_lines import LogLine, ShownLines
from kubectl_trainingjob.logic.text import escape, escape_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kubectl_trainingjob.aws import Account
    from kubectl_trainingjob.logic.job import Job
    from kubectl_trainingjob.screen import Screen
    from trainingjob_operator.logic.naming import Identity

POLL_SECONDS = 1.5
"""Time between two reads; a person sees no difference to a watch, and a read needs no reconnection."""
QUIET_READS = 3
"""Number of reads without a new line after the end of a job: CloudWatch shows the last lines late."""
PATIENCE_SECONDS = 60.0
"""Time without an answer of the API server that is waited out."""

_PALETTE = ("cyan", "magenta", "green", "yellow", "blue", "bright_red")


def follow_states(kubectl: Kubectl, names: Sequence[str], seconds: float | None) -> Iterator[list[Job]]:
    """Yield the objects at each read, until all have ended or the time is over. Raises CommandError."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        jobs = _read_patiently(kubectl, names)
        yield jobs
        now = time.monotonic()
        if all(job.outcome.is_final for job in jobs) or (deadline is not None and now >= deadline):
            return
        time.sleep(POLL_SECONDS if deadline is None else min(POLL_SECONDS, deadline - now))


def _read_patiently(kubectl: Kubectl, names: Sequence[str]) -> list[Job]:
    """Read the objects; a short absence of the API server is no end."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return kubectl.get(names)
        except NotFound as error:
            raise CommandError(f"{error} It was deleted, or never existed.") from error
        except Unreachable:
            if time.monotonic() >= deadline:
                raise
            time.sleep(POLL_SECONDS)


class StateNews:
    """Writes a line to standard error for each new state of an object."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._told: dict[str, str] = {}

    def tell(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            state = describe_state(job)
            if self._told.get(job.name) != state:
                self._told[job.name] = state
                self._screen.tell(f"{job.name}: {state}")


def open_account(identity: Identity, profile: str) -> Account:
    """Return the account of a job; boto3 is imported here, since it takes most of the start of a command."""
    from kubectl_trainingjob.aws import Account  # noqa: PLC0415

    return Account(identity, profile)


def describe_state(job: Job) -> str:
    """Return the state of an object in one line."""
    step = job.secondary_status
    state = job.phase if not step or step == job.phase else f"{job.phase}, {step}"
    message = job.status_message if job.arn else job.ready.message if job.ready else ""
    return escape(f"{state} ({message})" if message else state or "no status yet")


@dataclass(frozen=True, slots=True)
class LogRequest:
    """The lines that a person wants."""

    instances: Sequence[str] = ()
    tail: int | None = None
    start: int | None = None
    """Milliseconds since the epoch."""
    timestamps: bool = False
    profile: str = ""


class LogReader:
    """Shows the log lines of one object, each once, in order of time."""

    def __init__(self, screen: Screen, request: LogRequest) -> None:
        self._screen = screen
        self._request = request
        self._account: Account | None = None
        self._shown = ShownLines(request.start)
        self._is_first = True
        self._is_checked = False
        self._colors: dict[str, str] = {}

    def show_new(self, job: Job) -> int:
        """Show the lines since the last call; return their number. Raises CommandError."""
        lines = self.read_new(job)
        for line in lines:
            self._screen.show_line(self._draw(line, job))
        return len(lines)

    def read_new(self, job: Job) -> list[LogLine]:
        """Return the lines since the last call in order of time."""
        identity = job.identity
        if identity is None:
            return []
        if self._account is None:
            self._account = open_account(identity, self._request.profile)
        streams = self._account.list_streams(job.log_group, job.log_prefix, self._request.instances)
        if not streams:
            if not self._is_checked:
                self._account.check_account()
                self._is_checked = True
            return []
        return self._read(self._account, job.log_group, streams)

    def _read(self, account: Account, group: str, streams: Sequence[str]) -> list[LogLine]:
        tail = self._request.tail
        start = self._shown.next_start
        if self._is_first and tail is not None:
            start = account.find_tail(group, streams, tail, self._request.start) if tail else None
            start = int(time.time() * 1000) if start is None else start
            self._shown = ShownLines(start)
        lines: list[LogLine] = []
        for page in account.read_lines(group, streams, start):
            lines += page
        fresh = self._shown.take(lines)
        if self._is_first and tail is not None:
            fresh = fresh[-tail:] if tail else []
        self._is_first = False
        return fresh

    def _draw(self, line: LogLine, job: Job) -> Text:
        text = Text.from_ansi(escape_line(line.text)) if self._screen.out.is_terminal else Text(line.text.rstrip("\n"))
        head = Text()
        if self._request.timestamps:
            head.append(f"{line.time.isoformat(timespec='milliseconds').replace('+00:00', 'Z')} ", style="dim")
        if job.instance_count > 1:
            color = self._colors.setdefault(line.instance, _PALETTE[len(self._colors) % len(_PALETTE)])
            head.append(f"{escape(line.instance)} | ", style=color)
        return head + text


def show_log(screen: Screen, job: Job, reader: LogReader) -> None:
    """Show the lines there are; say so if there is none."""
    if not reader.show_new(job):
        screen.tell(explain_silence(job))


def follow_log(kubectl: Kubectl, screen: Screen, name: str, reader: LogReader, seconds: float | None) -> Job:
    """Show lines until the end of the job and of its log; until the first line, tell each state. Return the object."""
    news, count, job = StateNews(screen), 0, None
    for [job] in follow_states(kubectl, [name], seconds):
        if count == 0:
            news.tell([job])
        count += reader.show_new(job)
    assert job is not None  # noqa: S101  follow_states yields at least once
    quiet = 0
    while job.identity is not None and job.outcome.is_final and quiet < QUIET_READS:
        time.sleep(POLL_SECONDS / 2)
        fresh = reader.show_new(job)
        count, quiet = count + fresh, 0 if fresh else quiet + 1
    if count == 0:
        screen.tell(explain_silence(job))
    return job


def explain_silence(job: Job) -> str:
    """Return why there is no log line."""
    if job.identity is None:
        return f"No log yet: {job.name} has no training job ({describe_state(job)})."
    where = f"{job.log_group} of account {job.identity.account}, region {job.identity.region}"
    return f"No log lines of {job.name} in {where}: {describe_state(job)}."
