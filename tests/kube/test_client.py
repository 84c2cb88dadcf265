"""Credentials and the connection."""

from __future__ import annotations

import asyncio
import base64
import json
import stat
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.kube.proxy import Relay
from trainingjob_operator.kube.client import ApiServer, Login, LoginError
from trainingjob_operator.kube.errors import Expired, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.controlplane.plane import Cluster, ControlPlane

NAMESPACES = "/api/v1/namespaces"
PEM = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"


def write_kubeconfig(
    folder: Path, user: Mapping[str, Any], cluster: Mapping[str, Any], namespace: str | None = None
) -> Path:
    context = {"cluster": "c", "user": "u"} | ({"namespace": namespace} if namespace else {})
    path = folder / "config"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "x",
                "contexts": [{"name": "x", "context": context}],
                "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443", **cluster}}],
                "users": [{"name": "u", "user": dict(user)}],
            }
        )
    )
    return path


def write_plugin(folder: Path, status: Mapping[str, Any]) -> dict[str, Any]:
    """Exec plugin that prints the content of a file in its folder."""
    (folder / "status.json").write_text(json.dumps(status))
    version = "client.authentication.k8s.io/v1"
    plugin = folder / "plugin"
    plugin.write_text(
        f"#!{sys.executable} -IS\n"
        "import json, pathlib\n"
        "status = json.loads(pathlib.Path(__file__).with_name('status.json').read_text())\n"
        f"print(json.dumps({{'apiVersion': '{version}', 'kind': 'ExecCredential', 'status': status}}))\n"
    )
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    return {"exec": {"apiVersion": version, "command": str(plugin), "interactiveMode": "Never"}}


@pytest.mark.parametrize(
    ("user", "scheme", "token"),
    [
        ({"token": "abc"}, "Bearer", "abc"),
        ({"username": "me", "password": "pw"}, "Basic", base64.b64encode(b"me:pw").decode()),
    ],
)
async def test_server_scheme_token_and_namespace_are_read_from_the_kubeconfig(
    tmp_path: Path, user: dict[str, str], scheme: str, token: str
) -> None:
    path = write_kubeconfig(tmp_path, user, {"insecure-skip-tls-verify": True}, "team-a")
    credentials = await Login({"KUBECONFIG": str(path)}).load()
    assert (credentials.server, credentials.default_namespace) == ("https://127.0.0.1:6443", "team-a")
    assert (credentials.scheme, credentials.token, credentials.insecure) == (scheme, token, True)


async def test_a_local_proxy_requires_no_credentials(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, {}, {"server": "http://127.0.0.1:8001"})
    credentials = await Login({"KUBECONFIG": str(path)}).load()
    assert (credentials.server, credentials.scheme, credentials.token) == ("http://127.0.0.1:8001", None, None)


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ({"HTTPS_PROXY": "http://proxy:3128", "https_proxy": "http://other:3128"}, "http://other:3128"),
        ({"HTTP_PROXY": "http://proxy:3128"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "localhost,127.0.0.1"}, None),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "*"}, None),
    ],
)
async def test_a_proxy_is_found_in_the_environment(
    tmp_path: Path, variables: dict[str, str], proxy: str | None
) -> None:
    path = write_kubeconfig(tmp_path, {"token": "t"}, {})
    assert (await Login({"KUBECONFIG": str(path), **variables}).load()).proxy_url == proxy


async def test_a_proxy_of_the_kubeconfig_overrides_the_environment(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, {"token": "t"}, {"proxy-url": "http://mine:3128"})
    credentials = await Login({"KUBECONFIG": str(path), "HTTPS_PROXY": "http://proxy:3128"}).load()
    assert credentials.proxy_url == "http://mine:3128"


async def test_a_failed_exec_plugin_is_an_error_and_not_an_anonymous_user(tmp_path: Path) -> None:
    user = write_plugin(tmp_path, {})
    (tmp_path / "status.json").unlink()
    login = Login({"KUBECONFIG": str(write_kubeconfig(tmp_path, user, {}))})
    with pytest.raises(LoginError, match="neither a token nor a client certificate"):
        await login.load()
    with pytest.raises(Unavailable, match="neither a token nor a client certificate"):
        await ApiServer(login).call("GET", NAMESPACES, seconds=5)


async def test_certificates_are_written_to_files(tmp_path: Path) -> None:
    data = base64.b64encode(PEM.encode()).decode()
    path = write_kubeconfig(
        tmp_path,
        {"client-certificate-data": data, "client-key-data": data},
        {"certificate-authority-data": data},
    )
    credentials = await Login({"KUBECONFIG": str(path)}).load()
    for file in (credentials.ca_path, credentials.certificate_path, credentials.private_key_path):
        assert file is not None
        with open(file) as content:  # noqa: ASYNC230, PTH123 - a few bytes; the client returns a str
            assert content.read() == PEM
    assert (credentials.token, credentials.insecure) == (None, False)


async def test_an_exec_plugin_runs_at_each_load(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, write_plugin(tmp_path, {"token": "first"}), {})
    login = Login({"KUBECONFIG": str(path)})
    assert (await login.load()).token == "first"
    (tmp_path / "status.json").write_text(json.dumps({"token": "second"}))
    assert (await login.load()).token == "second"


async def test_a_pod_uses_its_service_account_and_reads_a_rotated_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first")
    (tmp_path / "ca.crt").write_text(PEM)
    (tmp_path / "namespace").write_text("operators\n")
    login = Login({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}, tmp_path)
    credentials = await login.load()
    assert credentials.server == "https://[fd00::1]:443"
    assert (credentials.scheme, credentials.token) == ("Bearer", "first")
    assert (credentials.ca_path, credentials.default_namespace) == (str(tmp_path / "ca.crt"), "operators")
    (tmp_path / "token").write_text("second")
    assert (await login.load()).token == "second"


async def test_an_explicit_kubeconfig_overrides_the_pods_service_account(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, {"token": "abc"}, {})
    environ = {"KUBECONFIG": str(path), "KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    assert (await Login(environ, tmp_path / "none").load()).server == "https://127.0.0.1:6443"


@pytest.mark.parametrize("content", [None, "", "not: a kubeconfig", "[]", "{", "users: 7\ncurrent-context: x"])
async def test_invalid_credentials_are_an_error_with_the_source(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    with pytest.raises(LoginError, match=str(path)):
        await Login({"KUBECONFIG": str(path)}).load()


async def test_a_missing_token_of_a_pod_is_an_error_with_its_path(tmp_path: Path) -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    with pytest.raises(LoginError, match="Service token file does not exist"):
        await Login(environ, tmp_path).load()


async def test_the_repr_contains_no_secrets(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, {"token": "abc-secret"}, {})
    assert "abc-secret" not in repr(await Login({"KUBECONFIG": str(path)}).load())


async def test_a_rejected_token_is_read_again(control_plane: Cluster, tmp_path: Path) -> None:
    good = yaml.safe_load(control_plane.kubeconfig.read_text())
    (cluster,) = (entry["cluster"] for entry in good["clusters"])
    (user,) = (entry["user"] for entry in good["users"])
    user_with_plugin = write_plugin(tmp_path, {"token": "expired"})
    api = ApiServer(Login({"KUBECONFIG": str(write_kubeconfig(tmp_path, user_with_plugin, cluster))}))
    try:
        with pytest.raises(Unavailable, match="Unauthorized"):
            await api.call("GET", NAMESPACES, seconds=10)
        (tmp_path / "status.json").write_text(json.dumps({"token": user["token"]}))
        answers = await asyncio.gather(*(api.call("GET", NAMESPACES, seconds=10) for _ in range(5)))
        assert {answer["kind"] for answer in answers} == {"NamespaceList"}
    finally:
        await api.close()


async def test_a_pod_uses_its_rotated_token(own_control_plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    def make_token() -> str:
        return own_control_plane.kubectl("--namespace", namespace, "create", "token", "default").strip()

    (tmp_path / "ca.crt").write_bytes(own_control_plane.ca_file.read_bytes())
    (tmp_path / "token").write_text("expired")
    address = urlsplit(own_control_plane.url)
    environ = {"KUBERNETES_SERVICE_HOST": str(address.hostname), "KUBERNETES_SERVICE_PORT": str(address.port)}
    api = ApiServer(Login(environ, tmp_path))
    try:
        with pytest.raises(Unavailable, match="Unauthorized"):
            await api.call("GET", "/version", seconds=10)
        (tmp_path / "token").write_text(await asyncio.to_thread(make_token))
        assert (await api.call("GET", "/version", seconds=10))["major"] == "1"
    finally:
        await api.close()


async def test_every_call_ends_at_its_time_out_and_the_next_one_succeeds(
    control_plane: Cluster, tmp_path: Path
) -> None:
    async with Relay(control_plane.url) as relay:
        api = ApiServer(Login({"KUBECONFIG": str(through(relay, control_plane, tmp_path))}))
        try:
            await api.call("GET", NAMESPACES, seconds=10)
            relay.stall()
            started = time.monotonic()
            with pytest.raises(Unavailable):
                await api.call("GET", NAMESPACES, seconds=0.5)
            assert time.monotonic() - started < 5
            relay.cut()
            relay.resume()
            assert await api.call("GET", NAMESPACES, seconds=10)
        finally:
            await api.close()


async def test_a_closed_port_is_unavailable(tmp_path: Path) -> None:
    api = ApiServer(Login({"KUBECONFIG": str(write_kubeconfig(tmp_path, {}, {"server": "http://127.0.0.1:1"}))}))
    with pytest.raises(Unavailable):
        await api.call("GET", NAMESPACES, seconds=5)
    await api.close()


async def test_a_silent_watch_ends_at_its_time_out(control_plane: Cluster, api: ApiServer, namespace: str) -> None:
    path = f"{NAMESPACES}/{namespace}/configmaps"
    version = (await api.call("GET", path, seconds=10))["metadata"]["resourceVersion"]
    query = {"resourceVersion": version, "fieldSelector": "metadata.name=one"}
    body = {"metadata": {"name": "one"}}
    async with api.watch(path, query=query, silence=3.0) as events:
        await api.call("POST", path, body=body, seconds=10)
        assert (await anext(events))["object"]["metadata"]["name"] == "one"
        with pytest.raises(Unavailable):
            await anext(events)


async def test_a_watch_from_a_compacted_version_is_expired(
    own_control_plane: ControlPlane, api: ApiServer, namespace: str
) -> None:
    path = f"{NAMESPACES}/{namespace}/configmaps"
    await asyncio.to_thread(own_control_plane.compact)
    await asyncio.to_thread(own_control_plane.restart_apiserver)
    with pytest.raises(Expired):
        async with api.watch(path, query={"resourceVersion": "1"}, silence=10.0) as events:
            await anext(events)


async def test_a_watch_ends_with_the_api_servers_time_out(api: ApiServer) -> None:
    query = {"timeoutSeconds": "1", "labelSelector": "nobody=has-this"}
    async with api.watch(NAMESPACES, query=query, silence=10.0) as events:
        assert [event async for event in events] == []


def through(relay: Relay, cluster: Cluster, folder: Path) -> Path:
    """Kubeconfig of the administrator with the relay as its server."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = relay.url
    path = folder / "relayed"
    path.write_text(yaml.safe_dump(config))
    return path
