"""Takeover from ACK: its objects in every phase, under its CRD and under this operator's, and the way back."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.crds.installation import ACKS, OURS, install_crd
from tests.e2e import recorded
from tests.e2e.objects import Jobs
from tests.e2e.operator_process import await_true
from tests.e2e.recorded import PHASES, read_object
from tests.sagemaker.stand_in import StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.controlplane.plane import Cluster
    from tests.e2e.conftest import Launch
    from tests.e2e.objects import Body
    from tests.e2e.operator_process import OperatorProcess

pytestmark = [pytest.mark.e2e, pytest.mark.controlplane]

FINALIZER = "finalizers.sagemaker.services.k8s.aws/TrainingJob"
SWEEP = "ListTrainingJobs"
DESCRIBE, LIST_TAGS, CREATE = "DescribeTrainingJob", "ListTags", "CreateTrainingJob"


@dataclass(frozen=True)
class Expected:
    """Expected result for one object."""

    calls: tuple[str, ...]
    """All calls about its job except the sweep's, in order."""
    conditions: dict[str, str]
    """All conditions: `status reason` by type."""
    holds_finalizer: bool = False
    messages: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Texts in the messages of conditions."""


def _running(**more: str) -> dict[str, str]:
    return {"ACK.ResourceSynced": "False Training", "Ready": "False Training", **more}


def _ended(reason: str) -> dict[str, str]:
    return {
        "ACK.Terminal": f"True {reason}",
        "ACK.ResourceSynced": f"True {reason}",
        "Ready": f"False {reason}",
        "Stalled": f"True {reason}",
        "Failed": f"True {reason}",
        "Finished": f"True {reason}",
        "Settled": f"True {reason}",
    }


def _refused(reason: str) -> dict[str, str]:
    return {
        "ACK.Terminal": f"True {reason}",
        "ACK.ResourceSynced": f"False {reason}",
        "Ready": f"False {reason}",
        "Stalled": f"True {reason}",
        "Settled": f"True {reason}",
    }


_COMPLETED = {
    "ACK.ResourceSynced": "True Completed",
    "Ready": "True Completed",
    "Complete": "True Completed",
    "Finished": "True Completed",
    "Settled": "True Completed",
}

EXPECTED = {
    "adopted": Expected((DESCRIBE, LIST_TAGS), _running(**{"ACK.Adopted": "True Adopted"}), holds_finalizer=True),
    "completed": Expected((), _COMPLETED),
    "failed": Expected((), _ended("JobFailed"), messages={"Ready": ("AlgorithmError: exit code 1",)}),
    "illegal-edit": Expected(
        (DESCRIBE, LIST_TAGS),
        _running(**{"ACK.Advisory": "True EditNotPossible"}),
        holds_finalizer=True,
        messages={"ACK.Advisory": ("spec.hyperParameters",)},
    ),
    "max-runtime-exceeded": Expected((), _ended("MaxRuntimeExceeded")),
    "name-clash": Expected(
        (DESCRIBE, LIST_TAGS),
        _refused("NameClash"),
        messages={"ACK.Terminal": ("training-job/name-clash", "another spec.trainingJobName", "adopt")},
    ),
    "other-region": Expected((DESCRIBE, LIST_TAGS), _running(), holds_finalizer=True),
    "read-only": Expected((DESCRIBE,), _running(**{"ACK.Observed": "True ReadOnly"})),
    "refused": Expected((), _refused("InvalidSpec"), messages={"ACK.Terminal": ("spec.roleARN",)}),
    "retain": Expected((DESCRIBE, LIST_TAGS), _running(), holds_finalizer=True),
    "rules-running": Expected((DESCRIBE, LIST_TAGS), {**_COMPLETED, "ACK.ResourceSynced": "False RulesRunning"}),
    "running": Expected((DESCRIBE, LIST_TAGS), _running(), holds_finalizer=True),
    "stopped-in-console": Expected((), _ended("Stopped")),
    "warm-pool": Expected((DESCRIBE, LIST_TAGS), _COMPLETED),
    "deleting": Expected(
        (DESCRIBE,),
        {"ACK.ResourceSynced": "False Deleting", "Ready": "False Deleting"},
        holds_finalizer=True,
    ),
}

TAKEN_OVER = [name for name, expected in EXPECTED.items() if LIST_TAGS in expected.calls and name != "name-clash"]

FOLLOWED = ("rules-running", "warm-pool")
"""Objects of ended jobs with occasional Describe calls, possibly at this moment."""

NEW_FIELDS = ("observedGeneration", "phase", "logs", "consoleURL", "trainingJobName")
"""Fields of a status that this operator's CRD keeps and ACK's does not."""


@dataclass(frozen=True)
class Takeover:
    """A cluster that ran ACK, some seconds after the start of this operator in its place."""

    jobs: Jobs
    sagemaker: StandIn
    operator: OperatorProcess
    ours: bool
    """This operator's CRD was applied before its start."""
    uids: dict[str, str]
    settled: dict[str, Body]
    calls: dict[str, list[str]]
    later: dict[str, Body]
    """The objects some sweeps later."""
    calls_later: dict[str, list[str]]


def read_all(jobs: Jobs) -> dict[str, Body]:
    items = json.loads(jobs.kubectl("get", "trainingjobs", "-o", "json"))["items"]
    return {item["metadata"]["name"]: item for item in items}


def show(body: Body) -> dict[str, str]:
    conditions = body.get("status", {}).get("conditions", [])
    return {condition["type"]: f"{condition['status']} {condition.get('reason', '')}" for condition in conditions}


def calls_about(sagemaker: StandIn, name: str, since: int) -> list[str]:
    return [call["operation"] for call in sagemaker.calls(job=name, since=since)]


@pytest.fixture(scope="module", params=[ACKS, OURS], ids=["ACK's CRD", "our CRD"])
def world(
    request: pytest.FixtureRequest, control_plane: Cluster, tmp_path_factory: Any, launch: Launch
) -> Iterator[Takeover]:
    namespace = f"test-{secrets.token_hex(4)}"
    kubectl = partial(control_plane.kubectl, "--namespace", namespace)
    control_plane.kubectl("create", "namespace", namespace)
    folder: Path = tmp_path_factory.mktemp("takeover")
    with StandIn(recorded.STAND_IN) as sagemaker:
        install_crd(control_plane, ACKS)
        for name in PHASES:
            recorded.make_job(name, sagemaker, namespace)
        recorded.put_objects({name: name for name in PHASES}, sagemaker, kubectl)
        install_crd(control_plane, request.param)
        jobs, since = Jobs(control_plane, namespace), sagemaker.total()
        uids = {name: body["metadata"]["uid"] for name, body in read_all(jobs).items()}
        with launch(
            control_plane, sagemaker, folder, f"--watch-namespace={namespace}", environment=recorded.ENVIRONMENT
        ) as operator:
            with contextlib.suppress(TimeoutError):  # the tests report the others
                await_true("all objects are taken over", lambda: _is_settled(jobs, sagemaker, since), 30.0)
            settled = read_all(jobs)
            calls = {name: calls_about(sagemaker, name, since) for name in PHASES}
            sweeps = sagemaker.counts()[SWEEP]
            await_true("some further sweeps", lambda: sagemaker.counts()[SWEEP] >= sweeps + 8)
            yield Takeover(
                jobs,
                sagemaker,
                operator,
                ours=request.param is OURS,
                uids=uids,
                settled=settled,
                calls=calls,
                later=read_all(jobs),
                calls_later={name: calls_about(sagemaker, name, since) for name in PHASES},
            )
        assert sagemaker.drift() == []
    install_crd(control_plane, OURS)
    control_plane.kubectl("delete", "namespace", namespace, "--wait=false")


def _is_settled(jobs: Jobs, sagemaker: StandIn, since: int) -> bool:
    """True if every object is as expected, and stays so for a moment."""
    found = read_all(jobs)
    if any(
        show(found[name]) != expected.conditions or calls_about(sagemaker, name, since) != list(expected.calls)
        for name, expected in EXPECTED.items()
    ):
        return False
    time.sleep(1)
    return read_all(jobs) == found


@pytest.mark.parametrize("name", EXPECTED)
def test_each_object_gets_its_status_with_exactly_these_calls(world: Takeover, name: str) -> None:
    expected, body = EXPECTED[name], world.settled[name]
    assert show(body) == expected.conditions
    assert world.calls[name] == list(expected.calls)
    assert (FINALIZER in body["metadata"].get("finalizers", [])) == expected.holds_finalizer
    for kind, texts in expected.messages.items():
        message = next(one["message"] for one in body["status"]["conditions"] if one["type"] == kind)
        assert all(text in message for text in texts), message
    assert body["metadata"]["uid"] == world.uids[name]
    assert body["spec"] == read_object(name)["spec"]
    kept = set(body["status"])
    if world.ours and expected.calls[:1] == (DESCRIBE,) and name != "name-clash":
        assert kept.issuperset(NEW_FIELDS)
        assert body["status"]["observedGeneration"] == body["metadata"]["generation"]
    if not world.ours:
        assert kept.isdisjoint(NEW_FIELDS)


@pytest.mark.parametrize("name", [name for name, phase in PHASES.items() if phase and name != "name-clash"])
def test_the_data_that_ack_recorded_of_the_job_stays(world: Takeover, name: str) -> None:
    before, after = read_object(name)["status"], world.settled[name]["status"]
    if before["trainingJobStatus"] in {"InProgress", "Stopping"}:  # ACK had an empty one, the service has none
        assert before.pop("modelArtifacts") == {"s3ModelArtifacts": ""}
    for kept in ("ackResourceMetadata", "trainingJobStatus", "secondaryStatus", "modelArtifacts", "profilingStatus"):
        assert after.get(kept) == before.get(kept), kept
    assert after.get("failureReason") == before.get("failureReason")


@pytest.mark.parametrize("name", ["name-clash", "refused"])
def test_data_of_another_or_a_missing_job_is_removed_from_the_status(world: Takeover, name: str) -> None:
    status = world.settled[name]["status"]
    assert "ackResourceMetadata" not in status
    assert "trainingJobStatus" not in status


def test_no_job_is_created_stopped_updated_or_tagged(world: Takeover) -> None:
    changed = [call for call in world.sagemaker.effects() if call["number"] >= 0 and call["operation"] != CREATE]
    assert changed == []
    assert {job["TrainingJobName"] for job in world.sagemaker.jobs()} == {
        name for name, phase in PHASES.items() if phase is not None
    }
    for name in recorded.NOT_BY_ACK:
        job = world.sagemaker.job(name)
        assert job is not None
        assert job["tags"] == {}


def test_no_object_is_written_repeatedly(world: Takeover) -> None:
    versions = {name: body["metadata"]["resourceVersion"] for name, body in world.settled.items()}
    assert {name: body["metadata"]["resourceVersion"] for name, body in world.later.items()} == versions
    for name, made in world.calls_later.items():
        describes = [DESCRIBE] if name in FOLLOWED else []
        assert made[len(world.calls[name]) :] in ([], describes), name


def test_the_log_counts_the_jobs_taken_over(world: Takeover) -> None:
    began = "Training jobs taken over: "

    def counts() -> list[int]:
        lines = (line["msg"] for line in world.operator.lines())
        return [int(line.removeprefix(began)) for line in lines if line.startswith(began)]

    await_true("all are counted", lambda: sum(counts()) >= len(TAKEN_OVER))
    assert sum(counts()) == len(TAKEN_OVER)


def test_other_regions_have_their_own_sweep(world: Takeover) -> None:
    regions = {call["region"] for call in world.sagemaker.calls(SWEEP)}
    assert regions == {recorded.REGION, "eu-west-1"}


def test_ack_would_make_no_harmful_call_after_a_return(world: Takeover) -> None:
    # ACK creates the refused job again, as it did before the takeover.
    for name, body in world.later.items():
        assert ask_ack(body, world.sagemaker.job(name) is not None) == ({CREATE} if name == "refused" else set()), name


def test_acks_crd_can_be_restored_and_keeps_the_fields_that_ack_reads(world: Takeover, control_plane: Cluster) -> None:
    install_crd(control_plane, ACKS)
    try:
        for name, body in read_all(world.jobs).items():
            before = world.later[name]
            assert body["spec"] == before["spec"]
            assert body["metadata"].get("finalizers") == before["metadata"].get("finalizers")
            assert body["status"].get("ackResourceMetadata") == before["status"].get("ackResourceMetadata")
            assert set(body["status"]).isdisjoint(NEW_FIELDS)
    finally:
        install_crd(control_plane, OURS if world.ours else ACKS)


# The tests from here on change the world; each changes its own objects.


def test_another_reconcile_of_a_name_clash_creates_no_job(world: Takeover) -> None:
    before = calls_about(world.sagemaker, "name-clash", 0)
    world.jobs.kubectl("annotate", "trainingjob", "name-clash", "example.com/touched=1")
    time.sleep(1)
    assert calls_about(world.sagemaker, "name-clash", 0) == before
    assert show(read_all(world.jobs)["name-clash"]) == EXPECTED["name-clash"].conditions


def test_a_running_job_is_followed_to_its_end(world: Takeover) -> None:
    world.sagemaker.complete_job("running")
    body = world.jobs.wait_status("running", "Completed")
    world.jobs.wait("running", "has no finalizer", lambda body: "finalizers" not in body["metadata"])
    assert show(body)["Ready"] == "True Completed"
    assert calls_about(world.sagemaker, "running", 0).count(DESCRIBE) == 2


def test_an_edit_of_a_job_created_by_ack_is_sent_without_its_tags(world: Takeover) -> None:
    for name, spec in (
        ("warm-pool", {"resourceConfig": {"keepAlivePeriodInSeconds": 900}}),
        ("retain", {"profilerConfig": {"s3OutputPath": "s3://bucket/profile"}, "tags": [{"key": "new", "value": "x"}]}),
    ):
        patch = json.dumps({"spec": spec})
        world.jobs.kubectl("patch", "trainingjob", name, "--type=merge", "-p", patch)
        await_true(f"{name} is updated", lambda name=name: world.sagemaker.calls("UpdateTrainingJob", job=name))  # type: ignore[misc]
    time.sleep(1)
    kept = (
        "The job keeps its tags, because this operator did not create it: spec.tags is not applied and differs in new."
    )
    for name, advisory in (("warm-pool", None), ("retain", kept)):
        made = calls_about(world.sagemaker, name, 0)
        assert made.count("UpdateTrainingJob") == 1
        assert not {"AddTags", "DeleteTags"} & set(made)
        world.jobs.wait(
            name,
            f"has the advisory {advisory}",
            lambda _, name=name, advisory=advisory: (
                world.jobs.condition(name, "ACK.Advisory").get("message") == advisory
            ),  # type: ignore[misc]
        )


def test_a_deletion_of_a_stopping_job_finishes_without_another_stop(world: Takeover) -> None:
    world.sagemaker.enter("deleting", "Stopped")
    world.jobs.wait_gone("deleting")
    assert world.sagemaker.calls("StopTrainingJob", job="deleting") == []


@pytest.mark.parametrize("name", ["adopted", "other-region"])
def test_deleting_an_object_stops_its_running_job_once(world: Takeover, name: str) -> None:
    world.sagemaker.plan(name, stop_seconds=0.5)
    world.jobs.delete(name)
    world.jobs.wait_gone(name)
    assert len(world.sagemaker.calls("StopTrainingJob", job=name)) == 1


@pytest.mark.parametrize("name", ["retain", "read-only", "name-clash", "completed", "refused", "warm-pool"])
def test_deleting_an_object_without_a_running_job_is_quick_and_makes_no_call(world: Takeover, name: str) -> None:
    since = world.sagemaker.total()
    world.jobs.delete(name)
    world.jobs.wait_gone(name)
    time.sleep(0.5)
    describes = [DESCRIBE] if name in FOLLOWED else []
    assert calls_about(world.sagemaker, name, since) in ([], describes)


def test_a_restart_repeats_no_call_and_no_write(world: Takeover) -> None:
    left = read_all(world.jobs)
    since = world.sagemaker.total()
    world.operator.restart()
    sweeps = world.sagemaker.counts()[SWEEP]
    await_true("some further sweeps", lambda: world.sagemaker.counts()[SWEEP] >= sweeps + 4)
    reread = {name for name in left if DESCRIBE in calls_about(world.sagemaker, name, since)}
    pruned = () if world.ours else ("name-clash",)  # ACK's CRD prunes the ARN of the other job
    assert reread <= {"illegal-edit", "rules-running", *pruned}
    assert world.sagemaker.calls(effect=True, since=since) == []
    assert {name: show(body) for name, body in read_all(world.jobs).items()} == {
        name: show(body) for name, body in left.items()
    }


def ask_ack(body: Body, job_exists: bool) -> set[str]:
    """The changing calls that ACK's controller 1.9.1 would make for an object."""
    metadata, annotations = body["metadata"], body["metadata"].get("annotations", {})
    managed = FINALIZER in metadata.get("finalizers", [])
    status = body.get("status", {}).get("trainingJobStatus")
    if "deletionTimestamp" in metadata:
        retained = annotations.get("services.k8s.aws/deletion-policy", "delete") != "delete"
        ended = not job_exists or status in ("Completed", "Failed", "Stopped", "Stopping")
        return set() if not managed or retained or ended else {"StopTrainingJob"}
    if job_exists:
        return set()  # managed: an update at most, if the spec was edited; else `Resource already exists`
    followed = ("read-only", "adopted")
    if any(annotations.get(f"services.k8s.aws/{name}", "").lower() == "true" for name in followed):
        return set()
    return {CREATE}


def test_a_deletion_that_ack_did_not_handle_stops_the_job_once(
    crd: None, control_plane: Cluster, namespace: str, tmp_path: Path, launch: Launch
) -> None:
    kubectl = partial(control_plane.kubectl, "--namespace", namespace)
    with StandIn(recorded.STAND_IN) as sagemaker:
        sagemaker.plan("running", stop_seconds=0.5)
        recorded.make_job("running", sagemaker, namespace)
        recorded.put_objects({"running": "running"}, sagemaker, kubectl)
        kubectl("delete", "trainingjob", "running", "--wait=false")
        watched = f"--watch-namespace={namespace}"
        with launch(control_plane, sagemaker, tmp_path, watched, environment=recorded.ENVIRONMENT):
            Jobs(control_plane, namespace).wait_gone("running")
        assert [call["operation"] for call in sagemaker.effects()] == ["StopTrainingJob"]
        job = sagemaker.job("running")
        assert job is not None
        assert job["description"]["TrainingJobStatus"] == "Stopped"


def test_running_jobs_are_taken_over_before_their_describe(
    crd: None, control_plane: Cluster, namespace: str, tmp_path: Path, launch: Launch
) -> None:
    names = [f"running-{number}" for number in range(30)]
    kubectl = partial(control_plane.kubectl, "--namespace", namespace)
    with StandIn(recorded.STAND_IN) as sagemaker:
        for name in names:
            recorded.make_job("running", sagemaker, namespace, name)
        recorded.put_objects(dict.fromkeys(names, "running"), sagemaker, kubectl)
        flags = (f"--watch-namespace={namespace}", "--describe-tps=0.1")
        with launch(control_plane, sagemaker, tmp_path, *flags, environment=recorded.ENVIRONMENT):
            jobs = Jobs(control_plane, namespace)
            await_true(
                "all statuses are true",
                lambda: all(show(body) == _running() for body in read_all(jobs).values()),
                20.0,
            )
            assert len(sagemaker.calls(DESCRIBE)) < len(names) / 2
            found = [body["status"].get("observedGeneration") for body in read_all(jobs).values()]
            assert sorted(set(found)) == [0, 1]  # not yet compared, and compared
