"""One version in all files, and a changelog with one section for each release."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest
import yaml

from release.version import CHANGELOG, PLACES, ROOT, VersionError, read_changes, read_version, set_version, show_changes

if TYPE_CHECKING:
    from pathlib import Path

TODAY = "2030-01-02"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The files with a version."""
    for name in (*PLACES, CHANGELOG):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("name", PLACES)
def test_each_file_has_the_version_of_pyproject(name: str) -> None:
    versions = [match[0].removeprefix(match[1]) for match in re.finditer(PLACES[name], (ROOT / name).read_text())]
    assert set(versions) == {read_version()}


def test_a_release_sets_the_version_in_every_file_and_dates_the_changes(copied: Path) -> None:
    before = read_changes("Unreleased", copied)
    set_version("7.8.9", TODAY, copied)
    assert read_version(copied) == "7.8.9"
    assert read_changes("7.8.9", copied) == before
    assert show_changes(copied) == before
    assert read_changes("Unreleased", copied) == ""
    assert f"\n## [7.8.9] - {TODAY}\n" in (copied / CHANGELOG).read_text()
    chart = yaml.safe_load((copied / "deploy/chart/Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == "7.8.9"
    for name in PLACES:
        assert "7.8.9" in (copied / name).read_text()
        assert read_version() not in re.findall(r"[\d.]+", (copied / name).read_text())


def test_notes_of_a_version_without_changes_are_rejected(copied: Path) -> None:
    log = (copied / CHANGELOG).read_text()
    (copied / CHANGELOG).write_text(log.replace(f"## [{read_version()}]", "## [0.0.1]"))
    with pytest.raises(VersionError, match="has no changes of"):
        show_changes(copied)


def test_a_second_release_of_a_version_and_a_release_without_changes_are_rejected(copied: Path) -> None:
    set_version("7.8.9", TODAY, copied)
    with pytest.raises(VersionError, match=r"has a section of 7\.8\.9 already"):
        set_version("7.8.9", TODAY, copied)
    with pytest.raises(VersionError, match="has no unreleased changes"):
        set_version("7.9.0", TODAY, copied)


@pytest.mark.parametrize("version", ["1.2", "v1.2.3", "1.2.3-rc.1", "1.2.3rc1", ""])
def test_other_forms_of_a_version_are_rejected(copied: Path, version: str) -> None:
    with pytest.raises(VersionError, match="is no version"):
        set_version(version, TODAY, copied)


def test_a_file_without_its_version_is_reported(copied: Path) -> None:
    (copied / "Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(VersionError, match="Dockerfile has no version"):
        set_version("7.8.9", TODAY, copied)


def test_the_changelog_begins_with_unreleased_changes_and_descends_by_version() -> None:
    headings = re.findall(r"(?m)^## (.*)$", (ROOT / CHANGELOG).read_text())
    assert headings[0] == "[Unreleased]"
    released = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - \d{4}-\d\d-\d\d", heading) for heading in headings[1:]]
    numbers = [tuple(map(int, match.groups())) for match in released if match]
    assert len(numbers) == len(released)
    assert numbers == sorted(numbers, reverse=True)
    assert all(number <= tuple(map(int, read_version().split("."))) for number in numbers)
