"""Connection to the API server: credentials, one session, one call method and one watch method.

Uses the official client's configuration, authentication and session, and converts HTTP errors to those of errors.py.
Bodies are plain dicts: the client's models cost memory and time and do not cover TrainingJobs. The client's `Watch` is
not used, since it opens another session and reconnects by rules of its own.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed lacks it

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTResponse
from kubernetes.aio.config.config_exception import ConfigException
from kubernetes.aio.config.incluster_config import InClusterConfigLoader
from kubernetes.aio.config.kube_config import load_kube_config

from trainingjob_operator.kube.errors import Expired, KubeError, NotLoggedIn, Unavailable, from_answer

READ_SECONDS = 10.0
"""Timeout of a read of one object."""
WRITE_SECONDS = 8.0
"""Timeout of a write of one object; well below the duration of the Lease."""
LIST_SECONDS = 30.0
"""Timeout of one page of a list."""
CONNECT_SECONDS = 5.0

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_TRANSPORT = (aiohttp.ClientError, TimeoutError, OSError)


class LoginError(Exception):
    """No usable credentials; the message names the sources and the cause."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Connection parameters of the API server for another HTTP client."""

    server: str
    ca_path: str | None
    insecure: bool
    scheme: str | None
    """Bearer or Basic, with `token`."""
    token: str | None = field(repr=False)
    certificate_path: str | None
    private_key_path: str | None
    proxy_url: str | None
    default_namespace: str | None


class Login:
    """Loader of credentials from $KUBECONFIG, else the pod's service account, else ~/.kube/config.

    Each load reads files and runs exec plugins anew.
    """

    def __init__(self, environ: Mapping[str, str], service_account: Path = SERVICE_ACCOUNT) -> None:
        self._environ = environ
        self._service_account = service_account

    async def load(self) -> Credentials:
        """Load the credentials. Raises LoginError."""
        configuration, namespace = await self.configure()
        header: str = await configuration.get_api_key_with_prefix("BearerToken") or ""
        scheme, _, token = header.partition(" ")
        return Credentials(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            scheme=scheme.capitalize() or None,
            token=token.strip() or None,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
            proxy_url=configuration.proxy,
            default_namespace=namespace,
        )

    async def configure(self) -> tuple[Configuration, str | None]:
        """Load the official client's configuration, including token rotation, and the default namespace."""
        configuration = Configuration()
        # Keeps aiohttp from reading .netrc and proxy variables in a thread for each call.
        configuration.client_session_kwargs = {"trust_env": False}
        kubeconfig = self._environ.get("KUBECONFIG")
        try:
            if not kubeconfig and self._environ.get("KUBERNETES_SERVICE_HOST"):
                namespace = self._from_pod(configuration)
                configuration.proxy = self._find_proxy(configuration.host)
                return configuration, namespace
            loader = await load_kube_config(  # type: ignore[no-untyped-call]
                _find_kubeconfig(kubeconfig), client_configuration=configuration, persist_config=False
            )
            namespace = loader.current_context["context"].get("namespace")
            _check_url(configuration.host)
        except Exception as error:  # a malformed file may raise any exception in the client
            raise self.refuse(_words(error)) from error
        if configuration.host.startswith("https") and not configuration.api_key and not configuration.cert_file:
            # A failed plugin; as system:anonymous every right would appear missing.
            raise self.refuse("neither a token nor a client certificate")
        configuration.proxy = configuration.proxy or self._find_proxy(configuration.host)
        return configuration, namespace

    def _find_proxy(self, url: str) -> str | None:
        """Return the proxy by HTTPS_PROXY, HTTP_PROXY and NO_PROXY; lower-case spellings take precedence."""
        variables = sorted(self._environ.items(), key=lambda variable: variable[0].islower())
        proxies = {name.lower()[:-6]: value for name, value in variables if name.lower().endswith("_proxy")}
        parts = urlsplit(url)
        return None if proxy_bypass_environment(parts.netloc, proxies) else proxies.get(parts.scheme) or None

    def refuse(self, reason: str) -> LoginError:
        """Build the error for unusable credentials."""
        sources = self._environ.get("KUBECONFIG") or f"{self._service_account} or ~/.kube/config"
        short = " ".join(reason.split())[:300]
        return LoginError(f"No usable credentials for the API server ({sources}): {short}")

    def _from_pod(self, configuration: Configuration) -> str | None:
        loader = InClusterConfigLoader(  # type: ignore[no-untyped-call]
            token_filename=str(self._service_account / "token"),
            cert_filename=str(self._service_account / "ca.crt"),
            environ=self._environ,
        )
        loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
        namespace = self._service_account / "namespace"
        return namespace.read_text().strip() or None if namespace.is_file() else None


class ApiServer:
    """One session for all calls and watches; logs in again after the API server rejects the credentials."""

    def __init__(self, login: Login, user_agent: str = "trainingjob-operator") -> None:
        self._login = login
        self._user_agent = user_agent
        self._client: ApiClient | None = None
        self._logging_in = asyncio.Lock()

    @property
    def url(self) -> str | None:
        """URL of the API server; None before the first call."""
        return None if self._client is None else str(self._client.configuration.host)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()  # type: ignore[no-untyped-call]

    async def call(
        self,
        method: str,
        path: str,
        *,
        seconds: float,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = JSON,
    ) -> dict[str, Any]:
        """Send one request and return the object in its response.

        `seconds` is the timeout of the whole call, from connecting to the last byte. `path` is absolute and quoted.
        Raises KubeError.
        """
        limits = aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS)
        try:
            async with asyncio.timeout(seconds):  # includes a login, possibly with an exec plugin
                response = await self._send(method, path, query or {}, body, content_type, limits)
                answer: object = json.loads(await response.response.read())
        except (*_TRANSPORT, ValueError) as error:
            raise Unavailable(f"{method} {path}: {_words(error)}") from error
        if not isinstance(answer, dict):
            raise Unavailable(f"{method} {path}: the response is not a JSON object")
        return answer

    async def pages(self, path: str, *, query: Mapping[str, str], size: int) -> AsyncIterator[dict[str, Any]]:
        """List a collection in pages of at most `size` items, in the API server's format.

        After its resourceVersion expires, the list continues at the next key from a newer state: no item repeats,
        concurrent creations and deletions may or may not appear, and a watch must start at the first page's version.
        """
        query = {**query, "limit": str(size)}
        while True:
            try:
                page = await self.call("GET", path, seconds=LIST_SECONDS, query=query)
            except Expired as error:
                if not error.continue_token:
                    raise
                query["continue"] = error.continue_token
                continue
            yield page
            token = page["metadata"].get("continue")
            if not token:
                return
            query["continue"] = token

    @asynccontextmanager
    async def watch(
        self, path: str, *, query: Mapping[str, str], silence: float
    ) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """Open a watch; yields the API server's events unchanged, bookmarks included.

        The iterator ends when the API server ends the watch. An ERROR event and a silence of more than `silence`
        seconds raise a KubeError.
        """
        limits = aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=silence)
        try:
            async with asyncio.timeout(silence):
                response = await self._send("GET", path, {**query, "watch": "true"}, None, JSON, limits)
        except _TRANSPORT as error:
            raise Unavailable(f"watch of {path}: {_words(error)}") from error
        try:
            yield _events(path, response.response)
        finally:
            response.response.close()

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        content_type: str,
        limits: aiohttp.ClientTimeout,
    ) -> RESTResponse:
        """Send a request and return a successful response with unread body."""
        client = await self._connected(None)
        try:
            response = await _request(client, method, path, query, body, content_type, limits)
        except aiohttp.ClientConnectionError as error:
            # A concurrent call logged in again and closed this session before the request was sent.
            if client is self._client or type(error) is not aiohttp.ClientConnectionError:
                raise
            client = await self._connected(None)
            response = await _request(client, method, path, query, body, content_type, limits)
        if response.status == 401:  # expired or rotated credentials: retry once with fresh ones
            response.response.release()
            client = await self._connected(client)
            response = await _request(client, method, path, query, body, content_type, limits)
        if response.status >= 400:
            raise from_answer(response.status, await response.response.read(), response.headers.get("Retry-After"))
        return response

    async def _connected(self, refused: ApiClient | None) -> ApiClient:
        """Return the current session, or a new one if it is `refused`."""
        async with self._logging_in:
            if self._client is None or self._client is refused:
                try:
                    configuration, _ = await self._login.configure()
                    client = ApiClient(configuration)
                except LoginError as error:
                    raise NotLoggedIn(str(error)) from error
                except (OSError, ValueError) as error:  # a certificate in replacement, or an invalid one
                    raise NotLoggedIn(str(self._login.refuse(_words(error)))) from error
                client.user_agent = self._user_agent
                await self.close()
                self._client = client
            return self._client


async def _request(
    client: ApiClient,
    method: str,
    path: str,
    query: Mapping[str, str],
    body: Mapping[str, Any] | None,
    content_type: str,
    limits: aiohttp.ClientTimeout,
) -> RESTResponse:
    try:
        # Excludes the body, since the client would copy it item by item.
        method, url, headers, _, _ = await client.param_serialize(
            method, path, query_params=dict(query), header_params={"Accept": JSON}, auth_settings=["BearerToken"]
        )
        headers["Content-Type"] = content_type
        return await client.call_api(method, url, headers, body, _request_timeout=limits)
    except (ConfigException, RuntimeError) as error:
        # An empty token file during rotation, or a session closed at exit or by a new login.
        raise Unavailable(f"{method} {path}: {error}") from error


async def _events(path: str, response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    try:
        async for line in response.content:
            event = json.loads(line)
            if event["type"] == "ERROR":
                status = event["object"]
                raise from_answer(int(status.get("code") or 500), status)
            yield event
    except KubeError:
        raise
    except (*_TRANSPORT, ValueError, KeyError, TypeError) as error:
        raise Unavailable(f"watch of {path}: {_words(error)}") from error


def _find_kubeconfig(given: str | None) -> str:
    path = given or str(Path.home() / ".kube" / "config")
    if not any(Path(one).is_file() for one in path.split(os.pathsep)):
        raise FileNotFoundError("no such file")
    return path


def _check_url(server: str) -> None:
    parts = urlsplit(server)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError(f"the server {server!r} is not a URL such as https://host:6443")


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
