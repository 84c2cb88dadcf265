"""Target of the calls about an object: its account, and the IAM role by ACK's role selectors and account map.

The operator never falls back to its own credentials where one of them is unusable or unknown.
"""

from collections.abc import Mapping

from trainingjob_operator.logic import reasons
from trainingjob_operator.logic.findings import Hindrance
from trainingjob_operator.logic.naming import CREATE_PENDING, JOB_ARN
from trainingjob_operator.logic.objects.resource import Resource
from trainingjob_operator.logic.objects.role_selectors import (
    RoleSelection,
    RoleSelector,
    read_role_account,
    select_role,
)
from trainingjob_operator.logic.state.view import View
from trainingjob_operator.logic.status.conditions import ROLE_SELECTED

ACCOUNT_MAP = "ack-role-account-map"
"""ACK's ConfigMap in its system namespace: account ID, or `sagemaker.` and account ID, to role ARN."""

SERVICE = "sagemaker."
"""Prefix of the keys for SageMaker only, which take precedence."""


def choose_role(
    selectors: Mapping[str, RoleSelector], resource: Resource, namespace_labels: Mapping[str, str]
) -> RoleSelection | Hindrance | None:
    """Return the selected role, a hindrance, or None for an object that no selector has ever selected.

    An object without a job does not move to another account because its selector went: an administrator replaces a
    selector by deleting and creating it, since its ARN is immutable.
    """
    selected = select_role(selectors, resource, namespace_labels)
    if selected is None and resource.arn is None and resource.condition(ROLE_SELECTED):
        return Hindrance(
            reasons.ROLE_SELECTOR_GONE,
            "An IAMRoleSelector selected the role of this object, and none does now. Create an IAMRoleSelector for it "
            "(feature gate IAMRoleSelector). To run it without, delete the object and apply it again.",
        )
    return selected


def await_selectors(resource: Resource, error: str) -> Hindrance | None:
    """Return the hindrance while the selectors are unknown; `error` is the API server's.

    None for an object with a job that no selector has ever selected: it keeps its account and role.
    """
    if resource.arn is not None and not resource.condition(ROLE_SELECTED):
        return None
    return Hindrance(
        reasons.ROLE_SELECTORS_UNREADABLE,
        f"The operator cannot list IAMRoleSelectors, which may set the role and account of this object: {error}. It "
        "needs permission to list and watch iamroleselectors.services.k8s.aws. To ignore them, run the operator with "
        "--feature-gates=IAMRoleSelector=false.",
    )


def find_role(account: str, roles: Mapping[str, str] | None) -> str | Hindrance:
    """Return the role ARN of the account, or a hindrance; `roles` is the map's data, None without a map."""
    if roles is None:
        return _refuse(
            f"No role is known for account {account}: there is no ConfigMap {ACCOUNT_MAP}. {_advise(account)}"
        )
    key = account
    if roles.get(f"{SERVICE}{account}"):
        key = f"{SERVICE}{account}"
    role = roles.get(key)
    if not role:
        return _refuse(f"No role is known for account {account} in the ConfigMap {ACCOUNT_MAP}. {_advise(account)}")
    if read_role_account(role) != account:
        return _refuse(
            f"The ConfigMap {ACCOUNT_MAP} maps {key} to {role[:200]!r}, not to a role of account {account}. "
            f"{_advise(key)}"
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
            f"Annotation {CREATE_PENDING} names account {pending.account}, and {_name_source(view)} account "
            f"{policy.account}. Restore that account, or remove the annotation: then the operator does not follow a "
            "job that an attempt may have created there."
        )
        return Hindrance(reasons.INVALID_ANNOTATION, message)
    ran = view.ran if view.arn is None and view.resource.arn is None else None
    if ran is not None and ran.account != policy.account:
        message = (
            f"Annotation {JOB_ARN} names a job in account {ran.account}, and {_name_source(view)} account "
            f"{policy.account}. Restore that account, or remove the annotation to run the job here."
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


def _name_source(view: View) -> str:
    """Return the setting of the object's account, before the word "account"."""
    return "the namespace maps" if view.selection is None else f"the IAMRoleSelector {view.selection.selector} selects"


def _advise(key: str) -> str:
    return f'Add "{key}": "<ARN of a role in that account>" to it.'


def _refuse(message: str) -> Hindrance:
    return Hindrance(reasons.ROLE_UNAVAILABLE, message, waiting=False)
