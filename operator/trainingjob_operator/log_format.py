"""Log format and levels: JSON with the keys of ACK's controller, or plain text.

Only this package logs below info: at debug, botocore and urllib3 log whole requests, Kopf whole objects, and the
Kubernetes client whole responses, with environments and hyperparameters.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

_PACKAGE = __package__
# Libraries also log the errors that they raise to this package, often with a traceback: Kopf the end of a watch after
# the loss of its kind or rights, botocore failed refreshes of credentials. kopf.objects logs errors in handlers.
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
# Record attributes for Kopf's internal use.
_KOPF_ATTACHMENTS = ("k8s_skip", "k8s_ref", "settings")


def _level(record: logging.LogRecord) -> str:
    return _LEVEL_NAMES.get(record.levelno, record.levelname.lower())


def _time(record: logging.LogRecord) -> str:
    moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _reference(record: logging.LogRecord) -> dict[str, Any]:
    """Namespace and name of the line's object."""
    reference = getattr(record, "k8s_ref", None) or {}
    return {key: reference[key] for key in ("namespace", "name") if reference.get(key)}


def name_in_log(namespace: str, name: str) -> dict[str, Any]:
    """Return the `extra` with an object's namespace and name, in the form of Kopf's own lines."""
    return {"k8s_ref": {"namespace": namespace, "name": name}}


class JsonLines(JsonFormatter):
    """One JSON object per line: `level`, `ts`, `logger`, `msg`, then the fields of `extra`."""

    def __init__(self) -> None:
        super().__init__([], rename_fields={"exc_info": "stacktrace", "stack_info": "stacktrace"})
        self._skip_fields |= set(_KOPF_ATTACHMENTS)

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        log_data |= {"level": _level(record), "ts": _time(record), "logger": record.name, "msg": record.message}
        log_data |= _reference(record)
        super().add_fields(log_data, record, message_dict)


class PlainLines(logging.Formatter):
    """Plain text line: time, level, logger, message, then the fields of `extra`."""

    _standard = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", *_KOPF_ATTACHMENTS}

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        fields = _reference(record) | {key: value for key, value in vars(record).items() if key not in self._standard}
        suffix = "".join(f" {key}={value}" for key, value in fields.items())
        return f"{_time(record)} {_level(record):5} {record.name}: {record.message}{suffix}"


def configure(level: str, stream: TextIO, *, for_people: bool) -> None:
    """Send every log line of the process to the stream only.

    :param level: minimum level of this package: debug, info, warn, error or fatal
    :param for_people: plain text instead of JSON
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PlainLines() if for_people else JsonLines())
    threshold = _LEVELS[level]
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.INFO), force=True)
    logging.getLogger(_PACKAGE).setLevel(threshold)
    for logger, least in _LIBRARIES.items():
        logging.getLogger(logger).setLevel(max(threshold, least))
    logging.captureWarnings(capture=True)
