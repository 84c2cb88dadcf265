"""Objects with an adoption policy or a read-only annotation."""

from __future__ import annotations

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
    decides,
    of,
    reports,
    trouble,
    when,
)
from trainingjob_operator.logic.findings import Finding
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.objects.annotations import ADOPT_FROM_CLUSTER
from trainingjob_operator.logic.operations import DESCRIBE
from trainingjob_operator.logic.state.ownership import Verdict
from trainingjob_operator.logic.state.steps import ClearIntent, Describe, FindOwner, JoinQueue, ReadTags, TakeOwnership

ADOPTION = [
    when("adoption starts with Describe", Describe(WANTED), ADOPT),
    when("a hint triggers another Describe", Describe(WANTED), ADOPT, {**FOUND_FOREIGN, "needs_describe": True}),
    when(
        "Describe is denied",
        reports(hindrance="AccessDenied", again=10.0),
        ADOPT,
        {"troubles": trouble(DESCRIBE, ErrorClass.DENIED)},
    ),
    when(
        "the job runs: adopt it and hold a finalizer",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.ADOPTED),
        ADOPT,
        FOUND_FOREIGN,
    ),
    when(
        "the job has ended: no finalizer",
        TakeOwnership(ARN, finalizer=False, claim=Verdict.CREATED),
        ADOPT,
        {**FOUND_OURS, "observation": ENDED},
    ),
    when(
        "a read-only object holds no finalizer",
        TakeOwnership(ARN, finalizer=False, claim=Verdict.OBSERVED),
        READS,
        FOUND_FOREIGN,
    ),
    when(
        "tags of another job prove nothing",
        ReadTags(WANTED, ARN),
        ADOPT,
        {**FOUND_OTHERS, "proof": None},
    ),
    when("tags unread: ReadTags", ReadTags(WANTED, ARN), ADOPT, {"observation": RUNS, "described_at": NOW}),
    when(
        "another object owns the job",
        reports(terminal="NameClash", disowned=True, again=60.0),
        ADOPT,
        FOUND_FOREIGN,
        rival=RIVAL,
    ),
    when(
        "tags name another object: FindOwner",
        FindOwner(("team-b", "theirs")),
        ADOPT,
        FOUND_OTHERS,
    ),
    when(
        "the named owner exists: no adoption",
        reports(terminal="NameClash", disowned=True, again=60.0),
        ADOPT,
        {**FOUND_OTHERS, "named_owner": (True, NOW - 59)},
    ),
    when(
        "the named owner existed a minute ago: FindOwner again",
        FindOwner(("team-b", "theirs")),
        ADOPT,
        {**FOUND_OTHERS, "named_owner": (True, NOW - 60)},
    ),
    when(
        "the named owner does not exist: adopt",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.ADOPTED),
        ADOPT,
        {**FOUND_OTHERS, "named_owner": (False, NOW)},
    ),
    when(
        "tags name another cluster: no adoption",
        reports(terminal="NameClash", disowned=True, again=60.0),
        ADOPT,
        FOUND_ELSEWHERES,
    ),
    when(
        "tags and annotation name the same other cluster: adopt",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.ADOPTED),
        {"annotations": {**of(adoption="adopt"), ADOPT_FROM_CLUSTER: "other"}},
        FOUND_ELSEWHERES,
    ),
    when(
        "the annotation names a third cluster: no adoption",
        reports(terminal="NameClash", disowned=True, again=60.0),
        {"annotations": {**of(adoption="adopt"), ADOPT_FROM_CLUSTER: "third"}},
        FOUND_ELSEWHERES,
    ),
    when(
        "a read-only object observes a job of another object",
        TakeOwnership(ARN, finalizer=False, claim=Verdict.OBSERVED),
        READS,
        FOUND_FOREIGN,
        rival=RIVAL,
    ),
    when("no job to adopt", reports(terminal="JobNotFound", disowned=True, again=50.0), ADOPT, FOUND_ABSENT),
    when("no job to read", reports(terminal="JobNotFound", disowned=True, again=50.0), READS, FOUND_ABSENT),
    when(
        "no job to adopt: Describe once a minute", Describe(WANTED), ADOPT, {**FOUND_ABSENT, "described_at": NOW - 60}
    ),
    when(
        "no job to adopt, and the object holds a finalizer",
        ClearIntent(
            Finding(
                "JobNotFound",
                f"There is no training job {WANTED} to adopt. Correct its name, region or account, or create it.",
            )
        ),
        {**ADOPT, "held": True},
        FOUND_ABSENT,
    ),
    when("no job to adopt, and adopt-or-create: create", JoinQueue(WANTED), ADOPT_OR_CREATE, FOUND_ABSENT),
    when(
        "a job after an attempt with a lost answer: ReadTags",
        ReadTags(WANTED, ARN),
        {**MARKED, **ADOPT_OR_CREATE},
        {"observation": RUNS, "described_at": NOW},
    ),
    when(
        "tags name this object: created by the attempt",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.CREATED),
        {**MARKED, **ADOPT_OR_CREATE},
        FOUND_OURS,
    ),
    when(
        "foreign job after the attempt: adopt",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.ADOPTED),
        {**MARKED, **ADOPT_OR_CREATE},
        FOUND_FOREIGN,
    ),
]


test_situation_leads_to_step = decides(ADOPTION)
