"""Edits of objects with a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.logic.builders import ARN, WANTED, claimed, recorded
from tests.logic.decide.situations import (
    ADOPTED,
    COMPARED,
    EDITED,
    ENDED,
    MEMBERS,
    NEVER,
    NO_ACCESS,
    NOW,
    OWNED,
    POOL,
    POOLED,
    PROVEN,
    READS,
    RUNS,
    TAGGED,
    TAGS_TOLD,
    TO_SEND,
    TO_WAIT,
    UNREAD,
    condition,
    look_at,
    own,
    says,
    shown,
    trouble,
    when,
)
from trainingjob_operator.logic.decide import edits
from trainingjob_operator.logic.decide.phases import decide
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.jobs.updates import TagChange
from trainingjob_operator.logic.operations import ADD_TAGS, DESCRIBE, UPDATE
from trainingjob_operator.logic.state.ownership import TagProof
from trainingjob_operator.logic.state.steps import (
    Describe,
    ReadTags,
    SetTags,
    Step,
    Update,
    WriteStatus,
)

if TYPE_CHECKING:
    from trainingjob_operator.logic.state.view import View

EDITS = [
    when("an edit is compared with what runs", Describe(WANTED), EDITED),
    when("and the tags", ReadTags(WANTED, ARN), EDITED, {**COMPARED, "tags_generation": 1}),
    when(
        "tags are set",
        SetTags(ARN, TagChange({"team": "new"}, ("gone",))),
        {**EDITED, **TAGGED, "status": own(appliedTagKeys=["team", "gone"])},
        {**COMPARED, "tags": {"team": "old", "gone": "x"}, "proof": TagProof.SAME_OBJECT},
    ),
    when(
        "tags of a job that it did not create are left, and that is said",
        says(advisories=("EditNotPossible",)),
        {**EDITED, **TAGGED},
        {**COMPARED, "tags": {"team": "old"}, "proof": TagProof.ACK},
    ),
    when(
        "there is nothing to say when they are as the spec wants them",
        says(),
        {**EDITED, **TAGGED},
        {**COMPARED, "tags": {"team": "new", "other": "x"}, "proof": TagProof.ACK},
    ),
    when("an adopted job's tags are compared too", ReadTags(WANTED, ARN), {**EDITED, **ADOPTED, **TAGGED}, UNREAD),
    when("unless the spec has none", says(), {**EDITED, **ADOPTED}, UNREAD),
    when("or the object is only read", says(), {**EDITED, **READS, **TAGGED}, UNREAD),
    when(
        "an adopted job keeps its tags, whosever they are",
        says(advisories=("EditNotPossible",)),
        {**EDITED, **ADOPTED, **TAGGED},
        {**COMPARED, "tags": {}, "proof": TagProof.SAME_OBJECT},
    ),
    when(
        "a difference reported by a previous process may be one of tags",
        ReadTags(WANTED, ARN),
        {"held": True, **TAGGED, "status": {**own(conditions=[TAGS_TOLD]), "ownership": claimed(claim="TakenOver")}},
        {**UNREAD, "compared_generation": 1},
    ),
    when(
        "but not of a job created by this operator",
        says(),
        {"held": True, **TAGGED, "status": own(conditions=[TAGS_TOLD])},
        {**UNREAD, "compared_generation": 1},
    ),
    when(
        "nor without tags in the spec",
        says(),
        {"held": True, "status": {**own(conditions=[TAGS_TOLD]), "ownership": claimed(claim="TakenOver")}},
        {**UNREAD, "compared_generation": 1},
    ),
    when(
        "but not after the end",
        says(advisories=("EditNotPossible",)),
        {**TAGGED, "status": own(ENDED, conditions=[condition("Complete", "Completed"), TAGS_TOLD])},
    ),
    when("whose job is it that is to be updated?", ReadTags(WANTED, ARN), EDITED, {**COMPARED, "plan": TO_SEND}),
    when("an update is sent", Update(WANTED, MEMBERS), EDITED, {**PROVEN, "plan": TO_SEND}),
    when(
        "an update of a job that this process created",
        Update(WANTED, MEMBERS),
        EDITED,
        {**COMPARED, "plan": TO_SEND, "arn": ARN, "created_at": NOW - 100},
    ),
    when(
        "nothing is sent to a job that nothing proves",
        says(advisories=("OwnershipUnproven",)),
        {**EDITED, "status": recorded(observedGeneration=1, **RUNS.fields)},
        {**COMPARED, "plan": TO_SEND, "proof": TagProof.NONE},
    ),
    when(
        "and not again because an answer does not show it yet",
        says(),
        EDITED,
        {**COMPARED, "plan": TO_SEND, "updated": (MEMBERS, NOW - 29)},
    ),
    when(
        "unless it never does",
        Update(WANTED, MEMBERS),
        EDITED,
        {**PROVEN, "plan": TO_SEND, "updated": (MEMBERS, NOW - 30)},
    ),
    when("an edit waits for its phase", says(pending_edit="EditPending"), EDITED, {**COMPARED, "plan": TO_WAIT}),
    when("an edit comes too late", says(advisories=("EditNotPossible",)), EDITED, {**COMPARED, "plan": NEVER}),
    when(
        "the service refused it",
        says(advisories=("EditNotPossible",)),
        EDITED,
        {**COMPARED, "plan": TO_SEND, "edit_refused": (2, Finding("EditNotPossible", "no"))},
    ),
    when(
        "the service refused the one before it",
        Update(WANTED, MEMBERS),
        EDITED,
        {**PROVEN, "plan": TO_SEND, "edit_refused": (1, Finding("EditNotPossible", "no"))},
    ),
    *(
        when(
            f"{operation} is waited out, and the edit is not done",
            says(again=10.0, unfinished=True),
            EDITED,
            {**COMPARED, "troubles": trouble(operation, ErrorClass.THROTTLED)},
        )
        for operation in (UPDATE, ADD_TAGS)
    ),
    when(
        "an adopted job is never changed",
        says(advisories=("SpecDiffers",)),
        {**EDITED, **ADOPTED},
        {**COMPARED, "plan": TO_SEND, "differences": ("roleARN",)},
    ),
    when(
        "what an earlier life of the process told of an edit is looked into",
        Describe(WANTED),
        {"held": True, "status": own(conditions=[condition("ACK.Advisory", "EditNotPossible")])},
    ),
    when(
        "and stays as long as that is not possible",
        says(advisories=("EditNotPossible",), again=10.0, unfinished=True),
        {"held": True, "status": own(conditions=[condition("ACK.Advisory", "EditNotPossible")])},
        {"troubles": trouble(DESCRIBE, ErrorClass.RETRY)},
    ),
    when(
        "an advisory that nobody can have written so is none",
        says(),
        {"held": True, "status": own(conditions=[condition("ACK.Advisory", "EditNotPossible", 7)])},
    ),
    when(
        "after the end an edit that came too late is no reason to look",
        says(advisories=("EditNotPossible",)),
        {
            "status": own(
                ENDED,
                conditions=[condition("Complete", "Completed"), condition("ACK.Advisory", "EditNotPossible")],
            )
        },
    ),
    when(
        "after the end one that waited for it is",
        Describe(WANTED),
        {
            "status": own(
                ENDED, conditions=[condition("Complete", "Completed"), condition("ACK.Advisory", "EditPending")]
            )
        },
    ),
    when(
        "after the end the object holds no proof: whose is the job?",
        ReadTags(WANTED, ARN),
        {"status": own(ENDED, conditions=[condition("Complete", "Completed")])},
        {"plan": TO_SEND, "described_at": NOW, "observation": ENDED},
    ),
    when(
        "after the end, too, nothing is called without a way to the account",
        says(again=30.0, unfinished=True),
        {"generation": 2, "status": own(ENDED, conditions=[condition("Complete", "Completed")])},
        {"needs_describe": True},
        no_access=NO_ACCESS,
    ),
    when(
        "ListTags found no job whose pool may live: nothing is read again and again",
        says(again=30.0, release=True),
        {"spec": POOLED, "held": True, "status": recorded(**ENDED.fields, **POOL)},
        {"described_at": NOW, "not_found": True, "not_found_since": NOW},
    ),
    when(
        "nor whose job it is, while its warm pool lives",
        says(again=30.0, release=True),
        {"spec": POOLED, "held": True, "status": recorded(**ENDED.fields, **POOL)},
        {"described_at": NOW},
        no_access=NO_ACCESS,
    ),
    when(
        "not ours: it is left",
        says(),
        {"status": own(ENDED, conditions=[condition("Complete", "Completed")])},
        {"plan": TO_SEND, "described_at": NOW, "observation": ENDED, "proof": TagProof.OTHER_OBJECT},
    ),
]


@pytest.mark.parametrize(("view", "step"), EDITS)
def test_in_this_situation_comes_that_step(view: View, step: Step | dict[str, Any]) -> None:
    assert shown(decide(view)) == step


def test_an_edit_that_is_not_possible_names_each_reason_and_the_next_step() -> None:
    step = decide(look_at(EDITED, {**COMPARED, "plan": NEVER}, {}, {}))
    assert isinstance(step, WriteStatus)
    (told,) = step.advisories
    for words in (
        "spec.roleARN is fixed at creation; spec.stoppingCondition.maxRuntimeInSeconds is fixed at creation.",
        "another spec.trainingJobName",
        "revert the fields",
    ):
        assert words in told.message


def test_an_edit_that_waits_says_for_what() -> None:
    step = decide(look_at(EDITED, {**COMPARED, "plan": TO_WAIT}, {}, {}))
    assert isinstance(step, WriteStatus)
    assert step.pending_edit is not None
    assert "spec.profilerConfig waits for the start of the job" in step.pending_edit.message


@pytest.mark.parametrize(
    ("members", "known", "is_worth_it"),
    [
        (OWNED, {}, False),
        (EDITED, {}, True),
        (ADOPTED, {}, True),
        ({}, {}, True),
        (OWNED, {"plan": TO_SEND}, True),
        ({"held": True, "status": own(conditions=[TAGS_TOLD])}, {}, True),
    ],
    ids=["a created job", "an edit", "an adopted job", "no job yet", "a plan", "a recorded difference"],
)
def test_spec_and_job_are_compared_only_if_they_may_differ(
    members: dict[str, Any], known: dict[str, Any], *, is_worth_it: bool
) -> None:
    assert edits.is_worth_comparing(look_at(members, known, {}, {})) is is_worth_it
