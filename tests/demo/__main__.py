"""`python -m tests.demo`: the samples from apply to their end, on a real API server, beside a SageMaker stand-in.

The variable KEEP leaves it all running until Ctrl-C, CLUSTER=kind takes a kind cluster. Exit code 0: each sample ended
as its file says; 1: one did not, or something did not start; 130: interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.controlplane.plane import Cluster, ClusterError, KubectlError, choose_cluster
from tests.controlplane.programs import WITHOUT_CONTROLLERS, ProgramsMissingError, find_programs
from tests.crds.installation import install_crd
from tests.demo.samples import FOLDER, Sample, is_finished, read_samples
from tests.demo.screen import Screen, tabulate
from tests.e2e.operator_process import OperatorProcess
from tests.sagemaker.stand_in import Control, stand_in_process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 240.0
"""Within which every sample must have ended."""
SILENCE_SECONDS = 10.0
"""After so long without news, a line says that it goes on."""
PACE = ("--sweep-seconds=1",)
"""The jobs are so short that a look every 5 s would skip what there is to see."""

Body = dict[str, Any]


class DemoError(Exception):
    """It can't go on; the message says why."""


@dataclass(frozen=True)
class Stage:
    """What runs."""

    cluster: Cluster
    sagemaker: Control
    operator: OperatorProcess


@dataclass
class Trial:
    """One sample on its way."""

    sample: Sample
    began: float
    seconds: float | None = None
    """Until its end; None before it."""
    ended_as: str = ""
    difference: str | None = None
    is_deleted: bool = False
    shown: str = field(default="", init=False)

    @property
    def has_succeeded(self) -> bool:
        return self.seconds is not None and self.difference is None


@contextmanager
def stage(screen: Screen, scale: float) -> Iterator[Stage]:
    """Everything up; everything down at the end, whatever it is."""
    environment = {name: value for name, value in os.environ.items() if name != "TEST_KUBECONFIG"}
    find = partial(find_programs, needed=WITHOUT_CONTROLLERS)
    cluster = choose_cluster(environment, find)()  # never one that is used for something else
    with ExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="demo-")))
        screen.say("Starting the control plane …")
        parts.enter_context(cluster)
        screen.say(f"  the API server is at {cluster.url}", "Starting the SageMaker stand-in …")
        sagemaker = parts.enter_context(stand_in_process(f"--scale={scale}"))
        screen.say(f"  it is at {sagemaker.url}", "Installing the CRD and starting the operator …")
        install_crd(cluster)
        operator = parts.enter_context(OperatorProcess(cluster, sagemaker, folder, pace=PACE))
        screen.say(f"  it is ready; its log is {operator.log}")
        yield Stage(cluster, sagemaker, operator)


def run_samples(stage: Stage, screen: Screen) -> list[Trial]:
    """Apply all samples side by side, and follow them until each has ended or patience has."""
    began = time.monotonic()
    stage.cluster.kubectl("apply", "-f", str(FOLDER))
    screen.say(f"kubectl apply -f {FOLDER.name}/", "")
    trials = [Trial(sample, began) for sample in read_samples()]
    told = began
    while (now := time.monotonic()) < began + PATIENCE_SECONDS:
        if (code := stage.operator.process.poll()) is not None:
            raise DemoError(f"the operator ended with exit code {code}")
        bodies = read_bodies(stage.cluster)
        news = [line for trial in trials if (line := advance(trial, bodies.get(trial.sample.name), stage))]
        ended = sum(trial.seconds is not None for trial in trials)
        if screen.is_live:
            screen.draw(compose_block(stage.cluster, bodies, f"{now - began:3.0f} s, {ended} of {len(trials)} ended"))
        elif news or now > told + SILENCE_SECONDS:
            told = now
            screen.say(*(f"{now - began:3.0f} s  {line}" for line in news or ["nothing new"]))
        if ended == len(trials):
            break
        time.sleep(LOOK_SECONDS)
    screen.say("kubectl get trainingjobs -o wide", *get_wide(stage.cluster), "")
    return trials


def advance(trial: Trial, body: Body | None, stage: Stage) -> str | None:
    """Note where the sample is, and delete it where it is to be deleted; the news in one line, if there is any."""
    sample, status = trial.sample, (body or {}).get("status", {})
    if trial.seconds is not None:
        return None
    if body is None and trial.is_deleted:
        job = stage.sagemaker.job(sample.job_name) or {}
        end(trial, job.get("description", {}).get("TrainingJobStatus", "gone"))
    elif is_finished(status) and not sample.deleted_in:
        end(trial, status.get("trainingJobStatus", ""), sample.find_difference(status))
    elif sample.deleted_in is not None and status.get("secondaryStatus") == sample.deleted_in and not trial.is_deleted:
        stage.cluster.kubectl("delete", "trainingjob", sample.name, "--wait=false")
        trial.is_deleted = True
        return f"{sample.name}  {sample.deleted_in}: kubectl delete trainingjob {sample.name}"
    shown = describe(body)
    if shown == trial.shown:
        return None
    trial.shown = shown
    return f"{sample.name}  {shown}"


def end(trial: Trial, ended_as: str, difference: str | None = None) -> None:
    """Note how it ended."""
    trial.seconds = time.monotonic() - trial.began
    trial.ended_as = ended_as
    trial.difference = difference
    if difference is None and ended_as != trial.sample.ends_as:
        trial.difference = f"the job is {ended_as} and not {trial.sample.ends_as}"


def describe(body: Body | None) -> str:
    """Status and conditions in one line."""
    if body is None:
        return "the object is gone"
    status = body.get("status", {})
    conditions = status.get("conditions", [])
    states = [status.get("trainingJobStatus"), status.get("secondaryStatus")]
    ready: Mapping[str, str] = next((each for each in conditions if each["type"] == "Ready"), {})
    return "  ".join(
        [
            "/".join(filter(None, states)) or "-",
            " ".join(f"{each['type']}={each['status']}" for each in conditions),
            f"({ready.get('reason', 'no status yet')}: {ready.get('message', '')})",
        ]
    )


def compose_block(cluster: Cluster, bodies: Mapping[str, Body], progress: str) -> list[str]:
    """What a terminal shows: kubectl's own table, then the conditions."""
    conditions = tabulate(*((name, describe(body)) for name, body in bodies.items())) if bodies else []
    return [progress, "", *get_wide(cluster), "", *conditions]


def get_wide(cluster: Cluster) -> list[str]:
    return cluster.kubectl("get", "trainingjobs", "-o", "wide").splitlines()


def read_bodies(cluster: Cluster) -> dict[str, Body]:
    """The objects by name."""
    items = json.loads(cluster.kubectl("get", "trainingjobs", "-o", "json"))["items"]
    return {item["metadata"]["name"]: item for item in items}


def summarize(trials: list[Trial]) -> list[str]:
    """A row for each sample."""
    rows = [("SAMPLE", "EXPECTED", "ENDED AS", "AFTER", "VERDICT")]
    for trial in trials:
        sample = trial.sample
        expected = [sample.ends_as, *(["by deletion"] if sample.deleted_in else [])]
        if sample.savings_percent is not None:
            expected.append(f"{sample.savings_percent} % saved")
        after = "" if trial.seconds is None else f"{trial.seconds:.0f} s"
        verdict = trial.difference or ("as expected" if trial.has_succeeded else "not within the time")
        rows.append((sample.file.name, ", ".join(expected), trial.ended_as or "-", after, verdict))
    return tabulate(*rows)


def play(screen: Screen, *, keep: bool, scale: float) -> int:
    """The whole; returns the exit code."""
    began = time.monotonic()
    with stage(screen, scale) as parts:
        try:
            trials = run_samples(parts, screen)
        except DemoError:
            screen.say("The end of its log:", *parts.operator.log.read_text().splitlines()[-20:])
            raise
        screen.say(*summarize(trials), "", f"All in {time.monotonic() - began:.0f} s.")
        code = 0 if all(trial.has_succeeded for trial in trials) else 1
        if code:
            troubles = [line for line in parts.operator.lines() if line.get("level") in ("warn", "error")]
            screen.say("What the operator warned of:", *(json.dumps(line) for line in troubles[-20:]))
        if keep:
            wait_for_interrupt(parts, screen)
    return code


def wait_for_interrupt(parts: Stage, screen: Screen) -> None:
    """Leave it running; says how to reach it."""
    screen.say("It all goes on until Ctrl-C. In another terminal:", "")
    screen.say(f"export KUBECONFIG={parts.cluster.kubeconfig}")
    screen.say("", "kubectl is in .venv/bin. The stand-in speaks SageMaker's API to any AWS client with")
    screen.say(*(f"  {name}={value}" for name, value in parts.sagemaker.environment().items()))
    try:
        while parts.operator.process.poll() is None:
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        return
    raise DemoError(f"the operator ended with exit code {parts.operator.process.returncode}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies how long the jobs take (default 1)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    screen = Screen(sys.stdout)
    try:
        return play(screen, keep=bool(os.environ.get("KEEP")), scale=options.scale)
    except (ClusterError, ProgramsMissingError, DemoError, KubectlError) as error:
        screen.say(f"The demo has failed: {error}")
        return 1
    except KeyboardInterrupt:
        screen.say("Interrupted; everything is stopped.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
