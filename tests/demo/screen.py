"""Output for people: a view that changes in place on a terminal, lines elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType


class Screen:
    """Lines that stay and, on a terminal, one view below them that changes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._live: Live | None = None

    @property
    def is_live(self) -> bool:
        """The view is shown."""
        return self._console.is_terminal

    def say(self, *lines: str) -> None:
        """Write lines that stay. The view so far stays above them."""
        self.close()
        for line in lines:
            if self.is_live:
                self._console.print(Text(line), soft_wrap=True)
            else:
                self._stream.write(f"{line}\n")
        self._stream.flush()

    def draw(self, view: RenderableType) -> None:
        """Show the view in place of the last one. Without a terminal: nothing."""
        if not self.is_live:
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        self._live.update(view, refresh=True)

    def close(self) -> None:
        """Leave the last view as it is, and give the terminal its cursor back."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def tabulate(*rows: Sequence[str]) -> list[str]:
    """The rows as columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
