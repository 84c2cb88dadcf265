"""First mistakes of users, with the output of kubectl and its plugin, for docs/troubleshooting.md."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.controlplane.plane import KubectlError
from tests.e2e.transcripts import comparable
from tests.kubectl_plugin.terminal import run_plugin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.controlplane.fixtures import Kubectl
    from tests.sagemaker.stand_in import Control

QUOTA = (
    "The account-level service limit 'ml.p4d.24xlarge for training job usage' is 0 Instances, with current utilization "
    "of 0 Instances and a request delta of 1 Instances. Please use AWS Service Quotas to request an increase."
)
PASS_ROLE = (
    "User: arn:aws:iam::123456789012:role/operator is not authorized to perform: iam:PassRole on resource: "
    "arn:aws:iam::123456789012:role/training"
)


@dataclass(frozen=True, slots=True)
class Mistake:
    """An invalid object; `spec` and `annotations` replace parts of a valid one."""

    title: str
    name: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    fault: Callable[[Control], object] | None = None
    """Answer of AWS."""
    is_refused_at_once: bool = False
    """If true, the API server rejects the object."""


def _refuse(name: str, reason: str) -> Callable[[Control], object]:
    return lambda aws: aws.fault("refuse", "CreateTrainingJob", job=name, reason=reason)


def _fail(name: str, code: str, message: str) -> Callable[[Control], object]:
    return lambda aws: aws.fault("error", "CreateTrainingJob", job=name, code=code, message=message, status=400)


MISTAKES = (
    Mistake("A typing error in the name of a field", "typo", {"instancType": "ml.m5.large"}, is_refused_at_once=True),
    Mistake(
        "A value of the wrong type",
        "wrong-type",
        {"stoppingCondition": {"maxRuntimeInSeconds": "1h"}},
        is_refused_at_once=True,
    ),
    Mistake(
        "A misspelt region",
        "misspelt",
        annotations={"services.k8s.aws/region": "us-esat-1"},
        fault=lambda aws: aws.fault("error", "*", region="us-esat-1", status=503),
    ),
    Mistake("A missing image", "no-image", fault=_refuse("no-image", "image")),
    Mistake("Missing data", "no-data", fault=_refuse("no-data", "data")),
    Mistake("A role that SageMaker cannot assume", "no-role", fault=_refuse("no-role", "role")),
    Mistake(
        "A role that the operator may not pass",
        "no-pass-role",
        fault=_fail("no-pass-role", "AccessDeniedException", PASS_ROLE),
    ),
    Mistake(
        "A quota of 0",
        "no-quota",
        {"resourceConfig": {"instanceType": "ml.p4d.24xlarge", "instanceCount": 1, "volumeSizeInGB": 5}},
        fault=_fail("no-quota", "ResourceLimitExceeded", QUOTA),
    ),
    Mistake("A name that is taken", "taken", fault=lambda aws: aws.create_job("taken")),
)


def make_body(mistake: Mistake) -> dict[str, Any]:
    """Return the object of a mistake."""
    return {
        "apiVersion": "sagemaker.services.k8s.aws/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": mistake.name, "annotations": dict(mistake.annotations)},
        "spec": {
            "trainingJobName": mistake.name,
            "roleARN": "arn:aws:iam::123456789012:role/training",
            "algorithmSpecification": {"trainingImage": "image", "trainingInputMode": "File"},
            "outputDataConfig": {"s3OutputPath": "s3://bucket/out"},
            "resourceConfig": {"instanceType": "ml.m5.large", "instanceCount": 1, "volumeSizeInGB": 5},
            "stoppingCondition": {"maxRuntimeInSeconds": 3600},
            **mistake.spec,
        },
    }


def try_mistake(mistake: Mistake, kubectl: Kubectl, aws: Control, namespace: str) -> str:
    """Apply the object; return the terminal output of the user's commands."""
    if mistake.fault:
        mistake.fault(aws)
    if mistake.is_refused_at_once:
        return show_refusal(mistake, kubectl)
    kubectl("apply", "-f", "-", input=json.dumps(make_body(mistake)))
    await_finding(mistake.name, kubectl)
    return show(mistake.name, kubectl, namespace)


def show_refusal(mistake: Mistake, kubectl: Kubectl) -> str:
    """Return kubectl's terminal output for a rejected object."""
    try:
        kubectl("apply", "-f", "-", input=json.dumps(make_body(mistake)))
    except KubectlError as error:
        words = str(error).partition(": ")[2].replace('"STDIN"', f'"{mistake.name}.yaml"')
        return steady(f"$ kubectl apply -f {mistake.name}.yaml\n{words}")
    raise AssertionError(f"{mistake.name} was accepted")


def show(name: str, kubectl: Kubectl, namespace: str) -> str:
    """Return the terminal output for an object."""
    table = kubectl("get", "trainingjob", name)
    shown = [f"$ kubectl get trainingjob {name}\n{table}"]
    page = kubectl("describe", "trainingjob", name)
    events = page.partition("\nEvents:")[2]
    if events.strip() != "<none>":
        shown.append(f"$ kubectl describe trainingjob {name} | sed -n '/^Events:/,$p'\nEvents:{events}")
    answer = run_plugin("-n", namespace, "why", name)
    assert answer.code == 0, answer.err
    shown.append(f"$ kubectl trainingjob why {name}\n{answer.out}")
    return steady("".join(shown))


def await_finding(name: str, kubectl: Kubectl) -> None:
    """Wait for ACK.Terminal, ACK.Recoverable or ACK.Advisory, and for its Event."""
    for _ in range(600):
        status = json.loads(kubectl("get", "trainingjob", name, "-o", "json")).get("status", {})
        found = {each["type"]: each["reason"] for each in status.get("conditions", ()) if each["status"] == "True"}
        reason = found.get("ACK.Terminal") or found.get("ACK.Recoverable") or found.get("ACK.Advisory")
        if reason and reason in kubectl("events", "--for", f"trainingjob/{name}"):
            return
    raise TimeoutError(f"{name} shows no error")


def read_warnings(log: str) -> str:
    """Return the warnings of the operator's log in the form of a terminal."""
    lines = [line for line in log.splitlines() if '"level": "info"' not in line and '"level": "debug"' not in line]
    command = 'kubectl logs -n trainingjob-operator deployment/trainingjob-operator | grep -v \'"level": "info"\''
    return steady("\n".join([f"$ {command}", *lines]))


def steady(text: str) -> str:
    """Return the text without ages and trailing blanks; they differ between runs."""
    lines = [re.sub(r"(?<= )(\d+m)?\d+s$", "2s", line.rstrip()) for line in text.splitlines()]
    return "".join(f"{line}\n" for line in lines)


PAGE = Path(__file__).parents[2] / "docs/troubleshooting.md"


def check_section(title: str, output: str, *, update: bool = False) -> None:
    """Compare the output with the section of this title on the page, or write it there."""
    text = PAGE.read_text()
    section = re.search(rf"(?<=\n### {re.escape(title)}\n)(.*?```console\n)(.*?)(?=```)", text, re.DOTALL)
    assert section is not None, title
    if update:
        PAGE.write_text(text[: section.start(2)] + output + text[section.end(2) :])
        return
    assert comparable(output) == comparable(section[2])
