"""Text of other people for a terminal.

A training script, a role name or an annotation may contain escape sequences, which would move the cursor, change the
title or hide lines.
"""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_COLOR = re.compile(r"(\x1b\[[0-9;]*m)")


def escape(text: str) -> str:
    """Replace control characters and changes of direction, except tab and line feed, by a visible form."""
    return _CONTROL.sub(_show, text)


def escape_json(document: str) -> str:
    """Escape what JSON permits in its strings and a terminal obeys: C1 control characters and changes of direction."""
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", document)


def escape_line(text: str) -> str:
    """The same for one log line: colors stay, and a progress bar shows its last state."""
    line = text.rstrip("\r\n").rpartition("\r")[2]
    parts = _COLOR.split(line)
    return "".join(part if _COLOR.fullmatch(part) else escape(part) for part in parts)


def _show(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"^{chr(code + 64)}" if code < 32 else f"\\u{code:04x}"
