"""Deletion of objects."""

from __future__ import annotations

from tests.logic.builders import ARN, WANTED, claimed, recorded
from tests.logic.decide.situations import (
    AWAITS,
    COMPARED,
    DELETED,
    DELETED_EARLY,
    ELSEWHERE,
    ENDED,
    FOUND_ABSENT,
    FOUND_EDITED,
    FOUND_FOREIGN,
    FOUND_FORMER,
    FOUND_OURS,
    MARKED_ELSEWHERE,
    NO_ACCESS,
    NO_NAMESPACE,
    NOW,
    NOWHERE,
    PROVEN,
    READS,
    RIVAL,
    RUNS,
    STOPPING,
    condition,
    decides,
    of,
    own,
    reports,
    trouble,
    when,
)
from trainingjob_operator.logic.decide import deletion
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.naming import FINALIZER
from trainingjob_operator.logic.objects.annotations import DELETION_POLICY, NAMESPACE_DELETION_POLICY
from trainingjob_operator.logic.operations import DESCRIBE, STOP
from trainingjob_operator.logic.state.ownership import TagProof, Verdict
from trainingjob_operator.logic.state.steps import Describe, Idle, ReadTags, RemoveFinalizer, Stop, TakeOwnership

DELETION = [
    when("no finalizer: idle", Idle(), {"deleting": True, "status": own()}),
    when("Describe before Stop", Describe(WANTED), DELETED),
    when(
        "observation older than a minute: Describe again",
        Describe(WANTED),
        DELETED,
        {**PROVEN, "described_at": NOW - 60},
    ),
    when("ownership unproven: ReadTags before Stop", ReadTags(WANTED, ARN), DELETED, COMPARED),
    when("ownership proven by tags: Stop", Stop(WANTED), DELETED, PROVEN),
    when(
        "created by this process: Stop without tags",
        Stop(WANTED),
        DELETED,
        {**COMPARED, "arn": ARN, "created_at": NOW - 100},
    ),
    when(
        "created by this process, Describe is denied: Stop",
        Stop(WANTED),
        DELETED,
        {"arn": ARN, "created_at": NOW - 100, "needs_describe": True, "troubles": trouble(DESCRIBE, ErrorClass.DENIED)},
    ),
    when("ownership record, no tags: Stop", Stop(WANTED), DELETED, {**PROVEN, "proof": TagProof.NONE}),
    when(
        "ARN and finalizer without ownership record: report, no Stop",
        reports(advisories=("OwnershipUnproven",), release=True),
        {**DELETED, "status": recorded(**RUNS.fields)},
        {**PROVEN, "proof": TagProof.NONE},
    ),
    when(
        "ACK's tags and ACK's record: Stop",
        Stop(WANTED),
        {**DELETED, "status": recorded(**RUNS.fields)},
        {**PROVEN, "proof": TagProof.ACK},
    ),
    when(
        "ownership record, tags name another object: no Stop",
        RemoveFinalizer(),
        DELETED,
        {**PROVEN, "proof": TagProof.OTHER_OBJECT},
    ),
    when(
        "ownership record of another object, as in a backup: no Stop",
        reports(advisories=("OwnershipUnproven",), release=True),
        {**DELETED, "status": {**own(), "ownership": claimed(objectUID="other")}},
        {**PROVEN, "proof": TagProof.NONE},
    ),
    when(
        "ownership record from another endpoint: no Stop",
        RemoveFinalizer(),
        {**DELETED, "status": {**own(), "ownership": claimed(endpointURL="https://fake")}},
        {**PROVEN, "proof": TagProof.NONE},
    ),
    when(
        "read-only object with a finalizer added by hand: no Stop",
        RemoveFinalizer(),
        {**DELETED, "status": {**own(), "ownership": claimed(claim="Observed")}},
        {**PROVEN, "proof": TagProof.NONE},
    ),
    when(
        "name clash recorded by ACK: no Stop",
        RemoveFinalizer(),
        {
            **DELETED,
            "status": recorded(
                **RUNS.fields, conditions=[condition("ACK.Terminal", "Words", "Resource already exists")]
            ),
        },
        {**PROVEN, "proof": TagProof.ACK},
    ),
    when("deletion policy retain: no Stop", RemoveFinalizer(), {**DELETED, "annotations": of(deletion="retain")}),
    when(
        "deletion policy retain of the namespace: no Stop",
        RemoveFinalizer(),
        DELETED,
        namespace={NAMESPACE_DELETION_POLICY: "retain"},
    ),
    when("read-only object: no Stop", RemoveFinalizer(), {**DELETED, **READS}),
    *(
        when(
            f"invalid {name} annotation: no Stop",
            reports(advisories=("InvalidAnnotation",), release=True),
            {**DELETED, "annotations": of(**{name: "keep"})},
        )
        for name in ("deletion", "read_only")
    ),
    when("invalid annotation of another kind: Stop", Stop(WANTED), {**DELETED, **NOWHERE}, PROVEN),
    when("job ended and reported: remove the finalizer", RemoveFinalizer(), {**DELETED, "status": own(ENDED)}),
    when("job ended, not yet reported: report, then release", reports(release=True), DELETED, {"observation": ENDED}),
    when("no access to the account", reports(hindrance="RoleUnavailable", again=30.0), DELETED, no_access=NO_ACCESS),
    when("unreadable namespace, which may retain the job: wait", AWAITS, DELETED, namespace_unread=NO_NAMESPACE),
    when(
        "unreadable namespace, job ended: remove the finalizer",
        RemoveFinalizer(),
        {**DELETED, "status": own(ENDED)},
        namespace_unread=NO_NAMESPACE,
    ),
    when("unreadable namespace, no finalizer: idle", Idle(), {**DELETED, "held": False}, namespace_unread=NO_NAMESPACE),
    when(
        "unreadable namespace, deletion policy retain of the object: no Stop",
        RemoveFinalizer(),
        {**DELETED, "annotations": {DELETION_POLICY: "retain"}},
        namespace_unread=NO_NAMESPACE,
    ),
    when("open attempt: Describe", Describe(WANTED), DELETED_EARLY),
    when("open attempt in another region: Describe there", Describe(ELSEWHERE), {**DELETED_EARLY, **MARKED_ELSEWHERE}),
    when("finalizer without ARN and intent: Describe", Describe(WANTED), {"held": True, "deleting": True}),
    when(
        "finalizer without ARN, intent and identity: remove it",
        RemoveFinalizer(),
        {"held": True, "deleting": True, **NOWHERE},
    ),
    when("refused attempt: remove the finalizer", RemoveFinalizer(), DELETED_EARLY, {"attempted_at": NOW - 1}),
    when("attempt without a job: remove the finalizer", RemoveFinalizer(), DELETED_EARLY, FOUND_ABSENT),
    when("attempt, foreign job of the name: no Stop", RemoveFinalizer(), DELETED_EARLY, FOUND_FOREIGN),
    when(
        "attempt, tags name this object: own the job",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.CREATED),
        DELETED_EARLY,
        FOUND_OURS,
    ),
    when(
        "attempt, tags name this object, other spec: own the job",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.CREATED),
        DELETED_EARLY,
        FOUND_EDITED,
    ),
    when(
        "attempt, job of an earlier object: inherit",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.INHERITED),
        DELETED_EARLY,
        FOUND_FORMER,
    ),
    when(
        "attempt, job of an earlier object, owned by another object: no Stop",
        RemoveFinalizer(),
        DELETED_EARLY,
        FOUND_FORMER,
        rival=RIVAL,
    ),
    when(
        "attempt, job of an earlier object with another spec: no Stop",
        RemoveFinalizer(),
        DELETED_EARLY,
        {**FOUND_EDITED, **FOUND_FORMER},
    ),
    when(
        "hint about the job: Describe before Stop",
        Describe(WANTED),
        DELETED,
        {"needs_describe": True},
    ),
    when(
        "one NotFound: second Describe before the release",
        Describe(WANTED),
        DELETED,
        {"not_found": True, "not_found_since": NOW - 30, "described_at": NOW - 30},
    ),
    when(
        "another client stopped the job: wait for its end", reports(again=900.0), {**DELETED, "status": own(STOPPING)}
    ),
    when(
        "Stop was sent: no second Stop",
        reports(again=840.0),
        DELETED,
        {"stop_sent_at": NOW - 60, "stopping_since": NOW - 60},
    ),
    when(
        "Stop without effect for 15 minutes: report StopStuck",
        reports(advisories=("StopStuck",)),
        {**DELETED, "status": own(STOPPING)},
        {"stop_sent_at": NOW - 900, "stopping_since": NOW - 900},
    ),
    when(
        "Stop is denied",
        reports(hindrance="AccessDenied", again=10.0),
        DELETED,
        {"stopping_since": NOW - 60, "troubles": trouble(STOP, ErrorClass.DENIED)},
    ),
    when(
        "Stop is rejected by a quota",
        reports(hindrance="Code", again=10.0),
        DELETED,
        {"stopping_since": NOW - 60, "troubles": trouble(STOP, ErrorClass.WAITING)},
    ),
    when(
        "Stop is denied for 15 minutes: report StopStuck",
        reports(hindrance="AccessDenied", advisories=("StopStuck",), again=10.0),
        DELETED,
        {"stopping_since": NOW - 900, "troubles": trouble(STOP, ErrorClass.DENIED)},
    ),
]


test_situation_leads_to_step = decides(DELETION)


def test_a_rejected_removal_of_the_finalizer_is_reported_with_the_api_servers_message() -> None:
    hindrance = deletion.explain_unreleased("denied by a policy.")
    assert hindrance.reason == "FinalizerNotRemoved"
    for words in (FINALIZER, ": denied by a policy. ", "the operator retries"):
        assert words in hindrance.message
