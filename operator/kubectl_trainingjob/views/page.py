"""The page of `describe`: the outcome first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kubectl_trainingjob.logic.durations import format_age, format_duration
from kubectl_trainingjob.logic.explanation import explain
from kubectl_trainingjob.logic.job import Outcome, as_list, as_mapping, as_text
from kubectl_trainingjob.logic.text import escape
from kubectl_trainingjob.logic.timeline import build_lane
from kubectl_trainingjob.views.colors import OUTCOMES
from kubectl_trainingjob.views.explanation_view import draw_explanations
from kubectl_trainingjob.views.metric_view import build_final_table
from kubectl_trainingjob.views.timeline_view import draw_lanes
from trainingjob_operator.logic.timestamps import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from rich.console import RenderableType

    from kubectl_trainingjob.logic.job import Job

Row = tuple[str, str]

MAX_EVENTS = 20
"""Number of Events on the page, the newest."""


def draw_page(
    job: Job, events: Sequence[Mapping[str, Any]], now: datetime, *, width: int, values: bool
) -> Iterator[RenderableType]:
    """Yield the parts of the page; `values` shows those of environment and hyperparameters."""
    yield _draw_headline(job)
    if job.outcome is not Outcome.SUCCEEDED or job.advisory:
        yield from draw_explanations(job, explain(job, now))
    sections: list[tuple[str, list[RenderableType]]] = [
        ("Timeline", [*draw_lanes([build_lane(job, now)], width)[1:]]),
        ("Job", [_build_facts(_list_facts(job))]),
        ("Times", [_build_facts(_list_times(job, now))]),
        ("Input", [_build_facts(_list_input(job, values=values))]),
        ("Artifacts", [_build_facts(_list_artifacts(job))]),
        ("Metrics", [build_final_table(job)] if job.final_metrics else []),
        ("Conditions", [_build_conditions(job, now)] if job.conditions else []),
        ("Events", [_build_events(events[-MAX_EVENTS:], now)] if events else []),
    ]
    for title, parts in sections:
        if any(not isinstance(part, Table) or part.row_count for part in parts):
            yield Text(f"\n{title}", style="bold")
            yield from (Padding(part, (0, 0, 0, 2), expand=False) for part in parts)


def _draw_headline(job: Job) -> Text:
    text = Text.assemble((job.name, "bold"), "  ", (escape(job.phase), f"bold {OUTCOMES[job.outcome]}"))
    training, billable = job.number("trainingTimeInSeconds"), job.billable_instance_seconds
    savings = job.number("managedSpotTrainingSavings")
    if training is not None:
        text.append(f"  trained {format_duration(training)}")
    if billable is not None:
        text.append(f", billable {format_duration(billable)}{_of_instances(job)}")
    if savings is not None:
        text.append(f", {savings} % saved by spot")
    return text


def _of_instances(job: Job) -> str:
    return f" of {job.instance_count} instances" if job.instance_count > 1 else ""


def _list_facts(job: Job) -> Iterator[Row]:
    yield "Object", f"{job.namespace}/{job.name}"
    yield "Training job", job.job_name
    yield "ARN", job.arn
    yield "Instance", job.instance
    yield "Spot", "yes" if job.spec.get("enableManagedSpotTraining") else ""
    yield "Role", as_text(job.spec.get("roleARN"))
    algorithm = as_mapping(job.spec.get("algorithmSpecification"))
    yield "Image", as_text(algorithm.get("trainingImage")) or as_text(algorithm.get("algorithmName"))
    yield "Warm pool", as_text(as_mapping(job.status.get("warmPoolStatus")).get("status"))


def _list_times(job: Job, now: datetime) -> Iterator[Row]:
    moments = (
        ("Created", job.time("creationTime") or job.created),
        ("Training started", job.time("trainingStartTime")),
        ("Ended", job.time("trainingEndTime")),
    )
    for label, moment in moments:
        if moment:
            yield label, f"{moment:%Y-%m-%d %H:%M:%S}Z ({format_age((now - moment).total_seconds())} ago)"


def _list_input(job: Job, *, values: bool) -> Iterator[Row]:
    for channel in map(as_mapping, as_list(job.spec.get("inputDataConfig"))):
        source = as_mapping(as_mapping(channel.get("dataSource")).get("s3DataSource"))
        yield f"Channel {as_text(channel.get('channelName'))}", as_text(source.get("s3URI")) or "file system"
    for label, field in (("Hyperparameters", "hyperParameters"), ("Environment", "environment")):
        given = as_mapping(job.spec.get(field))
        if given and not values:
            yield label, f"{len(given)} hidden; --show-values shows them"
        elif given:
            yield label, "\n".join(f"{name}={value}" for name, value in given.items())


def _list_artifacts(job: Job) -> Iterator[Row]:
    artifacts = as_mapping(job.status.get("modelArtifacts"))
    output = as_mapping(job.spec.get("outputDataConfig"))
    yield "Model", as_text(artifacts.get("s3ModelArtifacts"))
    yield "Output path", as_text(output.get("s3OutputPath"))
    yield "Checkpoints", as_text(as_mapping(job.spec.get("checkpointConfig")).get("s3URI"))
    yield "Logs", f"{job.log_group}/{job.log_prefix}" if job.arn else ""
    yield "Console", job.text("consoleURL")


def _build_facts(rows: Iterator[Row]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in rows:
        if value:
            table.add_row(escape(label), Text(escape(value)))
    return table


def _build_conditions(job: Job, now: datetime) -> Table:
    table = _open_table("TYPE", "STATUS", "REASON", "SINCE", "MESSAGE")
    for each in job.conditions:
        since = "-" if each.since is None or each.since.year < 1971 else format_age((now - each.since).total_seconds())
        texts = (each.type, each.status, each.reason, since, each.message)
        table.add_row(*(Text(escape(text)) for text in texts))
    return table


def _build_events(events: Sequence[Mapping[str, Any]], now: datetime) -> Table:
    table = _open_table("AGE", "TYPE", "REASON", "MESSAGE")
    for event in events:
        moment = parse_time(event.get("lastTimestamp")) or parse_time(event.get("eventTime"))
        age = format_age((now - moment).total_seconds()) if moment else "-"
        texts = (age, as_text(event.get("type")), as_text(event.get("reason")), as_text(event.get("message")))
        style = "yellow" if event.get("type") == "Warning" else ""
        table.add_row(*(Text(escape(text), style=style) for text in texts))
    return table


def _open_table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for head in heads:
        table.add_column(head, no_wrap=head != "MESSAGE", overflow="fold")
    return table
