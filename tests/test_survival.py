"""Crashes at any call and write, with lost or stale answers and edits: no job is lost or duplicated.

The tests run in virtual time on fakes; tests/e2e has crashes on real parts.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.api_server import FakeApiServer
from tests.fakes.operator import FakeClusterState, SimulatedOperator
from tests.fakes.service import FakeService, failed
from tests.fakes.virtual_time import run
from tests.logic.builders import JOB, NAME, NAMESPACE, WANTED, body
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass
from trainingjob_operator.logic.objects.annotations import ADOPTION_POLICY, DELETION_POLICY, READ_ONLY, REGION

pytestmark = pytest.mark.no_cover
KEY = (NAMESPACE, NAME)
LONG = 400.0
"""Seconds until every object is settled."""


class KilledError(BaseException):
    """The process was killed."""


class Trials:
    """Runs of an operator with a crash at a certain call or write and a restart."""

    def __init__(self, *, kill_at: int | None = None, **service: Any) -> None:
        self.api = FakeApiServer()
        self.service = FakeService(**service)
        self.cluster_state = FakeClusterState()
        self.points: list[str] = []
        self.deletions: list[float] = []
        self._kill_at = kill_at
        self._dead = asyncio.Event()
        self.fault: Callable[[str, bool], None] = lambda _operation, _before: None
        self.service.fault = self._pass_by
        self.api.hinder = self._pass_by

    def _pass_by(self, what: str, before: bool) -> None:
        if self._dead.is_set():
            raise KilledError
        self.points.append(f"{'before' if before else 'after'} {what}")
        if len(self.points) - 1 == self._kill_at:
            self._dead.set()
            raise KilledError
        if what.endswith(("Job", "Jobs", "Tags")):
            self.fault(what, before)

    async def run_steps(
        self, script: Callable[[int], None], *, steps: int, pause: float, dead_seconds: float = 3.0
    ) -> SimulatedOperator:
        """Run the steps of the script, with another operator after the kill; returns the operator of the last step."""
        operator = SimulatedOperator(self.api, self.service, cluster_state=self.cluster_state)
        for step in range(steps):
            script(step)
            try:
                await asyncio.wait_for(self._dead.wait(), pause)
            except TimeoutError:
                continue
            await operator.end()
            await asyncio.sleep(dead_seconds)
            self._dead.clear()
            self._kill_at = None
            operator = SimulatedOperator(self.api, self.service, cluster_state=self.cluster_state, seed=step)
        return operator

    async def play(self, script: Callable[[int], None], *, steps: int, pause: float, dead_seconds: float = 3.0) -> None:
        operator = await self.run_steps(script, steps=steps, pause=pause, dead_seconds=dead_seconds)
        self._kill_at = None
        await asyncio.sleep(LONG)
        await operator.settle(0.1)
        self.check()
        self.api.delete(KEY)
        self.deletions.append(asyncio.get_running_loop().time())
        await operator.settle(LONG)
        assert KEY not in self.api.objects, "every object can be deleted"
        self.check()
        await operator.end()

    def delete(self) -> None:
        self.deletions.append(asyncio.get_running_loop().time())
        self.api.delete(KEY)

    def read_only(self, value: str | None) -> None:
        self.may_outlive = value is not None
        self.api.annotate(KEY, **{READ_ONLY: value})

    def check(self) -> None:
        now = asyncio.get_running_loop().time()
        assert len({job.identity.slot for job in self.service.created}) == len(self.service.created)
        assert len(self.service.created) <= 1, "at most one job for an object"
        for _, at in self.service.stopped:
            assert any(deleted <= at for deleted in self.deletions), "no Stop without a deletion"
        body_now = self.api.objects.get(KEY)
        for job in self.service.created:
            if job.status(now) not in ("InProgress", "Stopping"):
                continue
            assert body_now is not None or self.may_outlive, "no orphaned job"
            if body_now is not None:
                arn = body_now["status"]["ackResourceMetadata"]["arn"]
                assert arn.endswith("/" + job.identity.job_name.lower()), "the object shows its running job"
                assert job.identity.region in arn
                assert body_now["status"]["trainingJobStatus"] == job.status(now)

    may_outlive = False
    """True if the deletion of the object must not stop the job."""


def _apply(trials: Trials) -> Callable[[int], None]:
    return lambda step: trials.api.apply(body()) if step == 0 else None


def _apply_and_delete(trials: Trials) -> Callable[[int], None]:
    return lambda step: trials.api.apply(body()) if step == 0 else trials.delete() if step == 25 else None


def _apply_and_move(trials: Trials) -> Callable[[int], None]:
    def script(step: int) -> None:
        if step == 0:
            trials.api.apply(body())
        elif step == 1 and KEY in trials.api.objects:
            trials.api.annotate(KEY, **{REGION: "eu-central-1"})

    return script


def _apply_and_replace_selector(trials: Trials) -> Callable[[int], None]:
    """Another selector selects another account for half a minute, right after the object was applied."""
    roles = {account: f"arn:aws:iam::{account}:role/train" for account in ("111122223333", "444455556666")}
    (_, gold), (account, lead) = roles.items()
    trials.cluster_state.roles = {account: lead}  # for a job created under the second selector

    def script(step: int) -> None:
        trials.cluster_state.selectors = {"lead": {"arn": lead}} if 0 < step < 30 else {"gold": {"arn": gold}}
        if step == 0:
            trials.api.apply(body())

    return script


SCRIPTS = {
    "a life": _apply,
    "a life that is cut short": _apply_and_delete,
    "a region edited": _apply_and_move,
    "a selector replaced": _apply_and_replace_selector,
}


def _points(name: str) -> list[str]:
    """All calls and writes of a run without faults, by number."""

    async def main() -> list[str]:
        trials = Trials(seconds=40.0)
        await trials.play(SCRIPTS[name](trials), steps=60, pause=1.0)
        return trials.points

    return run(main())


@pytest.mark.parametrize(
    ("name", "hidden"),
    [(name, hidden) for name in SCRIPTS for hidden in (0.0, 20.0) if "selector" not in name or not hidden],
)
def test_a_crash_at_any_call_or_write_neither_loses_nor_duplicates_a_job(name: str, hidden: float) -> None:
    points = _points(name)
    assert len(points) > 10
    for kill_at, point in enumerate(points):

        async def main(kill_at: int = kill_at) -> Trials:
            trials = Trials(kill_at=kill_at, seconds=40.0, hidden_seconds=hidden)
            await trials.play(SCRIPTS[name](trials), steps=60, pause=1.0)
            return trials

        try:
            trials = run(main())
            assert len(trials.service.created) == 1
        except AssertionError as error:
            raise AssertionError(f"killed {point} ({kill_at}): {error}") from error


ERRORS: list[tuple[ErrorClass, str, bool]] = [
    (ErrorClass.RETRY, "InternalFailure", False),
    (ErrorClass.RETRY, "ReadTimeoutError", False),
    (ErrorClass.THROTTLED, "ThrottlingException", True),
    (ErrorClass.DENIED, "AccessDeniedException", True),
    (ErrorClass.CREDENTIALS, "ExpiredTokenException", True),
    (ErrorClass.DOUBTFUL, "ValidationException", True),
    (ErrorClass.WAITING, "ResourceLimitExceeded", True),
]

ACTIONS: dict[str, Callable[[Trials], None]] = {
    "nothing": lambda _trials: None,
    "delete": lambda trials: trials.delete(),
    "edit": lambda trials: trials.api.edit(KEY, stoppingCondition={"maxRuntimeInSeconds": 60}),
    "region": lambda trials: trials.api.annotate(KEY, **{REGION: "eu-central-1"}),
    "bad region": lambda trials: trials.api.annotate(KEY, **{REGION: "nowhere"}),
    "good region": lambda trials: trials.api.annotate(KEY, **{REGION: None}),
    "adopt": lambda trials: trials.api.annotate(KEY, **{ADOPTION_POLICY: "adopt-or-create"}),
    "read only": lambda trials: trials.read_only("true"),
    "read and write": lambda trials: trials.read_only(None),
}


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    actions=st.lists(st.sampled_from(sorted(ACTIONS)), min_size=1, max_size=6),
    pauses=st.lists(st.sampled_from([0.03, 0.1, 0.5, 3.0, 20.0]), min_size=6, max_size=6),
    kill_at=st.none() | st.integers(0, 40),
    hidden=st.sampled_from([0.0, 5.0, 25.0]),
    errors=st.integers(0, 60),
    seconds=st.sampled_from([15.0, 60.0, 5000.0]),
)
def test_random_faults_leave_at_most_one_job_and_every_object_can_be_deleted(
    seed: int,
    actions: list[str],
    pauses: list[float],
    kill_at: int | None,
    hidden: float,
    errors: int,
    seconds: float,
) -> None:
    async def main() -> None:
        trials = Trials(kill_at=kill_at, seconds=seconds, hidden_seconds=hidden)
        chance = random.Random(seed)
        until = asyncio.get_running_loop().time() + 100.0

        def fail(operation: str, before: bool) -> None:
            if chance.randrange(100) >= errors or asyncio.get_running_loop().time() > until:
                return
            kind, code, definite = chance.choice(ERRORS)
            if kind is ErrorClass.DOUBTFUL and operation != "CreateTrainingJob":
                return
            if before or not definite:
                raise AwsError(operation, code, "words", kind, definite=definite)

        trials.fault = fail
        plan = [(sum(pauses[: index + 1]), action) for index, action in enumerate(actions)]
        began = asyncio.get_running_loop().time()
        trials.api.apply(body())

        def script(_step: int) -> None:
            now = asyncio.get_running_loop().time() - began
            while plan and plan[0][0] <= now:
                action = plan.pop(0)[1]
                if KEY in trials.api.objects:
                    ACTIONS[action](trials)

        await trials.play(script, steps=150, pause=1.0)

    run(main())


def test_a_retained_job_survives_its_object_and_any_crash() -> None:
    for kill_at in range(12):

        async def main(kill_at: int = kill_at) -> None:
            trials = Trials(kill_at=kill_at, seconds=5000.0)
            trials.may_outlive = True
            script = _apply(trials)
            trials.cluster_state.namespaces[NAMESPACE] = {f"sagemaker.{DELETION_POLICY}": "retain"}
            await trials.play(script, steps=20, pause=1.0)
            assert trials.service.stopped == []
            assert len(trials.service.created) == 1

        run(main())


def test_a_foreign_job_is_never_changed_at_any_crash() -> None:
    for kill_at in range(12):

        async def main(kill_at: int = kill_at) -> None:
            trials = Trials(kill_at=kill_at, seconds=5000.0)
            job = trials.service.put(WANTED, {"TrainingJobName": JOB}, {"team": "other"})
            lost = [failed("CreateTrainingJob", "ReadTimeoutError", ErrorClass.RETRY, definite=False)]

            def lose(operation: str, before: bool) -> None:
                if operation == "CreateTrainingJob" and before and lost:
                    raise lost.pop()

            trials.fault = lose
            await trials.play(_apply(trials), steps=60, pause=1.0)
            assert job.stopped is None
            assert job.tags == {"team": "other"}

        run(main())
