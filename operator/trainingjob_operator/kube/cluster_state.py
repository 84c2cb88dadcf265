"""State of the cluster besides TrainingJobs: namespaces, ACK's account map and role selectors, the cluster ID.

List and watch keep a cache of each collection. Misses (a new namespace, a broken watch) are read by name; without the
right to watch, all reads are by name and repeat every POLL seconds. An unreadable namespace is an error, since its
annotations may forbid an action, and so are unreadable role selectors, which may select another account. An unreadable
account map counts as absent, with one log line. logic/objects/ and logic/decide/accounts.py interpret the data.
"""

import asyncio
import enum
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import quote

from trainingjob_operator.kube.client import LIST_SECONDS, READ_SECONDS, ApiServer
from trainingjob_operator.kube.errors import Forbidden, KubeError, NotFound, Unavailable
from trainingjob_operator.logic.backoff import Backoff
from trainingjob_operator.logic.decide.accounts import ACCOUNT_MAP
from trainingjob_operator.logic.objects.role_selectors import RoleSelector

log = logging.getLogger(__name__)

ANNOTATION_PREFIXES = ("services.k8s.aws/", "sagemaker.services.k8s.aws/")
PAGE_SIZE = 500
"""Objects of a page."""
SERVICES, SELECTORS = "/apis/services.k8s.aws/v1alpha1", "iamroleselectors"
"""ACK's kinds for all services, and the one of role selectors."""

WATCH = 60.0
"""timeoutSeconds of a watch."""
PATIENCE = 1.25
"""Silence after which a watch counts as dead, as a multiple of its timeout."""
POLL = 30.0
"""Seconds between reads by name without the right to watch."""
POLLS_BEFORE_WATCH = 20
"""Number of polls before another attempt to watch, since roles change."""
REUSE_SECONDS = 5.0
"""Validity of a list of role selectors while no watch is open."""
BACKOFF = Backoff(1.0, 30.0)
MAX_SILENCE = WATCH * PATIENCE + BACKOFF.limit + LIST_SECONDS
"""Upper bound of the heartbeat's age, regardless of the API server."""

_Value = Mapping[str, Any]


class _Mode(enum.Enum):
    BLIND = "the cache may be stale; read by name"
    WATCHING = "the cache is up to date; read misses by name"
    POLLING = "no right to watch; read cached names periodically"


@dataclass(frozen=True, slots=True)
class _Collection:
    """A collection of one kind, optionally restricted to one name, with the projection of each object."""

    what: str
    path: str
    query: Mapping[str, str]
    keep: Callable[[Mapping[str, Any]], _Value]
    absent_if_forbidden: bool = False


class _Mirror:
    """Cache of a collection by object name."""

    def __init__(
        self,
        api: ApiServer,
        collection: _Collection,
        changed: Callable[[str], None],
        *,
        clock: Callable[[], float],
        jitter: random.Random,
        watch_seconds: float,
        poll_seconds: float,
    ) -> None:
        self._api = api
        self._collection = collection
        self._changed = changed
        self._clock = clock
        self._jitter = jitter
        self._watch_seconds = watch_seconds
        self._poll_seconds = poll_seconds
        self._mode = _Mode.BLIND
        self._known: dict[str, _Value | None] = {}
        self._given: dict[str, _Value | None] = {}  # values handed to callers, until they change
        self._denials: set[str] = set()
        self._readable: set[str] = set()
        self.heartbeat = clock()

    async def get(self, name: str) -> _Value | None:
        """Return the object's value, None if it does not exist; raises Forbidden or Unavailable if that is unknown."""
        if self._mode is not _Mode.BLIND and name in self._known:
            value = self._known[name]
        else:
            value = await self._read(name)
            if self._mode is _Mode.POLLING:
                self._known[name] = value
        self._given[name] = value
        return value

    async def run(self) -> None:
        """Follow the collection until cancelled."""
        failures = 0
        while True:
            self.heartbeat = self._clock()
            try:
                await self._follow()
            except Forbidden as error:
                self._deny("cannot be watched and are polled", error, logging.INFO)
                await self._poll()
                continue
            except KubeError as error:
                log.debug("Watching %s: %s", self._collection.what, error)
            except Exception:
                log.exception("Watch of %s continues after an unexpected error", self._collection.what)
            failures = 1 if self._mode is _Mode.WATCHING else failures + 1
            self._mode = _Mode.BLIND
            await asyncio.sleep(BACKOFF.after(failures) * self._jitter.uniform(0.5, 1.0))

    async def _follow(self) -> NoReturn:
        """List, then watch, with consecutive watches until an error."""
        version = await self._list()
        while True:
            self.heartbeat = opened = self._clock()
            query = {
                **self._collection.query,
                "resourceVersion": version,
                "timeoutSeconds": str(int(self._watch_seconds)),
                "allowWatchBookmarks": "true",
            }
            silence = self._watch_seconds * PATIENCE
            async with self._api.watch(self._collection.path, query=query, silence=silence) as events:
                self._mode = _Mode.WATCHING
                async for event in events:
                    self.heartbeat = self._clock()
                    metadata = event["object"]["metadata"]
                    version = metadata["resourceVersion"]
                    if event["type"] == "DELETED":
                        self._known.pop(metadata["name"], None)
                        self._readable.discard(metadata["name"])
                        self._compare(metadata["name"])
                    elif event["type"] != "BOOKMARK":
                        self._known[metadata["name"]] = self._collection.keep(event["object"])
                        self._readable.add(metadata["name"])
                        self._compare(metadata["name"])
            if self._clock() < opened + 1.0:
                raise Unavailable("the API server ended the watch at once")

    async def _list(self) -> str:
        """Replace the cache; returns the resourceVersion for the watch."""
        found, version = await self._fetch()
        self._known = found
        self._readable = set(found)
        for name in list(self._given):
            self._compare(name)
        return version

    async def _fetch(self) -> tuple[dict[str, Any], str]:
        """Return the collection from the API server, with its resourceVersion."""
        found: dict[str, Any] = {}
        version = ""
        async for page in self._api.pages(self._collection.path, query=self._collection.query, size=PAGE_SIZE):
            self.heartbeat = self._clock()
            version = version or str(page["metadata"]["resourceVersion"])
            for item in page.get("items") or ():
                found[item["metadata"]["name"]] = self._collection.keep(item)
        return found, version

    async def _poll(self) -> None:
        """Read requested names periodically, for POLLS_BEFORE_WATCH rounds."""
        self._mode = _Mode.POLLING
        for _ in range(POLLS_BEFORE_WATCH):
            self._known = {}
            for name in list(self._given):
                self.heartbeat = self._clock()
                try:
                    self._known[name] = await self._read(name)
                except KubeError as error:
                    log.debug("Reading %s %s: %s", self._collection.what, name, error)
                else:
                    self._compare(name)
            self.heartbeat = self._clock()
            await asyncio.sleep(self._poll_seconds * self._jitter.uniform(0.75, 1.0))

    async def _read(self, name: str) -> _Value | None:
        path = f"{self._collection.path}/{quote(name, safe='')}"
        try:
            value = self._collection.keep(await self._api.call("GET", path, seconds=READ_SECONDS))
        except NotFound:
            self._readable.discard(name)
            return None
        except Forbidden as error:
            if name in self._readable or not self._collection.absent_if_forbidden:
                raise
            self._deny("cannot be read and count as absent", error, logging.WARNING)
            return None
        self._readable.add(name)
        return value

    def _compare(self, name: str) -> None:
        """Call `changed` if the value differs from the one handed to callers."""
        if name in self._given and self._given[name] != self._known.get(name):
            del self._given[name]
            self._changed(name)

    def _deny(self, consequence: str, error: Forbidden, level: int) -> None:
        if consequence not in self._denials:
            self._denials.add(consequence)
            log.log(level, "%s %s: %s", self._collection.what, consequence, error)


class _Selectors(_Mirror):
    """Cache of the IAMRoleSelectors as a whole: any of them may match an object.

    While no watch is open, a list answers for REUSE_SECONDS: ACK's CRD may appear and disappear at any time.
    """

    def __init__(self, api: ApiServer, changed: Callable[[str], None], **options: Any) -> None:
        collection = _Collection("IAMRoleSelectors", f"{SERVICES}/{SELECTORS}", {}, _selector)
        super().__init__(api, collection, changed, **options)
        self._turn = asyncio.Lock()
        self._listed: tuple[float, Mapping[str, Any] | KubeError] | None = None
        self._used: Mapping[str, Any] | None = None  # what the caller of all() has, until it changes

    async def all(self) -> Mapping[str, RoleSelector]:
        """Return the selectors by name; raises Forbidden or Unavailable if they are unknown."""
        found: Mapping[str, Any] | KubeError = self._known
        if self._mode is not _Mode.WATCHING:
            async with self._turn:
                if self._listed is None or self._clock() >= self._listed[0] + REUSE_SECONDS:
                    self._listed = self._clock(), await self._read_all()
                found = self._listed[1]
        if isinstance(found, KubeError):
            raise found
        self._used = dict(found)
        return {name: RoleSelector(**selector) for name, selector in found.items()}

    async def _read_all(self) -> Mapping[str, Any] | KubeError:
        try:
            found, _ = await self._fetch()
        except NotFound:
            return {}
        except Forbidden as error:
            return error if await self._is_served() else {}
        except KubeError as error:
            return error
        return found

    async def _is_served(self) -> bool:
        """Check the existence of ACK's CRD, which everybody may: without the right to list, a list does not show it."""
        try:
            group = await self._api.call("GET", SERVICES, seconds=READ_SECONDS)
        except NotFound:
            return False
        except KubeError:
            return True
        return any(resource.get("name") == SELECTORS for resource in group.get("resources") or ())

    async def _list(self) -> str:
        try:
            self._known, version = await self._fetch()
        except NotFound:
            self._known = {}
            self._compare()
            raise
        self._compare()
        return version

    async def _poll(self) -> None:
        """Wait; a list without a watch behind it shows changes, too."""
        self._mode = _Mode.BLIND
        self.heartbeat = self._clock()
        await asyncio.sleep(self._poll_seconds * self._jitter.uniform(0.75, 1.0))

    def _compare(self, name: str = "") -> None:
        if self._used is not None and self._used != self._known:
            self._used = None
            self._changed(name)


class ClusterState:
    """Namespaces, the account map and the role selectors; `run` keeps them up to date.

    `changed` is called with the name of a namespace after a change of its annotations or labels, and with None after a
    change of the account map or the selectors: objects decided by old values need another reconcile.
    """

    def __init__(
        self,
        api: ApiServer,
        *,
        system_namespace: str,
        changed: Callable[[str | None], None],
        clock: Callable[[], float],
        jitter: random.Random,
        watch_seconds: float = WATCH,
        poll_seconds: float = POLL,
        follows_selectors: bool = True,
    ) -> None:
        self._api = api
        namespaces = _Collection("Namespaces", "/api/v1/namespaces", {}, _marks)
        account_maps = _Collection(
            f"ConfigMaps {ACCOUNT_MAP}",
            f"/api/v1/namespaces/{quote(system_namespace, safe='')}/configmaps",
            {"fieldSelector": f"metadata.name={ACCOUNT_MAP}"},
            _data,
            absent_if_forbidden=True,
        )
        options: dict[str, Any] = {
            "clock": clock,
            "jitter": jitter,
            "watch_seconds": watch_seconds,
            "poll_seconds": poll_seconds,
        }
        self._namespaces = _Mirror(api, namespaces, changed, **options)
        self._account_maps = _Mirror(api, account_maps, lambda _: changed(None), **options)
        self._selectors = _Selectors(api, lambda _: changed(None), **options) if follows_selectors else None

    @property
    def heartbeat(self) -> float:
        """Time of the slowest loop's last iteration, by the clock; at most MAX_SILENCE ago in a healthy process."""
        return min(mirror.heartbeat for mirror in self._mirrors())

    async def run(self) -> None:
        await asyncio.gather(*(mirror.run() for mirror in self._mirrors()))

    def _mirrors(self) -> tuple[_Mirror, ...]:
        common = self._namespaces, self._account_maps
        return common if self._selectors is None else (*common, self._selectors)

    async def exists(self, namespace: str) -> bool:
        """Check the existence of a namespace; raises Forbidden or Unavailable if it is unknown."""
        return await self._namespaces.get(namespace) is not None

    async def annotations(self, namespace: str) -> Mapping[str, str]:
        """Return the annotations with ANNOTATION_PREFIXES; raises Forbidden or Unavailable if they are unknown."""
        marks: Mapping[str, Mapping[str, str]] = await self._namespaces.get(namespace) or {}
        return marks.get("annotations", {})

    async def labels(self, namespace: str) -> Mapping[str, str]:
        """Return the labels of the namespace; raises Forbidden or Unavailable if they are unknown."""
        marks: Mapping[str, Mapping[str, str]] = await self._namespaces.get(namespace) or {}
        return marks.get("labels", {})

    async def account_roles(self) -> Mapping[str, str] | None:
        """Return the account map (account to role ARN); None without a map or without the right to read it.

        Raises Forbidden or Unavailable if the map is unknown.
        """
        return await self._account_maps.get(ACCOUNT_MAP)

    async def role_selectors(self) -> Mapping[str, RoleSelector]:
        """Return ACK's IAMRoleSelectors by name, none where their kind is not served or not followed.

        Raises Forbidden or Unavailable if they are unknown.
        """
        return {} if self._selectors is None else await self._selectors.all()

    async def cluster_id(self) -> str | None:
        """Return the UID of kube-system; None without the right to read it. Raises Unavailable."""
        try:
            body = await self._api.call("GET", "/api/v1/namespaces/kube-system", seconds=READ_SECONDS)
        except Forbidden:
            return None
        return str(body["metadata"]["uid"])


def _marks(body: Mapping[str, Any]) -> _Value:
    annotations = body["metadata"].get("annotations") or {}
    return {
        "annotations": {key: value for key, value in annotations.items() if key.startswith(ANNOTATION_PREFIXES)},
        "labels": body["metadata"].get("labels") or {},
    }


def _data(body: Mapping[str, Any]) -> _Value:
    return body.get("data") or {}


def _selector(body: Mapping[str, Any]) -> _Value:
    return {"spec": body.get("spec") or {}, "resource_version": body["metadata"]["resourceVersion"]}
