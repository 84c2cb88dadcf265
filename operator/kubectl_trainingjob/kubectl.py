"""The API server, reached through kubectl.

kubectl starts the plugin, so it is there, and its kubeconfig, contexts, credential plugins, proxies and impersonation
apply without a second implementation.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from kubectl_trainingjob.errors import CommandError
from kubectl_trainingjob.logic.job import RESOURCE, Job, as_mapping
from kubectl_trainingjob.logic.text import escape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SECONDS = 60.0
"""Timeout of one call; a list of 10,000 objects takes a few seconds."""

FIELD_MANAGER = "kubectl-trainingjob"

_SERVER = re.compile(r"Error from server \((?P<reason>\w+)\): (?P<words>.*)", re.DOTALL)
_UNREACHABLE = re.compile(r"connection (?:to the server .*)?was refused|no such host|i/o timeout|Unable to connect")


_NOISE = re.compile(r"Warning:|[EFIW]\d{4} ")
"""Warnings, and lines of the client's own log."""


class NotFound(CommandError):  # noqa: N818  named like the reason of the API server
    """There is no such object."""


class Unreachable(CommandError):  # noqa: N818
    """The API server does not answer now."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl with the flags that the person gave."""

    flags: Sequence[str] = ()
    """--kubeconfig and --context."""
    namespace: str = ""
    """Empty: the namespace of the context."""
    program: str = field(default_factory=lambda: os.environ.get("KUBECTL", "kubectl"))

    def get(self, names: Sequence[str]) -> list[Job]:
        """Return the named objects in this order. Raises NotFound."""
        answer = self._read_json("get", RESOURCE, *names)
        items = answer.get("items", [answer])
        return [Job(item) for item in items]

    def list_jobs(self, *, selector: str = "", all_namespaces: bool = False) -> list[Job]:
        """Return the objects of the namespace, or of all namespaces."""
        options = [f"--selector={selector}"] if selector else []
        scope = ["--all-namespaces"] if all_namespaces else []
        return [Job(item) for item in self._read_json("get", RESOURCE, *options, *scope)["items"]]

    def events(self, job: Job) -> list[Mapping[str, Any]]:
        """Return the Kubernetes Events about the object, the oldest first."""
        about = f"involvedObject.kind=TrainingJob,involvedObject.name={job.name}"
        answer = self._read_json("get", "events", f"--field-selector={about}", namespace=job.namespace)
        return sorted(answer["items"], key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime")))

    def apply(self, file: str) -> list[Job]:
        """Apply the TrainingJobs of a file, a folder, a URL or `-` for standard input; return them.

        Objects with generateName are created, since kubectl does not apply them; not those of standard input.
        """
        try:
            answer = self._read_json("apply", "-f", file, inherit_input=file == "-")
        except CommandError as error:
            if "cannot use generate name with apply" not in str(error) or file == "-":
                raise
            answer = self._read_json("create", "-f", file)
        items = answer.get("items", [answer])
        return [Job(item) for item in items if item.get("kind") == "TrainingJob"]

    def create(self, body: Mapping[str, Any]) -> Job:
        """Create the object; one of this name is an error."""
        manager = f"--field-manager={FIELD_MANAGER}"
        return Job(self._read_json("create", manager, "-f", "-", given=json.dumps(body)))

    def annotate(self, job: Job, annotations: Mapping[str, str]) -> Job:
        """Set annotations of the object."""
        pairs = [f"{key}={value}" for key, value in annotations.items()]
        manager = f"--field-manager={FIELD_MANAGER}"
        arguments = ("annotate", RESOURCE, job.name, "--overwrite", manager, *pairs)
        return Job(self._read_json(*arguments, namespace=job.namespace))

    def delete(self, job: Job) -> None:
        """Request the deletion of the object."""
        self._run("delete", RESOURCE, job.name, "--wait=false", namespace=job.namespace)

    def find_namespace(self) -> str:
        """Return the namespace given, or that of the context."""
        if self.namespace:
            return self.namespace
        path = "jsonpath={.contexts[0].context.namespace}"
        return self._run("config", "view", "--minify", "-o", path).strip() or "default"

    def inside(self, namespace: str) -> Kubectl:
        """Return the same for another namespace."""
        return replace(self, namespace=namespace)

    def read_namespace(self, name: str) -> Mapping[str, Any]:
        """Return the annotations of a namespace; none without the right to read it."""
        try:
            answer = self._read_json("get", "namespace", name)
        except CommandError:
            return {}
        return as_mapping(as_mapping(answer.get("metadata")).get("annotations"))

    def contexts(self) -> Sequence[str]:
        """Return the names of the contexts of the kubeconfig."""
        return self._run("config", "get-contexts", "-o", "name").split()

    def namespaces(self) -> Sequence[str]:
        """Return the names of all namespaces."""
        return [line.partition("/")[2] for line in self._run("get", "namespaces", "-o", "name").split()]

    def _read_json(
        self, *arguments: str, namespace: str = "", given: str | None = None, inherit_input: bool = False
    ) -> Mapping[str, Any]:
        text = self._run(*arguments, "-o", "json", namespace=namespace, given=given, inherit_input=inherit_input)
        try:
            answer: Mapping[str, Any] = json.loads(text)
        except ValueError as error:
            raise CommandError(f"kubectl {arguments[0]} wrote no JSON; check `{self.program} version`.") from error
        return answer

    def _run(self, *arguments: str, namespace: str = "", given: str | None = None, inherit_input: bool = False) -> str:
        program = shutil.which(self.program)
        if program is None:
            raise CommandError(
                f"{self.program} is not on the PATH. Install kubectl: https://kubernetes.io/docs/tasks/tools"
            )
        scope = namespace or self.namespace
        command = [program, *self.flags, *([f"--namespace={scope}"] if scope else []), *arguments]
        source = None if inherit_input else subprocess.DEVNULL
        try:
            done = subprocess.run(  # noqa: S603  kubectl with the person's own arguments
                command,
                input=given,
                stdin=source if given is None else None,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Unreachable(f"The API server did not answer within {SECONDS:.0f} s. Try again.") from error
        if done.returncode != 0:
            raise read_error(done.stderr, scope)
        return done.stdout


def read_error(stderr: str, namespace: str) -> CommandError:
    """Convert kubectl's error output to one sentence about the cause and one about what to do."""
    text = escape(" ".join(line for line in stderr.strip().splitlines() if not _NOISE.match(line)))
    if "doesn't have a resource type" in text or "could not find the requested resource" in text:
        return CommandError(
            "The cluster has no TrainingJobs: the CRD is not installed, or --context names another cluster. "
            "Install it with: kubectl apply --server-side -f crds/"
        )
    if "no matches for kind" in text:
        return CommandError(f"The cluster does not know a kind of the file: {text}. Install its CRD first.")
    if _UNREACHABLE.search(text):
        return Unreachable(f"The API server does not answer: {text} Check `kubectl cluster-info` and --context.")
    match = _SERVER.search(text)
    if match is None:
        return CommandError(f"kubectl: {text.removeprefix('error: ') or 'failed without a message'}")
    return _explain(match["reason"], match["words"], namespace)


def _explain(reason: str, words: str, namespace: str) -> CommandError:
    where = f" in namespace {namespace}" if namespace else " in the namespace of the context"
    match reason:
        case "NotFound":
            name = re.search(r'"([^"]+)" not found', words)
            subject = f'There is no TrainingJob "{name[1]}"' if name and RESOURCE in words else words
            return NotFound(f"{subject}{where}. List those that exist with: kubectl trainingjob list -A")
        case "Forbidden":
            return CommandError(f"The API server refuses this: {words}. Ask the cluster's administrator for the right.")
        case "AlreadyExists":
            return CommandError(f"{words}. Use another name.")
        case "Conflict":
            return Unreachable(f"{words}. Try again.")
        case "Invalid" | "BadRequest":
            return CommandError(f"The API server refuses the object: {words}. Correct the field that it names.")
    return CommandError(f"{words} ({reason}).")
