"""The HTTP front of the stand-in: it carries out faults, records every call, and decides nothing about jobs.

`POST /` with `X-Amz-Target: SageMaker.<Operation>` is answered here, as are SQS (`AmazonSQS.…`), STS's query protocol
and Pod Identity's `/credentials?role=<ARN>`; commands.py answers `/_control/…`; all other requests go to moto.
"""

from __future__ import annotations

import asyncio
import contextlib
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
    from collections.abc import Callable, Iterator

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
_POLL = 0.02  # seconds between polls of a queue for a waiting consumer
_JSON = {"Content-Type": "application/x-amz-json-1.1"}
_XML = {"Content-Type": "text/xml"}


class BrokenError(Exception):
    """A fault replaces the answer: by an invalid body, or by None for a closed connection."""

    def __init__(self, name: str, nonsense: bytes | None, *, status: int = 200, kind: str = "") -> None:
        super().__init__(name)
        self.name = name
        self.nonsense = nonsense
        self.status = status
        self.headers = {"Content-Type": kind} if kind else _JSON


class ShiftedClock:
    """Wall time, with an offset set by tests."""

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self.offset = 0.0

    def __call__(self) -> float:
        return self._source() + self.offset


class Front:
    """One stand-in: the service, identities, faults, and the record of calls."""

    def __init__(
        self,
        *,
        settings: Settings | None = None,
        clock: ShiftedClock | None = None,
        seed: int = 0,
        latency: float = 0.0,
        fast: bool = False,
    ) -> None:
        self.clock = clock or ShiftedClock()
        self.chance = random.Random(seed)
        self.service = SageMaker(self.clock, settings or Settings(), self.chance)
        self.identity = Identity(self.clock)
        self.faults = Faults(self.chance)
        self.held: dict[int, asyncio.Future[bool]] = {}  # by fault; True: dropped at its release
        self.quotas = Quotas()
        self.calls = Calls()
        self.queues = Queues(self.clock)
        self.events = Events(self.service, self.chance)
        self.neighbours = Neighbours()
        self.latency = latency
        self.drift: list[str] = []  # answers outside SageMaker's shapes: defects of the stand-in
        self._shapes: Shapes | None = None if fast else model_shapes()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Every request except control commands."""
        body = await request.read()
        target = request.headers.get("X-Amz-Target", "")
        try:
            if target.startswith(_TARGET):
                return await self._sagemaker(request, target.removeprefix(_TARGET), body)
            if target.startswith(_QUEUES):
                return await self._sqs(request, target.removeprefix(_QUEUES), body)
            if not target and _STS.search(body):
                return await self._sts(request, body)
        except ServiceError as error:
            return _json({"__type": error.code, "message": error.message}, error.status)
        except BrokenError as error:
            if error.nonsense is None and request.transport is not None:
                request.transport.abort()
            return web.Response(body=error.nonsense, status=error.status, headers=error.headers)
        if request.path == CREDENTIALS:
            return self._credentials(request)
        return await self.neighbours.forward(request, body)

    @contextlib.contextmanager
    def _recorded(self, operation: str) -> Iterator[Call]:
        """Records a call with its result."""
        call = self.calls.begin(self.clock(), operation)
        try:
            yield call
        except ServiceError as error:
            self.calls.end(call, error.code)
            raise
        except BrokenError as error:
            self.calls.end(call, error.name)
            raise

    def _identify(self, call: Call, request: web.BaseRequest) -> Caller:
        caller = self.identity.caller(
            request.headers.get("Authorization", ""), request.headers.get("X-Amz-Security-Token", "")
        )
        call.account, call.region = caller.account, caller.region
        return caller

    def _hits(self, call: Call) -> list[Fault]:
        job = call.job.rpartition("/")[2]
        return self.faults.hit(self.clock(), call.operation, call.account, call.region, job)

    # -- SageMaker -------------------------------------------------------------------------------------

    async def _sagemaker(self, request: web.BaseRequest, operation: str, body: bytes) -> web.Response:
        if self.latency:
            await asyncio.sleep(self.latency)
        with self._recorded(operation) as call:
            self._identify(call, request)
            members = _parse(body)
            name = members.get("TrainingJobName") or members.get("ResourceArn")
            if isinstance(name, str):
                self.calls.concern(call, name)
            return _json(await self._carry_out(call, members))

    async def _carry_out(self, call: Call, members: Json) -> Any:
        """The answer, after the faults that precede it."""
        faults = self._hits(call)
        await self._break(faults, call, members, after=False)
        if not self.quotas.allows(self.clock(), call.operation, call.account, call.region):
            raise ServiceError("ThrottlingException", "Rate exceeded")
        self._check_request(call.operation, members)
        changing = call.operation not in READS
        if changing:
            call.request = members
        stale = sum(fault.amount for fault in faults if fault.kind == "stale")
        hidden = sum(fault.amount for fault in faults if fault.kind == "hidden")
        for _ in range(2 if any(fault.kind == "duplicate" for fault in faults) else 1):
            answer = self.service.handle(call.operation, call.account, call.region, members, stale=stale, hidden=hidden)
            call.effect = changing
        await self._break(faults, call, members, after=True)
        self._check_answer(call.operation, answer)
        for fault in faults:
            if fault.kind == "answer":
                answer = _patched(answer, fault.patch)
        return answer

    async def _break(self, faults: list[Fault], call: Call, members: Json, *, after: bool) -> None:
        """Carries out the faults before (or after) the effect of the call."""
        for fault in faults:
            if fault.after is not after:
                continue
            match fault.kind:
                case "delay":
                    await asyncio.sleep(fault.amount)
                case "hold":
                    if await self.held.setdefault(fault.number, asyncio.Future()):
                        raise BrokenError("dropped", None)
                case "drop":
                    raise BrokenError("dropped", None)
                case "garbage":
                    raise BrokenError("garbage", b"<html>It works!")
                case "plain":
                    raise BrokenError("plain", fault.message.encode(), status=fault.status, kind="text/plain")
                case "throttle":
                    raise ServiceError("ThrottlingException", "Rate exceeded")
                case "refuse":
                    raise refusal(fault.reason, members, call.region)
                case "error":
                    raise ServiceError(fault.code, fault.message, fault.status)

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
        with self._recorded(f"sqs:{operation}") as call:
            self._identify(call, request)
            members = _parse(body)
            faults = self._hits(call)
            await self._break(faults, call, members, after=False)
            answer = await self._poll(operation, call, str(request.url.origin()), members)
            call.effect = operation != "ReceiveMessage" or bool(answer)
            await self._break(faults, call, members, after=True)
            return _json(answer)

    async def _poll(self, operation: str, call: Call, front: str, members: Json) -> Json:
        """The queue's answer; ReceiveMessage waits for its first message for the requested time."""
        deadline = time.monotonic() + members.get("WaitTimeSeconds", 0)
        while True:
            answer = self.queues.handle(operation, call.account, call.region, front, members)
            if answer or operation != "ReceiveMessage" or time.monotonic() >= deadline:
                return answer
            await asyncio.sleep(_POLL)

    # -- STS -------------------------------------------------------------------------------------------

    async def _sts(self, request: web.BaseRequest, body: bytes) -> web.Response:
        form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        try:
            with self._recorded(f"sts:{form['Action']}") as call:
                call.job = form.get("RoleArn", "")
                caller = self._identify(call, request) if "Authorization" in request.headers else None
                await self._break(self._hits(call), call, {}, after=False)
                return web.Response(text=self.identity.answer(form, caller), headers=_XML)
        except ServiceError as error:
            return web.Response(text=error_xml(error), status=error.status, headers=_XML)

    def _credentials(self, request: web.BaseRequest) -> web.Response:
        """Answer of EKS Pod Identity's agent at AWS_CONTAINER_CREDENTIALS_FULL_URI: keys of the requested role."""
        call = self.calls.begin(self.clock(), "credentials")
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


def _json(answer: Any, status: int = 200) -> web.Response:
    headers = _JSON | {"x-amzn-RequestId": str(uuid.uuid4())}
    return web.Response(body=json.dumps(answer).encode(), status=status, headers=headers)
