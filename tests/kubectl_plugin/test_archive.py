"""The archive for krew runs with Python alone, and its manifest matches it."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest
import yaml

from release.krew import build_archive, fill_manifest
from release.version import read_version

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def archive() -> bytes:
    return build_archive()


@pytest.fixture(scope="module")
def folder(archive: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extracted archive."""
    folder = tmp_path_factory.mktemp("krew")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the archive with no package of this environment."""
    program = str(folder / arguments[0])
    command = [sys.executable, "-I", "-S", program, *arguments[1:]]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"KUBECTL": "/nonexistent"})


def test_the_plugin_of_the_archive_runs_without_other_packages(folder: Path) -> None:
    assert run(folder, "kubectl-trainingjob", "--version").stdout == f"{read_version()}\n"
    refused = run(folder, "kubectl-trainingjob", "list")
    assert (refused.returncode, refused.stderr.count("\n")) == (4, 1)
    assert "/nonexistent is not on the PATH" in refused.stderr
    assert "describe\t" in run(folder, "kubectl_complete-trainingjob", "d").stdout


def test_the_archive_has_the_models_of_its_calls_and_no_compiled_file(archive: bytes, folder: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import boto3, yaml\n"
        "[boto3.client(name, region_name='us-east-1') for name in ('logs', 'sagemaker', 'sts')]\n"
        "print(boto3.__file__)"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(folder / "lib")]
    assert subprocess.run(command, capture_output=True, text=True, check=True, env={}).stdout.startswith(str(folder))
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = tar.getmembers()
    names = {part for member in members for part in member.name.split("/")}
    assert not [name for name in names if name.endswith((".so", ".pyd", ".pyc"))]
    assert {(member.mtime, member.uid, member.uname) for member in members} == {(0, 0, "")}
    assert not {"kopf", "aiohttp", "kubernetes", "codegen", "aws.ec2"} & names


def test_the_manifest_names_the_archive(archive: bytes) -> None:
    digest = hashlib.sha256(archive).hexdigest()
    [platform] = yaml.safe_load(fill_manifest(digest))["spec"]["platforms"]
    assert platform["sha256"] == digest
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert tar.getmember(platform["bin"]).mode & 0o111


def test_a_plugin_without_its_packages_names_the_extra(folder: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "sys.modules['click'] = None\n"
        "from kubectl_trainingjob.__main__ import main\n"
        "sys.exit(main())"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(folder / "lib")]
    failed = subprocess.run(command, capture_output=True, text=True, check=False, env={})
    assert failed.returncode == 1
    assert failed.stderr == (
        "error: click is missing. Install the plugin with its packages: pip install 'trainingjob-operator[plugin]'\n"
    )
