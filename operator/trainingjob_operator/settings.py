"""Settings: one frozen dataclass and the table of flags that define it.

Contains every flag with its environment variable, default, bounds and help text, the messages for invalid values, and
ACK's flags without effect. cli.py reads `os.environ` and the command line; assembly.py applies the settings.

Environment variables follow one rule: `--aws-…` reads the variable of the same name, shared with the AWS SDKs
(`AWS_REGION`, `AWS_ENDPOINT_URL`); every other flag reads `ACK_` plus its name (`ACK_LOG_LEVEL` for `--log-level`).
A flag takes precedence over its variable. An empty value, as ACK's chart passes for unset values, counts as not set.
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
    """Invalid value; the message is one sentence with the required change."""


class Group(enum.Enum):
    """Headings of `--help`, in order of display."""

    AWS = "AWS"
    KUBERNETES = "Kubernetes"
    JOBS = "Jobs"
    PACE = "Pace"
    OBSERVABILITY = "Logs, metrics and health"


class Address(NamedTuple):
    """Listen address of a server; an empty host means every interface, port 0 any free port."""

    host: str
    port: int


# Parsers: each converts the text of a flag or variable, or raises ValueError with the expected form. `read` adds the
# name of the flag and "must be".

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

# Placeholders in values of --resource-tags and their replacements; ACK's names.
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

# ACK's log levels and their equivalents here.
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
        if not least <= value <= most:  # also rejects NaN, since every comparison with it is false
            raise ValueError(f"a number of {unit} from {least:g} to {most:g}")
        return value

    return parse


def _duration(least: float, most: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        match = _DURATION.fullmatch(text)
        seconds = float(match["amount"]) * _SECONDS_OF[match["unit"]] if match else -1.0
        if not least <= seconds <= most:
            raise ValueError(f"a duration such as 30s, from {least:g}s to {most:g}s")
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
        raise ValueError("comma-separated URLs such as https://*.vpce.amazonaws.com, or *") from None


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
        raise ValueError("a comma-separated list of namespace names")
    if len(set(names)) < len(names):
        raise ValueError("a list without duplicate namespaces")
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


def _ttl(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise ValueError("a number of seconds, such as 86400")
    return int(text)


# ACK's feature gates.
ROLE_SELECTOR_GATE = "IAMRoleSelector"
_GATES = frozenset(
    {
        ROLE_SELECTOR_GATE, "IgnoreFieldDrift", "ReadOnlyResources", "ResourceAdoption", "ServiceLevelCARM",
        "TeamLevelCARM",
    }
)  # fmt: skip


def _feature_gates(text: str) -> tuple[tuple[str, str], ...]:
    gates: dict[str, str] = {}
    for item in text.split(","):
        name, _, value = (part.strip() for part in item.partition("="))
        if value.lower() not in _TRUE | _FALSE:
            raise ValueError("comma-separated name=true or name=false pairs")
        if name not in _GATES:
            raise ValueError(f"a list without {name!r}; the feature gates are {', '.join(sorted(_GATES))}")
        gates[name] = str(value.lower() in _TRUE).lower()
    return tuple(gates.items())


_PLACEHOLDER = re.compile(r"<.*>|my-cluster|your-.*|change-?me|replace-?me|todo|placeholder", re.IGNORECASE)


def _cluster_id(text: str) -> str:
    if _PLACEHOLDER.fullmatch(text):
        raise ValueError(
            "unique to this cluster, preferably the UID of its namespace kube-system; this value is a placeholder"
        )
    if not re.fullmatch(r"[\w.:/=+@-]{1,128}", text):
        raise ValueError("1 to 128 letters, digits and any of _ . : / = + @ -")
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
            raise ValueError("comma-separated key=value pairs, each with one '='")
        if key in tags:
            raise ValueError(f"a list without duplicate keys ({key})")
        if key.lower().startswith("aws:"):
            raise ValueError(f"a list without the key {key}: AWS reserves the prefix aws:")
        if key.startswith(naming.TAG_PREFIX) and key not in dict(DEFAULT_RESOURCE_TAGS):
            raise ValueError(f"a list without the key {key}: {naming.TAG_PREFIX} is reserved for proof of ownership")
        if len(key) > 128 or len(value) > 256 or not _TAG_TEXT.fullmatch(key + value):
            raise ValueError("keys up to 128 and values up to 256 letters, digits, spaces and any of _ . : / + @ -")
        unknown = [form for form in _TAG_FORMAT.findall(value) if form not in TAG_FORMATS]
        if unknown or "%" in _TAG_FORMAT.sub("", value):
            raise ValueError(f"a list with no placeholders but {', '.join(TAG_FORMATS)}")
        tags[key] = value
    return tuple(tags.items())


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag: name, aliases, environment variables, parser, default and help text."""

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
        """True for a flag without a mandatory value: `--flag` means `--flag=true`."""
        return self.parse is _yes_or_no

    @property
    def variable(self) -> str:
        upper = self.field.upper()
        return upper if upper.startswith("AWS_") else f"ACK_{upper}"

    @property
    def variables(self) -> tuple[str, ...]:
        """Environment variables in order of precedence."""
        return (self.variable, *self.further_variables)


def _flag(
    group: Group,
    help: str,  # noqa: A002 - argparse's name
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


_METRICS_ADDR = Address("0.0.0.0", 8080)  # noqa: S104 - ACK's default; Prometheus scrapes from outside the pod
_HEALTHZ_ADDR = Address("0.0.0.0", 8081)  # noqa: S104 - ACK's default; the kubelet probes from outside the pod


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one process; an empty string or tuple means all, or the default behavior. Times are seconds."""

    aws_region: str = _flag(
        Group.AWS, "Default region, for objects and namespaces without a region annotation.", _region, metavar="REGION"
    )
    aws_endpoint_url: str = _flag(
        Group.AWS,
        "SageMaker endpoint URL. The variable also sets the STS endpoint, unless STS has its own setting.",
        _url,
        metavar="URL",
        default="",
    )
    aws_identity_endpoint_url: str = _flag(Group.AWS, "STS endpoint URL.", _url, metavar="URL", default="")
    allow_unsafe_aws_endpoint_urls: bool = _flag(
        Group.AWS, "Allow endpoint URLs without TLS (http).", _yes_or_no, default=False
    )
    allowed_endpoint_urls: tuple[str, ...] = _flag(
        Group.AWS,
        "Allowed values of the namespace annotation endpoint-url: URLs with optional * in the host; "
        "* alone allows any URL, as in ACK; defaults to none.",
        _endpoint_patterns,
        metavar="URL,…",
        default=(),
    )
    enable_carm: bool = _flag(
        Group.AWS,
        "Enable cross-account resource management: annotation owner-account-id with ConfigMap ack-role-account-map.",
        _yes_or_no,
        default=True,
    )
    assume_role_external_id: str = _flag(
        Group.AWS,
        "External ID for AssumeRole calls to other accounts.",
        _external_id,
        metavar="ID",
        default="",
    )
    http_client_timeout: float = _flag(
        Group.AWS,
        "Timeout of read-only AWS calls; mutating calls always time out within 10s.",
        _duration(1, 300),
        metavar="TIME",
        default=15.0,
    )
    event_queue_url: str = _flag(
        Group.AWS,
        "SQS queue of EventBridge training job events; each event triggers a reconcile of its job within a second.",
        _url,
        metavar="URL",
        default="",
    )

    watch_namespace: tuple[str, ...] = _flag(
        Group.KUBERNETES,
        "Namespaces to watch; defaults to all.",
        _namespaces,
        metavar="NAME,…",
        default=(),
    )
    watch_selectors: str = _flag(
        Group.KUBERNETES,
        "Label selector for the objects to watch.",
        _label_selector,
        metavar="SELECTOR",
        default="",
    )
    adoption_namespaces: tuple[str, ...] = _flag(
        Group.KUBERNETES,
        "Namespaces allowed to adopt or observe existing jobs; defaults to all.",
        _namespaces,
        metavar="NAME,…",
        default=(),
    )
    cluster_id: str = _flag(
        Group.KUBERNETES,
        "Cluster ID stored in job tags; defaults to the UID of namespace kube-system.",
        _cluster_id,
        metavar="ID",
        default="",
    )
    system_namespace: str = _flag(
        Group.KUBERNETES,
        "Namespace of ConfigMap ack-role-account-map and, by default, of the Lease.",
        _namespace,
        metavar="NAME",
        default="ack-system",
        further_variables=("K8S_NAMESPACE",),
    )
    enable_leader_election: bool = _flag(
        Group.KUBERNETES, "Enable leader election; only the Lease holder reconciles.", _yes_or_no, default=False
    )
    leader_election_namespace: str = _flag(
        Group.KUBERNETES,
        "Namespace of the Lease; defaults to --system-namespace.",
        _namespace,
        metavar="NAME",
        default="",
        further_variables=("K8S_NAMESPACE",),
    )
    feature_gates: tuple[tuple[str, str], ...] = _flag(
        Group.KUBERNETES,
        f"ACK's feature gates; {ROLE_SELECTOR_GATE}=false ignores IAMRoleSelectors, the others have no effect.",
        _feature_gates,
        metavar="NAME=BOOL,…",
        default=(),
    )
    override_passive: bool = _flag(
        Group.KUBERNETES,
        "Reconcile objects even if another controller writes to them.",
        _yes_or_no,
        default=False,
    )

    deletion_policy: str = _flag(
        Group.JOBS,
        "Default deletion policy: delete stops the job of a deleted object, retain keeps it running.",
        _deletion_policy,
        metavar="POLICY",
        default="delete",
    )
    ttl_seconds_after_finished: int | None = _flag(
        Group.JOBS,
        "Seconds after the end of a job until its object is deleted; the job remains. Requires the verb delete.",
        _ttl,
        metavar="SECONDS",
        default=None,
    )
    resource_tags: tuple[tuple[str, str], ...] = _flag(
        Group.JOBS,
        f"Tags added to every job; values support {', '.join(TAG_FORMATS)}.",
        _resource_tags,
        metavar="KEY=VALUE,…",
        default=DEFAULT_RESOURCE_TAGS,
    )

    sweep_seconds: float = _flag(
        Group.PACE,
        "Interval between sweeps (ListTrainingJobs) of all running jobs.",
        _number(0.1, 3600, "seconds"),
        metavar="SECONDS",
        default=5.0,
    )
    create_tps: float = _flag(
        Group.PACE,
        "Initial CreateTrainingJob rate per account and region, in calls per second.",
        _number(0.01, 1000, "calls per second"),
        metavar="RATE",
        default=1.0,
    )
    list_tps: float = _flag(
        Group.PACE,
        "Sustained ListTrainingJobs rate per account and region, in calls per second; at most 2 per second for ten "
        "calls, and for 120 more while pages are full of changes and nothing is throttled.",
        _number(0.01, 1000, "calls per second"),
        metavar="RATE",
        default=1.0,
    )
    describe_tps: float = _flag(
        Group.PACE,
        "Initial DescribeTrainingJob rate per account and region, in calls per second.",
        _number(0.01, 1000, "calls per second"),
        metavar="RATE",
        default=5.0,
    )
    max_concurrent_reconciles: int = _flag(
        Group.PACE,
        "Maximum number of objects reconciled concurrently.",
        _whole_number(1, 1000),
        metavar="COUNT",
        default=20,
        aliases=("--reconcile-default-max-concurrent-syncs",),
    )

    log_level: str = _flag(
        Group.OBSERVABILITY,
        "Log level: debug, info, warn, error or fatal; libraries log at info or above.",
        _log_level,
        metavar="LEVEL",
        default="info",
    )
    enable_development_logging: bool = _flag(
        Group.OBSERVABILITY, "Log plain text instead of JSON.", _yes_or_no, default=False
    )
    metrics_addr: Address = _flag(  # noqa: RUF009 - it returns a dataclasses.field
        Group.OBSERVABILITY,
        "Listen address of /metrics.",
        _address,
        metavar="HOST:PORT",
        default=_METRICS_ADDR,
    )
    metrics_max_jobs: int = _flag(
        Group.OBSERVABILITY,
        "Maximum number of objects with a series of their own, trainingjob_job_status; 0 disables it.",
        _whole_number(0, 10_000),
        metavar="COUNT",
        default=0,
    )
    healthz_addr: Address = _flag(  # noqa: RUF009 - it returns a dataclasses.field
        Group.OBSERVABILITY,
        "Listen address of /healthz and /readyz.",
        _address,
        metavar="HOST:PORT",
        default=_HEALTHZ_ADDR,
    )

    def __post_init__(self) -> None:
        """Validate flags against each other.

        :raises SettingsError: one sentence with the required change
        """
        if self.allow_unsafe_aws_endpoint_urls:
            return
        for flag in FLAGS:
            if flag.parse is _url and getattr(self, flag.field).lower().startswith("http:"):
                raise SettingsError(f"{flag.name} must be an https URL unless --allow-unsafe-aws-endpoint-urls is set.")

    @property
    def lease_namespace(self) -> str:
        """Namespace of the leader election Lease."""
        return self.leader_election_namespace or self.system_namespace

    @property
    def follows_role_selectors(self) -> bool:
        """False if ACK's feature gate for IAMRoleSelectors is off."""
        return dict(self.feature_gates).get(ROLE_SELECTOR_GATE) != "false"


FLAGS: tuple[Flag, ...] = tuple(
    Flag(field=field.name, default=field.default, **field.metadata) for field in dataclasses.fields(Settings)
)


def show(value: object) -> str:
    """Format a value as on the command line."""
    match value:
        case Address(host, port):
            return f"{host}:{port}"
        case tuple():
            return ",".join(item if isinstance(item, str) else "=".join(item) for item in value)
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def show_given(settings: Settings) -> str:
    """Format the flags with non-default values; redacts the external ID, a possible secret."""
    given = {flag: getattr(settings, flag.field) for flag in FLAGS}
    return " ".join(
        flag.name if flag.field == "assume_role_external_id" else f"{flag.name}={show(value)}"
        for flag, value in given.items()
        if value != flag.default
    )


# ACK's flags without effect here, each with the reason; accepted with a warning in the log.
IGNORED_FLAGS: Mapping[str, str] = {
    "--aws-endpoint-use-path-style": "the operator does not call S3",
    "--enable-cross-namespace": "a TrainingJob references no other object",
    "--enable-field-export-reconciler": "ACK's controller reconciles FieldExports",
    "--enable-webhook-server": "the operator has no webhooks; the CRD validates objects",
    "--webhook-server-addr": "the operator has no webhooks; the CRD validates objects",
    "--reconcile-default-resync-seconds": "the sweep observes every running job; --sweep-seconds sets its interval",
    "--reconcile-resource-resync-seconds": "the sweep observes every running job; --sweep-seconds sets its interval",
    "--reconcile-resource-max-concurrent-syncs": "the operator reconciles one kind; use --max-concurrent-reconciles",
    "--reconcile-resources": "the operator reconciles one kind",
}


def read(given: Mapping[str, str], environ: Mapping[str, str]) -> Settings:
    """Read settings from flags and environment.

    :param given: text by field name, for flags on the command line only
    :raises SettingsError: one sentence with the flag or variable and the required change
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
                raise SettingsError(f"{source}: invalid value {text!r}: must be {error}.") from None
        elif flag.default is dataclasses.MISSING:
            raise SettingsError(f"{flag.name} is required: set the flag, or set {flag.variable}.")
    return Settings(**values)
