"""The chart on a node: its Pods, and their logs, leader, processes and tokens."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.controlplane.plane import KubectlError
from tests.e2e.operator_process import QUICK, await_true
from tests.helm.program import CHART, HelmError
from tests.node.image import OPERATOR
from trainingjob_operator.kube.leader import LEASE_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.plane import Cluster
    from tests.helm.program import Helm
    from tests.node.node import Node
    from tests.sagemaker.stand_in import StandIn

Object = dict[str, Any]

NAMESPACE = "trainingjob-operator"
AWS = "10.0.0.2"
"""The stand-in's address for Pods."""
AWS_TOKEN = "/var/run/secrets/eks.amazonaws.com/serviceaccount"


@dataclass(frozen=True)
class Pod:
    """A Pod of the operator at the time of a list."""

    name: str
    uid: str
    address: str
    container: str
    """Container ID in containerd."""
    restarts: int
    is_ready: bool


class Installation:
    """The operator in the cluster, with the stand-in in place of AWS."""

    def __init__(self, cluster: Cluster, node: Node, helm: Helm, sagemaker: StandIn) -> None:
        self._cluster = cluster
        self._node = node
        self._helm = helm
        self._sagemaker = sagemaker

    def kubectl(self, *arguments: str, input: str | None = None, timeout: float = 60) -> str:  # noqa: A002 - as in Cluster.kubectl
        """kubectl in the operator's namespace."""
        return self._cluster.kubectl("--namespace", NAMESPACE, *arguments, input=input, timeout=timeout)

    def install(self) -> None:
        """Install the chart into a namespace of restricted Pod Security, and wait until both replicas are ready."""
        self._node.serve(AWS, 80, self._sagemaker.url)
        self._cluster.kubectl("create", "namespace", NAMESPACE)
        self._cluster.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        self._helm.with_values("install", values(), NAMESPACE, str(CHART), f"--namespace={NAMESPACE}")
        self.await_rollout()

    def test(self) -> str:
        """Run `helm test` and return its report, with the output of its Pod. Raises HelmError if it fails."""
        try:
            return self._helm.run("test", NAMESPACE, f"--namespace={NAMESPACE}", "--logs")
        except HelmError as error:
            error.add_note(self.kubectl("logs", f"{NAMESPACE}-test"))
            raise

    def await_rollout(self) -> None:
        """Wait until the Deployment has all its replicas, new and ready."""
        try:
            self.kubectl("rollout", "status", f"deployment/{NAMESPACE}", "--timeout=120s", timeout=150)
        except KubectlError as error:
            error.add_note(self.kubectl("get", "pods", "--output=wide"))
            for pod in self.pods():
                error.add_note(self.kubectl("logs", "--tail=5", pod.name))
            raise

    def pods(self) -> list[Pod]:
        """The Pods without a deletion timestamp."""
        selector = f"--selector=app.kubernetes.io/name={NAMESPACE}"
        items: list[Object] = json.loads(self.kubectl("get", "pods", selector, "--output=json"))["items"]
        return [read_pod(item) for item in items if "deletionTimestamp" not in item["metadata"]]

    def leader(self) -> Pod | None:
        """The Pod that holds the Lease; None without a holder."""
        lease = json.loads(self.kubectl("get", "lease", LEASE_NAME, "--output=json"))
        holder = lease["spec"].get("holderIdentity") or ""
        return next((pod for pod in self.pods() if holder.startswith(f"{pod.name}_")), None)

    def await_leader(self, *, other_than: Pod | None = None, seconds: float = 60.0) -> Pod:
        """Wait for a leader other than that Pod."""

        def find() -> Pod | None:
            leader = self.leader()
            return None if other_than is not None and leader and leader.uid == other_than.uid else leader

        found: Pod = await_true("a Pod leads", find, seconds)
        return found

    def evict(self, pod: Pod) -> None:
        """Request an eviction, as a drain of the node does. Raises KubectlError if the budget rejects it."""
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": NAMESPACE},
        }
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod.name}/eviction"
        self.kubectl("create", "--raw", path, "--filename", "-", input=json.dumps(eviction))

    def process_id(self, pod: Pod) -> int:
        """Process ID of the operator in that Pod on this machine."""
        tasks = (line.split() for line in self._node.ctr("tasks", "ls").splitlines())
        return next(int(task[1]) for task in tasks if task[0] == pod.container)

    def tokens(self, pod: Pod) -> dict[str, str]:
        """The Pod's ServiceAccount tokens in the files of the kubelet, by audience."""
        return {str(claims(token)["aud"][0]): token for token in map(read, self._token_files(pod))}

    def _token_files(self, pod: Pod) -> Iterator[Path]:
        yield from self._node.pods.glob(f"{pod.uid}/volumes/kubernetes.io~projected/*/token")

    def run(self, pod: Pod, code: str) -> str:
        """Run Python code in the operator's container."""
        return self.kubectl("exec", pod.name, "--", "/opt/operator/bin/python", "-c", code)

    def log(self, pod: Pod) -> list[dict[str, Any]]:
        """The log of a Pod, by line."""
        return [json.loads(line) for line in self.kubectl("logs", pod.name).splitlines()]

    def ask(self, address: str, path: str) -> int:
        """HTTP status of /healthz or /readyz of the Pod at that address; 0 without an answer."""
        try:
            with urllib.request.urlopen(f"http://{address}:8081/{path}", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0


def read(file: Path) -> str:
    return file.read_text()


def claims(token: str) -> dict[str, Any]:
    """The claims of a token."""
    part = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


def read_pod(body: Object) -> Pod:
    status = body["status"]
    [container] = status.get("containerStatuses", [{}])
    return Pod(
        name=body["metadata"]["name"],
        uid=body["metadata"]["uid"],
        address=status.get("podIP", ""),
        container=container.get("containerID", "").removeprefix("containerd://"),
        restarts=container.get("restartCount", 0),
        is_ready=container.get("ready", False),
    )


def values() -> dict[str, Any]:
    """Values of the chart: image, region and pace, and the additions of EKS's webhook to a Pod for IAM roles."""
    repository, _, tag = OPERATOR.rpartition(":")
    source = {"serviceAccountToken": {"audience": "sts.amazonaws.com", "expirationSeconds": 600, "path": "token"}}
    variables = {
        "AWS_ENDPOINT_URL": f"http://{AWS}",
        "AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/trainingjob-operator",
        "AWS_WEB_IDENTITY_TOKEN_FILE": f"{AWS_TOKEN}/token",
    }
    return {
        "image": {"repository": repository, "tag": tag},
        "aws": {"region": "us-east-1", "allow_unsafe_aws_endpoint_urls": True},
        "deployment": {
            "extraArgs": list(QUICK),
            "extraEnvVars": [{"name": name, "value": value} for name, value in variables.items()],
            "extraVolumes": [{"name": "aws-iam-token", "projected": {"sources": [source]}}],
            "extraVolumeMounts": [{"name": "aws-iam-token", "mountPath": AWS_TOKEN, "readOnly": True}],
        },
    }
