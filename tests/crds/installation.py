"""Installation of a CRD of TrainingJob in a cluster."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tests.controlplane.plane import KubectlError

if TYPE_CHECKING:
    from tests.controlplane.plane import Cluster

REPOSITORY = Path(__file__).parents[2]
OURS = REPOSITORY / "crds/sagemaker.services.k8s.aws_trainingjobs.yaml"
ACKS = REPOSITORY / "tests/data/ack-crd.yaml"
NAME = "trainingjobs.sagemaker.services.k8s.aws"

PROBE = {
    "apiVersion": "sagemaker.services.k8s.aws/v1alpha1",
    "kind": "TrainingJob",
    "metadata": {"name": "probe"},
    "spec": {
        "algorithmSpecification": {},
        "outputDataConfig": {},
        "resourceConfig": {},
        "roleARN": "",
        "stoppingCondition": {},
        "trainingJobName": "",
    },
}
"""Object valid under ACK's CRD and invalid under this project's."""


def install_crd(cluster: Cluster, file: Path = OURS) -> None:
    """Apply the CRD in place of any other of its name, and wait until the API server validates objects with it."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename", str(file))
    root = yaml.safe_load(file.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    deadline = time.monotonic() + 30
    while not is_established(cluster) or takes_anything(cluster) == ("x-kubernetes-validations" in root):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the API server does not serve {file.name}")
        time.sleep(0.1)


def is_established(cluster: Cluster, name: str = NAME) -> bool:
    """True if the API server serves the CRD. `kubectl wait` and JSONPath fail for a new CRD without conditions."""
    status = json.loads(cluster.kubectl("get", "crd", name, "--output", "json")).get("status", {})
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or ()}
    return conditions.get("Established") == "True"


def takes_anything(cluster: Cluster) -> bool:
    """True if the API server accepts the probe."""
    try:
        cluster.kubectl("create", "--dry-run=server", "--filename", "-", input=json.dumps(PROBE))
    except KubectlError:
        return False
    return True
