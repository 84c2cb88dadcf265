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
    for part in ("metadata", "spec", "status"):
        if not isinstance(shown.get(part, {}), dict):
            return shown  # not an object of the API server
    annotations = shown.get("metadata", {}).get("annotations")
    if isinstance(annotations, dict) and LAST_APPLIED in annotations:
        annotations[LAST_APPLIED] = HIDDEN
    spec = shown.get("spec", {})
    for field in ("environment", "hyperParameters"):
        if isinstance(spec.get(field), dict):
            spec[field] = dict.fromkeys(spec[field], HIDDEN)
    algorithm = spec.get("algorithmSpecification")
    if isinstance(algorithm, dict) and "containerArguments" in algorithm:
        algorithm["containerArguments"] = [HIDDEN]
    if "status" in shown:
        shown["status"] = _hide_quotes(shown["status"])
    return shown


def _hide_quotes(value: Any) -> Any:
    """Hide command lines in every text: SageMaker's failureReason quotes all hyperparameters."""
    if isinstance(value, dict):
        return {name: _hide_quotes(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_hide_quotes(part) for part in value]
    return hide_commands(value) if isinstance(value, str) else value
