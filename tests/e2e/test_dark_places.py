"""Endpoints of several namespaces stop answering: jobs of another namespace continue in the meantime."""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit

import pytest

from tests.e2e.objects import training_job
from tests.e2e.operator_process import await_true

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.controlplane.fixtures import Kubectl
    from tests.controlplane.plane import Cluster
    from tests.e2e.conftest import NewOperator
    from tests.e2e.objects import Body, Jobs
    from tests.sagemaker.stand_in import StandIn

pytestmark = [pytest.mark.e2e]

ENDPOINT = "services.k8s.aws/endpoint-url"
KNOWN = 5
"""Endpoints with earlier answers; two others never answered."""
PROMPT_SECONDS = 8.0
"""Less than the time-out of a Stop; most of it is for kubectl and a busy machine."""


class Gate:
    """An endpoint in front of the stand-in. While dark it accepts connections and requests, and answers nothing, or one
    byte per second.
    """

    def __init__(self, url: str, darkness: Literal["silent", "drips"]) -> None:
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.close_connection = True
                body = self.rfile.read(int(self.headers["content-length"]))
                if gate.is_open.is_set():
                    gate.forward(self, body)
                    return
                gate.hung += 1
                for byte in b"HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.1\r\n" + 60 * b"x":
                    if gate.is_open.wait(1.0):
                        return
                    if darkness == "drips":
                        self.wfile.write(bytes([byte]))

            def handle(self) -> None:
                with contextlib.suppress(ConnectionError):  # the operator ended the call
                    super().handle()

            def log_message(self, *_: object) -> None:
                pass

        self._upstream = urlsplit(url).netloc
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.is_open = threading.Event()
        self.hung = 0

    def forward(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        with contextlib.closing(http.client.HTTPConnection(self._upstream, timeout=30)) as upstream:
            upstream.request("POST", request.path, body, dict(request.headers))
            answer = upstream.getresponse()
            content = answer.read()
        request.send_response(answer.status)
        request.send_header("content-type", answer.headers["content-type"])
        request.send_header("content-length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_open.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def gates(request: pytest.FixtureRequest, sagemaker: StandIn) -> Iterator[list[Gate]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Gate(sagemaker.url, request.param)) for _ in range(KNOWN + 2)]


class DarkTenants:
    """A namespace for each gate."""

    def __init__(self, kubectl: Kubectl, gates: list[Gate]) -> None:
        self._kubectl = kubectl
        self.namespaces = [f"dark-{secrets.token_hex(4)}" for _ in gates]
        spaces = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "annotations": {ENDPOINT: gate.url}}}
            for name, gate in zip(self.namespaces, gates, strict=True)
        ]
        self._send("apply", spaces)

    def apply(self, name: str, *, count: int, namespaces: list[str]) -> None:
        """Apply a number of objects in each of the namespaces, with this name and a number."""
        self._send("apply", self._jobs(name, count, namespaces))

    def delete(self, name: str, *, count: int, namespaces: list[str]) -> None:
        self._send("delete", self._jobs(name, count, namespaces), "--wait=false")

    def count(self, name: str, status: str = "") -> list[int]:
        """The number of objects of this name in each namespace, in that secondary status or in any."""
        items = json.loads(self._kubectl("get", "trainingjobs", "--all-namespaces", "-o", "json"))["items"]
        found = Counter(
            body["metadata"]["namespace"]
            for body in items
            if body["metadata"]["name"].startswith(name)
            and status in ("", body.get("status", {}).get("secondaryStatus"))
        )
        return [found[namespace] for namespace in self.namespaces]

    def remove(self) -> None:
        self._kubectl("delete", "namespace", *self.namespaces, "--wait=false")

    def _jobs(self, name: str, count: int, namespaces: list[str]) -> Iterator[Body]:
        for namespace in namespaces:
            for number in range(count):
                body = training_job(f"{name}-{number}", trainingJobName=f"{namespace}-{name}-{number}")
                body["metadata"]["namespace"] = namespace
                yield body

    def _send(self, verb: str, bodies: Iterable[Body], *flags: str) -> None:
        items = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(bodies)})
        self._kubectl(verb, "-f", "-", *flags, input=items)


@pytest.fixture
def tenants(control_plane: Cluster, crd: None, gates: list[Gate]) -> Iterator[DarkTenants]:
    made = DarkTenants(control_plane.kubectl, gates)
    yield made
    made.remove()


@pytest.mark.parametrize("gates", ["silent", "drips"], indirect=True)
def test_a_job_at_a_healthy_endpoint_is_created_and_stopped_while_others_do_not_answer(
    gates: list[Gate], tenants: DarkTenants, new_operator: NewOperator, jobs: Jobs, namespace: str, sagemaker: StandIn
) -> None:
    served = ",".join([namespace, *tenants.namespaces])
    operator = new_operator(f"--watch-namespace={served}", "--allowed-endpoint-urls=*")
    operator.start()
    sagemaker.plan(outcome="Running", seconds=0.2, stop_seconds=0.2)
    known = tenants.namespaces[:KNOWN]
    for gate in gates[:KNOWN]:
        gate.is_open.set()
    tenants.apply("old", count=6, namespaces=known)
    await_true("all train", lambda: sum(tenants.count("old", "Training")) == 6 * KNOWN, 30.0)

    for gate in gates:
        gate.is_open.clear()
    tenants.apply("new", count=4, namespaces=tenants.namespaces)
    tenants.delete("old", count=6, namespaces=known)
    await_true("each endpoint holds a call", lambda: all(gate.hung for gate in gates))

    def healthy_and(question: bool) -> bool:
        assert operator.ask("healthz")[0] == 200
        return question

    jobs.apply(training_job("neighbour"))
    await_true("created", lambda: healthy_and(sagemaker.job("neighbour") is not None), PROMPT_SECONDS)
    jobs.delete("neighbour")
    await_true(
        "stopped", lambda: healthy_and(bool(sagemaker.effects("StopTrainingJob", job="neighbour"))), PROMPT_SECONDS
    )
    jobs.wait_gone("neighbour", PROMPT_SECONDS)

    for gate in gates:
        gate.is_open.set()
    await_true("the jobs of each endpoint continue", lambda: healthy_and(all(tenants.count("new", "Training"))), 40.0)
    await_true("deletions continue", lambda: max(tenants.count("old")) < 6, 40.0)
