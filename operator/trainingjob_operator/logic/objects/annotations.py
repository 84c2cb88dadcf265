"""Policy of an object, resolved from its annotations and those of its namespace, with ACK's keys and precedence.

Precedence: object, namespace, flag. An invalid value becomes a `Problem` with the valid values; the operator never
substitutes another value. Not here: account and region of an existing job, fixed by its ARN (decide/).
"""

import enum
import fnmatch
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar
from urllib.parse import urlsplit

from trainingjob_operator.logic.naming import add_suffix, is_job_name, is_region, name_attempt
from trainingjob_operator.logic.objects.attempts import MAX_ATTEMPTS
from trainingjob_operator.logic.objects.resource import Resource, string

PREFIX = "services.k8s.aws/"
REGION = f"{PREFIX}region"
DEFAULT_REGION = f"{PREFIX}default-region"
DELETION_POLICY = f"{PREFIX}deletion-policy"
NAMESPACE_DELETION_POLICY = f"sagemaker.{PREFIX}deletion-policy"
ADOPTION_POLICY = f"{PREFIX}adoption-policy"
ADOPTION_FIELDS = f"{PREFIX}adoption-fields"
ADOPTED = f"{PREFIX}adopted"
READ_ONLY = f"{PREFIX}read-only"
SPARING_KEYS = (DELETION_POLICY, NAMESPACE_DELETION_POLICY, READ_ONLY)
"""Annotations that prevent a Stop on deletion; an invalid value also prevents it."""
OWNER_ACCOUNT = f"{PREFIX}owner-account-id"
ENDPOINT_URL = f"{PREFIX}endpoint-url"
TEAM = f"{PREFIX}team-id"
ALLOWED_ROLES = f"sagemaker.{PREFIX}allowed-role-arns"
TTL = f"sagemaker.{PREFIX}ttl-seconds-after-finished"
JOB_NAME_SUFFIX = f"sagemaker.{PREFIX}job-name-suffix"
MAX_ATTEMPTS_KEY = f"sagemaker.{PREFIX}max-attempts"
"""Number of jobs that the object may create, one after the other, after failures of the service."""
PRIORITY = f"sagemaker.{PREFIX}priority"
"""Head start in minutes, in the create queues, before the other objects of the namespace."""
ADOPT_FROM_CLUSTER = f"sagemaker.{PREFIX}adopt-from-cluster"
"""ID of another cluster: permits the adoption of a job with the tags of an object of that cluster."""
ADOPTABLE_JOBS = f"sagemaker.{PREFIX}adoptable-jobs"
"""Namespace annotation: names of the jobs, with * as wildcard, open to adoption or reading by its objects."""
RECONCILE_REQUESTS = ("reconcile.fluxcd.io/requestedAt", f"{PREFIX}reconcile-requested-at")
"""A new value of one of these annotations requests an immediate reconcile."""

_ACCOUNT = re.compile(r"\d{12}")
_SECONDS = re.compile(r"\d{1,9}", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,9}", re.ASCII)
_URL = re.compile(r"(?P<scheme>https?)://[^\s/?#@]+(/[^\s?#]*)?")


MAX_PRIORITY = 1000
"""A priority is an integer between this number and its negative."""


class Deletion(enum.Enum):
    DELETE = "delete"
    RETAIN = "retain"


class Adoption(enum.Enum):
    ADOPT = "adopt"
    ADOPT_OR_CREATE = "adopt-or-create"


class Suffix(enum.Enum):
    """Source of the suffix of the job's name."""

    SPEC = "spec"
    """The same spec has one job: applied again, it shows that job; a changed spec runs."""
    UID = "uid"
    """Each object has a job of its own: applied again after a deletion, it runs again."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An annotation with an invalid or forbidden value, and the correction."""

    annotation: str
    message: str


@dataclass(frozen=True, slots=True)
class Defaults:
    """Values for objects and namespaces without annotations."""

    account: str
    region: str
    endpoint_url: str | None = None
    deletion: Deletion = Deletion.DELETE
    ttl_seconds: int | None = None
    allow_unsafe_endpoints: bool = False
    carm_enabled: bool = True
    adoption_namespaces: tuple[str, ...] = ()
    """Namespaces with permission to adopt or read jobs made by others; empty permits all, as in ACK."""
    allowed_endpoints: tuple[str, ...] = ()
    """Endpoint URLs open to namespaces: the host may contain *; a single * permits any endpoint."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The resolved settings of one object."""

    account: str
    region: str
    endpoint_url: str | None
    deletion: Deletion
    adoption: Adoption | None
    adopted: bool
    read_only: bool
    job_name: str
    """spec.trainingJobName, or the object's name, with the suffix; it may be no valid name."""
    suffix: Suffix | None = None
    ttl_seconds: int | None = None
    """Seconds from condition Finished to the deletion of the object; None keeps it."""
    names_account: bool = False
    """The namespace sets the account: the operator assumes the role of the account map even for its own account."""
    allowed_roles: tuple[str, ...] = ()
    namespace_endpoint: str | None = None
    """The endpoint set by the namespace: its answers are no evidence about jobs elsewhere."""
    adopt_from_cluster: str | None = None
    first_name: str = ""
    """The job name of the first attempt."""
    attempt: int = 1
    """Number of the present attempt, or of the next one."""
    max_attempts: int = field(default=1, compare=False)
    priority: int = field(default=0, compare=False)
    """Not compared: a changed position in the queue makes no other attempt of the object."""
    problems: tuple[Problem, ...] = ()

    def served_in(self, account: str) -> "Policy":
        """Return the policy of an object whose account an IAMRoleSelector sets, in place of its namespace."""
        problems = tuple(problem for problem in self.problems if problem.annotation != OWNER_ACCOUNT)
        return replace(self, account=account, names_account=False, problems=problems)

    @property
    def asks_adoption(self) -> bool:
        """Adoption is requested and the namespace permits it."""
        return (self.adoption is not None or self.adopted) and not self._has_problem(ADOPTION_POLICY, ADOPTED)

    @property
    def reads_only(self) -> bool:
        """Read-only access is requested and the namespace permits it."""
        return self.read_only and not self._has_problem(READ_ONLY)

    @property
    def endpoint_problem(self) -> Problem | None:
        """The problem that leaves the object without a valid endpoint; another endpoint would serve other jobs."""
        return next((problem for problem in self.problems if problem.annotation == ENDPOINT_URL), None)

    def _has_problem(self, *keys: str) -> bool:
        return any(problem.annotation in keys for problem in self.problems)

    @property
    def observes_only(self) -> bool:
        """The job must exist already: the operator never creates it for this object."""
        return self.read_only or self.adopted or self.adoption is Adoption.ADOPT

    @property
    def names_existing_job(self) -> bool:
        """Annotations request an existing job: to adopt it or to read it."""
        return self.observes_only or self.adoption is not None

    def number_of(self, job_name: str) -> int | None:
        """Return the number of the attempt with that job name, in any case; None for another job."""
        names = ((number, name_attempt(self.first_name, number)) for number in range(1, MAX_ATTEMPTS + 1))
        return next((number for number, name in names if name.lower() == job_name.lower()), None)

    def allows_role(self, role_arn: object) -> bool:
        """Return True if the namespace permits this role for its jobs."""
        if not self.allowed_roles:
            return True
        return isinstance(role_arn, str) and any(fnmatch.fnmatchcase(role_arn, glob) for glob in self.allowed_roles)


def resolve(resource: Resource, namespace: Mapping[str, str], defaults: Defaults) -> Policy:
    """Return the policy for an object, given its namespace's annotations and the operator's defaults."""
    reader = _Reader(resource.annotations, namespace)
    region = reader.read(REGION, DEFAULT_REGION, _parse_region) or defaults.region
    account = reader.read(None, OWNER_ACCOUNT, _parse_account) or defaults.account
    if account != defaults.account and not defaults.carm_enabled:
        reader.refuse(OWNER_ACCOUNT, "requires --enable-carm. Remove the annotation or set the flag.")
    endpoint = reader.read(None, ENDPOINT_URL, _endpoint_parser(defaults))
    deletion = reader.read(DELETION_POLICY, NAMESPACE_DELETION_POLICY, _choice(Deletion))
    adoption = reader.read(ADOPTION_POLICY, None, _choice(Adoption))
    fields = reader.read(ADOPTION_FIELDS, None, _parse_adoption_fields)
    adopted = reader.read(ADOPTED, None, _parse_flag) or False
    read_only = reader.read(READ_ONLY, None, _parse_flag) or False
    is_unclear = any(problem.annotation in SPARING_KEYS for problem in reader.problems)
    if TEAM in namespace:
        reader.refuse(
            TEAM,
            "is not supported. Use services.k8s.aws/owner-account-id with a role in ack-role-account-map.",
        )
    priority = reader.read(PRIORITY, None, _parse_priority) or 0
    suffix = reader.read(JOB_NAME_SUFFIX, JOB_NAME_SUFFIX, _choice(Suffix))
    ttl_seconds = _read_ttl(reader, suffix, defaults)
    written = string(resource.spec.get("trainingJobName"))
    if fields is not None and written is not None and fields != written:
        reader.refuse(ADOPTION_FIELDS, f"names {fields!r}, but spec.trainingJobName is {written!r}. Use one name.")
    names_existing_job = adoption is not None or adopted or read_only
    job_name = written or fields or resource.name
    if suffix is not None and not names_existing_job:
        job_name = add_suffix(job_name, _read_source(suffix, resource))
    first_name, attempt = job_name, 1
    max_attempts = _read_attempts(reader, is_permitted=not names_existing_job)
    if not names_existing_job:
        attempt = _find_attempt(resource, max_attempts)
        job_name = name_attempt(first_name, attempt)
    refusal = _refuse_adoption(resource.namespace, job_name, namespace, defaults)
    for key, asks in ((ADOPTION_POLICY, adoption is not None), (ADOPTED, adopted), (READ_ONLY, read_only)):
        if asks and refusal is not None:
            reader.refuse(key, refusal)
    allowed_roles = _split(namespace.get(ALLOWED_ROLES, ""))
    if ALLOWED_ROLES in namespace and not allowed_roles:
        reader.refuse(ALLOWED_ROLES, "of the namespace contains no role. Use role ARNs, * as wildcard, or remove it.")
    return Policy(
        account=account,
        region=region,
        endpoint_url=endpoint or defaults.endpoint_url,
        deletion=Deletion.RETAIN if is_unclear else deletion or defaults.deletion,
        adoption=adoption,
        adopted=adopted,
        read_only=read_only,
        job_name=job_name,
        suffix=None if names_existing_job else suffix,
        ttl_seconds=ttl_seconds,
        names_account=OWNER_ACCOUNT in namespace and defaults.carm_enabled,
        allowed_roles=allowed_roles,
        namespace_endpoint=endpoint,
        adopt_from_cluster=string(resource.annotations.get(ADOPT_FROM_CLUSTER)),
        first_name=first_name,
        attempt=attempt,
        max_attempts=max_attempts or 1,
        priority=priority,
        problems=tuple(reader.problems),
    )


def _read_ttl(reader: "_Reader", suffix: Suffix | None, defaults: Defaults) -> int | None:
    """Return the time to live; None for an invalid one.

    An object whose name has a suffix by its UID has none: a GitOps tool that applies it again would run it forever.
    """
    ttl = reader.read(TTL, TTL, _parse_ttl)
    if suffix is Suffix.UID:
        if TTL in reader.own:
            reader.refuse(
                TTL,
                f"is not permitted with {JOB_NAME_SUFFIX}: uid, since an object that a GitOps tool applies again would "
                "run again. Remove one of them.",
            )
        return None
    if any(problem.annotation == TTL for problem in reader.problems):
        return None
    return defaults.ttl_seconds if ttl is None else ttl


def _read_attempts(reader: "_Reader", *, is_permitted: bool) -> int | None:
    """Return the permitted number of attempts; None for an invalid one."""
    if not is_permitted:
        if MAX_ATTEMPTS_KEY in reader.own:
            reader.refuse(MAX_ATTEMPTS_KEY, "is not permitted for an object that adopts or reads a job. Remove it.")
        return 1
    attempts = reader.read(MAX_ATTEMPTS_KEY, MAX_ATTEMPTS_KEY, _parse_attempts)
    is_invalid = any(problem.annotation == MAX_ATTEMPTS_KEY for problem in reader.problems)
    return None if is_invalid else attempts or 1


def _find_attempt(resource: Resource, max_attempts: int | None) -> int:
    """Return the number of the object's attempt: the recorded job's, otherwise that of the next one.

    With fewer permitted attempts than have ended, the last one stays; with an invalid limit, nothing changes.
    """
    attempts = resource.attempts
    if not attempts:
        return 1
    last = next((attempt for attempt in attempts if attempt.arn == resource.arn), attempts[-1])
    if last.arn == resource.arn or not last.is_ended or (max_attempts is not None and last.number >= max_attempts):
        return last.number
    return last.number + 1


def _read_source(suffix: Suffix, resource: Resource) -> str:
    """Return the text behind the suffix; equal specs have equal texts."""
    if suffix is Suffix.UID:
        return resource.uid
    return json.dumps(resource.spec, sort_keys=True, separators=(",", ":"))


def read_request(annotations: Mapping[str, str]) -> str | None:
    """Return the value of the reconcile request; compare it with the value handled last."""
    asked = [annotations[key] for key in RECONCILE_REQUESTS if string(annotations.get(key))]
    return ",".join(asked) or None


def _refuse_adoption(namespace: str, job_name: str, annotations: Mapping[str, str], defaults: Defaults) -> str | None:
    """Return the problem that forbids the object to adopt or read the job, if any."""
    if defaults.adoption_namespaces and namespace not in defaults.adoption_namespaces:
        return "is not permitted in this namespace (--adoption-namespaces)."
    if ADOPTABLE_JOBS not in annotations:
        return None
    names, name = _split(annotations[ADOPTABLE_JOBS]), job_name.lower()
    if any(fnmatch.fnmatchcase(name, glob.lower()) for glob in names):
        return None
    allowed = ", ".join(names) or "none"
    return f"is not permitted for this job. Annotation {ADOPTABLE_JOBS} of the namespace permits: {allowed}."


def _split(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


T = TypeVar("T")


@dataclass(slots=True)
class _Reader:
    """Reads annotations in order of precedence and collects invalid ones."""

    own: Mapping[str, str]
    namespace: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)

    def read(self, key: str | None, namespace_key: str | None, parse: Callable[[str], T]) -> T | None:
        """Return the parsed value of the first annotation present; None without one, or for an invalid value."""
        for source, name in ((self.own, key), (self.namespace, namespace_key)):
            if name is None or name not in source:
                continue
            try:
                return parse(source[name])
            except ValueError as error:
                where = "" if source is self.own else " of the namespace"
                self.refuse(name, f"{where.strip()} {error}".strip())
                return None
        return None

    def refuse(self, key: str, why: str) -> None:
        self.problems.append(Problem(key, f"Annotation {key} {why}"))


def _parse_region(value: str) -> str:
    if not is_region(value):
        raise ValueError(f"is {_shorten(value)}, not an AWS region. Use a region such as us-west-2.")
    return value


def _parse_account(value: str) -> str:
    if not _ACCOUNT.fullmatch(value):
        raise ValueError(f"is {_shorten(value)}. Use an AWS account ID of 12 digits.")
    return value


def _endpoint_parser(defaults: Defaults) -> Callable[[str], str]:
    def parse(value: str) -> str:
        match = _URL.fullmatch(value)
        unsafe = defaults.allow_unsafe_endpoints
        if not match or not (unsafe or match["scheme"] == "https"):
            allowed = "http:// or https://" if unsafe else "https:// (or run with --allow-unsafe-aws-endpoint-urls)"
            raise ValueError(f"is {_shorten(value)}. Use a URL with the prefix {allowed}.")
        if not any(_is_endpoint_of(value, pattern) for pattern in defaults.allowed_endpoints):
            raise ValueError(
                f"is {_shorten(value)}, not permitted by --allowed-endpoint-urls. Ask the operator's administrator."
            )
        return value

    return parse


def _is_endpoint_of(url: str, pattern: str) -> bool:
    """Match a URL with a permitted one: scheme, host (with *), port, and the path if the pattern has one."""
    if pattern == "*":
        return True
    allowed = urlsplit(pattern)
    try:
        given = urlsplit(url)
        is_same_place = (given.scheme, given.port) == (allowed.scheme, allowed.port)
    except ValueError:  # invalid port or IPv6 address
        return False
    return (
        is_same_place
        and fnmatch.fnmatchcase(given.hostname or "", allowed.hostname or "")
        and allowed.path.rstrip("/") in ("", given.path.rstrip("/"))
    )


E = TypeVar("E", bound=enum.Enum)


def _choice(kind: type[E]) -> Callable[[str], E]:
    def parse(value: str) -> E:
        try:
            return kind(value)
        except ValueError:
            allowed = " or ".join(str(member.value) for member in kind)
            raise ValueError(f"is {_shorten(value)}. Allowed: {allowed}.") from None

    return parse


def _parse_flag(value: str) -> bool:
    """Parse a boolean case-insensitively, as ACK does."""
    if value.lower() not in ("true", "false"):
        raise ValueError(f"is {_shorten(value)}. Allowed: true or false.")
    return value.lower() == "true"


def _parse_ttl(value: str) -> int:
    if not _SECONDS.fullmatch(value):
        raise ValueError(f"is {_shorten(value)}. Use a number of seconds, such as 86400.")
    return int(value)


def _parse_attempts(value: str) -> int:
    if not _INTEGER.fullmatch(value) or not 1 <= int(value) <= MAX_ATTEMPTS:
        raise ValueError(f"is {_shorten(value)}. Use an integer from 1 to {MAX_ATTEMPTS}.")
    return int(value)


def _parse_priority(value: str) -> int:
    if not _INTEGER.fullmatch(value) or abs(int(value)) > MAX_PRIORITY:
        raise ValueError(f"is {_shorten(value)}. Use an integer from -{MAX_PRIORITY} to {MAX_PRIORITY}.")
    return int(value)


def _parse_adoption_fields(value: str) -> str:
    """Return the job name in ACK's JSON string map."""
    try:
        fields = json.loads(value)
    except ValueError:
        fields = None
    name = fields.get("trainingJobName") if isinstance(fields, dict) else None
    if not isinstance(name, str) or not is_job_name(name):
        raise ValueError('must be JSON with the name of the job: {"trainingJobName": "my-job"}.')
    return name


def _shorten(value: str) -> str:
    return repr(value if len(value) <= 64 else value[:64] + "…")
