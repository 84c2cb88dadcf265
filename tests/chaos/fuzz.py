"""Invalid input: objects, answers and annotations with random errors, thousands of them beside one valid object.

Most run in virtual time on fakes at milliseconds a case; a few hundred run with a real API server and process.
"""

import asyncio
import copy
import functools
import json
import logging
import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from tests.chaos.invariants import delete_everything
from tests.chaos.trials import Trial, apply, plan, run_trials
from tests.chaos.world import Body, Case, Refused, World
from tests.e2e.zygote import ROOT, bare_environment
from tests.fakes.api_server import FakeApiServer
from tests.fakes.operator import FakeClusterState, SimulatedOperator
from tests.fakes.service import FakeGateway, FakeService, Job, failed
from tests.fakes.virtual_time import run as run_virtually
from tests.logic.builders import ACCOUNT, CLUSTER, NAMESPACE, REGION, SPEC, body
from tests.sagemaker.shapes import WrongTypeError, model_shapes
from trainingjob_operator.aws.gateway import Target
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.naming import CREATE_PENDING, FINALIZER, Identity, Owner
from trainingjob_operator.logic.objects import annotations
from trainingjob_operator.logic.objects.fields import to_request

DATA = Path(__file__).parents[1] / "data"
GOOD = "good"
NAMESPACES = (NAMESPACE, "team-b", "team-c")
"""The good object is in the first, without annotations; the others get random annotations."""
CROWD = 40
"""Bad objects in one world, beside a good one."""
CASES, QUICK_CASES = 10_000, 400
WHOLE = "no defect, no stuck object, no foreign job touched, the good one served"

JSON_NONSENSE: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**31, 2**63, 1.5, 1e308, "", " ", "x", "ü☃", "\x00", "x" * 10_000, [], {}, [None], [[]],
    [{}], {"a": None}, {"a": {"b": [1]}}, "InProgress", "Completed", "Stopped", "Novel", "2026-13-45T99:99:99Z",
    "2026-11-21T10:00:00Z", "arn:aws:sagemaker:us-west-2:123456789012:training-job/x",
)  # fmt: skip
ANSWER_NONSENSE = (
    *JSON_NONSENSE, float("nan"), float("inf"), b"x", datetime(1, 1, 1), datetime(9999, 12, 31, tzinfo=UTC),  # noqa: DTZ001
)  # fmt: skip
ANNOTATIONS = (
    annotations.REGION, annotations.DELETION_POLICY, annotations.ADOPTION_POLICY, annotations.ADOPTION_FIELDS,
    annotations.ADOPTED, annotations.READ_ONLY, annotations.ENDPOINT_URL, CREATE_PENDING,
    annotations.JOB_NAME_SUFFIX, annotations.TTL, *annotations.RECONCILE_REQUESTS,
)  # fmt: skip
VALUES = (
    "", " ", "true", "false", "True", "nope", "us-west-2", "eu-west-1", "mars-1", "delete", "retain", "adopt",
    "adopt-or-create", "{", "{}", '{"trainingJobName": "x"}', '{"trainingJobName": 7}', "[]", "null", "https://x",
    "http://", "x" * 5000, "123456789012/us-west-2/x", "123456789012/us-west-2", "//", "☃", "spec", "uid", "0", "600",
)  # fmt: skip


def distort(value: Any, chance: random.Random, nonsense: tuple[Any, ...], odds: float) -> Any:
    """The value with random parts replaced, removed or added."""
    if chance.random() < odds:
        return copy.deepcopy(chance.choice(nonsense))
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if chance.random() > odds / 2}
        if chance.random() < odds:
            kept[chance.choice(["x", "", "TrainingJobStatus", "status", "☃"])] = copy.deepcopy(chance.choice(nonsense))
        return {key: distort(item, chance, nonsense, odds) for key, item in kept.items()}
    if isinstance(value, list):
        return [distort(item, chance, nonsense, odds) for item in value for _ in range(chance.choice([1, 1, 1, 2]))]
    return value


@functools.cache
def _every_field() -> Body:
    return dict(yaml.safe_load((DATA / "every-field.yaml").read_text())["spec"])


@functools.cache
def _statuses() -> list[Body]:
    return [yaml.safe_load(path.read_text()) for path in sorted(DATA.glob("golden/*/status.yaml"))]


def _as_the_crd_has_it(status: object) -> Body:
    """An object stays an object in every CRD, because a merge patch applies to nothing else."""
    objects = ("ackResourceMetadata", "modelArtifacts", "logs", "progressInfo", "warmPoolStatus")
    kept = status if isinstance(status, dict) else {}
    return {key: item for key, item in kept.items() if key not in objects or isinstance(item, dict)}


def bad_object(name: str, chance: random.Random, namespace: str = NAMESPACE) -> Body:
    """An object with random errors in spec, annotations, status or marks."""
    spec = copy.deepcopy(chance.choice([SPEC, SPEC, _every_field()])) | {"trainingJobName": name}
    spec = distort(spec, chance, JSON_NONSENSE, chance.choice([0.0, 0.0, 0.02, 0.1]))
    asked = {chance.choice(ANNOTATIONS): chance.choice(VALUES) for _ in range(chance.choice([0, 0, 1, 2, 4]))}
    status: Body = copy.deepcopy(chance.choice(_statuses())) if chance.random() < 0.5 else {}
    made = body(name=name, uid=f"uid-{name}", spec=spec, annotations=asked, held=chance.random() < 0.2)
    status = distort(status, chance, JSON_NONSENSE, chance.choice([0.0, 0.05]))
    made["metadata"]["namespace"] = namespace
    return made | {"status": _as_the_crd_has_it(status)}


FOREIGN_TAGS: tuple[dict[str, str], ...] = (
    {},
    {"services.k8s.aws/controller-version": "sagemaker-1.2.16", "services.k8s.aws/namespace": "elsewhere"},
    Owner("another-cluster", NAMESPACE, "bad-1", "uid-bad-1").tags(),
    Owner(CLUSTER, "elsewhere", "bad-1", "uid-bad-1").tags(),
    Owner(CLUSTER, NAMESPACE, "someone-else", "uid-of-someone-else").tags(),
)
"""Tags of jobs without an object here: none, ACK's, and this operator's with another cluster, namespace and object."""


def put_foreign_jobs(service: FakeService, chance: random.Random) -> list[Job]:
    """Create jobs of others that no object here may stop, update or tag: some under unique names, many under names in
    the specs of objects. Ended and running ones.
    """
    names = [f"foreign-{number}" for number in range(5)]
    names += [f"bad-{number}" for number in range(CROWD) if chance.random() < 0.3]
    jobs = []
    for name in names:
        identity = Identity(ACCOUNT, chance.choice([REGION, REGION, "eu-west-1"]), name)
        job = service.put(identity, to_request(SPEC | {"trainingJobName": name}), chance.choice(FOREIGN_TAGS))
        job.seconds = chance.choice([30.0, 100_000.0])
        jobs.append(job)
    return jobs


def _is_adopting(made: Body, namespace: Mapping[str, str]) -> bool:
    """True if the object, or the annotations of its namespace, request the adoption of a job."""
    return not {*namespace, *made["metadata"]["annotations"]}.isdisjoint(
        {annotations.ADOPTION_POLICY, annotations.ADOPTED}
    )


@dataclass
class BadService(FakeService):
    """Answers with random errors for all jobs but the good one, until `honest` is set."""

    chance: random.Random = field(default_factory=lambda: random.Random(0))
    honest: bool = False

    def get(self, target: Target) -> FakeGateway:
        return BadGateway(self, target)


@dataclass
class BadGateway(FakeGateway):
    """Answers that pass aws/gateway.py: at least an ARN and a status, both text."""

    service: BadService

    async def create(self, request: Mapping[str, Any]) -> str:
        """Check a request as botocore and SageMaker do, with random throttling."""
        name = str(request.get("TrainingJobName"))
        try:
            problems = model_shapes().request_problems("CreateTrainingJob", dict(request))
        except WrongTypeError as error:
            problems = [f"wrong type at {error}"]
        if problems:
            await self._call("CreateTrainingJob", name)
            raise failed("CreateTrainingJob", "ValidationException", ErrorClass.REFUSED, "; ".join(problems))
        if not self.service.honest and self.service.chance.random() < 0.1:
            await self._call("CreateTrainingJob", name)
            raise failed("CreateTrainingJob", "ThrottlingException", ErrorClass.THROTTLED, "Rate exceeded")
        return await super().create(request)

    async def describe(self, job_name: str) -> Body:
        answer = self._spoil(await super().describe(job_name))
        if not all(isinstance(answer.get(name), str) for name in ("TrainingJobArn", "TrainingJobStatus")):
            raise failed("DescribeTrainingJob", "Unreadable", ErrorClass.RETRY)
        return answer

    async def list_page(self, **filters: Any) -> tuple[list[Body], str | None]:
        summaries, token = await super().list_page(**filters)
        spoiled = [self._spoil(summary) for summary in summaries]
        if not all(isinstance(summary.get("TrainingJobArn"), str) for summary in spoiled):
            raise failed("ListTrainingJobs", "Unreadable", ErrorClass.RETRY)
        return spoiled, token

    def _spoil(self, answer: Body) -> Body:
        chance = self.service.chance
        if self.service.honest or answer["TrainingJobName"] == GOOD or chance.random() < 0.5:
            return answer
        needed = {name: answer[name] for name in ("TrainingJobArn", "TrainingJobStatus")}
        spoiled = distort(answer, chance, ANSWER_NONSENSE, 0.05)
        whole = spoiled if isinstance(spoiled, dict) else {}
        return whole | (needed if chance.random() < 0.95 else {})


def play(seed: str, count: int) -> list[str]:
    """Run one world of bad objects in virtual time; returns its problems."""
    chance = random.Random(seed)
    api, service, cluster_state = (
        FakeApiServer(),
        BadService(chance=random.Random(f"{seed}/service")),
        FakeClusterState(),
    )
    for namespace in NAMESPACES[1:]:
        asked = {chance.choice(ANNOTATIONS): chance.choice(VALUES) for _ in range(chance.choice([0, 0, 1]))}
        cluster_state.namespaces[namespace] = asked

    async def scene() -> None:
        foreign = {job.identity.job_name: job for job in put_foreign_jobs(service, chance)}
        life = SimulatedOperator(api, service, cluster_state=cluster_state)
        api.apply(body(name=GOOD, uid=GOOD, spec=SPEC | {"trainingJobName": GOOD}))
        for number in range(count):
            made = bad_object(f"bad-{number}", chance, chance.choice(NAMESPACES))
            if _is_adopting(made, cluster_state.namespaces.get(made["metadata"]["namespace"], {})):
                foreign.pop(f"bad-{number}", None)
            api.apply(made)
        await _interrupt_the_watch(life, api, chance)
        await life.settle(150.0)
        good = api.objects[NAMESPACE, GOOD]["status"]
        assert good.get("trainingJobStatus") == "Completed", f"the good object was not served: {good}"
        creates = [job for job in service.created if job.identity.job_name == GOOD]
        assert len(creates) == 1, f"the good object got {len(creates)} jobs"
        service.honest = True
        for key in list(api.objects):
            api.delete(key)
        await life.settle(700.0)
        # A job in a region out of reach cannot be stopped, so its object is released by the policy retain.
        for key in list(api.objects):
            api.annotate(key, **{annotations.DELETION_POLICY: "retain", annotations.READ_ONLY: None})
        await life.settle(60.0)
        stuck = [json.dumps(one)[:800] for one in api.objects.values() if FINALIZER in one["metadata"]["finalizers"]]
        assert not stuck, f"stuck: {stuck}"
        touched = {name: job.changes for name, job in foreign.items() if job.changes}
        assert not touched, f"foreign jobs were touched: {touched}"
        await life.end()

    try:
        run_virtually(scene())
    except Exception as error:  # noqa: BLE001  any exception is a finding of the fuzz
        return [f"  fuzz:{seed}\n    {type(error).__name__}: {str(error)[:2000]}"]
    return []


async def _interrupt_the_watch(life: SimulatedOperator, api: FakeApiServer, chance: random.Random) -> None:
    """Within 50 s: edits and deletions without a watch, then a list of the remaining objects."""
    await life.settle(chance.uniform(0.0, 30.0))
    life.interrupt_watch()
    for key in list(api.objects):
        if key[1] == GOOD or chance.random() < 0.7:
            continue
        if chance.random() < 0.5:
            api.delete(key)
        else:
            api.annotate(key, unrelated=str(chance.random()))
    await life.settle(20.0)
    life.connect_watch()


async def run(world: World) -> None:
    """Two processes share the worlds; `world.only` may be the seed of one world."""
    if world.only:
        problems = await _play_apart([world.only])
        world.ledger.enter(f"fuzz {world.only}", WHOLE, injected=CROWD, jobs=CROWD, problems=problems)
        return
    count = QUICK_CASES if world.quick else CASES
    seeds = [f"{world.seed}/{number}" for number in range(count // CROWD)]
    halves = await asyncio.gather(_play_apart(seeds[::2]), _play_apart(seeds[1::2]))
    problems = [problem for half in halves for problem in half]
    title = "bad objects, answers and annotations, in virtual time"
    world.ledger.enter(title, WHOLE, injected=count, jobs=count, problems=problems)


async def _play_apart(seeds: list[str]) -> list[str]:
    """The worlds of these seeds, in a separate process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.fuzz"),
        cwd=ROOT,
        env=bare_environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate(json.dumps(seeds).encode())
    return list(json.loads(output)) if process.returncode == 0 else [f"  fuzz ended with {process.returncode}"]


def _main() -> None:
    """stdin: seeds as JSON; stdout: problems as JSON."""
    logging.getLogger("trainingjob_operator").setLevel(logging.CRITICAL)
    seeds = json.loads(sys.stdin.read())
    print(json.dumps([problem for seed in seeds for problem in play(seed, CROWD)]))


async def run_under_acks_crd(world: World) -> None:
    """With a real API server and process, behind a CRD that accepts more than this operator's."""
    await run_trials(world, "acks_crd", TRIALS)


async def _crowd(case: Case) -> list[str]:
    chance = case.world.chance("fuzz")
    await plan(case, seconds=3)
    wanted = 60 if case.world.quick else 400
    for operation in ("DescribeTrainingJob", "ListTrainingJobs"):
        await case.fault("garbage", operation, after=True, rate=0.1, seconds=20)
    patches = [{"TrainingJobStatus": "Novel"}, {"SecondaryStatusTransitions": None}, {"CreationTime": None}]
    patches += [{"FailureReason": "x" * 100_000}, {"ModelArtifacts": {"S3ModelArtifacts": ""}}]
    for number, patch in enumerate(patches):
        job = f"{case.namespace}-bad-*{number}"
        await case.fault("answer", "DescribeTrainingJob", job=job, patch=patch, seconds=20)
    while case.injected < wanted:
        made = bad_object(f"bad-{case.injected}", chance)
        spec = made["spec"] if isinstance(made["spec"], dict) else {}
        spec["trainingJobName"] = (
            case.job_name(f"bad-{case.injected}") if chance.random() < 0.9 else chance.choice(VALUES)
        )
        metadata = {"name": made["metadata"]["name"], "annotations": _reachable(made["metadata"]["annotations"])}
        head = {"apiVersion": "sagemaker.services.k8s.aws/v1alpha1", "kind": "TrainingJob"}
        case.injected += 1
        try:
            await case.create({**head, "metadata": metadata, "spec": spec})
        except Refused as error:
            if error.status not in (400, 422):
                raise
    await apply(case, GOOD)
    case.operator.start(wait=False)
    await case.wait_status(GOOD, "Completed", 120)
    await asyncio.sleep(20)
    return await delete_everything(case, seconds=120)


def _reachable(asked: dict[str, str]) -> dict[str, str]:
    """Without endpoints that no server answers: their objects wait, and another test covers them."""
    return {key: value for key, value in asked.items() if key != annotations.ENDPOINT_URL}


TRIALS = (Trial("bad objects and answers, on real parts", WHOLE, _crowd, jobs=400),)

if __name__ == "__main__":
    _main()
