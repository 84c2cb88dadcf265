"""Display of the kind: names, columns, explanations, and an object before its first reconcile."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tests.controlplane.plane import KubectlError
from tests.e2e.operator_process import await_true

if TYPE_CHECKING:
    from tests.controlplane.fixtures import Kubectl
    from tests.crds.conftest import TrainingJobs

FINISHED = {
    "phase": "Completed",
    "trainingJobStatus": "Completed",
    "secondaryStatus": "Completed",
    "trainingStartTime": "2026-11-21T12:00:00Z",
    "duration": "4m10s",
    "instanceType": "ml.p5.48xlarge",
    "failureReason": "AlgorithmError: " + "x" * 1000,
    "billableInstanceSeconds": 400,
    "managedSpotTrainingSavings": 60,
    "outcome": "Succeeded",
    "conditions": [
        {"type": "ACK.ResourceSynced", "status": "False"},
        {"type": "Ready", "status": "True", "reason": "JobCompleted"},
    ],
}


def cells(table: str) -> dict[str, str]:
    """Single row of a table by its header; cells may be empty."""
    header, row = table.splitlines()
    starts = [match.start() for match in re.finditer(r"\S+", header)]
    ends = [*starts[1:], None]
    return {header[a:b].strip(): row[a:b].strip() for a, b in zip(starts, ends, strict=True)}


def test_the_columns_show_the_state_of_a_job(jobs: TrainingJobs, every_field: dict[str, Any], kubectl: Kubectl) -> None:
    jobs.merge_status(jobs.create(every_field)["metadata"]["name"], FINISHED)

    shown = cells(kubectl("get", "trainingjobs"))
    assert list(shown) == ["NAME", "SECONDARY-STATUS", "STATUS", "STARTED", "DURATION", "AGE"]
    assert list(shown.values())[:3] == ["every-field", "Completed", "Completed"]
    assert shown["DURATION"] == "4m10s"
    assert re.fullmatch(r"([0-9]+[ydhms])+", shown["STARTED"]), "the age"


def test_the_wide_columns_show_instance_type_and_cost(
    jobs: TrainingJobs, every_field: dict[str, Any], kubectl: Kubectl
) -> None:
    every_field["metadata"]["name"] = "n" * 63
    del every_field["spec"]
    jobs.merge_status(jobs.create(every_field)["metadata"]["name"], FINISHED)

    table = kubectl("get", "trainingjobs", "--output=wide")
    shown = cells(table)
    assert list(shown)[6:] == ["INSTANCE", "BILLABLE", "SAVINGS", "READY", "OUTCOME", "REASON"]
    assert list(shown.values())[6:] == ["ml.p5.48xlarge", "400", "60", "True", "Succeeded", "JobCompleted"]
    assert max(map(len, table.splitlines())) < 200


def test_the_columns_show_an_object_without_a_job(
    jobs: TrainingJobs, every_field: dict[str, Any], kubectl: Kubectl
) -> None:
    jobs.create(every_field)
    newborn = cells(kubectl("get", "trainingjobs"))
    jobs.merge_status("every-field", {"phase": "NameClash"})
    refused = cells(kubectl("get", "trainingjobs"))

    assert (newborn["STATUS"], refused["STATUS"]) == ("Pending", "NameClash")
    assert newborn["STARTED"] == newborn["DURATION"] == ""


def test_the_short_name_and_the_category_find_the_kind(
    jobs: TrainingJobs, every_field: dict[str, Any], kubectl: Kubectl
) -> None:
    jobs.create(every_field)

    for name in ("tj", "sagemaker"):
        assert kubectl("get", name, "--output=name") == "trainingjob.sagemaker.services.k8s.aws/every-field\n"


def test_an_object_before_its_first_reconcile_is_not_ready(
    jobs: TrainingJobs, every_field: dict[str, Any], kubectl: Kubectl
) -> None:
    jobs.create(every_field)

    assert json.loads(kubectl("get", "trainingjob", "every-field", "--output=jsonpath={.status}")) == {
        "conditions": [
            {
                "type": "Ready",
                "status": "Unknown",
                "reason": "Pending",
                "message": "Waiting for the operator",
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            }
        ],
        "phase": "Pending",
    }


def test_kubectl_explains_the_fields(crd: None, kubectl: Kubectl) -> None:
    wanted = (
        "either instanceType and instanceCount, or instanceGroups",
        "Seconds to keep the instances as a warm pool after the job",
    )

    def explain() -> bool:
        try:
            explained = " ".join(kubectl("explain", "trainingjob.spec.resourceConfig").split())
        except KubectlError:  # the API server publishes descriptions after the kind
            return False
        return all(words in explained for words in wanted)

    assert await_true("kubectl explain", explain)
