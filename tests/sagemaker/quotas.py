"""Quotas of an account in a region with SageMaker's names and messages, and the check of a new job against them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

INSTANCES = "Number of instances across all training jobs"
VOLUMES = "Total size of EBS volumes across all training jobs"


def training(kind: str) -> str:
    """The name of the quota of an instance type for on-demand jobs."""
    return f"{kind} for training job usage"


def spot(kind: str) -> str:
    return f"{kind} for spot training job usage"


def warm_pool(kind: str) -> str:
    return f"{kind} for training warm pool usage"


def usage_of(request: Mapping[str, Any]) -> dict[str, int]:
    """Usage of each quota by a job, by quota name: instances, or GB of volumes."""
    resources = request.get("ResourceConfig", {})
    is_spot = request.get("EnableManagedSpotTraining", False)
    is_kept = resources.get("KeepAlivePeriodInSeconds", 0) > 0
    usage: dict[str, int] = {}
    for group in (resources, *resources.get("InstanceGroups", ())):
        if "InstanceType" not in group:
            continue
        kind, count = group["InstanceType"], group.get("InstanceCount", 1)
        names = [spot(kind) if is_spot else training(kind), *([warm_pool(kind)] if is_kept else []), INSTANCES]
        amounts = dict.fromkeys(names, count) | {VOLUMES: count * resources.get("VolumeSizeInGB", 0)}
        for name, amount in amounts.items():
            usage[name] = usage.get(name, 0) + amount
    return usage


def find_exceeded(
    quotas: Mapping[str, int], request: Mapping[str, Any], running: Iterable[Mapping[str, Any]]
) -> str | None:
    """The message about the first quota exceeded by the job beside the running ones; None without one."""
    wanted = {name: amount for name, amount in usage_of(request).items() if name in quotas}
    if not wanted:
        return None
    used = dict.fromkeys(wanted, 0)
    for other in running:
        for name, amount in usage_of(other).items():
            if name in used:
                used[name] += amount
    for name, amount in wanted.items():
        if used[name] + amount > quotas[name]:
            unit = "GB" if name == VOLUMES else "Instances"
            return (
                f"The account-level service limit '{name}' is {quotas[name]} {unit}, with current utilization of "
                f"{used[name]} {unit} and a request delta of {amount} {unit}. Please use AWS Service Quotas to request "
                "an increase for this quota. If AWS Service Quotas is not available, contact AWS support to request an "
                "increase for this quota."
            )
    return None


def find_unavailable(kinds: Iterable[str], request: Mapping[str, Any]) -> str | None:
    """The message about an instance type of the request that is unavailable in the region; None without one."""
    resources = request.get("ResourceConfig", {})
    wanted = [group.get("InstanceType") for group in (resources, *resources.get("InstanceGroups", ()))]
    missing = next((kind for kind in wanted if kind in set(kinds)), None)
    return None if missing is None else f"The requested resource training-job/{missing} is not available in this region"
