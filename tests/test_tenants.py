"""Attacks of tenants on jobs of others, in virtual time: forged metadata, freed names, false endpoints, bad timing.

Only the owner of a job may cause its Stop, Update or tag calls.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.operator import CONTEXT
from tests.fakes.service import FakeService, failed
from tests.fakes.simulation import KEY, Simulation, simulate, simulated
from tests.fakes.virtual_time import in_virtual_time
from tests.logic.builders import (
    ACCOUNT,
    CLUSTER,
    JOB,
    NAMESPACE,
    OWNER,
    REGION,
    SPEC,
    WANTED,
    body,
    claimed,
    recorded,
)
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.naming import CREATE_PENDING, FINALIZER, JOB_ARN, Identity, Owner, build_arn
from trainingjob_operator.logic.objects.annotations import (
    ADOPT_FROM_CLUSTER,
    ADOPTED,
    ADOPTION_POLICY,
    DELETION_POLICY,
    ENDPOINT_URL,
    READ_ONLY,
    RECONCILE_REQUESTS,
)
from trainingjob_operator.logic.objects.annotations import REGION as REGION_KEY
from trainingjob_operator.logic.objects.fields import to_request

pytestmark = pytest.mark.no_cover
LONG: dict[str, Any] = {"seconds": 100_000.0}
THIEF = ("team-b", "thief")
CHANGES = ("StopTrainingJob", "UpdateTrainingJob", "AddTags", "DeleteTags")
ACKS_TAGS = {"services.k8s.aws/controller-version": "sagemaker-v1.9.1", "services.k8s.aws/namespace": THIEF[0]}
ANY_ENDPOINT = replace(CONTEXT, defaults=replace(CONTEXT.defaults, allowed_endpoints=("*",)))
ADOPT, READ = {ADOPTION_POLICY: "adopt"}, {READ_ONLY: "true"}

MADE_BY: dict[str, dict[str, str]] = {
    "a live object": OWNER.tags(),
    "another cluster": Owner("other", THIEF[0], THIEF[1], "u").tags(),
    "ACK, for a namespace of that name": ACKS_TAGS,
    "nobody known": {},
}


def neighbours(name: str = THIEF[1], *, uid: str = "thief", **members: Any) -> dict[str, Any]:
    """Object of another namespace with the same job name."""
    made = body(name=name, uid=uid, **members)
    made["metadata"]["namespace"] = THIEF[0]
    return made


def changes(simulation: Simulation) -> list[str]:
    return [operation for operation, _ in simulation.service.calls if operation in CHANGES]


def forge(simulation: Simulation, **annotations: str | None) -> None:
    """Patch of the attacker's metadata: adds the finalizer, sets or removes annotations."""
    simulation.api.objects[THIEF]["metadata"]["finalizers"] = [FINALIZER]
    simulation.api.annotate(THIEF, **annotations)


async def make_victim(simulation: Simulation, made_by: str) -> None:
    """Running job of this origin."""
    if made_by == "a live object":
        simulation.api.apply(body())
        await simulation.wait(30.0)
    else:
        simulation.service.put(WANTED, to_request(SPEC), MADE_BY[made_by])


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("keeps", [None, frozenset({"ackResourceMetadata", "conditions", "trainingJobStatus"})])
@pytest.mark.parametrize("made_by", MADE_BY)
@in_virtual_time
async def test_a_finalizer_added_to_an_object_that_read_the_job_stops_no_job(
    made_by: str, keeps: frozenset[str] | None, *, restarts: bool
) -> None:
    async with simulate(keeps=keeps, **LONG) as simulation:
        await make_victim(simulation, made_by)
        simulation.api.apply(neighbours(annotations=READ))
        await simulation.wait(20.0)
        forge(simulation, **{READ_ONLY: None})
        if restarts:
            await simulation.start()
        await simulation.wait(20.0)
        simulation.api.delete(THIEF)
        await simulation.wait(300.0)
        assert THIEF not in simulation.api.objects
        assert changes(simulation) == []


@pytest.mark.parametrize("made_by", MADE_BY)
@simulated(**LONG)
async def test_a_clash_recorded_by_ack_and_an_added_finalizer_stop_no_job(simulation: Simulation, made_by: str) -> None:
    await make_victim(simulation, made_by)
    clash = {"type": "ACK.Terminal", "status": "True", "message": "Resource already exists"}
    simulation.api.apply(neighbours(held=True, status=recorded(trainingJobStatus="InProgress", conditions=[clash])))
    await simulation.wait(20.0)
    assert simulation.condition("ACK.Terminal", THIEF)[1] == "NameClash"
    simulation.api.delete(THIEF)
    await simulation.wait(300.0)
    assert THIEF not in simulation.api.objects
    assert changes(simulation) == []


@pytest.mark.parametrize("pending", [None, WANTED])
@pytest.mark.parametrize("made_by", MADE_BY)
@simulated(**LONG)
async def test_creation_and_immediate_deletion_of_an_object_stop_no_job(
    simulation: Simulation, made_by: str, pending: Identity | None
) -> None:
    await make_victim(simulation, made_by)
    simulation.api.apply(neighbours(held=True, pending=pending))
    simulation.api.delete(THIEF)
    await simulation.wait(300.0)
    assert THIEF not in simulation.api.objects
    assert changes(simulation) == []


@pytest.mark.parametrize("by_failover", [False, True])
@pytest.mark.parametrize("owners", ["Created", "Adopted"])
@simulated(**LONG)
async def test_an_adopting_object_listed_before_the_owner_does_not_own_the_job(
    simulation: Simulation, owners: str, *, by_failover: bool
) -> None:
    simulation.service.put(WANTED, to_request(SPEC), {})
    owner = body(status=recorded(trainingJobStatus="InProgress", ownership=claimed(claim=owners)), held=True)
    if by_failover:
        simulation.operator.leadership.lead(leads=False)
    else:
        await simulation.end()
    simulation.api.apply(neighbours(annotations=ADOPT))
    for number in range(50):
        simulation.api.apply(neighbours(f"crowd-{number}", uid=f"crowd-{number}", annotations=ADOPT))
    simulation.api.apply(owner)
    if by_failover:
        simulation.operator.leadership.lead(leads=True)
    else:
        await simulation.start(workers=1)
    await simulation.wait(60.0)
    assert simulation.condition("ACK.Terminal", THIEF)[1] == "NameClash"
    simulation.api.delete(THIEF)
    await simulation.wait(300.0)
    assert changes(simulation) == []
    simulation.api.delete(KEY)
    await simulation.wait(300.0)
    assert changes(simulation) == ["StopTrainingJob"]


@pytest.mark.parametrize("annotations", [ADOPT, {ADOPTION_POLICY: "adopt-or-create"}, {ADOPTED: "true"}])
@simulated(**LONG)
async def test_a_job_of_an_object_outside_the_watch_is_not_adopted(
    simulation: Simulation, annotations: dict[str, str]
) -> None:
    simulation.service.put(WANTED, to_request(SPEC), OWNER.tags())
    simulation.api.objects[KEY] = body()  # outside the watch
    simulation.api.apply(neighbours(annotations=annotations))
    await simulation.wait(30.0)
    reason, message = simulation.condition("ACK.Terminal", THIEF)[1:]
    assert reason == "NameClash"
    assert f"{NAMESPACE}/{KEY[1]}" in message
    del simulation.api.objects[KEY]
    await simulation.wait(120.0)
    assert simulation.api.objects[THIEF]["status"]["ownership"]["claim"] == "Adopted"


@pytest.mark.parametrize("shown", ["arn:aws", "arn:aws-cn"])
@pytest.mark.parametrize("annotations", [ADOPT, {ADOPTION_POLICY: "adopt-or-create"}, {ADOPTED: "true"}])
@simulated(**LONG)
async def test_a_status_with_the_arn_of_another_job_does_not_delay_an_adoption(
    simulation: Simulation, annotations: dict[str, str], shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    simulation.service.put(WANTED, to_request(SPEC), {})
    status = recorded(trainingJobStatus="InProgress")
    arn = f"{shown}:sagemaker:cn-north-1:{ACCOUNT}:training-job/another"
    status["ackResourceMetadata"] = {**status["ackResourceMetadata"], "arn": arn}
    simulation.api.apply(neighbours(annotations=annotations, status=status))
    await simulation.wait(30.0)
    shows = simulation.api.objects[THIEF]["status"]
    assert shows["ownership"]["claim"] == "Adopted"
    assert shows["ackResourceMetadata"]["arn"] == build_arn("aws", WANTED)
    assert [record.message for record in caplog.records if "Unexpected error" in record.message] == []


@simulated(**LONG)
async def test_a_job_of_another_cluster_is_adopted_only_by_an_annotation_with_that_cluster(
    simulation: Simulation,
) -> None:
    simulation.service.put(WANTED, to_request(SPEC), MADE_BY["another cluster"])
    simulation.api.apply(neighbours(annotations=ADOPT))
    await simulation.wait(30.0)
    reason, message = simulation.condition("ACK.Terminal", THIEF)[1:]
    assert reason == "NameClash"
    assert f"{ADOPT_FROM_CLUSTER}: other" in message
    assert "--cluster-id=other" in message
    simulation.api.annotate(THIEF, **{ADOPT_FROM_CLUSTER: CLUSTER})
    await simulation.wait(30.0)
    assert simulation.condition("ACK.Terminal", THIEF)[1] == "NameClash"
    simulation.api.annotate(THIEF, **{ADOPT_FROM_CLUSTER: "other"})
    await simulation.wait(30.0)
    assert simulation.api.objects[THIEF]["status"]["ownership"]["claim"] == "Adopted"
    simulation.api.delete(THIEF)
    await simulation.wait(60.0)
    assert changes(simulation) == ["StopTrainingJob"]


def replace_job(simulation: Simulation) -> None:
    """Delete the job in the console, and create another with its name."""
    del simulation.service.jobs[WANTED.slot]
    simulation.service.put(WANTED, to_request({**SPEC, "roleARN": "arn:aws:iam::123456789012:role/theirs"}), {})


@pytest.mark.parametrize("is_deleted", [False, True])
@pytest.mark.parametrize("away", ["down", "passive", "serving"])
@simulated(**LONG)
async def test_a_job_of_another_user_under_a_freed_name_is_another_run(
    simulation: Simulation, away: str, *, is_deleted: bool
) -> None:
    simulation.api.apply(body())
    await simulation.wait(30.0)
    before = simulation.object["status"]
    if away == "down" and simulation.operator is not None:
        await simulation.end()
    elif away == "passive":
        for _ in range(5):
            simulation.api.write_status_as("rival", KEY)
            await simulation.wait(1.0)
    replace_job(simulation)
    if is_deleted:
        simulation.api.delete(KEY)
    if away == "down":
        await simulation.start()
    await simulation.wait(1500.0)
    if is_deleted:
        assert simulation.gone
    else:
        assert simulation.condition("Failed")[:2] == ("True", "JobNotFound")
        assert "another run" in simulation.condition("Failed")[2]
        for name in ("creationTime", "secondaryStatus", "trainingJobStatus"):
            assert simulation.object["status"][name] == before[name]
        assert simulation.count("DescribeTrainingJob") < 30
    assert changes(simulation) == []


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:sagemaker:us-west-2:999999999999:training-job/victim",
        f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/victim",
        f"arn:aws:sagemaker:eu-central-1:{ACCOUNT}:training-job/{JOB.lower()}",
        f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:processing-job/{JOB.lower()}",
        "",
        "garbage",
    ],
)
@simulated(**LONG)
async def test_a_foreign_arn_in_the_answer_of_create_is_rejected(simulation: Simulation, arn: str) -> None:
    simulation.service.put(Identity(ACCOUNT, REGION, "victim"), to_request(SPEC), {})
    simulation.service.answer_create = lambda _: arn
    simulation.api.apply(body())
    await simulation.wait(300.0)
    assert simulation.object["status"]["ackResourceMetadata"]["arn"] == build_arn("aws", WANTED)
    assert simulation.count("CreateTrainingJob") == 2, "the answer to the second is ResourceInUse"
    simulation.api.delete(KEY)
    await simulation.wait(60.0)
    assert simulation.service.stopped[0][0] == JOB
    assert changes(simulation) == ["StopTrainingJob"]


@pytest.mark.parametrize("made_by", ["a live object", "nobody known"])
@simulated(**LONG)
async def test_answers_of_a_namespaces_endpoint_prove_no_ownership_elsewhere(
    simulation: Simulation, made_by: str
) -> None:
    """The endpoint simulates its own account, with a job created by the attacker."""
    await make_victim(simulation, made_by)
    fake = "https://fake.example"
    real, owned = dict(simulation.service.jobs), Owner(CLUSTER, *THIEF, "thief")
    simulation.cluster_state.namespaces[THIEF[0]] = {ENDPOINT_URL: fake}
    simulation.service.elsewhere[fake] = FakeService(**LONG)
    await simulation.start(context=ANY_ENDPOINT)
    simulation.api.apply(neighbours())
    await simulation.wait(30.0)
    if made_by == "a live object":
        assert simulation.condition("ACK.Terminal", THIEF)[1] == "NameClash"
    else:
        ownership = simulation.api.objects[THIEF]["status"]["ownership"]
        assert (ownership["claim"], ownership["endpointURL"]) == ("Created", fake)
        assert simulation.service.elsewhere[fake].jobs[WANTED.slot].tags.items() >= owned.tags().items()
    assert simulation.service.jobs == real
    del simulation.cluster_state.namespaces[THIEF[0]]
    simulation.api.annotate(THIEF)
    await simulation.wait(10.0)
    simulation.api.delete(THIEF)
    await simulation.wait(300.0)
    assert changes(simulation) == []


@simulated()
async def test_a_no_longer_allowed_endpoint_ends_all_calls_instead_of_redirecting_them(
    simulation: Simulation,
) -> None:
    simulation.api.apply(body(held=True, status=recorded(trainingJobStatus="InProgress", ownership=claimed())))
    simulation.cluster_state.namespaces[NAMESPACE] = {ENDPOINT_URL: "https://private.example"}
    await simulation.start()
    await simulation.wait(120.0)
    assert simulation.condition("ACK.Recoverable")[:2] == ("True", "InvalidAnnotation")
    assert simulation.service.calls == []


@simulated(**LONG)
async def test_a_job_found_again_is_followed_after_a_reconcile_request(simulation: Simulation) -> None:
    simulation.api.apply(body())
    await simulation.wait(30.0)
    job = simulation.service.jobs.pop(WANTED.slot)
    simulation.api.annotate(KEY, **{RECONCILE_REQUESTS[1]: "1"})
    await simulation.wait(90.0)
    assert simulation.condition("Failed")[:2] == ("True", "JobNotFound")
    calls = len(simulation.service.calls)
    simulation.api.annotate(KEY, **{RECONCILE_REQUESTS[1]: "2"})
    await simulation.wait(10.0)
    assert simulation.object["status"]["lastHandledReconcileAt"] == "2"
    assert len(simulation.service.calls) > calls, "the request triggers a call"
    assert simulation.condition("Failed")[:2] == ("True", "JobNotFound")
    simulation.service.jobs[WANTED.slot] = job
    simulation.api.annotate(KEY, **{RECONCILE_REQUESTS[1]: "3"})
    await simulation.wait(10.0)
    assert simulation.condition("Failed") == ("", "", "")
    assert simulation.condition("Ready")[:2] == ("False", "Training")
    simulation.api.delete(KEY)
    await simulation.wait(60.0)
    assert simulation.gone
    assert changes(simulation) == ["StopTrainingJob"]


@simulated(**LONG)
async def test_results_of_another_leader_override_the_memory_of_this_process(simulation: Simulation) -> None:
    """A remembered refusal would release the object in spite of the other leader's job."""
    simulation.service.refusals["CreateTrainingJob"] = failed(
        "CreateTrainingJob", "AccessDeniedException", ErrorClass.DENIED
    )
    simulation.api.apply(body())
    await simulation.wait(10.0)
    simulation.operator.leadership.lead(leads=False)
    del simulation.service.refusals["CreateTrainingJob"]
    simulation.object["metadata"]["finalizers"] = [FINALIZER]
    simulation.api.annotate(KEY, **{CREATE_PENDING: str(WANTED)})
    simulation.service.put(WANTED, to_request(SPEC), OWNER.tags())
    simulation.api.delete(KEY)
    simulation.operator.leadership.lead(leads=True)
    await simulation.wait(120.0)
    assert simulation.gone
    assert changes(simulation) == ["StopTrainingJob"]


@simulated(**LONG)
async def test_a_former_leader_removes_no_finalizer(simulation: Simulation) -> None:
    simulation.cluster_state.pauses[NAMESPACE] = 2.0
    ended = recorded(trainingJobStatus="Completed", ownership=claimed())
    simulation.api.apply(body(held=True, deleting=True, status=ended))
    await simulation.wait(1.0)
    simulation.operator.leadership.leads = False
    await simulation.wait(10.0)
    assert simulation.api.writes == []


def restore(simulation: Simulation, *, region: str | None = None) -> None:
    """Restore the object from a backup without status, under another UID."""
    saved = simulation.object
    simulation.api.objects.pop(KEY)
    back = body(uid="restored", annotations=saved["metadata"]["annotations"])
    back["metadata"]["finalizers"] = saved["metadata"].get("finalizers", [])
    if region is not None:
        back["metadata"]["annotations"][REGION_KEY] = region
    simulation.api.apply(back)


@pytest.mark.parametrize("region", [None, "eu-central-1"])
@pytest.mark.parametrize("moment", [5.0, 40.0, 120.0])
@simulated(seconds=60.0)
async def test_an_object_restored_without_status_does_not_run_again(
    simulation: Simulation, moment: float, region: str | None
) -> None:
    simulation.api.apply(body())
    await simulation.wait(moment)
    await simulation.end()
    restore(simulation, region=region)
    await simulation.start()
    await simulation.wait(200.0)
    assert len(simulation.service.created) == 1
    assert simulation.object["status"]["ownership"]["claim"] == "Inherited"
    assert simulation.condition("ACK.Advisory")[1] == "EarlierRun"
    assert simulation.condition("Complete")[0] == "True"


@simulated(seconds=60.0)
async def test_a_deleted_job_runs_again_only_after_the_removal_of_the_annotation(
    simulation: Simulation,
) -> None:
    simulation.api.apply(body())
    await simulation.wait(120.0)
    simulation.service.jobs.clear()
    await simulation.end()
    restore(simulation)
    await simulation.start()
    await simulation.wait(120.0)
    reason, message = simulation.condition("ACK.Terminal")[1:]
    assert reason == "JobNotFound"
    assert f"Annotation {JOB_ARN}" in message
    assert len(simulation.service.created) == 1
    simulation.api.annotate(KEY, **{JOB_ARN: None})
    await simulation.wait(120.0)
    assert len(simulation.service.created) == 2
    assert simulation.condition("Complete")[0] == "True"


@simulated()
async def test_a_recorded_run_in_another_account_causes_no_call_there(simulation: Simulation) -> None:
    elsewhere = Identity("999999999999", REGION, JOB)
    simulation.cluster_state.roles = {elsewhere.account: "arn:aws:iam::999999999999:role/sagemaker"}
    simulation.api.apply(body(annotations={JOB_ARN: build_arn("aws", elsewhere)}))
    await simulation.wait(30.0)
    assert simulation.condition("ACK.Recoverable")[1] == "InvalidAnnotation"
    assert simulation.service.calls == []


@simulated()
async def test_a_recorded_run_of_another_name_does_not_count(simulation: Simulation) -> None:
    arn = build_arn("aws", Identity(ACCOUNT, REGION, "before"))
    simulation.api.apply(body(annotations={JOB_ARN: arn}))
    await simulation.wait(30.0)
    assert len(simulation.service.created) == 1


Move = Callable[[Simulation, random.Random], None]


def _annotate(simulation: Simulation, luck: random.Random) -> None:
    values: dict[str, list[str | None]] = {
        READ_ONLY: ["true", "false", None],
        ADOPTION_POLICY: ["adopt", "adopt-or-create", None],
        ADOPTED: ["true", None],
        CREATE_PENDING: [str(WANTED), None],
        DELETION_POLICY: ["retain", None],
        RECONCILE_REQUESTS[1]: [str(luck.random())],
    }
    key = luck.choice(list(values))
    if THIEF in simulation.api.objects:
        simulation.api.annotate(THIEF, **{key: luck.choice(values[key])})


def _hold(simulation: Simulation, luck: random.Random) -> None:
    if THIEF in simulation.api.objects and "deletionTimestamp" not in simulation.api.objects[THIEF]["metadata"]:
        simulation.api.objects[THIEF]["metadata"]["finalizers"] = luck.choice([[FINALIZER], []])
        simulation.api.annotate(THIEF)


def _make(simulation: Simulation, luck: random.Random) -> None:
    if THIEF not in simulation.api.objects:
        annotations = luck.choice([{}, READ, ADOPT, {ADOPTED: "true"}, {ADOPTION_POLICY: "adopt-or-create"}])
        pending = luck.choice([None, WANTED])
        simulation.api.apply(
            neighbours(uid=str(luck.random()), annotations=annotations, held=luck.random() < 0.5, pending=pending)
        )


def _delete(simulation: Simulation, luck: random.Random) -> None:
    simulation.api.delete(THIEF)


def _edit(simulation: Simulation, luck: random.Random) -> None:
    if THIEF in simulation.api.objects:
        simulation.api.edit(THIEF, tags=[{"key": "mine", "value": str(luck.random())}])


MOVES: list[Move] = [_annotate, _annotate, _hold, _make, _make, _delete, _edit]


@pytest.mark.parametrize("seed", range(12))
@simulated(**LONG)
async def test_no_sequence_of_changes_to_own_objects_affects_a_job_of_another_object(
    simulation: Simulation, seed: int
) -> None:
    luck = random.Random(seed)
    simulation.api.apply(body(spec={**SPEC, "tags": [{"key": "team", "value": "a"}]}))
    for step in range(40):
        luck.choice(MOVES)(simulation, luck)
        await simulation.wait(luck.choice([0.0, 0.03, 0.3, 3.0, 40.0]))
        if step % 8 == 7:
            await simulation.start()
        if step % 8 == 3 and simulation.operator is not None:
            simulation.operator.leadership.lead(leads=False)
            await simulation.wait(luck.choice([0.0, 1.0]))
            simulation.operator.leadership.lead(leads=True)
    await simulation.wait(120.0)
    assert simulation.condition("ACK.Terminal") == ("", "", "")
    assert simulation.object["status"]["ownership"]["claim"] == "Created"
    assert changes(simulation) == []
    (job,) = simulation.service.created
    assert job.tags["team"] == "a"
    simulation.api.delete(THIEF)
    simulation.api.delete(KEY)
    await simulation.wait(300.0)
    assert simulation.gone
    assert changes(simulation) == ["StopTrainingJob"]
