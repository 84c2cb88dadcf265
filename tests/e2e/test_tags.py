"""Tags of jobs: default tags at creation, and later edits of spec.tags, only for jobs that this operator created."""

from __future__ import annotations

import json
from importlib import metadata
from typing import TYPE_CHECKING

from tests.crds.installation import ACKS, install_crd
from tests.e2e.objects import training_job
from tests.e2e.operator_process import await_true

if TYPE_CHECKING:
    from tests.controlplane.plane import Cluster
    from tests.e2e.conftest import NewOperator, Shared
    from tests.e2e.objects import Body, Jobs
    from tests.sagemaker.stand_in import StandIn

PREFIX = "services.k8s.aws/"
VERSION = metadata.version("trainingjob-operator")


def written(**tags: str) -> list[Body]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def edit_tags(jobs: Jobs, name: str, **tags: str) -> None:
    patch = json.dumps({"spec": {"tags": written(**tags)}})
    jobs.kubectl("patch", "trainingjob", name, "--type=merge", "-p", patch)


def tags_of(sagemaker: StandIn, name: str) -> dict[str, str]:
    job = sagemaker.job(name)
    assert job is not None
    return dict(job["tags"])


def users_tags(sagemaker: StandIn, name: str) -> dict[str, str]:
    return {key: value for key, value in tags_of(sagemaker, name).items() if not key.startswith(PREFIX)}


def calls(sagemaker: StandIn, name: str) -> list[tuple[str, object]]:
    """AddTags and DeleteTags calls of the job with their parameters."""
    wanted = ("AddTags", "DeleteTags")
    return [
        (call["operation"], call["request"].get("TagKeys") or call["request"]["Tags"])
        for call in sagemaker.calls(job=name)
        if call["operation"] in wanted
    ]


def wait_decided(jobs: Jobs, name: str) -> Body:
    """Wait until the operator handled the newest generation."""
    return jobs.wait(
        name,
        "is decided",
        lambda body: body.get("status", {}).get("observedGeneration") == body["metadata"]["generation"],
    )


def test_a_new_job_has_the_users_tags_acks_defaults_and_the_ownership_tags(shared: Shared) -> None:
    shared.jobs.apply(training_job("born", tags=written(team="ml", empty="")))
    body = shared.jobs.wait_status("born", "InProgress")
    tags = tags_of(shared.sagemaker, "born")
    assert tags.pop(f"{PREFIX}cluster-id")
    assert tags == {
        "team": "ml",
        "empty": "",
        f"{PREFIX}controller-version": f"sagemaker-{VERSION}",
        f"{PREFIX}namespace": shared.namespace,
        f"{PREFIX}object-name": "born",
        f"{PREFIX}object-uid": body["metadata"]["uid"],
    }
    assert body["status"]["appliedTagKeys"] == ["empty", "team"]


def test_edits_of_tags_become_calls_for_changed_keys_of_the_spec_only(shared: Shared) -> None:
    shared.sagemaker.plan("edited", outcome="Running", seconds=0.5)
    shared.jobs.apply(training_job("edited", tags=written(team="ml", cost="1", old="x")))
    shared.jobs.wait("edited", "trains", lambda body: body["status"].get("secondaryStatus") == "Training")
    shared.sagemaker.tag("edited", {"billing": "console", "audit": "console"})
    edit_tags(shared.jobs, "edited", team="ml", cost="2", new="y", audit="spec")
    body = wait_decided(shared.jobs, "edited")
    assert users_tags(shared.sagemaker, "edited") == {
        "team": "ml", "cost": "2", "new": "y", "audit": "spec", "billing": "console",
    }  # fmt: skip
    assert calls(shared.sagemaker, "edited") == [
        ("AddTags", [{"Key": key, "Value": value} for key, value in (("cost", "2"), ("new", "y"), ("audit", "spec"))]),
        ("DeleteTags", ["old"]),
    ]
    assert body["status"]["appliedTagKeys"] == ["audit", "cost", "new", "team"]
    shared.operator.restart()
    edit_tags(shared.jobs, "edited", team="ml")
    wait_decided(shared.jobs, "edited")
    assert users_tags(shared.sagemaker, "edited") == {"team": "ml", "billing": "console"}
    shared.jobs.kubectl("patch", "trainingjob", "edited", "--type=merge", "-p", '{"spec":{"tags":null}}')
    body = wait_decided(shared.jobs, "edited")
    assert users_tags(shared.sagemaker, "edited") == {"billing": "console"}
    assert body["status"].get("appliedTagKeys", []) == []
    assert f"{PREFIX}cluster-id" in tags_of(shared.sagemaker, "edited")


def test_tags_of_a_finished_job_can_be_edited_too(shared: Shared) -> None:
    shared.sagemaker.plan("finished", seconds=1)
    shared.jobs.apply(training_job("finished", tags=written(team="ml")))
    shared.jobs.wait_condition("finished", "Complete")
    edit_tags(shared.jobs, "finished", team="speech")
    wait_decided(shared.jobs, "finished")
    assert users_tags(shared.sagemaker, "finished") == {"team": "speech"}


def test_jobs_of_other_clients_are_not_tagged(shared: Shared) -> None:
    shared.sagemaker.create_job("adopted")
    shared.jobs.apply(training_job("adopted", annotations={f"{PREFIX}adoption-policy": "adopt"}))
    shared.jobs.wait_condition("adopted", "ACK.Adopted")
    edit_tags(shared.jobs, "adopted", team="ml")
    wait_decided(shared.jobs, "adopted")
    assert tags_of(shared.sagemaker, "adopted") == {}
    assert calls(shared.sagemaker, "adopted") == []
    advisory = shared.jobs.condition("adopted", "ACK.Advisory")["message"]
    assert "spec.tags is not applied and differs in team" in advisory


def test_default_tags_follow_the_flag_with_acks_formats(
    new_operator: NewOperator, jobs: Jobs, sagemaker: StandIn, namespace: str
) -> None:
    formats = {
        "where": "%K8S_NAMESPACE%",
        "what": "%K8S_RESOURCE_KIND%/%K8S_RESOURCE_NAME%",
        "by": "%CONTROLLER_SERVICE%-%CONTROLLER_VERSION%",
        "from": "%MANAGED_BY%",
        "kro": "%KRO_VERSION%",
        "team": "default",
    }
    new_operator("--resource-tags=" + ",".join(f"{key}={value}" for key, value in formats.items())).start()
    body = training_job("formatted", tags=written(team="ml"))
    body["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "Helm"}
    jobs.apply(body)
    jobs.wait_status("formatted", "InProgress")
    assert users_tags(sagemaker, "formatted") == {
        "where": namespace,
        "what": "TrainingJob/formatted",
        "by": f"sagemaker-{VERSION}",
        "from": "Helm",
        "team": "ml",
    }


def test_under_acks_crd_tags_are_added_and_never_removed(
    new_operator: NewOperator, jobs: Jobs, control_plane: Cluster, sagemaker: StandIn
) -> None:
    install_crd(control_plane, ACKS)
    try:
        new_operator().start()
        sagemaker.plan(outcome="Running", seconds=0.5)
        jobs.apply(training_job("pruned", tags=written(team="ml", old="x")))
        jobs.wait("pruned", "trains", lambda body: body.get("status", {}).get("secondaryStatus") == "Training")
        edit_tags(jobs, "pruned", team="speech", new="y")
        await_true("the tags are added", lambda: users_tags(sagemaker, "pruned").get("new") == "y")
        assert users_tags(sagemaker, "pruned") == {"team": "speech", "old": "x", "new": "y"}
        sagemaker.complete_job("pruned")
        jobs.wait_condition("pruned", "Complete")
        assert [operation for operation, _ in calls(sagemaker, "pruned")] == ["AddTags"]
    finally:
        install_crd(control_plane)
