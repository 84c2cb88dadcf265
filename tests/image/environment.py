"""The Python environment of the image, made without a container engine: the locked packages as installed, pruned."""

from __future__ import annotations

import compileall
import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

from image.prune import prune

ROOT = Path(__file__).parents[2]
OPERATOR = ROOT / "operator" / "trainingjob_operator"


def build_environment(prefix: Path) -> Path:
    """Make the environment at `prefix` as the Dockerfile does, and return its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True)
    [packages] = prefix.glob("lib/python3*/site-packages")
    for name in [*locked_packages(), "trainingjob-operator"]:
        copy_package(name, prefix, packages)
    uncompiled = shutil.ignore_patterns("__pycache__")
    shutil.copytree(OPERATOR, packages / OPERATOR.name, ignore=uncompiled)
    prune(prefix)
    compileall.compile_dir(packages, quiet=2, maxlevels=20)
    return prefix / "bin" / "python"


def locked_packages() -> list[str]:
    """The names in requirements.lock."""
    return re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)


def copy_package(name: str, prefix: Path, packages: Path) -> None:
    """Copy the files that pip recorded for an installed package, without compiled modules and links to this folder."""
    for file in distribution(name).files or ():
        if file.suffix in (".pyc", ".pth"):
            continue
        target = prefix / "bin" / file.name if file.parts[0] == ".." else packages / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(str(file.locate()), target)


def count_bytes(folder: Path) -> int:
    """The size of all files below `folder`, in bytes."""
    return sum(path.lstat().st_size for path in folder.rglob("*"))
