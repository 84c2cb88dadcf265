"""list, usage, describe, timeline, why: one look at the objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from kubectl_trainingjob.errors import CommandError
from kubectl_trainingjob.logic.explanation import explain
from kubectl_trainingjob.logic.job import KIND, Job, Outcome
from kubectl_trainingjob.logic.outcomes import select
from kubectl_trainingjob.logic.redaction import redact
from kubectl_trainingjob.logic.timeline import align_by_clock, build_lane, total_seconds
from kubectl_trainingjob.logic.usage import sum_usage
from kubectl_trainingjob.options import (
    Duration,
    get_screen,
    jobs_argument,
    open_kubectl,
    output_option,
    read_now,
    scope_options,
    start_of,
    values_option,
)
from kubectl_trainingjob.views.explanation_view import draw_explanations
from kubectl_trainingjob.views.job_table import build_table, summarize
from kubectl_trainingjob.views.page import draw_page
from kubectl_trainingjob.views.timeline_view import draw_lanes, draw_svg
from kubectl_trainingjob.views.usage_table import build_usage_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kubectl_trainingjob.kubectl import Kubectl


def show_objects(jobs: Sequence[Job], output: str, *, values: bool, is_list: bool) -> None:
    """Write objects as json, yaml or name, with hidden values unless asked."""
    screen = get_screen()
    if output == "name":
        screen.write_names(f"{KIND}/{job.name}" for job in jobs)
        return
    bodies: list[Mapping[str, Any]] = [job.body if values else redact(job.body) for job in jobs]
    if len(bodies) == 1 and not is_list:
        screen.write_data(output, bodies[0])
    else:
        screen.write_data(output, {"apiVersion": "v1", "kind": "List", "items": bodies})


@click.command("list")
@click.option("-A", "--all-namespaces", is_flag=True, help="Objects of all namespaces.")
@click.option("-l", "--selector", default="", help="Label selector, such as team=vision.")
@click.option(
    "--outcome",
    "outcomes",
    multiple=True,
    type=click.Choice([outcome.value for outcome in Outcome]),
    help="Only objects in this situation; may be repeated.",
)
@click.option("--since", type=Duration(), help="Only objects created within this time, such as 12h or 7d.")
@output_option("wide", "json", "yaml", "name")
@values_option
@scope_options
def list_jobs(
    all_namespaces: bool,
    selector: str,
    outcomes: tuple[str, ...],
    since: int | None,
    output: str | None,
    show_values: bool,
) -> None:
    """List TrainingJobs, the newest last.

    \b
    Examples:
      kubectl trainingjob list -A
      kubectl trainingjob list --outcome failed --outcome refused --since 1d
      kubectl trainingjob list -l team=vision -o name
    """  # fmt: skip
    found = open_kubectl().list_jobs(selector=selector, all_namespaces=all_namespaces)
    jobs = select(found, outcomes, start_of(since))
    if output in ("json", "yaml", "name"):
        show_objects(jobs, output, values=show_values, is_list=True)
        return
    screen = get_screen()
    if not jobs:
        place = "any namespace" if all_namespaces else f"namespace {open_kubectl().find_namespace()}"
        hidden = f" {len(found)} others do not match the filters." if found else ""
        screen.tell(f"No TrainingJobs found in {place}.{hidden}")
        return
    screen.show(build_table(jobs, read_now(), namespaces=all_namespaces, wide=output == "wide"))
    if screen.out.is_terminal:
        screen.show(Text(), summarize(jobs))


@click.command
@click.option("-A", "--all-namespaces", is_flag=True, help="Objects of all namespaces.")
@click.option("-l", "--selector", default="", help="Label selector, such as team=vision.")
@click.option("--since", type=Duration(), help="Only objects created within this time, such as 12h or 7d.")
@output_option("json", "yaml")
@scope_options
def usage(all_namespaces: bool, selector: str, since: int | None, output: str | None) -> None:
    """Sum outcomes and billable instance time by namespace, the largest first.

    Counts objects that exist, not deleted ones, and no read-only ones.

    \b
    Examples:
      kubectl trainingjob usage -A --since 30d
      kubectl trainingjob usage -A -l team=vision -o json
    """
    jobs = open_kubectl().list_jobs(selector=selector, all_namespaces=all_namespaces)
    usages, screen = sum_usage(select(jobs, (), start_of(since))), get_screen()
    if not output:
        screen.show(build_usage_table(usages))
        return
    rows = [
        {
            "namespace": each.namespace,
            "outcomes": {outcome.value: count for outcome, count in each.outcomes.items()},
            "billableInstanceSeconds": each.billable_instance_seconds,
        }
        for each in usages
    ]
    screen.write_data(output, {"namespaces": rows})


@click.command
@jobs_argument
@output_option("json", "yaml", "name")
@values_option
@scope_options
def describe(names: tuple[str, ...], output: str | None, show_values: bool) -> None:
    """Show everything about a TrainingJob on one page, the outcome first.

    \b
    Examples:
      kubectl trainingjob describe churn
      kubectl trainingjob describe churn --show-values
      kubectl trainingjob describe churn -o yaml
    """
    kubectl, screen = open_kubectl(), get_screen()
    jobs = kubectl.get(names)
    if output:
        show_objects(jobs, output, values=show_values, is_list=False)
        return
    for number, job in enumerate(jobs):
        shown = job if show_values else Job(redact(job.body))
        page = draw_page(shown, _read_events(kubectl, job), read_now(), width=screen.width, values=show_values)
        screen.show(*([Text()] if number else []), *page)


def _read_events(kubectl: Kubectl, job: Job) -> Sequence[Mapping[str, Any]]:
    """Return the Events; a person without the right to read them gets the page without."""
    try:
        return kubectl.events(job)
    except CommandError as error:
        get_screen().tell(f"No Events: {error}")
        return []


@click.command
@jobs_argument
@click.option("--by-clock", is_flag=True, help="Place jobs by their time of day; otherwise each starts at zero.")
@output_option("svg", "json", "yaml")
@scope_options
def timeline(names: tuple[str, ...], by_clock: bool, output: str | None) -> None:
    """Show how long each secondary status lasted, several jobs on one scale.

    \b
    Examples:
      kubectl trainingjob timeline churn churn-r2
      kubectl trainingjob timeline churn churn-r2 --by-clock
      kubectl trainingjob timeline churn -o svg > churn.svg
    """
    screen = get_screen()
    lanes = [build_lane(job, read_now()) for job in open_kubectl().get(names)]
    if by_clock:
        lanes = align_by_clock(lanes)
    if output == "svg":
        screen.write(draw_svg(lanes))
    elif output:
        document = {
            lane.job.name: [{"status": bar.status, "offset": bar.offset, "seconds": bar.seconds} for bar in lane.bars]
            for lane in lanes
        }
        screen.write_data(output, {"seconds": total_seconds(lanes), "jobs": document})
    else:
        screen.show(*draw_lanes(lanes, screen.width))


@click.command
@jobs_argument
@output_option("json", "yaml")
@scope_options
def why(names: tuple[str, ...], output: str | None) -> None:
    """Explain what a TrainingJob waits for, or why it ended, and what to do.

    \b
    Examples:
      kubectl trainingjob why churn
    """
    screen = get_screen()
    for number, job in enumerate(open_kubectl().get(names)):
        explanations = explain(job, read_now())
        if output:
            entries = [
                {"headline": each.headline, "cause": each.cause, "words": each.words, "actions": list(each.actions)}
                for each in explanations
            ]
            screen.write_data(output, {"name": job.name, "outcome": job.outcome.value, "explanations": entries})
        else:
            screen.show(*([Text()] if number else []), *draw_explanations(job, explanations))
