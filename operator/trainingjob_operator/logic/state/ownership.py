"""Ownership of a training job: the single verdict required before every mutating call.

Evidence, strongest first: a CreateTrainingJob call of this process, the job's tags, the record in `.status.ownership`.
Metadata belongs to the user: an annotation is a request, a finalizer is no evidence. Not here: names and tags
(naming.py).
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from trainingjob_operator.logic.naming import (
    TAG_CLUSTER,
    TAG_CONTROLLER_VERSION,
    TAG_NAME,
    TAG_NAMESPACE,
    TAG_UID,
    Owner,
    Slot,
    parse_arn,
)
from trainingjob_operator.logic.objects.resource import Key, Resource, mapping, string
from trainingjob_operator.logic.status.conditions import COMPLETE, FAILURE, OBSERVED, TERMINAL

RECORD = "ownership"
"""The status field of the record: `claim`, `evidence`, `jobARN`, `objectUID`, and `endpointURL` of another endpoint."""

ACK_CLASH = "already exists"
"""Phrase in the reason or message of ACK's Terminal condition for a name in use: ACK then records the ARN of a foreign
job.
"""

EKS_GROUP, EKS_NAMESPACE, EKS_NAME = (
    "eks:kubernetes-api-group",
    "eks:kubernetes-namespace",
    "eks:kubernetes-resource-name",
)
"""Tags of jobs that EKS's managed ACK made; it writes none of ACK's."""


class TagProof(enum.Enum):
    """Relation of a job's tags to one object; the value is the sentence in the record."""

    SAME_OBJECT = "The job's tags name the UID of this object."
    SAME_NAME = "The job's tags name an earlier object of this cluster, namespace and name."
    ACK = "The status had this ARN, and ACK's tags name this namespace."
    OTHER_OBJECT = "The job's tags name another object of this cluster."
    OTHER_CLUSTER = "The job's tags name an object of another cluster."
    NONE = "The job's tags name no object."


def read_proof(tags: Mapping[str, str], owner: Owner) -> TagProof:
    """Return the relation of a job's tags to an object."""
    if TAG_CLUSTER not in tags:
        return TagProof.ACK if _are_acks(tags, owner) else TagProof.NONE
    if tags[TAG_CLUSTER] != owner.cluster:
        return TagProof.OTHER_CLUSTER
    named = read_named_owner(tags)
    if named is None:
        return TagProof.NONE
    if named != (owner.namespace, owner.name):
        return TagProof.OTHER_OBJECT
    return TagProof.SAME_OBJECT if tags.get(TAG_UID) == owner.uid else TagProof.SAME_NAME


def _are_acks(tags: Mapping[str, str], owner: Owner) -> bool:
    """Check for the tags of ACK's controller, or of EKS's managed one, for an object in this namespace."""
    if tags.get(TAG_CONTROLLER_VERSION, "").startswith("sagemaker-"):
        return tags.get(TAG_NAMESPACE) == owner.namespace
    managed = {EKS_GROUP: "sagemaker.services.k8s.aws", EKS_NAMESPACE: owner.namespace, EKS_NAME: owner.name}
    return all(tags.get(key) == value for key, value in managed.items())


def read_named_owner(tags: Mapping[str, str]) -> Key | None:
    """Return (namespace, name) of the object in this operator's tags; None without them."""
    namespace, name = tags.get(TAG_NAMESPACE), tags.get(TAG_NAME)
    return (namespace, name) if TAG_CLUSTER in tags and namespace and name else None


class Verdict(enum.Enum):
    """Relation of an object to the job of its name; the value is the record's `claim`."""

    CREATED = "Created"
    """Created by a CreateTrainingJob call for this object."""
    TAKEN_OVER = "TakenOver"
    """Created by ACK's controller for this object, or for the object restored from a backup."""
    ADOPTED = "Adopted"
    """Created by others; an annotation requests the adoption, and no other object has proof."""
    OBSERVED = "Observed"
    """Read-only."""
    INHERITED = "Inherited"
    """Created for an earlier object with this name, and taken over as the run of this one."""
    EARLIER_RUN = "EarlierRun"
    """Created for an earlier object with this name; not taken over yet."""
    UNPROVEN = "Unproven"
    """The object has shown the job since before this operator's record; its tags prove nothing."""
    FOREIGN = "Foreign"
    UNKNOWN = "Unknown"
    """The evidence has not been read yet."""
    NOT_FOUND = "NotFound"
    """SageMaker has no job of that name; never returned by judge()."""

    @property
    def may_change(self) -> bool:
        """Permission for Stop, Update, AddTags and DeleteTags."""
        return self in _CHANGEABLE

    @property
    def is_takeover(self) -> bool:
        """The job was created by others, or for an earlier object."""
        return self.may_change and self is not Verdict.CREATED

    @property
    def is_recorded(self) -> bool:
        return self in _CHANGEABLE or self is Verdict.OBSERVED


_CHANGEABLE = frozenset({Verdict.CREATED, Verdict.TAKEN_OVER, Verdict.INHERITED, Verdict.ADOPTED})
_RECORDED = {verdict.value: verdict for verdict in Verdict if verdict.is_recorded}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence about the relation of an object to a job."""

    reads_only: bool = False
    is_created_here: bool = False
    """This process received the job's ARN from its own CreateTrainingJob call through the same endpoint."""
    proof: TagProof | None = None
    """None before ListTags."""
    recorded: Verdict | None = None
    """The claim of this process, or the one in the status for this ARN and endpoint."""
    is_presumed: bool = False
    """The status of an object without record shows the job as its own (`presumes`)."""
    asks_adoption: bool = False
    names_cluster: bool = False
    """An annotation names the cluster in the job's tags."""
    named_owner_exists: bool | None = None
    """Existence of the object named by the tags; None before the check."""
    has_rival: bool = False
    """Another object of this cluster has a claim on the job."""


def judge(evidence: Evidence) -> Verdict:
    """Return the verdict; a total function. UNKNOWN only while tags or the named owner, if read, can change it."""
    if evidence.reads_only:
        return Verdict.OBSERVED
    if evidence.is_created_here:
        return Verdict.CREATED
    if evidence.proof is None:
        return Verdict.UNKNOWN
    if evidence.proof is TagProof.SAME_OBJECT:
        return Verdict.CREATED
    holds_claim = evidence.recorded is not None and evidence.recorded.may_change
    if evidence.has_rival and not holds_claim:
        return Verdict.FOREIGN
    if evidence.proof in (TagProof.OTHER_OBJECT, TagProof.OTHER_CLUSTER):
        return _judge_other(evidence)
    if evidence.recorded is not None and holds_claim:
        return evidence.recorded
    if evidence.asks_adoption:
        return Verdict.ADOPTED
    if evidence.proof is TagProof.SAME_NAME:
        return Verdict.TAKEN_OVER if evidence.is_presumed else Verdict.EARLIER_RUN
    if evidence.is_presumed:
        return Verdict.TAKEN_OVER if evidence.proof is TagProof.ACK else Verdict.UNPROVEN
    return Verdict.FOREIGN


def _judge_other(evidence: Evidence) -> Verdict:
    """Return the verdict on a job with another object's tags: adoption requires its absence, or its cluster by name."""
    if not (evidence.asks_adoption or evidence.recorded is Verdict.ADOPTED):
        return Verdict.FOREIGN
    if evidence.proof is TagProof.OTHER_CLUSTER:
        return Verdict.ADOPTED if evidence.names_cluster else Verdict.FOREIGN
    if evidence.named_owner_exists is None:
        return Verdict.UNKNOWN
    return Verdict.FOREIGN if evidence.named_owner_exists else Verdict.ADOPTED


def explain(claim: Verdict, proof: TagProof | None) -> str:
    """Return the evidence of a claim as one sentence."""
    if claim is Verdict.ADOPTED:
        return "An annotation of this object asks for the adoption of the job."
    if claim is Verdict.OBSERVED:
        return "An annotation of this object asks for reading the job only."
    return "The operator called CreateTrainingJob for this object." if proof is None else proof.value


@dataclass(frozen=True, slots=True)
class Record:
    """The claim recorded in the status."""

    claim: Verdict
    arn: str
    object_uid: str
    endpoint_url: str | None = None
    """The endpoint of the answer, if it is not the operator's own."""

    def to_status(self, evidence: str) -> dict[str, str]:
        """Return the status field; `evidence` is a sentence for users."""
        status = {"claim": self.claim.value, "evidence": evidence, "jobARN": self.arn, "objectUID": self.object_uid}
        return status if self.endpoint_url is None else {**status, "endpointURL": self.endpoint_url}


def read_record(resource: Resource) -> Record | None:
    """Return the record in the object's status; None if there is none, or none in this operator's format."""
    record = mapping(resource.status.get(RECORD))
    claim = _RECORDED.get(string(record.get("claim")) or "")
    arn, uid = string(record.get("jobARN")), string(record.get("objectUID"))
    if claim is None or arn is None or uid is None:
        return None
    return Record(claim, arn, uid, string(record.get("endpointURL")))


def read_claim(resource: Resource, endpoint_url: str | None) -> Verdict | None:
    """Return the claim recorded for this object, its ARN and this endpoint (None: the operator's own).

    A record of another object (a restored backup, a copied manifest), of another job or from another endpoint is no
    claim.
    """
    record = read_record(resource)
    if record is None:
        return None
    own = (resource.arn, resource.uid, endpoint_url)
    return record.claim if (record.arn, record.object_uid, record.endpoint_url) == own else None


def presumes(resource: Resource) -> bool:
    """Return True if an object without a claim shows its job as its own: written by ACK, or under ACK's CRD.

    That suffices to follow the job, never to change it.
    """
    record = read_record(resource)
    is_void = record is not None and not (record.claim.may_change and record.endpoint_url is None)
    is_void |= resource.has_condition(OBSERVED)
    is_shown = resource.holds_finalizer or has_recorded_end(resource)
    return resource.arn is not None and is_shown and not (is_void or _shows_clash(resource))


def has_recorded_end(resource: Resource) -> bool:
    """Return True if this operator recorded the end of the object's job (ACK's controller writes neither condition).

    Conditions without an ARN are no record: anybody who may write the status may have written them.
    """
    return resource.arn is not None and (resource.has_condition(COMPLETE) or resource.has_condition(FAILURE))


def _shows_clash(resource: Resource) -> bool:
    terminal = resource.condition(TERMINAL)
    return any(ACK_CLASH in str(terminal.get(name)) for name in ("reason", "message"))


def read_standing(resource: Resource) -> tuple[Slot | None, bool]:
    """Return (the job in an object's status, True with a claim), before the first reconcile of the object."""
    identity = parse_arn(resource.arn)
    if identity is None:
        return None, False
    claim = read_claim(resource, None)
    return identity.slot, presumes(resource) if claim is None else claim.may_change
