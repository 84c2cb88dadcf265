"""Operations of SageMaker that the operator calls."""

from collections.abc import Mapping
from dataclasses import dataclass

CREATE, DESCRIBE, STOP, UPDATE = "CreateTrainingJob", "DescribeTrainingJob", "StopTrainingJob", "UpdateTrainingJob"
LIST_TAGS, ADD_TAGS, DELETE_TAGS = "ListTags", "AddTags", "DeleteTags"
LIST_JOBS = "ListTrainingJobs"


@dataclass(frozen=True, slots=True)
class Operation:
    """Facts about one operation."""

    method: str
    """Its name in botocore."""
    ack_type: str
    """Label `op_type` of ACK's metrics."""
    is_mutating: bool = False
    """It needs leadership until its end."""


OPERATIONS: Mapping[str, Operation] = {
    CREATE: Operation("create_training_job", "CREATE", is_mutating=True),
    DESCRIBE: Operation("describe_training_job", "READ_ONE"),
    LIST_JOBS: Operation("list_training_jobs", "READ_MANY"),
    STOP: Operation("stop_training_job", "DELETE", is_mutating=True),
    UPDATE: Operation("update_training_job", "UPDATE", is_mutating=True),
    LIST_TAGS: Operation("list_tags", "GET"),
    ADD_TAGS: Operation("add_tags", "UPDATE", is_mutating=True),
    DELETE_TAGS: Operation("delete_tags", "UPDATE", is_mutating=True),
}
"""By name."""
