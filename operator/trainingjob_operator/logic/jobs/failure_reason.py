"""FailureReason of a job: its class, and its text without command lines.

SageMaker's script mode quotes the failed command with every hyperparameter. Not here: the end state of a job
(conditions.py).
"""

from __future__ import annotations

import re

ALGORITHM_ERROR = "AlgorithmError"
CAPACITY_ERROR = "CapacityError"
CLIENT_ERROR = "ClientError"
INTERNAL_SERVER_ERROR = "InternalServerError"
CLASSES = frozenset({ALGORITHM_ERROR, CAPACITY_ERROR, CLIENT_ERROR, INTERNAL_SERVER_ERROR})
"""Error classes, as prefixes of SageMaker's FailureReason."""

HIDDEN = "…"

_PREFIX = re.compile(r"\s*(\w+)\s*:")

# Formats of sagemaker-containers, sagemaker-training-toolkit and Python's subprocess. Backslashes appear in text that
# was encoded a second time.
_OPENING = re.compile(r"""(?P<before>["'])?[\s,]*(?:\\n)?[Cc]ommand:?\s+\\?(?P<quote>["'`])""")
_WORD_ALONE = re.compile(r"""[^\s"'`\[\\]+\\?["'`]""")
_AFTER_SUBPROCESS = re.compile(r"""\\?'\s+(?:returned non-zero exit status|died with|timed out after)\b""")
_AFTER_SCRIPT = re.compile(
    r"""\\?"(?:\s|\\n)*"""
    r"""(?=Traceback \(most recent call last\)|During handling of the above|The above exception|usage: )"""
)
_EXIT_CODE = re.compile(r"""["'`]?,?\s*exit code:?\s*\d+\s*\Z""", re.IGNORECASE)

_SCRIPT = re.compile(r"((?:python|bash|sh)[\d.]*[ \t]+(?:-\S+[ \t]+)*?(?:-m[ \t]+\S+|\S+\.(?:py|sh)))[ \t]+\S[^\n]*")
_LIST = re.compile(r"""\[["'][^"'\s]*(?:python|sh|mpirun|torchrun)[\d.]*["'],[^\n]*""")
_OPTIONS = re.compile(r"""(?<![^\s"'(=])--[A-Za-z][\w.-]*(?:=|[ \t]+|["'],[ \t]*)\S[^\n]*""")


def classify_failure(text: str) -> str:
    """Return the prefix of the text if it is one of CLASSES, otherwise an empty string."""
    prefix = _PREFIX.match(text)
    return prefix[1] if prefix and prefix[1] in CLASSES else ""


def hide_commands(text: str) -> str:
    """Replace command lines and their arguments by HIDDEN.

    Quoted arguments may contain quotes and line breaks. If the end of a command is uncertain, the remaining text is
    hidden except for the exit code.
    """
    shown, start = "", 0
    while opening := _OPENING.search(text, start):
        shown += text[start : opening.end()]
        start = opening.end()
        if not _WORD_ALONE.match(text, start):
            shown, start = shown + HIDDEN, _find_end(text, opening)
    shown += text[start:]
    for arguments, rest in ((_SCRIPT, rf"\1 {HIDDEN}"), (_LIST, HIDDEN), (_OPTIONS, HIDDEN)):
        shown = arguments.sub(rest, shown)
    return shown


def _find_end(text: str, opening: re.Match[str]) -> int:
    """Return the index of the command's closing quote, or of the first text certainly behind it."""
    start = opening.end()
    if opening["quote"] == "'" and (after := _AFTER_SUBPROCESS.search(text, start)):
        return after.start()
    # The training toolkit puts the command behind the quoted message; its predecessor puts the output last.
    if opening["before"] is None and (ends := list(_AFTER_SCRIPT.finditer(text, start))):
        return ends[-1].start()
    exit_code = _EXIT_CODE.search(text, start)
    return exit_code.start() if exit_code else len(text)
