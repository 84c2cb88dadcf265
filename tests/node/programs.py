"""kubelet, kube-scheduler and the pause program of the control plane's version: from the cache, or built into it."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

from tests.controlplane.meter import to_stderr
from tests.controlplane.programs import (
    build_flags,
    cache_folder,
    cached,
    digest_module,
    find_go,
    kubernetes_version,
    run_with_progress,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.controlplane.meter import Progress

MODULE = Path(__file__).with_name("build")
PROGRAMS: Mapping[str, str] = {
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "pause": "./pause",
}
"""Go package of each program."""


def cached_programs(environment: Mapping[str, str]) -> Path:
    """The folder for the programs, before and after their build."""
    digest = digest_module(MODULE, build_flags(), "pause/main.go")
    return cache_folder(environment) / f"node-{kubernetes_version()}-{platform.machine()}-{digest}"


def find_programs(environment: Mapping[str, str], progress: Progress = to_stderr) -> Path:
    """The folder with all PROGRAMS, built if the cache lacks it. Raises ProgramsMissingError."""

    def build(folder: Path) -> None:
        go = find_go(cache_folder(environment), environment, progress)
        for name, package in PROGRAMS.items():
            command = [go, "build", *build_flags(), "-o", str(folder / name), package]
            run_with_progress(f"building {name}", command, environment, progress, MODULE)

    return cached(cached_programs(environment), build, progress)
