"""botocore's data, reduced to the operations called by the operator and the services of its clients.

The full SageMaker model takes as much memory as the rest of botocore, the endpoints of all services 8 MB. The remaining
parts are unchanged.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.loaders import Loader

from trainingjob_operator.logic.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Json = dict[str, Any]

ENDPOINT_PREFIXES = ("api.sagemaker", "oidc", "portal.sso", "signin", "sqs", "sts")
"""Keys in endpoints.json of the services that the operator, or a credential provider of botocore, calls."""


def render_service_model() -> str:
    """Render the reduced model as `service-2.json` for botocore's loader."""
    whole = Loader().load_service_model("sagemaker", "service-2")
    operations = {name: whole["operations"][name] for name in sorted(OPERATIONS)}
    shapes = collect_shapes(whole["shapes"], operations.values())
    kept = {"version": whole["version"], "metadata": whole["metadata"], "operations": operations, "shapes": shapes}
    return json.dumps(strip_documentation(kept), indent=1) + "\n"


def render_endpoints() -> str:
    """Render the regions of every partition, with the endpoints of the called services, as `endpoints.json`."""
    whole = Loader().load_data("endpoints")
    partitions = [
        partition
        | {"services": {name: one for name, one in partition["services"].items() if name in ENDPOINT_PREFIXES}}
        for partition in whole["partitions"]
    ]
    return json.dumps(whole | {"partitions": partitions}, indent=1) + "\n"


def collect_shapes(shapes: Json, operations: Iterable[Json]) -> Json:
    """Return the shapes of requests, responses and errors with all nested shapes."""
    found: Json = {}
    waiting = [name for operation in operations for name in refer_to(operation)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = shapes[name]
            waiting += refer_to(shapes[name])
    return dict(sorted(found.items()))


def refer_to(part: Any) -> Iterator[str]:
    """Yield the shape names referenced in a part of the model."""
    if isinstance(part, dict):
        if isinstance(name := part.get("shape"), str):
            yield name
        for inner in part.values():
            yield from refer_to(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from refer_to(inner)


def strip_documentation(part: Any) -> Any:
    """Remove documentation strings; keeps members named documentation, which are not strings."""
    if isinstance(part, dict):
        return {
            name: strip_documentation(inner)
            for name, inner in part.items()
            if not (name == "documentation" and isinstance(inner, str))
        }
    return [strip_documentation(inner) for inner in part] if isinstance(part, list) else part
