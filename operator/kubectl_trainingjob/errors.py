"""The errors that a person sees: one sentence about the cause, one about what to do."""

from __future__ import annotations


class CommandError(Exception):
    """The command cannot go on; the message is complete for a person."""


class NoCredentials(CommandError):  # noqa: N818
    """The AWS SDK finds no credentials."""
