"""Summary of CRD changes after an update of the API model, for reviewers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codegen.schema import Schema

SIDES = {"minimum", "maximum"} | {
    f"{side}{what}" for side in ("min", "max") for what in ("Length", "Items", "Properties")
}
KEYWORDS = ("type", "required", "enum", "pattern", *sorted(SIDES))


def describe_changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return one sentence for each added, removed or changed field."""
    old, new = (dict(list_fields(read_schema(definition))) for definition in (before, after))
    return [
        *(
            f"{path} is new ({new[path]['type']}): describe it in descriptions.yaml"
            for path in sorted(new.keys() - old)
        ),
        *(f"{path} is removed: the API server prunes it from objects" for path in sorted(old.keys() - new)),
        *(
            f"{path}: {name} was {old[path].get(name, 'not set')}, is {new[path].get(name, 'not set')}"
            for path in sorted(old.keys() & new)
            for name in KEYWORDS
            if old[path].get(name) != new[path].get(name)
        ),
    ]


def read_schema(definition: dict[str, Any]) -> Schema:
    """Return the schema of an object; empty without a definition."""
    schema: Schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"] if definition else {}
    return schema


def list_fields(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Yield every field below a schema by its path, with [] for list items and {} for map values."""
    below = {f"{path}.{name}".lstrip("."): part for name, part in schema.get("properties", {}).items()}
    below |= {f"{path}[]": schema["items"]} if "items" in schema else {}
    below |= {f"{path}{{}}": schema["additionalProperties"]} if "additionalProperties" in schema else {}
    for name, part in below.items():
        yield name, part
        yield from list_fields(part, name)
