"""Edits of objects with a job."""

from __future__ import annotations

from typing import Any

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
    TAGS_REPORTED,
    TO_SEND,
    TO_WAIT,
    UNREAD,
    condition,
    decides,
    own,
    reports,
    trouble,
    view_of,
    when,
)
from trainingjob_operator.logic.decide import edits
from trainingjob_operator.logic.decide.phases import decide
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.jobs.updates import TagChange
from trainingjob_operator.logic.operations import ADD_TAGS, DESCRIBE, UPDATE
from trainingjob_operator.logic.state.ownership import TagProof
from trainingjob_operator.logic.state.steps import Describe, ReadTags, SetTags, Update, WriteStatus

EDITS = [
    when("edit: Describe, to compare spec and job", Describe(WANTED), EDITED),
    when("edit: ReadTags, to compare the tags", ReadTags(WANTED, ARN), EDITED, {**COMPARED, "tags_generation": 1}),
    when(
        "edit of the tags: set and remove them",
        SetTags(ARN, TagChange({"team": "new"}, ("gone",))),
        {**EDITED, **TAGGED, "status": own(appliedTagKeys=["team", "gone"])},
        {**COMPARED, "tags": {"team": "old", "gone": "x"}, "proof": TagProof.SAME_OBJECT},
    ),
    when(
        "edit of the tags, job created by ACK: report, no change",
        reports(advisories=("EditNotPossible",)),
        {**EDITED, **TAGGED},
        {**COMPARED, "tags": {"team": "old"}, "proof": TagProof.ACK},
    ),
    when(
        "edit of the tags, job created by ACK, no drift: no report",
        reports(),
        {**EDITED, **TAGGED},
        {**COMPARED, "tags": {"team": "new", "other": "x"}, "proof": TagProof.ACK},
    ),
    when(
        "edit of the tags of an adopted job: ReadTags", ReadTags(WANTED, ARN), {**EDITED, **ADOPTED, **TAGGED}, UNREAD
    ),
    when("adopted job, no tags in the spec: no ReadTags", reports(), {**EDITED, **ADOPTED}, UNREAD),
    when("read-only object: no ReadTags", reports(), {**EDITED, **READS, **TAGGED}, UNREAD),
    when(
        "adopted job: its tags are not changed",
        reports(advisories=("EditNotPossible",)),
        {**EDITED, **ADOPTED, **TAGGED},
        {**COMPARED, "tags": {}, "proof": TagProof.SAME_OBJECT},
    ),
    when(
        "drift of the tags reported by an earlier process: ReadTags",
        ReadTags(WANTED, ARN),
        {
            "held": True,
            **TAGGED,
            "status": {**own(conditions=[TAGS_REPORTED]), "ownership": claimed(claim="TakenOver")},
        },
        {**UNREAD, "compared_generation": 1},
    ),
    when(
        "drift of the tags reported, job created by this operator: no ReadTags",
        reports(),
        {"held": True, **TAGGED, "status": own(conditions=[TAGS_REPORTED])},
        {**UNREAD, "compared_generation": 1},
    ),
    when(
        "drift of the tags reported, no tags in the spec: no ReadTags",
        reports(),
        {"held": True, "status": {**own(conditions=[TAGS_REPORTED]), "ownership": claimed(claim="TakenOver")}},
        {**UNREAD, "compared_generation": 1},
    ),
    when(
        "drift of the tags reported, job ended: no ReadTags",
        reports(advisories=("EditNotPossible",)),
        {**TAGGED, "status": own(ENDED, conditions=[condition("Complete", "Completed"), TAGS_REPORTED])},
    ),
    when("ownership unproven: ReadTags before Update", ReadTags(WANTED, ARN), EDITED, {**COMPARED, "plan": TO_SEND}),
    when("ownership proven by tags: Update", Update(WANTED, MEMBERS), EDITED, {**PROVEN, "plan": TO_SEND}),
    when(
        "created by this process: Update without tags",
        Update(WANTED, MEMBERS),
        EDITED,
        {**COMPARED, "plan": TO_SEND, "arn": ARN, "created_at": NOW - 100},
    ),
    when(
        "ownership unproven: report, no Update",
        reports(advisories=("OwnershipUnproven",)),
        {**EDITED, "status": recorded(observedGeneration=1, **RUNS.fields)},
        {**COMPARED, "plan": TO_SEND, "proof": TagProof.NONE},
    ),
    when(
        "updated 29 s ago, not in Describe yet: no second Update",
        reports(),
        EDITED,
        {**COMPARED, "plan": TO_SEND, "updated": (MEMBERS, NOW - 29)},
    ),
    when(
        "updated 30 s ago, not in Describe: Update again",
        Update(WANTED, MEMBERS),
        EDITED,
        {**PROVEN, "plan": TO_SEND, "updated": (MEMBERS, NOW - 30)},
    ),
    when(
        "edit for a later phase of the job: pending",
        reports(pending_edit="EditPending"),
        EDITED,
        {**COMPARED, "plan": TO_WAIT},
    ),
    when(
        "edit of fields fixed at creation: not possible",
        reports(advisories=("EditNotPossible",)),
        EDITED,
        {**COMPARED, "plan": NEVER},
    ),
    when(
        "SageMaker refused the edit: report",
        reports(advisories=("EditNotPossible",)),
        EDITED,
        {**COMPARED, "plan": TO_SEND, "edit_refused": (2, Finding("EditNotPossible", "no"))},
    ),
    when(
        "SageMaker refused an earlier edit: Update",
        Update(WANTED, MEMBERS),
        EDITED,
        {**PROVEN, "plan": TO_SEND, "edit_refused": (1, Finding("EditNotPossible", "no"))},
    ),
    *(
        when(
            f"{operation} is throttled: the edit is unfinished",
            reports(again=10.0, unfinished=True),
            EDITED,
            {**COMPARED, "troubles": trouble(operation, ErrorClass.THROTTLED)},
        )
        for operation in (UPDATE, ADD_TAGS)
    ),
    when(
        "adopted job: report the drift, no Update",
        reports(advisories=("SpecDiffers",)),
        {**EDITED, **ADOPTED},
        {**COMPARED, "plan": TO_SEND, "differences": ("roleARN",)},
    ),
    when(
        "edit reported by an earlier process: Describe",
        Describe(WANTED),
        {"held": True, "status": own(conditions=[condition("ACK.Advisory", "EditNotPossible")])},
    ),
    when(
        "edit reported by an earlier process, Describe fails: keep the advisory",
        reports(advisories=("EditNotPossible",), again=10.0, unfinished=True),
        {"held": True, "status": own(conditions=[condition("ACK.Advisory", "EditNotPossible")])},
        {"troubles": trouble(DESCRIBE, ErrorClass.RETRY)},
    ),
    when(
        "advisory with an invalid message: ignored",
        reports(),
        {"held": True, "status": own(conditions=[condition("ACK.Advisory", "EditNotPossible", 7)])},
    ),
    when(
        "job ended, edit not possible: no Describe",
        reports(advisories=("EditNotPossible",)),
        {
            "status": own(
                ENDED,
                conditions=[condition("Complete", "Completed"), condition("ACK.Advisory", "EditNotPossible")],
            )
        },
    ),
    when(
        "job ended, edit pending: Describe",
        Describe(WANTED),
        {
            "status": own(
                ENDED, conditions=[condition("Complete", "Completed"), condition("ACK.Advisory", "EditPending")]
            )
        },
    ),
    when(
        "job ended, ownership unproven: ReadTags",
        ReadTags(WANTED, ARN),
        {"status": own(ENDED, conditions=[condition("Complete", "Completed")])},
        {"plan": TO_SEND, "described_at": NOW, "observation": ENDED},
    ),
    when(
        "job ended, no access to the account: no call",
        reports(again=30.0, unfinished=True),
        {"generation": 2, "status": own(ENDED, conditions=[condition("Complete", "Completed")])},
        {"needs_describe": True},
        no_access=NO_ACCESS,
    ),
    when(
        "warm pool, ListTags found no job: no repeated call",
        reports(again=30.0, release=True),
        {"spec": POOLED, "held": True, "status": recorded(**ENDED.fields, **POOL)},
        {"described_at": NOW, "not_found": True, "not_found_since": NOW},
    ),
    when(
        "warm pool, no access to the account: no ReadTags",
        reports(again=30.0, release=True),
        {"spec": POOLED, "held": True, "status": recorded(**ENDED.fields, **POOL)},
        {"described_at": NOW},
        no_access=NO_ACCESS,
    ),
    when(
        "job ended, tags name another object: no call",
        reports(),
        {"status": own(ENDED, conditions=[condition("Complete", "Completed")])},
        {"plan": TO_SEND, "described_at": NOW, "observation": ENDED, "proof": TagProof.OTHER_OBJECT},
    ),
]


test_situation_leads_to_step = decides(EDITS)


def test_an_impossible_edit_is_reported_with_each_cause_and_the_remedies() -> None:
    step = decide(view_of(EDITED, {**COMPARED, "plan": NEVER}, {}, {}))
    assert isinstance(step, WriteStatus)
    (advisory,) = step.advisories
    for words in (
        "spec.roleARN is fixed at creation; spec.stoppingCondition.maxRuntimeInSeconds is fixed at creation.",
        "another spec.trainingJobName",
        "revert the fields",
    ):
        assert words in advisory.message


def test_a_pending_edit_is_reported_with_the_awaited_event() -> None:
    step = decide(view_of(EDITED, {**COMPARED, "plan": TO_WAIT}, {}, {}))
    assert isinstance(step, WriteStatus)
    assert step.pending_edit is not None
    assert "spec.profilerConfig waits for the start of the job" in step.pending_edit.message


@pytest.mark.parametrize(
    ("members", "known", "is_compared"),
    [
        (OWNED, {}, False),
        (EDITED, {}, True),
        (ADOPTED, {}, True),
        ({}, {}, True),
        (OWNED, {"plan": TO_SEND}, True),
        ({"held": True, "status": own(conditions=[TAGS_REPORTED])}, {}, True),
    ],
    ids=["a created job", "an edit", "an adopted job", "no job yet", "a plan", "a recorded difference"],
)
def test_spec_and_job_are_compared_only_if_drift_is_possible(
    members: dict[str, Any], known: dict[str, Any], *, is_compared: bool
) -> None:
    assert edits.is_worth_comparing(view_of(members, known, {}, {})) is is_compared
