"""Workflows: actions pinned by digest, rights by job, and existing commands and Python versions."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from release.version import ROOT
from tests.helm.program import version as helm_version

if TYPE_CHECKING:
    from pathlib import Path

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_by_digest_with_its_version_in_a_comment(path: Path) -> None:
    used = re.findall(r"uses: (.*)", path.read_text())
    assert used
    for action in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+){2}|\./\.github/workflows/\w+\.yml", action), action


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_rights_to_write_belong_to_jobs_that_need_them(path: Path) -> None:
    workflow = read(path)
    if path.stem == "api-model":  # opens a pull request, and has one job
        return
    assert workflow["permissions"] == {"contents": "read"}
    writers = {name for name, job in workflow["jobs"].items() if "write" in job.get("permissions", {}).values()}
    assert writers == ({"dist", "publish"} if path.stem == "release" else set())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_commands_are_targets_of_the_makefile(path: Path) -> None:
    targets = re.findall(r"^([a-z0-9-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"\bmake ([a-z][a-z0-9-]*)", path.read_text())
    assert set(named) <= set(targets)


def test_the_tests_run_on_every_python_of_the_classifiers() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [each.rpartition(" ")[2] for each in project["classifiers"] if re.search(r":: 3\.\d+$", each)]
    tested = read(ROOT / ".github/workflows/tests.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert set(named) <= set(tested)
    assert f">={tested[0]}" == project["requires-python"] == f">={named[0]}"


def test_a_release_needs_all_tests_and_uses_their_version_of_helm() -> None:
    jobs = read(ROOT / ".github/workflows/release.yml")["jobs"]
    assert set(jobs["publish"]["needs"]) == {"tests", "pod", "dist"}
    [helm] = [step for step in jobs["publish"]["steps"] if step.get("uses", "").startswith("azure/setup-helm")]
    assert helm["with"]["version"] == helm_version()
    text = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^ARG BASE=(.+)$", text, re.MULTILINE), "the workflow reads the base from it"
