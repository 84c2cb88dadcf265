"""Health of an object by the rules of Argo CD, kstatus (Flux, Helm) and `kubectl wait`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from tests.gitops.lua import BUILT_IN, run

if TYPE_CHECKING:
    from collections.abc import Mapping

Health = Literal["Progressing", "Degraded", "Healthy"]
Progress = Literal["Terminating", "InProgress", "Failed", "Current"]


def judge_as_argo_cd(resource: Mapping[str, Any]) -> Health:
    """Argo CD's rule for deletion, then its health check for ACK's kinds."""
    if "deletionTimestamp" in resource["metadata"]:
        return "Progressing"
    answer: Health = run(BUILT_IN.read_text(), dict(resource))["status"]
    return answer


def judge_as_kstatus(resource: Mapping[str, Any]) -> Progress:
    """kstatus' generic rules: standard conditions first; an object without conditions is Current."""
    metadata, status = resource["metadata"], resource["status"]
    if "deletionTimestamp" in metadata:
        return "Terminating"
    if status.get("observedGeneration", metadata["generation"]) != metadata["generation"]:
        return "InProgress"
    held = {condition["type"]: condition["status"] for condition in status.get("conditions", [])}
    if held.get("Reconciling") == "True":
        return "InProgress"
    if held.get("Stalled") == "True":
        return "Failed"
    return "Current" if held.get("Ready", "True") == "True" else "InProgress"


def is_reached(resource: Mapping[str, Any], condition: str) -> bool:
    """`kubectl wait --for=condition=…`: the condition is True for the current generation."""
    status = resource["status"]
    if status.get("observedGeneration", 0) < resource["metadata"]["generation"]:
        return False
    return any(held["type"] == condition and held["status"] == "True" for held in status["conditions"])
