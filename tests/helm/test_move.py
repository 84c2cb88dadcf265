"""The Helm commands of docs/moving-from-ack.md, with a chart that has ACK's names, and Helm's --wait."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.crds.installation import ACKS, NAME
from tests.e2e import recorded
from tests.e2e.objects import Jobs, training_job
from tests.e2e.operator_process import await_true
from tests.e2e.pages import Reader, read_commands
from tests.e2e.test_takeover import EXPECTED, show
from tests.helm.program import CHART, HelmError
from tests.helm.releases import RELEASE, is_served
from tests.sagemaker.stand_in import StandIn

if TYPE_CHECKING:
    from pathlib import Path

    from tests.helm.releases import Releases

pytestmark = pytest.mark.installation

PAGE = "docs/moving-from-ack.md"
ACK, SYSTEM = "ack-sagemaker-controller", "ack-system"
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  selector: {matchLabels: &labels {app.kubernetes.io/instance: {{ .Release.Name }}}}
  template:
    metadata: {labels: *labels}
    spec:
      containers:
        - name: controller
          image: controller
          env:
            - {name: RECONCILE_RESOURCES, value: {{ join "," .Values.reconcile.resources | quote }}}
            - {name: ACK_WATCH_SELECTORS, value: {{ .Values.watchSelectors | quote }}}
"""
"""Changes of ACK's Deployment by the commands of the page, with ACK's names."""
READS = ("Describe", "List", "sts:")


def write_chart(folder: Path, values: dict[str, Any], **templates: str) -> Path:
    """A chart of these templates."""
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": folder.name, "version": "1.9.1"}))
    (folder / "values.yaml").write_text(yaml.safe_dump(values))
    for name, text in templates.items():
        (folder / f"templates/{name}.yaml").write_text(text)
    return folder


class Ack:
    """A release with the names of ACK's, one Pod of it, and another kind."""

    def __init__(self, releases: Releases, folder: Path) -> None:
        self.releases = releases
        values = {"reconcile": {"resources": ["Model", "TrainingJob"]}, "watchSelectors": "", "aws": {"region": ""}}
        self.chart = write_chart(folder / "sagemaker-chart", values, deployment=DEPLOYMENT)
        self.kubectl = releases.kubectl
        self.kubectl("apply", "--server-side", "-f", str(ACKS))
        self.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(model_crd()))
        await_true("the kind is served", lambda: is_served(releases))
        install = ("install", ACK, str(self.chart), "--namespace", SYSTEM, "--create-namespace")
        releases.helm.run(*install, "--set", f"aws.region={recorded.REGION}")
        self.start_pod()
        releases.namespace = RELEASE
        words = {"RELEASE": ACK, "CHART": str(self.chart), "VERSION": "1.9.1", "TEAM": "team"}
        words |= {"deploy/chart": str(CHART), "CRD": str(ACKS)}
        path = str(releases.helm.program.parent)
        self.reader = Reader(releases.cluster.kubeconfig, folder, words, path)

    def start_pod(self) -> None:
        metadata = {"name": "old", "labels": {"app.kubernetes.io/instance": ACK}}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
        pod["spec"] = {"containers": [{"name": "controller", "image": "controller"}]}
        account = ("get", "serviceaccount", "default", "-n", SYSTEM, "--ignore-not-found")
        await_true("Pods are admitted", lambda: self.kubectl(*account))
        self.kubectl("create", "-n", SYSTEM, "-f", "-", input=json.dumps(pod))

    def variable(self, name: str) -> str:
        """The value of a variable in its Deployment."""
        path = f'jsonpath={{.spec.template.spec.containers[0].env[?(@.name=="{name}")].value}}'
        return self.kubectl("get", "deployment", ACK, "-n", SYSTEM, "-o", path)

    def run(self, text: str, name: str, value: str) -> str:
        """Run a command that changes a variable and waits for the Pod; the Pod is deleted once the value is set."""
        with ThreadPoolExecutor() as pool:
            output = pool.submit(self.reader.run, text)
            await_true(f"{name} is {value}", lambda: self.variable(name) == value)
            assert not output.done()
            self.kubectl("delete", "pod", "old", "-n", SYSTEM, "--wait=false")
            return output.result()

    def remove(self) -> None:
        self.releases.helm.run("uninstall", ACK, "--namespace", SYSTEM)
        self.kubectl("delete", "crd", "models.sagemaker.services.k8s.aws")


def model_crd() -> dict[str, Any]:
    """Another kind of ACK."""
    schema = {"openAPIV3Schema": {"type": "object"}}
    names = {"kind": "Model", "listKind": "ModelList", "plural": "models", "singular": "model"}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": schema}
    group = "sagemaker.services.k8s.aws"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"models.{group}"},
        "spec": {"group": group, "names": names, "scope": "Namespaced", "versions": [version]},
    }


def test_the_commands_of_the_page_move_the_fleet_and_back(
    releases: Releases, team: Jobs, place: str, tmp_path: Path
) -> None:
    ack = Ack(releases, tmp_path)
    record, exclude, excluded, install, *checks = read_commands(PAGE, "The steps")
    with StandIn(recorded.STAND_IN) as sagemaker:
        for name in recorded.PHASES:
            recorded.make_job(name, sagemaker, place)
        recorded.put_objects({name: name for name in recorded.PHASES}, sagemaker, team.kubectl)
        since = sagemaker.total()
        ack.reader.run(record)
        ack.run(exclude.text, "RECONCILE_RESOURCES", "Model")
        assert ack.reader.run(excluded) == ""
        ack.reader.run(install)
        region = {"environment": {**recorded.ENVIRONMENT, "AWS_REGION": recorded.REGION}}
        with releases.operator(sagemaker, f"--watch-namespace={place}", **region):
            for name, expected in EXPECTED.items():
                team.wait(name, "is true", lambda body, expected=expected: show(body) == expected.conditions)  # type: ignore[misc]
            reconciled, exchanged, passive, _ = checks
            assert ack.reader.run(reconciled) == ""
            assert {line.split()[2] for line in ack.reader.run(exchanged).splitlines() if line[0] == "<"} == {
                "name-clash"
            }
            assert ack.reader.run(passive) == ""
        for command in read_commands(PAGE, "The way back"):
            ack.reader.run(command)
        assert ack.variable("RECONCILE_RESOURCES") == "Model,TrainingJob"
        assert {body["metadata"]["name"] for body in team.bodies()} == set(recorded.PHASES)
        changes = [call["operation"] for call in sagemaker.calls(since=since)]
        assert [name for name in changes if not name.startswith(READS)] == []
    assert releases.kubectl("get", "crd", NAME, "-o", "name")
    with pytest.raises(HelmError, match="not found"):
        releases.run("status")
    ack.remove()


def test_the_commands_of_the_page_move_one_part(releases: Releases, tmp_path: Path) -> None:
    ack = Ack(releases, tmp_path)
    releases.kubectl("create", "namespace", "team")
    ack.reader.run(read_commands(PAGE, "The steps")[0])
    _, exclude, install, check = read_commands(PAGE, "One part first")
    ack.run(exclude.text, "ACK_WATCH_SELECTORS", "trainingjobs-of!=operator")
    ack.reader.run(install)
    assert ack.reader.run(check) == ""
    arguments = releases.deployment()["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "--watch-selectors=trainingjobs-of=operator" in arguments
    assert ack.variable("RECONCILE_RESOURCES") == "Model,TrainingJob"
    assert "x-kubernetes-validations" not in releases.crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    releases.run("uninstall")
    ack.remove()


@pytest.mark.parametrize("outcome", ["Completed", "Failed"])
def test_wait_returns_at_the_end_of_the_jobs_of_a_chart(
    releases: Releases, team: Jobs, place: str, sagemaker: StandIn, tmp_path: Path, outcome: str
) -> None:
    releases.apply()
    sagemaker.plan(outcome="Running", seconds=0.5)
    chart = write_chart(tmp_path / "training", {}, job=json.dumps(training_job("waits")))
    command = ("upgrade", "--install", "training", str(chart), "--namespace", place, "--wait", "--timeout", "20m")
    with releases.operator(sagemaker), ThreadPoolExecutor() as pool:
        done = pool.submit(releases.helm.run, *command)
        team.wait_status("waits", "InProgress")
        assert not done.done()
        if outcome == "Completed":
            sagemaker.complete_job("waits")
            done.result()
        else:
            sagemaker.fail_job("waits")
            with pytest.raises(HelmError, match="waits"):
                done.result()
    assert team.status("waits")["trainingJobStatus"] == outcome
