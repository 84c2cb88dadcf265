"""Identity of a job: its name, ARN, and the tags with its owner.

Not here: conclusions from tags (ownership.py), formats of annotations (annotations.py) and conditions (conditions.py).
"""

import functools
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

FINALIZER = "finalizers.sagemaker.services.k8s.aws/TrainingJob"
"""ACK's finalizer: each controller can remove the finalizer added by the other."""

CREATE_PENDING = "services.k8s.aws/create-pending"
"""Annotation `<account>/<region>/<job name>`: a CreateTrainingJob under this identity may be in flight."""

JOB_ARN = "services.k8s.aws/job-arn"
"""Annotation with the ARN of the object's job, written at its end: it survives a backup without status.

It proves no ownership; it prevents a second run of the job.
"""

TAG_PREFIX = "services.k8s.aws/"
"""Reserved for controllers: existing tooling filters these tags out, and user tags may not use the prefix."""

TAG_CONTROLLER_VERSION = f"{TAG_PREFIX}controller-version"
TAG_NAMESPACE = f"{TAG_PREFIX}namespace"
TAG_CLUSTER = f"{TAG_PREFIX}cluster-id"
TAG_NAME = f"{TAG_PREFIX}object-name"
TAG_UID = f"{TAG_PREFIX}object-uid"

MAX_TAGS = 50
"""Maximum number of tags of one resource."""

MAX_USER_TAGS = MAX_TAGS - len((TAG_CLUSTER, TAG_NAMESPACE, TAG_NAME, TAG_UID))
"""Maximum number of tags in spec.tags beside the ownership tags."""

MAX_JOB_NAME, SUFFIX_LENGTH = 63, 8
_NAME = re.compile(r"[a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62}")
_ATTEMPT = re.compile(r"-r\d{1,2}\Z", re.ASCII)
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}")
_ARN = re.compile(
    r"arn:[a-z0-9-]+:sagemaker:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):"
    rf"training-job/(?P<name>{_NAME.pattern})"
)
_PENDING = re.compile(rf"(?P<account>\d{{12}})/(?P<region>[a-z0-9-]+)/(?P<name>{_NAME.pattern})")

Location = tuple[str, str]
"""(account, region)"""

Slot = tuple[str, str, str]
"""(account, region, job name in lower case)"""


@dataclass(frozen=True, slots=True)
class Identity:
    """Location of a job. Names are unique per account and region, case-insensitively."""

    account: str
    region: str
    job_name: str

    @property
    def slot(self) -> Slot:
        """Key independent of the spelling of the name (an ARN has it in lower case)."""
        return self.account, self.region, self.job_name.lower()

    def __str__(self) -> str:
        return f"{self.account}/{self.region}/{self.job_name}"


def build_arn(partition: str, identity: Identity) -> str:
    return f"arn:{partition}:sagemaker:{identity.region}:{identity.account}:training-job/{identity.job_name.lower()}"


def parse_arn(arn: object) -> Identity | None:
    """Return the identity in a training job's ARN, with its lower-case name; None for any other value.

    The partition is the operator's own: credentials are valid in one partition only.
    """
    return _parse_arn(arn) if isinstance(arn, str) else None


@functools.lru_cache(maxsize=1024)  # one reconcile parses the same ARN repeatedly
def _parse_arn(arn: str) -> Identity | None:
    match = _ARN.fullmatch(arn)
    return None if match is None else Identity(match["account"], match["region"], match["name"])


def is_region(name: str) -> bool:
    """Return True for a plausible name of an AWS region."""
    return _REGION.fullmatch(name) is not None


def add_suffix(name: str, source: str, end: str = "") -> str:
    """Return a job name of at most 63 characters: the name, shortened if necessary, a short hash of `source`, `end`."""
    digest = hashlib.sha256(source.encode()).hexdigest()[:SUFFIX_LENGTH]
    return f"{name[: MAX_JOB_NAME - SUFFIX_LENGTH - 1 - len(end)].rstrip('-')}-{digest}{end}"


def name_attempt(name: str, number: int) -> str:
    """Return the job name of an attempt: that of the first one with -r2, -r3, …

    A long name is shortened and has a hash, so that two long names do not meet.
    """
    if number == 1:
        return name
    end = f"-r{number}"
    return name + end if len(name + end) <= MAX_JOB_NAME else add_suffix(name, name, end)


def shares_base(name: str, other: str) -> bool:
    """Return True if two names of add_suffix() differ in their hashes only; `other` may be that of a later attempt."""
    base, first = _drop_suffix(name), _ATTEMPT.sub("", other)
    if first == other or len(other) <= MAX_JOB_NAME - len("-r10"):
        return base == _drop_suffix(first)
    return base.startswith(_drop_suffix(first))  # shortened for the number


def _drop_suffix(name: str) -> str:
    return name[: -SUFFIX_LENGTH - 1]


def is_job_name(name: str) -> bool:
    """Return True for a valid name of a training job; the installed CRD may not check it."""
    return _NAME.fullmatch(name) is not None


def parse_pending(value: object) -> Identity | None:
    """Return the identity in a create-pending annotation; None if it is absent or unreadable."""
    match = _PENDING.fullmatch(value) if isinstance(value, str) else None
    return None if match is None else Identity(match["account"], match["region"], match["name"])


@dataclass(frozen=True, slots=True)
class Owner:
    """The object that a job runs for."""

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
    """Return CreateTrainingJob's Tags: the user's in their order, then the defaults, then the ownership tags.

    A user's key overrides a default one (as in ACK), never an ownership tag. Defaults with an empty value are skipped,
    and defaults are dropped first at the service's limit of 50.
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
    """Replace ACK's formats such as `%K8S_NAMESPACE%`; unknown ones are kept (settings reject them earlier)."""
    return re.sub(r"%([A-Z0-9_]+)%", lambda m: substitutions.get(m[1], m[0]), value)
