"""Edits accepted by the API server, before and after the creation of the job."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.crds.conftest import RefusedError, TrainingJobs
from tests.crds.installation import OURS
from tests.crds.paths import put, take_out

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.fixtures import Kubectl

RECORDED = {
    "ackResourceMetadata": {
        "arn": "arn:aws:sagemaker:us-west-2:123456789012:training-job/every-field",
        "ownerAccountID": "123456789012",
        "region": "us-west-2",
    }
}

FIXED = {
    "spec.algorithmSpecification.algorithmName": "another",
    "spec.algorithmSpecification.containerArguments": ["3", "--epochs"],
    "spec.algorithmSpecification.containerEntrypoint": ["sh"],
    "spec.algorithmSpecification.enableSageMakerMetricsTimeSeries": False,
    "spec.algorithmSpecification.metricDefinitions": [{"name": "other", "regex": "x"}],
    "spec.algorithmSpecification.trainingImageConfig": {"trainingRepositoryAccessMode": "Platform"},
    "spec.algorithmSpecification.trainingInputMode": "Pipe",
    "spec.checkpointConfig": {"s3URI": "s3://another"},
    "spec.debugHookConfig": {"s3OutputPath": "s3://another"},
    "spec.debugRuleConfigurations": [],
    "spec.enableInterContainerTrafficEncryption": False,
    "spec.enableNetworkIsolation": False,
    "spec.environment": {"MODE": "another"},
    "spec.experimentConfig": {"experimentName": "another"},
    "spec.hyperParameters": {"eta": "0.3", "num_round": "10"},
    "spec.infraCheckConfig": {"enableInfraCheck": False},
    "spec.inputDataConfig": [{"channelName": "another", "dataSource": {}}],
    "spec.mlflowConfig": {"mlflowResourceARN": "arn:aws:sagemaker:us-west-2:123456789012:mlflow-app/another"},
    "spec.modelPackageConfig": {
        "modelPackageGroupARN": "arn:aws:sagemaker:us-west-2:123456789012:model-package-group/another"
    },
    "spec.outputDataConfig.compressionType": "GZIP",
    "spec.outputDataConfig.kmsKeyID": "another",
    "spec.outputDataConfig.s3OutputPath": "s3://another",
    "spec.resourceConfig.instanceCount": 3,
    "spec.resourceConfig.instanceGroups": [
        {"instanceType": "ml.m5.large", "instanceCount": 1, "instanceGroupName": "another"}
    ],
    "spec.resourceConfig.instancePlacementConfig": {"enableMultipleJobs": False},
    "spec.resourceConfig.instancePreferences": [{"instanceType": "ml.m5.large"}],
    "spec.resourceConfig.instanceType": "ml.m5.large",
    "spec.resourceConfig.trainingPlanARN": "arn:aws:sagemaker:us-west-2:123456789012:training-plan/another",
    "spec.resourceConfig.volumeKMSKeyID": "another",
    "spec.resourceConfig.volumeSizeInGB": 51,
    "spec.retryStrategy": {"maximumRetryAttempts": 4},
    "spec.roleARN": "arn:aws:iam::123456789012:role/another",
    "spec.serverlessJobConfig": {
        "baseModelARN": "arn:aws:sagemaker:us-west-2:aws:hub-content/SageMakerPublicHub/Model/another/1.0.0",
        "jobType": "FineTuning",
    },
    "spec.sessionChainingConfig": {"enableSessionTagChaining": False},
    "spec.stoppingCondition": {"maxRuntimeInSeconds": 3601, "maxWaitTimeInSeconds": 3601},
    "spec.tensorBoardOutputConfig": {"s3OutputPath": "s3://another"},
    "spec.trainingJobName": "another",
    "spec.vpcConfig": {"securityGroupIDs": ["sg-1"], "subnets": ["subnet-1"]},
}
"""Fields fixed after the creation of the job, each with another value."""

TOGETHER: dict[str, dict[str, Any]] = {
    "spec.algorithmSpecification.trainingImage": {
        "spec.algorithmSpecification.trainingImage": "another",
        "spec.algorithmSpecification.algorithmName": None,
    },
    "spec.enableManagedSpotTraining": {
        "spec.enableManagedSpotTraining": False,
        "spec.stoppingCondition.maxWaitTimeInSeconds": None,
    },
}
"""Fixed fields with the further edits required by other rules (None removes a field)."""

OPEN = {
    "spec.profilerConfig": {"disableProfiler": True},
    "spec.profilerRuleConfigurations": [],
    "spec.remoteDebugConfig": {"enableRemoteDebug": False},
    "spec.resourceConfig.keepAlivePeriodInSeconds": 1200,
    "spec.tags": [{"key": "another", "value": "x"}],
    "metadata.labels": {"team": "ml"},
    "metadata.annotations": {"services.k8s.aws/deletion-policy": "retain"},
}
"""Mutable fields, each with another value."""

REQUIRED = {
    "spec.algorithmSpecification.trainingInputMode",
    "spec.outputDataConfig.s3OutputPath",
    "spec.roleARN",
    "spec.stoppingCondition",
    "spec.trainingJobName",
}

DEFAULTS = {
    "spec.algorithmSpecification.enableSageMakerMetricsTimeSeries": False,
    "spec.enableInterContainerTrafficEncryption": False,
    "spec.enableManagedSpotTraining": False,
    "spec.enableNetworkIsolation": False,
    "spec.outputDataConfig.compressionType": "GZIP",
    "spec.outputDataConfig.kmsKeyID": "",
    "spec.resourceConfig.instanceCount": 0,
}
"""Defaults written by ACK's controller into specs."""


@pytest.fixture
def created(jobs: TrainingJobs, every_field: dict[str, Any]) -> dict[str, Any]:
    """Object without a job."""
    return jobs.create(every_field)


@pytest.fixture
def recorded(jobs: TrainingJobs, created: dict[str, Any]) -> dict[str, Any]:
    """Object with a recorded job."""
    return jobs.merge_status(created["metadata"]["name"], RECORDED)


def edits(job: dict[str, Any], values: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """One edited copy of the object for each field."""
    for path, value in values.items():
        edited = copy.deepcopy(job)
        for part, content in TOGETHER.get(path, {path: value}).items():
            if content is None:
                take_out(edited, part)
            else:
                put(edited, part, content)
        yield path, edited


def test_every_fixed_field_has_a_case() -> None:
    root = yaml.safe_load(OURS.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]

    fixed = next(rule for rule in root["x-kubernetes-validations"] if rule["fieldPath"] == ".spec")

    assert set(re.findall(r"'(spec\.\S+) '", fixed["messageExpression"])) == {*FIXED, *TOGETHER}


def test_without_a_job_every_field_is_mutable(jobs: TrainingJobs, created: dict[str, Any]) -> None:
    for path, edited in edits(created, FIXED | TOGETHER | OPEN):
        assert jobs.replace(edited, dry_run=True), path


FREE = [
    {"trainingJobStatus": "Completed"},
    {"trainingJobStatus": "Failed"},
    {"trainingJobStatus": "Stopped"},
    {"trainingJobStatus": "Stopping", "phase": "Deleting"},
    {"trainingJobStatus": "InProgress", "phase": "JobNotFound"},
]


@pytest.mark.parametrize("status", FREE, ids=str)
def test_after_the_end_of_the_job_the_spec_is_mutable(
    jobs: TrainingJobs, recorded: dict[str, Any], status: dict[str, str]
) -> None:
    over = jobs.merge_status("every-field", status)
    for path, edited in edits(over, FIXED | TOGETHER | OPEN):
        assert jobs.replace(edited, dry_run=True), path
    del over["spec"]
    assert jobs.replace(over, dry_run=True)


@pytest.mark.parametrize("status", ["InProgress", "Stopping", "OfTomorrow"])
def test_during_the_job_the_spec_is_fixed_for_every_writer_of_the_status(
    jobs: TrainingJobs, recorded: dict[str, Any], status: str
) -> None:
    running = jobs.merge_status("every-field", {"trainingJobStatus": status, "phase": status})
    put(running, "spec.trainingJobName", "another")
    with pytest.raises(RefusedError, match=r"spec: Forbidden: spec\.trainingJobName cannot change once the job exists"):
        jobs.replace(running, dry_run=True)


def test_a_fixed_field_of_an_existing_job_cannot_change(jobs: TrainingJobs, recorded: dict[str, Any]) -> None:
    for path, edited in edits(recorded, FIXED | TOGETHER):
        with pytest.raises(RefusedError) as refusal:
            jobs.replace(edited, dry_run=True)
        assert re.search(
            rf"spec: Forbidden: [^:]*{re.escape(path)} [^:]*cannot change once the job", str(refusal.value)
        )
        assert str(refusal.value).count("Forbidden") == 1


def test_the_rejection_names_every_edited_field(jobs: TrainingJobs, recorded: dict[str, Any]) -> None:
    for path in ("spec.roleARN", "spec.resourceConfig.instanceType"):
        put(recorded, path, FIXED[path])

    with pytest.raises(RefusedError, match=r"spec\.resourceConfig\.instanceType spec\.roleARN cannot change once"):
        jobs.replace(recorded, dry_run=True)


def test_a_fixed_field_of_an_existing_job_cannot_be_removed(jobs: TrainingJobs, recorded: dict[str, Any]) -> None:
    for path in FIXED.keys() - REQUIRED:
        edited = copy.deepcopy(recorded)
        take_out(edited, path)
        with pytest.raises(RefusedError) as refusal:
            jobs.replace(edited, dry_run=True)
        assert f"spec: Forbidden: {path} cannot change" in str(refusal.value)


def test_updatable_fields_of_an_existing_job_are_mutable(jobs: TrainingJobs, recorded: dict[str, Any]) -> None:
    for path, edited in edits(recorded, OPEN):
        assert jobs.replace(edited, dry_run=True), path


@pytest.mark.parametrize("path", DEFAULTS)
def test_defaults_written_by_ack_can_be_removed_and_restored_but_not_changed(
    jobs: TrainingJobs, every_field: dict[str, Any], path: str
) -> None:
    put(every_field, path, DEFAULTS[path])
    if path == "spec.enableManagedSpotTraining":
        take_out(every_field, "spec.stoppingCondition.maxWaitTimeInSeconds")
    filled_in = jobs.merge_status(jobs.create(every_field)["metadata"]["name"], RECORDED)
    changed = copy.deepcopy(filled_in)
    another = FIXED.get(path, False)
    put(changed, path, another if another != DEFAULTS[path] else {False: True, "GZIP": "NONE"}[DEFAULTS[path]])
    if path == "spec.enableManagedSpotTraining":
        put(changed, "spec.stoppingCondition.maxWaitTimeInSeconds", 7200)
    with pytest.raises(RefusedError, match=rf"spec: Forbidden: {path} [^:]*cannot change"):
        jobs.replace(changed, dry_run=True)

    take_out(filled_in, path)
    removed = jobs.replace(filled_in)
    put(removed, path, DEFAULTS[path])

    assert jobs.replace(removed)


def test_the_name_of_a_job_cannot_be_removed(jobs: TrainingJobs, recorded: dict[str, Any]) -> None:
    del recorded["spec"]["trainingJobName"]

    with pytest.raises(RefusedError, match=r"spec\.trainingJobName cannot change once the job exists"):
        jobs.replace(recorded, dry_run=True)


@pytest.mark.parametrize("name", ["a.b", "a" * 64])
def test_an_object_with_an_invalid_job_name_requires_training_job_name(
    jobs: TrainingJobs, every_field: dict[str, Any], name: str
) -> None:
    body = {**every_field, "metadata": {"name": name}}
    assert jobs.create(body, dry_run=True)
    del body["spec"]["trainingJobName"]

    with pytest.raises(RefusedError, match=r"spec\.trainingJobName: Required value: metadata\.name is no valid name"):
        jobs.create(body, dry_run=True)


@pytest.mark.parametrize("name", ["a", "a--1", "1" * 63])
def test_a_valid_object_name_replaces_training_job_name(
    jobs: TrainingJobs, every_field: dict[str, Any], name: str
) -> None:
    body = {**every_field, "metadata": {"name": name}}
    del body["spec"]["trainingJobName"]
    assert jobs.create(body, dry_run=True)


def test_the_job_name_can_be_added_to_a_spec_without_it(jobs: TrainingJobs, every_field: dict[str, Any]) -> None:
    body = {**every_field, "metadata": {"name": "nameless"}}
    del body["spec"]["trainingJobName"]
    jobs.create(body)
    named = jobs.merge_status("nameless", {**RECORDED, "trainingJobName": "nameless-1a2b3c4d"})
    put(named, "spec.trainingJobName", "another")
    with pytest.raises(RefusedError, match=r"spec\.trainingJobName cannot change once the job exists"):
        jobs.replace(named, dry_run=True)
    put(named, "spec.trainingJobName", "nameless-1a2b3c4d")
    assert jobs.replace(named)


def test_the_spec_of_a_job_cannot_be_removed(jobs: TrainingJobs, recorded: dict[str, Any]) -> None:
    del recorded["spec"]

    with pytest.raises(RefusedError, match=r"spec: Forbidden: spec cannot change once the job exists"):
        jobs.replace(recorded, dry_run=True)


def test_a_spec_can_be_added_to_an_adopted_job(jobs: TrainingJobs, every_field: dict[str, Any]) -> None:
    spec = every_field.pop("spec")
    adopted = jobs.merge_status(jobs.create(every_field)["metadata"]["name"], RECORDED)

    assert jobs.replace({**adopted, "spec": spec})["spec"] == spec


def test_status_writes_and_deletion_succeed_for_any_spec(
    jobs: TrainingJobs, recorded: dict[str, Any], kubectl: Kubectl
) -> None:
    name = recorded["metadata"]["name"]

    jobs.merge_status(name, {"trainingJobStatus": "OfTomorrow", "secondaryStatus": ""})
    kubectl("delete", "trainingjob", name, "--timeout=10s")

    assert kubectl("get", "trainingjobs", "--output=name") == ""
