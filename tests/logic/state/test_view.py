"""Which job a decision is about, and what is known of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.logic.builders import ACCOUNT, ARN, JOB, NAME, REGION, SPEC, WANTED, recorded, remembered, resource
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.naming import JOB_ARN, Identity, add_suffix, build_arn
from trainingjob_operator.logic.objects.annotations import (
    ADOPTION_POLICY,
    JOB_NAME_SUFFIX,
    READ_ONLY,
    Defaults,
    resolve,
)
from trainingjob_operator.logic.state.view import View

if TYPE_CHECKING:
    from trainingjob_operator.logic.state.memory import Memory

OTHER = Identity(ACCOUNT, "eu-central-1", "Other-Job")
LOWER = Identity(ACCOUNT, REGION, JOB.lower())
IN_ARN = Identity(ACCOUNT, "eu-central-1", "other-job")
FROM_OTHER = recorded(build_arn("aws", OTHER))
NAMELESS = {name: value for name, value in SPEC.items() if name != "trainingJobName"}
ADOPTS, READS = {ADOPTION_POLICY: "adopt"}, {READ_ONLY: "true"}
COMPLETE: dict[str, Any] = {"conditions": [{"type": "Complete", "status": "True", "reason": "Completed"}]}


def view(memory: Memory | None = None, **members: Any) -> View:
    seen = resource(**members)
    policy = resolve(seen, {}, Defaults(ACCOUNT, REGION))
    return View(seen, policy, memory or remembered(), 100.0, datetime(2026, 11, 21, tzinfo=UTC), "aws")


@pytest.mark.parametrize(
    ("members", "arn"),
    [
        ({"status": recorded()}, None),
        ({"held": True}, None),
        ({"held": True, "status": recorded()}, ARN),
        ({"annotations": READS, "status": recorded()}, ARN),
        ({"status": recorded(**COMPLETE)}, ARN),
    ],
    ids=["an ARN alone", "a finalizer alone", "both", "only read", "an end that was recorded"],
)
def test_a_job_is_the_objects_by_proof_only(members: dict[str, Any], arn: str | None) -> None:
    assert view(**members).arn == arn


def test_what_this_process_created_is_the_objects_before_the_status_says_so() -> None:
    assert view(remembered(arn=ARN)).attached() == WANTED


@pytest.mark.parametrize(
    ("members", "identity"),
    [
        ({"status": recorded()}, WANTED),
        ({"status": recorded(), "spec": NAMELESS}, LOWER),
        ({"status": recorded(), "spec": NAMELESS, "pending": WANTED}, WANTED),
        ({"status": FROM_OTHER}, IN_ARN),
        ({"status": FROM_OTHER, "pending": OTHER}, OTHER),
        ({"status": recorded("arn:aws:s3:::bucket")}, None),
    ],
    ids=[
        "as the spec spells it",
        "as the ARN spells it, where nobody else does",
        "as the mark spells it",
        "the ARN's name, whatever the spec's",
        "the mark's spelling of another name",
        "no training job's ARN",
    ],
)
def test_the_attached_job_is_spelled_as_the_user_spells_it(members: dict[str, Any], identity: Identity | None) -> None:
    assert view(held=True, **members).attached() == identity


@pytest.mark.parametrize(
    ("members", "identity"),
    [
        ({"held": True, "status": FROM_OTHER}, IN_ARN),
        ({"pending": OTHER, "status": recorded()}, OTHER),
        ({"status": FROM_OTHER}, IN_ARN),
        ({"status": FROM_OTHER, "annotations": ADOPTS}, WANTED),
        ({}, WANTED),
        ({"spec": NAMELESS}, Identity(ACCOUNT, REGION, NAME)),
        ({"spec": NAMELESS, "name": "a.b"}, None),
    ],
    ids=[
        "its own",
        "an open attempt",
        "the recorded one",
        "the one to be adopted",
        "the wanted one",
        "by name",
        "none",
    ],
)
def test_a_call_is_about(members: dict[str, Any], identity: Identity | None) -> None:
    assert view(**members).concerned() == identity


BY_UID, BY_SPEC = {JOB_NAME_SUFFIX: "uid"}, {JOB_NAME_SUFFIX: "spec"}
OF_BACKUP = add_suffix(JOB, "the UID before the restore")


@pytest.mark.parametrize(
    ("annotations", "ran", "spec", "name"),
    [
        ({}, JOB, {}, JOB),
        ({}, JOB, {"trainingJobName": JOB.upper()}, JOB.upper()),
        ({}, JOB, {"trainingJobName": "another"}, None),
        ({}, OF_BACKUP, {}, None),
        (BY_UID, OF_BACKUP, {}, OF_BACKUP.lower()),
        (BY_UID, OF_BACKUP, {"trainingJobName": "another"}, None),
        (BY_SPEC, OF_BACKUP, {}, None),
    ],
    ids=[
        "the same name",
        "in another spelling",
        "another name",
        "a suffix without the annotation",
        "a restored object with another UID",
        "and another name",
        "a changed spec",
    ],
)
def test_an_earlier_run_counts_for_the_same_job_name_alone(
    annotations: dict[str, str], ran: str, spec: dict[str, str], name: str | None
) -> None:
    arn = build_arn("aws", Identity(ACCOUNT, REGION, ran))
    found = view(annotations={**annotations, JOB_ARN: arn}, spec={**SPEC, **spec}).ran
    assert (None if found is None else found.job_name) == name


def test_an_end_without_an_arn_in_the_status_hides_no_job() -> None:
    forged = {"conditions": [{"type": "Complete", "status": "True"}], "trainingJobStatus": "Completed"}
    assert view(remembered(arn=ARN, created_at=1.0), status=forged).arn == ARN


def test_the_newest_of_memory_and_status_is_what_is_known() -> None:
    told = Observation({"trainingJobStatus": "Completed"})
    status = recorded(trainingJobStatus="InProgress")
    assert view(status=status).observation.status == "InProgress"
    assert view(remembered(observation=told), status=status).observation is told


@pytest.mark.parametrize(
    ("observed", "known", "is_edited"),
    [(None, None, False), (1, None, True), (2, None, False), (None, 1, True), (None, 2, False), (2, 1, False)],
)
def test_an_edit_is_a_generation_that_was_not_decided_on(
    observed: int | None, known: int | None, *, is_edited: bool
) -> None:
    status = {} if observed is None else {"observedGeneration": observed}
    memory = remembered(decided_generation=known)
    assert view(memory, generation=2, status=status).is_edited is is_edited


@pytest.mark.parametrize(
    ("members", "memory", "adopting"),
    [
        ({"annotations": ADOPTS}, remembered(), True),
        ({"annotations": {ADOPTION_POLICY: "adopt-or-create"}}, remembered(), True),
        ({"annotations": {ADOPTION_POLICY: "adopt-or-create"}}, remembered(applied_fields=()), False),
        (
            {"annotations": {ADOPTION_POLICY: "adopt-or-create"}, "status": recorded()},
            remembered(),
            False,
        ),
        (
            {
                "annotations": {ADOPTION_POLICY: "adopt-or-create"},
                "status": recorded(conditions=[{"type": "ACK.Adopted", "status": "True"}]),
            },
            remembered(),
            True,
        ),
        ({}, remembered(), False),
    ],
    ids=[
        "adopt",
        "adopt or create: adopted",
        "created just now",
        "created long ago",
        "adopted long ago",
        "never asked",
    ],
)
def test_a_job_that_was_not_made_here_is_adopted(members: dict[str, Any], memory: Memory, *, adopting: bool) -> None:
    assert view(memory, **members).is_adopting is adopting
