"""What people and tools see of the kind: names, columns, explanations, and an object nobody has looked at yet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.controlplane.plane import KubectlError
from tests.e2e.operator_process import await_true

if TYPE_CHECKING:
    from tests.controlplane.fixtures import Kubectl
    from tests.crds.conftest import TrainingJobs

FINISHED = {
    "trainingJobStatus": "Completed",
    "secondaryStatus": "Completed",
    "failureReason": "none",
    "trainingTimeInSeconds": 250,
    "billableTimeInSeconds": 100,
    "managedSpotTrainingSavings": 60,
    "conditions": [{"type": "ACK.ResourceSynced", "status": "False"}, {"type": "Ready", "status": "True"}],
}


def test_the_columns_show_where_a_job_stands(jobs: TrainingJobs, every_field: dict[str, Any], kubectl: Kubectl) -> None:
    jobs.merge_status(jobs.create(every_field)["metadata"]["name"], FINISHED)

    header, row = kubectl("get", "trainingjobs").splitlines()
    assert header.split() == ["NAME", "STATUS", "SECONDARY-STATUS", "AGE"]
    assert row.split()[:3] == ["every-field", "Completed", "Completed"]


def test_the_wide_columns_show_what_it_cost(jobs: TrainingJobs, every_field: dict[str, Any], kubectl: Kubectl) -> None:
    jobs.merge_status(jobs.create(every_field)["metadata"]["name"], FINISHED)

    header, row = kubectl("get", "trainingjobs", "--output=wide").splitlines()
    assert header.split()[4:] == ["FAILURE-REASON", "INSTANCE", "TRAINING-SECONDS", "BILLABLE", "SAVINGS", "READY"]
    assert row.split()[4:] == ["none", "ml.of-tomorrow.xlarge", "250", "100", "60", "True"]


def test_the_short_name_and_the_category_find_the_kind(
    jobs: TrainingJobs, every_field: dict[str, Any], kubectl: Kubectl
) -> None:
    jobs.create(every_field)

    for name in ("tj", "sagemaker"):
        assert kubectl("get", name, "--output=name") == "trainingjob.sagemaker.services.k8s.aws/every-field\n"


def test_an_object_that_the_operator_has_not_seen_is_not_ready(
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
        ]
    }


def test_kubectl_explains_the_fields(crd: None, kubectl: Kubectl) -> None:
    wanted = (
        "either instanceType and instanceCount, or instanceGroups",
        "Seconds to keep the instances as a warm pool after the job",
    )

    def explain() -> bool:
        try:
            explained = " ".join(kubectl("explain", "trainingjob.spec.resourceConfig").split())
        except KubectlError:  # descriptions are published a little later than the kind
            return False
        return all(words in explained for words in wanted)

    assert await_true("kubectl explain", explain)
