"""Job of a decision, and the known state of that job."""

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
    ids=["ARN alone", "finalizer alone", "both", "read-only", "recorded end state"],
)
def test_an_object_owns_a_job_by_proof_only(members: dict[str, Any], arn: str | None) -> None:
    assert view(**members).arn == arn


def test_a_job_created_by_this_process_is_owned_before_the_status_is_written() -> None:
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
        "case of the spec",
        "case of the ARN without spec and intent",
        "case of the intent",
        "name of the ARN over the spec",
        "case of the intent for another name",
        "ARN of another resource",
    ],
)
def test_the_attached_job_has_the_case_of_spec_or_intent(members: dict[str, Any], identity: Identity | None) -> None:
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
        "own job",
        "open attempt",
        "recorded job",
        "job to adopt",
        "desired job",
        "name of the object",
        "none",
    ],
)
def test_a_call_targets_the_job(members: dict[str, Any], identity: Identity | None) -> None:
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
def test_an_earlier_run_counts_only_for_the_same_job_name(
    annotations: dict[str, str], ran: str, spec: dict[str, str], name: str | None
) -> None:
    arn = build_arn("aws", Identity(ACCOUNT, REGION, ran))
    found = view(annotations={**annotations, JOB_ARN: arn}, spec={**SPEC, **spec}).ran
    assert (None if found is None else found.job_name) == name


def test_an_end_state_without_an_arn_does_not_hide_a_created_job() -> None:
    forged = {"conditions": [{"type": "Complete", "status": "True"}], "trainingJobStatus": "Completed"}
    assert view(remembered(arn=ARN, created_at=1.0), status=forged).arn == ARN


def test_an_observation_in_memory_overrides_the_status() -> None:
    newest = Observation({"trainingJobStatus": "Completed"})
    status = recorded(trainingJobStatus="InProgress")
    assert view(status=status).observation.status == "InProgress"
    assert view(remembered(observation=newest), status=status).observation is newest


@pytest.mark.parametrize(
    ("observed", "known", "is_edited"),
    [(None, None, False), (1, None, True), (2, None, False), (None, 1, True), (None, 2, False), (2, 1, False)],
)
def test_an_edit_is_a_generation_without_a_decision(
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
def test_an_adopting_object_without_an_own_create_adopts(
    members: dict[str, Any], memory: Memory, *, adopting: bool
) -> None:
    assert view(memory, **members).is_adopting is adopting
