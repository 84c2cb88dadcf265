"""Kubeconfig files: cluster and user of the current context, including exec plugins.

Reads the fields that client-go documents, except auth-provider, which exec plugins replace.
"""

import asyncio
import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from trainingjob_operator.kube.credentials import Credentials, read_pem, read_token

_ENTRIES = {"clusters": "cluster", "contexts": "context", "users": "user"}
_PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
"""Fields with a path, relative to the folder of their file."""

_Entry = Mapping[str, Any]
_Entries = Mapping[str, dict[str, _Entry]]


async def read_kubeconfig(paths: str, environ: Mapping[str, str]) -> Credentials:
    """Return the credentials of the current context.

    :param paths: as in $KUBECONFIG; the first of several files with an entry of that name counts, as for kubectl
    :param environ: environment of an exec plugin
    :raises Exception: of any class for an unusable or malformed file, and for a plugin without credentials
    """
    entries, current = _merge(paths)
    context = _find(entries, "contexts", current)
    cluster = _find(entries, "clusters", context.get("cluster"))
    user = _find(entries, "users", context["user"]) if context.get("user") else {}
    if "auth-provider" in user:
        raise ValueError("auth-provider is not supported; use an exec plugin")
    if "exec" in user:
        user = await _run_plugin(user["exec"], environ)
    token_path = None if user.get("token") or not user.get("tokenFile") else Path(user["tokenFile"])
    scheme, token = _read_authorization(user, token_path)
    return Credentials(
        server=str(cluster["server"]).rstrip("/"),
        ca=_read_pem(cluster, "certificate-authority"),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        tls_server_name=cluster.get("tls-server-name"),
        scheme=scheme,
        token=token,
        token_path=token_path,
        certificate=_read_pem(user, "client-certificate"),
        private_key=_read_pem(user, "client-key"),
        proxy_url=cluster.get("proxy-url"),
        default_namespace=context.get("namespace"),
    )


def _merge(paths: str) -> tuple[_Entries, str]:
    """Return the entries of all files by section and name, with absolute paths, and the name of the current context."""
    files = [path for path in (Path(one).expanduser() for one in paths.split(os.pathsep) if one) if path.is_file()]
    if not files:
        raise FileNotFoundError("no such file")
    entries: dict[str, dict[str, _Entry]] = {section: {} for section in _ENTRIES}
    current = ""
    for file in files:
        content = yaml.safe_load(file.read_text())
        if not isinstance(content, dict):
            raise TypeError(f"{file} is not a kubeconfig")
        current = current or str(content.get("current-context") or "")
        for section, kind in _ENTRIES.items():
            for entry in content.get(section) or ():
                entries[section].setdefault(str(entry["name"]), _locate(entry.get(kind) or {}, file.parent))
    return entries, current


def _locate(entry: _Entry, folder: Path) -> _Entry:
    located = {**entry, **{name: str(folder / entry[name]) for name in _PATHS if entry.get(name)}}
    command = str((entry.get("exec") or {}).get("command") or "")
    if os.sep in command:  # else found by PATH
        located["exec"] = {**entry["exec"], "command": str(folder / command)}
    return located


def _find(entries: _Entries, section: str, name: object) -> _Entry:
    entry = entries[section].get(str(name))
    if entry is None:
        raise ValueError(f"no entry {name!r} in {section}")
    return entry


async def _run_plugin(plugin: _Entry, environ: Mapping[str, str]) -> _Entry:
    """Run an exec plugin and return its credentials in the form of a user; raises ValueError or OSError."""
    version, command = plugin["apiVersion"], str(plugin["command"])
    request = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
    variables = {str(one["name"]): str(one["value"]) for one in plugin.get("env") or ()}
    process = await asyncio.create_subprocess_exec(
        command,
        *map(str, plugin.get("args") or ()),
        env={**environ, **variables, "KUBERNETES_EXEC_INFO": json.dumps(request)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    if process.returncode != 0:
        last = errors.decode(errors="replace").strip().rpartition("\n")[2]
        raise ValueError(f"{command} exited with {process.returncode}: {last}")
    answer = json.loads(output)
    if answer["apiVersion"] != version:
        raise ValueError(f"{command} answered with apiVersion {answer['apiVersion']}, not {version}")
    status = answer.get("status") or {}
    certificate, key = status.get("clientCertificateData"), status.get("clientKeyData")
    if not status.get("token") and not (certificate and key):
        raise ValueError(f"{command} returned neither a token nor a client certificate")
    data = {"client-certificate-data": certificate, "client-key-data": key}
    return {"token": status.get("token")} | {name: _encode(pem) for name, pem in data.items() if pem}


def _read_authorization(user: _Entry, token_path: Path | None) -> tuple[str, str] | tuple[None, None]:
    """Return the scheme and the token."""
    if token_path is not None:
        return "Bearer", read_token(token_path)
    if user.get("token"):
        return "Bearer", str(user["token"])
    if "username" in user and "password" in user:
        return "Basic", _encode(f"{user['username']}:{user['password']}")
    return None, None


def _read_pem(entry: _Entry, name: str) -> str | None:
    """Return the PEM of a field or of its file; None without both."""
    if entry.get(f"{name}-data"):
        return read_pem(base64.b64decode(entry[f"{name}-data"]).decode(errors="replace"), f"{name}-data")
    if entry.get(name):
        return read_pem(Path(entry[name]).read_text(errors="replace"), entry[name])
    return None


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
