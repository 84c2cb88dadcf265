"""Admission policies that prevent the operator from removing its finalizer."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.objects import training_job
from tests.e2e.operator_process import await_true
from trainingjob_operator.logic.naming import FINALIZER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.plane import Cluster
    from tests.e2e.conftest import Shared

API = "admissionregistration.k8s.io/v1"


@contextmanager
def policy(cluster: Cluster, namespace: str, kind: str, spec: dict[str, Any], probe: str) -> Iterator[None]:
    """An admission policy for updates of TrainingJobs of one namespace; `probe` is the name of an affected object."""
    name = f"{kind.lower()}-{namespace}"
    rules = [
        {
            "apiGroups": ["sagemaker.services.k8s.aws"],
            "apiVersions": ["*"],
            "operations": ["UPDATE"],
            "resources": ["trainingjobs"],
        }
    ]
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    matched = {"resourceRules": rules, "namespaceSelector": selector}
    actions = {"validationActions": ["Deny"]} if kind.startswith("Validating") else {}
    documents: list[dict[str, Any]] = [
        {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": {"matchConstraints": matched, **spec}},
        {
            "apiVersion": API,
            "kind": f"{kind}Binding",
            "metadata": {"name": name},
            "spec": {"policyName": name, **actions},
        },
    ]
    cluster.kubectl("apply", "-f", "-", input="---\n".join(json.dumps(document) for document in documents))
    try:
        await_true("the policy is in force", lambda: acts(cluster, namespace, probe), 30)
        yield
    finally:
        for document in reversed(documents):
            cluster.kubectl("delete", document["kind"], name, "--ignore-not-found")


def acts(cluster: Cluster, namespace: str, name: str) -> bool:
    """True if an update of the object is rejected or changed."""
    before = cluster.kubectl("-n", namespace, "get", "trainingjob", name, "-o", "jsonpath={.spec}")
    try:
        after = cluster.kubectl(
            "-n", namespace, "annotate", "trainingjob", name, "probe=1", "--overwrite", "--dry-run=server", "-o",
            "jsonpath={.spec}",
        )  # fmt: skip
    except Exception:  # noqa: BLE001  any error of the API server
        return True
    return before != after


def count_refusals(shared: Shared) -> int:
    """Number of log lines about the rejection."""
    return sum("Change request missing." in str(line) for line in shared.operator.lines())


def held(shared: Shared, name: str) -> bool:
    return FINALIZER in ((shared.jobs.get(name) or {}).get("metadata", {}).get("finalizers") or [])


def test_a_rejected_removal_of_the_finalizer_is_reported_with_the_message_until_it_succeeds(
    shared: Shared, control_plane: Cluster
) -> None:
    jobs, sagemaker = shared.jobs, shared.sagemaker
    sagemaker.plan("stuck", seconds=3600)
    jobs.apply(training_job("stuck"))
    jobs.wait_status("stuck", "InProgress")
    refusal = {"validations": [{"expression": "object.metadata.name != 'stuck'", "message": "Change request missing."}]}
    with policy(control_plane, shared.namespace, "ValidatingAdmissionPolicy", refusal, "stuck"):
        jobs.delete("stuck")
        jobs.wait_status("stuck", "Stopped", 30)
        reported = jobs.wait_condition("stuck", "ACK.Recoverable", seconds=30)
        assert reported["reason"] == "FinalizerNotRemoved"
        assert "Change request missing." in reported["message"]
        assert "Correct the policy" in reported["message"]
        await_true("an Event", lambda: [e for e in jobs.events("stuck") if e["reason"] == "FinalizerNotRemoved"])
        version = jobs.get("stuck")["metadata"]["resourceVersion"]  # type: ignore[index]
        tries = count_refusals(shared)
        await_true("another try", lambda: count_refusals(shared) > tries + 1, 60)
        assert jobs.get("stuck")["metadata"]["resourceVersion"] == version, "no further write"  # type: ignore[index]
    jobs.wait_gone("stuck", 60)
    assert len(sagemaker.calls("StopTrainingJob", job="stuck")) == 1


@pytest.mark.parametrize("retained", [False, True], ids=["stopped", "retained while it runs"])
def test_a_policy_that_changes_a_fixed_field_at_every_update_blocks_no_object(
    shared: Shared, control_plane: Cluster, retained: bool
) -> None:
    jobs, name = shared.jobs, f"mutated-{str(retained).lower()}"
    shared.sagemaker.plan(name, seconds=3600)
    annotations = {"services.k8s.aws/deletion-policy": "retain" if retained else "delete"}
    jobs.apply(training_job(name, annotations=annotations))
    jobs.wait_status(name, "InProgress")
    assert held(shared, name)
    change = 'Object{spec: Object.spec{roleARN: "arn:aws:iam::123456789012:role/r" + object.metadata.resourceVersion}}'
    mutation = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": change}}],
    }
    with policy(control_plane, shared.namespace, "MutatingAdmissionPolicy", mutation, name):
        jobs.delete(name)
        jobs.wait_gone(name, 60)
    job = shared.sagemaker.job(name)
    assert job is not None
    assert (job["description"]["TrainingJobStatus"] == "InProgress") is retained
