"""Helm of the version in build/go.mod: from the cache, or built into it from its Go module."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
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
PACKAGE = "helm.sh/helm/v4/cmd/helm"
CHART = Path(__file__).parents[2] / "deploy/chart"


class HelmError(Exception):
    """Helm exited with an error; the message is its stderr."""


def version() -> str:
    """The version required by build/go.mod, such as v4.3.1."""
    return required_version(MODULE, "helm.sh/helm/v4")


def cached_helm(environment: Mapping[str, str]) -> Path:
    """The path of the program, before and after its build."""
    return module_folder(environment, "helm", "helm.sh/helm/v4", MODULE) / "helm"


def find_helm(environment: Mapping[str, str], progress: Progress = to_stderr) -> Path:
    """The program, built if the cache lacks it. Raises ProgramsMissingError."""
    program = cached_helm(environment)

    def build(folder: Path) -> None:
        go = find_go(cache_folder(environment), environment, progress)
        flags = ["-ldflags", f"-s -w -X helm.sh/helm/v4/internal/version.version={version()}"]
        command = [go, "build", *flags, "-o", str(folder / "helm"), PACKAGE]
        run_with_progress(f"building Helm {version()}", command, environment, progress, MODULE)

    cached(program.parent, build, progress)
    return program


class Helm:
    """Runs Helm with its own folders, so that no setting of this machine applies."""

    def __init__(self, program: Path, folder: Path, kubeconfig: Path | None = None) -> None:
        """`folder` is for its cache and settings; without `kubeconfig` it reaches no cluster."""
        self.program = program
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("HELM_", "KUBE"))},
            **{f"HELM_{kind}_HOME": str(folder / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")},
            "KUBECONFIG": str(kubeconfig or folder / "no-kubeconfig"),
            "KUBECACHEDIR": str(folder / "kube"),
        }

    def run(self, *arguments: str, timeout: float = 120) -> str:
        """Run Helm and return its stdout. Raises HelmError."""
        done = subprocess.run(
            [str(self.program), *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode != 0:
            raise HelmError(done.stderr.strip())
        return done.stdout

    def template(self, *arguments: str, release: str = "trainingjob-operator", chart: Path = CHART) -> str:
        """The manifests of the chart. Raises HelmError."""
        return self.run("template", release, str(chart), *arguments)

    def with_values(self, verb: str, values: Mapping[str, object], *arguments: str) -> str:
        """Run a verb with values of any type, from a file. Raises HelmError."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(values, file)
            file.flush()
            return self.run(*verb.split(), *arguments, "--values", file.name)
