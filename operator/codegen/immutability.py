"""Immutability of the spec, as one CEL transition rule at the root of the schema, the only level with access to status.

The spec is immutable from the record of an ARN to the end of the job. Before, users can correct a rejected spec,
including its trainingJobName. Afterwards nothing depends on the spec, and an edit (by a mutating policy) must not block
the removal of the operator's finalizer. Fields supported by UpdateTrainingJob and AddTags are always mutable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainingjob_operator.logic.objects.fields import UPDATABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codegen.model import Field
    from codegen.schema import Schema

FIXED = "cannot change once the job exists in SageMaker; restore the former value, or create another TrainingJob"

OPEN = UPDATABLE | {"tags"}
"""Fields mutable during and after the job."""

PARTED = frozenset({"algorithmSpecification", "outputDataConfig", "resourceConfig"})
"""Structures compared field by field, since they contain a mutable field or a field with a default."""

DEFAULTS = {
    "algorithmSpecification.enableSageMakerMetricsTimeSeries": "false",
    "enableInterContainerTrafficEncryption": "false",
    "enableManagedSpotTraining": "false",
    "enableNetworkIsolation": "false",
    "outputDataConfig.compressionType": "'GZIP'",
    "outputDataConfig.kmsKeyID": "''",
    "resourceConfig.instanceCount": "0",
}
"""Defaults written into specs by ACK's controller; setting or removing them is not a change."""

ENDED = ("Completed", "Failed", "Stopped")
"""Values of status.trainingJobStatus after the end of a job; also written by ACK's controller."""

OVER = ("Deleting", "JobNotFound")
"""Values of status.phase for an object in deletion, or with a job deleted before its end."""

FREE = (
    "!has(oldSelf.status) || !has(oldSelf.status.ackResourceMetadata) || !has(oldSelf.status.ackResourceMetadata.arn)",
    f"has(oldSelf.status.trainingJobStatus) && oldSelf.status.trainingJobStatus in {list(ENDED)}",
    f"has(oldSelf.status.phase) && oldSelf.status.phase in {list(OVER)}",
    "!has(oldSelf.spec) || has(self.spec) && self.spec == oldSelf.spec",
)
"""Cases with a mutable spec, cheap ones first; the last one matches every status write."""


def immutability_rule(spec: Mapping[str, Field]) -> Schema:
    """Build the rule for all immutable fields; its message names the edited ones.

    One rule per field would dominate the cost of a write: the API server evaluates every rule at every write.
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
    """Return an expression: the field is unchanged, where an absent field equals its default."""
    new, old = f"self.spec.{path}", f"oldSelf.spec.{path}"
    if path == "trainingJobName":  # the name of the job may be written into a spec without it, or with a suffix
        job = "has(oldSelf.status.trainingJobName) ? oldSelf.status.trainingJobName : ''"
        return f"(has({new}) ? has({old}) && {new} == {old} || {new} == ({job}) : !has({old}))"
    if default := DEFAULTS.get(path):
        return f"(has({new}) ? {new} : {default}) == (has({old}) ? {old} : {default})"
    return f"(has({new}) ? has({old}) && {new} == {old} : !has({old}))"


def fixed_paths(spec: Mapping[str, Field]) -> Iterator[str]:
    """Yield the immutable paths below spec, each compared as a whole."""
    for name, field in sorted(spec.items()):
        paths = [f"{name}.{part}" for part in sorted(field.parts)] if name in PARTED else [name]
        yield from (path for path in paths if path not in OPEN)
