"""How log lines look: JSON with the keys of ACK's controller, or lines for people.

Here: the formats, and which loggers may say what. Not here: what is logged, which is with the code that knows it.

Below info only this package speaks: at debug, botocore and urllib3 log whole requests, Kopf whole objects, and the
Kubernetes client whole answers, all of which hold environments and hyperparameters.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

_PACKAGE = __package__
# Libraries log what is raised to this package as well, often with a traceback: Kopf the end of a watch whose kind or
# rights have gone, botocore credentials that can't be renewed. Kopf's lines about objects show defects of its handlers.
_LIBRARIES = {
    "kopf": logging.CRITICAL,
    "kopf.objects": logging.WARNING,
    "botocore": logging.ERROR,
    "urllib3": logging.ERROR,
    "kubernetes": logging.ERROR,
}
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}
_LEVEL_NAMES = {number: name for name, number in _LEVELS.items()}
# What Kopf attaches for its own handlers to find: objects of the process, not facts.
_KOPF_ATTACHMENTS = ("k8s_skip", "k8s_ref", "settings")


def _level(record: logging.LogRecord) -> str:
    return _LEVEL_NAMES.get(record.levelno, record.levelname.lower())


def _time(record: logging.LogRecord) -> str:
    moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _reference(record: logging.LogRecord) -> dict[str, Any]:
    """Which object the line speaks of."""
    reference = getattr(record, "k8s_ref", None) or {}
    return {key: reference[key] for key in ("namespace", "name") if reference.get(key)}


def name_in_log(namespace: str, name: str) -> dict[str, Any]:
    """The `extra` of a line that speaks of an object; Kopf's own lines name theirs so too."""
    return {"k8s_ref": {"namespace": namespace, "name": name}}


class JsonLines(JsonFormatter):
    """One JSON object a line: `level`, `ts`, `logger`, `msg`, then the fields given with `extra`."""

    def __init__(self) -> None:
        super().__init__([], rename_fields={"exc_info": "stacktrace", "stack_info": "stacktrace"})
        self._skip_fields |= set(_KOPF_ATTACHMENTS)

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        log_data |= {"level": _level(record), "ts": _time(record), "logger": record.name, "msg": record.message}
        log_data |= _reference(record)
        super().add_fields(log_data, record, message_dict)


class PlainLines(logging.Formatter):
    """A line for people: time, level, logger, message, then the fields given with `extra`."""

    _standard = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", *_KOPF_ATTACHMENTS}

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        fields = _reference(record) | {key: value for key, value in vars(record).items() if key not in self._standard}
        told = "".join(f" {key}={value}" for key, value in fields.items())
        return f"{_time(record)} {_level(record):5} {record.name}: {record.message}{told}"


def configure(level: str, stream: TextIO, *, for_people: bool) -> None:
    """Send every log line of the process to the stream, and nothing anywhere else.

    :param level: the least level that this package logs: debug, info, warn, error or fatal
    :param for_people: plain lines rather than JSON
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PlainLines() if for_people else JsonLines())
    threshold = _LEVELS[level]
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.INFO), force=True)
    logging.getLogger(_PACKAGE).setLevel(threshold)
    for logger, least in _LIBRARIES.items():
        logging.getLogger(logger).setLevel(max(threshold, least))
    logging.captureWarnings(capture=True)
