"""Every rule of the chart is needed: the operator's report and its behaviour without each of them, one at a time."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.deploy.test_manifests import NAMESPACE, ROLE, Installation, build, named, the
from tests.e2e.objects import training_job
from tests.e2e.operator_process import await_true

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.plane import Cluster
    from tests.e2e.conftest import Launch
    from tests.e2e.objects import Jobs
    from tests.e2e.operator_process import OperatorProcess
    from tests.sagemaker.stand_in import StandIn

pytestmark = pytest.mark.e2e

Rule = tuple[str, tuple[str, ...]]

# (resource, verbs) of each rule: readiness of the operator without it, and its report.
EFFECTS: dict[Rule, tuple[bool, str]] = {
    ("trainingjobs", ("get", "list", "watch", "patch")): (
        False,
        "is not allowed to list/watch/get/patch trainingjobs.sagemaker.services.k8s.aws",
    ),
    ("trainingjobs/status", ("patch",)): (
        False,
        "is not allowed to patch trainingjobs/status.sagemaker.services.k8s.aws",
    ),
    ("namespaces", ("get", "list", "watch")): (False, "get namespaces"),
    ("events", ("create",)): (True, "is not allowed to create events.events.k8s.io"),
    ("iamroleselectors", ("list", "watch")): (True, "IAMRoleSelectors cannot be watched and are polled"),
    ("leases", ("create",)): (False, "is not allowed to create leases.coordination.k8s.io"),
    ("leases", ("get", "update")): (False, "is not allowed to get/update leases.coordination.k8s.io"),
    ("configmaps", ("get", "list", "watch")): (True, "is not allowed to get configmaps ack-role-account-map"),
}


def key(rule: dict[str, Any]) -> Rule:
    return ",".join(rule["resources"]), tuple(rule["verbs"])


def rules_of_the_manifests() -> list[Rule]:
    objects = build("deploy")
    roles = named("ClusterRole", ROLE, objects), the("Role", objects)
    return [key(rule) for role in roles for rule in role["rules"]]


def test_every_rule_has_a_case_here() -> None:
    assert sorted(rules_of_the_manifests()) == sorted(EFFECTS)


@pytest.fixture(params=EFFECTS, ids=lambda rule: f"{rule[0]} {'/'.join(rule[1])}")
def without(
    request: pytest.FixtureRequest,
    control_plane: Cluster,
    namespace: str,
    sagemaker: StandIn,
    tmp_path: Path,
    launch: Launch,
) -> Iterator[tuple[Rule, OperatorProcess]]:
    """An operator with all rights of an installation except those of one rule."""
    installation = Installation("deploy")
    objects = copy.deepcopy(installation.objects)
    for thing in objects:
        if "rules" in thing:
            thing["rules"] = [rule for rule in thing["rules"] if key(rule) != request.param]
    control_plane.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(objects))
    system = f"{NAMESPACE}{installation.suffix}"
    kubeconfig = control_plane.kubeconfig_of_service_account(system, system, tmp_path)
    flags = (f"--watch-namespace={namespace}", "--enable-leader-election", f"--system-namespace={system}")
    operator = launch(control_plane, sagemaker, tmp_path, *flags, kubeconfig=kubeconfig)
    operator.start(wait=False)
    yield request.param, operator
    operator.stop()
    control_plane.kubectl("delete", "--wait=false", "-f", "-", input=installation.yaml)


def test_the_operator_names_the_right_of_a_missing_rule(
    crd: None, jobs: Jobs, sagemaker: StandIn, without: tuple[Rule, OperatorProcess]
) -> None:
    rule, operator = without
    becomes_ready, sentence = EFFECTS[rule]
    sagemaker.plan(seconds=0.5)
    jobs.apply(training_job("one"))
    reported = f"{sentence} is reported"
    await_true(reported, lambda: sentence in operator.ask("readyz")[1] or sentence in operator.log.read_text())
    if becomes_ready:
        jobs.wait_status("one", "Completed")
        assert operator.ask("readyz")[0] == 200
    else:
        assert operator.ask("readyz")[0] == 503
        assert operator.ask("healthz")[0] == 200
        assert sagemaker.calls("CreateTrainingJob") == []
