"""The IAM policies in deploy/ allow each call of whole lives."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.deploy.iam import PLACEHOLDER, POLICIES, Request, actions, allows, read_statements
from tests.e2e.objects import training_job
from tests.e2e.operator_process import await_true

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import NewOperator
    from tests.e2e.objects import Jobs
    from tests.sagemaker.stand_in import StandIn

OTHER = "444455556666"
ROLE = f"arn:aws:iam::{OTHER}:role/trainingjob-operator"
BATCH = {"sqs:DeleteMessageBatch": "sqs:DeleteMessage"}


def requests(calls: list[dict[str, Any]], queue: str) -> Iterator[Request]:
    """IAM requests for the recorded calls, which are all calls that the stand-in received."""
    tags: dict[str, str] = {}
    for call in calls:
        operation, asked = call["operation"], call["request"] or {}
        if ":" in operation:
            if operation != "sts:GetCallerIdentity":  # needs no permission
                resource = call["job"] if operation.startswith("sts:") else queue
                yield Request(BATCH.get(operation, operation), resource)
            continue
        name = call["job"].rpartition("/")[2]
        job = f"arn:aws:sagemaker:{call['region']}:{call['account']}:training-job/{name}"
        action = f"sagemaker:{operation}"
        if operation == "CreateTrainingJob":
            tags = {tag["Key"]: tag["Value"] for tag in asked["Tags"]}
            given = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
            yield Request(action, job, {**given, "aws:TagKeys": list(tags)})
            yield Request("sagemaker:AddTags", job, {**given, "sagemaker:TaggingAction": operation})
            yield Request("iam:PassRole", asked["RoleArn"], {"iam:PassedToService": "sagemaker.amazonaws.com"})
        else:
            had = {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
            keys = asked.get("TagKeys") or [tag["Key"] for tag in asked.get("Tags", ())]
            yield Request(action, job, {**had, **({"aws:TagKeys": keys} if keys else {})})


@pytest.fixture
def calls(jobs: Jobs, sagemaker: StandIn, namespace: str, new_operator: NewOperator) -> list[dict[str, Any]]:
    """Calls of two lives, one in another account: create, update, tags, stop, with an event queue."""
    queue = sagemaker.create_queue()
    sagemaker.send_events(queue)
    roles = {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": "ack-role-account-map"},
        "data": {OTHER: ROLE},
    }
    jobs.kubectl("apply", "-f", "-", input=json.dumps(roles))
    sagemaker.plan(phases="Starting:0.3,Training:inf")
    flags = (f"--event-queue-url={queue}", f"--system-namespace={namespace}", f"--cluster-id={PLACEHOLDER}")
    new_operator(*flags).start()
    for name in ("own", "other"):
        if name == "other":
            jobs.kubectl("annotate", "namespace", namespace, f"services.k8s.aws/owner-account-id={OTHER}")
        jobs.apply(
            training_job(name, tags=[{"key": "old", "value": "1"}], remoteDebugConfig={"enableRemoteDebug": True})
        )
        jobs.wait(name, "trains", lambda body: body["status"].get("secondaryStatus") == "Training")
        spec = {"tags": [{"key": "new", "value": "2"}], "remoteDebugConfig": {"enableRemoteDebug": False}}
        jobs.kubectl("patch", "trainingjob", name, "--type=merge", "-p", json.dumps({"spec": spec}))
        for operation in ("UpdateTrainingJob", "AddTags", "DeleteTags"):
            await_true(operation, partial(sagemaker.effects, operation, job=name))
        jobs.delete(name)
        jobs.wait_gone(name)
    await_true("a message is deleted", lambda: sagemaker.calls("sqs:DeleteMessageBatch"))
    return sagemaker.calls()


def test_each_call_of_whole_lives_is_allowed(calls: list[dict[str, Any]]) -> None:
    queue = "arn:aws:sqs:us-east-1:123456789012:events"
    asked = [each for each in requests(calls, queue) if each.action not in {"sqs:CreateQueue", "sqs:SendMessage"}]
    for name in POLICIES:
        statements = read_statements(name, EventQueue=queue, OtherAccounts=ROLE)
        assert [each for each in asked if not allows(statements, each)] == []
        assert actions(statements) - {each.action for each in asked} <= {
            *("kms:CreateGrant", "kms:DescribeKey"),  # of jobs with keys
            "sagemaker:ListTags",  # after a restart, and on clashes
        }
