"""Field table of TrainingJob and its members in the SageMaker API; data only, used by fields.py.

Written by `python -m codegen crds`; do not edit.
"""

from __future__ import annotations

from typing import TypeAlias

Shape: TypeAlias = "str | list[Shape] | Members"
"""Type of a scalar (or "map", of strings to strings), a list of one shape, or a structure."""

Members: TypeAlias = "dict[str, tuple[str, Shape]]"
"""Name in the object -> name in the API and shape."""

SPEC: Members = {
    "algorithmSpecification": (
        "AlgorithmSpecification",
        {
            "algorithmName": ("AlgorithmName", "string"),
            "containerArguments": (
                "ContainerArguments",
                ["string"],
            ),
            "containerEntrypoint": (
                "ContainerEntrypoint",
                ["string"],
            ),
            "enableSageMakerMetricsTimeSeries": ("EnableSageMakerMetricsTimeSeries", "boolean"),
            "metricDefinitions": (
                "MetricDefinitions",
                [
                    {
                        "name": ("Name", "string"),
                        "regex": ("Regex", "string"),
                    },
                ],
            ),
            "trainingImage": ("TrainingImage", "string"),
            "trainingImageConfig": (
                "TrainingImageConfig",
                {
                    "trainingRepositoryAccessMode": ("TrainingRepositoryAccessMode", "string"),
                    "trainingRepositoryAuthConfig": (
                        "TrainingRepositoryAuthConfig",
                        {
                            "trainingRepositoryCredentialsProviderARN": (
                                "TrainingRepositoryCredentialsProviderArn",
                                "string",
                            ),
                        },
                    ),
                },
            ),
            "trainingInputMode": ("TrainingInputMode", "string"),
        },
    ),
    "checkpointConfig": (
        "CheckpointConfig",
        {
            "localPath": ("LocalPath", "string"),
            "s3URI": ("S3Uri", "string"),
        },
    ),
    "debugHookConfig": (
        "DebugHookConfig",
        {
            "collectionConfigurations": (
                "CollectionConfigurations",
                [
                    {
                        "collectionName": ("CollectionName", "string"),
                        "collectionParameters": ("CollectionParameters", "map"),
                    },
                ],
            ),
            "hookParameters": ("HookParameters", "map"),
            "localPath": ("LocalPath", "string"),
            "s3OutputPath": ("S3OutputPath", "string"),
        },
    ),
    "debugRuleConfigurations": (
        "DebugRuleConfigurations",
        [
            {
                "instanceType": ("InstanceType", "string"),
                "localPath": ("LocalPath", "string"),
                "ruleConfigurationName": ("RuleConfigurationName", "string"),
                "ruleEvaluatorImage": ("RuleEvaluatorImage", "string"),
                "ruleParameters": ("RuleParameters", "map"),
                "s3OutputPath": ("S3OutputPath", "string"),
                "volumeSizeInGB": ("VolumeSizeInGB", "integer"),
            },
        ],
    ),
    "enableInterContainerTrafficEncryption": ("EnableInterContainerTrafficEncryption", "boolean"),
    "enableManagedSpotTraining": ("EnableManagedSpotTraining", "boolean"),
    "enableNetworkIsolation": ("EnableNetworkIsolation", "boolean"),
    "environment": ("Environment", "map"),
    "experimentConfig": (
        "ExperimentConfig",
        {
            "experimentName": ("ExperimentName", "string"),
            "runName": ("RunName", "string"),
            "trialComponentDisplayName": ("TrialComponentDisplayName", "string"),
            "trialName": ("TrialName", "string"),
        },
    ),
    "hyperParameters": ("HyperParameters", "map"),
    "infraCheckConfig": (
        "InfraCheckConfig",
        {
            "enableInfraCheck": ("EnableInfraCheck", "boolean"),
        },
    ),
    "inputDataConfig": (
        "InputDataConfig",
        [
            {
                "channelName": ("ChannelName", "string"),
                "compressionType": ("CompressionType", "string"),
                "contentType": ("ContentType", "string"),
                "dataSource": (
                    "DataSource",
                    {
                        "datasetSource": (
                            "DatasetSource",
                            {
                                "datasetARN": ("DatasetArn", "string"),
                            },
                        ),
                        "fileSystemDataSource": (
                            "FileSystemDataSource",
                            {
                                "directoryPath": ("DirectoryPath", "string"),
                                "fileSystemAccessMode": ("FileSystemAccessMode", "string"),
                                "fileSystemID": ("FileSystemId", "string"),
                                "fileSystemType": ("FileSystemType", "string"),
                            },
                        ),
                        "s3DataSource": (
                            "S3DataSource",
                            {
                                "attributeNames": (
                                    "AttributeNames",
                                    ["string"],
                                ),
                                "hubAccessConfig": (
                                    "HubAccessConfig",
                                    {
                                        "hubContentARN": ("HubContentArn", "string"),
                                    },
                                ),
                                "instanceGroupNames": (
                                    "InstanceGroupNames",
                                    ["string"],
                                ),
                                "modelAccessConfig": (
                                    "ModelAccessConfig",
                                    {
                                        "acceptEula": ("AcceptEula", "boolean"),
                                    },
                                ),
                                "s3DataDistributionType": ("S3DataDistributionType", "string"),
                                "s3DataType": ("S3DataType", "string"),
                                "s3URI": ("S3Uri", "string"),
                            },
                        ),
                    },
                ),
                "inputMode": ("InputMode", "string"),
                "recordWrapperType": ("RecordWrapperType", "string"),
                "shuffleConfig": (
                    "ShuffleConfig",
                    {
                        "seed": ("Seed", "integer"),
                    },
                ),
            },
        ],
    ),
    "mlflowConfig": (
        "MlflowConfig",
        {
            "mlflowExperimentName": ("MlflowExperimentName", "string"),
            "mlflowResourceARN": ("MlflowResourceArn", "string"),
            "mlflowRunName": ("MlflowRunName", "string"),
        },
    ),
    "modelPackageConfig": (
        "ModelPackageConfig",
        {
            "modelPackageGroupARN": ("ModelPackageGroupArn", "string"),
            "sourceModelPackageARN": ("SourceModelPackageArn", "string"),
        },
    ),
    "outputDataConfig": (
        "OutputDataConfig",
        {
            "compressionType": ("CompressionType", "string"),
            "kmsKeyID": ("KmsKeyId", "string"),
            "s3OutputPath": ("S3OutputPath", "string"),
        },
    ),
    "profilerConfig": (
        "ProfilerConfig",
        {
            "disableProfiler": ("DisableProfiler", "boolean"),
            "profilingIntervalInMilliseconds": ("ProfilingIntervalInMilliseconds", "integer"),
            "profilingParameters": ("ProfilingParameters", "map"),
            "s3OutputPath": ("S3OutputPath", "string"),
        },
    ),
    "profilerRuleConfigurations": (
        "ProfilerRuleConfigurations",
        [
            {
                "instanceType": ("InstanceType", "string"),
                "localPath": ("LocalPath", "string"),
                "ruleConfigurationName": ("RuleConfigurationName", "string"),
                "ruleEvaluatorImage": ("RuleEvaluatorImage", "string"),
                "ruleParameters": ("RuleParameters", "map"),
                "s3OutputPath": ("S3OutputPath", "string"),
                "volumeSizeInGB": ("VolumeSizeInGB", "integer"),
            },
        ],
    ),
    "remoteDebugConfig": (
        "RemoteDebugConfig",
        {
            "enableRemoteDebug": ("EnableRemoteDebug", "boolean"),
        },
    ),
    "resourceConfig": (
        "ResourceConfig",
        {
            "instanceCount": ("InstanceCount", "integer"),
            "instanceGroups": (
                "InstanceGroups",
                [
                    {
                        "instanceCount": ("InstanceCount", "integer"),
                        "instanceGroupName": ("InstanceGroupName", "string"),
                        "instanceType": ("InstanceType", "string"),
                    },
                ],
            ),
            "instancePlacementConfig": (
                "InstancePlacementConfig",
                {
                    "enableMultipleJobs": ("EnableMultipleJobs", "boolean"),
                    "placementSpecifications": (
                        "PlacementSpecifications",
                        [
                            {
                                "instanceCount": ("InstanceCount", "integer"),
                                "ultraServerID": ("UltraServerId", "string"),
                            },
                        ],
                    ),
                },
            ),
            "instancePreferences": (
                "InstancePreferences",
                [
                    {
                        "instanceCount": ("InstanceCount", "integer"),
                        "instanceType": ("InstanceType", "string"),
                        "trainingPlanARNs": (
                            "TrainingPlanArns",
                            ["string"],
                        ),
                    },
                ],
            ),
            "instanceType": ("InstanceType", "string"),
            "keepAlivePeriodInSeconds": ("KeepAlivePeriodInSeconds", "integer"),
            "trainingPlanARN": ("TrainingPlanArn", "string"),
            "volumeKMSKeyID": ("VolumeKmsKeyId", "string"),
            "volumeSizeInGB": ("VolumeSizeInGB", "integer"),
        },
    ),
    "retryStrategy": (
        "RetryStrategy",
        {
            "maximumRetryAttempts": ("MaximumRetryAttempts", "integer"),
        },
    ),
    "roleARN": ("RoleArn", "string"),
    "serverlessJobConfig": (
        "ServerlessJobConfig",
        {
            "acceptEula": ("AcceptEula", "boolean"),
            "baseModelARN": ("BaseModelArn", "string"),
            "customizationTechnique": ("CustomizationTechnique", "string"),
            "evaluationType": ("EvaluationType", "string"),
            "evaluatorARN": ("EvaluatorArn", "string"),
            "jobType": ("JobType", "string"),
            "peft": ("Peft", "string"),
            "sequenceLength": ("SequenceLength", "string"),
        },
    ),
    "sessionChainingConfig": (
        "SessionChainingConfig",
        {
            "enableSessionTagChaining": ("EnableSessionTagChaining", "boolean"),
        },
    ),
    "stoppingCondition": (
        "StoppingCondition",
        {
            "maxPendingTimeInSeconds": ("MaxPendingTimeInSeconds", "integer"),
            "maxRuntimeInSeconds": ("MaxRuntimeInSeconds", "integer"),
            "maxWaitTimeInSeconds": ("MaxWaitTimeInSeconds", "integer"),
        },
    ),
    "tags": (
        "Tags",
        [
            {
                "key": ("Key", "string"),
                "value": ("Value", "string"),
            },
        ],
    ),
    "tensorBoardOutputConfig": (
        "TensorBoardOutputConfig",
        {
            "localPath": ("LocalPath", "string"),
            "s3OutputPath": ("S3OutputPath", "string"),
        },
    ),
    "trainingJobName": ("TrainingJobName", "string"),
    "vpcConfig": (
        "VpcConfig",
        {
            "securityGroupIDs": (
                "SecurityGroupIds",
                ["string"],
            ),
            "subnets": (
                "Subnets",
                ["string"],
            ),
        },
    ),
}

STATUS: Members = {
    "autoMLJobARN": ("AutoMLJobArn", "string"),
    "billableTimeInSeconds": ("BillableTimeInSeconds", "integer"),
    "billableTokenCount": ("BillableTokenCount", "integer"),
    "creationTime": ("CreationTime", "timestamp"),
    "debugRuleEvaluationStatuses": (
        "DebugRuleEvaluationStatuses",
        [
            {
                "lastModifiedTime": ("LastModifiedTime", "timestamp"),
                "ruleConfigurationName": ("RuleConfigurationName", "string"),
                "ruleEvaluationJobARN": ("RuleEvaluationJobArn", "string"),
                "ruleEvaluationStatus": ("RuleEvaluationStatus", "string"),
                "statusDetails": ("StatusDetails", "string"),
            },
        ],
    ),
    "failureReason": ("FailureReason", "string"),
    "finalMetricDataList": (
        "FinalMetricDataList",
        [
            {
                "metricName": ("MetricName", "string"),
                "timestamp": ("Timestamp", "timestamp"),
                "value": ("Value", "number"),
            },
        ],
    ),
    "labelingJobARN": ("LabelingJobArn", "string"),
    "lastModifiedTime": ("LastModifiedTime", "timestamp"),
    "mlflowDetails": (
        "MlflowDetails",
        {
            "mlflowExperimentID": ("MlflowExperimentId", "string"),
            "mlflowRunID": ("MlflowRunId", "string"),
        },
    ),
    "modelArtifacts": (
        "ModelArtifacts",
        {
            "s3ModelArtifacts": ("S3ModelArtifacts", "string"),
        },
    ),
    "outputModelPackageARN": ("OutputModelPackageArn", "string"),
    "profilerRuleEvaluationStatuses": (
        "ProfilerRuleEvaluationStatuses",
        [
            {
                "lastModifiedTime": ("LastModifiedTime", "timestamp"),
                "ruleConfigurationName": ("RuleConfigurationName", "string"),
                "ruleEvaluationJobARN": ("RuleEvaluationJobArn", "string"),
                "ruleEvaluationStatus": ("RuleEvaluationStatus", "string"),
                "statusDetails": ("StatusDetails", "string"),
            },
        ],
    ),
    "profilingStatus": ("ProfilingStatus", "string"),
    "progressInfo": (
        "ProgressInfo",
        {
            "currentEpoch": ("CurrentEpoch", "integer"),
            "currentStep": ("CurrentStep", "integer"),
            "maxEpoch": ("MaxEpoch", "integer"),
            "totalStepCountPerEpoch": ("TotalStepCountPerEpoch", "integer"),
        },
    ),
    "resourceConfig": (
        "ResourceConfig",
        {
            "selectedInstanceCount": ("SelectedInstanceCount", "integer"),
            "selectedInstanceType": ("SelectedInstanceType", "string"),
        },
    ),
    "secondaryStatus": ("SecondaryStatus", "string"),
    "secondaryStatusTransitions": (
        "SecondaryStatusTransitions",
        [
            {
                "endTime": ("EndTime", "timestamp"),
                "startTime": ("StartTime", "timestamp"),
                "status": ("Status", "string"),
                "statusMessage": ("StatusMessage", "string"),
            },
        ],
    ),
    "trainingEndTime": ("TrainingEndTime", "timestamp"),
    "trainingJobStatus": ("TrainingJobStatus", "string"),
    "trainingStartTime": ("TrainingStartTime", "timestamp"),
    "trainingTimeInSeconds": ("TrainingTimeInSeconds", "integer"),
    "tuningJobARN": ("TuningJobArn", "string"),
    "warmPoolStatus": (
        "WarmPoolStatus",
        {
            "resourceRetainedBillableTimeInSeconds": ("ResourceRetainedBillableTimeInSeconds", "integer"),
            "reusedByJob": ("ReusedByJob", "string"),
            "status": ("Status", "string"),
        },
    ),
}

UNDESCRIBED = frozenset({"sessionChainingConfig", "tags"})
"""Fields of spec not returned by DescribeTrainingJob."""
