"""Consistency between fields of one spec, as one CEL rule; logic/objects/validation.py is the Python equivalent.

One rule, since the API server evaluates every rule at every write. immutability.py has the transition rules.
"""

from __future__ import annotations

from typing import Any

from trainingjob_operator.logic.objects import validation

SPOT = "(has(self.enableManagedSpotTraining) && self.enableManagedSpotTraining)"
WAIT = "self.stoppingCondition.maxWaitTimeInSeconds"
RUNTIME = "self.stoppingCondition.maxRuntimeInSeconds"
ALGORITHM = "self.algorithmSpecification"
IMAGE = f"(has({ALGORITHM}.trainingImage) && {ALGORITHM}.trainingImage != '')"
NAME = f"has({ALGORITHM}.algorithmName)"
RESOURCES = "self.resourceConfig"

CONFLICTS = {
    validation.SPOT_WITHOUT_WAIT: f"{SPOT} && !has({WAIT})",
    validation.WAIT_WITHOUT_SPOT: f"has({WAIT}) && !{SPOT}",
    validation.WAIT_BELOW_RUNTIME: f"has({WAIT}) && has({RUNTIME}) && {WAIT} < {RUNTIME}",
    validation.TWO_ALGORITHMS: f"{NAME} && {IMAGE}",
    validation.NO_ALGORITHM: f"!{NAME} && !{IMAGE} && !has(self.serverlessJobConfig)",
    validation.NO_INSTANCES: f"has({RESOURCES}.instanceCount) && {RESOURCES}.instanceCount == 0"
    f" && has({RESOURCES}.instanceType) && !has({RESOURCES}.instanceGroups)",
}
"""Message -> CEL expression of the conflict."""


def consistency_rule() -> dict[str, Any]:
    """Build a rule that reports all conflicts of a spec at once and tolerates conflicts of the old object."""
    parts = {conflict: conflict.replace("self.", "oldSelf.value().") for conflict in CONFLICTS.values()}
    rule = "\n&& ".join(f"(!({now}) || oldSelf.hasValue() && ({before}))" for now, before in parts.items())
    found = "\n+ ".join(f"({conflict} ? '{message}; ' : '')" for message, conflict in CONFLICTS.items())
    return {
        "rule": rule,
        "optionalOldSelf": True,
        "message": "fields of the spec contradict each other",
        "messageExpression": f"{found}\n+ 'correct these fields'",
        "reason": "FieldValueForbidden",
    }
