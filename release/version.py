"""`python -m release.version`: print the version, set a new one everywhere, or print the changes of one.

pyproject.toml is the source. A test compares the other places with it.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHANGELOG = "CHANGELOG.md"
UNRELEASED = "## [Unreleased]\n"

VERSION = r"\d+\.\d+\.\d+"
"""Valid as SemVer, for the chart and the tag, and as PEP 440. Pre-releases, which differ, are not supported."""
PLACES = {
    "pyproject.toml": rf'(?m)^(version = "){VERSION}',
    "deploy/chart/Chart.yaml": rf"(?m)^(version: |appVersion: ){VERSION}",
    "Dockerfile": rf"(?m)^(ARG VERSION=){VERSION}",
    "README.md": rf"(/trainingjob-operator:){VERSION}",
    "docs/install.md": rf"(/trainingjob-operator:){VERSION}",
}
"""Files with the version and the text before it."""


class VersionError(Exception):
    """The version cannot be set, or has no changes; the message is a sentence."""


def read_version(root: Path = ROOT) -> str:
    """Return the version in pyproject.toml."""
    return str(tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"])


def set_version(version: str, date: str, root: Path = ROOT) -> None:
    """Write the version into all PLACES, and name the unreleased changes after it.

    :param date: of the release, YYYY-MM-DD
    """
    if not re.fullmatch(VERSION, version):
        raise VersionError(f"{version!r} is no version: write MAJOR.MINOR.PATCH, for example 1.2.3.")
    log = (root / CHANGELOG).read_text()
    if read_changes(version, root) is not None:
        raise VersionError(f"{CHANGELOG} has a section of {version} already.")
    if not read_changes("Unreleased", root):
        raise VersionError(f"{CHANGELOG} has no unreleased changes.")
    (root / CHANGELOG).write_text(log.replace(UNRELEASED, f"{UNRELEASED}\n## [{version}] - {date}\n", 1))
    for name, pattern in PLACES.items():
        text, count = re.subn(pattern, rf"\g<1>{version}", (root / name).read_text())
        if not count:
            raise VersionError(f"{name} has no version where release/version.py expects it.")
        (root / name).write_text(text)


def read_changes(version: str, root: Path = ROOT) -> str | None:
    """Return the section of a version in the changelog without its heading; None if there is none."""
    sections = re.split(r"(?m)^## \[(.+?)\].*\n", (root / CHANGELOG).read_text())[1:]
    return dict(zip(sections[::2], map(str.strip, sections[1::2]), strict=True)).get(version)


def show_changes(root: Path = ROOT) -> str:
    """Return the changes of the version in pyproject.toml. Raises VersionError if there are none."""
    version = read_version(root)
    changes = read_changes(version, root)
    if not changes:
        raise VersionError(f"{CHANGELOG} has no changes of {version}.")
    return changes


def main() -> int:
    """Print or set."""
    parser = argparse.ArgumentParser(prog="python -m release.version", description=__doc__)
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--set", metavar="VERSION", help="write this version into every place")
    chosen.add_argument("--changes", action="store_true", help="print the changelog of the version")
    options = parser.parse_args()
    try:
        if options.set:
            set_version(options.set, f"{datetime.now(UTC):%Y-%m-%d}")
        shown = show_changes() if options.changes else read_version()
    except VersionError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{shown}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
