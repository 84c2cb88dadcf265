"""The event queue over HTTP: long polls, deletions, errors, and independence from other calls."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from tests.aws.conftest import REGION, Bench, RawServer, Request, answer_json
from trainingjob_operator.aws.event_queue import BATCH, WAIT_SECONDS, EventQueue, Message, find_region
from trainingjob_operator.aws.gateway import Target
from trainingjob_operator.leadership import NotLeading
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tests.sagemaker.stand_in import StandIn

ACCOUNT = "123456789012"


@pytest.fixture
def queue(sagemaker: StandIn, bench: Bench) -> EventQueue:
    return bench.gateways().event_queue(sagemaker.create_queue())


def send(sagemaker: StandIn, *bodies: str) -> None:
    client = sagemaker.client("sqs")
    for body in bodies:
        client.send_message(QueueUrl=client.get_queue_url(QueueName="events")["QueueUrl"], MessageBody=body)


async def failure_of(call: Awaitable[object]) -> AwsError:
    with pytest.raises(AwsError) as raised:
        await call
    return raised.value


async def test_messages_are_received_in_batches_until_their_deletion(
    queue: EventQueue, sagemaker: StandIn, bench: Bench
) -> None:
    send(sagemaker, *(str(number) for number in range(BATCH + 2)))
    first, second = await queue.receive(), await queue.receive()
    assert [len(first), len(second)] == [BATCH, 2]
    assert {message.body for message in first + second} == {str(number) for number in range(BATCH + 2)}
    await queue.delete(first)
    sagemaker.advance(60)  # undeleted messages are received again
    assert {message.body for message in await queue.receive()} == {message.body for message in second}
    assert bench.observed == [], "calls of SQS are not observed as calls of SageMaker"


async def test_a_long_poll_waits_for_the_first_message(queue: EventQueue, sagemaker: StandIn) -> None:
    waiting = asyncio.create_task(queue.receive())
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await asyncio.to_thread(send, sagemaker, "at last")
    sent = time.monotonic()
    assert [message.body for message in await waiting] == ["at last"]
    assert time.monotonic() - sent < WAIT_SECONDS / 2


async def test_a_long_poll_uses_no_thread_of_calls_to_sagemaker(sagemaker: StandIn, bench: Bench) -> None:
    gateways = bench.gateways(threads=1)
    queue = gateways.event_queue(sagemaker.create_queue())
    polls = [asyncio.create_task(queue.receive()) for _ in range(3)]
    await asyncio.sleep(0.1)
    gateway = gateways.get(Target(ACCOUNT, REGION, endpoint_url=sagemaker.url))
    async with asyncio.timeout(WAIT_SECONDS / 2):
        assert await gateway.list_page() == ([], None)
    for poll in polls:
        assert not poll.done()
        poll.cancel()


async def test_a_deleted_queue_and_a_missing_permission_are_transient_errors(
    queue: EventQueue, sagemaker: StandIn
) -> None:
    sagemaker.deny("sqs:ReceiveMessage", count=1)
    assert (await failure_of(queue.receive())).kind is ErrorClass.DENIED
    client = sagemaker.client("sqs")
    client.delete_queue(QueueUrl=client.get_queue_url(QueueName="events")["QueueUrl"])
    gone = await failure_of(queue.receive())
    assert (gone.operation, gone.message) == ("ReceiveMessage", "The specified queue does not exist.")
    sagemaker.create_queue()
    send(sagemaker, "again")
    assert [message.body for message in await queue.receive()] == ["again"]


async def test_a_standby_deletes_no_message(queue: EventQueue, sagemaker: StandIn, bench: Bench) -> None:
    send(sagemaker, "one")
    messages = await queue.receive()
    bench.stop_with = NotLeading()
    with pytest.raises(NotLeading):
        await queue.delete(messages)
    assert "sqs:DeleteMessageBatch" not in sagemaker.counts()
    assert bench.fenced == [10]


@pytest.mark.parametrize("answer", [{"Messages": [{"Body": "no receipt"}]}, {"Messages": 1}, {"Messages": ["text"]}])
async def test_an_answer_of_another_shape_is_unreadable(bench: Bench, answer: object) -> None:
    async def behave(_: Request) -> tuple[int, bytes]:
        return answer_json(answer)

    async with RawServer(behave) as server:
        queue = bench.gateways().event_queue(f"{server.url}/{ACCOUNT}/events")
        assert (await failure_of(queue.receive())).kind is ErrorClass.RETRY


async def test_calls_are_sent_to_the_queues_host(bench: Bench) -> None:
    async def behave(_: Request) -> tuple[int, bytes]:
        return answer_json({})

    async with RawServer(behave) as server:
        url = f"{server.url}/{ACCOUNT}/events"
        queue = bench.gateways().event_queue(url)
        assert await queue.receive() == []
        await queue.delete([Message("", "receipt")])
    polled, deleted = server.requests
    assert f"/{REGION}/sqs/" in polled.headers["authorization"]
    assert url.encode() in polled.body
    assert b'"ReceiptHandle": "receipt"' in deleted.body


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("sqs.eu-west-1.amazonaws.com", "eu-west-1"),
        ("sqs.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("sqs-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("sqs.us-east-2.api.aws", "us-east-2"),
        ("vpce-0a1b-2c3d.sqs.us-east-1.vpce.amazonaws.com", "us-east-1"),
        ("us-west-2.queue.amazonaws.com", "us-west-2"),
        ("127.0.0.1", None),
        ("queue.example.com", None),
    ],
)
def test_the_region_is_read_from_the_host(host: str, region: str | None) -> None:
    assert find_region(host) == region
