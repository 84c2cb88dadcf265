"""Objects that adopt or read a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.logic.builders import ARN, WANTED
from tests.logic.decide.situations import (
    ADOPT,
    ADOPT_OR_CREATE,
    ENDED,
    FOUND_ABSENT,
    FOUND_ELSEWHERES,
    FOUND_FOREIGN,
    FOUND_OTHERS,
    FOUND_OURS,
    MARKED,
    NOW,
    READS,
    RIVAL,
    RUNS,
    of,
    says,
    shown,
    trouble,
    when,
)
from trainingjob_operator.logic.decide.phases import decide
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.objects.annotations import (
    ADOPT_FROM_CLUSTER,
)
from trainingjob_operator.logic.operations import DESCRIBE
from trainingjob_operator.logic.state.ownership import Verdict
from trainingjob_operator.logic.state.steps import (
    ClearIntent,
    Describe,
    FindOwner,
    JoinQueue,
    ReadTags,
    Step,
    TakeOwnership,
)

if TYPE_CHECKING:
    from trainingjob_operator.logic.state.view import View

ADOPTION = [
    when("a job to be adopted is looked for", Describe(WANTED), ADOPT),
    when("and again when something says so", Describe(WANTED), ADOPT, {**FOUND_FOREIGN, "needs_describe": True}),
    when(
        "Describe is denied",
        says(hindrance="AccessDenied", again=10.0),
        ADOPT,
        {"troubles": trouble(DESCRIBE, ErrorClass.DENIED)},
    ),
    when("it runs", TakeOwnership(ARN, finalizer=True, claim=Verdict.ADOPTED), ADOPT, FOUND_FOREIGN),
    when(
        "it has ended: there is nothing to stop",
        TakeOwnership(ARN, finalizer=False, claim=Verdict.CREATED),
        ADOPT,
        {**FOUND_OURS, "observation": ENDED},
    ),
    when(
        "a read-only object holds nothing",
        TakeOwnership(ARN, finalizer=False, claim=Verdict.OBSERVED),
        READS,
        FOUND_FOREIGN,
    ),
    when(
        "tags that were read of another job prove nothing",
        ReadTags(WANTED, ARN),
        ADOPT,
        {**FOUND_OTHERS, "proof": None},
    ),
    when("whose is it?", ReadTags(WANTED, ARN), ADOPT, {"observation": RUNS, "described_at": NOW}),
    when(
        "another object owns it",
        says(terminal="NameClash", disowned=True, again=60.0),
        ADOPT,
        FOUND_FOREIGN,
        rival=RIVAL,
    ),
    when(
        "its tags name another object: does that exist?",
        FindOwner(("team-b", "theirs")),
        ADOPT,
        FOUND_OTHERS,
    ),
    when(
        "it does: the job is never adopted",
        says(terminal="NameClash", disowned=True, again=60.0),
        ADOPT,
        {**FOUND_OTHERS, "named_owner": (True, NOW - 59)},
    ),
    when(
        "it did a minute ago",
        FindOwner(("team-b", "theirs")),
        ADOPT,
        {**FOUND_OTHERS, "named_owner": (True, NOW - 60)},
    ),
    when(
        "it does not",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.ADOPTED),
        ADOPT,
        {**FOUND_OTHERS, "named_owner": (False, NOW)},
    ),
    when(
        "its tags name another cluster",
        says(terminal="NameClash", disowned=True, again=60.0),
        ADOPT,
        FOUND_ELSEWHERES,
    ),
    when(
        "and so does an annotation",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.ADOPTED),
        {"annotations": {**of(adoption="adopt"), ADOPT_FROM_CLUSTER: "other"}},
        FOUND_ELSEWHERES,
    ),
    when(
        "an annotation that names a third cluster permits nothing",
        says(terminal="NameClash", disowned=True, again=60.0),
        {"annotations": {**of(adoption="adopt"), ADOPT_FROM_CLUSTER: "third"}},
        FOUND_ELSEWHERES,
    ),
    when(
        "and may be read all the same",
        TakeOwnership(ARN, finalizer=False, claim=Verdict.OBSERVED),
        READS,
        FOUND_FOREIGN,
        rival=RIVAL,
    ),
    when("it is not there", says(terminal="JobNotFound", disowned=True, again=50.0), ADOPT, FOUND_ABSENT),
    when("it is not there to be read", says(terminal="JobNotFound", disowned=True, again=50.0), READS, FOUND_ABSENT),
    when("it is looked for once a minute", Describe(WANTED), ADOPT, {**FOUND_ABSENT, "described_at": NOW - 60}),
    when(
        "it is not there, and the object holds a finalizer",
        ClearIntent(
            Finding(
                "JobNotFound",
                f"There is no training job {WANTED} to adopt. Correct its name, region or account, or create it.",
            )
        ),
        {**ADOPT, "held": True},
        FOUND_ABSENT,
    ),
    when("it is not there, and may be created", JoinQueue(WANTED), ADOPT_OR_CREATE, FOUND_ABSENT),
    when(
        "it is there after an attempt whose answer was lost: whose?",
        ReadTags(WANTED, ARN),
        {**MARKED, **ADOPT_OR_CREATE},
        {"observation": RUNS, "described_at": NOW},
    ),
    when(
        "its own", TakeOwnership(ARN, finalizer=True, claim=Verdict.CREATED), {**MARKED, **ADOPT_OR_CREATE}, FOUND_OURS
    ),
    when(
        "somebody else's, to be adopted",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.ADOPTED),
        {**MARKED, **ADOPT_OR_CREATE},
        FOUND_FOREIGN,
    ),
]


@pytest.mark.parametrize(("view", "step"), ADOPTION)
def test_in_this_situation_comes_that_step(view: View, step: Step | dict[str, Any]) -> None:
    assert shown(decide(view)) == step
