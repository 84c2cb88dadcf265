"""Conversion of a spec to CreateTrainingJob, and the differences between a spec and the job that Describe returns.

Both walk the field table (field_table.py, derived from the API model).
Not here: tags beyond those of spec, the conversion of Describe to status (observation.py), the reaction to a
difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trainingjob_operator.logic.objects.field_table import SPEC, UNDESCRIBED

if TYPE_CHECKING:
    from trainingjob_operator.logic.objects.field_table import Shape

UPDATABLE = frozenset(
    {
        "profilerConfig",
        "profilerRuleConfigurations",
        "remoteDebugConfig",
        "resourceConfig.keepAlivePeriodInSeconds",
    }
)
"""Fields below spec that UpdateTrainingJob can change, with their subfields; AddTags changes tags."""

UNORDERED = frozenset({"vpcConfig.securityGroupIDs", "vpcConfig.subnets"})
"""Lists with insignificant order."""

METRICS = "algorithmSpecification.metricDefinitions"
"""For built-in algorithms the service adds definitions to this list: only the user's are compared."""

SERVICE_DEFAULTS = {
    "compressionType": frozenset({"None", "GZIP"}),  # of a channel; of the output
    "recordWrapperType": frozenset({"None"}),
    "s3DataDistributionType": frozenset({"FullyReplicated"}),
}
"""Values equivalent to an absent field, by field name, in addition to empty, zero and false."""

_TYPES: dict[str, tuple[type, str]] = {
    "string": (str, "a string"),
    "integer": (int, "an integer"),
    "boolean": (bool, "true or false"),
}
_FOUND = {bool: "a boolean", int: "an integer", float: "a number", str: "a string", list: "a list", type(None): "null"}


class InvalidSpec(ValueError):  # noqa: N818  named like the reason of the API server
    """A spec that makes no valid request; the message names the field and the correction, never a value."""


def to_request(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of CreateTrainingJob for a spec: exactly the fields set, under the API's names.

    Raises InvalidSpec for an unknown field or a wrong type; only a CRD other than this project's admits them.
    """
    request: dict[str, Any] = _request("spec", SPEC, spec)
    return request


GIVEN = frozenset(
    {
        "checkpointConfig",
        "enableInterContainerTrafficEncryption",
        "enableManagedSpotTraining",
        "enableNetworkIsolation",
        "environment",
        "hyperParameters",
        "inputDataConfig",
        "vpcConfig",
    }
)
"""Optional fields that Describe returns (other than empty or false) only if CreateTrainingJob set them."""


def differences(spec: Mapping[str, Any], describe: Mapping[str, Any]) -> tuple[str, ...]:
    """Return sorted paths below spec with another value in the job, such as "inputDataConfig[0].contentType".

    Fields without a value in spec are not compared, nor fields that Describe does not return (tags,
    sessionChainingConfig).
    A value equivalent to an absent field equals absence. Raises InvalidSpec as to_request does.
    """
    wanted = to_request(spec)
    comparable = {name: entry for name, entry in SPEC.items() if name not in UNDESCRIBED}
    return tuple(sorted(_differences("", comparable, wanted, describe)))


def left_out(spec: Mapping[str, Any], describe: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the fields, sorted, set on the job but not in spec, without the service's defaults."""
    return tuple(name for name in sorted(GIVEN) if name not in spec and describe.get(SPEC[name][0]))


def _request(path: str, shape: Shape, value: Any) -> Any:
    if isinstance(shape, dict):
        _expect(path, value, Mapping, "an object")
        if unknown := sorted(map(str, value.keys() - shape.keys())):
            raise InvalidSpec(
                f"{path} has fields unknown to CreateTrainingJob: {', '.join(unknown)}; "
                "correct their names or remove them"
            )
        return {shape[name][0]: _request(f"{path}.{name}", shape[name][1], part) for name, part in value.items()}
    if isinstance(shape, list):
        _expect(path, value, list, "a list")
        return [_request(f"{path}[{index}]", shape[0], item) for index, item in enumerate(value)]
    if shape == "map":
        _expect(path, value, Mapping, "a map")
        if not all(isinstance(part, str) for entry in value.items() for part in entry):
            raise InvalidSpec(f"{path} maps strings to strings; put its numbers and booleans in quotes")
        return dict(value)
    _expect(path, value, *_TYPES[shape])
    return value


def _expect(path: str, value: Any, kind: type, wanted: str) -> None:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InvalidSpec(f"{path} must be {wanted}, not {_FOUND.get(type(value), 'an object')}")


def _differences(path: str, shape: Shape, wanted: Any, described: Any) -> list[str]:
    kind = Mapping if isinstance(shape, dict) or shape == "map" else list if isinstance(shape, list) else object
    if not isinstance(described, kind):
        described = None  # an answer of another type is unusable
    if isinstance(shape, dict):
        return [
            difference
            for name, (member, part) in shape.items()
            if member in wanted
            for difference in _differences(
                f"{path}.{name}".lstrip("."), part, wanted[member], (described or {}).get(member)
            )
        ]
    if described is None:
        is_default = wanted in SERVICE_DEFAULTS.get(path.rpartition(".")[2], ())
        return [] if is_default or not wanted else [path]
    if isinstance(shape, list) and isinstance(shape[0], dict) and path != METRICS and len(wanted) == len(described):
        return [
            difference
            for index, (item, found) in enumerate(zip(wanted, described, strict=True))
            for difference in _differences(f"{path}[{index}]", shape[0], item, found)
        ]
    return [] if _is_equal(path, wanted, described) else [path]


def _is_equal(path: str, wanted: Any, described: Any) -> bool:
    if path in UNORDERED:
        return sorted(wanted, key=repr) == sorted(described, key=repr)
    if path == METRICS:
        return all(definition in described for definition in wanted)
    return bool(wanted == described)
