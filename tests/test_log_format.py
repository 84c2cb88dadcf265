"""Format of log lines, and content excluded from them."""

from __future__ import annotations

import io
import json
import logging
import re
import warnings
from typing import TYPE_CHECKING, Any

import boto3
import botocore.config
import kopf
import pytest
from botocore.exceptions import EndpointConnectionError
from kopf._core.actions.loggers import ObjectLogger

from tests.own_logging import own_logging
from trainingjob_operator import log_format

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = "trainingjob_operator.sweeper"
SECRET = "hunter2-do-not-log"


class Log:
    """Configured log of a process, and its lines."""

    def __init__(self) -> None:
        self._stream = io.StringIO()

    def configure(self, level: str = "info", *, for_people: bool = False) -> None:
        log_format.configure(level, self._stream, for_people=for_people)

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def log() -> Iterator[Log]:
    with own_logging():
        yield Log()


def test_a_line_is_json_with_acks_keys_before_the_fields(log: Log) -> None:
    log.configure()
    logging.getLogger(OURS).info("job %s ended", "x", extra={"namespace": "vision", "job": "x", "pages": 3})
    [line] = log.lines
    assert list(line) == ["level", "ts", "logger", "msg", "namespace", "job", "pages"]
    assert (line["level"], line["logger"], line["msg"], line["pages"]) == ("info", OURS, "job x ended", 3)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["ts"])


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        (logging.DEBUG, "debug"),
        (logging.INFO, "info"),
        (logging.WARNING, "warn"),
        (logging.ERROR, "error"),
        (logging.CRITICAL, "fatal"),
        (25, "level 25"),
    ],
)
def test_levels_have_acks_names(log: Log, level: int, shown: str) -> None:
    log.configure("debug")
    logging.getLogger(OURS).log(level, "x")
    assert log.lines[0]["level"] == shown


def test_an_exception_is_one_line_with_its_stack(log: Log) -> None:
    log.configure()
    try:
        int("no\nnumber")
    except ValueError:
        logging.getLogger(OURS).exception("it failed")
    [line] = log.lines
    assert line["msg"] == "it failed"
    assert line["stacktrace"].splitlines()[-1].startswith("ValueError: invalid literal")


def test_values_unknown_to_json_are_logged_as_text(log: Log) -> None:
    log.configure()
    logging.getLogger(OURS).info("x", extra={"error": ValueError("no")})
    assert "no" in log.lines[0]["error"]


def test_console_lines_have_the_same_content(log: Log) -> None:
    log.configure(for_people=True)
    logging.getLogger(OURS).warning("slow", extra={"seconds": 3})
    assert re.fullmatch(r"\S+Z warn  trainingjob_operator\.sweeper: slow seconds=3\n", log.text)


@pytest.mark.parametrize("for_people", [False, True])
def test_kopfs_lines_name_the_object_without_kopfs_fields(log: Log, *, for_people: bool) -> None:
    log.configure(for_people=for_people)
    body: Any = {
        "kind": "TrainingJob",
        "metadata": {"namespace": "vision", "name": "resnet", "uid": "u"},
        "spec": {"environment": {"PASSWORD": SECRET}},
    }
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    ObjectLogger(body=kopf.Body(body), settings=settings).warning("handler failed")
    assert "vision" in log.text
    assert "resnet" in log.text
    for foreign in (SECRET, "settings", "k8s_skip", "k8s_ref"):
        assert foreign not in log.text


@pytest.mark.parametrize(
    ("level", "logger", "severity", "appears"),
    [
        ("debug", OURS, logging.DEBUG, True),
        ("info", OURS, logging.DEBUG, False),
        ("error", OURS, logging.WARNING, False),
        ("debug", "botocore.endpoint", logging.DEBUG, False),
        ("debug", "urllib3.connectionpool", logging.DEBUG, False),
        ("debug", "kopf.objects", logging.DEBUG, False),
        ("debug", "kopf.objects", logging.INFO, False),
        ("debug", "kopf.objects", logging.WARNING, True),
        ("debug", "kopf.activities.startup", logging.INFO, False),
        ("debug", "kopf._core.reactor.queueing", logging.DEBUG, False),
        ("debug", "kopf._core.reactor.queueing", logging.WARNING, False),
        ("debug", "kopf._core.reactor.running", logging.ERROR, False),
        ("debug", "botocore.credentials", logging.WARNING, False),
        ("debug", "botocore.credentials", logging.ERROR, True),
        ("debug", "kubernetes.aio.config.kube_config", logging.WARNING, False),
        ("debug", "kubernetes.aio.client.rest", logging.DEBUG, False),
        ("debug", "asyncio", logging.DEBUG, False),
        ("debug", "asyncio", logging.ERROR, True),
        ("error", "botocore.endpoint", logging.WARNING, False),
        ("fatal", "kopf.objects", logging.ERROR, False),
    ],
)
def test_only_this_package_logs_below_info(log: Log, level: str, logger: str, severity: int, appears: bool) -> None:
    log.configure(level)
    logging.getLogger(logger).log(severity, "x")
    assert bool(log.text) is appears


def test_a_call_of_sagemaker_at_debug_logs_no_request_body(log: Log) -> None:
    log.configure("debug")
    client = boto3.client(
        "sagemaker",
        region_name="eu-west-1",
        endpoint_url="http://127.0.0.1:9",
        config=botocore.config.Config(retries={"total_max_attempts": 1}, connect_timeout=1),
    )
    with pytest.raises(EndpointConnectionError):
        client.create_training_job(
            TrainingJobName="x",
            AlgorithmSpecification={"TrainingInputMode": "File"},
            RoleArn="arn:aws:iam::123456789012:role/training",
            OutputDataConfig={"S3OutputPath": "s3://b/o"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            StoppingCondition={"MaxRuntimeInSeconds": 60},
            Environment={"PASSWORD": SECRET},
        )
    client.close()
    logging.getLogger(OURS).debug("the end")
    assert SECRET not in log.text
    assert log.lines[-1]["msg"] == "the end"


def test_warnings_are_log_lines(log: Log) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        log.configure()
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    assert log.lines[-1]["logger"] == "py.warnings"


def test_a_second_configuration_replaces_the_first(log: Log) -> None:
    log.configure("error")
    log.configure("info")
    logging.getLogger(OURS).info("once")
    assert len(log.lines) == 1
