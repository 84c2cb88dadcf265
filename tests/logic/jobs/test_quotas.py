"""Quota and amounts in each observed error message, and demand of a job."""

from __future__ import annotations

from typing import Any

import pytest

from trainingjob_operator.logic.jobs.quotas import Shortage, identify, is_not_offered, read_demand, read_shortage

P3 = "ml.p3.2xlarge"
TRAINING = f"{P3} for training job usage"
ONE = read_demand({"resourceConfig": {"instanceType": P3, "instanceCount": 1, "volumeSizeInGB": 50}})
EIGHT = read_demand({"resourceConfig": {"instanceType": P3, "instanceCount": 8, "volumeSizeInGB": 50}})
CONTACT = "Please contact AWS support to request an increase for this limit."
QUOTAS = (
    "Please use AWS Service Quotas to request an increase for this quota. If AWS Service Quotas is not available, "
    "contact AWS support to request an increase for this quota."
)

WORDINGS = [
    (
        (
            f"The account-level service limit '{TRAINING}' is 0 Instances, with current utilization of 0 Instances and "
            f"a request delta of 1 Instances. {QUOTAS}"
        ),
        Shortage(TRAINING, f"training/{P3}", 0, 0, 1, "Instances"),
    ),
    (
        (
            f"The account-level service limit 'ml.p3.8xlarge for training job usage' is 2 Instances, with current "
            f"utilization of 3 Instances and a request delta of 1 Instances. {CONTACT}"
        ),
        Shortage("ml.p3.8xlarge for training job usage", "training/ml.p3.8xlarge", 2, 3, 1, "Instances"),
    ),
    (
        (
            f"The account-level service limit '{P3} for spot training job usage' is 1,000 Instances, with current "
            f"utilization of 999 Instances and a request delta of 2 Instances. {QUOTAS}"
        ),
        Shortage(f"{P3} for spot training job usage", f"spot/{P3}", 1000, 999, 2, "Instances"),
    ),
    (
        (
            f"The account-level service limit '{P3} for training warm pool usage' is 0 Instances, with current "
            f"utilization of 0 Instances and a request delta of 1 Instances. {QUOTAS}"
        ),
        Shortage(f"{P3} for training warm pool usage", f"warm pool/{P3}", 0, 0, 1, "Instances"),
    ),
    (
        (
            "The account-level service limit 'Number of instances across all training jobs' is 20 Instances, with "
            f"current utilization of 19.0 Instances and a request delta of 4.0 Instances. {QUOTAS}"
        ),
        Shortage("Number of instances across all training jobs", "instances", 20, 19, 4, "Instances"),
    ),
    (
        (
            "The account-level service limit 'Number of instances across all processing jobs' is 4 Instances, with "
            f"current utilization of 0 Instances and a request delta of 11 Instances. {CONTACT}"
        ),
        Shortage("Number of instances across all processing jobs", "processing instances", 4, 0, 11, "Instances"),
    ),
    (
        "The account-level service limit 'Total size of EBS volumes across all training jobs' is 1 024.5 GB, with "
        "current utilization of 1'000 GB and a request delta of 50 GB.".replace("1 024", "1\u00a0024"),
        Shortage("Total size of EBS volumes across all training jobs", "volumes", 1024.5, 1000, 50, "GB"),
    ),
    (
        (
            "The account-level service limit for training-job/ml.p2.xlarge is 0 Instances, with current utilization of "
            f"0 Instances and a request delta of 2 Instances. {CONTACT}"
        ),
        Shortage("training-job/ml.p2.xlarge", "training/ml.p2.xlarge", 0, 0, 2, "Instances"),
    ),
    (
        f"The account-level service quota “{TRAINING}” is 4 Instances. Current utilization is 4 Instances.",
        Shortage(TRAINING, f"training/{P3}", 4, 4, 1, "Instances"),
    ),
    (
        (
            "The account-level service limit 'Longest run time for a training job' is 432000 Seconds, with current "
            "utilization of 0 Seconds and a request delta of 864000 Seconds."
        ),
        Shortage("Longest run time for a training job", None, 432000, 0, 864000, "Seconds"),
    ),
    (
        "The account-level service limit 'Number of gadgets' is 5, with current utilization of 5.",
        Shortage("Number of gadgets", None, 5, 5, None, ""),
    ),
    ("CapacityError: Unable to provision requested ML compute capacity. Please retry.", Shortage()),
    (f"Insufficient capacity for {P3}", Shortage()),
    ("", Shortage()),
    ("The limit '1.2.3.4' is 1.2.3.4 Instances", Shortage("1.2.3.4", None, None, None, None, "Instances")),
]


@pytest.mark.parametrize(("message", "shortage"), WORDINGS)
def test_quota_and_amounts_are_read_from_each_message(message: str, shortage: Shortage) -> None:
    assert read_shortage(message, ONE) == shortage


@pytest.mark.parametrize(
    ("shortage", "hopeless"),
    [
        (Shortage("x", None, 0), True),
        (Shortage("x", None, 4, 0, 8), True),
        (Shortage("x", None, 4, 4, 4), False),
        (Shortage("x", None, 4, 4), False),
        (Shortage("x"), False),
        (Shortage("Longest run time for a training job"), True),
        (Shortage("Number of instances for a training job", None, 20, 0, 10), True),
        (Shortage(TRAINING, f"training/{P3}", 4, 4, 1), False),
        (Shortage("Number of instances across all training jobs", "instances", 4, 4, 1), False),
    ],
)
def test_a_quota_below_the_demand_of_the_job_is_hopeless(shortage: Shortage, hopeless: bool) -> None:
    assert shortage.is_hopeless == hopeless


def test_without_a_stated_request_the_demand_of_the_job_counts() -> None:
    message = f"The account-level service limit '{TRAINING}' is 4 Instances, with current utilization of 0 Instances."
    assert read_shortage(message, EIGHT).is_hopeless
    assert not read_shortage(message, ONE).is_hopeless


@pytest.mark.parametrize(
    ("shortage", "words"),
    [
        (
            Shortage(TRAINING, None, 4, 0, 8, "Instances"),
            f"The quota '{TRAINING}' is too small for this job (limit 4, in use 0, requested 8 Instances). ",
        ),
        (Shortage("", None, 0), "The quota is too small for this job (limit 0). "),
        (Shortage("Longest run time"), "The quota 'Longest run time' is too small for this job. "),
        (Shortage("x", None, 2_592_000), "The quota 'x' is too small for this job (limit 2592000). "),
    ],
)
def test_the_advice_contains_the_known_amounts(shortage: Shortage, words: str) -> None:
    assert shortage.advice == f"{words}Raise the quota in Service Quotas, or request less in spec."


@pytest.mark.parametrize(("limit", "used", "free"), [(4, 3, 1), (2, 3, 0), (None, 3, None), (4, None, None)])
def test_free_quota_is_the_limit_minus_usage(limit: float | None, used: float | None, free: float | None) -> None:
    assert Shortage(limit=limit, used=used).free == free


@pytest.mark.parametrize(
    ("name", "quota"),
    [
        (TRAINING, f"training/{P3}"),
        (TRAINING.upper(), f"training/{P3}"),
        (f"{P3} for managed spot training jobs", f"spot/{P3}"),
        (f"{P3} for training warm pools", f"warm pool/{P3}"),
        ("Number of instances across all spot training jobs", "spot instances"),
        ("Number of instances across training jobs", "instances"),
        ("EBS volume size in total", "volumes"),
        (f"{P3} for endpoint usage", None),
    ],
)
def test_quotas_are_identified_by_name(name: str, quota: str | None) -> None:
    assert identify(name) == quota


@pytest.mark.parametrize(
    "message",
    [
        "The requested resource training-job/ml.p2.xlarge is not available in this region",
        "Instance type ml.p4d.24xlarge is not supported in us-west-1.",
        "ml.trn1.2xlarge is not available in region eu-south-1",
        "The instance type ml.p5.48xlarge is not offered in the eu-central-1 Region",
    ],
)
def test_unsupported_instance_types_are_recognized(message: str) -> None:
    assert is_not_offered(message)


@pytest.mark.parametrize(
    "message",
    [
        "Insufficient capacity: ml.p5.48xlarge is currently not available in us-east-1",
        "ml.p5.48xlarge is not available in this region at this time. Retry later.",
        "The service is not available.",
        QUOTAS,
        *(message for message, _ in WORDINGS),
    ],
)
def test_temporary_shortages_are_not_unsupported_instance_types(message: str) -> None:
    assert not is_not_offered(message)


@pytest.mark.parametrize(
    ("spec", "kind", "amounts"),
    [
        (
            {"resourceConfig": {"instanceType": P3, "instanceCount": 2, "volumeSizeInGB": 30}},
            P3,
            {P3: 2, f"training/{P3}": 2, "instances": 2, "volumes": 60},
        ),
        (
            {
                "enableManagedSpotTraining": True,
                "resourceConfig": {
                    "instanceGroups": [
                        {"instanceType": P3, "instanceCount": 1},
                        {"instanceType": "ml.m5.large", "instanceCount": 3},
                        {"instanceType": P3, "instanceCount": 1},
                        "odd",
                    ],
                    "volumeSizeInGB": 10,
                },
            },
            f"ml.m5.large,{P3},unknown (spot)",
            {
                f"spot/{P3}": 2,
                "spot/ml.m5.large": 3,
                "spot/unknown": 1,
                "instances": 6,
                "spot instances": 6,
                "volumes": 60,
                f"ml.m5.large,{P3},unknown (spot)": 6,
            },
        ),
        (
            {
                "resourceConfig": {"instanceType": P3, "keepAlivePeriodInSeconds": 60},
                "debugRuleConfigurations": [{}, {}],
                "profilerRuleConfigurations": [{}],
            },
            f"{P3} (warm pool)",
            {
                f"{P3} (warm pool)": 1,
                f"training/{P3}": 1,
                f"warm pool/{P3}": 1,
                "instances": 1,
                "processing instances": 3,
                "volumes": 1,
            },
        ),
        ({"resourceConfig": "odd"}, "unknown", {"training/unknown": 1, "unknown": 1, "instances": 1, "volumes": 1}),
    ],
)
def test_the_demand_of_a_job_lists_each_quota(spec: dict[str, Any], kind: str, amounts: dict[str, float]) -> None:
    demand = read_demand(spec)
    assert demand.kind == kind
    assert dict(demand.amounts) == amounts
    assert demand.of("something else") == demand.instances
    assert demand.find("something else") is None
