"""The edits of a spec that the API server refuses, as one CEL rule at the root of the schema, which alone sees status.

The spec is fixed while it describes a job that can still run: from the record of an ARN to the end of the job. Before,
a refused spec can be corrected, its trainingJobName included. Afterwards nothing depends on the spec, and whatever
modifies it (a mutating policy) must not keep the operator from removing its finalizer. The fields that
UpdateTrainingJob and AddTags can change are never fixed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainingjob_operator.logic.fields import UPDATABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codegen.model import Field
    from codegen.schema import Schema

FIXED = "cannot change once the job exists in SageMaker; restore the former value, or create another TrainingJob"

OPEN = UPDATABLE | {"tags"}
"""What may change while the job lives, or after it."""

PARTED = frozenset({"algorithmSpecification", "outputDataConfig", "resourceConfig"})
"""Structures compared part by part: they hold an open field or one that has a default."""

DEFAULTS = {
    "algorithmSpecification.enableSageMakerMetricsTimeSeries": "false",
    "enableInterContainerTrafficEncryption": "false",
    "enableManagedSpotTraining": "false",
    "enableNetworkIsolation": "false",
    "outputDataConfig.compressionType": "'GZIP'",
    "outputDataConfig.kmsKeyID": "''",
    "resourceConfig.instanceCount": "0",
}
"""The values that ACK's controller writes into specs that leave them out: setting or removing them changes nothing."""

ENDED = ("Completed", "Failed", "Stopped")
"""Values of status.trainingJobStatus, which ACK's controller writes too."""

OVER = ("Deleting", "JobNotFound")
"""Values of status.phase: the object is being deleted, or its job disappeared before its end."""

FREE = (
    "!has(oldSelf.status) || !has(oldSelf.status.ackResourceMetadata) || !has(oldSelf.status.ackResourceMetadata.arn)",
    f"has(oldSelf.status.trainingJobStatus) && oldSelf.status.trainingJobStatus in {list(ENDED)}",
    f"has(oldSelf.status.phase) && oldSelf.status.phase in {list(OVER)}",
    "!has(oldSelf.spec) || has(self.spec) && self.spec == oldSelf.spec",
)
"""The cases in which nothing is fixed, the cheap ones first; the last one is every write of the status."""


def immutability_rule(spec: Mapping[str, Field]) -> Schema:
    """The rule for all fixed fields; its message names the edited ones.

    One rule for each field would cost the API server more than all the rest of a write: every rule is evaluated at
    every write, and each mention of a field is looked up anew.
    """
    same = {path: unchanged(path) for path in fixed_paths(spec)}
    edited = "\n+ ".join(f"({is_same} ? '' : 'spec.{path} ')" for path, is_same in same.items())
    fixed = "has(self.spec) && " + "\n&& ".join(same.values())
    return {
        "rule": "\n|| ".join((*FREE, fixed)),
        "message": f"spec {FIXED}",
        "messageExpression": f"(!has(self.spec) ? 'spec ' : {edited})\n+ '{FIXED}'",
        "fieldPath": ".spec",
        "reason": "FieldValueForbidden",
    }


def unchanged(path: str) -> str:
    """An expression: the field is as before, or says the same as leaving it out on both sides."""
    new, old = f"self.spec.{path}", f"oldSelf.spec.{path}"
    if default := DEFAULTS.get(path):
        return f"(has({new}) ? {new} : {default}) == (has({old}) ? {old} : {default})"
    return f"(has({new}) ? has({old}) && {new} == {old} : !has({old}))"


def fixed_paths(spec: Mapping[str, Field]) -> Iterator[str]:
    """The paths below spec that are compared, each as a whole."""
    for name, field in sorted(spec.items()):
        paths = [f"{name}.{part}" for part in sorted(field.parts)] if name in PARTED else [name]
        yield from (path for path in paths if path not in OPEN)
