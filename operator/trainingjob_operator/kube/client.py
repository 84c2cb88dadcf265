"""Connection to the API server: one session, one call method and one watch method.

Bodies are plain dicts, and HTTP errors become those of errors.py. Without the official client: of it the operator would
use the session alone, and its import takes 20 MB and half a second.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from trainingjob_operator.kube.credentials import Credentials, read_token
from trainingjob_operator.kube.errors import Expired, KubeError, NotLoggedIn, Unavailable, from_answer
from trainingjob_operator.kube.login import Login, LoginError

READ_SECONDS = 10.0
"""Timeout of a read of one object."""
WRITE_SECONDS = 8.0
"""Timeout of a write of one object; well below the duration of the Lease."""
LIST_SECONDS = 30.0
"""Timeout of one page of a list."""
CONNECT_SECONDS = 5.0

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
TOKEN_SECONDS = 60.0
"""Interval between reads of a token file."""
LINE_BYTES = 2**21
"""Half of the longest line of a watch; a line holds one object."""

_TRANSPORT = (aiohttp.ClientError, TimeoutError, OSError)


class _Session:
    """An HTTP session with the headers of its credentials; reads a rotating token from its file."""

    def __init__(self, credentials: Credentials, user_agent: str) -> None:
        """Raises OSError or ValueError for unusable certificates."""
        self.credentials = credentials
        self._user_agent = user_agent
        self._clock = asyncio.get_running_loop().time
        self._token, self._read_at = credentials.token, self._clock()
        is_secure = credentials.server.startswith("https")
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=credentials.build_context() if is_secure else True),
            trust_env=False,  # else aiohttp reads .netrc and proxy variables in a thread for each call
            read_bufsize=LINE_BYTES,
        )

    async def close(self) -> None:
        await self._http.close()

    async def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        content_type: str,
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        url = self.credentials.server + path + ("?" + urlencode(query) if query else "")
        try:
            return await self._http.request(
                method,
                URL(url, encoded=True),
                headers=self._headers(content_type),
                data=None if body is None else json.dumps(body).encode(),
                timeout=limits,
                proxy=self.credentials.proxy_url,
                server_hostname=self.credentials.tls_server_name,
            )
        except (RuntimeError, ValueError) as error:
            # A session closed at exit or by a new login, or an empty token file during rotation.
            raise Unavailable(f"{method} {path}: {error}") from error

    def _headers(self, content_type: str) -> dict[str, str]:
        credentials = self.credentials
        if credentials.token_path is not None and self._clock() >= self._read_at + TOKEN_SECONDS:
            self._token, self._read_at = read_token(credentials.token_path), self._clock()
        headers = {"Accept": JSON, "Content-Type": content_type, "User-Agent": self._user_agent}
        return headers | ({"Authorization": f"{credentials.scheme} {self._token}"} if self._token else {})


class ApiServer:
    """One session for all calls and watches; logs in again after the API server rejects the credentials."""

    def __init__(self, login: Login, user_agent: str = "trainingjob-operator") -> None:
        self._login = login
        self._user_agent = user_agent
        self._session: _Session | None = None
        self._logging_in = asyncio.Lock()

    @property
    def url(self) -> str | None:
        """URL of the API server; None before the first call."""
        return None if self._session is None else self._session.credentials.server

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

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
                answer: object = json.loads(await response.read())
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
            yield _events(path, response)
        finally:
            response.close()

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        content_type: str,
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        """Send a request and return a successful response with unread body."""
        session = await self._connected(None)
        try:
            response = await session.request(method, path, query, body, content_type, limits)
        except aiohttp.ClientConnectionError as error:
            # A concurrent call logged in again and closed this session before the request was sent.
            if session is self._session or type(error) is not aiohttp.ClientConnectionError:
                raise
            session = await self._connected(None)
            response = await session.request(method, path, query, body, content_type, limits)
        if response.status == 401:  # expired or rotated credentials: retry once with fresh ones
            response.release()
            session = await self._connected(session)
            response = await session.request(method, path, query, body, content_type, limits)
        if response.status >= 400:
            raise from_answer(response.status, await response.read(), response.headers.get("Retry-After"))
        return response

    async def _connected(self, refused: _Session | None) -> _Session:
        """Return the current session, or a new one if it is `refused`."""
        async with self._logging_in:
            if self._session is None or self._session is refused:
                try:
                    session = _Session(await self._login.load(), self._user_agent)
                except LoginError as error:
                    raise NotLoggedIn(str(error)) from error
                except (OSError, ValueError) as error:  # a certificate in replacement, or an invalid one
                    raise NotLoggedIn(str(self._login.refuse(_words(error)))) from error
                await self.close()
                self._session = session
            return self._session


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


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
