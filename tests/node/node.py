"""A Kubernetes node on this machine: containerd, kubelet and kube-scheduler beside a control plane.

All processes run in the namespaces of `python -m tests.node` (mounts, network, processes), and end with them. Pods have
addresses of a bridge. They reach the API server and other services of loopback by addresses of the Service network, as
with kube-proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import yaml

from tests.controlplane.plane import Process
from tests.e2e.operator_process import await_true
from tests.node.image import OPERATOR, PAUSE
from tests.node.names import Names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.plane import ControlPlane

NAME = "node"
ADDRESS = "10.244.0.1"
POD_NETWORK = "10.244.0.0/24"
API_SERVER = "10.0.0.1"
"""Address of the Service `kubernetes`, the first of the control plane's Service network."""
DNS = "10.0.0.10"
DOMAIN = "cluster.local"
CONTROLLERS = (
    *("deployment-controller", "replicaset-controller", "disruption-controller", "node-lifecycle-controller"),
    *("pod-garbage-collector-controller", "root-ca-certificate-publisher-controller", "endpointslice-controller"),
)
"""Controllers of a node beside those of the control plane."""
CGROUPS = Path("/sys/fs/cgroup")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

MOUNTS = """
set -eu
root=$1 upper=$2 work=$3 containerd=$4 kubelet=$5 system=$6 programs=$7 image=$8
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$system,upperdir=$upper,workdir=$work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root/opt/node" "$root/opt/image" "$root/var/lib/containerd" "$root/var/lib/kubelet"
mount --bind "$image" "$root/opt/image"
mount --bind "$containerd" "$root/var/lib/containerd"
mount --bind "$kubelet" "$root/var/lib/kubelet"
mount --bind "$programs" "$root/opt/node"
cd "$root"
pivot_root . mnt
exec chroot . sh -c 'umount -l /mnt; exec sleep infinity'
"""
"""Becomes a process with the node's root; the namespace lasts as long as the process."""

CONTAINERD = f"""
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
"""
CNI = {
    "cniVersion": "1.0.0",
    "name": "pods",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "pods",
            "isGateway": True,
            "ipam": {"type": "host-local", "subnet": POD_NETWORK, "routes": [{"dst": "0.0.0.0/0"}]},
        }
    ],
}
KUBELET = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "address": ADDRESS,
    "clusterDNS": [DNS],
    "clusterDomain": DOMAIN,
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"},  # the address exists in this network namespace alone
    "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
    "cgroupDriver": "cgroupfs",
    "failCgroupV1": False,
    "failSwapOn": False,
    "enforceNodeAllocatable": [],
    "localStorageCapacityIsolation": False,
    "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
    "nodeStatusUpdateFrequency": "2s",
}


class Node:
    """A context manager; Pods can be scheduled after its start."""

    def __init__(self, plane: ControlPlane, folder: Path, system: Path, programs: Path, image: Path) -> None:
        """Start nothing yet.

        :param folder: for logs and state
        :param system, programs, image: folders of system.py, programs.py and image.py
        """
        self.folder = folder
        self._plane = plane
        self._system, self._programs, self._image = system, programs, image
        # The kernel binds a parent-death signal to the forking thread, so one lasting thread forks all processes.
        self._forker = ThreadPoolExecutor(1, thread_name_prefix="node")
        self._services = Services()
        self._names: Names | None = None
        self._mounts = self._process(
            "mounts", "unshare", "--mount", "sh", "-c", MOUNTS, "sh", *map(str, self._layers())
        )
        self._scheduler = self._process(
            "scheduler",
            str(programs / "kube-scheduler"),
            f"--kubeconfig={plane.kubeconfig}",
            "--leader-elect=false",
            "--secure-port=0",
        )
        self._containerd: Process | None = None
        self._kubelet: Process | None = None

    def __enter__(self) -> Self:
        try:
            self._write_settings()
            self._mounts.start()
            await_true("the system is mounted", (self._root / "opt/node/kubelet").exists, 30)
            self._add_network()
            self.serve(API_SERVER, 443, self._plane.url)
            self._add_address(DNS)
            self._names = Names(DNS, 53, self._find_endpoints)
            self._containerd = self._process("containerd", *self._inside("/usr/bin/containerd"))
            self._containerd.start()
            await_true("containerd answers", self._can_import, 60)
            flags = ["--config=/etc/kubelet.yaml", "--kubeconfig=/etc/kubeconfig"]
            flags += [f"--hostname-override={NAME}", f"--node-ip={ADDRESS}"]
            self._kubelet = self._process("kubelet", *self._inside("/opt/node/kubelet", *flags))
            self._kubelet.start()
            self._scheduler.start()
            await_true("the node is ready", self._is_ready, 120)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End all processes, and remove all files except the logs."""
        for process in (self._scheduler, self._kubelet):
            if process:
                process.kill()
        if self._containerd:
            for line in self.ctr("tasks", "ls", check=False).splitlines()[1:]:
                self.ctr("tasks", "kill", "--signal=KILL", line.split()[0], check=False)
            self._containerd.kill()
        self._mounts.kill()
        self._services.close()
        if self._names:
            self._names.close()
        self._forker.shutdown()
        for folder in ("upper", "work", "containerd", "kubelet"):
            shutil.rmtree(self.folder / folder, ignore_errors=True)
        for cgroup in sorted(CGROUPS.glob("*/kubepods/**/"), reverse=True):
            with contextlib.suppress(OSError):  # of a container that is still running
                cgroup.rmdir()

    @property
    def pods(self) -> Path:
        """The kubelet's folder with the volumes of each Pod, by its UID."""
        return self._root / "var/lib/kubelet/pods"

    def restart_kubelet(self) -> None:
        """Kill the kubelet and start it again; Pods continue, and the kubelet requests their tokens again."""
        assert self._kubelet is not None, "not entered"
        self._kubelet.kill()
        self._kubelet.start()

    def addresses(self) -> set[str]:
        """Addresses of the Pods from the network plugin."""
        return {path.name for path in (self._root / "var/lib/cni/networks/pods").glob("10.*")}

    def serve(self, address: str, port: int, url: str) -> None:
        """Forward connections of the Pods to `address` to a server on loopback, given by its URL."""
        self._add_address(address)
        target = urlsplit(url)
        self._services.forward(address, port, str(target.hostname), int(target.port or 0))

    def _add_address(self, address: str) -> None:
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)

    def _find_endpoints(self, name: str) -> list[str] | None:
        """The addresses of the Pods behind a Service of that DNS name; None for an unknown name."""
        service, _, rest = name.partition(".")
        namespace, _, suffix = rest.partition(".")
        if suffix != f"svc.{DOMAIN}":
            return None
        selector = f"--selector=kubernetes.io/service-name={service}"
        found = self._plane.kubectl("get", "endpointslices", "--namespace", namespace, selector, "--output=json")
        endpoints = [each for item in json.loads(found)["items"] for each in item["endpoints"] or ()]
        return [address for each in endpoints for address in each["addresses"]] or None

    def ctr(self, *arguments: str, check: bool = True) -> str:
        """Run containerd's client and return its stdout."""
        command = self._inside("/usr/bin/ctr", "--namespace=k8s.io", *arguments)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout

    @property
    def _root(self) -> Path:
        """The node's file system in its own mount namespace."""
        return Path(f"/proc/{self._mounts.pid}/root")

    def _inside(self, *command: str) -> list[str]:
        """The command in that namespace. By chroot alone, runc would find another root when it joins a container."""
        return ["nsenter", f"--mount=/proc/{self._mounts.pid}/ns/mnt", *command]

    def _process(self, name: str, *command: str) -> Process:
        program = str(shutil.which(command[0]))
        return Process([program, *command[1:]], self.folder / f"{name}.log", self._forker, {"PATH": PATH})

    def _layers(self) -> Iterator[Path]:
        """The arguments of MOUNTS; a writable layer in the folder covers the cached system."""
        for name in ("root", "upper", "work", "containerd", "kubelet"):
            (self.folder / name).mkdir()
            yield self.folder / name
        yield from (self._system / "root", self._programs, self._image)

    def _write_settings(self) -> None:
        files = {
            "containerd/config.toml": CONTAINERD,
            "cni/net.d/pods.conflist": json.dumps(CNI),
            "kubelet.yaml": yaml.safe_dump(KUBELET),
            "kubeconfig": self._plane.kubectl("config", "view", "--raw", "--flatten"),  # with the CA file's content
        }
        for name, content in files.items():
            file = self.folder / "upper/etc" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)

    def _add_network(self) -> None:
        """The bridge of the Pods, with the kubelet's address for probes."""
        for command in (
            "link set lo up",
            "link add pods type bridge",
            f"address add {ADDRESS}/24 dev pods",
            "link set pods up",
        ):
            subprocess.run(["ip", *command.split()], check=True)

    def _check(self) -> None:
        """Raises ClusterError if a program ended by itself."""
        for process in (self._mounts, self._containerd, self._kubelet, self._scheduler):
            if process:
                process.check()

    def _can_import(self) -> bool:
        """Import both images once containerd answers."""
        self._check()
        if not (self._root / "run/containerd/containerd.sock").exists():
            return False
        for name in ("pause", "operator"):
            self.ctr("images", "import", f"/opt/image/{name}.tar")
        assert {OPERATOR, PAUSE} <= set(self.ctr("images", "ls", "-q").split())
        return True

    def _is_ready(self) -> bool:
        self._check()
        found: dict[str, Any] = json.loads(self._plane.kubectl("get", "nodes", "--output=json"))
        conditions = [each for item in found["items"] for each in item["status"].get("conditions", ())]
        is_ready = ("Ready", "True") in [(each["type"], each["status"]) for each in conditions]
        return is_ready and not any(item["spec"].get("taints") for item in found["items"])


class Services:
    """Forwards TCP connections in a separate thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._thread = threading.Thread(target=self._run, name="services", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._loop.run_forever()
        for server in self._servers:
            server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.1))
        self._loop.close()

    def forward(self, address: str, port: int, host: str, target: int) -> None:
        """Serve address:port with host:target. Raises OSError if the address is unavailable."""

        async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                there = await asyncio.open_connection(host, target)
            except OSError:
                writer.close()
                return
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(copy(reader, there[1]), copy(there[0], writer))

        start = asyncio.start_server(connect, address, port)
        self._servers.append(asyncio.run_coroutine_threadsafe(start, self._loop).result(10))

    def close(self) -> None:
        """Stop forwarding."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy bytes until one of the sides ends."""
    try:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()
