"""Attempts to create with an unknown result."""

from __future__ import annotations

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
    decides,
    reports,
    trouble,
    when,
)
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.operations import DESCRIBE
from trainingjob_operator.logic.state.ownership import Verdict
from trainingjob_operator.logic.state.steps import ClearIntent, Describe, ReadTags, Requeue, TakeOwnership

ATTEMPTS = [
    when("attempt in another region: Describe it first", Describe(ELSEWHERE), MARKED_ELSEWHERE),
    when("attempt of an object with a new adoption policy: Describe it first", Describe(WANTED), {**MARKED, **ADOPT}),
    when("SageMaker refused the attempt: clear the intent", ClearIntent(), MARKED_ELSEWHERE, {"attempted_at": NOW - 5}),
    when("a job exists: ReadTags", ReadTags(ELSEWHERE, ARN_ELSEWHERE), MARKED_ELSEWHERE, {"observation": RUNS}),
    when(
        "tags name this object: own the job",
        TakeOwnership(ARN_ELSEWHERE, finalizer=True, claim=Verdict.CREATED),
        MARKED_ELSEWHERE,
        FOUND_OURS,
    ),
    when("foreign job: clear the intent", ClearIntent(), MARKED_ELSEWHERE, FOUND_FOREIGN),
    when(
        "run of an earlier object after a restore without status: inherit",
        TakeOwnership(ARN_ELSEWHERE, finalizer=True, claim=Verdict.INHERITED),
        MARKED_ELSEWHERE,
        FOUND_FORMER,
    ),
    when(
        "run of an earlier object with another spec: clear the intent",
        ClearIntent(),
        MARKED_ELSEWHERE,
        {**FOUND_FORMER, "differences": ("roleARN",)},
    ),
    when(
        "hint about the job: Describe", Describe(ELSEWHERE), MARKED_ELSEWHERE, {**FOUND_FOREIGN, "needs_describe": True}
    ),
    when(
        "run of an earlier object, not found now: clear the intent",
        ClearIntent(),
        MARKED_ELSEWHERE,
        {**FOUND_FORMER, "not_found": True, "attempted_at": NOW - 40, "unsettled": True},
    ),
    when(
        "no access to the account",
        reports(hindrance="RoleUnavailable", again=30.0),
        MARKED_ELSEWHERE,
        no_access=NO_ACCESS,
    ),
    when(
        "Describe fails",
        reports(again=10.0),
        MARKED_ELSEWHERE,
        {"troubles": trouble(DESCRIBE, ErrorClass.RETRY)},
    ),
    when(
        "NotFound soon after the attempt: requeue",
        Requeue(20.1),
        MARKED_ELSEWHERE,
        {"unsettled": True, "attempted_at": NOW - 10, "not_found": True, "described_at": NOW - 1},
    ),
    when(
        "30 s after the attempt: Describe again",
        Describe(ELSEWHERE),
        MARKED_ELSEWHERE,
        {"unsettled": True, "attempted_at": NOW - 31, "not_found": True, "described_at": NOW - 5},
    ),
    when(
        "NotFound 30 s after the attempt: clear the intent",
        ClearIntent(),
        MARKED_ELSEWHERE,
        {"unsettled": True, "attempted_at": NOW - 40, "not_found": True, "described_at": NOW - 10},
    ),
    when(
        "attempt of an earlier process: its age counts from the start of this process",
        Requeue(25.1),
        MARKED_ELSEWHERE,
        {"first_seen": NOW - 5, "unsettled": True, "not_found": True, "described_at": NOW - 1},
    ),
]


test_situation_leads_to_step = decides(ATTEMPTS)
