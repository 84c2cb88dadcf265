"""The manifests in deploy/ for users without Helm, rendered from the chart."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import yaml

from codegen.__main__ import PlainDumper
from tests.helm.program import CHART

if TYPE_CHECKING:
    from pathlib import Path

    from tests.helm.program import Helm

DEPLOY = CHART.parent
RELEASE = "trainingjob-operator"

# Each file with its values and True if it contains the CRD.
RENDERINGS: dict[str, tuple[str, bool]] = {
    "install.yaml": ("values.yaml", True),
    "operator.yaml": ("values.yaml", False),
    "namespaced/operator.yaml": ("namespaced/values.yaml", False),
}
OF_HELM = ("app.kubernetes.io/managed-by", "helm.sh/chart")
"""Labels that would name Helm as the owner of objects applied by kubectl."""


def sources(name: str) -> str:
    """A digest of all inputs of a rendering, so that a stale one is found without Helm."""
    values, _ = RENDERINGS[name]
    files = [file for file in sorted(CHART.rglob("*")) if file.is_file() and file.suffix != ".md"]
    digest = hashlib.sha256()
    for file in [*files, DEPLOY / values]:
        digest.update(f"{file.relative_to(DEPLOY)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def notice(name: str) -> str:
    return f"# Rendered from the chart by `make manifests`; do not edit. Sources: sha256:{sources(name)}\n"


def render(helm: Helm, name: str) -> str:
    """The text of one rendering. Raises HelmError."""
    values, has_crd = RENDERINGS[name]
    text = helm.template(
        *("--namespace", RELEASE, "--values", str(DEPLOY / values), "--skip-tests"),
        *("--set", f"crds.install={str(has_crd).lower()}"),
        release=RELEASE,
    )
    objects = [without_helm(thing) for thing in yaml.safe_load_all(text) if thing]
    return notice(name) + yaml.dump_all(objects, Dumper=PlainDumper, sort_keys=False, width=120, allow_unicode=True)


def without_helm(thing: dict[str, Any]) -> dict[str, Any]:
    for label in OF_HELM:
        thing["metadata"].get("labels", {}).pop(label, None)
    return thing


def stale(helm: Helm) -> list[str]:
    """The names of outdated renderings. Raises HelmError."""
    return [name for name in RENDERINGS if path(name).read_text() != render(helm, name)]


def path(name: str) -> Path:
    return DEPLOY / name
