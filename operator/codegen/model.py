"""SageMaker's API model from botocore, with the field names of a TrainingJob object.

Contains the naming rule and the assignment of API members to `spec` and `status`; schema.py and table.py render them.
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
"""botocore's shape types -> OpenAPI types, plus map (of strings to strings) and timestamp."""

OUTPUT_ONLY = frozenset({"SelectedInstanceType", "SelectedInstanceCount"})
"""Members of shapes shared by request and response, but rejected by CreateTrainingJob."""

IDENTITY = "TrainingJobArn"
"""Member of the Describe response stored in `status.ackResourceMetadata`."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the object: type, name in the API, and nested fields."""

    member: str
    type: str
    shape: Any  # botocore's Shape (untyped): the source of bounds, patterns and enums
    parts: dict[str, Field] = field(default_factory=dict)
    item: Field | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """Fields of spec and status by name in the object; `undescribed` lists spec fields absent from Describe."""

    spec: dict[str, Field]
    status: dict[str, Field]
    undescribed: frozenset[str]


def read_model() -> Model:
    """Read the input of CreateTrainingJob and the additional output of DescribeTrainingJob."""
    service = ServiceModel(Loader().load_service_model("sagemaker", "service-2"), "sagemaker")
    taken = service.operation_model("CreateTrainingJob").input_shape.members
    described = service.operation_model("DescribeTrainingJob").output_shape.members
    answered = read_fields({name: shape for name, shape in described.items() if name not in {*taken, IDENTITY}})
    for name in described.keys() & taken.keys():
        parts = getattr(described[name], "members", {})
        if chosen := {part: parts[part] for part in sorted(OUTPUT_ONLY & parts.keys())}:
            answered[object_name(name)] = Field(name, "object", described[name], read_fields(chosen))
    return Model(
        spec=read_fields(taken),
        status=answered,
        undescribed=frozenset(object_name(name) for name in taken.keys() - described.keys()),
    )


def read_fields(members: Mapping[str, Any]) -> dict[str, Field]:
    """Return the fields of a structure by name in the object."""
    return {object_name(name): read_field(name, shape) for name, shape in members.items()}


def read_field(member: str, shape: Any) -> Field:
    """Return one field with all nested fields accepted in a request."""
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
    """Convert an API member name to the object's: S3Uri -> s3URI, VolumeKmsKeyId -> volumeKMSKeyID."""
    spelled = re.sub(r"(Arn|Id|Kms|Uri|Url)(?=s?(?:[A-Z]|$))", lambda word: word[0].upper(), member)
    return re.sub(r"^(?:[A-Z]+(?=[A-Z][a-z]|$)|[A-Z])", lambda word: word[0].lower(), spelled)
