"""What tenants do to each other's jobs, in virtual time: forged metadata, freed names, lying endpoints, bad timing.

Nobody but an object's owner may have its job stopped, updated or tagged.
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
    """An object of another namespace that names the same job."""
    made = body(name=name, uid=uid, **members)
    made["metadata"]["namespace"] = THIEF[0]
    return made


def changes(simulation: Simulation) -> list[str]:
    return [operation for operation, _ in simulation.service.calls if operation in CHANGES]


def forge(simulation: Simulation, **annotations: str | None) -> None:
    """One patch of the thief's metadata: the finalizer added, annotations set or dropped."""
    simulation.api.objects[THIEF]["metadata"]["finalizers"] = [FINALIZER]
    simulation.api.annotate(THIEF, **annotations)


async def make_victim(simulation: Simulation, made_by: str) -> None:
    """A running job of that origin."""
    if made_by == "a live object":
        simulation.api.apply(body())
        await simulation.wait(30.0)
    else:
        simulation.service.put(WANTED, to_request(SPEC), MADE_BY[made_by])


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("keeps", [None, frozenset({"ackResourceMetadata", "conditions", "trainingJobStatus"})])
@pytest.mark.parametrize("made_by", MADE_BY)
@in_virtual_time
async def test_a_finalizer_added_by_hand_to_an_object_that_read_the_job_stops_nothing(
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
async def test_a_clash_that_ack_recorded_and_a_finalizer_added_by_hand_stop_nothing(
    simulation: Simulation, made_by: str
) -> None:
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
async def test_create_and_delete_back_to_back_stop_nothing(
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
async def test_an_adoption_that_is_listed_before_the_owner_takes_nothing(
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
async def test_a_job_of_an_object_that_this_replica_does_not_serve_is_not_adopted(
    simulation: Simulation, annotations: dict[str, str]
) -> None:
    simulation.service.put(WANTED, to_request(SPEC), OWNER.tags())
    simulation.api.objects[KEY] = body()  # in no watch
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
async def test_a_job_of_another_cluster_is_adopted_only_where_an_annotation_names_that_cluster(
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
    """The job is deleted in the console, and somebody takes its name."""
    del simulation.service.jobs[WANTED.slot]
    simulation.service.put(WANTED, to_request({**SPEC, "roleARN": "arn:aws:iam::123456789012:role/theirs"}), {})


@pytest.mark.parametrize("is_deleted", [False, True])
@pytest.mark.parametrize("away", ["down", "passive", "serving"])
@simulated(**LONG)
async def test_a_freed_name_that_somebody_else_took_is_another_run(
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
async def test_an_arn_in_the_answer_of_create_that_is_not_of_the_job_is_not_believed(
    simulation: Simulation, arn: str
) -> None:
    simulation.service.put(Identity(ACCOUNT, REGION, "victim"), to_request(SPEC), {})
    simulation.service.answer_create = lambda _: arn
    simulation.api.apply(body())
    await simulation.wait(300.0)
    assert simulation.object["status"]["ackResourceMetadata"]["arn"] == build_arn("aws", WANTED)
    assert simulation.count("CreateTrainingJob") == 2, "the second is answered with ResourceInUse"
    simulation.api.delete(KEY)
    await simulation.wait(60.0)
    assert simulation.service.stopped[0][0] == JOB
    assert changes(simulation) == ["StopTrainingJob"]


@pytest.mark.parametrize("made_by", ["a live object", "nobody known"])
@simulated(**LONG)
async def test_what_an_endpoint_of_a_namespace_answered_proves_nothing_elsewhere(
    simulation: Simulation, made_by: str
) -> None:
    """The endpoint plays a world of its own, where the thief's job was created."""
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
async def test_an_endpoint_that_is_not_allowed_any_more_stops_every_call_instead_of_moving_it(
    simulation: Simulation,
) -> None:
    simulation.api.apply(body(held=True, status=recorded(trainingJobStatus="InProgress", ownership=claimed())))
    simulation.cluster_state.namespaces[NAMESPACE] = {ENDPOINT_URL: "https://private.example"}
    await simulation.start()
    await simulation.wait(120.0)
    assert simulation.condition("ACK.Recoverable")[:2] == ("True", "InvalidAnnotation")
    assert simulation.service.calls == []


@simulated(**LONG)
async def test_a_job_that_was_found_again_goes_on_when_somebody_asks(simulation: Simulation) -> None:
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
    assert len(simulation.service.calls) > calls, "the request is answered by a call"
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
async def test_what_another_leader_has_done_outweighs_what_this_process_remembers(simulation: Simulation) -> None:
    """A refusal of this process would let the object go, although the other leader's attempt made a job."""
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
async def test_a_former_leader_releases_no_object(simulation: Simulation) -> None:
    simulation.cluster_state.pauses[NAMESPACE] = 2.0
    ended = recorded(trainingJobStatus="Completed", ownership=claimed())
    simulation.api.apply(body(held=True, deleting=True, status=ended))
    await simulation.wait(1.0)
    simulation.operator.leadership.leads = False
    await simulation.wait(10.0)
    assert simulation.api.writes == []


def restore(simulation: Simulation, *, region: str | None = None) -> None:
    """A backup without status brings the object back under another UID, perhaps beside an operator elsewhere."""
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
async def test_a_backup_without_status_runs_no_job_again(
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
async def test_a_job_that_ran_and_was_deleted_runs_again_only_once_the_annotation_is_gone(
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
async def test_a_record_of_a_run_in_another_account_makes_no_call_there(simulation: Simulation) -> None:
    elsewhere = Identity("999999999999", REGION, JOB)
    simulation.cluster_state.roles = {elsewhere.account: "arn:aws:iam::999999999999:role/sagemaker"}
    simulation.api.apply(body(annotations={JOB_ARN: build_arn("aws", elsewhere)}))
    await simulation.wait(30.0)
    assert simulation.condition("ACK.Recoverable")[1] == "InvalidAnnotation"
    assert simulation.service.calls == []


@simulated()
async def test_an_object_of_another_name_is_not_the_one_that_ran(simulation: Simulation) -> None:
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
async def test_nothing_that_a_tenant_does_to_its_own_objects_reaches_a_job_of_another_object(
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
