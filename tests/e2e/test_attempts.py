"""A failure of the service, and the next attempt: on a real API server, with the CRD of this version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.objects import training_job
from trainingjob_operator.logic.objects.annotations import MAX_ATTEMPTS_KEY

if TYPE_CHECKING:
    from tests.e2e.conftest import Shared


def test_a_failure_of_the_service_is_followed_by_another_job(shared: Shared) -> None:
    reason = "InternalServerError: hardware"
    shared.sagemaker.plan("attempted", seconds=1, outcome="Failed", failure_reason=reason)
    shared.sagemaker.plan("attempted-r2", seconds=1)
    made = training_job("attempted")
    made["metadata"]["annotations"] = {MAX_ATTEMPTS_KEY: "2"}
    shared.jobs.apply(made)
    body = shared.jobs.wait("attempted", "waits", lambda body: "endTime" in str(body.get("status", {}).get("attempts")))
    assert "outcome" not in body["status"]
    shared.jobs.wait_condition("attempted", "Complete")
    status = shared.jobs.status("attempted")
    assert status["trainingJobName"] == "attempted-r2"
    assert [(item["number"], item["trainingJobName"], item["reason"]) for item in status["attempts"]] == [
        (1, "attempted", "InternalServerError"),
        (2, "attempted-r2", "Completed"),
    ]
    assert status["attempts"][0]["failureReason"] == reason
    assert status["outcome"] == "Succeeded"
