"""A Debian system in a folder of the cache, with containerd, runc and buildah for nodes and image builds.

Made by debootstrap from Debian's default mirror; needs root. Its programs run by chroot in a separate mount namespace.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.controlplane.meter import to_stderr
from tests.controlplane.programs import ProgramsMissingError, cache_folder, cached

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.controlplane.meter import Progress

RELEASE = "trixie"
BASE_PACKAGES = ("ca-certificates", "python3", "python3-venv")
"""Packages of the image that replaces the Dockerfile's base; RELEASE has Python 3.13."""
PACKAGES = ("buildah", "containerd", "containernetworking-plugins", "iproute2", "netavark", "runc")

INSTALL = """
set -eu
root=$1 base=$2 release=$3 base_packages=$4
shift 4
mount --make-rprivate /
debootstrap --variant=minbase --include="$base_packages" "$release" "$root"
chroot "$root" apt-get clean
tar --create --file "$base" --directory "$root" --one-file-system \\
    --exclude=./var/lib/apt/lists/* --exclude=./proc/* --exclude=./sys/* --exclude=./dev/* .
mount -t proc proc "$root/proc"
printf '#!/bin/sh\\nexit 101\\n' > "$root/usr/sbin/policy-rc.d"  # starts no service
chmod +x "$root/usr/sbin/policy-rc.d"
export DEBIAN_FRONTEND=noninteractive
chroot "$root" apt-get install --yes --no-install-recommends "$@"
chroot "$root" apt-get clean
"""


def missing_tools() -> str | None:
    """Reason why this machine can make or use no system, in a sentence; None without one."""
    if os.geteuid() != 0:
        return "a node needs root"
    for name in ("chroot", "ip", "nsenter", "pivot_root", "unshare"):
        if shutil.which(name) is None:
            return f"a node needs the program {name}"
    if subprocess.run(["unshare", "--mount", "--net", "true"], check=False, capture_output=True).returncode != 0:
        return "a node needs the right to make namespaces"
    return None


def cached_system(environment: Mapping[str, str]) -> Path:
    """The folder for the system, before and after it is made: root/, and base.tar for images."""
    digest = hashlib.sha256(f"{INSTALL}{BASE_PACKAGES}{PACKAGES}".encode()).hexdigest()[:8]
    return cache_folder(environment) / f"debian-{RELEASE}-{platform.machine()}-{digest}"


def find_system(environment: Mapping[str, str], progress: Progress = to_stderr) -> Path:
    """The folder of cached_system, made if it is missing. Raises ProgramsMissingError."""

    def make(folder: Path) -> None:
        if shutil.which("debootstrap") is None:
            raise ProgramsMissingError("a node needs the program debootstrap, of the Debian package of that name")
        progress(f"installing Debian {RELEASE} with {', '.join(PACKAGES)} once: some minutes")
        command = ["unshare", "--mount", "sh", "-c", INSTALL, "sh", str(folder / "root"), str(folder / "base.tar")]
        run_quietly([*command, RELEASE, ",".join(BASE_PACKAGES), *PACKAGES])

    if reason := missing_tools():
        raise ProgramsMissingError(reason)
    return cached(cached_system(environment), make, progress)


def run_quietly(command: list[str]) -> None:
    """Run a step; its output appears only in the ProgramsMissingError of a failure."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-30:])
        raise ProgramsMissingError(f"{command[0]} failed with exit code {done.returncode}:\n{tail}")
