"""Flux's kustomize-controller of the version in build/go.mod: from the cache, or built into it from its Go module."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.controlplane.meter import to_stderr
from tests.controlplane.programs import (
    GO_SETTINGS,
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
PACKAGE = "github.com/fluxcd/kustomize-controller"
CRD = "kustomize.toolkit.fluxcd.io_kustomizations.yaml"


def version() -> str:
    """The version required by build/go.mod, such as v1.9.5."""
    return required_version(MODULE, PACKAGE)


def cached_flux(environment: Mapping[str, str]) -> Path:
    """The folder for the program and its CRD, before and after their build."""
    return module_folder(environment, "flux", PACKAGE, MODULE)


def find_flux(environment: Mapping[str, str], progress: Progress = to_stderr) -> Path:
    """The folder, filled if it is missing. Raises ProgramsMissingError."""

    def build(folder: Path) -> None:
        go = find_go(cache_folder(environment), environment, progress)
        command = [go, "build", "-ldflags", "-s -w", "-o", str(folder / "kustomize-controller"), PACKAGE]
        run_with_progress(f"building Flux's kustomize-controller {version()}", command, environment, progress, MODULE)
        where = [go, "list", "-m", "-f", "{{.Dir}}", PACKAGE]
        settings = {**os.environ, **environment, **GO_SETTINGS}
        source = subprocess.run(where, cwd=MODULE, env=settings, capture_output=True, text=True, check=True).stdout
        shutil.copyfile(Path(source.strip()) / "config/crd/bases" / CRD, folder / CRD)

    return cached(cached_flux(environment), build, progress)
