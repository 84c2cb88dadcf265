"""What fields of one spec demand of each other, as one CEL rule; logic/validation.py has the same in Python.

One rule, because every rule is evaluated at every write. Not here: rules that compare an object with its earlier self
(immutability.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainingjob_operator.logic import validation

if TYPE_CHECKING:
    from codegen.schema import Schema

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
"""Message -> when it applies."""


def consistency_rule() -> Schema:
    """A rule that names every conflict of a spec at once, but refuses no edit for a conflict that was there before."""
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
