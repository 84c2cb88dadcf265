"""The Python environment of the image, made without a container engine.

It has the locked packages of this machine and the wheel; pruned.
"""

from __future__ import annotations

import compileall
import re
import shutil
from importlib.metadata import distribution
from typing import TYPE_CHECKING

from image.prune import prune
from release.artifacts import LOCK, build, copy_sources, install_wheel, make_environment

if TYPE_CHECKING:
    from pathlib import Path


def build_environment(work: Path) -> Path:
    """Make the environment in the folder `work` as the Dockerfile does, and return its Python."""
    prefix = work / "environment"
    python = make_environment(prefix)
    [packages] = prefix.glob("lib/python3*/site-packages")
    for name in locked_packages():
        copy_package(name, prefix, packages)
    copy_sources(work / "sources")
    build(work / "sources", work / "built", "--target", "wheel")
    install_wheel(work / "built", python)
    prune(prefix)
    compileall.compile_dir(packages, quiet=2, maxlevels=20)
    return python


def locked_packages() -> list[str]:
    """The names in requirements.lock."""
    return re.findall(r"^([\w.-]+)==", LOCK.read_text(), re.MULTILINE)


def copy_package(name: str, prefix: Path, packages: Path) -> None:
    """Copy the recorded files of an installed package, without compiled modules and links to this folder."""
    for file in distribution(name).files or ():
        if file.suffix in (".pyc", ".pth"):
            continue
        target = prefix / "bin" / file.name if file.parts[0] == ".." else packages / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(str(file.locate()), target)


def count_bytes(folder: Path) -> int:
    """The size of all files below `folder`, in bytes."""
    return sum(path.lstat().st_size for path in folder.rglob("*"))
