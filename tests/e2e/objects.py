"""TrainingJob objects for tests, with reads through kubectl."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import subprocess
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.controlplane.plane import KUBECTL, KubectlError
from tests.e2e.operator_process import await_true

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.controlplane.plane import Cluster

Body = dict[str, Any]


def training_job(name: str, *, annotations: dict[str, str] | None = None, **spec: Any) -> Body:
    """The smallest valid object for CRD and service; keyword arguments replace fields of the spec, None removes one."""
    fields: Body = {
        "trainingJobName": name,
        "roleARN": "arn:aws:iam::123456789012:role/training",
        "algorithmSpecification": {"trainingImage": "image", "trainingInputMode": "File"},
        "outputDataConfig": {"s3OutputPath": "s3://bucket/out"},
        "resourceConfig": {"instanceType": "ml.m5.large", "instanceCount": 1, "volumeSizeInGB": 5},
        "stoppingCondition": {"maxRuntimeInSeconds": 86400},
    }
    fields.update(copy.deepcopy(spec))
    return {
        "apiVersion": "sagemaker.services.k8s.aws/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": name, **({"annotations": annotations} if annotations else {})},
        "spec": {key: value for key, value in fields.items() if value is not None},
    }


GROUP = "/apis/sagemaker.services.k8s.aws/v1alpha1"


@dataclass(frozen=True)
class Jobs:
    """The objects of one namespace, as the admin or on behalf of `user`."""

    cluster: Cluster
    namespace: str
    user: str = ""

    def kubectl(self, *arguments: str, input: str | None = None, timeout: float = 60) -> str:  # noqa: A002 - as in Cluster.kubectl
        """Stdout of kubectl in the namespace. Raises KubectlError."""
        impersonation = [f"--as={self.user}"] if self.user else []
        return self.cluster.kubectl(
            "--namespace", self.namespace, *impersonation, *arguments, input=input, timeout=timeout
        )

    def apply(self, *bodies: Body) -> None:
        self.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(bodies)}))

    def get(self, name: str) -> Body | None:
        """The object, or None if it is missing."""
        try:
            body: Body = self._read(f"{GROUP}/namespaces/{self.namespace}/trainingjobs/{name}")
        except KubectlError as error:
            if "NotFound" not in str(error):
                raise
            return None
        return body

    def bodies(self) -> list[Body]:
        """All objects."""
        items: list[Body] = self._read(f"{GROUP}/namespaces/{self.namespace}/trainingjobs")["items"]
        return items

    def _read(self, path: str) -> Any:
        return self.cluster.read(path, self.user)

    def delete(self, name: str) -> None:
        """Request its deletion, without waiting for it."""
        self.kubectl("delete", "trainingjob", name, "--wait=false")

    def release(self) -> None:
        """Remove the finalizers that no operator will remove any more."""
        held = [body for body in self.bodies() if body["metadata"].pop("finalizers", None)]
        if held:
            items = {"apiVersion": "v1", "kind": "List", "items": held}
            self.kubectl("replace", "-f", "-", input=json.dumps(items))

    def status(self, name: str) -> Body:
        return (self.get(name) or {}).get("status") or {}

    def condition(self, name: str, kind: str) -> Body:
        """The condition of that type, empty if it is missing."""
        conditions = self.status(name).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == kind), {})

    def events(self, name: str) -> list[Body]:
        """The object's Events."""
        selector = urllib.parse.quote(f"involvedObject.kind=TrainingJob,involvedObject.name={name}")
        items: list[Body] = self._read(f"/api/v1/namespaces/{self.namespace}/events?fieldSelector={selector}")["items"]
        return items

    def wait(self, name: str, expectation: str, question: Callable[[Body], Any], seconds: float = 60.0) -> Body:
        """Wait for the object until the question is true for it."""

        def ask() -> Body | None:
            body = self.get(name)
            return body if body is not None and question(body) else None

        try:
            return await_true(f"{name}: {expectation}", ask, seconds)  # type: ignore[no-any-return]
        except TimeoutError as error:
            error.add_note(json.dumps(self.get(name), indent=1))
            raise

    def wait_status(self, name: str, status: str, seconds: float = 60.0) -> Body:
        """Wait for this trainingJobStatus."""
        return self.wait(name, status, lambda body: body.get("status", {}).get("trainingJobStatus") == status, seconds)

    def wait_condition(self, name: str, kind: str, status: str = "True", seconds: float = 60.0) -> Body:
        """Wait for this status of the condition; returns the condition."""
        self.wait(name, f"{kind}={status}", lambda _: self.condition(name, kind).get("status") == status, seconds)
        return self.condition(name, kind)

    def wait_gone(self, name: str, seconds: float = 60.0) -> None:
        await_true(f"{name} is gone", lambda: self.get(name) is None, seconds)


@contextlib.contextmanager
def recorded(cluster: Cluster, namespace: str, file: Path) -> Iterator[Callable[[str], list[Body]]]:
    """Record kubectl's watch during the context; yields a function that returns the versions of an object so far."""
    command = [KUBECTL, "--namespace", namespace, "get", "trainingjobs", "--watch", "--output=json", "--v=6"]
    requests = file.with_suffix(".requests")
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}

    def versions(name: str) -> list[Body]:
        text, found = file.read_text(), []
        while text:
            try:
                body, end = json.JSONDecoder().raw_decode(text)
            except ValueError:  # a partly written line
                break
            found.append(body)
            text = text[end:].lstrip()
        return [body for body in found if body["metadata"]["name"] == name]

    with (
        file.open("wb") as output,
        requests.open("wb") as request_log,
        subprocess.Popen(command, env=environment, stdout=output, stderr=request_log) as watch,
    ):
        try:
            await_true("the watch is open", lambda: "watch=true" in requests.read_text())
            yield versions
        finally:
            watch.terminate()
