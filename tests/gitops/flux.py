"""Flux's kustomize-controller beside a control plane, with sources published by the tests.

Tests write the status of GitRepositories in place of source-controller; the controller reads no other part of them.
"""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import tarfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

import yaml

from tests.controlplane.plane import Process
from tests.crds.installation import is_established
from tests.e2e.operator_process import await_true
from tests.gitops.program import CRD

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.controlplane.plane import Cluster

Body = dict[str, Any]

NAMESPACE = "flux-system"
SOURCES = {"GitRepository": "gitrepositories", "OCIRepository": "ocirepositories", "Bucket": "buckets"}
"""Kinds watched by the controller, with their plurals."""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Log nothing."""


class Flux:
    """The controller, its CRDs and its sources; a context manager that ends it."""

    def __init__(self, programs: Path, cluster: Cluster, folder: Path) -> None:
        self._programs = programs
        self._cluster = cluster
        self._artifacts = folder / "artifacts"
        self._artifacts.mkdir()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(self._artifacts)))
        self._forker = ThreadPoolExecutor(1, thread_name_prefix="flux")
        temporary = folder / "tmp"  # the controller removes files of an earlier process there
        temporary.mkdir()
        flags = ["--metrics-addr=127.0.0.1:0", "--health-addr=127.0.0.1:0", "--interval-jitter-percentage=0"]
        environment = {
            "KUBECONFIG": str(cluster.kubeconfig),
            "RUNTIME_NAMESPACE": NAMESPACE,
            "TMPDIR": str(temporary),
        }
        command = [str(programs / "kustomize-controller"), *flags]
        self.process = Process(command, folder / "flux.log", self._forker, environment)

    def __enter__(self) -> Self:
        for kind, plural in SOURCES.items():
            self._apply(source_crd(kind, plural))
        self._apply(yaml.safe_load((self._programs / CRD).read_text()))
        self._apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        crds = [f"{plural}.source.toolkit.fluxcd.io" for plural in SOURCES.values()]
        for name in (*crds, "kustomizations.kustomize.toolkit.fluxcd.io"):
            await_true(f"{name} is served", lambda name=name: is_established(self._cluster, name))  # type: ignore[misc]
        Thread(target=self._server.serve_forever, daemon=True).start()
        self.process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self._forker.shutdown()
        self._server.shutdown()
        self._server.server_close()

    def push(self, name: str, files: Mapping[str, Body]) -> None:
        """Publish a new revision of the repository with these files."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w:gz") as archive:
            for path, body in files.items():
                data = yaml.safe_dump(body).encode()
                entry = tarfile.TarInfo(path)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        revision = secrets.token_hex(20)
        file = self._artifacts / f"{revision}.tar.gz"
        file.write_bytes(content.getvalue())
        repository = {
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "GitRepository",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"interval": "1m", "url": "https://git.example/training"},
        }
        self._apply(repository)
        artifact = {
            "url": f"http://127.0.0.1:{self._server.server_port}/{file.name}",
            "path": file.name,
            "revision": f"main@sha1:{revision}",
            "digest": f"sha256:{hashlib.sha256(content.getvalue()).hexdigest()}",
            "lastUpdateTime": "2026-11-28T00:00:00Z",
        }
        patch = json.dumps({"status": {"artifact": artifact}})
        self.kubectl("patch", "gitrepository", name, "--subresource=status", "--type=merge", "-p", patch)

    def apply(self, kustomization: Body) -> str:
        """Apply a Kustomization and return its name."""
        self._apply(kustomization)
        return str(kustomization["metadata"]["name"])

    def condition(self, name: str, kind: str = "Ready") -> tuple[str, str]:
        """Status of a condition of a Kustomization, and its reason and message."""
        found = json.loads(self.kubectl("get", "kustomization", name, "-o", "json"))
        conditions = found.get("status", {}).get("conditions", [])
        each: Body = next((one for one in conditions if one["type"] == kind), {})
        return each.get("status", ""), f"{each.get('reason', '')} {each.get('message', '')}"

    def wait(self, name: str, status: str, word: str, kind: str = "Ready", seconds: float = 90.0) -> str:
        """Wait for this status of a condition with `word` in its reason or message; return reason and message."""

        def ask() -> str | None:
            found, text = self.condition(name, kind)
            return text if found == status and word in text else None

        try:
            return str(await_true(f"{name}: {kind}={status} {word}", ask, seconds))
        except TimeoutError as error:
            error.add_note(f"{self.kubectl('get', 'kustomization', name, '-o', 'yaml')}\n{self.process.last_lines(40)}")
            raise

    def reconcile(self, name: str) -> None:
        """Request a reconcile, and wait for its end."""
        token = secrets.token_hex(4)
        self.kubectl("annotate", "kustomization", name, "--overwrite", f"reconcile.fluxcd.io/requestedAt={token}")

        def handled() -> bool:
            found = json.loads(self.kubectl("get", "kustomization", name, "-o", "json"))
            return bool(found.get("status", {}).get("lastHandledReconcileAt") == token)

        await_true(f"{name} is reconciled", handled, 90)

    def kubectl(self, *arguments: str) -> str:
        return self._cluster.kubectl("--namespace", NAMESPACE, *arguments)

    def _apply(self, body: Body) -> None:
        self._cluster.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(body))


def source_crd(kind: str, plural: str) -> Body:
    """A CRD without restrictions on its objects."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.source.toolkit.fluxcd.io"},
        "spec": {
            "group": "source.toolkit.fluxcd.io",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "scope": "Namespaced",
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                }
            ],
        },
    }
