"""botocore's description of SageMaker, cut down to the operations that the operator calls.

The whole of it is as large in memory as everything else of botocore together. Nothing is changed in what is kept.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.loaders import Loader

from trainingjob_operator.aws.gateway import METHODS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Json = dict[str, Any]


def render_service_model() -> str:
    """The text of a `service-2.json` as botocore loads it."""
    whole = Loader().load_service_model("sagemaker", "service-2")
    operations = {name: whole["operations"][name] for name in sorted(METHODS)}
    shapes = collect_shapes(whole["shapes"], operations.values())
    kept = {"version": whole["version"], "metadata": whole["metadata"], "operations": operations, "shapes": shapes}
    return json.dumps(strip_documentation(kept), indent=1) + "\n"


def collect_shapes(shapes: Json, operations: Iterable[Json]) -> Json:
    """The shapes of requests, answers and errors, with all that they are made of."""
    found: Json = {}
    waiting = [name for operation in operations for name in refer_to(operation)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = shapes[name]
            waiting += refer_to(shapes[name])
    return dict(sorted(found.items()))


def refer_to(part: Any) -> Iterator[str]:
    """The names of shapes in any part of the description."""
    if isinstance(part, dict):
        if isinstance(name := part.get("shape"), str):
            yield name
        for inner in part.values():
            yield from refer_to(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from refer_to(inner)


def strip_documentation(part: Any) -> Any:
    """The same without its texts for people; a member may be called documentation, and then is no text."""
    if isinstance(part, dict):
        return {
            name: strip_documentation(inner)
            for name, inner in part.items()
            if not (name == "documentation" and isinstance(inner, str))
        }
    return [strip_documentation(inner) for inner in part] if isinstance(part, list) else part
