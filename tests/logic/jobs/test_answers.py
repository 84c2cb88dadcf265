"""Answers of SageMaker about another job, or another run, than the call."""

from __future__ import annotations

from typing import Any

import pytest

from tests.logic.builders import ARN, WANTED
from trainingjob_operator.logic.jobs.answers import check_arn, is_another_run
from trainingjob_operator.logic.jobs.errors import AwsError
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.naming import build_arn

KNOWN = Observation({"creationTime": "2026-11-21T10:00:00Z"})
OTHER_ARN = ARN + "-2"


def test_the_arn_of_the_requested_job_is_returned() -> None:
    assert check_arn(ARN, WANTED) == build_arn("aws", WANTED)


@pytest.mark.parametrize("arn", [OTHER_ARN, "", "arn:aws:s3:::bucket"])
def test_another_arn_leaves_the_outcome_of_the_create_open(arn: str) -> None:
    with pytest.raises(AwsError, match="which is not") as caught:
        check_arn(arn, WANTED)
    assert not caught.value.definite


@pytest.mark.parametrize(
    ("told", "arn", "is_another"),
    [
        ({}, None, False),
        ({}, ARN, False),
        ({"creationTime": "2026-11-21T10:00:00Z"}, ARN, False),
        ({"creationTime": "2026-11-21T11:00:00Z"}, ARN, True),
        ({}, OTHER_ARN, True),
    ],
)
def test_a_run_is_known_by_its_creation_time_and_its_arn(
    told: dict[str, Any], arn: str | None, *, is_another: bool
) -> None:
    assert is_another_run(Observation(told, arn=arn), KNOWN, WANTED) is is_another
