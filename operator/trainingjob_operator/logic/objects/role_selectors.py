"""ACK's IAMRoleSelectors: the role, and with it the account, of the objects that exactly one selector matches.

Not here: the role of an object without a selector (decide/accounts.py), and reading the selectors (kube/).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.findings import Hindrance
from trainingjob_operator.logic.objects.resource import Resource, mapping

KIND = {"group": "sagemaker.services.k8s.aws", "version": "v1alpha1", "kind": "TrainingJob"}

_ROLE = re.compile(r"arn:[a-z0-9-]+:iam::(?P<account>\d{12}):role/\S+", re.ASCII)


@dataclass(frozen=True, slots=True)
class RoleSelector:
    """One IAMRoleSelector, without its name."""

    spec: Mapping[str, Any]
    resource_version: str


@dataclass(frozen=True, slots=True)
class RoleSelection:
    """The role that a selector gives to an object."""

    selector: str
    resource_version: str
    role_arn: str
    account: str

    @property
    def sentence(self) -> str:
        """The message of condition ACK.IAMRoleSelected, in ACK's form."""
        return (
            f"roleARN: {self.role_arn}, selectorName: {self.selector}, selectorResourceVersion: {self.resource_version}"
        )


def read_role_account(role_arn: object) -> str | None:
    """Return the account of the ARN of an IAM role; None for any other value."""
    match = _ROLE.fullmatch(role_arn) if isinstance(role_arn, str) else None
    return None if match is None else match["account"]


def select_role(
    selectors: Mapping[str, RoleSelector], resource: Resource, namespace_labels: Mapping[str, str]
) -> RoleSelection | Hindrance | None:
    """Return the role of the one selector, by name, that matches the object; None without a match.

    The hindrance names several matching selectors, or the flaw of the one.
    """
    matching = sorted(name for name, each in selectors.items() if _selects(each.spec, resource, namespace_labels))
    if not matching:
        return None
    if len(matching) > 1:
        return Hindrance(
            reasons.ROLE_SELECTORS_CONFLICT,
            f"{len(matching)} IAMRoleSelectors match this object: {', '.join(matching)}. Change their "
            "namespaceSelector, resourceTypeSelector or resourceLabelSelector, so that exactly one of them matches.",
        )
    [name] = matching
    selector = selectors[name]
    role = selector.spec.get("arn")
    account = read_role_account(role)
    flaw = _find_flaw(selector.spec) if account is not None else f"arn {str(role)[:200]!r} is no ARN of an IAM role"
    if flaw is not None or account is None:
        message = f"The IAMRoleSelector {name} matches this object and is invalid: {flaw}. Correct or replace it."
        return Hindrance(reasons.ROLE_UNAVAILABLE, message)
    return RoleSelection(name, selector.resource_version, str(role), account)


def _selects(spec: Mapping[str, Any], resource: Resource, namespace_labels: Mapping[str, str]) -> bool:
    """Match all parts of the selector; as in ACK, an empty part matches everything."""
    namespaces, types = mapping(spec.get("namespaceSelector")), _entries(spec.get("resourceTypeSelector"))
    names = _entries(namespaces.get("names"))
    return (
        (not names or resource.namespace in names)
        and _has_labels(namespace_labels, namespaces.get("labelSelector"))
        and _has_labels(resource.labels, spec.get("resourceLabelSelector"))
        and (not types or any(_is_this_kind(mapping(wanted)) for wanted in types))
    )


def _has_labels(labels: Mapping[str, str], selector: object) -> bool:
    return all(labels.get(key) == value for key, value in mapping(mapping(selector).get("matchLabels")).items())


def _is_this_kind(wanted: Mapping[str, Any]) -> bool:
    return all(wanted.get(part) in (None, "", value) for part, value in KIND.items())


def _find_flaw(spec: Mapping[str, Any]) -> str | None:
    """Return the reason why ACK ignores the selector, if any."""
    names = [str(name) for name in _entries(mapping(spec.get("namespaceSelector")).get("names"))]
    types = [
        [str(mapping(each).get(part) or "") for part in KIND] for each in _entries(spec.get("resourceTypeSelector"))
    ]
    if len(set(names)) < len(names):
        return "namespaceSelector.names has a duplicate"
    if any(each in types[:place] for place, each in enumerate(types)):
        return "resourceTypeSelector has a duplicate"
    if any(not any(each) for each in types):
        return "an entry of resourceTypeSelector has neither group, version nor kind"
    return None


def _entries(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
