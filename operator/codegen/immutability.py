"""Which edits of a spec the API server refuses, as CEL rules at the root of the schema, the one place that sees status.

The job's name never changes. Everything else is fixed once an ARN is recorded: before that, a refused spec can be
mended. What UpdateTrainingJob and AddTags can change stays open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainingjob_operator.logic.fields import UPDATABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codegen.model import Field
    from codegen.schema import Schema

NAME = "trainingJobName"

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

NO_JOB = "!has(self.spec) || !has(oldSelf.spec) || !oldSelf.?status.?ackResourceMetadata.?arn.hasValue()"


def immutability_rules(spec: Mapping[str, Field]) -> list[Schema]:
    """One rule for each field, so that the refusal names the field."""
    return [name_rule(), *(field_rule(path) for path in fixed_paths(spec))]


def name_rule() -> Schema:
    """The name can be given later (adoption without spec) but neither changed nor taken away."""
    return refusal(
        NAME,
        f"!has(oldSelf.spec) || !has(oldSelf.spec.{NAME})"
        f" || has(self.spec) && has(self.spec.{NAME}) && self.spec.{NAME} == oldSelf.spec.{NAME}",
        "the name of the job never changes; create another TrainingJob for another name",
    )


def field_rule(path: str) -> Schema:
    """The field is as before, or says the same as leaving it out on both sides."""
    new, old = f"self.spec.{path}", f"oldSelf.spec.{path}"
    if default := DEFAULTS.get(path):
        same = f"(has({new}) ? {new} : {default}) == (has({old}) ? {old} : {default})"
    else:
        same = f"has({new}) == has({old}) && (!has({new}) || {new} == {old})"
    return refusal(
        path,
        f"{NO_JOB} || {same}",
        "cannot change once the job exists in SageMaker; restore the former value, or create another TrainingJob",
    )


def fixed_paths(spec: Mapping[str, Field]) -> Iterator[str]:
    """The paths below spec that are compared, each as a whole."""
    for name, field in sorted(spec.items()):
        paths = [f"{name}.{part}" for part in sorted(field.parts)] if name in PARTED else [name]
        yield from (path for path in paths if path not in OPEN | {NAME})


def refusal(path: str, rule: str, message: str) -> Schema:
    """A rule whose failure the API server reports for a field of spec."""
    return {"rule": rule, "message": message, "fieldPath": f".spec.{path}", "reason": "FieldValueForbidden"}
