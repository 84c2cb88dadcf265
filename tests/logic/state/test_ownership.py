"""Ownership of a job by evidence, and evidence safe against forgery by tenants."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.logic.builders import ARN, CLUSTER, NAME, NAMESPACE, OWNER, UID, WANTED, claimed, recorded, resource
from trainingjob_operator.logic.naming import TAG_CLUSTER, TAG_CONTROLLER_VERSION, TAG_NAME, TAG_NAMESPACE, TAG_UID
from trainingjob_operator.logic.state.ownership import (
    EKS_GROUP,
    EKS_NAME,
    EKS_NAMESPACE,
    Evidence,
    Record,
    TagProof,
    Verdict,
    explain,
    judge,
    presumes,
    read_claim,
    read_named_owner,
    read_proof,
    read_record,
    read_standing,
)

OURS = {TAG_CLUSTER: CLUSTER, TAG_NAMESPACE: NAMESPACE, TAG_NAME: NAME, TAG_UID: UID}
ACKS = {TAG_CONTROLLER_VERSION: "sagemaker-v1.9.1", TAG_NAMESPACE: NAMESPACE}

MANAGED = {
    EKS_GROUP: "sagemaker.services.k8s.aws",
    EKS_NAMESPACE: NAMESPACE,
    EKS_NAME: NAME,
    "eks:controller-version": "v1.9.1",
}

TAGS = [
    (OURS, TagProof.SAME_OBJECT),
    ({**OURS, TAG_CONTROLLER_VERSION: "sagemaker-0.1.0", "team": "x"}, TagProof.SAME_OBJECT),
    ({**OURS, TAG_UID: "another"}, TagProof.SAME_NAME),
    ({key: value for key, value in OURS.items() if key != TAG_UID}, TagProof.SAME_NAME),
    ({**OURS, TAG_CLUSTER: "other"}, TagProof.OTHER_CLUSTER),
    ({TAG_CLUSTER: "other"}, TagProof.OTHER_CLUSTER),
    ({**OURS, TAG_NAMESPACE: "team-b"}, TagProof.OTHER_OBJECT),
    ({**OURS, TAG_NAME: "other"}, TagProof.OTHER_OBJECT),
    ({TAG_CLUSTER: CLUSTER}, TagProof.NONE),
    ({TAG_CLUSTER: CLUSTER, TAG_UID: UID}, TagProof.NONE),
    (ACKS, TagProof.ACK),
    ({**ACKS, TAG_CLUSTER: "other"}, TagProof.OTHER_CLUSTER),
    ({**ACKS, TAG_NAMESPACE: "team-b"}, TagProof.NONE),
    ({**ACKS, TAG_CONTROLLER_VERSION: "s3-v1.0.0"}, TagProof.NONE),
    (MANAGED, TagProof.ACK),
    ({**MANAGED, TAG_CLUSTER: "other"}, TagProof.OTHER_CLUSTER),
    ({**MANAGED, EKS_GROUP: "s3.services.k8s.aws"}, TagProof.NONE),
    ({**MANAGED, EKS_NAMESPACE: "team-b"}, TagProof.NONE),
    ({**MANAGED, EKS_NAME: "other"}, TagProof.NONE),
    ({EKS_NAMESPACE: NAMESPACE}, TagProof.NONE),
    ({TAG_NAMESPACE: NAMESPACE}, TagProof.NONE),
    ({TAG_NAMESPACE: NAMESPACE, TAG_NAME: NAME, TAG_UID: UID}, TagProof.NONE),
    ({}, TagProof.NONE),
]


@pytest.mark.parametrize(("tags", "proof"), TAGS)
def test_tags_identify_the_owner(tags: dict[str, str], proof: TagProof) -> None:
    assert read_proof(tags, OWNER) is proof
    if proof is TagProof.OTHER_OBJECT:
        assert read_named_owner(tags) == (tags[TAG_NAMESPACE], tags[TAG_NAME])


def test_only_complete_tags_identify_an_object() -> None:
    assert read_named_owner(OURS) == (NAMESPACE, NAME)
    assert read_named_owner({TAG_NAMESPACE: NAMESPACE, TAG_NAME: NAME}) is None
    assert read_named_owner({TAG_CLUSTER: CLUSTER, TAG_NAMESPACE: NAMESPACE}) is None


VERDICTS = [
    ({"reads_only": True, "proof": TagProof.SAME_OBJECT, "is_created_here": True}, Verdict.OBSERVED),
    ({"is_created_here": True}, Verdict.CREATED),
    ({"is_created_here": True, "has_rival": True}, Verdict.CREATED),
    ({}, Verdict.UNKNOWN),
    ({"recorded": Verdict.CREATED}, Verdict.UNKNOWN),
    ({"proof": TagProof.SAME_OBJECT, "has_rival": True}, Verdict.CREATED),
    # another object of this cluster
    ({"proof": TagProof.OTHER_OBJECT}, Verdict.FOREIGN),
    ({"proof": TagProof.OTHER_OBJECT, "recorded": Verdict.CREATED, "is_presumed": True}, Verdict.FOREIGN),
    ({"proof": TagProof.OTHER_OBJECT, "asks_adoption": True}, Verdict.UNKNOWN),
    ({"proof": TagProof.OTHER_OBJECT, "asks_adoption": True, "named_owner_exists": True}, Verdict.FOREIGN),
    ({"proof": TagProof.OTHER_OBJECT, "asks_adoption": True, "named_owner_exists": False}, Verdict.ADOPTED),
    ({"proof": TagProof.OTHER_OBJECT, "recorded": Verdict.ADOPTED, "named_owner_exists": True}, Verdict.FOREIGN),
    (
        {"proof": TagProof.OTHER_OBJECT, "asks_adoption": True, "named_owner_exists": False, "has_rival": True},
        Verdict.FOREIGN,
    ),
    # another cluster
    ({"proof": TagProof.OTHER_CLUSTER, "asks_adoption": True}, Verdict.FOREIGN),
    ({"proof": TagProof.OTHER_CLUSTER, "asks_adoption": True, "names_cluster": True}, Verdict.ADOPTED),
    ({"proof": TagProof.OTHER_CLUSTER, "names_cluster": True}, Verdict.FOREIGN),
    # an earlier object of this name
    ({"proof": TagProof.SAME_NAME}, Verdict.EARLIER_RUN),
    ({"proof": TagProof.SAME_NAME, "has_rival": True}, Verdict.FOREIGN),
    ({"proof": TagProof.SAME_NAME, "is_presumed": True}, Verdict.TAKEN_OVER),
    ({"proof": TagProof.SAME_NAME, "recorded": Verdict.INHERITED}, Verdict.INHERITED),
    ({"proof": TagProof.SAME_NAME, "asks_adoption": True}, Verdict.ADOPTED),
    # ACK's controller
    ({"proof": TagProof.ACK}, Verdict.FOREIGN),
    ({"proof": TagProof.ACK, "is_presumed": True}, Verdict.TAKEN_OVER),
    ({"proof": TagProof.ACK, "recorded": Verdict.TAKEN_OVER, "has_rival": True}, Verdict.TAKEN_OVER),
    ({"proof": TagProof.ACK, "recorded": Verdict.OBSERVED}, Verdict.FOREIGN),
    ({"proof": TagProof.ACK, "asks_adoption": True}, Verdict.ADOPTED),
    # no tags
    ({"proof": TagProof.NONE}, Verdict.FOREIGN),
    ({"proof": TagProof.NONE, "is_presumed": True}, Verdict.UNPROVEN),
    ({"proof": TagProof.NONE, "recorded": Verdict.CREATED}, Verdict.CREATED),
    ({"proof": TagProof.NONE, "recorded": Verdict.ADOPTED}, Verdict.ADOPTED),
    ({"proof": TagProof.NONE, "recorded": Verdict.OBSERVED, "is_presumed": True}, Verdict.UNPROVEN),
    ({"proof": TagProof.NONE, "asks_adoption": True}, Verdict.ADOPTED),
    ({"proof": TagProof.NONE, "asks_adoption": True, "has_rival": True}, Verdict.FOREIGN),
]


@pytest.mark.parametrize(("evidence", "verdict"), VERDICTS)
def test_evidence_leads_to_the_verdict(evidence: dict[str, Any], verdict: Verdict) -> None:
    assert judge(Evidence(**evidence)) is verdict


def test_a_job_with_tags_of_an_existing_object_is_never_changed_by_another() -> None:
    answers: list[Any] = [True, False]
    for reads, presumed, asks, names, rival, recorded_claim in itertools.product(
        answers, answers, answers, answers, answers, [None, *Verdict]
    ):
        evidence = Evidence(
            reads_only=reads,
            proof=TagProof.OTHER_OBJECT,
            recorded=recorded_claim,
            is_presumed=presumed,
            asks_adoption=asks,
            names_cluster=names,
            named_owner_exists=True,
            has_rival=rival,
        )
        assert not judge(evidence).may_change


OWN = Record(Verdict.CREATED, ARN, UID)


def test_an_ownership_record_round_trips_through_the_status() -> None:
    for record in (OWN, Record(Verdict.OBSERVED, ARN, UID, "https://sagemaker.example")):
        status = recorded(ownership=record.to_status("Words."))
        assert read_record(resource(status=status)) == record


@pytest.mark.parametrize(
    "record",
    [
        None,
        7,
        {},
        claimed(claim="Unproven"),
        claimed(claim="created"),
        {**claimed(), "jobARN": 1},
        {"claim": "Created"},
    ],
)
def test_invalid_ownership_records_are_ignored(record: Any) -> None:
    assert read_record(resource(status=recorded(ownership=record))) is None


@pytest.mark.parametrize(
    ("record", "endpoint", "claim"),
    [
        (claimed(), None, Verdict.CREATED),
        (claimed(), "https://fake", None),
        (claimed(endpointURL="https://fake"), None, None),
        (claimed(endpointURL="https://fake"), "https://fake", Verdict.CREATED),
        (claimed(ARN + "-2"), None, None),
        (claimed(objectUID="copied"), None, None),
        (None, None, None),
    ],
)
def test_an_ownership_record_is_valid_for_its_object_job_and_endpoint_alone(
    record: Any, endpoint: str | None, claim: Verdict | None
) -> None:
    assert read_claim(resource(status=recorded(ownership=record)), endpoint) is claim


CLASH = {"type": "ACK.Terminal", "status": "True", "message": "Resource already exists"}

STANDINGS: list[tuple[dict[str, Any], bool]] = [
    ({"status": recorded(), "held": True}, True),
    ({"status": recorded()}, False),
    ({"status": recorded(conditions=[CLASH]), "held": True}, False),
    ({"status": recorded(conditions=[{"type": "ACK.Observed", "status": "True"}]), "held": True}, False),
    ({"status": recorded(ownership=claimed(objectUID="earlier")), "held": True}, True),
    ({"status": recorded(ownership=claimed(claim="Observed")), "held": True}, False),
    ({"status": recorded(ownership=claimed(endpointURL="https://fake")), "held": True}, False),
]


@pytest.mark.parametrize(("members", "is_presumed"), STANDINGS)
def test_an_object_of_ack_is_presumed_owner_without_contrary_evidence(
    members: dict[str, Any], *, is_presumed: bool
) -> None:
    assert presumes(resource(**members)) is is_presumed
    assert read_standing(resource(**members)) == (WANTED.slot, is_presumed)


def test_an_ownership_record_applies_before_the_first_reconcile() -> None:
    for claim, is_owner in (
        ("Created", True),
        ("TakenOver", True),
        ("Inherited", True),
        ("Adopted", True),
        ("Observed", False),
    ):
        seen = resource(status=recorded(ownership=claimed(claim=claim)))
        assert read_standing(seen) == (WANTED.slot, is_owner)
    assert read_standing(resource(held=True)) == (None, False)


def test_the_evidence_of_a_claim_is_explained_in_a_sentence() -> None:
    assert explain(Verdict.CREATED, None) == "The operator called CreateTrainingJob for this object."
    assert explain(Verdict.CREATED, TagProof.SAME_OBJECT) == TagProof.SAME_OBJECT.value
    assert "adoption" in explain(Verdict.ADOPTED, TagProof.NONE)
    assert "reading" in explain(Verdict.OBSERVED, None)
