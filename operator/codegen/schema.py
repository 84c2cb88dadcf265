"""OpenAPI schemas of spec and status from the API model.

Types for both; bounds, patterns and enums for spec only, since status must accept any AWS response. immutability.py
has the transition rules.
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
"""Stable enums. All others stay open: the CRD must accept values added by AWS."""

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
"""maxLength of strings without bound in the model; the API server estimates the cost of rules from it."""

LARGEST_INT32 = 2**31 - 1

REQUIRED = (
    "algorithmSpecification",
    "outputDataConfig",
    "resourceConfig",
    "roleARN",
    "stoppingCondition",
)
"""Required fields of spec, as in ACK's CRD except trainingJobName. spec itself is optional (adoption)."""

OPTIONAL = frozenset({("Tag", "Value")})
"""(shape, member) pairs required by the API but optional here: both controllers set an empty tag value."""

KEYS = {
    "TagList": "key",
    "InputDataConfig": "channelName",
    "DebugRuleConfigurations": "ruleConfigurationName",
    "ProfilerRuleConfigurations": "ruleConfigurationName",
    "InstancePreferenceList": "instanceType",
}
"""Lists with unique items: shape -> unique field.

Enforced in CEL: with x-kubernetes-list-type: map, the API server would reject every write, status included, of an older
object with a duplicate or missing key.
"""

PATTERNS = {
    # RE2 has no look-behind: the last character class excludes a trailing hyphen
    "ArnOrName": r"^(arn:aws[a-z\-]*:sagemaker:[a-z0-9\-]*:[0-9]{12}:[a-z\-]*/)?"
    r"[a-zA-Z0-9]([a-zA-Z0-9\-]{0,61}[a-zA-Z0-9])?$",
}
"""Manual RE2 translations of Java patterns, by shape name."""

OWN_STATUS: dict[str, Schema] = {
    "ackResourceMetadata": {
        "type": "object",
        "properties": dict.fromkeys(("arn", "ownerAccountID", "partition", "region"), TEXT),
        "required": ["ownerAccountID", "region"],
    },
    "appliedFields": {"type": "array", "items": TEXT},
    "attempts": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                **dict.fromkeys(("arn", "endTime", "failureReason", "reason", "trainingJobName"), TEXT),
                **dict.fromkeys(("billableTimeInSeconds", "number", "trainingTimeInSeconds"), NUMBER),
            },
        },
    },
    "appliedTagKeys": {"type": "array", "items": TEXT},
    "billableInstanceSeconds": NUMBER,
    "clashingJobARN": TEXT,
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
    "outcome": TEXT,
    "ownership": {
        "type": "object",
        "properties": dict.fromkeys(("claim", "endpointURL", "evidence", "jobARN", "objectUID"), TEXT),
    },
    "phase": TEXT,
    "trainingJobName": TEXT,
}
"""Fields of status not copied from Describe."""

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
"""Default status of a new object, before its first reconcile; without it, Flux considers a new object ready."""

RESERVED_TAGS = {
    "rule": "self.all(tag, !has(tag.key) || "
    "!(tag.key.startsWith('services.k8s.aws/') || tag.key.lowerAscii().startsWith('aws:')))",
    "message": "tag keys under services.k8s.aws/ are reserved for the operator, and keys under aws: for AWS; "
    "choose another prefix",
    "reason": "FieldValueForbidden",
}


def spec_schema(fields: Mapping[str, Field]) -> Schema:
    """Build the schema of spec, without descriptions."""
    properties = {name: input_schema(field) for name, field in fields.items()}
    properties["tags"]["maxItems"] = MAX_USER_TAGS
    properties["tags"]["x-kubernetes-validations"].append(RESERVED_TAGS)
    return structure(properties, REQUIRED) | {"x-kubernetes-validations": [consistency_rule()]}


def input_schema(field: Field) -> Schema:
    """Build the schema of one field of spec, with the model's constraints."""
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
    """Build the schema of a string with its enum, or its length and pattern."""
    if shape.name in CLOSED_ENUMS:
        return {"type": "string", "enum": list(shape.enum)}
    unbounded = LENGTH_OF_OPEN_ENUM if shape.enum else LENGTH_OF_ARN
    schema = bounded({"type": "string"}, "Length", shape.metadata.get("min"), shape.metadata.get("max", unbounded))
    if pattern := pattern_of(shape):
        schema["pattern"] = pattern
    return schema


def key_schema(shape: Any) -> Schema:
    """Return the constraints on the keys of a map."""
    bounds = {"minLength": shape.metadata["min"], "maxLength": shape.metadata["max"], "pattern": pattern_of(shape)}
    return {keyword: bound for keyword, bound in bounds.items() if bound}


def key_rule(shape: Any) -> Schema:
    """Build the constraints on map keys in CEL, since structural schemas have no keyword for keys."""
    bounds = key_schema(shape)
    low, high, pattern = bounds.get("minLength", 0), bounds["maxLength"], bounds["pattern"]
    rule, message = f"size(key) <= {high}", f"a key has {low} to {high} characters"
    if low:
        rule = f"size(key) >= {low} && {rule}"
    if pattern != "^.*$":  # matches any single line
        rule, message = f"{rule} && key.matches('{pattern}')", f"{message} and matches {pattern}"
    return {"rule": f"self.all(key, {rule})", "message": message}


def unique_rule(key: str) -> Schema:
    """Build a rule for unique values of a required field in a list."""
    # An older object may lack the key, and ratcheting does not cover evaluation errors.
    rule = f"self.all(item, !has(item.{key}) || self.exists_one(other, has(other.{key}) && other.{key} == item.{key}))"
    return {"rule": rule, "message": f"each {key} may appear only once", "reason": "FieldValueForbidden"}


def bounded(schema: Schema, what: str, low: int | None, high: int | None) -> Schema:
    """Add bounds such as minLength and maxLength to the schema; omits a lower bound of zero."""
    bounds = {f"min{what}": low, f"max{what}": high}
    return schema | {name: bound for name, bound in bounds.items() if bound}


def pattern_of(shape: Any) -> str | None:
    """Translate the model's Java pattern, implicitly anchored, to an anchored RE2 pattern."""
    java = shape.metadata.get("pattern")
    if shape.name in PATTERNS:
        return PATTERNS[shape.name]
    if java is None or java == r"[\S\s]*":
        return None
    pattern = java.replace(r"\p{Alnum}", "a-zA-Z0-9").replace(r"\/", "/")
    pattern = re.sub(r"\{1,(\d{4,})\}", "+", pattern)  # RE2 limits repetition to 1000; maxLength covers the rest
    return f"^{pattern}$"


def status_schema(fields: Mapping[str, Field]) -> Schema:
    """Build the schema of status, without descriptions: fields of Describe and of the operator."""
    described = {name: output_schema(field) for name, field in fields.items()}
    return structure(described | OWN_STATUS) | {"default": NEWBORN}


def output_schema(field: Field) -> Schema:
    """Build the schema of one field of status: its type, without constraints."""
    if field.item:
        return {"type": "array", "items": output_schema(field.item)}
    if field.type == "object":
        return structure({name: output_schema(part) for name, part in field.parts.items()})
    return SCALARS[field.type]


def structure(properties: Mapping[str, Schema], required: Sequence[str] = ()) -> Schema:
    """Build the schema of an object with named fields."""
    return {"type": "object", "properties": dict(properties)} | ({"required": list(required)} if required else {})
