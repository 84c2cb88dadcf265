"""logs, wait, metrics, run: objects over time."""

from __future__ import annotations

import click
from rich.text import Text

from kubectl_trainingjob.errors import CommandError
from kubectl_trainingjob.following import LogReader, LogRequest, StateNews, follow_log, follow_states, show_log
from kubectl_trainingjob.logic.explanation import explain
from kubectl_trainingjob.logic.job import Job, Outcome
from kubectl_trainingjob.logic.metric_series import find_series
from kubectl_trainingjob.logic.outcomes import exit_code
from kubectl_trainingjob.options import (
    Duration,
    get_screen,
    job_argument,
    jobs_argument,
    open_kubectl,
    output_option,
    profile_option,
    read_now,
    scope_options,
    start_of,
    timeout_option,
)
from kubectl_trainingjob.views.explanation_view import draw_explanations
from kubectl_trainingjob.views.metric_view import build_final_table, draw_series


def _milliseconds(since: int | None) -> int | None:
    start = start_of(since)
    return None if start is None else int(start.timestamp() * 1000)


@click.command
@job_argument
@click.option("-f", "--follow", is_flag=True, help="Show new lines until the job ends.")
@click.option("--tail", type=click.IntRange(min=0), help="Number of lines to begin with; by default all.")
@click.option("--since", type=Duration(), help="Only lines of this time, such as 10m.")
@click.option(
    "--instance", "instances", multiple=True, help="Only this instance, such as 1 or algo-1; may be repeated."
)
@click.option("--timestamps", is_flag=True, help="Begin each line with its time.")
@profile_option
@scope_options
def logs(
    name: str,
    follow: bool,
    tail: int | None,
    since: int | None,
    instances: tuple[str, ...],
    timestamps: bool,
    profile: str,
) -> None:
    """Show the log of a TrainingJob, all instances in order of time.

    Reads CloudWatch Logs with your own AWS credentials: logs:DescribeLogStreams, logs:FilterLogEvents and, with
    --tail, logs:GetLogEvents.

    \b
    Examples:
      kubectl trainingjob logs churn
      kubectl trainingjob logs -f churn --tail 20
      kubectl trainingjob logs churn --instance 2 --since 10m
    """
    screen, kubectl = get_screen(), open_kubectl()
    request = LogRequest(instances, tail, _milliseconds(since), timestamps, profile)
    reader = LogReader(screen, request)
    if follow:
        follow_log(kubectl, screen, name, reader, None)
    else:
        [job] = kubectl.get([name])
        show_log(screen, job, reader)


@click.command
@job_argument
@click.option("--final", is_flag=True, help="Only the final metrics; needs no AWS credentials.")
@output_option("json", "yaml")
@profile_option
@scope_options
def metrics(name: str, final: bool, output: str | None, profile: str) -> None:
    """Show the final metrics, and a curve of each metric that the log contains.

    The curves come from CloudWatch Logs by spec.algorithmSpecification.metricDefinitions, with your own AWS
    credentials.

    \b
    Examples:
      kubectl trainingjob metrics churn
      kubectl trainingjob metrics churn --final -o json
    """
    screen = get_screen()
    [job] = open_kubectl().get([name])
    found = []
    if not final and job.metric_definitions:
        found = find_series(job.metric_definitions, LogReader(screen, LogRequest(profile=profile)).read_new(job))
    if output:
        finals = [{"name": name, "value": value} for name, value, _ in job.final_metrics]
        curves = [{"name": each.name, "points": [list(point) for point in each.points]} for each in found]
        screen.write_data(output, {"final": finals, "series": curves})
        return
    if not job.final_metrics and not found:
        screen.tell(f"{job.name} has no metrics: its spec has no metricDefinitions, and SageMaker reported none.")
        return
    if job.final_metrics:
        screen.show(build_final_table(job))
    for series in found:
        screen.show(Text(), *draw_series(series, screen.width))


@click.command
@jobs_argument
@timeout_option
@scope_options
def wait(names: tuple[str, ...], timeout: int | None) -> None:
    """Wait for the end of TrainingJobs; the exit code is the outcome.

    \b
    Exit codes:
      0  all succeeded
      1  one failed, is lost, or was refused by the operator
      2  one was stopped, or ran out of time
      3  --timeout was reached first
      4  the command failed

    \b
    Examples:
      kubectl trainingjob wait churn --timeout 2h
    """
    screen = get_screen()
    news = StateNews(screen)
    jobs: list[Job] = []
    for jobs in follow_states(open_kubectl(), names, timeout):
        news.tell(jobs)
    click.get_current_context().exit(_conclude(jobs))


def _conclude(jobs: list[Job]) -> int:
    """Show the outcome of each object, with an explanation where it did not complete; return the exit code."""
    screen = get_screen()
    for job in jobs:
        if job.outcome is Outcome.SUCCEEDED:
            screen.show(Text.assemble((job.name, "bold"), "  ", ("Completed", "green")))
        else:
            screen.show(*draw_explanations(job, explain(job, read_now())))
    return exit_code(job.outcome for job in jobs)


@click.command
@click.option("-f", "--filename", required=True, type=click.Path(), help="File, folder or URL; - is standard input.")
@click.option("--no-logs", is_flag=True, help="Show states only; needs no AWS credentials.")
@timeout_option
@profile_option
@scope_options
def run(filename: str, no_logs: bool, timeout: int | None, profile: str) -> None:
    """Apply a TrainingJob, show its log until its end, and exit with its outcome as `wait` does.

    Ctrl-C ends the command; the job continues.

    \b
    Examples:
      kubectl trainingjob run -f churn.yaml
      kubectl trainingjob run -f churn.yaml --no-logs --timeout 2h
    """
    screen, kubectl = get_screen(), open_kubectl()
    applied = kubectl.apply(filename)
    if len(applied) != 1:
        raise CommandError(f"{filename} has {len(applied)} TrainingJobs: run needs a file with one.")
    [job] = applied
    kubectl = kubectl.inside(job.namespace)
    screen.tell(f"{job.name} applied in namespace {job.namespace}.")
    if job.outcome.is_final:
        screen.tell(f"It ended before: to run its spec again, use `kubectl trainingjob retry {job.name}`.")
    if no_logs:
        news = StateNews(screen)
        for jobs in follow_states(kubectl, [job.name], timeout):
            news.tell(jobs)
            [job] = jobs
    else:
        job = follow_log(kubectl, screen, job.name, LogReader(screen, LogRequest(profile=profile)), timeout)
    click.get_current_context().exit(_conclude([job]))
