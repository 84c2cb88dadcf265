"""The gateway over HTTP: every call and its errors, the fence, time-outs, and isolation of targets."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.aws.conftest import REGION, Bench, RawServer, Request, answer_json, hanging_server, pass_time
from tests.sagemaker.service import REFUSALS
from trainingjob_operator.aws.budget import SETTLING
from trainingjob_operator.aws.credentials import Timeouts
from trainingjob_operator.aws.event_queue import THREADS as QUEUE_THREADS
from trainingjob_operator.aws.gateway import CallTimeouts, Gateway, Target
from trainingjob_operator.aws.lanes import DARK_AFTER, PROBE_FIRST, PROBE_LIMIT, Busy
from trainingjob_operator.leadership import NotLeading
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.sagemaker.stand_in import StandIn

ACCOUNT = "123456789012"
ALL_THREADS_OF_ONE = 1 + QUEUE_THREADS
"""Total threads of gateways with one worker thread."""
SHORT = CallTimeouts(reading=Timeouts(0.5, 0.5), mutating=Timeouts(0.5, 0.5))
PATIENCE = CallTimeouts().patience
DEADLINE = sum(CallTimeouts().mutating)
"""Time-out of a mutating call, in seconds."""


def request_named(name: str) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/training",
        "AlgorithmSpecification": {
            "TrainingImage": f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/image:1",
            "TrainingInputMode": "File",
        },
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "Tags": [{"Key": "team", "Value": "red"}],
    }


def gateway_to(url: str, bench: Bench, **settings: Any) -> Gateway:
    return bench.gateways(**settings).get(Target(ACCOUNT, REGION, endpoint_url=url))


async def failure_of(call: Awaitable[object]) -> AwsError:
    with pytest.raises(AwsError) as raised:
        await call
    return raised.value


# -- calls and answers ------------------------------------------------------------------------------------


async def test_a_job_is_created_described_listed_stopped_and_tagged(sagemaker: StandIn, bench: Bench) -> None:
    gateway = gateway_to(sagemaker.url, bench)
    arn = await gateway.create(request_named("first"))
    assert arn == f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/first"

    described = await gateway.describe("first")
    assert (described["TrainingJobArn"], described["TrainingJobStatus"]) == (arn, "InProgress")
    assert "ResponseMetadata" not in described
    assert described["CreationTime"].tzinfo is UTC
    assert described["SecondaryStatusTransitions"][0]["StartTime"].tzinfo is UTC
    assert abs(described["CreationTime"] - datetime.now(UTC)) < timedelta(minutes=1)

    await gateway.add_tags(arn, {"cost": "7", "team": "blue"})
    await gateway.delete_tags(arn, ["cost"])
    assert await gateway.list_tags(arn) == {"team": "blue"}

    await gateway.stop("first")
    assert (await gateway.describe("first"))["TrainingJobStatus"] == "Stopping"
    assert [operation for operation, error in bench.observed if error is None] == [
        "CreateTrainingJob",
        "DescribeTrainingJob",
        "AddTags",
        "DeleteTags",
        "ListTags",
        "StopTrainingJob",
        "DescribeTrainingJob",
    ]


async def test_pages_follow_each_other_by_their_tokens(sagemaker: StandIn, bench: Bench) -> None:
    sagemaker.create_foreign_jobs(5, prefix="many")
    gateway = gateway_to(sagemaker.url, bench)
    names: list[str] = []
    token: str | None = None
    while True:
        more = {"NextToken": token} if token else {}
        summaries, token = await gateway.list_page(MaxResults=2, SortBy="CreationTime", **more)
        names += [summary["TrainingJobName"] for summary in summaries]
        assert len(summaries) <= 2
        if token is None:
            break
    assert len(set(names)) == 5


async def test_an_update_is_sent(sagemaker: StandIn, bench: Bench) -> None:
    gateway = gateway_to(sagemaker.url, bench)
    await gateway.create(request_named("updated"))
    sagemaker.enter("updated", "Training")
    await gateway.update({"TrainingJobName": "updated", "RemoteDebugConfig": {"EnableRemoteDebug": True}})
    assert (await gateway.describe("updated"))["RemoteDebugConfig"] == {"EnableRemoteDebug": True}


async def test_all_pages_of_tags_are_read(bench: Bench) -> None:
    async def behave(request: Request) -> tuple[int, bytes]:
        if b"NextToken" in request.body:
            return answer_json({"Tags": [{"Key": "b", "Value": "2"}]})
        return answer_json({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "c"}], "NextToken": "more"})

    async with RawServer(behave) as server:
        assert await gateway_to(server.url, bench).list_tags("arn") == {"a": "1", "b": "2", "c": ""}


async def test_requests_name_the_operator_and_its_version(bench: Bench) -> None:
    async def behave(_: Request) -> tuple[int, bytes]:
        return answer_json({"TrainingJobSummaries": []})

    async with RawServer(behave) as server:
        await gateway_to(server.url, bench).list_page()
        assert server.requests[0].headers["user-agent"].endswith("trainingjob-operator/1.2.3")


# -- errors -----------------------------------------------------------------------------------------------

FAULTS = [
    ({"kind": "throttle"}, "ThrottlingException", ErrorClass.THROTTLED, True),
    ({"kind": "error", "status": 500}, "InternalFailure", ErrorClass.RETRY, False),
    ({"kind": "error", "code": "ServiceUnavailable", "status": 503}, "ServiceUnavailable", ErrorClass.RETRY, False),
    (
        {"kind": "error", "code": "AccessDeniedException", "status": 400},
        "AccessDeniedException",
        ErrorClass.DENIED,
        True,
    ),
    ({"kind": "error", "code": "ResourceInUse", "status": 400}, "ResourceInUse", ErrorClass.IN_USE, True),
    ({"kind": "drop"}, "ConnectionClosedError", ErrorClass.RETRY, False),
    ({"kind": "drop", "after": True}, "ConnectionClosedError", ErrorClass.RETRY, False),
    ({"kind": "garbage"}, "UnreadableAnswer", ErrorClass.RETRY, False),
    ({"kind": "garbage", "after": True}, "UnreadableAnswer", ErrorClass.RETRY, False),
]


@pytest.mark.parametrize(("fault", "code", "kind", "definite"), FAULTS)
async def test_the_error_of_a_failed_create_shows_class_and_whether_it_is_definite(
    sagemaker: StandIn, bench: Bench, fault: dict[str, Any], code: str, kind: ErrorClass, definite: bool
) -> None:
    sagemaker.fault(**fault, operation="CreateTrainingJob", count=1)
    gateway = gateway_to(sagemaker.url, bench)
    failure = await failure_of(gateway.create(request_named("doomed")))
    assert (failure.operation, failure.code) == ("CreateTrainingJob", code)
    assert (failure.kind, failure.definite) == (kind, definite)
    assert len(sagemaker.calls("CreateTrainingJob")) == 1
    assert (sagemaker.job("doomed") is not None) == fault.get("after", False)
    assert bench.observed == [("CreateTrainingJob", failure)]


async def test_a_missing_job_is_not_found(sagemaker: StandIn, bench: Bench) -> None:
    gateway = gateway_to(sagemaker.url, bench)
    for call in (gateway.describe("nobody"), gateway.stop("nobody")):
        assert (await failure_of(call)).kind is ErrorClass.NOT_FOUND


async def test_the_name_of_an_existing_job_is_in_use(sagemaker: StandIn, bench: Bench) -> None:
    sagemaker.create_job("taken")
    gateway = gateway_to(sagemaker.url, bench)
    assert (await failure_of(gateway.create(request_named("taken")))).kind is ErrorClass.IN_USE


async def test_stopping_an_ended_job_is_a_conflict(sagemaker: StandIn, bench: Bench) -> None:
    sagemaker.create_job("ended")
    sagemaker.complete_job("ended")
    failure = await failure_of(gateway_to(sagemaker.url, bench).stop("ended"))
    assert (failure.kind, failure.definite) == (ErrorClass.CONFLICT, True)


@pytest.mark.parametrize("reason", REFUSALS)
async def test_a_create_with_a_possibly_transient_error_is_doubtful_and_others_are_refused(
    sagemaker: StandIn, bench: Bench, reason: str
) -> None:
    sagemaker.refuse(reason, count=1)
    failure = await failure_of(gateway_to(sagemaker.url, bench).create(request_named("early")))
    heals = reason in {"role", "data", "image"}
    assert (failure.kind, failure.definite) == (ErrorClass.DOUBTFUL if heals else ErrorClass.REFUSED, True)


async def test_a_request_rejected_by_botocore_is_never_sent(sagemaker: StandIn, bench: Bench) -> None:
    request = {**request_named("wrong"), "Environment": {"KEY": {"hush": 1}}}
    failure = await failure_of(gateway_to(sagemaker.url, bench).create(request))
    assert (failure.kind, failure.definite) == (ErrorClass.REFUSED, True)
    assert "Environment.KEY" in failure.message
    assert "hush" not in failure.message
    assert sagemaker.calls() == []
    assert bench.observed == []


UNREADABLE = [
    (200, b"<html>maintenance</html>"),
    (200, b""),
    (200, b"null"),
    (200, b"[]"),
    (200, b'{"TrainingJobArn": "arn", "TrainingJobStatus": null}'),
    (200, b'{"TrainingJobArn": "arn", "TrainingJobStatus": "InProgress", "CreationTime": "hush"}'),
    (200, b'{"TrainingJobArn": "arn", "TrainingJobStatus": "InProgress", "CreationTime": {}}'),
    (200, b'{"TrainingJobArn": "arn", "TrainingJobStatus": "InProgress", "SecondaryStatusTransitions": "hush"}'),
    (403, b"<html>hush</html>"),
    (400, b""),
    (502, b"<html>hush</html>"),
    (302, b""),
]


async def test_an_unreadable_answer_is_retried_and_not_quoted(bench: Bench) -> None:
    answers = iter(UNREADABLE)

    async def behave(_: Request) -> tuple[int, bytes]:
        return next(answers)

    async with RawServer(behave) as server:
        gateway = gateway_to(server.url, bench)
        for status, body in UNREADABLE:
            failure = await failure_of(gateway.describe("job"))
            expected = ("UnreadableAnswer", ErrorClass.RETRY, False)
            assert (failure.code, failure.kind, failure.definite) == expected, (status, body)
            assert "hush" not in failure.message


WRONG_TYPES: list[tuple[Callable[[Gateway], Awaitable[object]], str]] = [
    (lambda gateway: gateway.create(request_named("job")), '{"TrainingJobArn": 5}'),
    (lambda gateway: gateway.create(request_named("job")), '{"TrainingJobArn": ""}'),
    (lambda gateway: gateway.list_page(), '{"TrainingJobSummaries": [{"TrainingJobName": "job"}]}'),
    (lambda gateway: gateway.list_page(), '{"TrainingJobSummaries": ["job"]}'),
    (lambda gateway: gateway.update({"TrainingJobName": "job"}), "no JSON"),
    (lambda gateway: gateway.list_page(), '{"TrainingJobSummaries": [], "NextToken": 7}'),
    (lambda gateway: gateway.list_tags("arn"), '{"Tags": [{"Value": "red"}]}'),
    (lambda gateway: gateway.list_tags("arn"), '{"Tags": {"team": "red"}}'),
]


async def test_an_answer_with_wrong_types_is_unreadable(bench: Bench) -> None:
    answers = iter(WRONG_TYPES)

    async def behave(_: Request) -> tuple[int, bytes]:
        return 200, next(answers)[1].encode()

    async with RawServer(behave) as server:
        gateway = gateway_to(server.url, bench)
        for call, body in WRONG_TYPES:
            assert (await failure_of(call(gateway))).code == "UnreadableAnswer", body


async def test_a_failed_connection_is_a_definite_failure(bench: Bench) -> None:
    async with hanging_server() as server:
        closed = server.url
    failure = await failure_of(gateway_to(closed, bench).stop("job"))
    assert (failure.code, failure.kind, failure.definite) == ("EndpointConnectionError", ErrorClass.RETRY, True)


async def test_an_unknown_region_is_refused(bench: Bench) -> None:
    gateway = bench.gateways().get(Target(ACCOUNT, "no region"))
    failure = await failure_of(gateway.describe("job"))
    assert (failure.kind, failure.definite) == (ErrorClass.REFUSED, True)


async def test_an_invalid_region_is_named_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolve_no_host)
    failure = await failure_of(bench.gateways().get(Target(ACCOUNT, "us-esat-1")).stop("job"))
    assert (failure.code, failure.kind, failure.definite) == ("RegionNotFound", ErrorClass.REGION, True)
    assert "us-esat-1" in failure.message
    assert "api.sagemaker.us-esat-1.amazonaws.com" in failure.message


async def test_an_unresolved_host_of_a_known_region_is_a_transient_error(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolve_no_host)
    for target in (Target(ACCOUNT, "eu-west-1"), Target(ACCOUNT, "us-esat-1", endpoint_url="http://vpce.example")):
        failure = await failure_of(bench.gateways().get(target).stop("job"))
        assert (failure.code, failure.kind, failure.definite) == ("NameNotResolved", ErrorClass.RETRY, True)
        names_region = "SageMaker has no endpoint in region eu-west-1: correct" in failure.message
        assert names_region == (target.endpoint_url is None)


def resolve_no_host(*_: object, **__: object) -> None:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


# -- the fence --------------------------------------------------------------------------------------------

MUTATING: list[Callable[[Gateway], Awaitable[object]]] = [
    lambda gateway: gateway.create(request_named("job")),
    lambda gateway: gateway.stop("job"),
    lambda gateway: gateway.update({"TrainingJobName": "job"}),
    lambda gateway: gateway.add_tags("arn", {"key": "value"}),
    lambda gateway: gateway.delete_tags("arn", ["key"]),
]


@pytest.mark.parametrize("call", MUTATING)
async def test_without_leadership_no_mutating_call_is_sent(
    sagemaker: StandIn, bench: Bench, call: Callable[[Gateway], Awaitable[object]]
) -> None:
    bench.stop_with = NotLeading()
    with pytest.raises(NotLeading):
        await call(gateway_to(sagemaker.url, bench))
    assert bench.fenced == [10]
    assert sagemaker.calls() == []
    assert bench.observed == []


async def test_reads_require_no_leadership(sagemaker: StandIn, bench: Bench) -> None:
    bench.stop_with = NotLeading()
    arn = sagemaker.create_job("job")
    gateway = gateway_to(sagemaker.url, bench)
    await gateway.describe("job")
    await gateway.list_page()
    await gateway.list_tags(arn)
    assert bench.fenced == []


# -- budgets ----------------------------------------------------------------------------------------------


async def test_throttles_slow_the_budget_of_their_operation_only(sagemaker: StandIn, bench: Bench) -> None:
    budgets = bench.budgets.of(ACCOUNT, REGION)
    sagemaker.throttle("DescribeTrainingJob", count=1)
    await failure_of(gateway_to(sagemaker.url, bench).describe("job"))
    assert (budgets.describe.rate, budgets.list_page.rate, budgets.create.rate) == (2.5, 1, 1)


async def test_successes_raise_a_budget_with_waiting_callers(sagemaker: StandIn, bench: Bench) -> None:
    budget = bench.budgets.of(ACCOUNT, REGION).describe
    sagemaker.create_job("job")
    bench.clock.now += SETTLING
    while budget.claim("waiting") == 0.0:
        pass
    await gateway_to(sagemaker.url, bench).describe("job")
    assert budget.rate > 5


# -- time-outs --------------------------------------------------------------------------------------------


async def test_a_missing_answer_is_not_a_definite_failure(bench: Bench) -> None:
    async with hanging_server() as server:
        failure = await failure_of(gateway_to(server.url, bench, timeouts=SHORT).stop("job"))
    assert (failure.code, failure.kind, failure.definite) == ("ReadTimeoutError", ErrorClass.RETRY, False)


async def test_a_slow_answer_ends_at_the_deadline(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def behave(_: Request) -> tuple[int, bytes]:
        return 200, b"{}"

    async with RawServer(behave, pause_seconds=0.1) as server:
        gateway = gateway_to(server.url, bench, threads=1)
        for count in (1, 2, 3):  # more calls than threads: each call releases its thread
            call = asyncio.create_task(failure_of(gateway.stop("job")))
            await server.received(count)
            pass_time(monkeypatch, count * DEADLINE)
            failure = await call
            assert (failure.code, failure.definite) == ("DeadlineExceeded", False)
        assert len(server.requests) == 3


async def test_a_slow_tls_handshake_ends_at_the_deadline(bench: Bench) -> None:
    begun: list[asyncio.Task[Any] | None] = []

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.append(asyncio.current_task())
        writer.write(b"\x16\x03\x03\x7f\xff")  # one byte at a time of a record of 32 kB
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                await writer.drain()
                await asyncio.sleep(0.1)
                writer.write(b"\x02")
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        gateway = gateway_to(url, bench, threads=1, timeouts=SHORT)
        for _ in range(3):
            assert (await failure_of(gateway.stop("job"))).code in ("DeadlineExceeded", "SSLError")
        assert len(begun) == 3
        await asyncio.gather(*filter(None, begun))  # each ends with the client's connection


async def test_a_call_without_a_free_thread_in_time_is_never_sent(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hanging_server() as server:
        gateways = bench.gateways(threads=1, timeouts=CallTimeouts(reading=Timeouts(60, 60)))
        gateway = gateways.get(Target(ACCOUNT, REGION, endpoint_url=server.url))
        blocking = [asyncio.create_task(failure_of(gateway.describe("first"))) for _ in range(ALL_THREADS_OF_ONE)]
        await server.received(len(blocking))
        other = gateways.get(Target(ACCOUNT, "eu-west-1", endpoint_url=server.url))
        call = asyncio.create_task(failure_of(other.stop("second")))
        await asyncio.sleep(0)  # the call waits for a thread
        pass_time(monkeypatch, PATIENCE)
        failure = await call
        assert (failure.code, failure.definite) == ("NotSent", True)
    await asyncio.gather(*blocking)
    await asyncio.sleep(0.1)
    assert {request.operation for request in server.requests} == {"DescribeTrainingJob"}


async def test_a_call_cancelled_before_its_start_is_never_sent(bench: Bench) -> None:
    async with hanging_server() as server:
        gateways = bench.gateways(threads=1, timeouts=CallTimeouts(reading=Timeouts(5, 5)))
        gateway = gateways.get(Target(ACCOUNT, REGION, endpoint_url=server.url))
        blocking = [asyncio.create_task(failure_of(gateway.describe("first"))) for _ in range(ALL_THREADS_OF_ONE)]
        await server.received(len(blocking))
        other = gateways.get(Target(ACCOUNT, "eu-west-1", endpoint_url=server.url))
        unwanted = asyncio.create_task(other.stop("second"))
        await asyncio.sleep(0.05)
        unwanted.cancel()
        with pytest.raises(asyncio.CancelledError):
            await unwanted
        for call in blocking:
            call.cancel()
        await asyncio.gather(*blocking, return_exceptions=True)
        await asyncio.sleep(0.1)
        assert {request.operation for request in server.requests} == {"DescribeTrainingJob"}


async def test_a_target_without_answers_leaves_threads_and_workers_to_others(sagemaker: StandIn, bench: Bench) -> None:
    sagemaker.create_job("job")
    async with hanging_server() as server:
        gateways = bench.gateways()
        hung = gateways.get(Target("111122223333", REGION, endpoint_url=server.url))
        calls = [asyncio.create_task(hung.describe(str(number))) for number in range(20)]
        await server.received(3)
        put_off, under_way = await asyncio.wait(calls, timeout=0.1)
        assert len(under_way) == len(server.requests) == 3
        assert {type(call.exception()) for call in put_off} == {Busy}
        well = gateways.get(Target(ACCOUNT, REGION, endpoint_url=sagemaker.url))
        await well.describe("job")
        await asyncio.gather(*(well.describe("job") for _ in range(6)))
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def test_a_target_without_answers_gets_only_a_probe(bench: Bench) -> None:
    answers: list[bytes] = []

    async def behave(_: Request) -> tuple[int, bytes]:
        while not answers:  # a server without answers
            await asyncio.sleep(0.01)
        return 200, answers[0]

    async with RawServer(behave) as server:
        gateway = gateway_to(server.url, bench, timeouts=CallTimeouts(Timeouts(0.5, 0.5), Timeouts(0.5, 0.5)))
        for _ in range(DARK_AFTER):
            assert (await failure_of(gateway.stop("job"))).code in ("ReadTimeoutError", "DeadlineExceeded")
        failure = await failure_of(gateway.stop("job"))
        assert (failure.code, failure.kind, failure.definite) == ("NotAnswering", ErrorClass.RETRY, True)
        assert server.url in failure.message
        assert REGION in failure.message
        assert len(server.requests) == DARK_AFTER

        bench.clock.now += PROBE_FIRST
        outcomes = await asyncio.gather(*(gateway.stop("job") for _ in range(5)), return_exceptions=True)
        assert [getattr(outcome, "code", None) for outcome in outcomes[1:]] == ["NotAnswering"] * 4
        assert len(server.requests) == DARK_AFTER + 1

        answers.append(b"{}")
        bench.clock.now += PROBE_LIMIT
        await gateway.stop("job")
        await asyncio.gather(*(gateway.stop("job") for _ in range(5)))


async def test_a_call_with_late_credentials_is_never_sent(
    sagemaker: StandIn, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    released = asyncio.Event()

    async def agent(_: Request) -> tuple[int, bytes]:
        await released.wait()
        keys = {"AccessKeyId": "AKIA", "SecretAccessKey": "secret", "Token": "t"}
        return answer_json({**keys, "Expiration": "2999-01-01T00:00:00Z"})

    async with RawServer(agent) as server:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}/credentials")
        gateway = gateway_to(sagemaker.url, bench, threads=2)
        call = asyncio.create_task(failure_of(gateway.stop("job")))
        await server.received()
        pass_time(monkeypatch, PATIENCE)
        failure = await call
        assert (failure.code, failure.definite) == ("NotSent", True)
        released.set()
        await failure_of(gateway.describe("job"))  # completes when the thread is free
    assert [call["operation"] for call in sagemaker.calls()] == ["DescribeTrainingJob"]
    assert bench.fenced == []


async def test_calls_after_closing_are_definite_failures(sagemaker: StandIn, bench: Bench) -> None:
    gateways = bench.gateways()
    gateways.close()
    gateway = gateways.get(Target(ACCOUNT, REGION, endpoint_url=sagemaker.url))
    assert (await failure_of(gateway.stop("job"))).definite
    assert sagemaker.calls() == []


HANG = """
    import asyncio, signal, sys, time
    from trainingjob_operator.aws.budget import Budgets
    from trainingjob_operator.aws.credentials import Timeouts
    from trainingjob_operator.aws.gateway import CallTimeouts, Gateways, Target

    async def main():
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        gateways = Gateways(region="us-east-1", version="0", budgets=Budgets(time.monotonic),
                            timeouts=CallTimeouts(mutating=Timeouts(300, 300)),
                            fence=lambda seconds: None, observe=lambda *call: None)
        call = asyncio.create_task(gateways.get(Target("1", "us-east-1", endpoint_url=sys.argv[1])).stop("job"))
        await stop.wait()
        call.cancel()
        gateways.close()

    asyncio.run(main())
"""


async def test_a_call_without_an_answer_does_not_delay_the_end_of_the_process(bench: Bench) -> None:
    root = Path(__file__).parents[2] / "operator"
    async with hanging_server() as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", textwrap.dedent(HANG), server.url, cwd=root, stderr=subprocess.PIPE
        )
        await server.received()
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
        assert time.monotonic() - asked < 5  # the time-out of the call is 600 s
    assert (process.returncode, errors) == (0, b"")
