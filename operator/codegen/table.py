"""The field table as a Python module: what `trainingjob_operator.logic.fields` walks at run time.

Not here: the walker, and bounds or patterns, which the CustomResourceDefinition holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codegen.model import Field, Model

LINE_LENGTH = 120

HEADER = '''"""The fields of a TrainingJob and their members in the SageMaker API; data only, walked by fields.py.

Written by `python -m codegen crds`; do not edit.
"""

from __future__ import annotations

from typing import TypeAlias

Shape: TypeAlias = "str | list[Shape] | Members"
"""A scalar's type (or "map", of strings to strings), a list of one shape, or a structure."""

Members: TypeAlias = "dict[str, tuple[str, Shape]]"
"""The name in the object -> the name in the API and the shape."""
'''


def render_table(model: Model) -> str:
    """The module's text, in the form that the formatter leaves alone."""
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
            '"""The fields of spec that DescribeTrainingJob does not return."""',
            "",
        ]
    )


def render_fields(fields: dict[str, Field], indent: str) -> Iterator[str]:
    """The lines of a dict display of a structure's fields."""
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
    """The lines of one shape, with the comma behind it."""
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
