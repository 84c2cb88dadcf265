"""The parts of the demo as processes: a cluster, the SageMaker stand-in and the operator."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.controlplane.plane import Cluster, choose_cluster
from tests.controlplane.programs import WITHOUT_CONTROLLERS, find_programs
from tests.crds.installation import install_crd
from tests.e2e.operator_process import OperatorProcess
from tests.sagemaker.stand_in import Control, stand_in_process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.demo.screen import Screen

PACE = ("--sweep-seconds=1",)
"""The jobs are so short that a sweep every 5 s would miss statuses."""


@dataclass(frozen=True)
class Stage:
    """Running parts, and a folder for files of this run."""

    cluster: Cluster
    sagemaker: Control
    operator: OperatorProcess
    folder: Path


@contextmanager
def stage(screen: Screen, scale: float) -> Iterator[Stage]:
    """Start all parts, and end them all on the way out."""
    environment = {name: value for name, value in os.environ.items() if name != "TEST_KUBECONFIG"}
    find = partial(find_programs, needed=WITHOUT_CONTROLLERS)
    cluster = choose_cluster(environment, find)()  # never one that is used for something else
    with ExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="demo-")))
        screen.say("Starting the control plane …")
        parts.enter_context(cluster)
        screen.say(f"  API server: {cluster.url}", "Starting the SageMaker stand-in …")
        sagemaker = parts.enter_context(stand_in_process(f"--scale={scale}"))
        screen.say(f"  SageMaker API: {sagemaker.url}", "Installing the CRD and starting the operator …")
        install_crd(cluster)
        operator = parts.enter_context(OperatorProcess(cluster, sagemaker, folder, pace=PACE))
        screen.say(f"  operator's log: {operator.log}")
        yield Stage(cluster, sagemaker, operator, folder)
