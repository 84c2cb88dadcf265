"""Valid requests: the smallest one, and one with every member."""

from __future__ import annotations

from typing import Any

from tests.sagemaker.identity import DEFAULT_ACCOUNT

Json = dict[str, Any]


def minimal(name: str, account: str = DEFAULT_ACCOUNT) -> Json:
    """The smallest valid CreateTrainingJob request."""
    return {
        "TrainingJobName": name,
        "RoleArn": f"arn:aws:iam::{account}:role/training",
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        "StoppingCondition": {"MaxRuntimeInSeconds": 86400},
    }


def full(name: str, account: str = DEFAULT_ACCOUNT) -> Json:
    """Every member of CreateTrainingJob that is valid together with the others."""
    role = f"arn:aws:iam::{account}:role/training"
    sagemaker = f"arn:aws:sagemaker:us-east-1:{account}"
    rule = {
        "RuleConfigurationName": "Watch",
        "RuleEvaluatorImage": "rules:latest",
        "LocalPath": "/opt/ml/rules",
        "S3OutputPath": "s3://bucket/rules",
        "InstanceType": "ml.t3.medium",
        "VolumeSizeInGB": 1,
        "RuleParameters": {"rule_to_invoke": "LossNotDecreasing"},
    }
    return {
        "TrainingJobName": name,
        "RoleArn": role,
        "HyperParameters": {"eta": "0.2"},
        "Environment": {"MODE": "test"},
        "AlgorithmSpecification": {
            "TrainingImage": "image",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*)"}],
            "EnableSageMakerMetricsTimeSeries": True,
            "ContainerEntrypoint": ["python"],
            "ContainerArguments": ["train.py"],
            "TrainingImageConfig": {
                "TrainingRepositoryAccessMode": "Vpc",
                "TrainingRepositoryAuthConfig": {
                    "TrainingRepositoryCredentialsProviderArn": f"arn:aws:lambda:us-east-1:{account}:function:f"
                },
            },
        },
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": "s3://bucket/train",
                        "S3DataDistributionType": "ShardedByS3Key",
                        "AttributeNames": ["label"],
                        "InstanceGroupNames": ["workers"],
                    }
                },
                "ContentType": "text/csv",
                "CompressionType": "Gzip",
                "RecordWrapperType": "RecordIO",
                "InputMode": "Pipe",
                "ShuffleConfig": {"Seed": 7},
            },
            {
                "ChannelName": "files",
                "DataSource": {
                    "FileSystemDataSource": {
                        "FileSystemId": "fs-0123456789abcdef0",
                        "FileSystemAccessMode": "ro",
                        "FileSystemType": "EFS",
                        "DirectoryPath": "/data",
                    }
                },
            },
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out", "KmsKeyId": "key", "CompressionType": "NONE"},
        "ResourceConfig": {
            "VolumeSizeInGB": 30,
            "VolumeKmsKeyId": "key",
            "InstanceGroups": [
                {"InstanceType": "ml.c5.xlarge", "InstanceCount": 2, "InstanceGroupName": "workers"},
            ],
            "TrainingPlanArn": f"{sagemaker}:training-plan/plan",
        },
        "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
        "StoppingCondition": {
            "MaxRuntimeInSeconds": 3600,
            "MaxWaitTimeInSeconds": 7200,
            "MaxPendingTimeInSeconds": 7200,
        },
        "Tags": [{"Key": "team", "Value": "ml"}],
        "EnableNetworkIsolation": True,
        "EnableInterContainerTrafficEncryption": True,
        "EnableManagedSpotTraining": True,
        "CheckpointConfig": {"S3Uri": "s3://bucket/checkpoints", "LocalPath": "/checkpoints"},
        "DebugHookConfig": {
            "LocalPath": "/tensors",
            "S3OutputPath": "s3://bucket/tensors",
            "HookParameters": {"save_interval": "10"},
            "CollectionConfigurations": [
                {"CollectionName": "losses", "CollectionParameters": {"save_interval": "10"}},
            ],
        },
        "DebugRuleConfigurations": [rule],
        "TensorBoardOutputConfig": {"LocalPath": "/tensorboard", "S3OutputPath": "s3://bucket/tensorboard"},
        "ExperimentConfig": {
            "ExperimentName": "experiment",
            "TrialName": "trial",
            "TrialComponentDisplayName": "component",
            "RunName": "run",
        },
        "ProfilerConfig": {
            "S3OutputPath": "s3://bucket/profile",
            "ProfilingIntervalInMilliseconds": 1000,
            "ProfilingParameters": {"key": "value"},
            "DisableProfiler": False,
        },
        "ProfilerRuleConfigurations": [rule],
        "RetryStrategy": {"MaximumRetryAttempts": 3},
        "RemoteDebugConfig": {"EnableRemoteDebug": True},
        "InfraCheckConfig": {"EnableInfraCheck": True},
        "SessionChainingConfig": {"EnableSessionTagChaining": True},
        "MlflowConfig": {
            "MlflowResourceArn": f"{sagemaker}:mlflow-app/app",
            "MlflowExperimentName": "experiment",
            "MlflowRunName": "run",
        },
        "ModelPackageConfig": {"ModelPackageGroupArn": f"{sagemaker}:model-package-group/group"},
    }
