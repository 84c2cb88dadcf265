"""The report of one reconcile."""

from __future__ import annotations

import pytest

from tests.logic.builders import ACCOUNT, ARN, JOB, REGION
from tests.logic.decide.situations import CLASH, EDITED, OWNED, RUNS, look_at
from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.decide.composition import compose
from trainingjob_operator.logic.state.steps import WriteStatus


def test_a_report_without_a_job_has_no_identity() -> None:
    report = compose(look_at({}, {}, {}, {}), WriteStatus())
    assert (report.arn, report.account, report.region, report.partition, report.job_name) == (None,) * 5
    assert report.ownership is None
    assert report.observation is None


def test_a_report_on_a_job_has_its_identity_and_the_newest_observation() -> None:
    report = compose(look_at(OWNED, {"observation": RUNS, "described_at": 1.0}, {}, {}), WriteStatus())
    assert (report.arn, report.account, report.region, report.job_name) == (ARN, ACCOUNT, REGION, JOB)
    assert report.observation == RUNS
    assert report.is_found
    assert report.ownership is not None


def test_a_report_that_disowns_a_job_has_nothing_of_it() -> None:
    report = compose(look_at(OWNED, {"observation": RUNS}, {}, {}), WriteStatus(terminal=CLASH, disowned=True))
    assert (report.observation, report.ownership) == (None, None)


def test_an_unknown_region_is_an_advisory_until_there_is_a_job() -> None:
    report = compose(look_at({}, {}, {}, {"is_region_known": False}), WriteStatus())
    assert [advisory.reason for advisory in report.advisories] == [reasons.REGION_UNKNOWN]
    assert compose(look_at(OWNED, {}, {}, {"is_region_known": False}), WriteStatus()).advisories == ()


@pytest.mark.parametrize(
    ("known", "said", "generation"),
    [
        ({}, WriteStatus(), 2),
        ({}, WriteStatus(unfinished=True), 1),
        ({"unsettled": True}, WriteStatus(), 2),
    ],
    ids=["decided", "an edit is unfinished", "an attempt of an object with a job"],
)
def test_the_observed_generation_is_the_one_that_was_decided_on(
    known: dict[str, bool], said: WriteStatus, generation: int
) -> None:
    assert compose(look_at(EDITED, known, {}, {}), said).generation == generation


@pytest.mark.parametrize(("opened", "generation"), [(None, 0), (1, 0), (2, 2)])
def test_an_edit_during_an_open_attempt_is_not_observed_yet(opened: int | None, generation: int) -> None:
    view = look_at({"generation": 2}, {"unsettled": True, "open_generation": opened}, {}, {})
    assert compose(view, WriteStatus()).generation == generation
