"""Sample admission policies of deploy/policies on the real API server."""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.controlplane.plane import KubectlError
from tests.crds.installation import REPOSITORY, install_crd
from tests.e2e.operator_process import await_true

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.controlplane.plane import Cluster

pytestmark = pytest.mark.controlplane

FOLDER = REPOSITORY / "deploy/policies"
PREFIX = "training.example.com/"
Body = dict[str, Any]


def read_sample() -> Body:
    """The object in docs/policies.md."""
    [block] = re.findall(r"```yaml\n(.*?)```", (REPOSITORY / "docs/policies.md").read_text(), re.DOTALL)
    sample: Body = yaml.safe_load(block)
    return sample


SAMPLE = read_sample()


@pytest.fixture(scope="module")
def cluster(control_plane: Cluster) -> Iterator[Cluster]:
    install_crd(control_plane)
    control_plane.kubectl("apply", "-f", str(FOLDER))
    limited = copy.deepcopy(SAMPLE)
    del limited["spec"]["tags"]
    await_true("the limits apply", lambda: "requires spec.tags" in refusal(control_plane, limited), 30.0)
    await_true("the defaults apply", lambda: "roleARN" in create(control_plane, SAMPLE, dry_run=True)["spec"], 30.0)
    yield control_plane
    control_plane.kubectl("delete", "-f", str(FOLDER), "--ignore-not-found", "--timeout=60s")


def create(cluster: Cluster, body: Body, *, dry_run: bool = False) -> Body:
    arguments = ("--dry-run=server",) if dry_run else ()
    return dict(json.loads(cluster.kubectl("create", "-f", "-", "-o", "json", *arguments, input=json.dumps(body))))


def refusal(cluster: Cluster, body: Body) -> str:
    try:
        create(cluster, body, dry_run=True)
    except KubectlError as error:
        return str(error)
    return ""


def changed(change: Callable[[Body], object]) -> Body:
    body = copy.deepcopy(SAMPLE)
    change(body["spec"])
    return body


def test_absent_fields_get_the_defaults_of_the_namespace(cluster: Cluster) -> None:
    spec = create(cluster, SAMPLE, dry_run=True)["spec"]
    assert spec["roleARN"] == "arn:aws:iam::111122223333:role/vision-training"
    assert spec["vpcConfig"] == {
        "subnets": ["subnet-0a1b2c3d4e5f60718", "subnet-1a1b2c3d4e5f60718"],
        "securityGroupIDs": ["sg-0a1b2c3d4e5f60718"],
    }
    assert spec["outputDataConfig"] == {"s3OutputPath": "s3://vision/models", "kmsKeyID": "alias/vision"}
    assert spec["stoppingCondition"] == {"maxRuntimeInSeconds": 86400}
    assert [(tag["key"], tag["value"]) for tag in spec["tags"]] == [
        ("project", "churn"), ("team", "vision"), ("cost-center", "42"),
    ]  # fmt: skip


def test_fields_of_the_object_are_kept(cluster: Cluster) -> None:
    own = {
        "roleARN": "arn:aws:iam::111122223333:role/own",
        "vpcConfig": {"subnets": ["subnet-9a1b2c3d4e5f60718"], "securityGroupIDs": ["sg-9a1b2c3d4e5f60718"]},
        "outputDataConfig": {"s3OutputPath": "s3://vision/models", "kmsKeyID": "alias/own"},
        "stoppingCondition": {"maxRuntimeInSeconds": 60, "maxPendingTimeInSeconds": 7200},
        "tags": [{"key": key, "value": "own"} for key in ("team", "project", "cost-center")],
    }
    spec = create(cluster, changed(lambda spec: spec.update(own)), dry_run=True)["spec"]
    assert {name: spec[name] for name in own} == own
    partly = changed(lambda spec: spec.update(stoppingCondition={"maxPendingTimeInSeconds": 7200}))
    assert create(cluster, partly, dry_run=True)["spec"]["stoppingCondition"] == {
        "maxRuntimeInSeconds": 86400, "maxPendingTimeInSeconds": 7200,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tags": [{"key": "team", "value": "x"}]}, "requires spec.tags with the keys project."),
        ({"stoppingCondition": {"maxRuntimeInSeconds": 86401}}, "maxRuntimeInSeconds up to 86400."),
        (
            {"resourceConfig": {"instanceType": "ml.p5.48xlarge", "instanceCount": 1, "volumeSizeInGB": 30}},
            "allows the instance types ml.m5.large, ml.g5.xlarge, not ml.p5.48xlarge.",
        ),
        (
            {
                "resourceConfig": {
                    "volumeSizeInGB": 30,
                    "instanceGroups": [
                        {"instanceGroupName": name, "instanceType": kind, "instanceCount": 1}
                        for name, kind in (("a", "ml.m5.large"), ("b", "ml.p4d.24xlarge"))
                    ],
                }
            },
            "not ml.p4d.24xlarge.",
        ),
    ],
)
def test_a_spec_beyond_the_limits_is_refused_with_the_limit(cluster: Cluster, change: Body, message: str) -> None:
    assert message in refusal(cluster, changed(lambda spec: spec.update(change)))


def test_updates_keep_defaulted_fields_and_those_of_metadata_are_never_refused(cluster: Cluster) -> None:
    body = {**SAMPLE, "metadata": {**SAMPLE["metadata"], "name": "kept"}}

    def apply(manifest: Body) -> Body:
        flags = ("--server-side", "--field-manager=gitops", "-o", "json")
        return dict(json.loads(cluster.kubectl("apply", "-f", "-", *flags, input=json.dumps(manifest))))

    def annotate(**annotations: str) -> None:
        pairs = (f"{PREFIX}{key.replace('_', '-')}={value}" for key, value in annotations.items())
        cluster.kubectl("annotate", "namespace", "vision", "--overwrite", *pairs)

    first = apply(body)["spec"]
    annotate(
        role_arn="arn:aws:iam::111122223333:role/new", kms_key_id="alias/new", allowed_instance_types="ml.m5.xlarge"
    )
    try:
        assert apply(body)["spec"] == first
        longer = copy.deepcopy(body)
        longer["spec"]["environment"] = {"LEVEL": "debug"}
        await_true(
            "the new limit applies", lambda: "allows the instance types ml.m5.xlarge" in refusal(cluster, SAMPLE), 30
        )
        patch = '{"metadata": {"finalizers": ["example.com/x"], "annotations": {"example.com/x": "y"}}}'
        cluster.kubectl("patch", "trainingjob", "kept", "-n", "vision", "--type=merge", "-p", patch)
        cluster.kubectl(
            "patch", "trainingjob", "kept", "-n", "vision", "--type=merge", "-p", '{"metadata": {"finalizers": []}}'
        )
        annotate(allowed_instance_types="ml.m5.large, ml.g5.xlarge")
        await_true("the old limit applies", lambda: not refusal(cluster, SAMPLE), 30)
        edited = apply(longer)["spec"]
        assert (edited.pop("environment"), edited) == ({"LEVEL": "debug"}, first)
    finally:
        cluster.kubectl("apply", "-f", str(FOLDER / "namespace.yaml"))


def test_other_namespaces_are_left_alone(cluster: Cluster, namespace: str) -> None:
    elsewhere = copy.deepcopy(SAMPLE)
    elsewhere["metadata"]["namespace"] = namespace
    assert "spec.roleARN: Required value" in refusal(cluster, elsewhere)
