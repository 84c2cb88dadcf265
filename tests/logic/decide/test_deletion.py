"""Deletion of objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

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
    of,
    own,
    says,
    shown,
    trouble,
    when,
)
from trainingjob_operator.logic.decide import deletion
from trainingjob_operator.logic.decide.phases import decide
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.naming import FINALIZER
from trainingjob_operator.logic.objects.annotations import (
    DELETION_POLICY,
    NAMESPACE_DELETION_POLICY,
)
from trainingjob_operator.logic.operations import DESCRIBE, STOP
from trainingjob_operator.logic.state.ownership import TagProof, Verdict
from trainingjob_operator.logic.state.steps import (
    Describe,
    Idle,
    ReadTags,
    RemoveFinalizer,
    Step,
    Stop,
    TakeOwnership,
)

if TYPE_CHECKING:
    from trainingjob_operator.logic.state.view import View

DELETION = [
    when("nothing is held", Idle(), {"deleting": True, "status": own()}),
    when("the job is looked at before it is stopped", Describe(WANTED), DELETED),
    when("an old answer may be about another run", Describe(WANTED), DELETED, {**PROVEN, "described_at": NOW - 60}),
    when("whose job is it that is to be stopped?", ReadTags(WANTED, ARN), DELETED, COMPARED),
    when("the job is stopped", Stop(WANTED), DELETED, PROVEN),
    when(
        "a job that this process created needs no tags",
        Stop(WANTED),
        DELETED,
        {**COMPARED, "arn": ARN, "created_at": NOW - 100},
    ),
    when(
        "nor a right to describe",
        Stop(WANTED),
        DELETED,
        {"arn": ARN, "created_at": NOW - 100, "needs_describe": True, "troubles": trouble(DESCRIBE, ErrorClass.DENIED)},
    ),
    when("tags that name nobody leave the record in force", Stop(WANTED), DELETED, {**PROVEN, "proof": TagProof.NONE}),
    when(
        "an ARN and a finalizer without a record are no proof: the job runs on, and that is said",
        says(advisories=("OwnershipUnproven",), release=True),
        {**DELETED, "status": recorded(**RUNS.fields)},
        {**PROVEN, "proof": TagProof.NONE},
    ),
    when(
        "ACK's tags and its record together are",
        Stop(WANTED),
        {**DELETED, "status": recorded(**RUNS.fields)},
        {**PROVEN, "proof": TagProof.ACK},
    ),
    when(
        "tags that name another object outweigh the record",
        RemoveFinalizer(),
        DELETED,
        {**PROVEN, "proof": TagProof.OTHER_OBJECT},
    ),
    when(
        "a record of another object, as a backup has it, is none",
        says(advisories=("OwnershipUnproven",), release=True),
        {**DELETED, "status": {**own(), "ownership": claimed(objectUID="other")}},
        {**PROVEN, "proof": TagProof.NONE},
    ),
    when(
        "a record from an endpoint that a namespace named is none elsewhere",
        RemoveFinalizer(),
        {**DELETED, "status": {**own(), "ownership": claimed(endpointURL="https://fake")}},
        {**PROVEN, "proof": TagProof.NONE},
    ),
    when(
        "a finalizer added by hand to what was read only proves nothing",
        RemoveFinalizer(),
        {**DELETED, "status": {**own(), "ownership": claimed(claim="Observed")}},
        {**PROVEN, "proof": TagProof.NONE},
    ),
    when(
        "nor one on a clash that ACK recorded",
        RemoveFinalizer(),
        {
            **DELETED,
            "status": recorded(
                **RUNS.fields, conditions=[condition("ACK.Terminal", "Words", "Resource already exists")]
            ),
        },
        {**PROVEN, "proof": TagProof.ACK},
    ),
    when("it is to be retained", RemoveFinalizer(), {**DELETED, "annotations": of(deletion="retain")}),
    when(
        "the namespace wants it retained", RemoveFinalizer(), DELETED, namespace={NAMESPACE_DELETION_POLICY: "retain"}
    ),
    when("it is only read", RemoveFinalizer(), {**DELETED, **READS}),
    *(
        when(
            f"a {name} that can't be understood never stops a job",
            says(advisories=("InvalidAnnotation",), release=True),
            {**DELETED, "annotations": of(**{name: "keep"})},
        )
        for name in ("deletion", "read_only")
    ),
    when("another unusable annotation does not save it", Stop(WANTED), {**DELETED, **NOWHERE}, PROVEN),
    when("it has ended and that was told", RemoveFinalizer(), {**DELETED, "status": own(ENDED)}),
    when("it has ended: tell it first", says(release=True), DELETED, {"observation": ENDED}),
    when("no way to the account", says(hindrance="RoleUnavailable", again=30.0), DELETED, no_access=NO_ACCESS),
    when("a namespace that may not be read may ask to retain the job", AWAITS, DELETED, namespace_unread=NO_NAMESPACE),
    when(
        "it, and the job has ended", RemoveFinalizer(), {**DELETED, "status": own(ENDED)}, namespace_unread=NO_NAMESPACE
    ),
    when("it, and nothing is held", Idle(), {**DELETED, "held": False}, namespace_unread=NO_NAMESPACE),
    when(
        "it, and the object itself asks to retain the job",
        RemoveFinalizer(),
        {**DELETED, "annotations": {DELETION_POLICY: "retain"}},
        namespace_unread=NO_NAMESPACE,
    ),
    when("an attempt may have made a job", Describe(WANTED), DELETED_EARLY),
    when("one elsewhere may", Describe(ELSEWHERE), {**DELETED_EARLY, **MARKED_ELSEWHERE}),
    when("a finalizer without ARN and mark: look", Describe(WANTED), {"held": True, "deleting": True}),
    when("nobody knows what to look for", RemoveFinalizer(), {"held": True, "deleting": True, **NOWHERE}),
    when("the attempt was definitely refused", RemoveFinalizer(), DELETED_EARLY, {"attempted_at": NOW - 1}),
    when("the attempt has made none", RemoveFinalizer(), DELETED_EARLY, FOUND_ABSENT),
    when("the job of that name is not ours", RemoveFinalizer(), DELETED_EARLY, FOUND_FOREIGN),
    when("it is ours", TakeOwnership(ARN, finalizer=True, claim=Verdict.CREATED), DELETED_EARLY, FOUND_OURS),
    when(
        "it is ours, of this attempt and another spec",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.CREATED),
        DELETED_EARLY,
        FOUND_EDITED,
    ),
    when(
        "it is of an earlier life, as a backup tells it",
        TakeOwnership(ARN, finalizer=True, claim=Verdict.INHERITED),
        DELETED_EARLY,
        FOUND_FORMER,
    ),
    when(
        "it is of an earlier life, and another object has it",
        RemoveFinalizer(),
        DELETED_EARLY,
        FOUND_FORMER,
        rival=RIVAL,
    ),
    when(
        "it is of an earlier life with another spec", RemoveFinalizer(), DELETED_EARLY, {**FOUND_EDITED, **FOUND_FORMER}
    ),
    when(
        "whether it has ended is looked at first when something says so",
        Describe(WANTED),
        DELETED,
        {"needs_describe": True},
    ),
    when(
        "the job is gone already: it is looked for twice",
        Describe(WANTED),
        DELETED,
        {"not_found": True, "not_found_since": NOW - 30, "described_at": NOW - 30},
    ),
    when("somebody else stops it already", says(again=900.0), {**DELETED, "status": own(STOPPING)}),
    when(
        "it is stopped once",
        says(again=840.0),
        DELETED,
        {"stop_sent_at": NOW - 60, "stopping_since": NOW - 60},
    ),
    when(
        "it does not stop",
        says(advisories=("StopStuck",)),
        {**DELETED, "status": own(STOPPING)},
        {"stop_sent_at": NOW - 900, "stopping_since": NOW - 900},
    ),
    when(
        "it may not be stopped",
        says(hindrance="AccessDenied", again=10.0),
        DELETED,
        {"stopping_since": NOW - 60, "troubles": trouble(STOP, ErrorClass.DENIED)},
    ),
    when(
        "a quota keeps it from being stopped",
        says(hindrance="Code", again=10.0),
        DELETED,
        {"stopping_since": NOW - 60, "troubles": trouble(STOP, ErrorClass.WAITING)},
    ),
    when(
        "for long",
        says(hindrance="AccessDenied", advisories=("StopStuck",), again=10.0),
        DELETED,
        {"stopping_since": NOW - 900, "troubles": trouble(STOP, ErrorClass.DENIED)},
    ),
]


@pytest.mark.parametrize(("view", "step"), DELETION)
def test_in_this_situation_comes_that_step(view: View, step: Step | dict[str, Any]) -> None:
    assert shown(decide(view)) == step


def test_a_finalizer_that_stays_is_reported_in_the_words_of_the_api_server() -> None:
    hindrance = deletion.explain_unreleased("denied by a policy.")
    assert hindrance.reason == "FinalizerNotRemoved"
    for words in (FINALIZER, ": denied by a policy. ", "the operator retries"):
        assert words in hindrance.message
