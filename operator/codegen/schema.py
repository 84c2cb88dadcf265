"""OpenAPI schemas of spec and status from the API model.

Here: types, bounds, patterns and enums, in spec only; nothing under status may refuse what AWS says.
Not here: rules that compare an object with its earlier self (immutability.py).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from codegen.consistency import consistency_rule
from codegen.model import object_name
from trainingjob_operator.logic.naming import MAX_USER_TAGS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from codegen.model import Field

Schema = dict[str, Any]

CLOSED_ENUMS = frozenset(
    {
        "FileSystemAccessMode",
        "FileSystemType",
        "CompressionType",
        "OutputCompressionType",
        "RecordWrapper",
        "S3DataDistribution",
        "TrainingInputMode",
        "TrainingRepositoryAccessMode",
    }
)
"""Enums without a new value for years. Every other one is open: the CRD must not refuse what AWS adds."""

TEXT: Schema = {"type": "string"}
TIME: Schema = {"type": "string", "format": "date-time"}
NUMBER: Schema = {"type": "integer", "format": "int64"}
SCALARS = {
    "string": TEXT,
    "timestamp": TIME,
    "integer": NUMBER,
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
}

LENGTH_OF_OPEN_ENUM = 64
LENGTH_OF_ARN = 2048
"""For strings that the model leaves unbounded: the API server weighs a rule by the longest value it may meet."""

LARGEST_INT32 = 2**31 - 1

REQUIRED = (
    "algorithmSpecification",
    "outputDataConfig",
    "resourceConfig",
    "roleARN",
    "stoppingCondition",
    "trainingJobName",
)
"""Directly below spec: what ACK's CRD requires, and no more. spec itself may be missing (adoption)."""

OPTIONAL = frozenset({("Tag", "Value")})
"""(shape, member) that the API requires and both controllers fill in: a tag without value gets the empty value."""

KEYS = {
    "TagList": "key",
    "InputDataConfig": "channelName",
    "DebugRuleConfigurations": "ruleConfigurationName",
    "ProfilerRuleConfigurations": "ruleConfigurationName",
    "InstancePreferenceList": "instanceType",
}
"""Lists, by their shape, that may hold each value of a field of their items only once.

In CEL: with x-kubernetes-list-type: map, the API server would refuse every write, of the status too, of an older object
that repeats or lacks a key.
"""

PATTERNS = {
    # RE2 has no look-behind: "does not end with a hyphen", said by the last character
    "ArnOrName": r"^(arn:aws[a-z\-]*:sagemaker:[a-z0-9\-]*:[0-9]{12}:[a-z\-]*/)?"
    r"[a-zA-Z0-9]([a-zA-Z0-9\-]{0,61}[a-zA-Z0-9])?$",
}
"""Patterns that no rewriting rule brings from Java to RE2, by the name of their shape."""

OWN_STATUS: dict[str, Schema] = {
    "ackResourceMetadata": {
        "type": "object",
        "properties": dict.fromkeys(("arn", "ownerAccountID", "partition", "region"), TEXT),
        "required": ["ownerAccountID", "region"],
    },
    "appliedFields": {"type": "array", "items": TEXT},
    "appliedTagKeys": {"type": "array", "items": TEXT},
    "conditions": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "lastTransitionTime": TIME,
                **dict.fromkeys(("message", "reason", "status", "type"), TEXT),
            },
            "required": ["status", "type"],
        },
    },
    "consoleURL": TEXT,
    "duration": TEXT,
    "instanceType": TEXT,
    "lastHandledReconcileAt": TEXT,
    "logs": {"type": "object", "properties": dict.fromkeys(("group", "streamPrefix", "url"), TEXT)},
    "managedSpotTrainingSavings": NUMBER,
    "observedGeneration": NUMBER,
    "ownership": {
        "type": "object",
        "properties": dict.fromkeys(("claim", "endpointURL", "evidence", "jobARN", "objectUID"), TEXT),
    },
    "phase": TEXT,
}
"""The fields of status that are not copied from Describe."""

NEWBORN = {
    "conditions": [
        {
            "type": "Ready",
            "status": "Unknown",
            "reason": "Pending",
            "message": "Waiting for the operator",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }
    ],
    "phase": "Pending",
}
"""The status of an object that the operator has not seen: without it, Flux takes a new object for ready."""

RESERVED_TAGS = {
    "rule": "self.all(tag, !has(tag.key) || "
    "!(tag.key.startsWith('services.k8s.aws/') || tag.key.lowerAscii().startsWith('aws:')))",
    "message": "keys under services.k8s.aws/ belong to the operator and keys under aws: to AWS; choose another prefix",
    "reason": "FieldValueForbidden",
}


def spec_schema(fields: Mapping[str, Field]) -> Schema:
    """The schema of spec, without descriptions."""
    properties = {name: input_schema(field) for name, field in fields.items()}
    properties["tags"]["maxItems"] = MAX_USER_TAGS
    properties["tags"]["x-kubernetes-validations"].append(RESERVED_TAGS)
    return structure(properties, REQUIRED) | {"x-kubernetes-validations": [consistency_rule()]}


def input_schema(field: Field) -> Schema:
    """One field of spec with everything that the model says of its values."""
    shape = field.shape
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if field.item:
        rules = {"x-kubernetes-validations": [unique_rule(KEYS[shape.name])]} if shape.name in KEYS else {}
        return bounded({"type": "array", "items": input_schema(field.item), **rules}, "Items", low, high)
    if field.type == "object":
        required = [object_name(name) for name in shape.required_members if (shape.name, name) not in OPTIONAL]
        return structure({name: input_schema(part) for name, part in field.parts.items()}, required)
    if field.type == "map":
        values = {"additionalProperties": string_schema(shape.value), "x-kubernetes-validations": [key_rule(shape.key)]}
        return bounded({"type": "object", **values}, "Properties", low, high)
    if field.type == "integer":
        largest = high or (LARGEST_INT32 if shape.type_name == "integer" else None)
        bounds = {"minimum": low, "maximum": largest}
        return NUMBER | {name: bound for name, bound in bounds.items() if bound is not None}
    if field.type == "string":
        return string_schema(shape)
    return SCALARS[field.type]


def string_schema(shape: Any) -> Schema:
    """A string with its enum, or its length and pattern."""
    if shape.name in CLOSED_ENUMS:
        return {"type": "string", "enum": list(shape.enum)}
    unbounded = LENGTH_OF_OPEN_ENUM if shape.enum else LENGTH_OF_ARN
    schema = bounded({"type": "string"}, "Length", shape.metadata.get("min"), shape.metadata.get("max", unbounded))
    if pattern := pattern_of(shape):
        schema["pattern"] = pattern
    return schema


def key_schema(shape: Any) -> Schema:
    """What holds for the keys of a map."""
    bounds = {"minLength": shape.metadata["min"], "maxLength": shape.metadata["max"], "pattern": pattern_of(shape)}
    return {keyword: bound for keyword, bound in bounds.items() if bound}


def key_rule(shape: Any) -> Schema:
    """The same in CEL: OpenAPI as Kubernetes takes it has no keyword for keys."""
    bounds = key_schema(shape)
    low, high, pattern = bounds.get("minLength", 0), bounds["maxLength"], bounds["pattern"]
    rule, message = f"size(key) <= {high}", f"a key has {low} to {high} characters"
    if low:
        rule = f"size(key) >= {low} && {rule}"
    if pattern != "^.*$":  # which says no more than: one line
        rule, message = f"{rule} && key.matches('{pattern}')", f"{message} and matches {pattern}"
    return {"rule": f"self.all(key, {rule})", "message": message}


def unique_rule(key: str) -> Schema:
    """No two items of a list have the same value of a required field."""
    # An older object may lack the key, and an error of evaluation is never ratcheted.
    rule = f"self.all(item, !has(item.{key}) || self.exists_one(other, has(other.{key}) && other.{key} == item.{key}))"
    return {"rule": rule, "message": f"each {key} may appear only once", "reason": "FieldValueForbidden"}


def bounded(schema: Schema, what: str, low: int | None, high: int | None) -> Schema:
    """The schema with minLength and maxLength, or the like; a lower bound of zero says nothing."""
    bounds = {f"min{what}": low, f"max{what}": high}
    return schema | {name: bound for name, bound in bounds.items() if bound}


def pattern_of(shape: Any) -> str | None:
    """The model's pattern, which Java matches against the whole value, as an anchored one for RE2."""
    java = shape.metadata.get("pattern")
    if shape.name in PATTERNS:
        return PATTERNS[shape.name]
    if java is None or java == r"[\S\s]*":
        return None
    pattern = java.replace(r"\p{Alnum}", "a-zA-Z0-9").replace(r"\/", "/")
    pattern = re.sub(r"\{1,(\d{4,})\}", "+", pattern)  # RE2 repeats at most 1000 times; maxLength says the rest
    return f"^{pattern}$"


def status_schema(fields: Mapping[str, Field]) -> Schema:
    """The schema of status, without descriptions: what Describe tells and what the operator adds."""
    told = {name: output_schema(field) for name, field in fields.items()}
    return structure(told | OWN_STATUS) | {"default": NEWBORN}


def output_schema(field: Field) -> Schema:
    """One field of status: its type and nothing that could refuse a value."""
    if field.item:
        return {"type": "array", "items": output_schema(field.item)}
    if field.type == "object":
        return structure({name: output_schema(part) for name, part in field.parts.items()})
    return SCALARS[field.type]


def structure(properties: Mapping[str, Schema], required: Sequence[str] = ()) -> Schema:
    """An object of named fields."""
    return {"type": "object", "properties": dict(properties)} | ({"required": list(required)} if required else {})
