"""CustomResourceDefinition of TrainingJob: names, printer columns, descriptions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from codegen.immutability import immutability_rule
from codegen.schema import Schema, spec_schema, status_schema, structure
from trainingjob_operator.logic.naming import MAX_JOB_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from codegen.model import Model

DESCRIPTIONS = Path(__file__).with_name("descriptions.yaml")

Column = dict[str, Any]


def column(name: str, path: str, kind: str = "string", *, wide: bool = False) -> Column:
    """Build one column of `kubectl get`; a wide column appears with `-o wide` only."""
    return {"name": name, "type": kind, "jsonPath": path} | ({"priority": 1} if wide else {})


COLUMNS = (
    column("SECONDARY-STATUS", ".status.secondaryStatus"),
    column("STATUS", ".status.phase"),
    column("STARTED", ".status.trainingStartTime", "date"),
    column("DURATION", ".status.duration"),
    column("AGE", ".metadata.creationTimestamp", "date"),
    column("INSTANCE", ".status.instanceType", wide=True),
    column("BILLABLE", ".status.billableInstanceSeconds", "integer", wide=True),
    column("SAVINGS", ".status.managedSpotTrainingSavings", "integer", wide=True),
    column("READY", '.status.conditions[?(@.type=="Ready")].status', wide=True),
    column("OUTCOME", ".status.outcome", wide=True),
    column("REASON", '.status.conditions[?(@.type=="Ready")].reason', wide=True),
)
"""The first two in ACK's order. No column has free text of unbounded length or a value that becomes stale."""


NAME_RULE = {
    "rule": "!has(self.spec) || has(self.spec.trainingJobName)"
    f" || self.metadata.name.size() <= {MAX_JOB_NAME} && self.metadata.name.matches('^[a-zA-Z0-9](-*[a-zA-Z0-9])*$')",
    "message": "metadata.name is no valid name of a job; set spec.trainingJobName to 1 to 63 letters, digits and inner "
    "hyphens",
    "fieldPath": ".spec.trainingJobName",
    "reason": "FieldValueRequired",
}
"""The name of the object is the name of the job unless spec has another one; only the root sees metadata.name."""


def training_job_definition(model: Model) -> dict[str, Any]:
    """Build the CRD of this project."""
    root = root_schema(spec_schema(model.spec), status_schema(model.status))
    root["x-kubernetes-validations"] = [immutability_rule(model.spec), NAME_RULE]
    described = describe("", root, yaml.safe_load(DESCRIPTIONS.read_text()))
    return definition(described, COLUMNS, {"shortNames": ["tj"], "categories": ["sagemaker"]})


def root_schema(spec: Schema, status: Schema) -> Schema:
    """Build the schema of an object."""
    return structure(
        {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        }
    )


def definition(schema: Schema, columns: Sequence[Column], names: Mapping[str, Any]) -> dict[str, Any]:
    """Build a CRD of TrainingJob with this schema and these columns."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "trainingjobs.sagemaker.services.k8s.aws"},
        "spec": {
            "group": "sagemaker.services.k8s.aws",
            "names": {
                "kind": "TrainingJob",
                "listKind": "TrainingJobList",
                "plural": "trainingjobs",
                "singular": "trainingjob",
                **names,
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": "v1alpha1",
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": list(columns),
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                }
            ],
        },
    }


def describe(path: str, schema: Schema, sentences: Mapping[str, str]) -> Schema:
    """Return the schema with the description of each path and its fields in alphabetical order."""
    described: Schema = {"description": sentences[path]} if path in sentences else {}
    described |= schema
    if "properties" in schema:
        described["properties"] = {
            name: describe(f"{path}.{name}".lstrip("."), part, sentences)
            for name, part in sorted(schema["properties"].items())
        }
    if "items" in schema:
        described["items"] = describe(f"{path}[]", schema["items"], sentences)
    return described
