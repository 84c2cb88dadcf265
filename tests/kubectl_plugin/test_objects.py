"""Objects in output without secrets, and objects for another run of a spec."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubectl_trainingjob.kubectl import NotFound, Unreachable, read_error
from kubectl_trainingjob.logic.redaction import LAST_APPLIED, redact
from kubectl_trainingjob.logic.successor import make_successor, propose_name

SECRET = "hunter2"
BODY: dict[str, Any] = {
    "apiVersion": "sagemaker.services.k8s.aws/v1alpha1",
    "kind": "TrainingJob",
    "metadata": {
        "name": "churn",
        "namespace": "team-a",
        "uid": "u",
        "finalizers": ["f"],
        "ownerReferences": [{"name": "x"}],
        "labels": {"team": "vision", "app.kubernetes.io/instance": "argo", "kustomize.toolkit.fluxcd.io/name": "x"},
        "annotations": {
            LAST_APPLIED: f'{{"environment": "{SECRET}"}}',
            "services.k8s.aws/region": "eu-west-1",
            "services.k8s.aws/job-arn": "arn",
            "services.k8s.aws/create-pending": "x",
            "services.k8s.aws/adoption-policy": "adopt",
            "argocd.argoproj.io/tracking-id": "x",
            "meta.helm.sh/release-name": "x",
        },
    },
    "spec": {
        "trainingJobName": "Churn",
        "environment": {"TOKEN": SECRET},
        "hyperParameters": {"password": SECRET},
        "algorithmSpecification": {"containerArguments": ["--password", SECRET], "trainingImage": "image"},
    },
    "status": {
        "failureReason": f'AlgorithmError: Command "python3 train.py --password {SECRET}"',
        "secondaryStatusTransitions": [
            {"statusMessage": f'AlgorithmError: Command "python3 t.py --password {SECRET}"'}
        ],
    },
}


def test_an_object_is_shown_without_values_and_stays_unchanged() -> None:
    before = json.dumps(BODY)
    shown = redact(BODY)
    assert SECRET not in json.dumps(shown)
    assert shown["spec"]["environment"] == {"TOKEN": "…"}
    assert shown["spec"]["algorithmSpecification"]["trainingImage"] == "image"
    assert json.dumps(BODY) == before


@pytest.mark.parametrize("part", ["metadata", "spec", "status"])
@pytest.mark.parametrize("nonsense", [None, 7, "text", []])
def test_an_invalid_part_leaves_the_others_hidden(part: str, nonsense: object) -> None:
    shown = redact({**BODY, part: nonsense})
    assert shown[part] == nonsense
    assert SECRET not in json.dumps(shown)


def test_a_successor_has_the_spec_without_fields_of_the_first_job() -> None:
    created = make_successor(BODY, "churn-r2")
    assert created["spec"] == {**BODY["spec"], "trainingJobName": "churn-r2"}
    assert created["metadata"] == {
        "name": "churn-r2",
        "namespace": "team-a",
        "labels": {"team": "vision"},
        "annotations": {"services.k8s.aws/region": "eu-west-1"},
    }
    assert created.keys() == {"apiVersion", "kind", "metadata", "spec"}


def test_a_successor_without_labels_and_annotations() -> None:
    bare = {**BODY, "metadata": {"name": "churn", "namespace": "team-a"}}
    assert make_successor(bare, "b")["metadata"] == {"name": "b", "namespace": "team-a"}


def test_a_successor_of_a_spec_without_a_job_name_has_none() -> None:
    unnamed = {key: value for key, value in BODY["spec"].items() if key != "trainingJobName"}
    assert make_successor({**BODY, "spec": unnamed}, "b")["spec"] == unnamed


@pytest.mark.parametrize(
    ("name", "taken", "proposal"),
    [
        ("churn", [], "churn-r2"),
        ("churn", ["churn-r2", "CHURN-R3"], "churn-r4"),
        ("churn-r2", ["churn-r2"], "churn-r3"),
        ("churn-r0", [], "churn-r0-r2"),
        ("x" * 63, [], "x" * 60 + "-r2"),
        ("x" * 59 + "-" + "y" * 3, [], "x" * 59 + "-r2"),
    ],
)
def test_the_next_free_name_is_proposed(name: str, taken: list[str], proposal: str) -> None:
    assert propose_name(name, taken) == proposal


@pytest.mark.parametrize(
    ("stderr", "kind", "sentence"),
    [
        (
            'Error from server (NotFound): trainingjobs.sagemaker.services.k8s.aws "x" not found',
            NotFound,
            'There is no TrainingJob "x" in namespace team-a',
        ),
        ('error: the server doesn\'t have a resource type "trainingjobs"', Exception, "the CRD is not installed"),
        ('Error from server (Forbidden): User "a" cannot list', Exception, "Ask the cluster's administrator"),
        ('Error from server (AlreadyExists): "x" already exists', Exception, "Use another name"),
        ("Error from server (Conflict): changed", Unreachable, "Try again"),
        ("Error from server (Invalid): spec.roleARN: Invalid", Exception, "Correct the field"),
        ("Error from server (InternalError): boom", Exception, "boom (InternalError)."),
        ("The connection to the server 127.0.0.1:1 was refused - right host?", Unreachable, "does not answer"),
        (
            'E1128 12:34:01.7 1 memcache.go:265] "x"\nThe connection to the server a was refused - right?',
            Unreachable,
            "The API server does not answer: The connection to the server a was refused - right? Check",
        ),
        ("Unable to connect to the server: dial tcp: no such host", Unreachable, "kubectl cluster-info"),
        ('error: no matches for kind "X" in version "v1"', Exception, "Install its CRD first"),
        ('Warning: old\nerror: context "x" does not exist', Exception, 'kubectl: context "x" does not exist'),
        ("", Exception, "failed without a message"),
        ("error: \x1b[2Jevil", Exception, "^[[2Jevil"),
    ],
)
def test_errors_of_kubectl_become_one_sentence_with_the_remedy(
    stderr: str, kind: type[Exception], sentence: str
) -> None:
    error = read_error(stderr, "team-a")
    assert isinstance(error, kind)
    assert sentence in str(error)
    assert "\n" not in str(error)
