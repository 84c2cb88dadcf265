"""Renders the field table and the constraints for the modules `fields` and `validation` of `logic/objects/`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from codegen.schema import KEYS, key_schema, spec_schema, string_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codegen.model import Field, Model

LINE_LENGTH = 120

HEADER = '''"""Field table of TrainingJob and its members in the SageMaker API; data only, used by fields.py.

Written by `python -m codegen crds`; do not edit.
"""

from __future__ import annotations

from typing import TypeAlias

Shape: TypeAlias = "str | list[Shape] | Members"
"""Type of a scalar (or "map", of strings to strings), a list of one shape, or a structure."""

Members: TypeAlias = "dict[str, tuple[str, Shape]]"
"""Name in the object -> name in the API and shape."""
'''


CONSTRAINTS_HEADER = '''"""Constraints on a spec, equal to those of the CRD; data only, checked by validation.py.

Written by `python -m codegen crds`; do not edit.
"""
# ruff: noqa: E501  patterns cannot be wrapped

from collections.abc import Mapping
from typing import Any

CONSTRAINTS: Mapping[str, Mapping[str, Any]] = {
'''

KEYWORDS = frozenset(
    {"required", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems"}
    | {"maxProperties"}
)

TAG_CLASSES = {r"\p{L}\p{Z}\p{N}_": "\\w \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"}
"""RE2's Unicode classes -> Python equivalents."""


def render_table(model: Model) -> str:
    """Render the module, already formatted."""
    undescribed = ", ".join(f'"{name}"' for name in sorted(model.undescribed))
    return "\n".join(
        [
            HEADER,
            "SPEC: Members = {",
            *render_fields(model.spec, "    "),
            "}",
            "",
            "STATUS: Members = {",
            *render_fields(model.status, "    "),
            "}",
            "",
            f"UNDESCRIBED = frozenset({{{undescribed}}})",
            '"""Fields of spec not returned by DescribeTrainingJob."""',
            "",
        ]
    )


def render_fields(fields: dict[str, Field], indent: str) -> Iterator[str]:
    """Yield the lines of a dict literal for a structure's fields."""
    for name, field in sorted(fields.items()):
        if field.type in {"object", "array"}:
            yield f'{indent}"{name}": ('
            yield f'{indent}    "{field.member}",'
            yield from render_shape(field, f"{indent}    ")
            yield f"{indent}),"
        elif len(line := f'{indent}"{name}": ("{field.member}", "{field.type}"),') <= LINE_LENGTH:
            yield line
        else:
            yield from (f'{indent}"{name}": (', f'{indent}    "{field.member}",', f'{indent}    "{field.type}",')
            yield f"{indent}),"


def render_shape(field: Field, indent: str) -> Iterator[str]:
    """Yield the lines of one shape with a trailing comma."""
    if field.item is not None and field.item.type not in {"object", "array"}:
        yield f'{indent}["{field.item.type}"],'
    elif field.item is not None:
        yield f"{indent}["
        yield from render_shape(field.item, f"{indent}    ")
        yield f"{indent}],"
    else:
        yield f"{indent}{{"
        yield from render_fields(field.parts, f"{indent}    ")
        yield f"{indent}}},"


def render_constraints(model: Model) -> str:
    """Render the module, already formatted."""
    schema = spec_schema(model.spec)
    found = {"": {"required": schema["required"]}}
    for name, field in model.spec.items():
        found |= collect_constraints(name, field, schema["properties"][name])
    lines = [CONSTRAINTS_HEADER.rstrip("\n")]
    for path, constraint in sorted(found.items()):
        entries = (line for entry in constraint.items() for line in render_entry(*entry))
        lines += [f"    {json.dumps(path)}: {{", *(f"        {line}" for line in entries), "    },"]
    return "\n".join(
        [*lines, "}", '"""Path below spec ([] items, .key and .value of a map) -> keyword -> bound."""', ""]
    )


def collect_constraints(path: str, field: Field, schema: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the constraints of one field and its nested fields by path."""
    own = {keyword: bound for keyword, bound in schema.items() if keyword in KEYWORDS}
    if key := KEYS.get(field.shape.name):
        own["key"] = key
    found = {path: own}
    if field.item:
        found |= collect_constraints(f"{path}[]", field.item, schema["items"])
    for name, part in field.parts.items():
        found |= collect_constraints(f"{path}.{name}", part, schema["properties"][name])
    if field.type == "map":
        found |= {f"{path}.key": key_schema(field.shape.key), f"{path}.value": string_schema(field.shape.value)}
        del found[f"{path}.value"]["type"]
    return {path: constraint for path, constraint in found.items() if constraint}


def render_entry(keyword: str, bound: Any) -> Iterator[str]:
    """Yield the lines of one item of a dict literal."""
    if isinstance(bound, list):
        words = [json.dumps(word) for word in bound]
        line = f"{json.dumps(keyword)}: ({', '.join(words)}{',' if len(words) == 1 else ''}),"
        if len(line) > LINE_LENGTH - 8:
            yield from (f"{json.dumps(keyword)}: (", *(f"    {word}," for word in words), "),")
        else:
            yield line
    else:
        yield f"{json.dumps(keyword)}: {json.dumps(python_pattern(bound) if keyword == 'pattern' else bound)},"


def python_pattern(pattern: str) -> str:
    """Translate an RE2 pattern for Python's fullmatch with re.ASCII."""
    for theirs, ours in TAG_CLASSES.items():
        if theirs in pattern:
            return f"(?u:{pattern.replace(theirs, ours).strip('^$')})"
    return pattern
