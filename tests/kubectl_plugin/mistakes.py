"""The first mistakes: how each is made, and what `kubectl get` and `kubectl trainingjob why` print."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.controlplane.plane import KubectlError
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
    """A faulty object; `spec` and `annotations` replace parts of a correct one."""

    title: str
    name: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    fault: Callable[[Control], object] | None = None
    """What AWS answers."""
    is_refused_at_once: bool = False
    """The API server refuses the object."""


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
    """Make the mistake; return what a person sees, as a terminal shows it."""
    if mistake.fault:
        mistake.fault(aws)
    text = json.dumps(make_body(mistake))
    if mistake.is_refused_at_once:
        try:
            kubectl("apply", "-f", "-", input=text)
        except KubectlError as error:
            words = str(error).partition(": ")[2].replace('"STDIN"', f'"{mistake.name}.yaml"')
            return steady(f"$ kubectl apply -f {mistake.name}.yaml\n{words}")
        raise AssertionError(f"{mistake.name} was accepted")
    kubectl("apply", "-f", "-", input=text)
    _await_finding(mistake.name, kubectl)
    table = kubectl("get", "trainingjob", mistake.name)
    answer = run_plugin("-n", namespace, "why", mistake.name)
    shown = f"$ kubectl get trainingjob {mistake.name}\n{table}$ kubectl trainingjob why {mistake.name}\n{answer.out}"
    return steady(shown)


def _await_finding(name: str, kubectl: Kubectl) -> None:
    """Wait for ACK.Terminal or ACK.Recoverable."""
    for _ in range(600):
        status = json.loads(kubectl("get", "trainingjob", name, "-o", "json")).get("status", {})
        found = {each["type"] for each in status.get("conditions", ()) if each["status"] == "True"}
        if found & {"ACK.Terminal", "ACK.Recoverable"}:
            return
    raise TimeoutError(f"{name} shows no error")


def steady(text: str) -> str:
    """Return the text without ages and blanks at the ends of lines, which differ from run to run."""
    lines = [re.sub(r"(?<= )(\d+m)?\d+s$", "2s", line.rstrip()) for line in text.splitlines()]
    return "".join(f"{line}\n" for line in lines)


TITLE = "\n## First mistakes\n"

INTRODUCTION = """
Each was made on a real API server, with the SageMaker stand-in in the place of AWS; a test compares these outputs
(`make pictures` writes them). The message of AWS is quoted. `kubectl trainingjob` is the [plugin](plugin.md).
"""


def render(outputs: Mapping[str, str]) -> str:
    """Return the section of docs/troubleshooting.md; `outputs` is by title."""
    return (
        TITLE
        + INTRODUCTION
        + "".join(f"\n### {title}\n\n```console\n{output}```\n" for title, output in outputs.items())
    )
