"""ACK's CustomResourceDefinition, built from the paths and types of its fields, as test data for compatibility.

It validates types and required fields only, and prunes unknown fields.
"""

from __future__ import annotations

import re
from typing import Any, cast

from codegen.definition import column, definition, root_schema
from codegen.schema import NUMBER, Schema

COLUMNS = (
    column("FAILURE-REASON", ".status.failureReason", wide=True),
    column("SECONDARY-STATUS", ".status.secondaryStatus"),
    column("STATUS", ".status.trainingJobStatus"),
)

WRAPPERS = {"[]": "items", "{}": "additionalProperties"}


def ack_definition(listing: str) -> dict[str, Any]:
    """Build the CRD from a listing with one `<path> <type>` or `<path> required` per line."""
    schema: Schema = {"properties": {}}
    for line in listing.splitlines():
        path, kind = line.split()
        add_field(schema, re.findall(r"\w+|\[\]|\{\}", path), kind)
    return definition(root_schema(**schema["properties"]), COLUMNS, {})


def add_field(schema: Schema, steps: list[str], kind: str) -> None:
    """Add one line of the listing to the schema."""
    *parents, name = steps
    for step in parents:
        schema = below(schema, step)
    if kind == "required":
        schema.setdefault("required", []).append(name)
    else:
        below(schema, name).update(NUMBER if kind == "integer" else {"type": kind})


def below(schema: Schema, step: str) -> Schema:
    """Return the schema of a field, of a list's items or of a map's values."""
    if step in WRAPPERS:
        return cast("Schema", schema.setdefault(WRAPPERS[step], {}))
    return cast("Schema", schema.setdefault("properties", {}).setdefault(step, {}))
