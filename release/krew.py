"""`python -m release.krew FOLDER`: write the plugin for krew: an archive with its packages, and the manifest.

The archive holds the plugin, the operator's logic/, and the locked packages as they are installed in this environment,
without compiled modules: one archive serves every system. The same environment gives the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import re
import sys
import tarfile
from importlib.metadata import distribution, requires
from pathlib import Path
from typing import TYPE_CHECKING

from release.version import read_version

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
MANIFEST = ROOT / "deploy" / "krew" / "trainingjob.yaml"
ARCHIVE = "kubectl-trainingjob.tar.gz"

NEEDED = ("boto3", "click", "pyyaml", "rich")
"""Packages that the plugin imports; their own requirements follow."""

SERVICES = ("logs", "sagemaker", "sts", "sso", "sso-oidc", "signin")
"""Models of AWS services in the archive: two that the plugin calls, and those of the credential providers."""

LAUNCHER = """#!/usr/bin/env python3
import sys
from pathlib import Path

if sys.version_info < (3, 11):
    sys.exit(f"error: kubectl trainingjob needs Python 3.11 or newer, and python3 is {sys.version.split()[0]}.")
sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

from kubectl_trainingjob.__main__ import FUNCTION

sys.exit(FUNCTION())
"""


def main() -> int:
    """Write archive and manifest into a folder."""
    parser = argparse.ArgumentParser(prog="python -m release.krew", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    archive = build_archive()
    (folder / ARCHIVE).write_bytes(archive)
    (folder / MANIFEST.name).write_text(fill_manifest(hashlib.sha256(archive).hexdigest()))
    sys.stdout.write(f"{folder / ARCHIVE}: {len(archive) / 1e6:.1f} MB\n")
    return 0


def fill_manifest(digest: str) -> str:
    """Return the manifest of an archive with this SHA-256."""
    return MANIFEST.read_text().replace("VERSION", read_version()).replace("SHA256", digest)


def build_archive() -> bytes:
    """Return the archive: sorted, without owners and times."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as compressed,
        tarfile.open(fileobj=compressed, mode="w") as tar,
    ):
        for name, content in sorted(collect_files()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o644 if "/" in name else 0o755
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def collect_files() -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file: launchers, our own modules, packages."""
    for program, function in (("kubectl-trainingjob", "main"), ("kubectl_complete-trainingjob", "complete")):
        yield program, LAUNCHER.replace("FUNCTION", function).encode()
    yield "LICENSE", (ROOT / "LICENSE").read_bytes()
    source = ROOT / "operator"
    for pattern in (
        "kubectl_trainingjob/**/*.py",
        "trainingjob_operator/__init__.py",
        "trainingjob_operator/logic/**/*.py",
    ):
        for path in source.glob(pattern):
            yield f"lib/{path.relative_to(source)}", path.read_bytes()
    metadata = f"Metadata-Version: 2.4\nName: trainingjob-operator\nVersion: {read_version()}\n"
    yield f"lib/trainingjob_operator-{read_version()}.dist-info/METADATA", metadata.encode()
    for package in sorted(find_packages()):
        yield from collect_package(package)


def find_packages() -> set[str]:
    """Return the names of NEEDED and of everything that they require."""
    found: set[str] = set()
    waiting = list(NEEDED)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            required = (text for text in requires(name) or () if "extra ==" not in text)
            waiting += [re.split(r"[^\w.-]", text)[0].lower() for text in required if "sys_platform" not in text]
    return found


def collect_package(name: str) -> Iterator[tuple[str, bytes]]:
    """Yield the files of an installed package that every system can use."""
    for file in distribution(name).files or ():
        if file.parts[0] == ".." or file.suffix in (".pyc", ".so", ".pyd") or is_unused_model(file.parts):
            continue
        if file.parts[0].endswith(".dist-info") and "licenses" not in file.parts and file.name != "METADATA":
            continue
        yield f"lib/{file}", Path(str(file.locate())).read_bytes()


def is_unused_model(parts: tuple[str, ...]) -> bool:
    """Return True for a file of an AWS service that the plugin never calls."""
    return parts[:2] == ("botocore", "data") and len(parts) > 3 and parts[2] not in SERVICES


if __name__ == "__main__":
    sys.exit(main())
