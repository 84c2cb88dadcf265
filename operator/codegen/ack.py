"""ACK's looser CustomResourceDefinition, from the paths and types of its fields: test data, for running beside it.

It has no validation beyond types and required fields, and prunes what it does not know.
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
    """The CRD whose fields a listing names, one `<path> <type>` or `<path> required` on each line."""
    schema: Schema = {"properties": {}}
    for line in listing.splitlines():
        path, kind = line.split()
        add_field(schema, re.findall(r"\w+|\[\]|\{\}", path), kind)
    return definition(root_schema(**schema["properties"]), COLUMNS, {})


def add_field(schema: Schema, steps: list[str], kind: str) -> None:
    """Note one line of the listing in the schema."""
    *parents, name = steps
    for step in parents:
        schema = below(schema, step)
    if kind == "required":
        schema.setdefault("required", []).append(name)
    else:
        below(schema, name).update(NUMBER if kind == "integer" else {"type": kind})


def below(schema: Schema, step: str) -> Schema:
    """The schema of a field, of a list's items or of a map's values."""
    if step in WRAPPERS:
        return cast("Schema", schema.setdefault(WRAPPERS[step], {}))
    return cast("Schema", schema.setdefault("properties", {}).setdefault(step, {}))
