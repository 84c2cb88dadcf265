"""spec.trainingJobName may change until the job exists; an attempt under the former name is settled first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.controlplane.plane import KubectlError
from tests.e2e.objects import training_job
from trainingjob_operator.logic.objects.annotations import JOB_NAME_SUFFIX

if TYPE_CHECKING:
    from tests.e2e.conftest import Shared
    from tests.e2e.objects import Jobs


def rename(jobs: Jobs, name: str, job_name: str) -> None:
    """Edit the name of the job."""
    patch = json.dumps({"spec": {"trainingJobName": job_name}})
    jobs.kubectl("patch", "trainingjob", name, "--type=merge", "--patch", patch)


def test_another_name_ends_a_clash_and_restarts_the_wait(shared: Shared) -> None:
    jobs, sagemaker = shared.jobs, shared.sagemaker
    sagemaker.create_job("taken")
    jobs.apply({**training_job("taken"), "metadata": {"name": "renamed"}})
    jobs.wait_condition("renamed", "Settled")
    assert jobs.status("renamed")["phase"] == "NameClash"

    rename(jobs, "renamed", "free")

    jobs.wait_status("renamed", "InProgress")
    assert jobs.status("renamed")["ackResourceMetadata"]["arn"].endswith(":training-job/free")
    assert jobs.condition("renamed", "Settled") == {}
    assert not sagemaker.calls("StopTrainingJob", job="taken")
    with pytest.raises(KubectlError, match=r"spec\.trainingJobName cannot change once the job exists"):
        rename(jobs, "renamed", "too-late")


def test_a_job_created_under_the_former_name_is_kept(shared: Shared) -> None:
    jobs, sagemaker = shared.jobs, shared.sagemaker
    held = sagemaker.hold("CreateTrainingJob", after=True, job="former")
    jobs.apply({**training_job("former"), "metadata": {"name": "hasty"}})
    assert sagemaker.wait_for_hit(held)

    rename(jobs, "hasty", "latter")
    sagemaker.release(held, drop=True)

    jobs.wait_status("hasty", "InProgress")
    assert jobs.status("hasty")["ackResourceMetadata"]["arn"].endswith(":training-job/former")
    reported = jobs.wait_condition("hasty", "ACK.Advisory")
    assert "spec.trainingJobName" in reported["message"]
    assert not sagemaker.calls("CreateTrainingJob", job="latter")


def test_generated_names_run_one_manifest_repeatedly(shared: Shared) -> None:
    manifest = training_job("unused")
    del manifest["spec"]["trainingJobName"]
    manifest["metadata"] = {"generateName": "nightly-"}
    for _ in range(2):
        shared.jobs.kubectl("create", "-f", "-", input=json.dumps(manifest))
    made = [body["metadata"]["name"] for body in shared.jobs.bodies() if "generateName" in body["metadata"]]
    assert len(set(made)) == 2
    for name in made:
        shared.jobs.wait_status(name, "InProgress")
        assert shared.jobs.status(name)["trainingJobName"] == name
        assert len(shared.sagemaker.calls("CreateTrainingJob", job=name)) == 1


def test_a_manifest_with_the_suffix_uid_runs_again_after_a_deletion(shared: Shared) -> None:
    jobs, sagemaker = shared.jobs, shared.sagemaker
    names = []
    for _ in range(2):
        jobs.apply(training_job("again", annotations={JOB_NAME_SUFFIX: "uid"}))
        jobs.wait_status("again", "InProgress")
        names.append(jobs.status("again")["trainingJobName"])
        assert len(sagemaker.calls("CreateTrainingJob", job=names[-1])) == 1
        jobs.delete("again")
        jobs.wait_gone("again")
    assert len(set(names)) == 2
    assert all(name.startswith("again-") for name in names)
