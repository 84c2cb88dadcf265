"""The report of one reconcile."""

from __future__ import annotations

import pytest

from tests.logic.builders import ACCOUNT, ARN, JOB, REGION
from tests.logic.decide.situations import CLASH, EDITED, OWNED, RUNS, view_of
from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.decide.composition import compose
from trainingjob_operator.logic.state.steps import WriteStatus


def test_a_report_without_a_job_has_no_identity() -> None:
    report = compose(view_of({}, {}, {}, {}), WriteStatus())
    assert (report.arn, report.account, report.region, report.partition, report.job_name) == (None,) * 5
    assert report.ownership is None
    assert report.observation is None


def test_a_report_on_a_job_has_its_identity_and_newest_observation() -> None:
    report = compose(view_of(OWNED, {"observation": RUNS, "described_at": 1.0}, {}, {}), WriteStatus())
    assert (report.arn, report.account, report.region, report.job_name) == (ARN, ACCOUNT, REGION, JOB)
    assert report.observation == RUNS
    assert report.is_found
    assert report.ownership is not None


def test_a_report_on_a_disowned_job_has_neither_observation_nor_ownership() -> None:
    report = compose(view_of(OWNED, {"observation": RUNS}, {}, {}), WriteStatus(terminal=CLASH, disowned=True))
    assert (report.observation, report.ownership) == (None, None)


def test_an_unknown_region_is_an_advisory_while_no_job_exists() -> None:
    report = compose(view_of({}, {}, {}, {"is_region_known": False}), WriteStatus())
    assert [advisory.reason for advisory in report.advisories] == [reasons.REGION_UNKNOWN]
    assert compose(view_of(OWNED, {}, {}, {"is_region_known": False}), WriteStatus()).advisories == ()


@pytest.mark.parametrize(
    ("known", "step", "generation"),
    [
        ({}, WriteStatus(), 2),
        ({}, WriteStatus(unfinished=True), 1),
        ({"unsettled": True}, WriteStatus(), 2),
    ],
    ids=["finished", "unfinished edit", "attempt of an object with a job"],
)
def test_observed_generation_advances_only_after_a_finished_decision(
    known: dict[str, bool], step: WriteStatus, generation: int
) -> None:
    assert compose(view_of(EDITED, known, {}, {}), step).generation == generation


@pytest.mark.parametrize(("opened", "generation"), [(None, 0), (1, 0), (2, 2)])
def test_an_edit_during_an_open_attempt_does_not_advance_the_observed_generation(
    opened: int | None, generation: int
) -> None:
    view = view_of({"generation": 2}, {"unsettled": True, "open_generation": opened}, {}, {})
    assert compose(view, WriteStatus()).generation == generation
