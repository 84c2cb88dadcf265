"""The control plane's programs from Kubernetes and etcd releases: pinned, downloaded, verified.

RELEASES holds the SHA-256 of each file. The environment variables KUBERNETES_DOWNLOADS and ETCD_DOWNLOADS replace the
publishers' base URLs by mirrors with the same paths below; the digests apply to mirrors too.
"""

from __future__ import annotations

import hashlib
import http.client
import queue
import shutil
import tarfile
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from tests.controlplane.meter import Meter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.controlplane.meter import Progress

KUBERNETES = "v1.36.3"
ETCD = "v3.6.8"
"""The versions required by build/go.mod (a test compares them)."""

BASES: Mapping[str, str] = {
    "KUBERNETES_DOWNLOADS": "https://dl.k8s.io/release",
    "ETCD_DOWNLOADS": "https://github.com/etcd-io/etcd/releases/download",
}
"""Environment variable of a mirror, and default base URL."""

ARCHITECTURES: Mapping[str, str] = {"x86_64": "amd64", "aarch64": "arm64"}
"""The publishers' names of architectures by Linux's names."""

CHUNK = 1 << 18
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Patience:
    """Time limits of a download."""

    answer_seconds: float = 8.0
    """For name resolution, connection and response headers together."""
    stall_seconds: float = 30.0
    """A download without a new byte for this time is broken."""
    attempts: int = 5
    """Consecutive attempts without a new byte."""
    pause_seconds: float = 1.0
    """Pause before the next attempt."""


PATIENCE = Patience()


class DownloadError(Exception):
    """A file is unavailable, or differs from the pinned one; the message names its URL."""


@dataclass(frozen=True, slots=True)
class Release:
    """One published file: the program, or an archive with it."""

    program: str
    base: str
    """A key of BASES."""
    path: str
    """Below the base URL."""
    sha256: str
    member: str = ""
    """Path of the program in the archive."""

    def url(self, environment: Mapping[str, str]) -> str:
        """The URL of the file, at the mirror of the environment if one is set."""
        return f"{(environment.get(self.base) or BASES[self.base]).rstrip('/')}/{self.path}"


def _kubernetes(program: str, architecture: str, sha256: str) -> Release:
    return Release(program, "KUBERNETES_DOWNLOADS", f"{KUBERNETES}/bin/linux/{architecture}/{program}", sha256)


def _etcd(architecture: str, sha256: str) -> Release:
    folder = f"etcd-{ETCD}-linux-{architecture}"
    return Release("etcd", "ETCD_DOWNLOADS", f"{ETCD}/{folder}.tar.gz", sha256, f"{folder}/etcd")


RELEASES: Mapping[str, tuple[Release, ...]] = {
    "amd64": (
        _etcd("amd64", "cf9cfe91a4856cb90eed9c99e6aee4b708db2c7888b88a6f116281f04b0ea693"),
        _kubernetes("kube-apiserver", "amd64", "1f217d397234a6d065da663c6e086fdb02c0f0de97a0758ff3e6f3956f4ef8ab"),
        _kubernetes(
            "kube-controller-manager", "amd64", "7edfe976d5a06c7a702d653e914095f4a732a04bb2139115b6a6eba6a9b781c7"
        ),
    ),
    "arm64": (
        _etcd("arm64", "438f56a700d17ce761510a3e63e6fa5c1d587b2dd4d7a22c179c09a649366760"),
        _kubernetes("kube-apiserver", "arm64", "16001b9d35d23634c361a1e2b7b0fc7abe186984af697ef7a869c8c8cded78b7"),
        _kubernetes(
            "kube-controller-manager", "arm64", "27868a5c822824945b93f2d8a724a5dcd99affc68b47230ae766bff8795bbb84"
        ),
    ),
}
"""Releases by architecture.

The publishers offer the same digests beside the files: PROGRAM.sha256 of Kubernetes, and SHA256SUMS of etcd.
"""


def select_releases(system: str, machine: str) -> tuple[Release, ...]:
    """The files for a machine (`uname -sm`). Raises DownloadError for an unsupported one."""
    architecture = ARCHITECTURES.get(machine)
    if system != "Linux" or architecture is None:
        raise DownloadError(f"no published programs are pinned for {system} on {machine}")
    return RELEASES[architecture]


def cache_key(releases: tuple[Release, ...]) -> str:
    """Name of the folder of these programs: readable versions, then a digest of the pinned digests."""
    digest = hashlib.sha256("".join(release.sha256 for release in releases).encode()).hexdigest()[:8]
    return f"published-kubernetes-{KUBERNETES}-etcd-{ETCD}-{digest}"


def download_programs(
    releases: tuple[Release, ...],
    folder: Path,
    parts: Path,
    environment: Mapping[str, str],
    progress: Progress,
    patience: Patience,
) -> None:
    """Put the program of each release into `folder`. Raises DownloadError.

    A file stays in `parts`, named by its digest, until all are complete: the next call resumes there.
    """
    try:
        parts.mkdir(parents=True, exist_ok=True)
        for release in releases:
            with Meter(f"downloading {release.program}", "MB", progress) as meter:
                fetch(release.url(environment), release.sha256, parts / release.sha256, meter, patience)
        for release in releases:
            _install(release, parts / release.sha256, folder / release.program)
    except OSError as error:
        raise DownloadError(f"the downloads cannot be stored: {error}") from error


def fetch(url: str, sha256: str, file: Path, meter: Meter, patience: Patience) -> None:
    """Complete `file` from `url`, and verify it. Raises DownloadError.

    A broken transfer is resumed; a transfer without any byte ends the download, so that a machine without network does
    not wait.
    """
    is_resumed = _size(file) > 0
    if is_resumed and _digest(file) == sha256:
        return
    _complete(url, file, meter, patience)
    found = _digest(file)
    if found != sha256 and is_resumed:  # the rest of another file
        file.unlink()
        _complete(url, file, meter, patience)
        found = _digest(file)
    if found != sha256:
        file.unlink()
        raise DownloadError(f"{url}: its SHA-256 is {found} and not {sha256}, so the file is not used")


def _complete(url: str, file: Path, meter: Meter, patience: Patience) -> None:
    failures = 0
    has_arrived = False
    while True:
        before = _size(file)
        try:
            _transfer(url, file, meter, patience)
        except (OSError, http.client.HTTPException) as error:
            has_grown = _size(file) > before
            has_arrived = has_arrived or has_grown
            failures = 0 if has_grown else failures + 1
            if not has_arrived or failures == patience.attempts:
                raise DownloadError(f"{url}: {error}") from error
            time.sleep(patience.pause_seconds)
        else:
            return


def _transfer(url: str, file: Path, meter: Meter, patience: Patience) -> None:
    """Append the missing bytes to `file`. Raises OSError or HTTPException; received bytes stay in the file."""
    size = _size(file)
    request = urllib.request.Request(url, headers={"Range": f"bytes={size}-"} if size else {})
    try:
        answer = _open(request, patience)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # the file is complete; the digest decides
        raise
    with answer:
        is_rest = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        done = size if is_rest else 0
        length = answer.headers.get("Content-Length")
        total = None if length is None else done + int(length)
        with file.open("ab" if is_rest else "wb") as output:
            while chunk := answer.read1(CHUNK):
                output.write(chunk)
                done += len(chunk)
                meter.show(done / MEGABYTE, total and total / MEGABYTE)
    if total is not None and done != total:
        raise ConnectionError(f"the answer ended after {done:,} of {total:,} bytes")


def _open(request: urllib.request.Request, patience: Patience) -> http.client.HTTPResponse:
    """The response within the time limit; Python's own time-out applies to each address of a name, and not to DNS."""
    answers: queue.SimpleQueue[http.client.HTTPResponse | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(urllib.request.urlopen(request, timeout=patience.stall_seconds))
        except Exception as error:  # noqa: BLE001 - raised by the caller
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=patience.answer_seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {patience.answer_seconds:g} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _install(release: Release, file: Path, program: Path) -> None:
    """Move the program to its place. Raises DownloadError and OSError."""
    if release.member:
        try:
            with tarfile.open(file) as archive, program.open("wb") as output:
                shutil.copyfileobj(_member(archive, release.member), output)
        except (KeyError, tarfile.TarError) as error:
            raise DownloadError(f"{release.path} has no {release.member}: {error}") from error
        file.unlink()
    else:
        file.replace(program)
    program.chmod(0o755)


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    content = archive.extractfile(name)
    if content is None:
        raise KeyError(f"{name} is no file")
    return content


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
