"""Prometheus and promtool of the version in build/go.mod: from the cache, or built from their Go module into it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.controlplane.meter import to_stderr
from tests.controlplane.programs import (
    cache_folder,
    cached,
    find_go,
    module_folder,
    required_version,
    run_with_progress,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.controlplane.meter import Progress

MODULE = Path(__file__).with_name("build")
PACKAGE = "github.com/prometheus/prometheus"
FLAGS = ("-tags", "remove_all_sd", "-ldflags", "-s -w")
"""Without the clients of clouds that would discover targets: half of the build."""


def version() -> str:
    """The version that build/go.mod requires: v0.313.5 is Prometheus 3.13.5."""
    return required_version(MODULE, PACKAGE)


def cached_prometheus(environment: Mapping[str, str]) -> Path:
    """The folder where the programs are, or will be once they are built."""
    return module_folder(environment, "prometheus", PACKAGE, MODULE, FLAGS)


def find_prometheus(environment: Mapping[str, str], progress: Progress = to_stderr) -> Path:
    """The folder with prometheus and promtool, filled unless the cache has it. Raises ProgramsMissingError."""

    def build(folder: Path) -> None:
        go = find_go(cache_folder(environment), environment, progress)
        programs = [f"{PACKAGE}/cmd/{name}" for name in ("prometheus", "promtool")]
        command = [go, "build", *FLAGS, "-o", f"{folder}/", *programs]
        run_with_progress(f"building Prometheus {version()}", command, environment, progress, MODULE)

    return cached(cached_prometheus(environment), build, progress)
