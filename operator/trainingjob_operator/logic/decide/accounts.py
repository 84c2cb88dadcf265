"""Target of the calls about an object: its account, and the IAM role by ACK's account map and role selectors.

The operator refuses ACK features without support here; it never falls back to its own credentials.
"""

import re
from collections.abc import Mapping
from typing import Any

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.findings import Hindrance
from trainingjob_operator.logic.naming import CREATE_PENDING, JOB_ARN
from trainingjob_operator.logic.objects.resource import Resource, mapping
from trainingjob_operator.logic.state.view import View

ACCOUNT_MAP = "ack-role-account-map"
"""ACK's ConfigMap in its system namespace: account ID to role ARN."""

_ROLE = re.compile(r"arn:[a-z0-9-]+:iam::(?P<account>\d{12}):role/\S+")
_TYPE = {"group": "sagemaker.services.k8s.aws", "version": "v1alpha1", "kind": "TrainingJob"}


def find_role(account: str, roles: Mapping[str, str] | None) -> str | Hindrance:
    """Return the role ARN of the account, or a hindrance; `roles` is the map's data, None without a map."""
    if roles is None:
        return _refuse(
            f"No role is known for account {account}: there is no ConfigMap {ACCOUNT_MAP}. {_advise(account)}"
        )
    service_key = f"sagemaker.{account}"
    if service_key in roles:
        return _refuse(
            f'The key "{service_key}" of the ConfigMap {ACCOUNT_MAP} is for one service only; such keys are not '
            f"supported. {_advise(account)}"
        )
    role = roles.get(account)
    if not role:
        return _refuse(f"No role is known for account {account} in the ConfigMap {ACCOUNT_MAP}. {_advise(account)}")
    match = _ROLE.fullmatch(role)
    if match is None or match["account"] != account:
        return _refuse(
            f"The ConfigMap {ACCOUNT_MAP} maps account {account} to {role[:200]!r}, not to a role of that account. "
            f"{_advise(account)}"
        )
    return role


def forbid_account(account: str) -> Hindrance:
    """Return the hindrance for a job in another account while cross-account access is disabled."""
    return Hindrance(
        reasons.ROLE_UNAVAILABLE,
        f"The job is in account {account}, but the operator serves its own account only, because --enable-carm is "
        f'false. Enable it, with a role for "{account}" in the ConfigMap {ACCOUNT_MAP}.',
    )


def find_wrong_target(view: View) -> Hindrance | None:
    """Return a hindrance if the object's metadata leads to a wrong target."""
    policy, pending = view.policy, view.resource.pending
    if policy.endpoint_problem is not None:
        return Hindrance(reasons.INVALID_ANNOTATION, policy.endpoint_problem.message)
    is_settling = view.arn is None and pending is not None and pending != view.memory.marked
    if is_settling and pending is not None and pending.account != policy.account:
        message = (
            f"Annotation {CREATE_PENDING} names account {pending.account}, and the namespace maps account "
            f"{policy.account}. Map that account again, or remove the annotation: then the operator does not follow a "
            "job that an attempt may have created there."
        )
        return Hindrance(reasons.INVALID_ANNOTATION, message)
    ran = view.ran if view.arn is None and view.resource.arn is None else None
    if ran is not None and ran.account != policy.account:
        message = (
            f"Annotation {JOB_ARN} names a job in account {ran.account}, and the namespace maps account "
            f"{policy.account}. Map that account again, or remove the annotation to run the job here."
        )
        return Hindrance(reasons.INVALID_ANNOTATION, message)
    return None


def await_namespace(namespace: str, error: str) -> Hindrance:
    """Return the hindrance for an object in an unreadable namespace; `error` is the API server's."""
    return Hindrance(
        reasons.NAMESPACE_UNREADABLE,
        f"The operator cannot read the annotations of namespace {namespace}: {error}. They may set the region, the "
        "account, the allowed roles and the deletion policy; the operator waits for permission to get namespaces "
        "(deploy/).",
    )


def find_selector(
    selectors: Mapping[str, Mapping[str, Any]], resource: Resource, namespace_labels: Mapping[str, str]
) -> Hindrance | None:
    """Return the hindrance for an object matched by an IAMRoleSelector; `selectors` are specs by name.

    As in ACK, all parts of a selector must match, and an empty part matches everything.
    """
    for name, spec in sorted(selectors.items()):
        if _selects(spec, resource, namespace_labels):
            return Hindrance(
                reasons.ROLE_SELECTED,
                f"The IAMRoleSelector {name} matches this object, but role selectors are not supported. Restrict it "
                "to other kinds (resourceTypeSelector), and give the namespace the annotation "
                f"services.k8s.aws/owner-account-id with a role in the ConfigMap {ACCOUNT_MAP}.",
            )
    return None


def _selects(spec: Mapping[str, Any], resource: Resource, namespace_labels: Mapping[str, str]) -> bool:
    namespaces = mapping(spec.get("namespaceSelector"))
    types = spec.get("resourceTypeSelector") or ()
    return (
        resource.namespace in (namespaces.get("names") or (resource.namespace,))
        and _has_labels(namespace_labels, namespaces.get("labelSelector"))
        and _has_labels(resource.labels, spec.get("resourceLabelSelector"))
        and (not types or any(_is_this_kind(mapping(wanted)) for wanted in types))
    )


def _has_labels(labels: Mapping[str, str], selector: object) -> bool:
    wanted = mapping(mapping(selector).get("matchLabels"))
    return all(labels.get(key) == value for key, value in wanted.items())


def _is_this_kind(wanted: Mapping[str, Any]) -> bool:
    return all(wanted.get(part) in (None, "", value) for part, value in _TYPE.items())


def _advise(account: str) -> str:
    return f'Add "{account}": "<ARN of a role in that account>" to it.'


def _refuse(message: str) -> Hindrance:
    return Hindrance(reasons.ROLE_UNAVAILABLE, message, waiting=False)
