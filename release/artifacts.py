"""`python -m release.artifacts FOLDER`: build wheel and sdist twice, compare, install, and write them with an SBOM.

The same sources give the same bytes on every machine: all files are those that git tracks, at no path and time that
the archives contain. The SBOM describes the environment that requirements.lock and the wheel give.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from release.version import read_version

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
SBOM = "sbom.cdx.json"
CHECKSUMS = "SHA256SUMS"


class ArtifactError(Exception):
    """A build differs from another, or its installation is wrong; the message is a sentence."""


def main() -> int:
    """Write the files of a release into a new folder."""
    parser = argparse.ArgumentParser(prog="python -m release.artifacts", description=__doc__)
    parser.add_argument("folder", type=Path, help="replaced by a folder with the files")
    parser.add_argument("--sbom-program", type=Path, required=True, metavar="PATH", help="cyclonedx-py")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        try:
            built = build_reproducibly(work)
            python = install(built, work / "environment")
            write_sbom(options.sbom_program, python, built / SBOM)
        except ArtifactError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        lines = "".join(f"{digest}  {name}\n" for name, digest in digests(built).items())
        (built / CHECKSUMS).write_text(lines)
        shutil.rmtree(options.folder, ignore_errors=True)
        shutil.copytree(built, options.folder)
    sys.stdout.write(lines)
    return 0


def build_reproducibly(work: Path) -> Path:
    """Build in two folders, and the wheel from the sdist too. Return the folder with wheel and sdist.

    Raises ArtifactError if a file has two digests.
    """
    folders = [work / "one", work / "another/place"]
    for folder in folders:
        copy_sources(folder / "sources")
        build(folder / "sources", folder / "built")
    first, second = (digests(folder / "built") for folder in folders)
    if first != second:
        raise ArtifactError(f"Two builds differ: {first} and {second}.")
    built = folders[0] / "built"
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(work / "unpacked", filter="data")
    [unpacked] = (work / "unpacked").iterdir()
    build(unpacked, work / "rebuilt", "--target", "wheel")
    for name, digest in digests(work / "rebuilt").items():
        if first[name] != digest:
            raise ArtifactError(f"{name} built from {sdist.name} differs: the sdist is not complete.")
    return built


def copy_sources(folder: Path) -> None:
    """Copy the files that git tracks, as they are in the working tree."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, folder / name
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)  # with the time of the copy, which must not count


def build(sources: Path, folder: Path, *flags: str) -> None:
    """Build with the backend of pyproject.toml, which is installed from the development lock."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder.absolute()), *flags]
    done = subprocess.run(command, cwd=sources, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ArtifactError(f"The build failed: {done.stderr.strip()}")


def install(built: Path, prefix: Path) -> Path:
    """Install the wheel with its locked requirements into a new environment, and return its Python."""
    python = make_environment(prefix)
    pip(python, "--require-hashes", "--only-binary=:all:", "--requirement", str(LOCK))
    install_wheel(built, python)
    run([sys.executable, "-m", "pip", "--python", str(python), "check"])
    shown = run([str(prefix / "bin/trainingjob-operator"), "--version"], {}).strip()
    if shown != f"trainingjob-operator {read_version()}":
        raise ArtifactError(f"The installed program is {shown!r}, pyproject.toml has {read_version()}.")
    return python


def make_environment(prefix: Path) -> Path:
    """Make an environment with nothing in it, pip included, and return its Python."""
    run([sys.executable, "-m", "venv", "--without-pip", str(prefix)])
    return prefix / "bin/python"


def install_wheel(built: Path, python: Path) -> None:
    """Install the wheel alone."""
    [wheel] = built.glob("*.whl")
    pip(python, "--no-index", str(wheel))


def pip(python: Path, *arguments: str) -> None:
    """Install into the environment of `python`."""
    install = ("install", "--disable-pip-version-check", "--quiet", "--no-compile", "--no-deps")
    run([sys.executable, "-m", "pip", "--python", str(python), *install, *arguments])


def write_sbom(program: Path, python: Path, target: Path) -> None:
    """Write a CycloneDX SBOM of the environment."""
    flags = ("--pyproject", str(ROOT / "pyproject.toml"), "--mc-type=application", "--output-reproducible")
    run([str(program), "environment", *flags, "--output-format=JSON", f"--output-file={target}", str(python)])


def run(command: list[str], environment: dict[str, str] | None = None) -> str:
    """Return the stdout of a program. Raises ArtifactError with its stderr."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ArtifactError(f"{Path(command[0]).name} failed: {done.stderr.strip()}")
    return done.stdout


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a folder by name."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


if __name__ == "__main__":
    sys.exit(main())
