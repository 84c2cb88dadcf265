"""Wheel and sdist: the same bytes from every build, and only its packages in the wheel."""

from __future__ import annotations

import tomllib
import zipfile
from typing import TYPE_CHECKING

import pytest

from release import artifacts
from release.artifacts import ArtifactError, build_reproducibly

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_reproducibly(tmp_path_factory.mktemp("release"))


def test_two_builds_and_one_from_the_sdist_are_the_same(built: Path) -> None:
    assert sorted(file.suffix for file in built.iterdir()) == [".gz", ".whl"]


def test_the_wheel_contains_only_its_packages(built: Path) -> None:
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    settings = tomllib.loads((artifacts.ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    packages = [artifacts.ROOT / name for name in settings["targets"]["wheel"]["packages"]]
    sources = {
        str(file.relative_to(package.parent))
        for package in packages
        for file in package.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert {name for name in names if ".dist-info/" not in name} == sources
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_a_failed_build_raises_an_error_with_its_output(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 1\n")
    with pytest.raises(ArtifactError, match=r"(?s)The build failed: .*project\.version"):
        artifacts.build(tmp_path, tmp_path / "built")
