"""Constraints on a spec, equal to those of the CRD; data only, checked by validation.py.

Written by `python -m codegen crds`; do not edit.
"""
# ruff: noqa: E501  patterns cannot be wrapped

from collections.abc import Mapping
from typing import Any

CONSTRAINTS: Mapping[str, Mapping[str, Any]] = {
    "": {
        "required": ("algorithmSpecification", "outputDataConfig", "resourceConfig", "roleARN", "stoppingCondition"),
    },
    "algorithmSpecification": {
        "required": ("trainingInputMode",),
    },
    "algorithmSpecification.algorithmName": {
        "minLength": 1,
        "maxLength": 170,
        "pattern": "^(arn:aws[a-z\\-]*:sagemaker:[a-z0-9\\-]*:[0-9]{12}:[a-z\\-]*/)?[a-zA-Z0-9]([a-zA-Z0-9\\-]{0,61}[a-zA-Z0-9])?$",
    },
    "algorithmSpecification.containerArguments": {
        "minItems": 1,
        "maxItems": 100,
    },
    "algorithmSpecification.containerArguments[]": {
        "maxLength": 256,
        "pattern": "^.*$",
    },
    "algorithmSpecification.containerEntrypoint": {
        "minItems": 1,
        "maxItems": 100,
    },
    "algorithmSpecification.containerEntrypoint[]": {
        "maxLength": 256,
        "pattern": "^.*$",
    },
    "algorithmSpecification.metricDefinitions": {
        "maxItems": 40,
    },
    "algorithmSpecification.metricDefinitions[]": {
        "required": ("name", "regex"),
    },
    "algorithmSpecification.metricDefinitions[].name": {
        "minLength": 1,
        "maxLength": 255,
        "pattern": "^.+$",
    },
    "algorithmSpecification.metricDefinitions[].regex": {
        "minLength": 1,
        "maxLength": 500,
        "pattern": "^.+$",
    },
    "algorithmSpecification.trainingImage": {
        "maxLength": 255,
        "pattern": "^.*$",
    },
    "algorithmSpecification.trainingImageConfig": {
        "required": ("trainingRepositoryAccessMode",),
    },
    "algorithmSpecification.trainingImageConfig.trainingRepositoryAccessMode": {
        "enum": ("Platform", "Vpc"),
    },
    "algorithmSpecification.trainingImageConfig.trainingRepositoryAuthConfig": {
        "required": ("trainingRepositoryCredentialsProviderARN",),
    },
    "algorithmSpecification.trainingImageConfig.trainingRepositoryAuthConfig.trainingRepositoryCredentialsProviderARN": {
        "minLength": 1,
        "maxLength": 2048,
        "pattern": "^arn:[a-zA-Z0-9\\-]+:lambda:[a-zA-Z0-9\\-]+:[0-9]{12}:function:.*$",
    },
    "algorithmSpecification.trainingInputMode": {
        "enum": ("Pipe", "File", "FastFile"),
    },
    "checkpointConfig": {
        "required": ("s3URI",),
    },
    "checkpointConfig.localPath": {
        "maxLength": 4096,
        "pattern": "^.*$",
    },
    "checkpointConfig.s3URI": {
        "maxLength": 1024,
        "pattern": "^(https|s3)://([^/]+)/?(.*)$",
    },
    "debugHookConfig": {
        "required": ("s3OutputPath",),
    },
    "debugHookConfig.collectionConfigurations": {
        "maxItems": 20,
    },
    "debugHookConfig.collectionConfigurations[].collectionName": {
        "minLength": 1,
        "maxLength": 256,
        "pattern": "^.*$",
    },
    "debugHookConfig.collectionConfigurations[].collectionParameters": {
        "maxProperties": 20,
    },
    "debugHookConfig.collectionConfigurations[].collectionParameters.key": {
        "minLength": 1,
        "maxLength": 256,
        "pattern": "^.*$",
    },
    "debugHookConfig.collectionConfigurations[].collectionParameters.value": {
        "maxLength": 256,
        "pattern": "^.*$",
    },
    "debugHookConfig.hookParameters": {
        "maxProperties": 20,
    },
    "debugHookConfig.hookParameters.key": {
        "minLength": 1,
        "maxLength": 256,
        "pattern": "^.*$",
    },
    "debugHookConfig.hookParameters.value": {
        "maxLength": 256,
        "pattern": "^.*$",
    },
    "debugHookConfig.localPath": {
        "maxLength": 4096,
        "pattern": "^.*$",
    },
    "debugHookConfig.s3OutputPath": {
        "maxLength": 1024,
        "pattern": "^(https|s3)://([^/]+)/?(.*)$",
    },
    "debugRuleConfigurations": {
        "maxItems": 20,
        "key": "ruleConfigurationName",
    },
    "debugRuleConfigurations[]": {
        "required": ("ruleConfigurationName", "ruleEvaluatorImage"),
    },
    "debugRuleConfigurations[].instanceType": {
        "maxLength": 64,
    },
    "debugRuleConfigurations[].localPath": {
        "maxLength": 4096,
        "pattern": "^.*$",
    },
    "debugRuleConfigurations[].ruleConfigurationName": {
        "minLength": 1,
        "maxLength": 256,
        "pattern": "^.*$",
    },
    "debugRuleConfigurations[].ruleEvaluatorImage": {
        "maxLength": 255,
        "pattern": "^.*$",
    },
    "debugRuleConfigurations[].ruleParameters": {
        "maxProperties": 100,
    },
    "debugRuleConfigurations[].ruleParameters.key": {
        "minLength": 1,
        "maxLength": 256,
        "pattern": "^.*$",
    },
    "debugRuleConfigurations[].ruleParameters.value": {
        "maxLength": 256,
        "pattern": "^.*$",
    },
    "debugRuleConfigurations[].s3OutputPath": {
        "maxLength": 1024,
        "pattern": "^(https|s3)://([^/]+)/?(.*)$",
    },
    "debugRuleConfigurations[].volumeSizeInGB": {
        "minimum": 0,
        "maximum": 2147483647,
    },
    "environment": {
        "maxProperties": 100,
    },
    "environment.key": {
        "maxLength": 512,
        "pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$",
    },
    "environment.value": {
        "maxLength": 512,
    },
    "experimentConfig.experimentName": {
        "minLength": 1,
        "maxLength": 120,
        "pattern": "^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,119}$",
    },
    "experimentConfig.runName": {
        "minLength": 1,
        "maxLength": 120,
        "pattern": "^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,119}$",
    },
    "experimentConfig.trialComponentDisplayName": {
        "minLength": 1,
        "maxLength": 120,
        "pattern": "^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,119}$",
    },
    "experimentConfig.trialName": {
        "minLength": 1,
        "maxLength": 120,
        "pattern": "^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,119}$",
    },
    "hyperParameters": {
        "maxProperties": 100,
    },
    "hyperParameters.key": {
        "maxLength": 256,
        "pattern": "^.*$",
    },
    "hyperParameters.value": {
        "maxLength": 2500,
        "pattern": "^.*$",
    },
    "inputDataConfig": {
        "minItems": 1,
        "maxItems": 20,
        "key": "channelName",
    },
    "inputDataConfig[]": {
        "required": ("channelName", "dataSource"),
    },
    "inputDataConfig[].channelName": {
        "minLength": 1,
        "maxLength": 64,
        "pattern": "^[A-Za-z0-9\\.\\-_]+$",
    },
    "inputDataConfig[].compressionType": {
        "enum": ("None", "Gzip"),
    },
    "inputDataConfig[].contentType": {
        "maxLength": 256,
        "pattern": "^.*$",
    },
    "inputDataConfig[].dataSource.datasetSource": {
        "required": ("datasetARN",),
    },
    "inputDataConfig[].dataSource.datasetSource.datasetARN": {
        "maxLength": 2048,
        "pattern": "^(arn:[a-z0-9-\\.]{1,63}:sagemaker:\\w+(?:-\\w+)+:(\\d{12}|aws):hub-content/)[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}/DataSet/[a-zA-Z0-9](-*[a-zA-Z0-9]){0,63}(/\\d{1,4}.\\d{1,4}.\\d{1,4})?$",
    },
    "inputDataConfig[].dataSource.fileSystemDataSource": {
        "required": ("fileSystemID", "fileSystemAccessMode", "fileSystemType", "directoryPath"),
    },
    "inputDataConfig[].dataSource.fileSystemDataSource.directoryPath": {
        "maxLength": 4096,
        "pattern": "^.*$",
    },
    "inputDataConfig[].dataSource.fileSystemDataSource.fileSystemAccessMode": {
        "enum": ("rw", "ro"),
    },
    "inputDataConfig[].dataSource.fileSystemDataSource.fileSystemID": {
        "minLength": 11,
        "maxLength": 21,
        "pattern": "^(fs-[0-9a-f]{8,})$",
    },
    "inputDataConfig[].dataSource.fileSystemDataSource.fileSystemType": {
        "enum": ("EFS", "FSxLustre"),
    },
    "inputDataConfig[].dataSource.s3DataSource": {
        "required": ("s3DataType", "s3URI"),
    },
    "inputDataConfig[].dataSource.s3DataSource.attributeNames": {
        "maxItems": 16,
    },
    "inputDataConfig[].dataSource.s3DataSource.attributeNames[]": {
        "minLength": 1,
        "maxLength": 256,
        "pattern": "^.+$",
    },
    "inputDataConfig[].dataSource.s3DataSource.hubAccessConfig": {
        "required": ("hubContentARN",),
    },
    "inputDataConfig[].dataSource.s3DataSource.hubAccessConfig.hubContentARN": {
        "maxLength": 255,
        "pattern": "^.*$",
    },
    "inputDataConfig[].dataSource.s3DataSource.instanceGroupNames": {
        "maxItems": 5,
    },
    "inputDataConfig[].dataSource.s3DataSource.instanceGroupNames[]": {
        "minLength": 1,
        "maxLength": 64,
        "pattern": "^.+$",
    },
    "inputDataConfig[].dataSource.s3DataSource.modelAccessConfig": {
        "required": ("acceptEula",),
    },
    "inputDataConfig[].dataSource.s3DataSource.s3DataDistributionType": {
        "enum": ("FullyReplicated", "ShardedByS3Key"),
    },
    "inputDataConfig[].dataSource.s3DataSource.s3DataType": {
        "maxLength": 64,
    },
    "inputDataConfig[].dataSource.s3DataSource.s3URI": {
        "maxLength": 1024,
        "pattern": "^(https|s3)://([^/]+)/?(.*)$",
    },
    "inputDataConfig[].inputMode": {
        "enum": ("Pipe", "File", "FastFile"),
    },
    "inputDataConfig[].recordWrapperType": {
        "enum": ("None", "RecordIO"),
    },
    "inputDataConfig[].shuffleConfig": {
        "required": ("seed",),
    },
    "mlflowConfig": {
        "required": ("mlflowResourceARN",),
    },
    "mlflowConfig.mlflowExperimentName": {
        "minLength": 1,
        "maxLength": 256,
        "pattern": "^.*$",
    },
    "mlflowConfig.mlflowResourceARN": {
        "maxLength": 2048,
        "pattern": "^arn:aws[a-z\\-]*:sagemaker:[a-z0-9\\-]*:[0-9]{12}:mlflow-[a-zA-Z-]*/.*$",
    },
    "mlflowConfig.mlflowRunName": {
        "minLength": 1,
        "maxLength": 256,
        "pattern": "^.*$",
    },
    "modelPackageConfig": {
        "required": ("modelPackageGroupARN",),
    },
    "modelPackageConfig.modelPackageGroupARN": {
        "minLength": 1,
        "maxLength": 2048,
        "pattern": "^arn:aws[a-z\\-]*:sagemaker:[a-z0-9\\-]{9,16}:[0-9]{12}:model-package-group/[\\S]+$",
    },
    "modelPackageConfig.sourceModelPackageARN": {
        "minLength": 1,
        "maxLength": 2048,
        "pattern": "^arn:aws[a-z\\-]*:sagemaker:[a-z0-9\\-]{9,16}:[0-9]{12}:model-package/[\\S]+$",
    },
    "outputDataConfig": {
        "required": ("s3OutputPath",),
    },
    "outputDataConfig.compressionType": {
        "enum": ("GZIP", "NONE"),
    },
    "outputDataConfig.kmsKeyID": {
        "maxLength": 2048,
        "pattern": "^[a-zA-Z0-9:/_-]*$",
    },
    "outputDataConfig.s3OutputPath": {
        "maxLength": 1024,
        "pattern": "^(https|s3)://([^/]+)/?(.*)$",
    },
    "profilerConfig.profilingParameters": {
        "maxProperties": 20,
    },
    "profilerConfig.profilingParameters.key": {
        "minLength": 1,
        "maxLength": 256,
        "pattern": "^.*$",
    },
    "profilerConfig.profilingParameters.value": {
        "maxLength": 256,
        "pattern": "^.*$",
    },
    "profilerConfig.s3OutputPath": {
        "maxLength": 1024,
        "pattern": "^(https|s3)://([^/]+)/?(.*)$",
    },
    "profilerRuleConfigurations": {
        "maxItems": 20,
        "key": "ruleConfigurationName",
    },
    "profilerRuleConfigurations[]": {
        "required": ("ruleConfigurationName", "ruleEvaluatorImage"),
    },
    "profilerRuleConfigurations[].instanceType": {
        "maxLength": 64,
    },
    "profilerRuleConfigurations[].localPath": {
        "maxLength": 4096,
        "pattern": "^.*$",
    },
    "profilerRuleConfigurations[].ruleConfigurationName": {
        "minLength": 1,
        "maxLength": 256,
        "pattern": "^.*$",
    },
    "profilerRuleConfigurations[].ruleEvaluatorImage": {
        "maxLength": 255,
        "pattern": "^.*$",
    },
    "profilerRuleConfigurations[].ruleParameters": {
        "maxProperties": 100,
    },
    "profilerRuleConfigurations[].ruleParameters.key": {
        "minLength": 1,
        "maxLength": 256,
        "pattern": "^.*$",
    },
    "profilerRuleConfigurations[].ruleParameters.value": {
        "maxLength": 256,
        "pattern": "^.*$",
    },
    "profilerRuleConfigurations[].s3OutputPath": {
        "maxLength": 1024,
        "pattern": "^(https|s3)://([^/]+)/?(.*)$",
    },
    "profilerRuleConfigurations[].volumeSizeInGB": {
        "minimum": 0,
        "maximum": 2147483647,
    },
    "resourceConfig.instanceCount": {
        "minimum": 0,
        "maximum": 2147483647,
    },
    "resourceConfig.instanceGroups": {
        "maxItems": 5,
    },
    "resourceConfig.instanceGroups[]": {
        "required": ("instanceType", "instanceCount", "instanceGroupName"),
    },
    "resourceConfig.instanceGroups[].instanceCount": {
        "minimum": 0,
        "maximum": 2147483647,
    },
    "resourceConfig.instanceGroups[].instanceGroupName": {
        "minLength": 1,
        "maxLength": 64,
        "pattern": "^.+$",
    },
    "resourceConfig.instanceGroups[].instanceType": {
        "maxLength": 64,
    },
    "resourceConfig.instancePlacementConfig.placementSpecifications": {
        "maxItems": 10,
    },
    "resourceConfig.instancePlacementConfig.placementSpecifications[]": {
        "required": ("instanceCount",),
    },
    "resourceConfig.instancePlacementConfig.placementSpecifications[].instanceCount": {
        "minimum": 0,
        "maximum": 2147483647,
    },
    "resourceConfig.instancePlacementConfig.placementSpecifications[].ultraServerID": {
        "maxLength": 256,
    },
    "resourceConfig.instancePreferences": {
        "minItems": 1,
        "maxItems": 5,
        "key": "instanceType",
    },
    "resourceConfig.instancePreferences[]": {
        "required": ("instanceType",),
    },
    "resourceConfig.instancePreferences[].instanceCount": {
        "minimum": 0,
        "maximum": 2147483647,
    },
    "resourceConfig.instancePreferences[].instanceType": {
        "maxLength": 64,
    },
    "resourceConfig.instancePreferences[].trainingPlanARNs": {
        "minItems": 1,
        "maxItems": 1,
    },
    "resourceConfig.instancePreferences[].trainingPlanARNs[]": {
        "minLength": 50,
        "maxLength": 2048,
        "pattern": "^arn:aws[a-z\\-]*:sagemaker:[a-z0-9\\-]*:[0-9]{12}:training-plan/.*$",
    },
    "resourceConfig.instanceType": {
        "maxLength": 64,
    },
    "resourceConfig.keepAlivePeriodInSeconds": {
        "minimum": 0,
        "maximum": 21600,
    },
    "resourceConfig.trainingPlanARN": {
        "minLength": 50,
        "maxLength": 2048,
        "pattern": "^arn:aws[a-z\\-]*:sagemaker:[a-z0-9\\-]*:[0-9]{12}:training-plan/.*$",
    },
    "resourceConfig.volumeKMSKeyID": {
        "maxLength": 2048,
        "pattern": "^[a-zA-Z0-9:/_-]*$",
    },
    "resourceConfig.volumeSizeInGB": {
        "minimum": 0,
        "maximum": 2147483647,
    },
    "retryStrategy": {
        "required": ("maximumRetryAttempts",),
    },
    "retryStrategy.maximumRetryAttempts": {
        "minimum": 1,
        "maximum": 30,
    },
    "roleARN": {
        "minLength": 20,
        "maxLength": 2048,
        "pattern": "^arn:aws[a-z\\-]*:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+$",
    },
    "serverlessJobConfig": {
        "required": ("baseModelARN", "jobType"),
    },
    "serverlessJobConfig.baseModelARN": {
        "minLength": 1,
        "maxLength": 2048,
        "pattern": "^(arn:[a-z0-9-\\.]{1,63}:sagemaker:\\w+(?:-\\w+)+:(\\d{12}|aws):hub-content/)[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}/Model/[a-zA-Z0-9](-*[a-zA-Z0-9]){0,63}(/\\d{1,4}.\\d{1,4}.\\d{1,4})?$",
    },
    "serverlessJobConfig.customizationTechnique": {
        "maxLength": 64,
    },
    "serverlessJobConfig.evaluationType": {
        "maxLength": 64,
    },
    "serverlessJobConfig.evaluatorARN": {
        "maxLength": 2048,
        "pattern": "^.*$",
    },
    "serverlessJobConfig.jobType": {
        "maxLength": 64,
    },
    "serverlessJobConfig.peft": {
        "maxLength": 64,
    },
    "serverlessJobConfig.sequenceLength": {
        "minLength": 1,
        "maxLength": 50,
        "pattern": "^\\d+K$",
    },
    "stoppingCondition.maxPendingTimeInSeconds": {
        "minimum": 1800,
        "maximum": 2419200,
    },
    "stoppingCondition.maxRuntimeInSeconds": {
        "minimum": 1,
        "maximum": 2147483647,
    },
    "stoppingCondition.maxWaitTimeInSeconds": {
        "minimum": 1,
        "maximum": 2147483647,
    },
    "tags": {
        "maxItems": 46,
        "key": "key",
    },
    "tags[]": {
        "required": ("key",),
    },
    "tags[].key": {
        "minLength": 1,
        "maxLength": 128,
        "pattern": "(?u:([\\w \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000.:/=+\\-@]*))",
    },
    "tags[].value": {
        "maxLength": 256,
        "pattern": "(?u:([\\w \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000.:/=+\\-@]*))",
    },
    "tensorBoardOutputConfig": {
        "required": ("s3OutputPath",),
    },
    "tensorBoardOutputConfig.localPath": {
        "maxLength": 4096,
        "pattern": "^.*$",
    },
    "tensorBoardOutputConfig.s3OutputPath": {
        "maxLength": 1024,
        "pattern": "^(https|s3)://([^/]+)/?(.*)$",
    },
    "trainingJobName": {
        "minLength": 1,
        "maxLength": 63,
        "pattern": "^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$",
    },
    "vpcConfig": {
        "required": ("securityGroupIDs", "subnets"),
    },
    "vpcConfig.securityGroupIDs": {
        "minItems": 1,
        "maxItems": 5,
    },
    "vpcConfig.securityGroupIDs[]": {
        "maxLength": 32,
        "pattern": "^[-0-9a-zA-Z]+$",
    },
    "vpcConfig.subnets": {
        "minItems": 1,
        "maxItems": 16,
    },
    "vpcConfig.subnets[]": {
        "maxLength": 32,
        "pattern": "^[-0-9a-zA-Z]+$",
    },
}
"""Path below spec ([] items, .key and .value of a map) -> keyword -> bound."""
