"""Objects with a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.logic.builders import ARN, WANTED, recorded
from tests.logic.decide.situations import (
    AWAITS,
    DELETED,
    EDITED,
    ENDED,
    HEARSAY,
    MARKED,
    NO_ACCESS,
    NO_NAMESPACE,
    NOW,
    NOWHERE,
    OWNED,
    POOL,
    POOLED,
    READS,
    RUNS,
    TO_WAIT,
    condition,
    job,
    look_at,
    of,
    own,
    says,
    shown,
    trouble,
    when,
)
from trainingjob_operator.logic.decide import following
from trainingjob_operator.logic.decide.phases import decide
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.operations import DESCRIBE
from trainingjob_operator.logic.state.steps import (
    Describe,
    Idle,
    Step,
    TakeOwnership,
)

if TYPE_CHECKING:
    from trainingjob_operator.logic.state.view import View

LIFE = [
    when("a job of which nothing is known yet", Describe(WANTED), {"held": True, "status": own(None)}),
    when("a job that this process has just created", Describe(WANTED), MARKED, {"arn": ARN, "needs_describe": True}),
    when("nothing new: nothing to do", says(), OWNED),
    when("something has changed", Describe(WANTED), OWNED, {"needs_describe": True}),
    when(
        "a job that ACK followed: was the spec edited since?",
        Describe(WANTED),
        {"held": True, "status": recorded(**RUNS.fields)},
    ),
    when("no way to the account", says(hindrance="RoleUnavailable", again=30.0), OWNED, no_access=NO_ACCESS),
    when("a namespace that may not be read", AWAITS, OWNED, namespace_unread=NO_NAMESPACE),
    when("it, and the job has ended", Idle(), {**OWNED, "status": own(ENDED)}, namespace_unread=NO_NAMESPACE),
    when(
        "what is told of an edit is kept while the account can't be reached",
        says(hindrance="RoleUnavailable", advisories=("EditPending",), again=30.0, unfinished=True),
        {"held": True, "status": own(conditions=[condition("ACK.Advisory", "EditPending")])},
        no_access=NO_ACCESS,
    ),
    when(
        "Describe is denied, and an annotation is wrong",
        says(hindrance="AccessDenied", advisories=("InvalidAnnotation",), again=10.0),
        {**OWNED, **NOWHERE},
        {"needs_describe": True, "troubles": trouble(DESCRIBE, ErrorClass.DENIED)},
    ),
    when(
        "another region is asked for: it stays where it is",
        says(advisories=("IdentityDiffers",)),
        {**OWNED, "annotations": of(region="eu-central-1")},
    ),
    when(
        "it has ended: which region is asked for means nothing",
        says(release=True),
        {"held": True, "status": own(ENDED), "annotations": of(region="eu-central-1")},
    ),
    when("the finalizer was taken away by hand", TakeOwnership(ARN, finalizer=True), {"status": own()}, {"arn": ARN}),
    when("a read-only object needs none", says(), {"status": own(), **READS}),
    when("it has ended: report it, and let the object go", says(release=True), {"held": True, "status": own(ENDED)}),
    when(
        "it has ended, and everything was said",
        says(),
        {"status": own(ENDED, conditions=[condition("Complete", "Completed")])},
    ),
    when(
        "an end is an end, whatever can't be reached or found now",
        says(release=True),
        {"held": True, "status": own(ENDED)},
        {"not_found": True, "described_at": NOW, "troubles": trouble(DESCRIBE, ErrorClass.DENIED)},
        no_access=NO_ACCESS,
    ),
    when(
        "an end that only a list has told is looked at",
        Describe(WANTED),
        OWNED,
        {"observation": HEARSAY},
    ),
    when(
        "again, if Describe did not have it yet",
        says(release=True, again=3.0),
        OWNED,
        {"observation": HEARSAY, "described_at": NOW - 2.0, "ended_at": NOW - 3.0},
    ),
    when(
        "and again",
        Describe(WANTED),
        OWNED,
        {"observation": HEARSAY, "described_at": NOW - 5.0, "ended_at": NOW - 6.0},
    ),
    when(
        "but not for longer than the service is behind",
        says(release=True),
        OWNED,
        {"observation": HEARSAY, "described_at": NOW - 10.0, "ended_at": NOW - 40.0},
    ),
    when("nor without its time", says(release=True), OWNED, {"observation": HEARSAY, "described_at": NOW - 2.0}),
    when(
        "as soon as that is possible",
        says(release=True, again=10.0),
        OWNED,
        {"observation": HEARSAY, "troubles": trouble(DESCRIBE, ErrorClass.DENIED)},
    ),
    when(
        "a warm pool is looked at",
        Describe(WANTED),
        {"held": True, "spec": POOLED, "status": own(job("Completed", **POOL))},
    ),
    when(
        "every half minute",
        says(release=True, again=30.0),
        {"held": True, "spec": POOLED, "status": own(job("Completed", **POOL))},
        {"described_at": NOW - 10},
    ),
]


@pytest.mark.parametrize(("view", "step"), LIFE)
def test_in_this_situation_comes_that_step(view: View, step: Step | dict[str, Any]) -> None:
    assert shown(decide(view)) == step


@pytest.mark.parametrize(
    ("members", "known", "said"),
    [
        (OWNED, {}, says()),
        (EDITED, {"plan": TO_WAIT}, says(pending_edit="EditPending", unfinished=True)),
        ({**OWNED, "status": own(ENDED)}, {}, says(release=True)),
        (DELETED, {"stopping_since": NOW - 900}, says(advisories=("StopStuck",))),
    ],
    ids=["a job", "an edit", "an end", "a stop"],
)
def test_the_known_state_is_reported_while_describe_waits(
    members: dict[str, Any], known: dict[str, Any], said: dict[str, Any]
) -> None:
    assert shown(following.report_meanwhile(look_at(members, known, {}, {}), WANTED)) == said
