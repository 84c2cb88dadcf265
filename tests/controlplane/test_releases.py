"""Published programs from a mirror on loopback: complete, resumed, broken, wrong and unavailable."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import tarfile
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.controlplane.programs import (
    MODULE,
    PROGRAMS,
    build_key,
    cache_folder,
    find_programs,
    find_published,
    kubernetes_version,
    required_version,
)
from tests.controlplane.releases import (
    BASES,
    ETCD,
    KUBERNETES,
    RELEASES,
    DownloadError,
    Patience,
    Release,
    select_releases,
)
from tests.controlplane.test_programs import BUILDS, put_go

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUICK = Patience(answer_seconds=5, stall_seconds=5, attempts=3, pause_seconds=0.01)
CONTENT = {
    "etcd": os.urandom(300_000),
    "kube-apiserver": os.urandom(900_000),
    "kube-controller-manager": b"#!/bin/sh\n",
}


def pack(name: str, content: bytes) -> bytes:
    """An archive in the format of etcd's releases."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


FILES = {f"/kubernetes/{name}": content for name, content in CONTENT.items() if name != "etcd"} | {
    "/etcd/etcd.tar.gz": pack("etcd-linux/etcd", CONTENT["etcd"])
}


def pinned(path: str) -> str:
    return hashlib.sha256(FILES[path]).hexdigest()


PUBLISHED = (
    Release("etcd", "ETCD_DOWNLOADS", "etcd.tar.gz", pinned("/etcd/etcd.tar.gz"), "etcd-linux/etcd"),
    *(Release(name, "KUBERNETES_DOWNLOADS", name, pinned(f"/kubernetes/{name}")) for name in CONTENT if name != "etcd"),
)


class Mirror:
    """Serves FILES, with broken connections on request of a test."""

    def __init__(self) -> None:
        self.files = dict(FILES)
        self.cuts: list[int] = []
        """The next responses end after this many bytes, as by a broken connection."""
        self.has_ranges = True
        self.asked: list[tuple[str, str | None]] = []
        """Path and Range of each request."""
        mirror = self

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                mirror.answer(self)

            def log_message(self, *_: object) -> None:
                """Keep requests out of the output of the test."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.asked.append((request.path, asked))
        content = self.files.get(request.path)
        if content is None:
            request.send_error(404)
            return
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.has_ranges else 0
        if first and first >= len(content):
            request.send_error(416)
            return
        request.send_response(206 if first else 200)
        request.send_header("Content-Length", str(len(content) - first))
        request.end_headers()
        end = first + self.cuts.pop(0) if self.cuts else None
        request.wfile.write(content[first:end])
        request.close_connection = True

    def bases(self) -> dict[str, str]:
        """The environment variables of a user with a mirror."""
        return {"KUBERNETES_DOWNLOADS": f"{self.url}/kubernetes/", "ETCD_DOWNLOADS": f"{self.url}/etcd"}


@contextmanager
def serving(mirror: Mirror) -> Iterator[None]:
    thread = threading.Thread(target=mirror.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        mirror.server.shutdown()
        thread.join()
        mirror.server.server_close()


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    mirror = Mirror()
    with serving(mirror):
        yield mirror


def ignore(line: str) -> None:
    """Discard progress."""


def download(mirror: Mirror, cache: Path) -> Path:
    return find_published(PUBLISHED, cache, mirror.bases(), ignore, QUICK)


def test_the_pinned_versions_are_those_of_the_build() -> None:
    assert kubernetes_version() == KUBERNETES
    assert required_version(MODULE, PROGRAMS["etcd"]) == ETCD


@pytest.mark.parametrize("architecture", RELEASES)
def test_each_program_is_pinned_for_each_architecture(architecture: str) -> None:
    releases = RELEASES[architecture]
    assert [release.program for release in releases] == list(PROGRAMS)
    assert all(f"linux{'-' if release.member else '/'}{architecture}" in release.path for release in releases)
    assert len({release.sha256 for each in RELEASES.values() for release in each}) == 2 * len(PROGRAMS)
    assert all(len(bytes.fromhex(release.sha256)) == 32 for release in releases)
    assert releases[0].url({}) == f"{BASES['ETCD_DOWNLOADS']}/{ETCD}/etcd-{ETCD}-linux-{architecture}.tar.gz"
    assert releases[1].url({}) == f"https://dl.k8s.io/release/{KUBERNETES}/bin/linux/{architecture}/kube-apiserver"


def test_an_architecture_without_published_programs_is_reported() -> None:
    with pytest.raises(DownloadError, match="Darwin on arm64"):
        select_releases("Darwin", "arm64")


def test_programs_are_downloaded_once_and_are_executable(mirror: Mirror, tmp_path: Path) -> None:
    folder = download(mirror, tmp_path)
    for name, content in CONTENT.items():
        assert (folder / name).read_bytes() == content
        assert os.access(folder / name, os.X_OK)
    assert download(mirror, tmp_path) == folder
    assert len(mirror.asked) == len(CONTENT)
    assert list((tmp_path / "downloads").iterdir()) == []


def test_a_broken_download_is_resumed_at_its_end(mirror: Mirror, tmp_path: Path) -> None:
    mirror.cuts = [100_000, 100, 2**30, 500_000]
    folder = download(mirror, tmp_path)
    assert (folder / "etcd").read_bytes() == CONTENT["etcd"]
    assert (folder / "kube-apiserver").read_bytes() == CONTENT["kube-apiserver"]
    assert [asked for path, asked in mirror.asked if "etcd" in path] == [None, "bytes=100000-", "bytes=100100-"]
    assert ("/kubernetes/kube-apiserver", "bytes=500000-") in mirror.asked


def test_a_mirror_without_range_support_sends_the_whole_file_again(mirror: Mirror, tmp_path: Path) -> None:
    mirror.has_ranges = False
    mirror.cuts = [100_000]
    assert (download(mirror, tmp_path) / "etcd").read_bytes() == CONTENT["etcd"]


def test_the_next_run_resumes_an_abandoned_download(mirror: Mirror, tmp_path: Path) -> None:
    mirror.cuts = [100_000, 0, 0, 0]
    with pytest.raises(DownloadError, match=r"etcd\.tar\.gz: the answer ended after 100,000 of"):
        download(mirror, tmp_path)
    mirror.asked.clear()
    assert (download(mirror, tmp_path) / "etcd").read_bytes() == CONTENT["etcd"]
    assert mirror.asked[0] == ("/etcd/etcd.tar.gz", "bytes=100000-")


@pytest.mark.parametrize("left", [b"of another file", FILES["/etcd/etcd.tar.gz"] + b"and more"])
def test_a_partial_file_with_other_content_is_replaced(mirror: Mirror, tmp_path: Path, left: bytes) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / PUBLISHED[0].sha256).write_bytes(left)
    assert (download(mirror, tmp_path) / "etcd").read_bytes() == CONTENT["etcd"]


def test_a_complete_download_is_not_requested_again(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / PUBLISHED[0].sha256).write_bytes(FILES["/etcd/etcd.tar.gz"])
    download(mirror, tmp_path)
    assert all("etcd" not in path for path, _ in mirror.asked)


def test_a_file_with_a_wrong_checksum_is_not_used_and_not_kept(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["/kubernetes/kube-apiserver"] = b"#!/bin/sh\nmischief\n"
    wrong = hashlib.sha256(b"#!/bin/sh\nmischief\n").hexdigest()
    with pytest.raises(
        DownloadError,
        match=f"kubernetes/kube-apiserver: its SHA-256 is {wrong} and not {pinned('/kubernetes/kube-apiserver')}",
    ):
        download(mirror, tmp_path)
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and b"mischief" in path.read_bytes()]
    assert kept == []
    mirror.files = dict(FILES)
    assert (download(mirror, tmp_path) / "kube-apiserver").read_bytes() == CONTENT["kube-apiserver"]


def test_a_file_missing_on_the_mirror_is_reported_at_once(mirror: Mirror, tmp_path: Path) -> None:
    del mirror.files["/etcd/etcd.tar.gz"]
    with pytest.raises(DownloadError, match=r"/etcd/etcd\.tar\.gz: HTTP Error 404"):
        download(mirror, tmp_path)
    assert len(mirror.asked) == 1


def test_a_download_from_a_silent_host_ends_in_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        bases = dict.fromkeys(BASES, f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(DownloadError, match=r"no answer within 0\.2 s"):
            find_published(PUBLISHED, tmp_path, bases, ignore, Patience(answer_seconds=0.2, stall_seconds=5))


@pytest.mark.parametrize("is_served", [True, False])
def test_the_programs_are_built_if_no_published_ones_are_available(
    mirror: Mirror, tmp_path: Path, is_served: bool
) -> None:
    put_go(tmp_path / "bin", BUILDS)
    environment = {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
        "GO_CALLS": str(tmp_path / "calls"),
        **(mirror.bases() if is_served else dict.fromkeys(BASES, "http://127.0.0.1:1")),
    }
    first = select_releases("Linux", os.uname().machine)[0]
    mirror.files[f"/etcd/{first.path}"] = b"another file"
    lines: list[str] = []
    assert find_programs(environment, lines.append) == cache_folder(environment) / build_key()
    cause = "its SHA-256 is" if is_served else "refused"
    assert any(line.startswith("no download, so the programs are built") and cause in line for line in lines)
