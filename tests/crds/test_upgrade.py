"""Objects created under ACK's CRD, with fewer rules, after the installation of this project's."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.crds.conftest import RefusedError, TrainingJobs
from tests.crds.installation import ACKS, OURS, REPOSITORY, install_crd
from tests.crds.paths import put

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.fixtures import Kubectl
    from tests.controlplane.plane import Cluster

OUTSIDE_OUR_RULES = {
    "spec.roleARN": "not-an-arn",
    "spec.trainingJobName": "under_score",
    "spec.algorithmSpecification.trainingInputMode": "Stream",
    "spec.environment": {"NOT-A-NAME": "x"},
    "spec.inputDataConfig": [],
    "spec.algorithmSpecification.metricDefinitions": [{"name": "loss"}],
    "spec.algorithmSpecification.trainingImage": "image",
    "spec.checkpointConfig": {},
    "spec.debugRuleConfigurations": [{"ruleConfigurationName": "a"}, {"ruleConfigurationName": "a"}, {}],
    "spec.stoppingCondition": {"maxRuntimeInSeconds": 3600},
    "spec.tags": [
        {"key": "services.k8s.aws/namespace", "value": "x"},
        {"value": "without key"},
        *({"key": f"{number % 50}"} for number in range(52)),
    ],
}

STILL_OUTSIDE = {
    "spec.roleARN": "neither-this-is-an-arn",
    "spec.algorithmSpecification.trainingInputMode": "Streams",
    "spec.environment": {"NOR-THIS": "x"},
    "spec.tags": [{"key": "aws:team", "value": "x"}],
}


@pytest.fixture
def under_acks_crd(control_plane: Cluster) -> Iterator[None]:
    """ACK's CRD; afterwards this project's again."""
    install_crd(control_plane, ACKS)
    yield
    install_crd(control_plane, OURS)


@pytest.fixture
def old_job(under_acks_crd: None, control_plane: Cluster, jobs: TrainingJobs, every_field: dict[str, Any]) -> Any:
    """Object invalid under this project's CRD, which is installed now."""
    every_field["metadata"]["finalizers"] = ["finalizers.sagemaker.services.k8s.aws/TrainingJob"]
    for path, value in OUTSIDE_OUR_RULES.items():
        put(every_field, path, value)
    old = jobs.create(every_field)
    install_crd(control_plane, OURS)
    return old


def test_an_object_invalid_under_the_new_crd_can_be_annotated_followed_and_deleted(
    jobs: TrainingJobs, old_job: dict[str, Any], kubectl: Kubectl
) -> None:
    kubectl("annotate", "trainingjob", "every-field", "services.k8s.aws/deletion-policy=retain")
    jobs.merge_status("every-field", {"trainingJobStatus": "InProgress"})
    kubectl("delete", "trainingjob", "every-field", "--wait=false")
    kubectl("patch", "trainingjob", "every-field", "--type=merge", "--patch", '{"metadata": {"finalizers": null}}')

    assert kubectl("get", "trainingjobs", "--output=name") == ""


ACK_OBJECTS = [file for file in (REPOSITORY / "tests/data/ack-objects").glob("*.yaml") if file.stem != "refused"]
"""The omitted object has a role rejected by SageMaker and by the CRD."""


@pytest.mark.parametrize("file", ACK_OBJECTS, ids=lambda file: file.stem)
def test_objects_of_ack_are_accepted(jobs: TrainingJobs, file: Path) -> None:
    left = yaml.safe_load(file.read_text())
    kept = {name: left["metadata"].get(name) for name in ("annotations", "finalizers", "labels")}
    body = {**left, "metadata": {"name": "left-by-ack", **{name: value for name, value in kept.items() if value}}}

    assert jobs.create(body, dry_run=True)["spec"] == left["spec"]


def test_unchanged_invalid_fields_permit_edits_of_other_fields(jobs: TrainingJobs, old_job: dict[str, Any]) -> None:
    put(old_job, "spec.resourceConfig.keepAlivePeriodInSeconds", 60)

    assert jobs.replace(old_job, dry_run=True)


def test_invalid_fields_cannot_change_to_other_invalid_values(jobs: TrainingJobs, old_job: dict[str, Any]) -> None:
    for path, value in STILL_OUTSIDE.items():
        edited = copy.deepcopy(old_job)
        put(edited, path, value)
        with pytest.raises(RefusedError, match=path):
            jobs.replace(edited, dry_run=True)


def test_acks_crd_prunes_unknown_fields(under_acks_crd: None, jobs: TrainingJobs, every_field: dict[str, Any]) -> None:
    taken = jobs.create(every_field)
    followed = jobs.merge_status("every-field", {"trainingJobStatus": "InProgress", "observedGeneration": 1})

    assert "runName" not in taken["spec"]["experimentConfig"]
    assert followed["status"] == {"trainingJobStatus": "InProgress"}
