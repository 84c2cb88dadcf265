"""Fields of an object by path in the API server's notation: spec.inputDataConfig[0].channelName."""

from __future__ import annotations

import re
from typing import Any


def steps(path: str) -> list[str | int]:
    """The keys and indices of a path."""
    return [int(step) if step.isdigit() else step for step in re.findall(r"\w+", path)]


def value_at(job: Any, path: str) -> Any:
    """The value at a path."""
    for step in steps(path):
        job = job[step]
    return job


def put(job: Any, path: str, value: Any) -> None:
    """Set the value at a path with an existing parent."""
    *parents, last = steps(path)
    for step in parents:
        job = job[step]
    job[last] = value


def take_out(job: Any, path: str) -> None:
    """Remove the field at a path, if it exists."""
    *parents, last = steps(path)
    for step in parents:
        job = job[step]
    job.pop(last, None)


def listed(schema: dict[str, Any], path: str = "") -> dict[str, str]:
    """Every path below a schema with its type, in the notation of ack-crd-paths.txt ([] items, {} map values)."""
    found: dict[str, str] = {}
    below = {f"{path}.{name}": part for name, part in schema.get("properties", {}).items()}
    if "items" in schema:
        below[f"{path}[]"] = schema["items"]
    if "additionalProperties" in schema:
        below[f"{path}{{}}"] = schema["additionalProperties"]
    for name, part in below.items():
        found |= {name: part["type"]} | listed(part, name)
    return found
