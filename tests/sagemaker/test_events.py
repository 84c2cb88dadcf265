"""State-change events and their queue."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.sagemaker.program import Options
from tests.sagemaker.samples import minimal
from tests.sagemaker.stand_in import StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    """A stand-in with jobs of half a second."""
    with StandIn(Options(seconds=(0.5, 0.5))) as stand_in:
        yield stand_in


def drain(stand_in: StandIn, queue: str, seconds: float) -> list[dict[str, Any]]:
    """Events that arrive within this time, deleted from the queue."""
    client, events = stand_in.client("sqs"), []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        received = client.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in received.get("Messages", ()):
            events.append(json.loads(message["Body"]))
            client.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        if events and events[-1]["detail"]["SecondaryStatus"] in {"Completed", "Stopped"}:
            break
    return events


def test_every_change_becomes_an_event(stand_in: StandIn) -> None:
    queue = stand_in.create_queue()
    stand_in.send_events(queue)
    arn = stand_in.client().create_training_job(**minimal("job"), Tags=[{"Key": "a", "Value": "b"}])["TrainingJobArn"]
    events = drain(stand_in, queue, 20)
    path = ["Starting", "Pending", "Downloading", "Training", "Uploading", "Completed"]
    assert [event["detail"]["SecondaryStatus"] for event in events] == path
    last = events[-1]
    assert (last["resources"], last["detail"]["Tags"]) == ([arn], {"a": "b"})
    assert last["detail-type"] == "SageMaker Training Job State Change"
    described = stand_in.client().describe_training_job(TrainingJobName="job")
    ended = round(described["TrainingEndTime"].timestamp() * 1000)
    assert abs(last["detail"]["LastModifiedTime"] - ended) <= 1
    assert len(last["detail"]["SecondaryStatusTransitions"]) == 6


def test_a_stop_is_an_event_and_the_cancelled_end_is_none(stand_in: StandIn) -> None:
    queue = stand_in.create_queue()
    stand_in.plan(phases="Starting:1,Pending:1,Training:1,Completed", stop_seconds=2)
    stand_in.send_events(queue, delay=0.0)
    stand_in.create_job("job")
    time.sleep(0.01)  # two changes in one millisecond would be one event
    stand_in.stop_job("job")
    events = drain(stand_in, queue, 20)
    assert [event["detail"]["SecondaryStatus"] for event in events] == ["Starting", "Stopping", "Stopped"]


def test_events_may_be_duplicate_late_and_out_of_order(stand_in: StandIn) -> None:
    queue = stand_in.create_queue()
    stand_in.send_events(queue, twice=1.0, spread=0.5)
    for number in range(5):
        stand_in.create_job(f"job-{number}")
    client = stand_in.client("sqs")
    bodies = []
    while messages := client.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=2).get("Messages"):
        bodies += [json.loads(message["Body"]) for message in messages]
    assert len(bodies) == 5 * 6 * 2
    assert len({body["id"] for body in bodies}) == 30
    times = [body["detail"]["LastModifiedTime"] for body in bodies]
    assert times != sorted(times)


def test_a_message_becomes_visible_again_unless_it_is_deleted(sagemaker: StandIn) -> None:
    queue = sagemaker.create_queue()
    client = sagemaker.client("sqs")
    client.send_message_batch(
        QueueUrl=queue, Entries=[{"Id": "1", "MessageBody": "one"}, {"Id": "2", "MessageBody": "two"}]
    )
    first, second = client.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert "Messages" not in client.receive_message(QueueUrl=queue)
    entries = [{"Id": "1", "ReceiptHandle": first["ReceiptHandle"]}]
    assert client.delete_message_batch(QueueUrl=queue, Entries=entries)["Successful"] == [{"Id": "1"}]
    client.change_message_visibility(QueueUrl=queue, ReceiptHandle=second["ReceiptHandle"], VisibilityTimeout=0)
    (again,) = client.receive_message(QueueUrl=queue, MessageSystemAttributeNames=["All"])["Messages"]
    assert (again["Body"], again["Attributes"]["ApproximateReceiveCount"]) == ("two", "2")
    sagemaker.advance(31)
    assert len(client.receive_message(QueueUrl=queue)["Messages"]) == 1
    attributes = client.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert attributes["ApproximateNumberOfMessagesNotVisible"] == "1"
    client.purge_queue(QueueUrl=queue)
    sagemaker.advance(31)
    assert "Messages" not in client.receive_message(QueueUrl=queue)


def test_a_consumer_waits_for_the_first_message(sagemaker: StandIn) -> None:
    client, queue = sagemaker.client("sqs"), sagemaker.create_queue()
    before = time.monotonic()
    assert "Messages" not in client.receive_message(QueueUrl=queue, WaitTimeSeconds=1)
    assert time.monotonic() - before >= 1


def test_a_queue_may_be_deleted_or_forbidden(sagemaker: StandIn) -> None:
    client, queue = sagemaker.client("sqs"), sagemaker.create_queue()
    sagemaker.deny("sqs:ReceiveMessage", count=1)
    with pytest.raises(ClientError, match="AccessDenied"):
        client.receive_message(QueueUrl=queue)
    assert client.list_queues()["QueueUrls"] == [queue] == [client.get_queue_url(QueueName="events")["QueueUrl"]]
    client.delete_queue(QueueUrl=queue)
    with pytest.raises(client.exceptions.QueueDoesNotExist):
        client.receive_message(QueueUrl=queue)
    assert sagemaker.counts()["sqs:ReceiveMessage"] == 2
