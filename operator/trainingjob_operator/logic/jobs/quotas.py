"""Quotas of SageMaker: the quota named in an error message, and the demand of a job for each quota.

tests/logic/test_quotas.py lists the observed messages. Wordings vary, so each part of a message is optional. Not here:
the queue for a quota (create_order.py).
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from trainingjob_operator.logic.objects.resource import mapping, string

_QUOTED: Final = r"""['"“”‘’`](?P<quoted>[^'"“”‘’`]+)['"“”‘’`]"""
_NAME: Final = re.compile(
    rf"\b(?:limit|quota)s?\b(?: name| for| of| on)?:?\s*(?:{_QUOTED}|(?P<bare>[a-z-]+/ml\.[\w.-]+))", re.IGNORECASE
)
_NUMBER: Final = r"(?P<number>\d[\d.,_'\u00a0\u202f]*)\s*(?P<unit>(?!(?:with|and|but|in)\b)[A-Za-z]+)?"
_LIMIT: Final = (
    re.compile(rf"\s*(?:is|of|:|=)\s*{_NUMBER}", re.IGNORECASE),
    re.compile(rf"\b(?:limit|quota)\b[^.;\d]*?(?:is|of|:|=)\s*{_NUMBER}", re.IGNORECASE),
)
"""The first pattern matches directly behind the name, the second anywhere."""
_USED: Final = re.compile(rf"\b(?:utili[sz]ation|usage)\b['\"]?\s*(?:is|of|:|=)\s*{_NUMBER}", re.IGNORECASE)
_REQUESTED: Final = re.compile(
    rf"\brequest(?:ed)?\b(?: delta| amount| value| size)?\s*(?:is|of|for|:|=)\s*{_NUMBER}", re.IGNORECASE
)
_NOT_OFFERED: Final = re.compile(
    r"\b(?:not (?:available|supported|offered)|unavailable|unsupported)\b[^.]*? in "
    r"(?:(?:this|the|your|that)\b[^.]*?\bregion\b|region\b|[a-z]{2,4}(?:-[a-z]+)+-\d\b)",
    re.IGNORECASE,
)
_ONLY_FOR_NOW: Final = re.compile(
    r"\b(?:currently|at (?:this|the) (?:time|moment)|right now|insufficient)\b", re.IGNORECASE
)

_OF_TYPE: Final = re.compile(
    r"(?:(?P<old>training-job)/)?(?P<type>ml\.[\w.-]+?)"
    r"(?(old)|\s+(?:instances? )?for (?P<spot>(?:managed )?spot )?training (?P<warm>warm pools?|jobs?)(?: usage)?)",
    re.IGNORECASE,
)
_TOTALS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), key)
    for pattern, key in (
        (r"instances across .*\bspot\b", "spot instances"),
        (r"instances across .*\bprocessing jobs\b", "processing instances"),
        (r"instances across .*\btraining jobs\b", "instances"),
        (r"\b(?:total|across)\b.*\b(?:volumes?|storage)\b", "volumes"),
        (r"\b(?:volumes?|storage)\b.*\b(?:total|across)\b", "volumes"),
    )
)
_PER_JOB: Final = re.compile(
    r"\b(?:for|per) (?:an?|each|one|any) training job\b|\bper training job\b|\blongest run ?time\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Shortage:
    """Contents of a quota error; None or empty for missing parts."""

    name: str = ""
    """The quota's name in SageMaker's spelling."""
    quota: str | None = None
    """Its key in `Demand.amounts`; None if unknown."""
    limit: float | None = None
    used: float | None = None
    requested: float | None = None
    unit: str = ""

    @property
    def free(self) -> float | None:
        """The unused amount."""
        return None if self.limit is None or self.used is None else max(0.0, self.limit - self.used)

    @property
    def is_hopeless(self) -> bool:
        """The quota is too small even without any other use: no wait helps."""
        if self.limit == 0 or _PER_JOB.search(self.name):
            return True
        return self.limit is not None and self.requested is not None and self.requested > self.limit

    @property
    def advice(self) -> str:
        """The amounts and the action for the user, as a sentence."""
        parts = (("limit", self.limit), ("in use", self.used), ("requested", self.requested))
        amounts = ", ".join(f"{label} {_format(value)}" for label, value in parts if value is not None)
        unit = f" {self.unit}" if self.unit and amounts else ""
        name = f"quota '{self.name}'" if self.name else "quota"
        return (
            f"The {name} is too small for this job{f' ({amounts}{unit})' if amounts else ''}. Raise the quota in "
            "Service Quotas, or request less in spec."
        )


def read_shortage(message: str, demand: "Demand") -> Shortage:
    """Parse an error message of CreateTrainingJob for a job with that demand."""
    found = _NAME.search(message)
    name = "" if found is None else (found["quoted"] or found["bare"]).strip()
    after = 0 if found is None else found.end()
    limit = _LIMIT[0].match(message, after) if found is not None else None
    limit = limit or _LIMIT[1].search(message, after)
    used, requested = _USED.search(message, after), _REQUESTED.search(message, after)
    units = [match["unit"] for match in (limit, used, requested) if match is not None and match["unit"]]
    quota = identify(name)
    wanted = _read(requested) if requested is not None else None if quota is None else demand.find(quota)
    return Shortage(name, quota, _read(limit), _read(used), wanted, units[0] if units else "")


def is_not_offered(message: str) -> bool:
    """Return True if the region does not offer the requested resource: no wait helps."""
    return _NOT_OFFERED.search(message) is not None and _ONLY_FOR_NOW.search(message) is None


def identify(name: str) -> str | None:
    """Return the key in `Demand.amounts` of the named quota; None if unknown."""
    found = _OF_TYPE.fullmatch(name)
    if found is not None:
        use = (
            "warm pool" if (found["warm"] or "").lower().startswith("warm") else "spot" if found["spot"] else "training"
        )
        return f"{use}/{found['type'].lower()}"
    return next((key for pattern, key in _TOTALS if pattern.search(name)), None)


@dataclass(frozen=True, slots=True)
class Demand:
    """Demand of one job, by quota."""

    kind: str
    """Key of the capacity without a named quota: instance type, spot, warm pool."""
    instances: int
    amounts: tuple[tuple[str, float], ...]
    """(key of the quota, amount)."""

    def find(self, quota: str) -> float | None:
        """Return the amount of the quota required by the job; None if it requires none, or if that is unknown."""
        return dict(self.amounts).get(quota)

    def of(self, quota: str) -> float:
        """Return the same, or the job's instance count if unknown."""
        return dict(self.amounts).get(quota, self.instances)


def read_demand(spec: Mapping[str, Any]) -> Demand:
    """Return the demand of a spec; an unreadable spec counts as one instance of an unknown type."""
    config = mapping(spec.get("resourceConfig"))
    groups = config.get("instanceGroups")
    counts: Counter[str] = Counter()
    for group in map(mapping, groups if isinstance(groups, list) and groups else [config]):
        counts[(string(group.get("instanceType")) or "unknown").lower()] += _count(group.get("instanceCount"))
    is_spot = spec.get("enableManagedSpotTraining") is True
    is_warm = _count(config.get("keepAlivePeriodInSeconds"), 0) > 0
    total = sum(counts.values())
    amounts: dict[str, float] = {f"{'spot' if is_spot else 'training'}/{name}": n for name, n in counts.items()}
    amounts["instances"] = total
    if is_spot:
        amounts["spot instances"] = total
    if is_warm:
        amounts |= {f"warm pool/{name}": n for name, n in counts.items()}
    amounts["volumes"] = _count(config.get("volumeSizeInGB")) * total
    rules = [spec.get(name) for name in ("debugRuleConfigurations", "profilerRuleConfigurations")]
    if rule_count := sum(len(some) for some in rules if isinstance(some, list)):
        amounts["processing instances"] = rule_count
    kind = ",".join(sorted(counts)) + (" (spot)" if is_spot else "") + (" (warm pool)" if is_warm else "")
    amounts[kind] = total
    return Demand(kind, total, tuple(sorted(amounts.items())))


def _count(value: object, default: int = 1) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else default


def _read(match: re.Match[str] | None) -> float | None:
    """Parse a number with a point, a comma, or thousands separators."""
    if match is None:
        return None
    digits = re.sub(r"[_'\u00a0\u202f]", "", match["number"].rstrip(".,"))
    digits = re.sub(r"[.,](?=\d{3}(?:\D|$))", "", digits).replace(",", ".")
    return float(digits) if digits.count(".") <= 1 else None


def _format(value: float) -> str:
    return f"{value:g}" if value < 1e6 else f"{value:.0f}"
