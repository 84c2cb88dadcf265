"""Spec to CreateTrainingJob, and what of a spec differs from the job that Describe shows.

Here: two walks over the field table (members.py, derived from the API model).
Not here: tags beyond those of spec, the way from Describe to status (observation.py), what follows from a difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trainingjob_operator.logic.members import SPEC, UNDESCRIBED

if TYPE_CHECKING:
    from trainingjob_operator.logic.members import Shape

UPDATABLE = frozenset(
    {
        "profilerConfig",
        "profilerRuleConfigurations",
        "remoteDebugConfig",
        "resourceConfig.keepAlivePeriodInSeconds",
    }
)
"""The fields below spec that UpdateTrainingJob can change, with all that is below them; tags go by AddTags."""

UNORDERED = frozenset({"vpcConfig.securityGroupIDs", "vpcConfig.subnets"})
"""Lists whose order says nothing."""

METRICS = "algorithmSpecification.metricDefinitions"
"""The list to which the service adds definitions of its own for built-in algorithms: only the user's are compared."""

SERVICE_DEFAULTS = {
    "compressionType": frozenset({"None", "GZIP"}),  # of a channel; of the output
    "recordWrapperType": frozenset({"None"}),
    "s3DataDistributionType": frozenset({"FullyReplicated"}),
}
"""Values that say the same as leaving the field out, by field name; so does everything empty, zero or false."""

_TYPES: dict[str, tuple[type, str]] = {
    "string": (str, "a string"),
    "integer": (int, "an integer"),
    "boolean": (bool, "true or false"),
}
_FOUND = {bool: "a boolean", int: "an integer", float: "a number", str: "a string", list: "a list", type(None): "null"}


class InvalidSpec(ValueError):  # noqa: N818  named for what it says of the object, like the API server's reason
    """A spec that no request can be made of; the message names the field and what to change, never a value."""


def to_request(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The members of CreateTrainingJob that a spec asks for: exactly what is set, under the API's names.

    Raises InvalidSpec for a field that is unknown or of the wrong type, which only a CRD other than ours lets pass.
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
"""Optional fields that Describe returns, other than empty or false, only where CreateTrainingJob was given them."""


def differences(spec: Mapping[str, Any], describe: Mapping[str, Any]) -> tuple[str, ...]:
    """Where the job is not what the user set: sorted paths below spec, such as "inputDataConfig[0].contentType".

    What the user left out is never compared, nor what Describe never tells (tags, sessionChainingConfig). A value that
    says the same as leaving the field out equals absence. Raises InvalidSpec as to_request does.
    """
    wanted = to_request(spec)
    told = {name: entry for name, entry in SPEC.items() if name not in UNDESCRIBED}
    return tuple(sorted(_differences("", told, wanted, describe)))


def left_out(spec: Mapping[str, Any], describe: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields of spec, sorted, that the job was given and the user left out; what the service fills in is none."""
    return tuple(name for name in sorted(GIVEN) if name not in spec and describe.get(SPEC[name][0]))


def _request(path: str, shape: Shape, value: Any) -> Any:
    if isinstance(shape, dict):
        _expect(path, value, Mapping, "an object")
        if unknown := sorted(map(str, value.keys() - shape.keys())):
            raise InvalidSpec(
                f"{path} has fields that CreateTrainingJob does not take: {', '.join(unknown)}; "
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


def _differences(path: str, shape: Shape, wanted: Any, told: Any) -> list[str]:
    kind = Mapping if isinstance(shape, dict) or shape == "map" else list if isinstance(shape, list) else object
    if not isinstance(told, kind):
        told = None  # an answer of another kind tells nothing
    if isinstance(shape, dict):
        return [
            difference
            for name, (member, part) in shape.items()
            if member in wanted
            for difference in _differences(f"{path}.{name}".lstrip("."), part, wanted[member], (told or {}).get(member))
        ]
    if told is None:
        is_default = wanted in SERVICE_DEFAULTS.get(path.rpartition(".")[2], ())
        return [] if is_default or not wanted else [path]
    if isinstance(shape, list) and isinstance(shape[0], dict) and path != METRICS and len(wanted) == len(told):
        return [
            difference
            for index, (item, found) in enumerate(zip(wanted, told, strict=True))
            for difference in _differences(f"{path}[{index}]", shape[0], item, found)
        ]
    return [] if _says_the_same(path, wanted, told) else [path]


def _says_the_same(path: str, wanted: Any, told: Any) -> bool:
    if path in UNORDERED:
        return sorted(wanted, key=repr) == sorted(told, key=repr)
    if path == METRICS:
        return all(definition in told for definition in wanted)
    return bool(wanted == told)
