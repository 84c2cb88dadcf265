"""Output for people: a block that is redrawn at a terminal, lines elsewhere."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence


class Screen:
    """Lines that stay and, at a terminal, one block below them that changes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_live = stream.isatty()
        self._drawn = 0

    def say(self, *lines: str) -> None:
        """Lines that stay; what was drawn below goes."""
        self._write([], lines)

    def draw(self, block: Sequence[str]) -> None:
        """Show the block in place of the one before, cut to the terminal. Without a terminal: nothing."""
        if self.is_live:
            size = shutil.get_terminal_size()
            self._write([line[: size.columns - 1] for line in block[: size.lines - 1]], [])

    def _write(self, block: Sequence[str], lines: Sequence[str]) -> None:
        erase = f"\x1b[{self._drawn}A\x1b[J" if self._drawn else ""
        self._stream.write(erase + "".join(f"{line}\n" for line in [*lines, *block]))
        self._stream.flush()
        self._drawn = len(block)


def tabulate(*rows: Sequence[str]) -> list[str]:
    """The rows as columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
