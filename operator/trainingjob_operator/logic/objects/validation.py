"""Errors of a spec detectable before any call to AWS, in the spelling of the spec.

The CRD enforces the same rules at admission. These checks cover objects under ACK's looser CRD and objects older than a
rule. Not here: the constraints (constraints.py, derived from the API model), field types (fields.py), and rules known
to the service only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.naming import TAG_PREFIX
from trainingjob_operator.logic.objects import fields
from trainingjob_operator.logic.objects.constraints import CONSTRAINTS
from trainingjob_operator.logic.objects.field_table import SPEC
from trainingjob_operator.logic.objects.resource import mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from trainingjob_operator.logic.objects.field_table import Shape

MAX_PROBLEMS = 5
"""Maximum number of errors in one message; further ones are counted."""

SPOT_WITHOUT_WAIT = "enableManagedSpotTraining requires stoppingCondition.maxWaitTimeInSeconds"
WAIT_WITHOUT_SPOT = "stoppingCondition.maxWaitTimeInSeconds requires enableManagedSpotTraining: true"
WAIT_BELOW_RUNTIME = (
    "stoppingCondition.maxWaitTimeInSeconds must not be less than stoppingCondition.maxRuntimeInSeconds"
)
TWO_ALGORITHMS = "algorithmSpecification takes either trainingImage or algorithmName, not both"
NO_ALGORITHM = "algorithmSpecification requires trainingImage or algorithmName"
NO_INSTANCES = "resourceConfig.instanceCount must be at least 1"

_CHECKS: Mapping[str, tuple[Callable[[Any, Any], bool], str]] = {
    "enum": (lambda value, allowed: value in allowed, "must be one of {}"),
    "pattern": (lambda value, pattern: re.fullmatch(pattern, value, re.ASCII) is not None, "must match {}"),
    "minLength": (lambda value, low: len(value) >= low, "must have at least {} characters"),
    "maxLength": (lambda value, high: len(value) <= high, "must have at most {} characters"),
    "minimum": (lambda value, low: value >= low, "must be at least {}"),
    "maximum": (lambda value, high: value <= high, "must be at most {}"),
    "minItems": (lambda value, low: len(value) >= low, "must have at least {} items"),
    "maxItems": (lambda value, high: len(value) <= high, "must have at most {} items"),
    "maxProperties": (lambda value, high: len(value) <= high, "must have at most {} entries"),
}
"""By keyword: the check of a value against the bound, and the message for a violation."""


def find_problem(spec: Mapping[str, Any]) -> str | None:
    """Return the error message for a spec that makes no valid request; it names fields and never quotes a value."""
    try:
        fields.to_request(spec)
    except fields.InvalidSpec as error:
        return str(error)
    problems = [*_find_violations("spec", "", SPEC, spec), *_find_conflicts(spec), *_find_reserved_tags(spec)]
    if not problems:
        return None
    more = f"; and {len(problems) - MAX_PROBLEMS} more" if len(problems) > MAX_PROBLEMS else ""
    return "; ".join(problems[:MAX_PROBLEMS]) + more + "."


def check_request(spec: Mapping[str, Any]) -> Finding | None:
    """Return the reason why the spec makes no valid request, if any."""
    problem = find_problem(spec)
    return None if problem is None else Finding(reasons.INVALID_SPEC, problem)


def _find_violations(path: str, kind: str, shape: Shape, value: Any) -> Iterator[str]:
    """Yield the violations at and below a field. `path` has indices; `kind` is the path without spec and indices."""
    constraint = CONSTRAINTS.get(kind, {})
    yield from _check(path, constraint, value)
    if isinstance(shape, dict):
        yield from (f"{path}.{name} is required" for name in constraint.get("required", ()) if name not in value)
        for name, part in value.items():
            yield from _find_violations(f"{path}.{name}", f"{kind}.{name}".lstrip("."), shape[name][1], part)
    elif isinstance(shape, list):
        yield from _find_repeats(path, constraint.get("key"), value)
        for index, item in enumerate(value):
            yield from _find_violations(f"{path}[{index}]", f"{kind}[]", shape[0], item)
    elif shape == "map":
        for name, part in value.items():
            yield from _check(f"a key of {path}", CONSTRAINTS.get(f"{kind}.key", {}), name)
            yield from _check(f"a value of {path}", CONSTRAINTS.get(f"{kind}.value", {}), part)


def _check(path: str, constraint: Mapping[str, Any], value: Any) -> Iterator[str]:
    for keyword, bound in constraint.items():
        if keyword in _CHECKS and not _CHECKS[keyword][0](value, bound):
            words = ", ".join(bound) if isinstance(bound, tuple) else bound
            yield f"{path} {_CHECKS[keyword][1].format(words)}"
            return  # a value below the minimum length also violates the pattern


def _find_repeats(path: str, key: str | None, items: list[Any]) -> Iterator[str]:
    first: dict[str, int] = {}
    for index, item in enumerate(items if key else ()):
        if (text := item.get(key)) is not None and first.setdefault(text, index) != index:
            yield f"{path}[{index}].{key} repeats {path}[{first[text]}].{key}"


def _find_conflicts(spec: Mapping[str, Any]) -> Iterator[str]:
    """Check the rules of codegen/consistency.py (CEL)."""
    stopping, algorithm = mapping(spec.get("stoppingCondition")), mapping(spec.get("algorithmSpecification"))
    resources = mapping(spec.get("resourceConfig"))
    spot, wait = spec.get("enableManagedSpotTraining", False), stopping.get("maxWaitTimeInSeconds")
    has_name, has_image = "algorithmName" in algorithm, bool(algorithm.get("trainingImage"))
    if spot and wait is None:
        yield f"spec.{SPOT_WITHOUT_WAIT}"
    if wait is not None and not spot:
        yield f"spec.{WAIT_WITHOUT_SPOT}"
    if wait is not None and wait < stopping.get("maxRuntimeInSeconds", wait):
        yield f"spec.{WAIT_BELOW_RUNTIME}"
    if has_name and has_image:
        yield f"spec.{TWO_ALGORITHMS}"
    if not (has_name or has_image or "serverlessJobConfig" in spec):
        yield f"spec.{NO_ALGORITHM}"
    if resources.get("instanceCount") == 0 and "instanceType" in resources and "instanceGroups" not in resources:
        yield f"spec.{NO_INSTANCES}"


def _find_reserved_tags(spec: Mapping[str, Any]) -> Iterator[str]:
    keys = [str(tag.get("key")) for tag in spec.get("tags", ())]
    reserved = [key for key in keys if key.startswith(TAG_PREFIX) or key.lower().startswith("aws:")]
    if reserved:
        yield (
            f"spec.tags must not use keys under {TAG_PREFIX} (reserved for the ownership of the job) or aws: "
            f"(reserved by AWS): {', '.join(reserved)}"
        )
