"""SQS standard queues in memory, with the operations of an event consumer. No HTTP; the transport does long polling.

moto's SQS is not used: these queues share faults, call record and clock with the jobs, and start at once.
"""

from __future__ import annotations

import dataclasses
import hashlib
import heapq
import itertools
from collections import deque
from typing import TYPE_CHECKING, Any

from tests.sagemaker.service import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.sagemaker.job import Json

RETENTION = "345600"


@dataclasses.dataclass(slots=True)
class Message:
    """One message; `handle` is the handle of its last receipt."""

    number: int
    body: str
    sent: float
    receives: int = 0
    first: float = 0.0
    visible_at: float = 0.0
    handle: str = ""


class Queue:
    """One queue, oldest visible message first."""

    def __init__(self, name: str, url: str, arn: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.url = url
        self.arn = arn
        self.attributes = {"VisibilityTimeout": "30", "ReceiveMessageWaitTimeSeconds": "0"} | attributes
        self.messages: dict[int, Message] = {}
        self._ready: deque[Message] = deque()
        self._hidden: list[tuple[float, int, Message]] = []

    def put(self, message: Message) -> None:
        self.messages[message.number] = message
        self._ready.append(message)

    def take(self, now: float, limit: int, timeout: float) -> list[Message]:
        """Up to `limit` visible messages, invisible to others for `timeout` seconds."""
        while self._hidden and self._hidden[0][0] <= now:
            at, _, message = heapq.heappop(self._hidden)
            if message.number in self.messages and message.visible_at == at:
                self._ready.append(message)
        taken: list[Message] = []
        while self._ready and len(taken) < limit:
            message = self._ready.popleft()
            if message.number not in self.messages:
                continue
            message.receives += 1
            message.first = message.first or now
            message.handle = f"{message.number}-{message.receives}"
            self.hide(message, now + timeout)
            taken.append(message)
        return taken

    def hide(self, message: Message, until: float) -> None:
        message.visible_at = until
        heapq.heappush(self._hidden, (until, message.number, message))

    def find(self, handle: str) -> Message | None:
        number = handle.partition("-")[0]
        return self.messages.get(int(number)) if number.isdigit() else None

    def clear(self) -> None:
        self.messages.clear()
        self._ready.clear()
        self._hidden.clear()


class Queues:
    """All queues, by account and region. `handle` carries out one operation."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._numbers = itertools.count(1)
        self._queues: dict[tuple[str, str, str], Queue] = {}
        self._operations: dict[str, Callable[[Queue, Json], Json]] = {
            "GetQueueUrl": lambda queue, _: {"QueueUrl": queue.url},
            "GetQueueAttributes": self._attributes,
            "SetQueueAttributes": self._set_attributes,
            "SendMessage": lambda queue, request: self._send(queue, request["MessageBody"]),
            "SendMessageBatch": self._send_batch,
            "ReceiveMessage": self._receive,
            "DeleteMessage": self._delete,
            "DeleteMessageBatch": self._delete_batch,
            "ChangeMessageVisibility": self._change,
            "ChangeMessageVisibilityBatch": self._change_batch,
            "PurgeQueue": self._purge,
            "DeleteQueue": self._drop,
        }

    def handle(self, operation: str, account: str, region: str, front: str, request: Json) -> Json:
        """The answer; raises ServiceError. `front` is the prefix of queue URLs."""
        if operation == "CreateQueue":
            return {"QueueUrl": self.create(account, region, front, request["QueueName"], request).url}
        if operation == "ListQueues":
            return {"QueueUrls": [queue.url for key, queue in self._queues.items() if key[:2] == (account, region)]}
        if operation not in self._operations:
            raise ServiceError("UnsupportedOperation", f"The stand-in has no operation {operation}")
        name = request.get("QueueName") or request.get("QueueUrl", "").rpartition("/")[2]
        owner = request.get("QueueUrl", "").rstrip("/").rpartition("/")[0].rpartition("/")[2]
        queue = self.get(owner if owner.isdigit() else account, region, name)
        return self._operations[operation](queue, request)

    def get(self, account: str, region: str, name: str) -> Queue:
        queue = self._queues.get((account, region, name))
        if queue is None:
            raise ServiceError("com.amazonaws.sqs#QueueDoesNotExist", "The specified queue does not exist.")
        return queue

    def create(self, account: str, region: str, front: str, name: str, request: Json) -> Queue:
        key = (account, region, name)
        if key not in self._queues:
            arn = f"arn:aws:sqs:{region}:{account}:{name}"
            self._queues[key] = Queue(name, f"{front}/{account}/{name}", arn, request.get("Attributes", {}))
        return self._queues[key]

    def send(self, queue: Queue, body: str) -> Message:
        message = Message(next(self._numbers), body, self._clock())
        queue.put(message)
        return message

    # -- operations ------------------------------------------------------------------------------------

    def _attributes(self, queue: Queue, request: Json) -> Json:
        now = self._clock()
        hidden = sum(message.visible_at > now for message in queue.messages.values())
        known = queue.attributes | {
            "QueueArn": queue.arn,
            "ApproximateNumberOfMessages": str(len(queue.messages) - hidden),
            "ApproximateNumberOfMessagesNotVisible": str(hidden),
            "MessageRetentionPeriod": RETENTION,
        }
        wanted = request.get("AttributeNames", [])
        return {"Attributes": {name: value for name, value in known.items() if "All" in wanted or name in wanted}}

    def _set_attributes(self, queue: Queue, request: Json) -> Json:
        queue.attributes |= request["Attributes"]
        return {}

    def _send(self, queue: Queue, body: str) -> Json:
        message = self.send(queue, body)
        return {"MessageId": str(message.number), "MD5OfMessageBody": _md5(body)}

    def _send_batch(self, queue: Queue, request: Json) -> Json:
        sent = [{"Id": entry["Id"], **self._send(queue, entry["MessageBody"])} for entry in request["Entries"]]
        return {"Successful": sent, "Failed": []}

    def _receive(self, queue: Queue, request: Json) -> Json:
        timeout = float(request.get("VisibilityTimeout", queue.attributes["VisibilityTimeout"]))
        taken = queue.take(self._clock(), request.get("MaxNumberOfMessages", 1), timeout)
        wanted = [*request.get("AttributeNames", ()), *request.get("MessageSystemAttributeNames", ())]
        return {"Messages": [_received(message, wanted) for message in taken]} if taken else {}

    def _delete(self, queue: Queue, request: Json) -> Json:
        message = queue.find(request["ReceiptHandle"])
        if message is not None:
            del queue.messages[message.number]
        return {}

    def _delete_batch(self, queue: Queue, request: Json) -> Json:
        return _each(request["Entries"], lambda entry: self._delete(queue, entry))

    def _change(self, queue: Queue, request: Json) -> Json:
        message = queue.find(request["ReceiptHandle"])
        if message is None:
            raise ServiceError("com.amazonaws.sqs#MessageNotInflight", "The message is not in flight.")
        queue.hide(message, self._clock() + request["VisibilityTimeout"])
        return {}

    def _change_batch(self, queue: Queue, request: Json) -> Json:
        return _each(request["Entries"], lambda entry: self._change(queue, entry))

    def _purge(self, queue: Queue, _: Json) -> Json:
        queue.clear()
        return {}

    def _drop(self, queue: Queue, _: Json) -> Json:
        self._queues = {key: other for key, other in self._queues.items() if other is not queue}
        return {}


def _each(entries: Iterable[Json], action: Callable[[Json], Any]) -> Json:
    successful = []
    for entry in entries:
        action(entry)
        successful.append({"Id": entry["Id"]})
    return {"Successful": successful, "Failed": []}


def _received(message: Message, wanted: list[str]) -> Json:
    answer: Json = {
        "MessageId": str(message.number),
        "ReceiptHandle": message.handle,
        "MD5OfBody": _md5(message.body),
        "Body": message.body,
    }
    attributes = {
        "ApproximateReceiveCount": str(message.receives),
        "ApproximateFirstReceiveTimestamp": str(int(message.first * 1000)),
        "SentTimestamp": str(int(message.sent * 1000)),
    }
    chosen = {name: value for name, value in attributes.items() if name in wanted or "All" in wanted}
    if chosen:
        answer["Attributes"] = chosen
    return answer


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
