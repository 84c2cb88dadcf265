"""Checks of SageMaker's answers against the job that a call was about: an endpoint may answer anything."""

from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.naming import Identity, parse_arn
from trainingjob_operator.logic.operations import CREATE


def check_arn(arn: str, identity: Identity) -> str:
    """Return the ARN in the answer to CreateTrainingJob.

    Raises AwsError for the ARN of another job; the requested job may exist all the same.
    """
    if not _is_of(arn, identity):
        message = f"The answer names the job {arn[:200]}, which is not {identity}."
        raise AwsError(CREATE, "UnreadableAnswer", message, ErrorClass.RETRY, definite=False)
    return arn


def is_another_run(seen: Observation, known: Observation, identity: Identity) -> bool:
    """Return True if the answer to DescribeTrainingJob is about another run, or another job, than the known one."""
    return not seen.is_same_run_as(known) or not (seen.arn is None or _is_of(seen.arn, identity))


def _is_of(arn: str, identity: Identity) -> bool:
    named = parse_arn(arn)
    return named is not None and named.slot == identity.slot
