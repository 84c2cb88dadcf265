"""Other accounts: roles from ACK's account map and role selectors, drift, and credentials that change."""

from __future__ import annotations

import contextlib
import json
import re
import time
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import yaml

from tests.crds.installation import REPOSITORY, is_established
from tests.e2e.objects import training_job
from tests.e2e.operator_process import await_true
from tests.kube.test_cluster_state import SELECTOR_CRD, SELECTOR_KIND
from trainingjob_operator.kube.cluster_state import REUSE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.plane import Cluster
    from tests.e2e.conftest import Launch
    from tests.e2e.objects import Jobs
    from tests.e2e.operator_process import OperatorProcess
    from tests.sagemaker.stand_in import StandIn

pytestmark = pytest.mark.e2e

OWN, OTHER, THIRD = "123456789012", "210987654321", "333344445555"
OWNER = "services.k8s.aws/owner-account-id"


def role_of(account: str, name: str = "sagemaker") -> str:
    return f"arn:aws:iam::{account}:role/{name}"


class RunOperator(Protocol):
    """Starts an operator with the namespace of the test as its system namespace."""

    def __call__(self, *flags: str, **environment: str) -> OperatorProcess: ...


@pytest.fixture
def run(
    crd: None, control_plane: Cluster, sagemaker: StandIn, namespace: str, tmp_path: Path, launch: Launch
) -> Iterator[RunOperator]:
    with contextlib.ExitStack() as stack:

        def start(*flags: str, **environment: str) -> OperatorProcess:
            system = {"ACK_SYSTEM_NAMESPACE": namespace, **environment}
            watched = f"--watch-namespace={namespace}"
            return stack.enter_context(launch(control_plane, sagemaker, tmp_path, watched, *flags, environment=system))

        yield start


def map_accounts(jobs: Jobs, roles: dict[str, str]) -> None:
    """Replace the account map."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ack-role-account-map"}, "data": roles}
    jobs.kubectl("apply", "-f", "-", input=json.dumps(body))


def own_namespace(jobs: Jobs, namespace: str, account: str) -> None:
    jobs.kubectl("annotate", "namespace", namespace, "--overwrite", f"{OWNER}={account}")


def wait_recoverable(jobs: Jobs, name: str, *texts: str, seconds: float = 20.0) -> None:
    """Wait until ACK.Recoverable contains all of these texts."""
    jobs.wait(
        name,
        f"ACK.Recoverable contains {texts}",
        lambda _: all(text in jobs.condition(name, "ACK.Recoverable").get("message", "") for text in texts),
        seconds,
    )


def read_sample(page: str, kind: str) -> dict[str, Any]:
    """The object of that kind in a page."""
    blocks = re.findall(r"```yaml\n(.*?)```", (REPOSITORY / page).read_text(), re.DOTALL)
    [sample] = [each for each in map(yaml.safe_load, blocks) if each["kind"] == kind]
    return dict(sample)


def accounts_of(sagemaker: StandIn, operation: str) -> set[str]:
    return {call["account"] for call in sagemaker.calls(operation)}


def test_an_object_of_another_account_waits_for_its_role_and_follows_every_edit_of_the_map(
    run: RunOperator, jobs: Jobs, sagemaker: StandIn, namespace: str
) -> None:
    own_namespace(jobs, namespace, OTHER)
    run()
    sagemaker.plan(seconds=3)
    jobs.apply(training_job("theirs"))
    wait_recoverable(
        jobs, "theirs", f"No role is known for account {OTHER}", "there is no ConfigMap ack-role-account-map"
    )
    assert jobs.condition("theirs", "Ready")["reason"] == "RoleUnavailable"
    for roles, texts in (
        ({}, ("No role is known",)),
        ({OTHER: "sagemaker"}, ("'sagemaker'", "not to a role")),
        ({OTHER: role_of(THIRD)}, (THIRD, "not to a role")),
        ({f"sagemaker.{OTHER}": "role"}, (f"sagemaker.{OTHER}", "not to a role")),
    ):
        map_accounts(jobs, roles)
        wait_recoverable(jobs, "theirs", *texts)
    assert sagemaker.calls(job="theirs") == []
    map_accounts(jobs, {OTHER: role_of(OTHER, "all"), f"sagemaker.{OTHER}": role_of(OTHER)})
    body = jobs.wait_status("theirs", "Completed")
    assert body["status"]["ackResourceMetadata"]["ownerAccountID"] == OTHER
    assert jobs.condition("theirs", "ACK.Recoverable") == {}
    assert [(job["TrainingJobName"], job["Account"]) for job in sagemaker.jobs()] == [("theirs", OTHER)]
    assert accounts_of(sagemaker, "CreateTrainingJob") == {OTHER}
    assert accounts_of(sagemaker, "ListTrainingJobs") == {OTHER}
    assert {call["job"] for call in sagemaker.calls("sts:AssumeRole")} == {role_of(OTHER)}


def test_a_denied_role_is_reported_and_the_job_is_created_once_it_is_permitted(
    run: RunOperator, jobs: Jobs, sagemaker: StandIn, namespace: str
) -> None:
    own_namespace(jobs, namespace, OTHER)
    map_accounts(jobs, {OTHER: role_of(OTHER)})
    sagemaker.identity(denied_roles=[role_of(OTHER)])
    run()
    sagemaker.plan(seconds=2)
    jobs.apply(training_job("denied"))
    wait_recoverable(jobs, "denied", "AccessDenied", role_of(OTHER))
    assert sagemaker.jobs() == []
    sagemaker.identity(denied_roles=[])
    jobs.wait_status("denied", "Completed", 40)
    assert len(sagemaker.effects("CreateTrainingJob")) == 1


def test_assume_role_sends_the_external_id(run: RunOperator, jobs: Jobs, sagemaker: StandIn, namespace: str) -> None:
    own_namespace(jobs, namespace, OTHER)
    map_accounts(jobs, {OTHER: role_of(OTHER)})
    sagemaker.identity(external_ids={role_of(OTHER): "secret-handshake"})
    run("--assume-role-external-id=secret-handshake")
    jobs.apply(training_job("handshake"))
    jobs.wait_status("handshake", "InProgress")


def test_the_own_account_in_the_annotation_is_reached_only_by_the_role_of_the_map(
    run: RunOperator, jobs: Jobs, sagemaker: StandIn, namespace: str
) -> None:
    own_namespace(jobs, namespace, OWN)
    run()
    jobs.apply(training_job("confined"))
    wait_recoverable(jobs, "confined", f"No role is known for account {OWN}")
    map_accounts(jobs, {OWN: role_of(OWN, "confined")})
    jobs.wait_status("confined", "InProgress")
    assert {call["job"] for call in sagemaker.calls("sts:AssumeRole")} == {role_of(OWN, "confined")}


def test_expired_sessions_are_renewed_silently(
    run: RunOperator, jobs: Jobs, sagemaker: StandIn, namespace: str
) -> None:
    own_namespace(jobs, namespace, OTHER)
    map_accounts(jobs, {OTHER: role_of(OTHER)})
    sagemaker.identity(session_seconds=2)
    operator = run()
    sagemaker.plan(seconds=6)
    jobs.apply(training_job("long"))
    jobs.wait_condition("long", "Complete")
    assert len(sagemaker.calls("sts:AssumeRole")) > 2
    assert [line for line in operator.lines() if "Expired" in line.get("msg", "")] == []


def test_keys_that_expire_early_are_replaced(run: RunOperator, jobs: Jobs, sagemaker: StandIn, namespace: str) -> None:
    own_namespace(jobs, namespace, OTHER)
    map_accounts(jobs, {OTHER: role_of(OTHER)})
    run()
    sagemaker.plan(outcome="Running", seconds=1)
    jobs.apply(training_job("revoked"))
    jobs.wait_status("revoked", "InProgress")
    sagemaker.expire_sessions()
    sagemaker.complete_job("revoked")
    jobs.wait_condition("revoked", "Complete", seconds=60)


def test_a_running_job_stays_in_its_account_after_the_namespace_names_another(
    run: RunOperator, jobs: Jobs, sagemaker: StandIn, namespace: str
) -> None:
    run()
    sagemaker.plan(outcome="Running", seconds=0.5)
    jobs.apply(training_job("stays"), training_job("kept"))
    for name in ("stays", "kept"):
        jobs.wait(name, "trains", lambda body: body["status"].get("secondaryStatus") == "Training")
    own_namespace(jobs, namespace, OTHER)
    reported = jobs.wait_condition("stays", "ACK.Advisory")
    assert reported["reason"] == "IdentityDiffers"
    assert OWN in reported["message"]
    assert OTHER in reported["message"]
    jobs.kubectl("annotate", "trainingjob", "kept", "services.k8s.aws/deletion-policy=retain")
    jobs.kubectl("delete", "trainingjob", "kept", "--timeout=10s")
    assert sagemaker.calls("StopTrainingJob") == []
    sagemaker.complete_job("stays")
    jobs.wait_condition("stays", "Complete")
    assert accounts_of(sagemaker, "DescribeTrainingJob") == {OWN}


def test_each_account_has_its_own_sweep_and_budgets(
    run: RunOperator, jobs: Jobs, sagemaker: StandIn, namespace: str
) -> None:
    run()
    sagemaker.plan(outcome="Running", seconds=0.5)
    map_accounts(jobs, {OTHER: role_of(OTHER)})
    jobs.apply(training_job("first"))
    jobs.wait_status("first", "InProgress")
    own_namespace(jobs, namespace, OTHER)
    jobs.apply(training_job("second"))
    jobs.wait_status("second", "InProgress")
    sagemaker.fault("throttle", "*", account=OTHER)
    await_true("the other account is throttled", lambda: len(sagemaker.errors()) > 0)
    sagemaker.complete_job("first")
    jobs.wait_condition("first", "Complete")
    assert jobs.status("second")["trainingJobStatus"] == "InProgress"
    sagemaker.clear_faults()
    sagemaker.complete_job("second")
    jobs.wait_condition("second", "Complete", seconds=40)
    assert accounts_of(sagemaker, "ListTrainingJobs") == {OWN, OTHER}


@pytest.mark.parametrize("kind", ["web identity", "Pod Identity"])
def test_a_rotated_token_file_is_read_again(
    run: RunOperator, jobs: Jobs, sagemaker: StandIn, tmp_path: Path, kind: str
) -> None:
    token, role = tmp_path / "token", role_of(OWN, "operator")
    token.write_text("first-token")
    sagemaker.identity(web_tokens=["first-token"], session_seconds=2)
    variables = {
        "web identity": {"AWS_ROLE_ARN": role, "AWS_WEB_IDENTITY_TOKEN_FILE": str(token)},
        "Pod Identity": {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{sagemaker.url}/credentials?role={role}",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
        },
    }
    run(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", **variables[kind])
    sagemaker.plan(outcome="Running", seconds=0.5)
    jobs.apply(training_job("by-token"))
    jobs.wait_status("by-token", "InProgress")
    token.write_text("second-token")
    sagemaker.identity(web_tokens=["second-token"])
    await_true("the second token is used", lambda: "second-token" in sagemaker.seen_web_tokens(), 30.0)
    sagemaker.complete_job("by-token")
    jobs.wait_condition("by-token", "Complete", seconds=40)
    assert jobs.condition("by-token", "ACK.Recoverable") == {}


def test_an_object_is_served_in_the_account_of_its_role_selector_through_a_crash(
    run: RunOperator, jobs: Jobs, control_plane: Cluster, sagemaker: StandIn, namespace: str
) -> None:
    """ACK's CRD and the selectors come while the operator runs."""

    def select(name: str, role: str) -> None:
        selector = read_sample("docs/accounts.md", "IAMRoleSelector")
        selector["metadata"]["name"] = name
        selector["spec"]["arn"] = role
        selector["spec"]["namespaceSelector"]["names"] = [namespace]
        control_plane.kubectl("apply", "-f", "-", input=json.dumps(selector))

    def gold(name: str) -> dict[str, Any]:
        body = training_job(name)
        body["metadata"]["labels"] = {"tier": "gold"}
        return body

    operator = run("--assume-role-external-id=secret-handshake")
    sagemaker.identity(external_ids={role_of(OTHER): "secret-handshake"})
    sagemaker.plan("selected", outcome="Running", seconds=0.5, stop_seconds=0.5)
    jobs.apply(training_job("not-selected"))
    jobs.wait_status("not-selected", "InProgress")
    control_plane.kubectl("apply", "-f", "-", input=SELECTOR_CRD)
    try:
        await_true("its CRD", lambda: is_established(control_plane, SELECTOR_KIND))
        select("gold", role_of(OTHER))
        time.sleep(REUSE_SECONDS)  # an older list may say that there is no such kind
        jobs.apply(gold("selected"))
        jobs.wait_status("selected", "InProgress")
        assert jobs.condition("selected", "ACK.IAMRoleSelected")["reason"] == "Selected"
        assert {call["job"] for call in sagemaker.calls("sts:AssumeRole")} == {role_of(OTHER)}
        operator.kill()
        select("lead", role_of(THIRD))
        operator.start()
        jobs.apply(gold("late"))
        for name in ("selected", "late"):
            wait_recoverable(jobs, name, "2 IAMRoleSelectors match this object: gold, lead")
        assert jobs.condition("late", "Ready")["reason"] == "RoleSelectorsConflict"
        control_plane.kubectl("delete", "iamroleselector", "gold")
        jobs.wait_status("late", "InProgress")
        wait_recoverable(jobs, "selected", f"No role is known for account {OTHER}")
        control_plane.kubectl("delete", "iamroleselector", "lead")
        select("gold", role_of(OTHER))
        jobs.wait_condition("selected", "ACK.IAMRoleSelected")
        jobs.delete("selected")
        jobs.wait_gone("selected")
    finally:
        control_plane.kubectl("delete", "crd", SELECTOR_KIND)
    made = {(job["TrainingJobName"], job["Account"]) for job in sagemaker.jobs()}
    assert made == {("not-selected", OWN), ("selected", OTHER), ("late", THIRD)}
    assert len(sagemaker.effects("CreateTrainingJob")) == 3
    assert [call["account"] for call in sagemaker.effects("StopTrainingJob")] == [OTHER]
