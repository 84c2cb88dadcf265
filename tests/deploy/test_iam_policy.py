"""The IAM policies allow exactly the calls of the code, in every partition."""

from __future__ import annotations

import ast
import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from botocore import xform_name
from botocore.session import Session

from tests.deploy.iam import DEPLOY, PLACEHOLDER, POLICIES, Request, actions, allows, listed, read_statements
from trainingjob_operator import aws
from trainingjob_operator.logic import naming, operations

if TYPE_CHECKING:
    from collections.abc import Iterator

AWS = Path(str(files(aws)))
ACTIONS = {
    "AssumeRole": {"sts:AssumeRole"},
    "GetCallerIdentity": set(),  # requires no permission
    "ReceiveMessage": {"sqs:ReceiveMessage"},
    "DeleteMessageBatch": {"sqs:DeleteMessage"},  # a batch requires the action of the single call
}
"""Operations with another action than their own name and service."""
OF_SAGEMAKER = {"iam:PassRole", "kms:CreateGrant", "kms:DescribeKey"}
"""Checked by SageMaker for the role and key of CreateTrainingJob."""
BY_FETCHER = {"AssumeRoleCredentialFetcher": "AssumeRole"}
"""Operations called by botocore's own classes."""


def names_of_the_code() -> Iterator[str]:
    """Attributes and names used by the modules of aws/."""
    for module in AWS.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            match node:
                case ast.Attribute(attr=name) | ast.Name(id=name) | ast.Constant(value=str(name)):
                    yield name


def operations_of_the_code(service: str) -> set[str]:
    """Operations of a service's model used by the code as a botocore method or class."""
    methods = {xform_name(name): name for name in Session().get_service_model(service).operation_names}
    if service == "sts":
        methods |= BY_FETCHER
    return {methods[name] for name in names_of_the_code() if name in methods}


def test_the_sagemaker_operations_are_those_of_the_gateway() -> None:
    called = {
        getattr(operations, node.args[0].id)
        for node in ast.walk(ast.parse((AWS / "gateway.py").read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "_call"
        and isinstance(node.args[0], ast.Name)
    }
    assert called == operations.OPERATIONS.keys()


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_allows_the_actions_of_the_code_and_no_others(name: str) -> None:
    called = {f"sagemaker:{operation}" for operation in operations.OPERATIONS}
    for service in ("sts", "sqs"):
        found = operations_of_the_code(service)
        assert found, f"the code calls {service}"
        called |= {action for operation in found for action in ACTIONS[operation]}
    assert actions(read_statements(name)) == called | OF_SAGEMAKER


def test_the_code_has_clients_of_these_services_alone() -> None:
    services = set(Session().get_available_services())
    calls = [node for path in AWS.glob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    made = {
        node.args[0].value
        for node in calls
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"client", "create_client"}
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert made & services == made == {"sagemaker", "sqs", "sts"}


@pytest.mark.parametrize("name", POLICIES)
def test_only_listing_jobs_has_no_resource(name: str) -> None:
    for statement in read_statements(name):
        assert not [action for action in listed(statement["Action"]) if "*" in action]
        if "*" in listed(statement["Resource"]):
            assert statement["Action"] == "sagemaker:ListTrainingJobs", "the action has no resource type in IAM"


ENDPOINTS = json.loads((files("botocore") / "data/endpoints.json").read_text())["partitions"]


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("partition", ENDPOINTS, ids=lambda partition: partition["partition"])
def test_a_policy_works_in_every_partition(name: str, partition: dict[str, str]) -> None:
    statements = read_statements(name)
    region = min(partition["regions"])
    prefix = f"arn:{partition['partition']}"
    job = f"{prefix}:sagemaker:{region}:111122223333:training-job/x"
    own = {
        f"aws:{place}/{naming.TAG_CLUSTER}": PLACEHOLDER for place in ("RequestTag", "ResourceTag")
    }  # fmt: skip
    requests = [
        Request("sagemaker:CreateTrainingJob", job, own),
        Request("sagemaker:StopTrainingJob", job, own),
        Request(
            "iam:PassRole", f"{prefix}:iam::111122223333:role/x", {"iam:PassedToService": "sagemaker.amazonaws.com"}
        ),
        Request("sts:AssumeRole", f"{prefix}:iam::444455556666:role/trainingjob-operator"),
        Request("sqs:ReceiveMessage", f"{prefix}:sqs:{region}:111122223333:training-job-events"),
        Request(
            "kms:CreateGrant",
            f"{prefix}:kms:{region}:111122223333:key/x",
            {"kms:ViaService": f"sagemaker.{region}.{partition['dnsSuffix']}"},
        ),
    ]
    assert [request for request in requests if not allows(statements, request)] == []


OBJECT, CLUSTER = naming.TAG_UID, naming.TAG_CLUSTER
JOB = "arn:aws:sagemaker:eu-west-1:111122223333:training-job/x"
OWN = {f"aws:ResourceTag/{CLUSTER}": PLACEHOLDER}
OTHER = {f"aws:ResourceTag/{CLUSTER}": "another"}
MOVES: dict[str, Request] = {
    "stop another cluster's job": Request("sagemaker:StopTrainingJob", JOB, OTHER),
    "stop a job without tags": Request("sagemaker:StopTrainingJob", JOB),
    "update a job without tags": Request("sagemaker:UpdateTrainingJob", JOB),
    "tag a job as its own": Request("sagemaker:AddTags", JOB, {"aws:TagKeys": [CLUSTER]}),
    "tag another cluster's job": Request("sagemaker:AddTags", JOB, {**OTHER, "aws:TagKeys": ["team"]}),
    "tag its own job as another cluster's": Request("sagemaker:AddTags", JOB, {**OWN, "aws:TagKeys": [CLUSTER]}),
    "tag its own job as another object's": Request("sagemaker:AddTags", JOB, {**OWN, "aws:TagKeys": ["a", OBJECT]}),
    "remove the proof of its own job": Request("sagemaker:DeleteTags", JOB, {**OWN, "aws:TagKeys": [CLUSTER]}),
    "create a job as another cluster's": Request(
        "sagemaker:CreateTrainingJob", JOB, {f"aws:RequestTag/{CLUSTER}": "another"}
    ),
    "create a job without tags": Request("sagemaker:CreateTrainingJob", JOB),
}


@pytest.mark.parametrize("move", MOVES)
def test_the_narrow_policy_denies_calls_on_jobs_of_others(move: str) -> None:
    assert not allows(read_statements("iam-policy-own-jobs"), MOVES[move])
    assert allows(read_statements("iam-policy"), MOVES[move]), "the other policy allows it"


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("service", ["ec2.amazonaws.com", "lambda.amazonaws.com"])
def test_a_role_is_passed_to_no_other_service(name: str, service: str) -> None:
    role = "arn:aws:iam::111122223333:role/admin"
    assert not allows(read_statements(name), Request("iam:PassRole", role, {"iam:PassedToService": service}))
    assert not allows(read_statements(name), Request("iam:PassRole", role))


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("service", ["s3.eu-west-1.amazonaws.com", "notsagemaker.eu-west-1.amazonaws.com"])
def test_a_key_is_used_through_sagemaker_alone(name: str, service: str) -> None:
    key = "arn:aws:kms:eu-west-1:111122223333:key/x"
    assert not allows(read_statements(name), Request("kms:CreateGrant", key, {"kms:ViaService": service}))
    assert not allows(read_statements(name), Request("kms:CreateGrant", key))


def test_the_policies_differ_in_jobs_alone() -> None:
    common = [[each for each in read_statements(name) if "Jobs" not in each["Sid"]] for name in POLICIES]
    assert [each for each in common[1] if each["Sid"] != "TagAtCreation"] == common[0]


@pytest.mark.parametrize("name", POLICIES)
def test_create_is_allowed_on_the_training_plan_of_a_job(name: str) -> None:
    plans = next(each for each in read_statements(name) if each["Sid"] == "TrainingPlans")
    assert plans["Action"] == "sagemaker:CreateTrainingJob"
    assert [resource.split(":")[-1] for resource in plans["Resource"]] == ["training-plan/*", "reserved-capacity/*"]


def test_the_cluster_id_to_replace_is_in_the_narrow_policy_alone() -> None:
    counts = [(DEPLOY / f"{name}.json").read_text().count(PLACEHOLDER) for name in POLICIES]
    assert counts == [0, 2]
