"""A life from apply to the end: created, followed, shown in status and Events, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.objects import Jobs, training_job
from tests.e2e.operator_process import OperatorProcess

if TYPE_CHECKING:
    from tests.e2e.conftest import Launch
    from tests.sagemaker.stand_in import StandIn


@pytest.fixture(scope="module")
def launch() -> Launch:
    """The program itself, because these tests are about its process."""
    return OperatorProcess


def test_a_job_is_created_once_and_followed_to_completed(
    jobs: Jobs, operator: OperatorProcess, sagemaker: StandIn
) -> None:
    sagemaker.plan(seconds=3)
    jobs.apply(training_job("quick"))
    body = jobs.wait_status("quick", "Completed")
    assert jobs.wait_condition("quick", "Ready")["reason"] == "Completed"
    reported = [transition["status"] for transition in body["status"]["secondaryStatusTransitions"]]
    shown = [
        transition["Status"]
        for transition in sagemaker.client().describe_training_job(TrainingJobName="quick")[
            "SecondaryStatusTransitions"
        ]
    ]
    assert reported == shown
    assert len(sagemaker.effects("CreateTrainingJob")) == 1
    jobs.wait("quick", "the finalizer is gone", lambda body: "finalizers" not in body["metadata"])
