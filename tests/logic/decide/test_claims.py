"""Existing jobs with the desired name."""

from __future__ import annotations

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
    decides,
    not_found,
    own,
    reports,
    trouble,
    view_of,
    when,
)
from trainingjob_operator.logic.decide.phases import decide
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.objects.annotations import ADOPTION_POLICY
from trainingjob_operator.logic.operations import DESCRIBE, LIST_TAGS
from trainingjob_operator.logic.state.ownership import TagProof, Verdict
from trainingjob_operator.logic.state.steps import (
    ClearIntent,
    Describe,
    JoinQueue,
    ReadTags,
    Requeue,
    TakeOwnership,
    WriteStatus,
)

NAME_TAKEN = [
    when("name taken: Describe", Describe(WANTED), MARKED, {"name_taken": True}),
    when(
        "name taken by a described job: ReadTags",
        ReadTags(WANTED, ARN),
        MARKED,
        {"name_taken": True, "observation": RUNS},
    ),
    when(
        "name taken, ListTags is denied",
        reports(hindrance="AccessDenied", again=10.0),
        MARKED,
        {"name_taken": True, "observation": RUNS, "troubles": trouble(LIST_TAGS, ErrorClass.DENIED)},
    ),
    when(
        "name taken, not found 1 s ago: requeue",
        Requeue(1.0),
        MARKED,
        {"name_taken": True, "not_found": True, "described_at": NOW - 1},
    ),
    when(
        "name taken, not found 2 s ago: Describe again",
        Describe(WANTED),
        MARKED,
        {"name_taken": True, "not_found": True, "described_at": NOW - 2},
    ),
    when(
        "name taken, hint about the job: Describe",
        Describe(WANTED),
        MARKED,
        {"name_taken": True, **not_found(32, 2), "needs_describe": True},
    ),
    when(
        "name taken and not found for 29 s: Describe again",
        Describe(WANTED),
        MARKED,
        {"name_taken": True, **not_found(31, 2)},
    ),
    when(
        "name taken and not found for 30 s: report NameInUse",
        reports(hindrance="NameInUse", again=5.5),
        MARKED,
        {"name_taken": True, **not_found(32, 2)},
    ),
    when(
        "name taken and not found for a minute: Describe again",
        Describe(WANTED),
        MARKED,
        {"name_taken": True, **not_found(75, 15)},
    ),
    when(
        "name taken and not found for an hour: report NameInUse",
        reports(hindrance="NameInUse", again=290.0),
        MARKED,
        {"name_taken": True, **not_found(3600, 10)},
    ),
    when(
        "tags name this object: created by a lost attempt",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.CREATED),
        MARKED,
        {"name_taken": True, **FOUND_OURS},
    ),
    when(
        "tags name this object, created before an edit",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.CREATED),
        MARKED,
        {"name_taken": True, **FOUND_OURS, "differences": ("roleARN",)},
    ),
    when(
        "foreign job: clear the intent first",
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
    when("foreign job", reports(terminal="NameClash", disowned=True), known={"name_taken": True, **FOUND_FOREIGN}),
    when(
        "job of an earlier object with equal fields: inherit",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.INHERITED),
        known={"name_taken": True, **FOUND_FORMER},
    ),
    when(
        "ACK's tags prove neither cluster nor object",
        reports(terminal="NameClash", disowned=True),
        known={"name_taken": True, **FOUND_OURS, "proof": TagProof.ACK},
    ),
    when(
        "tags name another object, no adoption policy",
        reports(terminal="NameClash", disowned=True),
        known={"name_taken": True, **FOUND_OTHERS},
    ),
    when(
        "job of an earlier object without a tag of the spec",
        reports(terminal="NameClash", disowned=True),
        TAGGED,
        {"name_taken": True, **FOUND_FORMER, "tags": {"team": "old"}},
    ),
    when(
        "job of an earlier object with the tag of the spec and others: inherit",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.INHERITED),
        TAGGED,
        {"name_taken": True, **FOUND_FORMER, "tags": {"team": "new", "cost": "1"}},
    ),
    when(
        "inherited job: the advisory is kept",
        reports(advisories=("EarlierRun",)),
        {"held": True, "status": {**own(), "ownership": claimed(claim="Inherited")}},
    ),
    when(
        "job of an earlier object with another spec",
        reports(terminal="NameClash", disowned=True),
        known={"name_taken": True, **FOUND_OURS, "proof": TagProof.SAME_NAME, "differences": ("roleARN",)},
    ),
    *(
        when(
            f"job of an earlier object in status {observed.status}",
            reports(terminal="NameClash", disowned=True),
            known={"name_taken": True, **FOUND_OURS, "proof": TagProof.SAME_NAME, "observation": observed},
        )
        for observed in (STOPPING, STOPPED)
    ),
]

RECORDED_WITHOUT_FINALIZER = [
    when("recorded ARN without ownership: Describe, no Create", Describe(WANTED), RECORDED),
    when("recorded ARN in another region: Describe there", Describe(ELSEWHERE), {"status": recorded(ARN_ELSEWHERE)}),
    when("recorded ARN, job exists: ReadTags", ReadTags(WANTED, ARN), RECORDED, {"observation": RUNS}),
    when(
        "recorded ARN of a foreign job, as ACK writes it on a clash",
        reports(terminal="NameClash", disowned=True),
        RECORDED,
        FOUND_FOREIGN,
    ),
    when("foreign job, ARN removed from the status", reports(terminal="NameClash", disowned=True), known=FOUND_FOREIGN),
    when("foreign job, retry requested: join the queue", JoinQueue(WANTED), known={**FOUND_FOREIGN, "asked": True}),
    when(
        "another object has a claim, tags prove nothing",
        reports(terminal="NameClash", disowned=True),
        RECORDED,
        FOUND_FORMER,
        rival=RIVAL,
    ),
    when(
        "another object has a claim, tags name this object: own the job",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.CREATED),
        RECORDED,
        FOUND_OURS,
        rival=RIVAL,
    ),
    when(
        "tags name this object: own the job",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.CREATED),
        RECORDED,
        FOUND_OURS,
    ),
    when(
        "tags name this object, job ended: own it without finalizer",
        TakeOwnership(ARN, finalizer=False, claim=Verdict.CREATED),
        RECORDED,
        {**FOUND_OURS, "observation": ENDED},
    ),
    when(
        "recorded ARN, Describe fails", reports(again=10.0), RECORDED, {"troubles": trouble(DESCRIBE, ErrorClass.RETRY)}
    ),
    when(
        "recorded ARN, job missing: no second Create",
        reports(vanished="JobNotFound"),
        RECORDED,
        {"not_found": True, "not_found_since": NOW - 30, "described_at": NOW},
    ),
]


test_situation_leads_to_step = decides(NAME_TAKEN, RECORDED_WITHOUT_FINALIZER)


def test_name_clash_message_names_job_differences_and_remedies() -> None:
    step = decide(
        view_of({}, {"name_taken": True, **FOUND_OURS, "proof": TagProof.SAME_NAME, "differences": ("a", "b")}, {}, {})
    )
    assert isinstance(step, WriteStatus)
    assert step.terminal is not None
    for words in (ARN, "differs in spec.a, spec.b", "another spec.trainingJobName", f"{ADOPTION_POLICY}: adopt"):
        assert words in step.terminal.message
