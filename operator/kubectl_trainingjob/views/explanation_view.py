"""The answer of `why`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.text import Text

from kubectl_trainingjob.logic.text import escape
from kubectl_trainingjob.views.colors import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from kubectl_trainingjob.logic.explanation import Explanation
    from kubectl_trainingjob.logic.job import Job


def draw_explanations(job: Job, explanations: Sequence[Explanation]) -> Iterator[RenderableType]:
    """Yield the parts of the answer for one object."""
    for number, explanation in enumerate(explanations):
        color = "yellow" if number else OUTCOMES[job.outcome]
        yield Text.assemble((job.name, "bold"), "  ", (escape(explanation.headline), f"bold {color}"))
        if explanation.cause:
            yield _indent(mark_code(escape(explanation.cause)))
        if explanation.words:
            yield _indent(Text(f"“{escape(explanation.words)}”", style="italic"))
        for action in explanation.actions:
            yield _indent(Text.assemble(("→ ", "bold"), mark_code(escape(action))))


def mark_code(text: str) -> Text:
    """Return the text with the parts in backticks bold, without the backticks."""
    marked = Text()
    for number, part in enumerate(re.split("`", text)):
        marked.append(part, style="bold" if number % 2 else "")
    return marked


def _indent(text: Text) -> Padding:
    return Padding(text, (0, 0, 0, 2), expand=False)
