"""Answers of SageMaker about another job or run than the requested one."""

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
def test_another_arn_leaves_the_result_of_the_create_unknown(arn: str) -> None:
    with pytest.raises(AwsError, match="which is not") as caught:
        check_arn(arn, WANTED)
    assert not caught.value.definite


@pytest.mark.parametrize(
    ("fields", "arn", "is_another"),
    [
        ({}, None, False),
        ({}, ARN, False),
        ({"creationTime": "2026-11-21T10:00:00Z"}, ARN, False),
        ({"creationTime": "2026-11-21T11:00:00Z"}, ARN, True),
        ({}, OTHER_ARN, True),
    ],
)
def test_a_run_is_identified_by_creation_time_and_arn(
    fields: dict[str, Any], arn: str | None, *, is_another: bool
) -> None:
    assert is_another_run(Observation(fields, arn=arn), KNOWN, WANTED) is is_another
