"""Isolation of the logging configuration, for tests of code with its own."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def own_logging() -> Iterator[None]:
    """Replace the root logger's handlers and the levels, and restore them at the end of the context."""
    root = logging.getLogger()
    names = ("trainingjob_operator", "kopf.objects", "kopf.activities", "kopf._core.reactor.running")
    loggers = [root, *map(logging.getLogger, names)]
    levels = [logger.level for logger in loggers]
    handlers, root.handlers = root.handlers, []
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        root.handlers = handlers
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
