"""Which edits of a spec the API server refuses: CEL rules, most at the schema's root, the one place that sees status.

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

NAME_FIXED = "the name of the job never changes; create another TrainingJob for another name"

NAME_RULE = {"rule": "self == oldSelf", "message": NAME_FIXED, "reason": "FieldValueForbidden"}
"""The name's own rule: it looks nothing up, and so costs next to nothing."""

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
    "!has(oldSelf.status) || !has(oldSelf.status.ackResourceMetadata) || !has(oldSelf.status.ackResourceMetadata.arn)",
    "!has(self.spec) || !has(oldSelf.spec) || self.spec == oldSelf.spec",
)
"""Where nothing is fixed: without a job, or without an edit, as in every write of the status. The cheap one first."""


def immutability_rules(spec: Mapping[str, Field]) -> list[Schema]:
    """One rule that keeps the spec, and so the name, which it must have; one for all other fields, naming the edited.

    One for each field would cost the API server more than all the rest of a write: every rule is evaluated at every
    write, and each mention of a field is looked up anew.
    """
    same = {path: unchanged(path) for path in fixed_paths(spec)}
    edited = "\n+ ".join(f"({is_same} ? '' : 'spec.{path} ')" for path, is_same in same.items())
    rule = "\n|| ".join((*FREE, "\n&& ".join(same.values())))
    return [
        refusal(f".{NAME}", "!has(oldSelf.spec) || has(self.spec)", NAME_FIXED),  # it may come later, by adoption
        {**refusal("", rule, f"what was edited {FIXED}"), "messageExpression": f"{edited}\n+ '{FIXED}'"},
    ]


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
