"""Objects without the values of environment and hyperparameters, which may be secrets.

`kubectl get` shows them to everybody who may read the object; a terminal, a ticket or the log of a pipeline has other
readers.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from trainingjob_operator.logic.jobs.failure_reason import HIDDEN, hide_commands

if TYPE_CHECKING:
    from collections.abc import Mapping

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""Annotation of kubectl apply with the whole spec."""


def redact(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy with hidden values: environment, hyperparameters, container arguments, and quotes of them."""
    shown = copy.deepcopy(dict(body))
    _replace(_part(_part(shown, "metadata"), "annotations"), LAST_APPLIED, HIDDEN)
    spec = _part(shown, "spec")
    for field in ("environment", "hyperParameters"):
        _replace(spec, field, dict.fromkeys(_part(spec, field), HIDDEN))
    _replace(_part(spec, "algorithmSpecification"), "containerArguments", [HIDDEN])
    _replace(shown, "status", _hide_quotes(shown.get("status")))
    return shown


def _part(whole: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a nested object to change in place; an empty one for any other value."""
    part = whole.get(name)
    return part if isinstance(part, dict) else {}


def _replace(whole: dict[str, Any], name: str, value: object) -> None:
    if name in whole:
        whole[name] = value


def _hide_quotes(value: Any) -> Any:
    """Hide command lines in every text: SageMaker's failureReason quotes all hyperparameters."""
    if isinstance(value, dict):
        return {name: _hide_quotes(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_hide_quotes(part) for part in value]
    return hide_commands(value) if isinstance(value, str) else value
