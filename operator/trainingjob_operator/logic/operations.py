"""Names of the SageMaker operations about one job: keys of back-offs, vanguards and error messages."""

CREATE, DESCRIBE, STOP, UPDATE = "CreateTrainingJob", "DescribeTrainingJob", "StopTrainingJob", "UpdateTrainingJob"
LIST_TAGS, ADD_TAGS, DELETE_TAGS = "ListTags", "AddTags", "DeleteTags"
