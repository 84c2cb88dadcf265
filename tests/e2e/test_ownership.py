"""Tenants on a real API server: rights on TrainingJobs in their own namespace, none on `.status`, none elsewhere.

The operator stops, updates and tags only the job of each object itself.
"""

from __future__ import annotations

import json
import secrets
import threading
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.controlplane.plane import KubectlError
from tests.e2e.objects import Jobs, training_job
from tests.e2e.operator_process import await_true

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.plane import Cluster
    from tests.e2e.conftest import Launch
    from tests.e2e.objects import Body
    from tests.e2e.operator_process import OperatorProcess
    from tests.sagemaker.stand_in import StandIn

pytestmark = [pytest.mark.e2e, pytest.mark.controlplane]

FINALIZER = "finalizers.sagemaker.services.k8s.aws/TrainingJob"
READ_ONLY = "services.k8s.aws/read-only"
POLICY = "services.k8s.aws/adoption-policy"
PENDING = "services.k8s.aws/create-pending"
ENDPOINT = "services.k8s.aws/endpoint-url"
FROM_CLUSTER = "sagemaker.services.k8s.aws/adopt-from-cluster"
REQUEST = "services.k8s.aws/reconcile-requested-at"
CHANGES = {"StopTrainingJob", "UpdateTrainingJob", "AddTags", "DeleteTags"}
OTHER_ACCOUNT = "999999999999"

TENANT = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: tenant}
rules:
- apiGroups: [sagemaker.services.k8s.aws]
  resources: [trainingjobs]
  verbs: [get, list, watch, create, update, patch, delete]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tenant}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: tenant}
subjects: [{kind: User, name: mallory, apiGroup: rbac.authorization.k8s.io}]
"""


@dataclass
class Tenants:
    """Two namespaces of one operator: a victim's, and one of a tenant without rights on `.status`."""

    launch: Launch
    cluster: Cluster
    sagemaker: StandIn
    folder: Path
    victim: Jobs
    mallory: Jobs
    namespace: str
    """The victim's."""
    neighbour: str
    """The tenant's; the operator lists it before the victim's."""
    operator: OperatorProcess

    def start(self, *flags: str) -> None:
        """(Re)start the operator; it serves both unless flags differ."""
        self.operator.kill()
        served = f"--watch-namespace={self.neighbour},{self.namespace}"
        self.operator = self.launch(self.cluster, self.sagemaker, self.folder, served, *flags)
        self.operator.start()

    def steal(self, job: str, **annotations: str) -> None:
        """Apply the tenant's object `thief` for that job."""
        body = training_job(job, annotations={_key(name): value for name, value in annotations.items()})
        body["metadata"]["name"] = "thief"
        self.mallory.apply(body)

    def patch(self, metadata: Body) -> None:
        """One patch of the metadata of `thief`, as the tenant."""
        patch = json.dumps({"metadata": metadata})
        self.mallory.kubectl("patch", "trainingjob", "thief", "--type=merge", "-p", patch)

    def delete(self) -> None:
        self.mallory.delete("thief")
        self.mallory.wait_gone("thief")

    def changes(self) -> list[str]:
        """The calls that changed a job so far."""
        return [call["operation"] for call in self.sagemaker.calls() if call["operation"] in CHANGES]


def _key(name: str) -> str:
    return {"read_only": READ_ONLY, "policy": POLICY, "pending": PENDING, "from_cluster": FROM_CLUSTER}[name]


@pytest.fixture
def tenants(
    crd: None,
    control_plane: Cluster,
    namespace: str,
    jobs: Jobs,
    sagemaker: StandIn,
    tmp_path: Path,
    launch: Launch,
) -> Iterator[Tenants]:
    neighbour = f"a-tenant-{secrets.token_hex(4)}"
    control_plane.kubectl("create", "namespace", neighbour)
    control_plane.kubectl("--namespace", neighbour, "apply", "-f", "-", input=TENANT)
    mallory = Jobs(control_plane, neighbour, user="mallory")
    sagemaker.plan(outcome="Running", stop_seconds=0.2)
    served = f"--watch-namespace={neighbour},{namespace}"
    operator = launch(control_plane, sagemaker, tmp_path, served)
    operator.start()
    made = Tenants(launch, control_plane, sagemaker, tmp_path, jobs, mallory, namespace, neighbour, operator)
    yield made
    made.operator.stop()
    control_plane.kubectl("delete", "namespace", neighbour, "--wait=false")


def trains(body: Body) -> bool:
    return bool(body.get("status", {}).get("trainingJobStatus") == "InProgress")


def run_victim(tenants: Tenants, name: str = "prod") -> None:
    tenants.victim.apply(training_job(name))
    tenants.victim.wait(name, "trains", trains)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_finalizer_added_by_hand_to_a_read_only_object_stops_no_job(tenants: Tenants, *, restarts: bool) -> None:
    run_victim(tenants)
    tenants.steal("prod", read_only="true")
    tenants.mallory.wait("thief", "has an ARN", lambda body: "ackResourceMetadata" in body.get("status", {}))
    with pytest.raises(KubectlError, match="forbidden"):
        tenants.mallory.kubectl(
            "patch", "trainingjob", "thief", "--subresource=status", "--type=merge", "-p", '{"status":{}}'
        )
    tenants.patch({"annotations": {READ_ONLY: None}, "finalizers": [FINALIZER]})
    if restarts:
        tenants.start()
    tenants.delete()
    assert tenants.changes() == []
    assert trains(tenants.victim.get("prod") or {})
    tenants.victim.delete("prod")
    tenants.victim.wait_gone("prod")
    assert tenants.changes() == ["StopTrainingJob"]


@pytest.mark.parametrize("tags", [{}, {"services.k8s.aws/controller-version": "sagemaker-v1.9.1"}])
def test_create_and_delete_in_succession_stop_no_job_of_that_name(tenants: Tenants, tags: dict[str, str]) -> None:
    if tags:
        tags = {**tags, "services.k8s.aws/namespace": tenants.neighbour}
    tenants.sagemaker.create_job("theirs", Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    for pending in (None, "123456789012/us-east-1/theirs"):
        body = training_job("theirs", annotations={} if pending is None else {PENDING: pending})
        body["metadata"] |= {"name": "thief", "finalizers": [FINALIZER]}
        tenants.mallory.apply(body)
        tenants.delete()
    assert tenants.changes() == []


def test_an_adoption_listed_before_the_owner_takes_no_job_after_a_restart(tenants: Tenants) -> None:
    tenants.sagemaker.create_job("console")
    tenants.victim.apply(training_job("console", annotations={POLICY: "adopt"}))
    tenants.victim.wait_condition("console", "ACK.Adopted")
    tenants.operator.kill()
    tenants.steal("console", policy="adopt")
    tenants.start("--max-concurrent-reconciles=1")
    assert tenants.mallory.wait_condition("thief", "ACK.Terminal")["reason"] == "NameClash"
    tenants.delete()
    assert tenants.changes() == []
    tenants.victim.delete("console")
    tenants.victim.wait_gone("console")
    assert tenants.changes() == ["StopTrainingJob"]


def test_a_job_with_tags_of_another_existing_object_is_never_adopted(tenants: Tenants) -> None:
    run_victim(tenants)
    tenants.start(f"--watch-namespace={tenants.neighbour}")
    tenants.steal("prod", policy="adopt")
    refused = tenants.mallory.wait_condition("thief", "ACK.Terminal")
    assert refused["reason"] == "NameClash"
    assert f"{tenants.namespace}/prod" in refused["message"]
    tenants.delete()
    assert tenants.changes() == []


def test_a_job_of_another_cluster_is_adopted_only_with_an_annotation_of_that_cluster(tenants: Tenants) -> None:
    tags = {"cluster-id": "other", "namespace": "x", "object-name": "y", "object-uid": "z"}
    tenants.sagemaker.create_job(
        "moved", Tags=[{"Key": f"services.k8s.aws/{key}", "Value": value} for key, value in tags.items()]
    )
    tenants.steal("moved", policy="adopt")
    refused = tenants.mallory.wait_condition("thief", "ACK.Terminal")
    assert "cluster with ID other" in refused["message"]
    tenants.patch({"annotations": {FROM_CLUSTER: "other"}})
    tenants.mallory.wait_condition("thief", "ACK.Adopted")
    assert tenants.mallory.status("thief")["ownership"]["claim"] == "Adopted"


@pytest.mark.parametrize("is_deleted", [False, True])
def test_a_name_freed_and_reused_while_the_operator_was_down_is_another_run(
    tenants: Tenants, *, is_deleted: bool
) -> None:
    run_victim(tenants)
    before = tenants.victim.status("prod")
    tenants.operator.kill()
    tenants.sagemaker.stop_job("prod")
    tenants.sagemaker.enter("prod", "Stopped")
    tenants.sagemaker.delete_job("prod")
    tenants.sagemaker.advance(5)
    tenants.sagemaker.create_job("prod")
    tenants.sagemaker.enter("prod", "Training")
    if is_deleted:
        tenants.victim.delete("prod")
    since = tenants.sagemaker.total()
    tenants.start()
    if is_deleted:
        tenants.victim.wait_gone("prod", 60.0)
    else:
        gone = tenants.victim.wait_condition("prod", "Failed", seconds=60.0)
        assert gone["reason"] == "JobNotFound"
        assert "another run" in gone["message"]
        status = tenants.victim.status("prod")
        assert (status["creationTime"], status["trainingJobStatus"]) == (before["creationTime"], "InProgress")
    made = [call["operation"] for call in tenants.sagemaker.calls(since=since)]
    assert not CHANGES & set(made)
    assert made.count("DescribeTrainingJob") < 6


def test_read_only_is_limited_to_the_adoption_namespaces(tenants: Tenants) -> None:
    tenants.start("--adoption-namespaces=platform")
    run_victim(tenants)
    tenants.steal("prod", read_only="true")
    refused = tenants.mallory.wait_condition("thief", "ACK.Terminal")
    assert refused["reason"] == "InvalidAnnotation"
    assert "--adoption-namespaces" in refused["message"]
    assert "trainingJobStatus" not in tenants.mallory.status("thief")


def test_a_forged_intent_makes_no_call_in_an_unmapped_account(tenants: Tenants) -> None:
    tenants.steal("anything", pending=f"{OTHER_ACCOUNT}/us-east-1/anything")
    hindered = tenants.mallory.wait_condition("thief", "ACK.Recoverable")
    assert hindered["reason"] == "InvalidAnnotation"
    assert OTHER_ACCOUNT in hindered["message"]
    assert [
        call for call in tenants.sagemaker.calls() if call["operation"] in ("DescribeTrainingJob", "AssumeRole")
    ] == []


class _ForgingEndpoint(BaseHTTPRequestHandler):
    """An endpoint that answers Create with the ARN of the job `prod` and rejects every other call."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        is_create = self.headers["X-Amz-Target"].endswith("CreateTrainingJob")
        arn = "arn:aws:sagemaker:us-east-1:123456789012:training-job/prod"
        answer: Any = {"TrainingJobArn": arn} if is_create else {"__type": "InternalFailure", "message": "no"}
        data = json.dumps(answer).encode()
        self.send_response(200 if is_create else 500)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def forging_endpoint() -> Iterator[str]:
    """The URL of such an endpoint."""
    with HTTPServer(("127.0.0.1", 0), _ForgingEndpoint) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_endpoint_that_answers_with_a_victims_arn_reaches_no_job(tenants: Tenants, forging_endpoint: str) -> None:
    run_victim(tenants)
    annotate = partial(tenants.cluster.kubectl, "annotate", "namespace", tenants.neighbour, "--overwrite")
    annotate(f"{ENDPOINT}={forging_endpoint}")
    tenants.steal("own")
    refused = tenants.mallory.wait_condition("thief", "ACK.Terminal")
    assert "--allowed-endpoint-urls" in refused["message"], "no endpoint is allowed without the flag"
    tenants.start(f"--allowed-endpoint-urls={forging_endpoint}")
    await_true(
        "the endpoint's answer is rejected",
        lambda: any("which is not" in str(line) for line in tenants.operator.lines()),
    )
    assert "ackResourceMetadata" not in tenants.mallory.status("thief")
    annotate(f"{ENDPOINT}-")
    tenants.mallory.wait("thief", "has its own job", trains)
    tenants.delete()
    assert [call["job"] for call in tenants.sagemaker.calls("StopTrainingJob")] == ["own"]
    assert trains(tenants.victim.get("prod") or {})


def test_a_deleted_job_that_exists_again_is_followed_after_a_reconcile_request(tenants: Tenants) -> None:
    run_victim(tenants)
    fault = tenants.sagemaker.fail("DescribeTrainingJob", "ValidationException", "Requested resource not found.")
    annotate = partial(tenants.victim.kubectl, "annotate", "trainingjob", "prod", "--overwrite")
    annotate(f"{REQUEST}=1")
    tenants.victim.wait_condition("prod", "Failed", seconds=60.0)
    tenants.sagemaker.clear_faults(fault)
    annotate(f"{REQUEST}=2")
    tenants.victim.wait("prod", "is followed again", lambda body: not tenants.victim.condition("prod", "Failed"))
    tenants.victim.delete("prod")
    tenants.victim.wait_gone("prod")
    assert tenants.changes() == ["StopTrainingJob"]
