"""`python -m codegen crds` writes the generated files; `python -m codegen --check` verifies them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from codegen.ack import ack_definition
from codegen.changes import describe_changes
from codegen.definition import training_job_definition
from codegen.model import read_model
from codegen.service_model import render_endpoints, render_service_model
from codegen.table import render_constraints, render_table

REPOSITORY = Path(__file__).resolve().parents[2]

ACK_LISTING = REPOSITORY / "tests/data/ack-crd-paths.txt"

CRD = "crds/sagemaker.services.k8s.aws_trainingjobs.yaml"

NOTICE = "# Written by `python -m codegen crds`; do not edit.\n"

KUSTOMIZATION = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
- sagemaker.services.k8s.aws_trainingjobs.yaml
"""


def generate() -> dict[str, str]:
    """Return the text of every generated file by its path in the repository."""
    model = read_model()
    definition = render_yaml(training_job_definition(model))
    return {
        CRD: definition,
        f"deploy/chart/files/{Path(CRD).name}": definition,  # a chart cannot read outside its folder
        "crds/kustomization.yaml": NOTICE + KUSTOMIZATION,
        "operator/trainingjob_operator/logic/objects/field_table.py": render_table(model),
        "operator/trainingjob_operator/logic/objects/constraints.py": render_constraints(model),
        "operator/trainingjob_operator/aws/models/sagemaker/2017-07-24/service-2.json": render_service_model(),
        "operator/trainingjob_operator/aws/models/endpoints.json": render_endpoints(),
        "tests/data/ack-crd.yaml": render_yaml(ack_definition(ACK_LISTING.read_text())),
    }


class PlainDumper(yaml.SafeDumper):
    """YAML without anchors, for readers and tools without support for them."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  the base class fixes the signature
        """Return True for every value."""
        return True


def represent_text(dumper: PlainDumper, text: str) -> yaml.ScalarNode:
    """Represent multi-line text as a block scalar."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


PlainDumper.add_representer(str, represent_text)


def render_yaml(document: dict[str, Any]) -> str:
    """Render the document in its own key order."""
    return NOTICE + yaml.dump(document, Dumper=PlainDumper, sort_keys=False, width=120, allow_unicode=True)


def main(arguments: list[str] | None = None, repository: Path = REPOSITORY) -> int:
    """Write or check the files; returns exit code 1 if a check finds a difference."""
    parser = argparse.ArgumentParser(
        prog="codegen", description="Writes the CRD, the field table and the data of botocore."
    )
    parser.add_argument("what", nargs="?", choices=["crds"], default="crds")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file differs")
    options = parser.parse_args(arguments)
    stale = {path: text for path, text in generate().items() if not is_current(repository / path, text)}
    if CRD in stale and (repository / CRD).exists():
        before, after = (yaml.safe_load(text) for text in ((repository / CRD).read_text(), stale[CRD]))
        print(*describe_changes(before, after), sep="\n")
    for path, text in stale.items():
        if options.check:
            print(f"{path} is out of date with the API model; run make crds")
        else:
            (repository / path).parent.mkdir(parents=True, exist_ok=True)
            (repository / path).write_text(text)
            print(f"wrote {path}")
    return 1 if stale and options.check else 0


def is_current(file: Path, text: str) -> bool:
    """Check the file for exactly this text."""
    return file.exists() and file.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
