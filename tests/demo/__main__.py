"""`python -m tests.demo`: the samples from apply to their end, on a real API server, beside a SageMaker stand-in.

The variable KEEP leaves it all running until Ctrl-C, CLUSTER=kind takes a kind cluster. Exit code 0: each sample ended
as its file says; 1: one did not, or something did not start; 130: interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.controlplane.plane import KUBECTL, ClusterError, KubectlError
from tests.controlplane.programs import ProgramsMissingError
from tests.demo.logs import write_logs
from tests.demo.samples import FOLDER, read_samples
from tests.demo.screen import Screen, tabulate
from tests.demo.stage import Stage, stage
from tests.demo.table import build_table
from tests.demo.trial import Trial, advance, read_bodies
from tests.kubectl_plugin.terminal import export, open_recorder

if TYPE_CHECKING:
    from collections.abc import Sequence

LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 240.0
"""Within which every sample must have ended."""
SILENCE_SECONDS = 10.0
"""After so long without news, a line says that it goes on."""
KEPT_LOG = Path(__file__).parents[2] / "build" / "demo-operator.log"
"""The operator's log of a demo that failed."""

COMMANDS = (
    ("kubectl get trainingjobs", "the objects"),
    ("kubectl trainingjob list", "the jobs, with age and billable time"),
    ("kubectl trainingjob timeline churn-completed vision-spot", "their secondary statuses side by side"),
    ("kubectl trainingjob why reviews-failed", "the cause of the failure, and the action"),
    ("kubectl trainingjob metrics churn-completed", "the curve of its metric, from its log"),
    ("kubectl trainingjob describe vision-spot", "all about one job"),
    ("kubectl trainingjob retry reviews-failed", "the same spec under a new name"),
)
"""To be tried on a demo that is kept, with their purposes."""


class DemoError(Exception):
    """It can't go on; the message says why."""


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
        screen.draw(build_table(trials, now - began))
        if not screen.is_live and (news or now > told + SILENCE_SECONDS):
            told = now
            screen.say(*(f"{now - began:3.0f} s  {line}" for line in news or ["nothing new"]))
        if all(trial.seconds is not None for trial in trials):
            break
        time.sleep(LOOK_SECONDS)
    if not screen.is_live:
        wide = stage.cluster.kubectl("get", "trainingjobs", "-o", "wide").splitlines()
        screen.say("kubectl get trainingjobs -o wide", *wide, "", *summarize(trials))
    return trials


def summarize(trials: Sequence[Trial]) -> list[str]:
    """A row for each sample."""
    rows = [("SAMPLE", "EXPECTED", "ENDED AS", "AFTER", "VERDICT")]
    for trial in trials:
        sample = trial.sample
        expected = [sample.ends_as, *(["by deletion"] if sample.deleted_in else [])]
        if sample.savings_percent is not None:
            expected.append(f"{sample.savings_percent} % saved")
        after = "" if trial.seconds is None else f"{trial.seconds:.0f} s"
        rows.append((sample.file.name, ", ".join(expected), trial.ended_as or "-", after, trial.verdict))
    return tabulate(*rows)


def play(screen: Screen, *, keep: bool, scale: float, picture: Path | None) -> int:
    """The whole; returns the exit code. `picture` becomes an SVG of the screen."""
    began = time.monotonic()
    with stage(screen, scale) as parts:
        try:
            trials = run_samples(parts, screen)
        except (DemoError, KubectlError):
            screen.say("The end of the operator's log:", *parts.operator.log.read_text().splitlines()[-20:])
            keep_log(parts)
            raise
        if picture:
            picture.write_text(draw_picture(trials))
        failed = [trial for trial in trials if not trial.has_succeeded]
        screen.say("", f"All in {time.monotonic() - began:.0f} s.")
        if failed:
            keep_log(parts)
            screen.say(*explain_failure(failed, parts, keep=keep))
        if keep:
            wait_for_interrupt(parts, screen)
        elif not failed:
            screen.say("", "Try next: `make demo KEEP=1` keeps it all running. In another terminal:")
            screen.say(*list_commands())
    return 1 if failed else 0


def draw_picture(trials: Sequence[Trial]) -> str:
    """The last view of a terminal as SVG."""
    console = open_recorder(width=118)
    console.print(build_table(trials, max(trial.seconds or 0.0 for trial in trials)))
    return export(console, "make demo")


def list_commands() -> list[str]:
    """COMMANDS with their purposes."""
    return [f"  {line}" for line in tabulate(*((command, f"# {purpose}") for command, purpose in COMMANDS))]


def keep_log(stage: Stage) -> None:
    """Copy the operator's log out of the folder that goes with the demo."""
    KEPT_LOG.parent.mkdir(exist_ok=True)
    shutil.copyfile(stage.operator.log, KEPT_LOG)


def explain_failure(failed: Sequence[Trial], stage: Stage, *, keep: bool) -> list[str]:
    """The operator's warnings, and the next steps."""
    troubles = [line for line in stage.operator.lines() if line.get("level") in ("warn", "error")]
    names = " ".join(trial.sample.name for trial in failed)
    start = "" if keep else "`make demo KEEP=1` keeps it running; "
    return [
        "Warnings of the operator:",
        *(json.dumps(line) for line in troubles[-20:]),
        f"Next: {start}`kubectl trainingjob why {names}` names the cause. The operator's log is in {KEPT_LOG}.",
    ]


def wait_for_interrupt(stage: Stage, screen: Screen) -> None:
    """Leave it running until Ctrl-C, with the ways to reach it."""
    file = stage.folder / "environment"
    file.write_text(compose_environment(stage))
    write_logs(stage.sagemaker)
    screen.say("", "It goes on until Ctrl-C. Try next, in another terminal:", f"  . {file}", *list_commands(), "")
    screen.say(
        "The stand-in speaks SageMaker's API to any AWS client with this environment:", *file.read_text().split("\n")
    )
    try:
        while stage.operator.process.poll() is None:
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        return
    raise DemoError(f"the operator ended with exit code {stage.operator.process.returncode}")


def compose_environment(stage: Stage) -> str:
    """Commands of a shell after which kubectl, its plugin and AWS clients reach the demo."""
    variables = {"KUBECONFIG": str(stage.cluster.kubeconfig), **stage.sagemaker.environment()}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join([f'export PATH={shlex.quote(str(Path(KUBECTL).parent))}:"$PATH"', *lines])


def advise(error: Exception) -> str:
    """The next step after an error."""
    kind = "With docker and kind, `make demo CLUSTER=kind` needs no control plane of its own."
    match error:
        case ProgramsMissingError():
            return f"Next: follow the message, then `make demo`. {kind}"
        case ClusterError():
            return f"Next: `make demo` again; `make controlplane` starts the control plane alone. {kind}"
        case _ if KEPT_LOG.exists():
            return f"Next: read the operator's log, {KEPT_LOG}, then `make demo` again."
        case _:
            return "Next: `make demo` again. If it fails again, report it with the lines above."


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the duration of the jobs (default 1)")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="write the last view to FILE as SVG")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    screen = Screen(sys.stdout)
    KEPT_LOG.unlink(missing_ok=True)
    try:
        keep = bool(os.environ.get("KEEP"))
        return play(screen, keep=keep, scale=options.scale, picture=options.picture)
    except (
        ClusterError,
        DemoError,
        KubectlError,
        OSError,
        ProgramsMissingError,
        RuntimeError,
        subprocess.SubprocessError,
    ) as error:
        screen.say(f"The demo has failed: {error}", advise(error))
        return 1
    except KeyboardInterrupt:
        screen.say("Interrupted; everything is stopped.")
        return 130
    finally:
        screen.close()


if __name__ == "__main__":
    sys.exit(main())
