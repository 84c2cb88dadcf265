"""Jobs with the wanted name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.logic.builders import ARN, WANTED, claimed, recorded
from tests.logic.decide.situations import (
    ARN_ELSEWHERE,
    ELSEWHERE,
    ENDED,
    FOUND_FOREIGN,
    FOUND_FORMER,
    FOUND_OTHERS,
    FOUND_OURS,
    MARKED,
    NOW,
    RECORDED,
    RIVAL,
    RUNS,
    STOPPED,
    STOPPING,
    TAGGED,
    look_at,
    not_found,
    own,
    says,
    shown,
    trouble,
    when,
)
from trainingjob_operator.logic.decide.phases import decide
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.objects.annotations import (
    ADOPTION_POLICY,
)
from trainingjob_operator.logic.operations import DESCRIBE, LIST_TAGS
from trainingjob_operator.logic.state.ownership import TagProof, Verdict
from trainingjob_operator.logic.state.steps import (
    ClearIntent,
    Describe,
    JoinQueue,
    ReadTags,
    Requeue,
    Step,
    TakeOwnership,
    WriteStatus,
)

if TYPE_CHECKING:
    from trainingjob_operator.logic.state.view import View

IN_USE = [
    when("somebody has the name: who?", Describe(WANTED), MARKED, {"name_taken": True}),
    when(
        "a job is there: whose?",
        ReadTags(WANTED, ARN),
        MARKED,
        {"name_taken": True, "observation": RUNS},
    ),
    when(
        "the tags can't be read now",
        says(hindrance="AccessDenied", again=10.0),
        MARKED,
        {"name_taken": True, "observation": RUNS, "troubles": trouble(LIST_TAGS, ErrorClass.DENIED)},
    ),
    when(
        "taken and not shown: wait",
        Requeue(1.0),
        MARKED,
        {"name_taken": True, "not_found": True, "described_at": NOW - 1},
    ),
    when(
        "taken and not shown: again",
        Describe(WANTED),
        MARKED,
        {"name_taken": True, "not_found": True, "described_at": NOW - 2},
    ),
    when("a hint about it", Describe(WANTED), MARKED, {"name_taken": True, **not_found(32, 2), "needs_describe": True}),
    when("taken and not found for 29 s: again", Describe(WANTED), MARKED, {"name_taken": True, **not_found(31, 2)}),
    when(
        "taken and not found for 30 s",
        says(hindrance="NameInUse", again=5.5),
        MARKED,
        {"name_taken": True, **not_found(32, 2)},
    ),
    when(
        "taken and not found for a minute: again", Describe(WANTED), MARKED, {"name_taken": True, **not_found(75, 15)}
    ),
    when(
        "taken and not found for an hour",
        says(hindrance="NameInUse", again=290.0),
        MARKED,
        {"name_taken": True, **not_found(3600, 10)},
    ),
    when(
        "this object's own lost attempt",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.CREATED),
        MARKED,
        {"name_taken": True, **FOUND_OURS},
    ),
    when(
        "its own lost attempt with the spec before an edit",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.CREATED),
        MARKED,
        {"name_taken": True, **FOUND_OURS, "differences": ("roleARN",)},
    ),
    when(
        "somebody else's: what it holds is let go first",
        ClearIntent(
            Finding(
                "NameClash",
                f"The training job {ARN} exists already and was not created for this object. Use another "
                f"spec.trainingJobName, or adopt it with the annotation {ADOPTION_POLICY}: adopt.",
                ARN,
            )
        ),
        MARKED,
        {"name_taken": True, **FOUND_FOREIGN},
    ),
    when("somebody else's", says(terminal="NameClash", disowned=True), known={"name_taken": True, **FOUND_FOREIGN}),
    when(
        "of an earlier life, and the fields that are set equal it",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.INHERITED),
        known={"name_taken": True, **FOUND_FORMER},
    ),
    when(
        "ACK's tags name the namespace: that proves neither cluster nor object",
        says(terminal="NameClash", disowned=True),
        known={"name_taken": True, **FOUND_OURS, "proof": TagProof.ACK},
    ),
    when(
        "its tags name another object, and no adoption is asked for",
        says(terminal="NameClash", disowned=True),
        known={"name_taken": True, **FOUND_OTHERS},
    ),
    when(
        "of an earlier life, without a tag that the spec asks for",
        says(terminal="NameClash", disowned=True),
        TAGGED,
        {"name_taken": True, **FOUND_FORMER, "tags": {"team": "old"}},
    ),
    when(
        "of an earlier life, with that tag and others",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.INHERITED),
        TAGGED,
        {"name_taken": True, **FOUND_FORMER, "tags": {"team": "new", "cost": "1"}},
    ),
    when(
        "a run of an earlier object stays told as such",
        says(advisories=("EarlierRun",)),
        {"held": True, "status": {**own(), "ownership": claimed(claim="Inherited")}},
    ),
    when(
        "of an earlier life, with another spec",
        says(terminal="NameClash", disowned=True),
        known={"name_taken": True, **FOUND_OURS, "proof": TagProof.SAME_NAME, "differences": ("roleARN",)},
    ),
    *(
        when(
            f"of an earlier life, and {observed.status}",
            says(terminal="NameClash", disowned=True),
            known={"name_taken": True, **FOUND_OURS, "proof": TagProof.SAME_NAME, "observation": observed},
        )
        for observed in (STOPPING, STOPPED)
    ),
]

RECORDED_WITHOUT_FINALIZER = [
    when("an ARN alone proves nothing, and is no reason to create", Describe(WANTED), RECORDED),
    when("it is looked for where the ARN says", Describe(ELSEWHERE), {"status": recorded(ARN_ELSEWHERE)}),
    when("whose is it?", ReadTags(WANTED, ARN), RECORDED, {"observation": RUNS}),
    when(
        "somebody else's, as ACK records it on a clash",
        says(terminal="NameClash", disowned=True),
        RECORDED,
        FOUND_FOREIGN,
    ),
    when(
        "still so when the ARN is gone from the status", says(terminal="NameClash", disowned=True), known=FOUND_FOREIGN
    ),
    when("until somebody asks", JoinQueue(WANTED), known={**FOUND_FOREIGN, "asked": True}),
    when(
        "another object claims it, and the tags prove nothing",
        says(terminal="NameClash", disowned=True),
        RECORDED,
        FOUND_FORMER,
        rival=RIVAL,
    ),
    when(
        "no claim of another object outweighs the tags",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.CREATED),
        RECORDED,
        FOUND_OURS,
        rival=RIVAL,
    ),
    when("ours", TakeOwnership(ARN, finalizer=True, claim=Verdict.CREATED), RECORDED, FOUND_OURS),
    when(
        "ours, and over",
        TakeOwnership(ARN, finalizer=False, claim=Verdict.CREATED),
        RECORDED,
        {**FOUND_OURS, "observation": ENDED},
    ),
    when("Describe does not answer", says(again=10.0), RECORDED, {"troubles": trouble(DESCRIBE, ErrorClass.RETRY)}),
    when(
        "it is gone, and is not made again",
        says(vanished="JobNotFound"),
        RECORDED,
        {"not_found": True, "not_found_since": NOW - 30, "described_at": NOW},
    ),
]


@pytest.mark.parametrize(("view", "step"), [*IN_USE, *RECORDED_WITHOUT_FINALIZER])
def test_in_this_situation_comes_that_step(view: View, step: Step | dict[str, Any]) -> None:
    assert shown(decide(view)) == step


def test_a_clash_names_the_job_and_what_to_do() -> None:
    step = decide(
        look_at({}, {"name_taken": True, **FOUND_OURS, "proof": TagProof.SAME_NAME, "differences": ("a", "b")}, {}, {})
    )
    assert isinstance(step, WriteStatus)
    assert step.terminal is not None
    for words in (ARN, "differs in spec.a, spec.b", "another spec.trainingJobName", f"{ADOPTION_POLICY}: adopt"):
        assert words in step.terminal.message
