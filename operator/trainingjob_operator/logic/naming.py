"""Names that must never be mistaken: the place of a job, its ARN, and the tags that name its owner.

Conclusions from tags are in ownership.py; shapes of annotations and conditions in annotations.py and conditions.py.
"""

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

FINALIZER = "finalizers.sagemaker.services.k8s.aws/TrainingJob"
"""ACK's finalizer, so that either controller can release what the other took."""

CREATE_PENDING = "services.k8s.aws/create-pending"
"""Annotation `<account>/<region>/<job name>`: a CreateTrainingJob under this identity may be on its way."""

JOB_ARN = "services.k8s.aws/job-arn"
"""Annotation with the ARN of the object's job, written at its end: it survives a backup without status.

It proves no ownership; it keeps the operator from running the job once more.
"""

TAG_PREFIX = "services.k8s.aws/"
"""Reserved for controllers: existing tooling filters these tags out, and user tags may not use them."""

TAG_CONTROLLER_VERSION = f"{TAG_PREFIX}controller-version"
TAG_NAMESPACE = f"{TAG_PREFIX}namespace"
TAG_CLUSTER = f"{TAG_PREFIX}cluster-id"
TAG_NAME = f"{TAG_PREFIX}object-name"
TAG_UID = f"{TAG_PREFIX}object-uid"

MAX_TAGS = 50
"""What the service takes on one resource."""

MAX_USER_TAGS = MAX_TAGS - len((TAG_CLUSTER, TAG_NAMESPACE, TAG_NAME, TAG_UID))
"""What the proof of ownership leaves of them for spec.tags."""

_NAME = re.compile(r"[a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62}")
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}")
_ARN = re.compile(
    r"arn:(?P<partition>[a-z0-9-]+):sagemaker:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):"
    rf"training-job/(?P<name>{_NAME.pattern})"
)
_PENDING = re.compile(rf"(?P<account>\d{{12}})/(?P<region>[a-z0-9-]+)/(?P<name>{_NAME.pattern})")

Location = tuple[str, str]
"""(account, region)"""

Slot = tuple[str, str, str]
"""(account, region, job name in lower case)"""


@dataclass(frozen=True, slots=True)
class Identity:
    """Where a job lives. Names are unique per account and region, whatever their case."""

    account: str
    region: str
    job_name: str

    @property
    def slot(self) -> Slot:
        """The key under which two spellings of one name meet (an ARN's name is lower-cased)."""
        return self.account, self.region, self.job_name.lower()

    def __str__(self) -> str:
        return f"{self.account}/{self.region}/{self.job_name}"


def build_arn(partition: str, identity: Identity) -> str:
    return f"arn:{partition}:sagemaker:{identity.region}:{identity.account}:training-job/{identity.job_name.lower()}"


def parse_arn(arn: object) -> tuple[str, Identity] | None:
    """(partition, identity) of a training job's ARN, its name in the ARN's own lower case; None if it is none."""
    return _parse_arn(arn) if isinstance(arn, str) else None


@functools.lru_cache(maxsize=1024)  # one look at an object asks for the same one again and again
def _parse_arn(arn: str) -> tuple[str, Identity] | None:
    match = _ARN.fullmatch(arn)
    if match is None:
        return None
    return match["partition"], Identity(match["account"], match["region"], match["name"])


def is_region(name: str) -> bool:
    """Whether it may be an AWS region's name."""
    return _REGION.fullmatch(name) is not None


def is_job_name(name: str) -> bool:
    """Whether the service takes it as a training job's name; a CRD may be installed that does not check it."""
    return _NAME.fullmatch(name) is not None


def parse_pending(value: object) -> Identity | None:
    """The identity in a create-pending annotation; None when it is absent or unreadable."""
    match = _PENDING.fullmatch(value) if isinstance(value, str) else None
    return None if match is None else Identity(match["account"], match["region"], match["name"])


@dataclass(frozen=True, slots=True)
class Owner:
    """The object on whose behalf a job runs."""

    cluster: str
    namespace: str
    name: str
    uid: str

    def tags(self) -> dict[str, str]:
        return {
            TAG_CLUSTER: self.cluster,
            TAG_NAMESPACE: self.namespace,
            TAG_NAME: self.name,
            TAG_UID: self.uid,
        }


def compose_tags(
    user: Iterable[tuple[str, str]], defaults: Mapping[str, str], owner: Owner
) -> Sequence[dict[str, str]]:
    """CreateTrainingJob's Tags: the user's in their order, then default ones, then the proof of ownership.

    A user's key wins over a default one (as with ACK), never over the proof. Default tags with an empty value are
    skipped, and they are the ones that give way when the service's limit of 50 is reached.
    """
    proof = owner.tags()
    tags = {key: value for key, value in user if key not in proof}
    room = MAX_TAGS - len(tags) - len(proof)
    for key, value in defaults.items():
        if value and key not in tags and key not in proof and room > 0:
            tags[key] = value
            room -= 1
    tags.update(proof)
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def expand_tag_format(value: str, substitutions: Mapping[str, str]) -> str:
    """ACK's `%K8S_NAMESPACE%`-like formats replaced; an unknown one is left as it is (settings refuse it earlier)."""
    return re.sub(r"%([A-Z0-9_]+)%", lambda m: substitutions.get(m[1], m[0]), value)
