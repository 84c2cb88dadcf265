"""`prune.py PREFIX`: remove from the virtual environment at PREFIX what the operator never runs.

The image is built with it. Tests run the operator in an environment pruned by it (tests/image). A path that removes
nothing is an error, so that the list follows its packages.
"""

from __future__ import annotations

import shutil
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Removal(NamedTuple):
    """Entries of one folder that go."""

    reason: str
    keep: tuple[str, ...] = ()
    """Names, with wildcards, of the entries that stay."""


PACKAGES: Final = "lib/python3*/site-packages"

REMOVALS: Final[Mapping[str, Removal]] = {
    "bin": Removal(
        "scripts of other packages, and the activation of the environment in shells",
        keep=("python*", "trainingjob-operator"),
    ),
    "kubernetes/client/api": Removal("a method for each call, synchronous; kube/client.py sends requests by path"),
    "kubernetes/aio/client/api": Removal("the same, asynchronous"),
    "kubernetes/client/models": Removal(
        "a class for each type; kube/ passes plain dicts",
        # kubernetes/informer and Kopf import these
        keep=("__init__.py", "v1_managed_fields_entry.py", "v1_object_meta.py", "v1_owner_reference.py"),
    ),
    "kubernetes/aio/client/models": Removal("the same, asynchronous", keep=("__init__.py",)),
    "botocore/data": Removal(
        "a model for each service",
        keep=(
            "*.json",  # regions, endpoints, retries
            "sagemaker",
            "sts",
            "sqs",  # --event-queue-url
            "sso",  # botocore's credential providers ask these three
            "sso-oidc",
            "signin",
        ),
    ),
}
"""By folder, in PREFIX or in its packages."""


def prune(prefix: Path) -> None:
    """Apply REMOVALS to the environment. Raises LookupError for one that finds nothing to remove."""
    [packages] = prefix.glob(PACKAGES)
    for folder, removal in REMOVALS.items():
        entries = list(find_entries(prefix / folder if folder == "bin" else packages / folder, removal))
        if not entries:
            raise LookupError(f"nothing to remove from {folder}: correct REMOVALS")
        for entry in entries:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def find_entries(folder: Path, removal: Removal) -> Iterator[Path]:
    """Yield the entries of `folder` that the removal does not keep."""
    if folder.is_dir():
        yield from (
            entry for entry in folder.iterdir() if not any(fnmatch(entry.name, pattern) for pattern in removal.keep)
        )


if __name__ == "__main__":
    prune(Path(sys.argv[1]))
