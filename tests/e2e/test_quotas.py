"""Mixed quotas: a job that can never fit delays no other, and each quota has its own queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.e2e.objects import training_job
from tests.sagemaker import quotas

if TYPE_CHECKING:
    from tests.e2e.conftest import Shared

FAST, SLOW, ABSENT = "ml.g4dn.xlarge", "ml.m5.large", "ml.p3.2xlarge"
LIMITS = {quotas.training(FAST): 4, quotas.spot(FAST): 0, quotas.training(SLOW): 2, quotas.VOLUMES: 500}
SPOT: dict[str, Any] = {
    "enableManagedSpotTraining": True,
    "stoppingCondition": {"maxRuntimeInSeconds": 60, "maxWaitTimeInSeconds": 60},
}


def resources(kind: str, count: int = 1, size: int = 5) -> dict[str, Any]:
    return {"resourceConfig": {"instanceType": kind, "instanceCount": count, "volumeSizeInGB": size}}


def test_jobs_that_never_fit_report_the_quota_and_block_no_job_of_another(shared: Shared) -> None:
    jobs, sagemaker = shared.jobs, shared.sagemaker
    sagemaker.plan(phases="Starting:0.2,Training:inf")
    sagemaker.settings(quotas=LIMITS, unavailable_types=[ABSENT])
    never = {
        "too-many": (resources(FAST, 8), "limit 4, in use 0, requested 8 Instances"),
        "no-spot": ({**resources(FAST), **SPOT}, "limit 0, in use 0, requested 1 Instances"),
        "too-large": (resources(SLOW, size=600), "limit 500, in use 0, requested 600 GB"),
    }
    jobs.apply(*(training_job(name, **spec) for name, (spec, _) in never.items()))
    jobs.apply(training_job("absent", **resources(ABSENT)))
    for name, (_, amounts) in never.items():
        condition = jobs.wait_condition(name, "ACK.Recoverable")
        assert (condition["reason"], amounts in condition["message"]) == ("QuotaTooSmall", True)
    assert jobs.wait_condition("absent", "ACK.Terminal")["reason"] == "Refused"

    jobs.apply(*(training_job(f"fast-{number}", **resources(FAST)) for number in range(4)))
    jobs.apply(*(training_job(f"slow-{number}", **resources(SLOW)) for number in range(2)))
    for name in (*(f"fast-{number}" for number in range(4)), "slow-0", "slow-1"):
        jobs.wait_status(name, "InProgress")

    jobs.apply(training_job("slow-2", **resources(SLOW)))
    condition = jobs.wait_condition("slow-2", "ACK.Recoverable")
    assert condition["reason"] == "ResourceLimitExceeded"
    assert f"Waiting for the quota '{quotas.training(SLOW)}': it is next" in condition["message"]
    jobs.apply(training_job("other", **resources("ml.c5.xlarge")))
    jobs.wait_status("other", "InProgress")
    sagemaker.complete_job("slow-0")
    jobs.wait_status("slow-2", "InProgress", seconds=40)
    assert all(len(sagemaker.calls("CreateTrainingJob", job=name)) == 1 for name in (*never, "absent"))
