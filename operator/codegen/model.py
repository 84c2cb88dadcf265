"""The SageMaker API as botocore describes it, under the names that a TrainingJob object uses.

Here: the one naming rule, and which members of the API belong to `spec` and which to `status`.
Not here: what is written from them (schema.py, table.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.loaders import Loader
from botocore.model import ServiceModel

if TYPE_CHECKING:
    from collections.abc import Mapping

TYPES = {
    "structure": "object",
    "list": "array",
    "map": "map",
    "string": "string",
    "integer": "integer",
    "long": "integer",
    "boolean": "boolean",
    "float": "number",
    "timestamp": "timestamp",
}
"""botocore's types of a shape -> ours: OpenAPI's, but for map (of strings to strings) and timestamp."""

OUTPUT_ONLY = frozenset({"SelectedInstanceType", "SelectedInstanceCount"})
"""Members of a shape that request and answer share, which CreateTrainingJob documents as not accepted."""

IDENTITY = "TrainingJobArn"
"""The member of Describe's answer that `status.ackResourceMetadata` shows."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the object: its type, its name in the API and, where it has them, its parts."""

    member: str
    type: str
    shape: Any  # botocore's Shape, which brings no types: the source of bounds, patterns and enums
    parts: dict[str, Field] = field(default_factory=dict)
    item: Field | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """The fields of spec and of status by their name in the object, and which of spec no Describe returns."""

    spec: dict[str, Field]
    status: dict[str, Field]
    undescribed: frozenset[str]


def read_model() -> Model:
    """What CreateTrainingJob takes, and what DescribeTrainingJob tells beyond that."""
    service = ServiceModel(Loader().load_service_model("sagemaker", "service-2"), "sagemaker")
    taken = service.operation_model("CreateTrainingJob").input_shape.members
    told = service.operation_model("DescribeTrainingJob").output_shape.members
    answered = read_fields({name: shape for name, shape in told.items() if name not in {*taken, IDENTITY}})
    for name in told.keys() & taken.keys():
        parts = getattr(told[name], "members", {})
        if chosen := {part: parts[part] for part in sorted(OUTPUT_ONLY & parts.keys())}:
            answered[object_name(name)] = Field(name, "object", told[name], read_fields(chosen))
    return Model(
        spec=read_fields(taken),
        status=answered,
        undescribed=frozenset(object_name(name) for name in taken.keys() - told.keys()),
    )


def read_fields(members: Mapping[str, Any]) -> dict[str, Field]:
    """The fields of a structure from botocore's members, by their name in the object."""
    return {object_name(name): read_field(name, shape) for name, shape in members.items()}


def read_field(member: str, shape: Any) -> Field:
    """One field with everything below it that a request may carry."""
    kind = TYPES[shape.type_name]
    if kind == "object":
        accepted = {name: part for name, part in shape.members.items() if name not in OUTPUT_ONLY}
        return Field(member, kind, shape, read_fields(accepted))
    if kind == "array":
        return Field(member, kind, shape, item=read_field(member, shape.member))
    if kind == "map" and (shape.key.type_name, shape.value.type_name) != ("string", "string"):
        raise TypeError(f"{member} maps {shape.key.type_name} to {shape.value.type_name}; only strings are known")
    return Field(member, kind, shape)


def object_name(member: str) -> str:
    """The name of a member of the API in the object: S3Uri -> s3URI, VolumeKmsKeyId -> volumeKMSKeyID."""
    spelled = re.sub(r"(Arn|Id|Kms|Uri|Url)(?=s?(?:[A-Z]|$))", lambda word: word[0].upper(), member)
    return re.sub(r"^(?:[A-Z]+(?=[A-Z][a-z]|$)|[A-Z])", lambda word: word[0].lower(), spelled)
