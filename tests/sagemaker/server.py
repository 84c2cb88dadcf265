"""The stand-in's front: HTTP in, HTTP out, faults carried out, every call recorded. Decides nothing about jobs.

`POST /` with `X-Amz-Target: SageMaker.<Operation>` is answered here, SQS (`AmazonSQS.…`), STS's query
protocol and Pod Identity's `/credentials?role=<ARN>` too, `/_control/…` by commands.py; everything else goes to moto.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aiohttp import web

from tests.sagemaker.calls import Call, Calls
from tests.sagemaker.events import Events
from tests.sagemaker.faults import Fault, Faults, Quotas
from tests.sagemaker.identity import Caller, Identity, error_xml, expiry
from tests.sagemaker.neighbours import Neighbours
from tests.sagemaker.queues import Queues
from tests.sagemaker.service import SageMaker, ServiceError, Settings, refusal
from tests.sagemaker.shapes import Shapes, WrongTypeError, model_shapes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sagemaker.job import Json

OPERATIONS = frozenset(
    {
        "CreateTrainingJob", "DescribeTrainingJob", "ListTrainingJobs", "StopTrainingJob", "UpdateTrainingJob",
        "DeleteTrainingJob", "AddTags", "DeleteTags", "ListTags",
    }
)  # fmt: skip
READS = frozenset({"DescribeTrainingJob", "ListTrainingJobs", "ListTags"})
CREDENTIALS = "/credentials"
_TARGET = "SageMaker."
_QUEUES = "AmazonSQS."
_STS = re.compile(rb"(?:^|&)Action=(?:GetCallerIdentity|AssumeRole)")
_POLL = 0.02  # seconds between looks at a queue that a consumer waits for
_JSON = {"Content-Type": "application/x-amz-json-1.1"}


class BrokenError(Exception):
    """A fault takes the place of the answer: nonsense to send, or None to close the connection."""

    def __init__(self, name: str, nonsense: bytes | None) -> None:
        super().__init__(name)
        self.name = name
        self.nonsense = nonsense


class Clock:
    """Wall time that a test may set forward."""

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self.offset = 0.0

    def __call__(self) -> float:
        return self._source() + self.offset


class Front:
    """One stand-in: the service, who calls it, what goes wrong, and what was called."""

    def __init__(
        self,
        *,
        settings: Settings | None = None,
        clock: Clock | None = None,
        seed: int = 0,
        latency: float = 0.0,
        fast: bool = False,
    ) -> None:
        self.clock = clock or Clock()
        self.chance = random.Random(seed)
        self.service = SageMaker(self.clock, settings or Settings(), self.chance)
        self.identity = Identity(self.clock)
        self.faults = Faults(self.chance)
        self.quotas = Quotas()
        self.calls = Calls()
        self.queues = Queues(self.clock)
        self.events = Events(self.service, self.chance)
        self.neighbours = Neighbours()
        self.latency = latency
        self.drift: list[str] = []  # answers of ours that broke the service's shapes: defects of the stand-in
        self._shapes: Shapes | None = None if fast else model_shapes()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Every request but those for control."""
        body = await request.read()
        target = request.headers.get("X-Amz-Target", "")
        if request.path == CREDENTIALS:
            return self._credentials(request)
        try:
            if target.startswith(_TARGET):
                return await self._sagemaker(request, target.removeprefix(_TARGET), body)
            if target.startswith(_QUEUES):
                return await self._sqs(request, target.removeprefix(_QUEUES), body)
            if not target and _STS.search(body):
                return await self._sts(request, body)
        except BrokenError as error:
            if error.nonsense is None and request.transport is not None:
                request.transport.abort()
            return web.Response(body=error.nonsense, headers=_JSON)
        return await self.neighbours.forward(request, body)

    # -- SageMaker -------------------------------------------------------------------------------------

    async def _sagemaker(self, request: web.BaseRequest, operation: str, body: bytes) -> web.Response:
        if self.latency:
            await asyncio.sleep(self.latency)
        try:
            caller = self._caller(request)
        except ServiceError as error:
            self.calls.end(self.calls.begin(self.clock(), operation, "", ""), error.code)
            return _failure(error)
        call = self.calls.begin(self.clock(), operation, caller.account, caller.region)
        try:
            members = _parse(body)
            name = members.get("TrainingJobName") or members.get("ResourceArn")
            if isinstance(name, str):
                self.calls.concern(call, name)
            return await self._carry_out(call, operation, caller, members)
        except ServiceError as error:
            self.calls.end(call, error.code)
            return _failure(error)
        except BrokenError as error:
            self.calls.end(call, error.name)
            raise

    async def _carry_out(self, call: Call, operation: str, caller: Caller, members: Json) -> web.Response:
        name = call.job.rpartition("/")[2]
        faults = self.faults.hit(self.clock(), operation, caller.account, caller.region, name)
        for fault in faults:
            if not fault.after:
                await self._break(fault, members, caller.region)
        if not self.quotas.allows(self.clock(), operation, caller.account, caller.region):
            raise ServiceError("ThrottlingException", "Rate exceeded")
        self._check_request(operation, members)
        if operation not in READS:
            call.request = members
        stale = sum(fault.amount for fault in faults if fault.kind == "stale")
        hidden = sum(fault.amount for fault in faults if fault.kind == "hidden")
        rounds = 2 if any(fault.kind == "duplicate" for fault in faults) else 1
        for _ in range(rounds):
            answer = self.service.handle(operation, caller.account, caller.region, members, stale=stale, hidden=hidden)
            call.effect = operation not in READS
        for fault in faults:
            if fault.after:
                await self._break(fault, members, caller.region)
        self._check_answer(operation, answer)
        for fault in faults:
            if fault.kind == "answer" and fault.patch:
                answer = _patched(answer, fault.patch)
        return web.Response(body=json.dumps(answer).encode(), headers=_JSON | _request_id())

    async def _break(self, fault: Fault, members: Json, region: str) -> None:
        match fault.kind:
            case "delay":
                await asyncio.sleep(fault.amount)
            case "drop":
                raise BrokenError("dropped", None)
            case "garbage":
                raise BrokenError("garbage", b"<html>It works!")
            case "throttle":
                raise ServiceError("ThrottlingException", "Rate exceeded")
            case "refuse":
                raise refusal(fault.reason, members, region)
            case "error":
                raise ServiceError(fault.code, fault.message, fault.status)

    def _caller(self, request: web.BaseRequest) -> Caller:
        return self.identity.caller(
            request.headers.get("Authorization", ""), request.headers.get("X-Amz-Security-Token", "")
        )

    def _check_request(self, operation: str, members: Json) -> None:
        if operation not in OPERATIONS:
            raise ServiceError("UnknownOperationException", f"The stand-in has no operation {operation}")
        if self._shapes is None:
            return
        try:
            problems = self._shapes.request_problems(operation, members)
        except WrongTypeError as error:
            raise ServiceError("SerializationException", f"Unexpected value or member at {error}") from error
        if problems:
            count = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected: "
            raise ServiceError("ValidationException", count + "; ".join(problems))

    def _check_answer(self, operation: str, answer: Json) -> None:
        if self._shapes is None:
            return
        problems = self._shapes.answer_problems(operation, answer)
        if problems:
            self.drift.extend(f"{operation}: {problem}" for problem in problems)
            raise ServiceError("StandInDefect", "; ".join(problems), 500)

    # -- SQS -------------------------------------------------------------------------------------------

    async def _sqs(self, request: web.BaseRequest, operation: str, body: bytes) -> web.Response:
        call = self.calls.begin(self.clock(), f"sqs:{operation}", "", "")
        try:
            caller = self._caller(request)
            call.account, call.region = caller.account, caller.region
            members = _parse(body)
            faults = self.faults.hit(self.clock(), call.operation, caller.account, caller.region, "")
            for fault in faults:
                if not fault.after:
                    await self._break(fault, members, caller.region)
            answer = await self._queue_answer(operation, caller, str(request.url.origin()), members)
            call.effect = bool(answer) or operation != "ReceiveMessage"
            for fault in faults:
                if fault.after:
                    await self._break(fault, members, caller.region)
        except ServiceError as error:
            self.calls.end(call, error.code)
            return _failure(error)
        except BrokenError as error:
            self.calls.end(call, error.name)
            raise
        return web.Response(body=json.dumps(answer).encode(), headers=_JSON | _request_id())

    async def _queue_answer(self, operation: str, caller: Caller, front: str, members: Json) -> Json:
        """Long polling: a ReceiveMessage waits for its first message."""
        deadline = time.monotonic() + members.get("WaitTimeSeconds", 0)
        while True:
            answer = self.queues.handle(operation, caller.account, caller.region, front, members)
            if answer or operation != "ReceiveMessage" or time.monotonic() >= deadline:
                return answer
            await asyncio.sleep(_POLL)

    # -- STS -------------------------------------------------------------------------------------------

    async def _sts(self, request: web.BaseRequest, body: bytes) -> web.Response:
        form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        operation = f"sts:{form['Action']}"
        call = self.calls.begin(self.clock(), operation, "", "")
        call.job = form.get("RoleArn", "")
        xml = {"Content-Type": "text/xml"}
        try:
            caller = self._caller(request) if "Authorization" in request.headers else None
            if caller is not None:
                call.account, call.region = caller.account, caller.region
            for fault in self.faults.hit(self.clock(), operation, call.account, call.region, ""):
                await self._break(fault, {}, call.region)
            return web.Response(text=self.identity.answer(form, caller), headers=xml)
        except ServiceError as error:
            self.calls.end(call, error.code)
            return web.Response(text=error_xml(error), status=error.status, headers=xml)

    def _credentials(self, request: web.BaseRequest) -> web.Response:
        """What EKS Pod Identity's agent answers at AWS_CONTAINER_CREDENTIALS_FULL_URI: keys of the role asked for."""
        call = self.calls.begin(self.clock(), "credentials", "", "")
        call.job = request.query.get("role", "")
        token = request.headers.get("Authorization", "")
        self.identity.seen_web_tokens.append(token)
        if self.identity.web_tokens is not None and token not in self.identity.web_tokens:
            self.calls.end(call, "AccessDeniedException")
            return web.json_response({"message": "the token is not valid"}, status=403)
        key, session = self.identity.issue(call.job, "pod", 3600)
        return web.json_response(
            {
                "AccessKeyId": key,
                "SecretAccessKey": "secret",
                "Token": session.token,
                "Expiration": expiry(session),
            }
        )


def _parse(body: bytes) -> Json:
    try:
        members = json.loads(body or b"{}")
    except ValueError as error:
        raise ServiceError("SerializationException", "The request is no JSON") from error
    if not isinstance(members, dict):
        raise ServiceError("SerializationException", "The request is no JSON object")
    return members


def _patched(answer: Any, patch: Any) -> Any:
    """The answer with the patch merged in (RFC 7396: None removes a member)."""
    if not isinstance(patch, dict) or not isinstance(answer, dict):
        return patch
    merged = {key: value for key, value in answer.items() if key not in patch or patch[key] is not None}
    for key, value in patch.items():
        if value is not None:
            merged[key] = _patched(answer.get(key), value)
    return merged


def _request_id() -> dict[str, str]:
    return {"x-amzn-RequestId": str(uuid.uuid4())}


def _failure(error: ServiceError) -> web.Response:
    body = json.dumps({"__type": error.code, "message": error.message}).encode()
    return web.Response(body=body, status=error.status, headers=_JSON | _request_id())
