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

FREE = (
    "!has(self.spec) || !has(oldSelf.spec) || self.spec == oldSelf.spec",
    "!has(oldSelf.status) || !has(oldSelf.status.ackResourceMetadata) || !has(oldSelf.status.ackResourceMetadata.arn)",
)
"""Where nothing is fixed: without an edit, as in every write of the status, or without a job."""


def immutability_rules(spec: Mapping[str, Field]) -> list[Schema]:
    """One rule for the name, and one for all other fields, whose refusal names those that were edited.

    One for each field would cost the API server more than all the rest of a write: every rule is evaluated at every
    write, and each mention of a field is looked up anew.
    """
    same = {path: unchanged(path) for path in fixed_paths(spec)}
    edited = "\n+ ".join(f"({is_same} ? '' : 'spec.{path} ')" for path, is_same in same.items())
    rule = "\n|| ".join((*FREE, "\n&& ".join(same.values())))
    return [
        name_rule(),
        {**refusal("", rule, f"what was edited {FIXED}"), "messageExpression": f"{edited}\n+ '{FIXED}'"},
    ]


def name_rule() -> Schema:
    """The name can be given later (adoption without spec) but neither changed nor taken away."""
    return refusal(
        f".{NAME}",
        f"!has(oldSelf.spec) || !has(oldSelf.spec.{NAME})"
        f" || has(self.spec) && has(self.spec.{NAME}) && self.spec.{NAME} == oldSelf.spec.{NAME}",
        "the name of the job never changes; create another TrainingJob for another name",
    )


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
        yield from (path for path in paths if path not in OPEN | {NAME})


def refusal(below_spec: str, rule: str, message: str) -> Schema:
    """A rule whose failure the API server reports for a part of spec."""
    return {"rule": rule, "message": message, "fieldPath": f".spec{below_spec}", "reason": "FieldValueForbidden"}
