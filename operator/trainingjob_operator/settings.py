"""What the operator can be told: one frozen value, and the table of flags that it is read from.

Here: every flag with its environment variable, default, bounds and help text; the sentences for values that
can't be taken; ACK's flags that have no meaning here. Not here: reading `os.environ` or a command line (cli.py),
and anything that the settings lead to (assembly.py).

One rule names the environment variables: `--aws-…` is read from the variable of that name, which the AWS SDKs
share (`AWS_REGION`, `AWS_ENDPOINT_URL`); every other flag from `ACK_` and its name (`--log-level` from
`ACK_LOG_LEVEL`). A flag wins over its variable; an empty value, as ACK's chart passes for what nobody set,
counts as not given.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from trainingjob_operator.logic import naming

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class SettingsError(ValueError):
    """A value that can't be taken; the text is one sentence that says what to change."""


class Group(enum.Enum):
    """The headings of `--help`, in their order."""

    AWS = "AWS"
    KUBERNETES = "Kubernetes"
    JOBS = "Jobs"
    PACE = "Pace"
    OBSERVABILITY = "Logs, metrics and health"


class Address(NamedTuple):
    """Where a server listens; an empty host means every interface, port 0 any free port."""

    host: str
    port: int


# From text to values: each takes the text of a flag or variable and raises ValueError with what it should have
# been; `read` puts the name of the flag before it.

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DURATION = re.compile(r"(?P<amount>[0-9]+(\.[0-9]+)?)(?P<unit>ms|s|m)?")
_SECONDS_OF = {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}
_DNS_NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_LABEL_KEY = rf"({_DNS_NAME}/)?[a-zA-Z0-9]([-\w.]{{0,61}}[a-zA-Z0-9])?"
_LABEL_VALUE = r"([a-zA-Z0-9]([-\w.]{0,61}[a-zA-Z0-9])?)?"
_LABEL_REQUIREMENT = (
    rf"\s*({_LABEL_KEY}\s*(=|==|!=)\s*{_LABEL_VALUE}"
    rf"|{_LABEL_KEY}\s+(in|notin)\s+\(\s*{_LABEL_VALUE}(\s*,\s*{_LABEL_VALUE})*\s*\)"
    rf"|!?\s*{_LABEL_KEY})\s*"
)
_LABEL_SELECTOR = re.compile(rf"{_LABEL_REQUIREMENT}(,{_LABEL_REQUIREMENT})*", re.ASCII)
_TAG_TEXT = re.compile(r"[\w\s.:/=+@%-]*")
_TAG_FORMAT = re.compile(r"%[^%\s]*%")

# What --resource-tags may hold in place of a fixed text, with what it becomes. ACK's names.
TAG_FORMATS: Mapping[str, str] = {
    "%CONTROLLER_SERVICE%": "sagemaker",
    "%CONTROLLER_VERSION%": "the version of this operator",
    "%K8S_NAMESPACE%": "the object's namespace",
    "%K8S_RESOURCE_NAME%": "the object's name",
    "%K8S_RESOURCE_KIND%": "TrainingJob",
    "%MANAGED_BY%": "the object's label app.kubernetes.io/managed-by",
    "%KRO_VERSION%": "the object's label kro.run/kro-version",
}
DEFAULT_RESOURCE_TAGS: tuple[tuple[str, str], ...] = (
    (naming.TAG_CONTROLLER_VERSION, "%CONTROLLER_SERVICE%-%CONTROLLER_VERSION%"),
    (naming.TAG_NAMESPACE, "%K8S_NAMESPACE%"),
)

# ACK's names for the levels, and the ones among them that differ in what is logged here.
_LOG_LEVELS: Mapping[str, str] = {
    "debug": "debug",
    "info": "info",
    "warn": "warn",
    "warning": "warn",
    "error": "error",
    "dpanic": "fatal",
    "panic": "fatal",
    "fatal": "fatal",
}

_TRUE = frozenset({"1", "t", "true"})
_FALSE = frozenset({"0", "f", "false"})


def _yes_or_no(text: str) -> bool:
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise ValueError("true or false")
    return word in _TRUE


def _whole_number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return parse


def _number(least: float, most: float, unit: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not least <= value <= most:  # NaN compares as false and is refused with the rest
            raise ValueError(f"a number of {unit} from {least:g} to {most:g}")
        return value

    return parse


def _duration(least: float, most: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        match = _DURATION.fullmatch(text)
        seconds = float(match["amount"]) * _SECONDS_OF[match["unit"]] if match else -1.0
        if not least <= seconds <= most:
            raise ValueError(f"a time such as 30s, from {least:g}s to {most:g}s")
        return seconds

    return parse


def _region(text: str) -> str:
    if not naming.is_region(text):
        raise ValueError("the name of an AWS region, such as eu-west-1")
    return text


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        sound = parts.scheme in {"http", "https"} and parts.hostname and not (parts.query or parts.fragment)
        _ = parts.port
    except ValueError:
        sound = False
    if not sound:
        raise ValueError("a URL such as https://host:443")
    return text.rstrip("/")


def _endpoint_patterns(text: str) -> tuple[str, ...]:
    patterns = tuple(part.strip() for part in text.split(",") if part.strip())
    try:
        return tuple(pattern if pattern == "*" else _url(pattern) for pattern in patterns)
    except ValueError:
        raise ValueError("URLs such as https://*.vpce.amazonaws.com, separated by commas, or *") from None


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("host:port, such as 0.0.0.0:8080")
    return Address(host.removeprefix("[").removesuffix("]"), int(port))


def _namespace(text: str) -> str:
    if not _DNS_LABEL.fullmatch(text):
        raise ValueError("the name of a namespace")
    return text


def _namespaces(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(_DNS_LABEL.fullmatch(name) for name in names):
        raise ValueError("names of namespaces, separated by commas")
    if len(set(names)) < len(names):
        raise ValueError("a list that names each namespace once")
    return names


def _label_selector(text: str) -> str:
    if not _LABEL_SELECTOR.fullmatch(text):
        raise ValueError("a label selector such as team=vision,tier!=test")
    return text


def _log_level(text: str) -> str:
    if text.lower() not in _LOG_LEVELS:
        raise ValueError("debug, info, warn, error or fatal")
    return _LOG_LEVELS[text.lower()]


def _deletion_policy(text: str) -> str:
    if text not in {"delete", "retain"}:
        raise ValueError("delete or retain")
    return text


_PLACEHOLDER = re.compile(r"<.*>|my-cluster|your-.*|change-?me|replace-?me|todo|placeholder", re.IGNORECASE)


def _cluster_id(text: str) -> str:
    if _PLACEHOLDER.fullmatch(text):
        raise ValueError(
            "a value that no other cluster has, best the uid of its namespace kube-system, for this placeholder"
        )
    if not re.fullmatch(r"[\w.:/=+@-]{1,128}", text):
        raise ValueError("up to 128 letters, digits and any of _ . : / = + @ -")
    return text


def _external_id(text: str) -> str:
    if not re.fullmatch(r"[\w+=,.@:/-]{2,1224}", text, re.ASCII):
        raise ValueError("2 to 1224 letters, digits and any of _ + = , . @ : / -")
    return text


def _resource_tags(text: str) -> tuple[tuple[str, str], ...]:
    tags: dict[str, str] = {}
    for item in text.split(","):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not key or "=" in value:
            raise ValueError("key=value pairs separated by commas, each with one '='")
        if key in tags:
            raise ValueError(f"a list that has the key {key} once")
        if key.lower().startswith("aws:"):
            raise ValueError(f"a list without the key {key}: AWS keeps aws: for itself")
        if key.startswith(naming.TAG_PREFIX) and key not in dict(DEFAULT_RESOURCE_TAGS):
            raise ValueError(f"a list without the key {key}: {naming.TAG_PREFIX} is kept for the proof of ownership")
        if len(key) > 128 or len(value) > 256 or not _TAG_TEXT.fullmatch(key + value):
            raise ValueError("keys up to 128 and values up to 256 letters, digits, spaces and any of _ . : / + @ -")
        unknown = [form for form in _TAG_FORMAT.findall(value) if form not in TAG_FORMATS]
        if unknown or "%" in _TAG_FORMAT.sub("", value):
            raise ValueError(f"a list whose formats are among {', '.join(TAG_FORMATS)}")
        tags[key] = value
    return tuple(tags.items())


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag: how it is called, where else it is read from, what it takes and what it is for."""

    field: str
    group: Group
    help: str
    parse: Callable[[str], Any]
    metavar: str
    default: Any
    aliases: tuple[str, ...] = ()
    further_variables: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return "--" + self.field.replace("_", "-")

    @property
    def is_switch(self) -> bool:
        """A switch needs no value: `--flag` stands for `--flag=true`."""
        return self.parse is _yes_or_no

    @property
    def variable(self) -> str:
        upper = self.field.upper()
        return upper if upper.startswith("AWS_") else f"ACK_{upper}"

    @property
    def variables(self) -> tuple[str, ...]:
        """Environment variables, the first that is set counts."""
        return (self.variable, *self.further_variables)


def _flag(
    group: Group,
    help: str,  # noqa: A002 - the word that argparse and every reader use for it
    parse: Callable[[str], Any],
    *,
    metavar: str = "",
    default: Any = dataclasses.MISSING,
    aliases: tuple[str, ...] = (),
    further_variables: tuple[str, ...] = (),
) -> Any:
    described = {
        "group": group,
        "help": help,
        "parse": parse,
        "metavar": metavar,
        "aliases": aliases,
        "further_variables": further_variables,
    }
    return dataclasses.field(default=default, metadata=described)


_METRICS_ADDR = Address("0.0.0.0", 8080)  # noqa: S104 - ACK's; Prometheus scrapes from outside the pod
_HEALTHZ_ADDR = Address("0.0.0.0", 8081)  # noqa: S104 - ACK's; the kubelet asks from outside the pod


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that can be set; an empty text or tuple means "all" or "the usual". Times are seconds."""

    aws_region: str = _flag(
        Group.AWS, "Region of jobs whose object and namespace name none.", _region, metavar="REGION"
    )
    aws_endpoint_url: str = _flag(
        Group.AWS,
        "Endpoint of SageMaker, for a private one or a stand-in; as a variable STS's too, unless that has its own.",
        _url,
        metavar="URL",
        default="",
    )
    aws_identity_endpoint_url: str = _flag(Group.AWS, "Endpoint of STS.", _url, metavar="URL", default="")
    allow_unsafe_aws_endpoint_urls: bool = _flag(
        Group.AWS, "Take endpoints that are not https.", _yes_or_no, default=False
    )
    allowed_endpoint_urls: tuple[str, ...] = _flag(
        Group.AWS,
        "Endpoints that the annotation endpoint-url of a namespace may name, as URLs whose host may contain *; "
        "* alone permits any, as ACK does; none when not given.",
        _endpoint_patterns,
        metavar="URL,…",
        default=(),
    )
    enable_carm: bool = _flag(
        Group.AWS,
        "Serve other accounts, by owner-account-id and the roles of the ConfigMap ack-role-account-map.",
        _yes_or_no,
        default=True,
    )
    assume_role_external_id: str = _flag(
        Group.AWS,
        "External id given when a role of another account is assumed.",
        _external_id,
        metavar="ID",
        default="",
    )
    http_client_timeout: float = _flag(
        Group.AWS,
        "Longest wait for the answer to a reading call; calls that change something always end within 10s.",
        _duration(1, 300),
        metavar="TIME",
        default=15.0,
    )
    event_queue_url: str = _flag(
        Group.AWS,
        "SQS queue with EventBridge's training job events, which wake single jobs within a second.",
        _url,
        metavar="URL",
        default="",
    )

    watch_namespace: tuple[str, ...] = _flag(
        Group.KUBERNETES,
        "Namespaces to serve; all when not given.",
        _namespaces,
        metavar="NAME,…",
        default=(),
    )
    watch_selectors: str = _flag(
        Group.KUBERNETES,
        "Label selector of the objects to serve.",
        _label_selector,
        metavar="SELECTOR",
        default="",
    )
    adoption_namespaces: tuple[str, ...] = _flag(
        Group.KUBERNETES,
        "Namespaces whose objects may adopt or read existing jobs; all when not given.",
        _namespaces,
        metavar="NAME,…",
        default=(),
    )
    cluster_id: str = _flag(
        Group.KUBERNETES,
        "What tells this cluster's jobs from another's; the uid of kube-system when not given.",
        _cluster_id,
        metavar="ID",
        default="",
    )
    system_namespace: str = _flag(
        Group.KUBERNETES,
        "Namespace of the ConfigMap ack-role-account-map and, unless set otherwise, of the Lease.",
        _namespace,
        metavar="NAME",
        default="ack-system",
        further_variables=("K8S_NAMESPACE",),
    )
    enable_leader_election: bool = _flag(
        Group.KUBERNETES, "Run beside other replicas; the holder of a Lease acts.", _yes_or_no, default=False
    )
    leader_election_namespace: str = _flag(
        Group.KUBERNETES,
        "Namespace of the Lease; the system namespace when not given.",
        _namespace,
        metavar="NAME",
        default="",
        further_variables=("K8S_NAMESPACE",),
    )
    override_passive: bool = _flag(
        Group.KUBERNETES,
        "Act although another controller writes the same objects.",
        _yes_or_no,
        default=False,
    )

    deletion_policy: str = _flag(
        Group.JOBS,
        "What deleting an object does to its running job: delete stops it, retain lets it run.",
        _deletion_policy,
        metavar="POLICY",
        default="delete",
    )
    resource_tags: tuple[tuple[str, str], ...] = _flag(
        Group.JOBS,
        f"Tags of every job; a value may hold {', '.join(TAG_FORMATS)}.",
        _resource_tags,
        metavar="KEY=VALUE,…",
        default=DEFAULT_RESOURCE_TAGS,
    )

    sweep_seconds: float = _flag(
        Group.PACE,
        "Time between two looks at all live jobs.",
        _number(0.1, 3600, "seconds"),
        metavar="SECONDS",
        default=5.0,
    )
    create_tps: float = _flag(
        Group.PACE,
        "CreateTrainingJob calls a second to begin with, for each account and region.",
        _number(0.01, 1000, "calls a second"),
        metavar="RATE",
        default=1.0,
    )
    list_tps: float = _flag(
        Group.PACE,
        "ListTrainingJobs calls a second that last, for each account and region; ten saved up may go at 2 a second.",
        _number(0.01, 1000, "calls a second"),
        metavar="RATE",
        default=1.0,
    )
    describe_tps: float = _flag(
        Group.PACE,
        "DescribeTrainingJob calls a second to begin with, for each account and region.",
        _number(0.01, 1000, "calls a second"),
        metavar="RATE",
        default=5.0,
    )
    max_concurrent_reconciles: int = _flag(
        Group.PACE,
        "Jobs looked at side by side.",
        _whole_number(1, 1000),
        metavar="COUNT",
        default=20,
        aliases=("--reconcile-default-max-concurrent-syncs",),
    )

    log_level: str = _flag(
        Group.OBSERVABILITY,
        "debug, info, warn, error or fatal; libraries never log below info.",
        _log_level,
        metavar="LEVEL",
        default="info",
    )
    enable_development_logging: bool = _flag(
        Group.OBSERVABILITY, "Log lines for people rather than JSON.", _yes_or_no, default=False
    )
    metrics_addr: Address = _flag(  # noqa: RUF009 - it returns a dataclasses.field
        Group.OBSERVABILITY,
        "Where /metrics is served.",
        _address,
        metavar="HOST:PORT",
        default=_METRICS_ADDR,
    )
    healthz_addr: Address = _flag(  # noqa: RUF009 - it returns a dataclasses.field
        Group.OBSERVABILITY,
        "Where /healthz and /readyz are served.",
        _address,
        metavar="HOST:PORT",
        default=_HEALTHZ_ADDR,
    )

    def __post_init__(self) -> None:
        """What one flag demands of another.

        :raises SettingsError: with a sentence for people
        """
        if self.allow_unsafe_aws_endpoint_urls:
            return
        for flag in FLAGS:
            if flag.parse is _url and getattr(self, flag.field).lower().startswith("http:"):
                raise SettingsError(
                    f"{flag.name} is not https: give an https URL, or set --allow-unsafe-aws-endpoint-urls."
                )

    @property
    def lease_namespace(self) -> str:
        """Where the Lease of the leader election lives."""
        return self.leader_election_namespace or self.system_namespace


FLAGS: tuple[Flag, ...] = tuple(
    Flag(field=field.name, default=field.default, **field.metadata) for field in dataclasses.fields(Settings)
)


def show(value: object) -> str:
    """A value as it is given on the command line."""
    match value:
        case Address(host, port):
            return f"{host}:{port}"
        case tuple():
            return ",".join(item if isinstance(item, str) else "=".join(item) for item in value)
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def show_given(settings: Settings) -> str:
    """The flags whose values are not the defaults; the external id, which may be a secret, without its value."""
    given = {flag: getattr(settings, flag.field) for flag in FLAGS}
    return " ".join(
        flag.name if flag.field == "assume_role_external_id" else f"{flag.name}={show(value)}"
        for flag, value in given.items()
        if value != flag.default
    )


# ACK's flags that mean nothing here, and why; each is accepted, with a line in the log.
IGNORED_FLAGS: Mapping[str, str] = {
    "--aws-endpoint-use-path-style": "it is about S3, which this operator does not call",
    "--enable-cross-namespace": "a TrainingJob refers to no other object",
    "--enable-field-export-reconciler": "FieldExports stay with ACK's controller",
    "--enable-webhook-server": "there are no webhooks, the CRD itself validates",
    "--webhook-server-addr": "there are no webhooks, the CRD itself validates",
    "--feature-gates": "adoption and read-only objects are always on, and there are no other gates",
    "--reconcile-default-resync-seconds": "the sweep follows every live job, --sweep-seconds sets its pace",
    "--reconcile-resource-resync-seconds": "the sweep follows every live job, --sweep-seconds sets its pace",
    "--reconcile-resource-max-concurrent-syncs": "there is one kind, use --max-concurrent-reconciles",
    "--reconcile-resources": "there is one kind",
}


def read(given: Mapping[str, str], environ: Mapping[str, str]) -> Settings:
    """Settings from flags and environment.

    :param given: text by field name, only of flags that were on the command line
    :raises SettingsError: with a sentence that names the flag or variable and says what to change
    """
    values: dict[str, Any] = {}
    for flag in FLAGS:
        sources = [(flag.name, given.get(flag.field, ""))]
        sources += [(variable, environ.get(variable, "")) for variable in flag.variables]
        source, text = next(((source, text.strip()) for source, text in sources if text.strip()), ("", ""))
        if text:
            try:
                values[flag.field] = flag.parse(text)
            except ValueError as error:
                raise SettingsError(f"{source} is {text!r}: give {error}.") from None
        elif flag.default is dataclasses.MISSING:
            raise SettingsError(f"{flag.name} is missing: give it, or set {flag.variable}.")
    return Settings(**values)
