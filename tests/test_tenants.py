"""What tenants do to each other's jobs, in virtual time: forged metadata, freed names, lying endpoints, bad timing.

Nobody but an object's owner may have its job stopped, updated or tagged.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.service import FakeService, failed
from tests.fakes.stage import KEY, Stage, played
from tests.fakes.world import CONTEXT
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


def changes(stage: Stage) -> list[str]:
    return [operation for operation, _ in stage.service.calls if operation in CHANGES]


def forge(stage: Stage, **annotations: str | None) -> None:
    """One patch of the thief's metadata: the finalizer added, annotations set or dropped."""
    stage.api.objects[THIEF]["metadata"]["finalizers"] = [FINALIZER]
    stage.api.annotate(THIEF, **annotations)


async def make_victim(stage: Stage, made_by: str) -> None:
    """A running job of that origin."""
    if made_by == "a live object":
        stage.api.apply(body())
        await stage.wait(30.0)
    else:
        stage.service.put(WANTED, to_request(SPEC), MADE_BY[made_by])


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("keeps", [None, frozenset({"ackResourceMetadata", "conditions", "trainingJobStatus"})])
@pytest.mark.parametrize("made_by", MADE_BY)
def test_a_finalizer_added_by_hand_to_an_object_that_read_the_job_stops_nothing(
    made_by: str, keeps: frozenset[str] | None, *, restarts: bool
) -> None:
    async def scene(stage: Stage) -> None:
        await make_victim(stage, made_by)
        stage.api.apply(neighbours(annotations=READ))
        await stage.wait(20.0)
        forge(stage, **{READ_ONLY: None})
        if restarts:
            await stage.start()
        await stage.wait(20.0)
        stage.api.delete(THIEF)
        await stage.wait(300.0)
        assert THIEF not in stage.api.objects
        assert changes(stage) == []

    played(scene, keeps=keeps, **LONG)


@pytest.mark.parametrize("made_by", MADE_BY)
def test_a_clash_that_ack_recorded_and_a_finalizer_added_by_hand_stop_nothing(made_by: str) -> None:
    async def scene(stage: Stage) -> None:
        await make_victim(stage, made_by)
        clash = {"type": "ACK.Terminal", "status": "True", "message": "Resource already exists"}
        stage.api.apply(neighbours(held=True, status=recorded(trainingJobStatus="InProgress", conditions=[clash])))
        await stage.wait(20.0)
        assert stage.condition("ACK.Terminal", THIEF)[1] == "NameClash"
        stage.api.delete(THIEF)
        await stage.wait(300.0)
        assert THIEF not in stage.api.objects
        assert changes(stage) == []

    played(scene, **LONG)


@pytest.mark.parametrize("pending", [None, WANTED])
@pytest.mark.parametrize("made_by", MADE_BY)
def test_create_and_delete_back_to_back_stop_nothing(made_by: str, pending: Identity | None) -> None:
    async def scene(stage: Stage) -> None:
        await make_victim(stage, made_by)
        stage.api.apply(neighbours(held=True, pending=pending))
        stage.api.delete(THIEF)
        await stage.wait(300.0)
        assert THIEF not in stage.api.objects
        assert changes(stage) == []

    played(scene, **LONG)


@pytest.mark.parametrize("by_failover", [False, True])
@pytest.mark.parametrize("owners", ["Created", "Adopted"])
def test_an_adoption_that_is_listed_before_the_owner_takes_nothing(owners: str, *, by_failover: bool) -> None:
    async def scene(stage: Stage) -> None:
        stage.service.put(WANTED, to_request(SPEC), {})
        owner = body(status=recorded(trainingJobStatus="InProgress", ownership=claimed(claim=owners)), held=True)
        assert stage.life is not None
        if by_failover:
            stage.life.leadership.lead(leads=False)
        else:
            await stage.life.end()
            stage.life = None
        stage.api.apply(neighbours(annotations=ADOPT))
        for number in range(50):
            stage.api.apply(neighbours(f"crowd-{number}", uid=f"crowd-{number}", annotations=ADOPT))
        stage.api.apply(owner)
        if by_failover and stage.life is not None:
            stage.life.leadership.lead(leads=True)
        else:
            await stage.start(workers=1)
        await stage.wait(60.0)
        assert stage.condition("ACK.Terminal", THIEF)[1] == "NameClash"
        stage.api.delete(THIEF)
        await stage.wait(300.0)
        assert changes(stage) == []
        stage.api.delete(KEY)
        await stage.wait(300.0)
        assert changes(stage) == ["StopTrainingJob"]

    played(scene, **LONG)


@pytest.mark.parametrize("annotations", [ADOPT, {ADOPTION_POLICY: "adopt-or-create"}, {ADOPTED: "true"}])
def test_a_job_of_an_object_that_this_replica_does_not_serve_is_not_adopted(annotations: dict[str, str]) -> None:
    async def scene(stage: Stage) -> None:
        stage.service.put(WANTED, to_request(SPEC), OWNER.tags())
        stage.api.objects[KEY] = body()  # in no watch
        stage.api.apply(neighbours(annotations=annotations))
        await stage.wait(30.0)
        reason, message = stage.condition("ACK.Terminal", THIEF)[1:]
        assert reason == "NameClash"
        assert f"{NAMESPACE}/{KEY[1]}" in message
        del stage.api.objects[KEY]
        await stage.wait(120.0)
        assert stage.api.objects[THIEF]["status"]["ownership"]["claim"] == "Adopted"

    played(scene, **LONG)


@pytest.mark.parametrize("shown", ["arn:aws", "arn:aws-cn"])
@pytest.mark.parametrize("annotations", [ADOPT, {ADOPTION_POLICY: "adopt-or-create"}, {ADOPTED: "true"}])
def test_a_status_with_the_arn_of_another_job_does_not_delay_an_adoption(
    annotations: dict[str, str], shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(stage: Stage) -> None:
        stage.service.put(WANTED, to_request(SPEC), {})
        status = recorded(trainingJobStatus="InProgress")
        arn = f"{shown}:sagemaker:cn-north-1:{ACCOUNT}:training-job/another"
        status["ackResourceMetadata"] = {**status["ackResourceMetadata"], "arn": arn}
        stage.api.apply(neighbours(annotations=annotations, status=status))
        await stage.wait(30.0)
        shows = stage.api.objects[THIEF]["status"]
        assert shows["ownership"]["claim"] == "Adopted"
        assert shows["ackResourceMetadata"]["arn"] == build_arn("aws", WANTED)

    played(scene, **LONG)
    assert [record.message for record in caplog.records if "Unexpected error" in record.message] == []


def test_a_job_of_another_cluster_is_adopted_only_where_an_annotation_names_that_cluster() -> None:
    async def scene(stage: Stage) -> None:
        stage.service.put(WANTED, to_request(SPEC), MADE_BY["another cluster"])
        stage.api.apply(neighbours(annotations=ADOPT))
        await stage.wait(30.0)
        reason, message = stage.condition("ACK.Terminal", THIEF)[1:]
        assert reason == "NameClash"
        assert f"{ADOPT_FROM_CLUSTER}: other" in message
        assert "--cluster-id=other" in message
        stage.api.annotate(THIEF, **{ADOPT_FROM_CLUSTER: CLUSTER})
        await stage.wait(30.0)
        assert stage.condition("ACK.Terminal", THIEF)[1] == "NameClash"
        stage.api.annotate(THIEF, **{ADOPT_FROM_CLUSTER: "other"})
        await stage.wait(30.0)
        assert stage.api.objects[THIEF]["status"]["ownership"]["claim"] == "Adopted"
        stage.api.delete(THIEF)
        await stage.wait(60.0)
        assert changes(stage) == ["StopTrainingJob"]

    played(scene, **LONG)


def replace_job(stage: Stage) -> None:
    """The job is deleted in the console, and somebody takes its name."""
    del stage.service.jobs[WANTED.slot]
    stage.service.put(WANTED, to_request({**SPEC, "roleARN": "arn:aws:iam::123456789012:role/theirs"}), {})


@pytest.mark.parametrize("is_deleted", [False, True])
@pytest.mark.parametrize("away", ["down", "passive", "serving"])
def test_a_freed_name_that_somebody_else_took_is_another_run(away: str, *, is_deleted: bool) -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(30.0)
        before = stage.object["status"]
        if away == "down" and stage.life is not None:
            await stage.life.end()
            stage.life = None
        elif away == "passive":
            for _ in range(5):
                stage.api.write_status_as("rival", KEY)
                await stage.wait(1.0)
        replace_job(stage)
        if is_deleted:
            stage.api.delete(KEY)
        if away == "down":
            await stage.start()
        await stage.wait(1500.0)
        if is_deleted:
            assert stage.gone
        else:
            assert stage.condition("Failed")[:2] == ("True", "JobNotFound")
            assert "another run" in stage.condition("Failed")[2]
            for name in ("creationTime", "secondaryStatus", "trainingJobStatus"):
                assert stage.object["status"][name] == before[name]
            assert stage.count("DescribeTrainingJob") < 30
        assert changes(stage) == []

    played(scene, **LONG)


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
def test_an_arn_in_the_answer_of_create_that_is_not_of_the_job_is_not_believed(arn: str) -> None:
    async def scene(stage: Stage) -> None:
        stage.service.put(Identity(ACCOUNT, REGION, "victim"), to_request(SPEC), {})
        stage.service.answer_create = lambda _: arn
        stage.api.apply(body())
        await stage.wait(300.0)
        assert stage.object["status"]["ackResourceMetadata"]["arn"] == build_arn("aws", WANTED)
        assert stage.count("CreateTrainingJob") == 2, "the second is answered with ResourceInUse"
        stage.api.delete(KEY)
        await stage.wait(60.0)
        assert stage.service.stopped[0][0] == JOB
        assert changes(stage) == ["StopTrainingJob"]

    played(scene, **LONG)


@pytest.mark.parametrize("made_by", ["a live object", "nobody known"])
def test_what_an_endpoint_of_a_namespace_answered_proves_nothing_elsewhere(made_by: str) -> None:
    """The endpoint plays a world of its own, where the thief's job was created."""

    async def scene(stage: Stage) -> None:
        await make_victim(stage, made_by)
        fake = "https://fake.example"
        real, owned = dict(stage.service.jobs), Owner(CLUSTER, *THIEF, "thief")
        stage.cluster_state.namespaces[THIEF[0]] = {ENDPOINT_URL: fake}
        stage.service.elsewhere[fake] = FakeService(**LONG)
        await stage.start(context=ANY_ENDPOINT)
        stage.api.apply(neighbours())
        await stage.wait(30.0)
        if made_by == "a live object":
            assert stage.condition("ACK.Terminal", THIEF)[1] == "NameClash"
        else:
            ownership = stage.api.objects[THIEF]["status"]["ownership"]
            assert (ownership["claim"], ownership["endpointURL"]) == ("Created", fake)
            assert stage.service.elsewhere[fake].jobs[WANTED.slot].tags.items() >= owned.tags().items()
        assert stage.service.jobs == real
        del stage.cluster_state.namespaces[THIEF[0]]
        stage.api.annotate(THIEF)
        await stage.wait(10.0)
        stage.api.delete(THIEF)
        await stage.wait(300.0)
        assert changes(stage) == []

    played(scene, **LONG)


def test_an_endpoint_that_is_not_allowed_any_more_stops_every_call_instead_of_moving_it() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body(held=True, status=recorded(trainingJobStatus="InProgress", ownership=claimed())))
        stage.cluster_state.namespaces[NAMESPACE] = {ENDPOINT_URL: "https://private.example"}
        await stage.start()
        await stage.wait(120.0)
        assert stage.condition("ACK.Recoverable")[:2] == ("True", "InvalidAnnotation")
        assert stage.service.calls == []

    played(scene)


def test_a_job_that_was_found_again_goes_on_when_somebody_asks() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(30.0)
        job = stage.service.jobs.pop(WANTED.slot)
        stage.api.annotate(KEY, **{RECONCILE_REQUESTS[1]: "1"})
        await stage.wait(90.0)
        assert stage.condition("Failed")[:2] == ("True", "JobNotFound")
        calls = len(stage.service.calls)
        stage.api.annotate(KEY, **{RECONCILE_REQUESTS[1]: "2"})
        await stage.wait(10.0)
        assert stage.object["status"]["lastHandledReconcileAt"] == "2"
        assert len(stage.service.calls) > calls, "the request is answered by a call"
        assert stage.condition("Failed")[:2] == ("True", "JobNotFound")
        stage.service.jobs[WANTED.slot] = job
        stage.api.annotate(KEY, **{RECONCILE_REQUESTS[1]: "3"})
        await stage.wait(10.0)
        assert stage.condition("Failed") == ("", "", "")
        assert stage.condition("Ready")[:2] == ("False", "Training")
        stage.api.delete(KEY)
        await stage.wait(60.0)
        assert stage.gone
        assert changes(stage) == ["StopTrainingJob"]

    played(scene, **LONG)


def test_what_another_leader_has_done_outweighs_what_this_process_remembers() -> None:
    """A refusal of this process would let the object go, although the other leader's attempt made a job."""

    async def scene(stage: Stage) -> None:
        assert stage.life is not None
        stage.service.refusals["CreateTrainingJob"] = failed(
            "CreateTrainingJob", "AccessDeniedException", ErrorClass.DENIED
        )
        stage.api.apply(body())
        await stage.wait(10.0)
        stage.life.leadership.lead(leads=False)
        del stage.service.refusals["CreateTrainingJob"]
        stage.object["metadata"]["finalizers"] = [FINALIZER]
        stage.api.annotate(KEY, **{CREATE_PENDING: str(WANTED)})
        stage.service.put(WANTED, to_request(SPEC), OWNER.tags())
        stage.api.delete(KEY)
        stage.life.leadership.lead(leads=True)
        await stage.wait(120.0)
        assert stage.gone
        assert changes(stage) == ["StopTrainingJob"]

    played(scene, **LONG)


def test_who_leads_no_more_releases_no_object() -> None:
    async def scene(stage: Stage) -> None:
        assert stage.life is not None
        stage.cluster_state.pauses[NAMESPACE] = 2.0
        ended = recorded(trainingJobStatus="Completed", ownership=claimed())
        stage.api.apply(body(held=True, deleting=True, status=ended))
        await stage.wait(1.0)
        stage.life.leadership.leads = False
        await stage.wait(10.0)
        assert stage.api.writes == []

    played(scene, **LONG)


def restore(stage: Stage, *, region: str | None = None) -> None:
    """A backup without status brings the object back under another UID, perhaps beside an operator elsewhere."""
    saved = stage.object
    stage.api.objects.pop(KEY)
    back = body(uid="restored", annotations=saved["metadata"]["annotations"])
    back["metadata"]["finalizers"] = saved["metadata"].get("finalizers", [])
    if region is not None:
        back["metadata"]["annotations"][REGION_KEY] = region
    stage.api.apply(back)


@pytest.mark.parametrize("region", [None, "eu-central-1"])
@pytest.mark.parametrize("moment", [5.0, 40.0, 120.0])
def test_a_backup_without_status_runs_no_job_again(moment: float, region: str | None) -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(moment)
        assert stage.life is not None
        await stage.life.end()
        stage.life = None
        restore(stage, region=region)
        await stage.start()
        await stage.wait(200.0)
        assert len(stage.service.created) == 1
        assert stage.object["status"]["ownership"]["claim"] == "Inherited"
        assert stage.condition("ACK.Advisory")[1] == "EarlierRun"
        assert stage.condition("Complete")[0] == "True"

    played(scene, seconds=60.0)


def test_a_job_that_ran_and_was_deleted_runs_again_only_once_the_annotation_is_gone() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(120.0)
        stage.service.jobs.clear()
        assert stage.life is not None
        await stage.life.end()
        stage.life = None
        restore(stage)
        await stage.start()
        await stage.wait(120.0)
        reason, message = stage.condition("ACK.Terminal")[1:]
        assert reason == "JobNotFound"
        assert f"Annotation {JOB_ARN}" in message
        assert len(stage.service.created) == 1
        stage.api.annotate(KEY, **{JOB_ARN: None})
        await stage.wait(120.0)
        assert len(stage.service.created) == 2
        assert stage.condition("Complete")[0] == "True"

    played(scene, seconds=60.0)


def test_a_record_of_a_run_in_another_account_makes_no_call_there() -> None:
    async def scene(stage: Stage) -> None:
        elsewhere = Identity("999999999999", REGION, JOB)
        stage.cluster_state.roles = {elsewhere.account: "arn:aws:iam::999999999999:role/sagemaker"}
        stage.api.apply(body(annotations={JOB_ARN: build_arn("aws", elsewhere)}))
        await stage.wait(30.0)
        assert stage.condition("ACK.Recoverable")[1] == "InvalidAnnotation"
        assert stage.service.calls == []

    played(scene)


def test_an_object_of_another_name_is_not_the_one_that_ran() -> None:
    async def scene(stage: Stage) -> None:
        arn = build_arn("aws", Identity(ACCOUNT, REGION, "before"))
        stage.api.apply(body(annotations={JOB_ARN: arn}))
        await stage.wait(30.0)
        assert len(stage.service.created) == 1

    played(scene)


Move = Callable[[Stage, random.Random], None]


def _annotate(stage: Stage, luck: random.Random) -> None:
    values: dict[str, list[str | None]] = {
        READ_ONLY: ["true", "false", None],
        ADOPTION_POLICY: ["adopt", "adopt-or-create", None],
        ADOPTED: ["true", None],
        CREATE_PENDING: [str(WANTED), None],
        DELETION_POLICY: ["retain", None],
        RECONCILE_REQUESTS[1]: [str(luck.random())],
    }
    key = luck.choice(list(values))
    if THIEF in stage.api.objects:
        stage.api.annotate(THIEF, **{key: luck.choice(values[key])})


def _hold(stage: Stage, luck: random.Random) -> None:
    if THIEF in stage.api.objects and "deletionTimestamp" not in stage.api.objects[THIEF]["metadata"]:
        stage.api.objects[THIEF]["metadata"]["finalizers"] = luck.choice([[FINALIZER], []])
        stage.api.annotate(THIEF)


def _make(stage: Stage, luck: random.Random) -> None:
    if THIEF not in stage.api.objects:
        annotations = luck.choice([{}, READ, ADOPT, {ADOPTED: "true"}, {ADOPTION_POLICY: "adopt-or-create"}])
        pending = luck.choice([None, WANTED])
        stage.api.apply(
            neighbours(uid=str(luck.random()), annotations=annotations, held=luck.random() < 0.5, pending=pending)
        )


def _delete(stage: Stage, luck: random.Random) -> None:
    stage.api.delete(THIEF)


def _edit(stage: Stage, luck: random.Random) -> None:
    if THIEF in stage.api.objects:
        stage.api.edit(THIEF, tags=[{"key": "mine", "value": str(luck.random())}])


MOVES: list[Move] = [_annotate, _annotate, _hold, _make, _make, _delete, _edit]


@pytest.mark.parametrize("seed", range(12))
def test_nothing_that_a_tenant_does_to_its_own_objects_reaches_a_job_of_another_object(seed: int) -> None:
    async def scene(stage: Stage) -> None:
        luck = random.Random(seed)
        stage.api.apply(body(spec={**SPEC, "tags": [{"key": "team", "value": "a"}]}))
        for step in range(40):
            luck.choice(MOVES)(stage, luck)
            await stage.wait(luck.choice([0.0, 0.03, 0.3, 3.0, 40.0]))
            if step % 8 == 7:
                await stage.start()
            if step % 8 == 3 and stage.life is not None:
                stage.life.leadership.lead(leads=False)
                await stage.wait(luck.choice([0.0, 1.0]))
                stage.life.leadership.lead(leads=True)
        await stage.wait(120.0)
        assert stage.condition("ACK.Terminal") == ("", "", "")
        assert stage.object["status"]["ownership"]["claim"] == "Created"
        assert changes(stage) == []
        (job,) = stage.service.created
        assert job.tags["team"] == "a"
        stage.api.delete(THIEF)
        stage.api.delete(KEY)
        await stage.wait(300.0)
        assert stage.gone
        assert changes(stage) == ["StopTrainingJob"]

    played(scene, **LONG)
