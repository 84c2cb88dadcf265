"""Errors of AWS in the plugin's output, from the stand-in over HTTP."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from kubectl_trainingjob.aws import Account
from kubectl_trainingjob.errors import CommandError, NoCredentials
from tests.demo.logs import GROUP, Log
from trainingjob_operator.logic.naming import Identity

if TYPE_CHECKING:
    from tests.sagemaker.stand_in import StandIn

IDENTITY = Identity("123456789012", "us-east-1", "churn")


@pytest.fixture(autouse=True)
def _credentials(sagemaker: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_") and name != "AWS_CA_BUNDLE"]:
        monkeypatch.delenv(name)
    for name, value in sagemaker.environment().items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            "AccessDeniedException",
            "AWS refuses stop_training_job (account 123456789012, region us-east-1): words. Ask for the permission",
        ),
        ("ExpiredTokenException", "The AWS credentials are not valid: words. Log in again, or use --profile."),
        ("ConflictException", "AWS answered ConflictException to stop_training_job (account 123456789012"),
    ],
)
def test_each_error_names_the_remedy(sagemaker: StandIn, code: str, sentence: str) -> None:
    sagemaker.fail("StopTrainingJob", code, "words.")
    with pytest.raises(CommandError) as caught:
        Account(IDENTITY).stop_job("churn")
    assert str(caught.value).startswith(sentence)


def test_missing_credentials_and_an_unknown_profile_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match=r"not usable: The config profile \(nobody\) could not be found"):
        Account(IDENTITY, "nobody")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with pytest.raises(NoCredentials, match="Log in with `aws sso login`"):
        Account(IDENTITY).check_account()


def test_all_instances_of_a_large_job_are_read(sagemaker: StandIn) -> None:
    account, start = Account(IDENTITY), time.time() - 3600
    assert account.list_streams(GROUP, "churn/", []) == []  # no log group exists
    log = Log(sagemaker, "churn")
    instances = [f"algo-{number}" for number in range(1, 53)]  # more than one page of DescribeLogStreams
    for number, instance in enumerate(instances):
        log.write(instance, f"line of {instance}", at=start + number)
    streams = account.list_streams(GROUP, "churn/", [])
    read = [line.instance for page in account.read_lines(GROUP, streams, None) for line in page]
    assert sorted(read) == sorted(instances)
    last = account.find_tail(GROUP, streams[-3:], 2, None)
    assert last == sorted(int((start + int(stream.split("-")[1]) - 1) * 1000) for stream in streams[-3:])[1]
