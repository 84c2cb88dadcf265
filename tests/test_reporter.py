"""The road to `.status`: written when something differs, told once, and never against a lost leadership."""

import asyncio

import pytest

from tests.fakes.service import failed
from tests.fakes.stage import Stage, played
from tests.fakes.world import FakeLeadership
from tests.logic.builders import body
from trainingjob_operator.kube.errors import Conflict, KubeError, Unavailable
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.objects.annotations import RECONCILE_REQUESTS
from trainingjob_operator.reporter import PRUNED_SECONDS


def test_each_piece_of_news_is_one_event() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(100.0)
        assert stage.life is not None
        reasons = [reason for _, reason, _ in stage.life.recorder.events]
        assert reasons == ["Created", "Starting", "Downloading", "Training", "JobCompleted"]

    played(scene)


@pytest.mark.parametrize(
    ("error", "outcome"), [(Conflict("somebody wrote first"), "conflict"), (Unavailable("no connection"), "failed")]
)
def test_each_write_is_counted_by_how_it_went(error: KubeError, outcome: str) -> None:
    async def scene(stage: Stage) -> None:
        errors = [error]

        def hinder(what: str, before: bool) -> None:
            if what == "status" and before and errors:
                raise errors.pop()

        stage.api.hinder = hinder
        stage.api.apply(body())
        await asyncio.sleep(100.0)
        assert stage.life is not None
        counts = {
            told: stage.life.registry.get_sample_value("trainingjob_status_writes_total", {"outcome": told})
            for told in ("conflict", "failed", "written")
        }
        assert counts == {"conflict": None, "failed": None, outcome: 1.0, "written": stage.api.writes.count("status")}

    played(scene)


def test_what_was_refused_for_good_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(stage: Stage) -> None:
        stage.service.refusals["CreateTrainingJob"] = failed("CreateTrainingJob", "X", ErrorClass.REFUSED, "no good")
        stage.api.apply(body())
        await stage.wait(30.0)
        await stage.start()
        await stage.wait(30.0)
        (line,) = [record for record in caplog.records if "no good" in record.getMessage()]
        assert (line.levelname, line.getMessage()) == (
            "WARNING",
            "Refused: CreateTrainingJob failed with X: no good",
        )
        assert vars(line)["k8s_ref"] == {"namespace": "team-a", "name": "churn"}

    played(scene)


def test_the_end_is_counted_once_with_its_outcome() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(100.0)
        life = stage.life
        assert life is not None
        assert life.registry.get_sample_value("trainingjob_ended_total", {"outcome": "Failed"}) == 1.0

    played(scene, outcome="Failed")


def test_a_look_that_shows_nothing_new_writes_only_that_it_was_asked_for() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(40.0)
        writes = len(stage.api.writes)
        stage.api.annotate(("team-a", "churn"), **{RECONCILE_REQUESTS[1]: "1"})
        await stage.wait(5.0)
        assert len(stage.api.writes) == writes + 1

    played(scene, seconds=5000.0)


def test_a_status_is_not_written_after_the_leadership_is_lost() -> None:
    async def scene(stage: Stage) -> None:
        leadership = FakeLeadership()
        await stage.start(leadership=leadership)
        lost: list[int] = []

        def lose(operation: str, before: bool) -> None:
            if operation == "CreateTrainingJob" and not before:
                leadership.lead(leads=False)
                lost.append(len(stage.api.writes))

        stage.service.fault = lose
        stage.api.apply(body())
        await stage.wait(20.0)
        assert lost == [len(stage.api.writes)]
        leadership.lead(leads=True)
        await stage.wait(50.0)
        assert len(stage.service.created) == 1
        assert stage.object["status"]["ackResourceMetadata"]["arn"]

    played(scene, seconds=5000.0)


def test_fields_that_a_new_crd_keeps_are_written_even_if_the_old_one_pruned_them_a_moment_ago() -> None:
    async def scene(stage: Stage) -> None:
        stage.api.apply(body())
        await stage.wait(40.0)
        assert "logs" not in stage.object["status"]
        stage.api.annotate(("team-a", "churn"), **{RECONCILE_REQUESTS[1]: "1"})
        await stage.wait(1.0)
        assert "logs" not in stage.object["status"]
        stage.api.keeps = None
        await stage.wait(PRUNED_SECONDS)
        stage.api.annotate(("team-a", "churn"), **{RECONCILE_REQUESTS[1]: "2"})
        await stage.wait(5.0)
        assert stage.object["status"]["logs"]["streamPrefix"] == "Churn-2026/"

    known = {"ackResourceMetadata", "conditions", "trainingJobStatus", "secondaryStatus", "creationTime"}
    played(scene, seconds=5000.0, keeps=frozenset(known))
