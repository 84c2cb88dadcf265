"""The CloudFormation template of the event queue sends the operator's events and permits no other sender."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from trainingjob_operator.aws.event_queue import WAIT_SECONDS
from trainingjob_operator.logic.jobs.job_events import DETAIL_TYPE, SOURCE

DEPLOY = Path(__file__).parents[2] / "deploy"


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's functions, as pairs of function and argument."""


def read_function(_: yaml.SafeLoader, function: str, node: yaml.ScalarNode) -> tuple[str, str]:
    return function, node.value


Loader.add_multi_constructor("!", read_function)


@pytest.fixture
def template() -> dict[str, Any]:
    read: dict[str, Any] = yaml.load((DEPLOY / "event-queue.yaml").read_text(), Loader)
    return read


@pytest.fixture
def resources(template: dict[str, Any]) -> dict[str, Any]:
    return {name: resource["Properties"] for name, resource in template["Resources"].items()}


def test_the_rule_sends_exactly_the_events_of_the_operator(resources: dict[str, Any]) -> None:
    assert resources["Rule"]["EventPattern"] == {"source": [SOURCE], "detail-type": [DETAIL_TYPE]}
    [target] = resources["Rule"]["Targets"]
    assert target["Arn"] == ("GetAtt", "Queue.Arn")
    assert not {"Input", "InputPath", "InputTransformer"} & target.keys(), "the operator reads complete events"


def test_only_the_rule_may_send_messages(resources: dict[str, Any]) -> None:
    [statement] = resources["Deliveries"]["PolicyDocument"]["Statement"]
    assert (statement["Principal"], statement["Action"]) == ({"Service": "events.amazonaws.com"}, "sqs:SendMessage")
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": ("GetAtt", "Rule.Arn")}}


def test_queue_settings_are_within_the_limits_of_sqs(resources: dict[str, Any]) -> None:
    queue, dead = resources["Queue"], resources["DeadLetters"]
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == ("GetAtt", "DeadLetters.Arn")
    assert queue["ReceiveMessageWaitTimeSeconds"] == WAIT_SECONDS <= 20
    assert 60 <= queue["MessageRetentionPeriod"] < dead["MessageRetentionPeriod"] <= 14 * 86400


def test_the_iam_policy_names_the_queue_of_the_template(template: dict[str, Any]) -> None:
    policy = json.loads((DEPLOY / "iam-policy.json").read_text())
    [statement] = [each for each in policy["Statement"] if each["Sid"] == "EventQueue"]
    assert statement["Resource"].endswith(f":{template['Parameters']['QueueName']['Default']}")
