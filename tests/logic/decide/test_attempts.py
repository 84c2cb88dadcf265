"""Attempts with an unknown outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.logic.builders import WANTED
from tests.logic.decide.situations import (
    ADOPT,
    ARN_ELSEWHERE,
    ELSEWHERE,
    FOUND_FOREIGN,
    FOUND_FORMER,
    FOUND_OURS,
    MARKED,
    MARKED_ELSEWHERE,
    NO_ACCESS,
    NOW,
    RUNS,
    says,
    shown,
    trouble,
    when,
)
from trainingjob_operator.logic.decide.phases import decide
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.operations import DESCRIBE
from trainingjob_operator.logic.state.ownership import Verdict
from trainingjob_operator.logic.state.steps import (
    ClearIntent,
    Describe,
    ReadTags,
    Requeue,
    Step,
    TakeOwnership,
)

if TYPE_CHECKING:
    from trainingjob_operator.logic.state.view import View

ATTEMPTS = [
    when("an attempt elsewhere is settled first", Describe(ELSEWHERE), MARKED_ELSEWHERE),
    when("one of an object that only adopts by now too", Describe(WANTED), {**MARKED, **ADOPT}),
    when("it was definitely refused", ClearIntent(), MARKED_ELSEWHERE, {"attempted_at": NOW - 5}),
    when("it has made a job: whose?", ReadTags(ELSEWHERE, ARN_ELSEWHERE), MARKED_ELSEWHERE, {"observation": RUNS}),
    when("ours", TakeOwnership(ARN_ELSEWHERE, finalizer=True, claim=Verdict.CREATED), MARKED_ELSEWHERE, FOUND_OURS),
    when("not ours", ClearIntent(), MARKED_ELSEWHERE, FOUND_FOREIGN),
    when(
        "an earlier run, as a backup without status leaves it",
        TakeOwnership(ARN_ELSEWHERE, finalizer=True, claim=Verdict.INHERITED),
        MARKED_ELSEWHERE,
        FOUND_FORMER,
    ),
    when(
        "an earlier run with another spec",
        ClearIntent(),
        MARKED_ELSEWHERE,
        {**FOUND_FORMER, "differences": ("roleARN",)},
    ),
    when("a hint about it", Describe(ELSEWHERE), MARKED_ELSEWHERE, {**FOUND_FOREIGN, "needs_describe": True}),
    when(
        "an earlier run that is gone since",
        ClearIntent(),
        MARKED_ELSEWHERE,
        {**FOUND_FORMER, "not_found": True, "attempted_at": NOW - 40, "unsettled": True},
    ),
    when("it can't be reached", says(hindrance="RoleUnavailable", again=30.0), MARKED_ELSEWHERE, no_access=NO_ACCESS),
    when(
        "Describe does not answer",
        says(again=10.0),
        MARKED_ELSEWHERE,
        {"troubles": trouble(DESCRIBE, ErrorClass.RETRY)},
    ),
    when(
        "NotFound soon after the last attempt means nothing",
        Requeue(20.1),
        MARKED_ELSEWHERE,
        {"unsettled": True, "attempted_at": NOW - 10, "not_found": True, "described_at": NOW - 1},
    ),
    when(
        "so look again when it does",
        Describe(ELSEWHERE),
        MARKED_ELSEWHERE,
        {"unsettled": True, "attempted_at": NOW - 31, "not_found": True, "described_at": NOW - 5},
    ),
    when(
        "then it is believed",
        ClearIntent(),
        MARKED_ELSEWHERE,
        {"unsettled": True, "attempted_at": NOW - 40, "not_found": True, "described_at": NOW - 10},
    ),
    when(
        "an attempt of an earlier life of the process may be as young as this one",
        Requeue(25.1),
        MARKED_ELSEWHERE,
        {"first_seen": NOW - 5, "unsettled": True, "not_found": True, "described_at": NOW - 1},
    ),
]


@pytest.mark.parametrize(("view", "step"), ATTEMPTS)
def test_in_this_situation_comes_that_step(view: View, step: Step | dict[str, Any]) -> None:
    assert shown(decide(view)) == step
