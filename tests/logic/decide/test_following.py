"""Objects with an own job."""

from __future__ import annotations

from typing import Any

import pytest

from tests.logic.builders import ARN, WANTED, recorded
from tests.logic.decide.situations import (
    AWAITS,
    DELETED,
    EDITED,
    ENDED,
    LISTED_END,
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
    decides,
    job,
    of,
    own,
    reports,
    shown,
    trouble,
    view_of,
    when,
)
from trainingjob_operator.logic.decide import following
from trainingjob_operator.logic.jobs.errors import ErrorClass
from trainingjob_operator.logic.operations import DESCRIBE
from trainingjob_operator.logic.state.steps import Describe, Idle, TakeOwnership

FOLLOWED = [
    when("no observation: Describe", Describe(WANTED), {"held": True, "status": own(None)}),
    when("created by this process: Describe", Describe(WANTED), MARKED, {"arn": ARN, "needs_describe": True}),
    when("no news: report", reports(), OWNED),
    when("hint: Describe", Describe(WANTED), OWNED, {"needs_describe": True}),
    when(
        "status written by ACK, unknown generation: Describe",
        Describe(WANTED),
        {"held": True, "status": recorded(**RUNS.fields)},
    ),
    when("no access to the account", reports(hindrance="RoleUnavailable", again=30.0), OWNED, no_access=NO_ACCESS),
    when("unreadable namespace", AWAITS, OWNED, namespace_unread=NO_NAMESPACE),
    when(
        "unreadable namespace, job ended: idle", Idle(), {**OWNED, "status": own(ENDED)}, namespace_unread=NO_NAMESPACE
    ),
    when(
        "no access to the account: keep the advisory about an edit",
        reports(hindrance="RoleUnavailable", advisories=("EditPending",), again=30.0, unfinished=True),
        {"held": True, "status": own(conditions=[condition("ACK.Advisory", "EditPending")])},
        no_access=NO_ACCESS,
    ),
    when(
        "Describe is denied, and an annotation is invalid",
        reports(hindrance="AccessDenied", advisories=("InvalidAnnotation",), again=10.0),
        {**OWNED, **NOWHERE},
        {"needs_describe": True, "troubles": trouble(DESCRIBE, ErrorClass.DENIED)},
    ),
    when(
        "annotation names another region: report, keep the job",
        reports(advisories=("IdentityDiffers",)),
        {**OWNED, "annotations": of(region="eu-central-1")},
    ),
    when(
        "job ended, annotation names another region: no report",
        reports(release=True),
        {"held": True, "status": own(ENDED), "annotations": of(region="eu-central-1")},
    ),
    when(
        "finalizer removed by hand: add it again", TakeOwnership(ARN, finalizer=True), {"status": own()}, {"arn": ARN}
    ),
    when("read-only object: no finalizer", reports(), {"status": own(), **READS}),
    when("job ended: report, then release", reports(release=True), {"held": True, "status": own(ENDED)}),
    when(
        "job ended and reported: no change",
        reports(),
        {"status": own(ENDED, conditions=[condition("Complete", "Completed")])},
    ),
    when(
        "job ended, not found, denied, no access: release",
        reports(release=True),
        {"held": True, "status": own(ENDED)},
        {"not_found": True, "described_at": NOW, "troubles": trouble(DESCRIBE, ErrorClass.DENIED)},
        no_access=NO_ACCESS,
    ),
    when(
        "end seen in a list only: Describe",
        Describe(WANTED),
        OWNED,
        {"observation": LISTED_END},
    ),
    when(
        "end seen in a list, Describe 2 s ago lacks it: wait",
        reports(release=True, again=3.0),
        OWNED,
        {"observation": LISTED_END, "described_at": NOW - 2.0, "ended_at": NOW - 3.0},
    ),
    when(
        "end seen in a list, Describe 5 s ago lacks it: Describe again",
        Describe(WANTED),
        OWNED,
        {"observation": LISTED_END, "described_at": NOW - 5.0, "ended_at": NOW - 6.0},
    ),
    when(
        "end seen in a list 40 s ago, Describe lacks it: release",
        reports(release=True),
        OWNED,
        {"observation": LISTED_END, "described_at": NOW - 10.0, "ended_at": NOW - 40.0},
    ),
    when(
        "end seen in a list, time of the end unknown: release",
        reports(release=True),
        OWNED,
        {"observation": LISTED_END, "described_at": NOW - 2.0},
    ),
    when(
        "end seen in a list, Describe is denied: retry",
        reports(release=True, again=10.0),
        OWNED,
        {"observation": LISTED_END, "troubles": trouble(DESCRIBE, ErrorClass.DENIED)},
    ),
    when(
        "warm pool: Describe",
        Describe(WANTED),
        {"held": True, "spec": POOLED, "status": own(job("Completed", **POOL))},
    ),
    when(
        "warm pool, described 10 s ago: wait for 30 s",
        reports(release=True, again=30.0),
        {"held": True, "spec": POOLED, "status": own(job("Completed", **POOL))},
        {"described_at": NOW - 10},
    ),
]


test_situation_leads_to_step = decides(FOLLOWED)


@pytest.mark.parametrize(
    ("members", "known", "expected"),
    [
        (OWNED, {}, reports()),
        (EDITED, {"plan": TO_WAIT}, reports(pending_edit="EditPending", unfinished=True)),
        ({**OWNED, "status": own(ENDED)}, {}, reports(release=True)),
        (DELETED, {"stopping_since": NOW - 900}, reports(advisories=("StopStuck",))),
    ],
    ids=["a job", "an edit", "an end", "a stop"],
)
def test_the_known_state_is_reported_while_describe_waits(
    members: dict[str, Any], known: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert shown(following.report_meanwhile(view_of(members, known, {}, {}), WANTED)) == expected
