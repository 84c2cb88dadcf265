"""Create: the whole spec is sent, once, in an order that survives a crash at any point."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from tests.crds.installation import REPOSITORY
from tests.e2e.objects import recorded, training_job
from tests.e2e.operator_process import await_true
from tests.sagemaker.identity import DEFAULT_ACCOUNT
from trainingjob_operator.logic.naming import CREATE_PENDING, FINALIZER

if TYPE_CHECKING:
    from pathlib import Path

    from tests.controlplane.plane import Cluster
    from tests.e2e.conftest import Shared


def read(file: str) -> str:
    """A file about every field, with an instance type in the model of the installed botocore."""
    return (REPOSITORY / "tests/data" / file).read_text().replace("ml.of-tomorrow.xlarge", "ml.g5.xlarge")


EVERY_FIELD: dict[str, Any] = yaml.safe_load(read("every-field.yaml"))
REQUEST: dict[str, Any] = json.loads(read("every-field.request.json"))


def tags_of(request: dict[str, Any]) -> dict[str, str]:
    tags = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    assert len(tags) == len(request["Tags"])
    return tags


def test_every_field_of_the_spec_is_sent_unchanged(shared: Shared, control_plane: Cluster) -> None:
    shared.jobs.apply(EVERY_FIELD)
    body = shared.jobs.wait_status("every-field", "InProgress")
    [call] = shared.sagemaker.calls("CreateTrainingJob", job="every-field")
    assert call["effect"]
    sent = dict(call["request"])
    cluster = control_plane.kubectl("get", "namespace", "kube-system", "--output=jsonpath={.metadata.uid}")
    assert tags_of(sent) == {
        **tags_of(REQUEST),
        "services.k8s.aws/controller-version": "sagemaker-0.1.0",
        "services.k8s.aws/cluster-id": cluster,
        "services.k8s.aws/namespace": shared.namespace,
        "services.k8s.aws/object-name": "every-field",
        "services.k8s.aws/object-uid": body["metadata"]["uid"],
    }
    del sent["Tags"]
    assert sent == {member: value for member, value in REQUEST.items() if member != "Tags"}


def test_finalizer_and_intent_precede_the_call_and_the_arn_follows_it(shared: Shared) -> None:
    jobs, sagemaker = shared.jobs, shared.sagemaker
    held = sagemaker.fault("hold", "CreateTrainingJob", job="held")
    jobs.apply(training_job("held"))
    await_true("the call is in progress", lambda: sagemaker.calls("CreateTrainingJob", job="held"))
    assert sagemaker.job("held") is None
    metadata = jobs.get("held")["metadata"]  # type: ignore[index]
    assert metadata["finalizers"] == [FINALIZER]
    assert metadata["annotations"][CREATE_PENDING] == f"{DEFAULT_ACCOUNT}/{sagemaker.region}/held"
    assert "ackResourceMetadata" not in jobs.status("held")
    sagemaker.command("release", number=held)
    body = jobs.wait_status("held", "InProgress")
    assert body["status"]["ackResourceMetadata"] == {
        "arn": f"arn:aws:sagemaker:us-east-1:{DEFAULT_ACCOUNT}:training-job/held",
        "ownerAccountID": DEFAULT_ACCOUNT,
        "partition": "aws",
        "region": "us-east-1",
    }
    assert len(sagemaker.calls("CreateTrainingJob", job="held")) == 1


def test_the_first_written_status_has_the_arn(shared: Shared, control_plane: Cluster, tmp_path: Path) -> None:
    with recorded(control_plane, shared.namespace, tmp_path / "versions") as versions:
        shared.jobs.apply(training_job("prompt"))
        shared.jobs.wait_status("prompt", "InProgress")
        await_true("the watch shows it", lambda: versions("prompt")[-1]["status"].get("trainingJobStatus"))
    newborn, *_ = versions("prompt")
    assert [(each["type"], each["status"], each["reason"]) for each in newborn["status"]["conditions"]] == [
        ("Ready", "Unknown", "Pending")
    ]
    written = [body["status"] for body in versions("prompt") if "observedGeneration" in body["status"]]
    assert written[0]["ackResourceMetadata"]["arn"].endswith(":training-job/prompt")


def test_spec_and_annotations_are_unchanged_except_for_the_intent(shared: Shared) -> None:
    wanted = training_job("untouched", annotations={"team": "a"})
    shared.sagemaker.plan("untouched", seconds=1)
    shared.jobs.apply(wanted)
    shared.jobs.wait_status("untouched", "Completed")
    body = shared.jobs.wait("untouched", "no finalizer", lambda body: "finalizers" not in body["metadata"])
    assert body["spec"] == wanted["spec"]
    assert body["metadata"]["generation"] == 1
    annotations = body["metadata"]["annotations"]
    assert annotations.pop("services.k8s.aws/job-arn") == body["status"]["ackResourceMetadata"]["arn"]
    assert annotations.keys() == {"team", "kubectl.kubernetes.io/last-applied-configuration"}


def test_a_name_with_capitals_is_kept_beside_its_lower_case_arn(shared: Shared) -> None:
    shared.sagemaker.plan("CamelCase", seconds=2)
    shared.jobs.apply({**training_job("CamelCase"), "metadata": {"name": "camel"}})
    body = shared.jobs.wait_status("camel", "Completed")
    assert body["status"]["ackResourceMetadata"]["arn"].endswith(":training-job/camelcase")
    assert body["status"]["logs"]["streamPrefix"] == "CamelCase/"
