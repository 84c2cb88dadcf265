"""Watcher: supervises Kopf's watch of TrainingJobs and repairs its cache by periodic lists.

Kopf runs in a thread with its own event loop, since it cancels all tasks of its loop on exit, and exits along with its
watch. The watcher restarts it, and a periodic list finds events missed by the watch. Kopf discovers kinds only at
startup and idles if ours is not served; one namespace without the right to watch terminates it. It therefore runs only
while the API server serves the kind, for the namespaces in coverage.py, and restarts on each change of these.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Protocol

import kopf
from kopf._cogs.structs.references import Insights
from kopf._core.engines.peering import Identity

from trainingjob_operator import handlers
from trainingjob_operator.coverage import Coverage, State
from trainingjob_operator.health import Heartbeat
from trainingjob_operator.kube.client import Login
from trainingjob_operator.kube.errors import KubeError, NotFound
from trainingjob_operator.logic.backoff import Backoff
from trainingjob_operator.logic.objects.resource import Key, mapping
from trainingjob_operator.reconciler import Reconciler
from trainingjob_operator.runtime import Runtime

log = logging.getLogger(__name__)

IDENTITY = Identity("trainingjob-operator")
"""Kopf peering identity; unused, but Kopf otherwise requires a user name, and a pod may have none."""
BACKOFF = Backoff(0.5, 30.0)
RELIST_SECONDS = 300.0
RELIST_AGAIN_SECONDS = 5.0
"""Delay after a failed list."""
LISTS_SIDE_BY_SIDE = 8
SILENT_SECONDS = 60.0
"""Silence after which a watch counts as dead if a list shows changes."""
TICK_SECONDS = 1.0
JOIN_SECONDS = 1.5
"""Grace period for Kopf's exit."""


class Lists(Protocol):
    """List and get of TrainingJob objects (kube/objects.py)."""

    def list_pages(
        self, namespace: str | None = None, label_selector: str = ""
    ) -> AsyncIterator[list[dict[str, Any]]]: ...

    async def get(self, namespace: str, name: str) -> dict[str, Any]: ...


class Watcher:
    """Lists and watches the objects of the served namespaces, and queues new and changed ones."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        login: Login,
        lists: Lists,
        coverage: Coverage,
        label_selector: str,
        reconciler: Reconciler,
    ) -> None:
        self._jobs = runtime.jobs
        self._queue = runtime.queue
        self._metrics = runtime.metrics
        self._clocks = runtime.clocks
        self._login = login
        self._lists = lists
        self._coverage = coverage
        self._label_selector = label_selector
        self._reconciler = reconciler
        self.heartbeat = Heartbeat(runtime.clocks.monotonic)
        self._heard_at = self._clocks.monotonic()
        self._listed_at = self._heard_at
        self._unlisted: dict[str, str] = {}
        self.inherited = 0
        """Number of listed objects with a job recorded by another controller."""
        self._stop: Callable[[], object] = lambda: None

    # -- the list -----------------------------------------------------------------------------------------------------

    async def list_all(self) -> int:
        """List every object of the served namespaces by pages; returns the number of changes.

        Logs namespaces with a failed list. Raises KubeError if all lists fail.
        """
        known, shown = self._jobs.versions(), set[Key]()
        slots = asyncio.Semaphore(LISTS_SIDE_BY_SIDE)
        namespaces = sorted(self._coverage.served)
        errors: dict[str, KubeError] = {}
        news = 0

        async def read(namespace: str) -> None:
            nonlocal news
            try:
                async with slots:
                    async for page in self._lists.list_pages(namespace or None, self._label_selector):
                        news += self._take_page(page, known, shown)
            except KubeError as error:
                errors[namespace] = error

        await asyncio.gather(*map(read, namespaces))
        self._log_unlisted(errors)
        self._coverage.note_list(succeeded=len(errors) < len(namespaces))
        if len(errors) == len(namespaces):
            raise next(iter(errors.values()), NotFound("no namespace is served at the moment"))
        for tracked in [tracked for tracked in self._jobs if tracked.key not in shown]:
            if tracked.key[0] not in errors:
                is_selected = not self._label_selector or tracked.key not in known
                news += await self._check_gone(tracked.key, tracked.uid, is_selected=is_selected)
        if not errors:
            self._listed_at = self._clocks.monotonic()
        return news

    @property
    def age(self) -> float:
        """Seconds since the watch delivered a change, or a complete list succeeded: the cache was right then."""
        return self._clocks.monotonic() - max(self._heard_at, self._listed_at)

    def _take_page(self, page: Sequence[Mapping[str, Any]], known: Mapping[Key, int], shown: set[Key]) -> int:
        news = 0
        for body in page:
            key = (body["metadata"]["namespace"], body["metadata"]["name"])
            tracked = self._jobs.see(body, self._clocks.monotonic(), known_before=known.get(key, 0))
            shown.add(key)
            if tracked is not None:
                news += 1
                self.inherited += _is_inherited(body)
                self._queue.add(tracked.key, urgent=_is_going(body))
        return news

    def _log_unlisted(self, errors: Mapping[str, KubeError]) -> None:
        """Log new errors of failed lists."""
        unlisted = {namespace: str(error) for namespace, error in errors.items()}
        for namespace, error in unlisted.items():
            if self._unlisted.get(namespace) != error:
                where = f"in namespace {namespace}" if namespace else "in all namespaces"
                log.warning("Cannot list TrainingJobs %s: %s", where, error)
        self._unlisted = unlisted

    async def _check_gone(self, key: Key, uid: str, *, is_selected: bool) -> bool:
        """Drop an object absent from a list if a read confirms it: a list omits concurrent creations."""
        try:
            body = await self._lists.get(*key)
        except NotFound:
            self._drop(key, uid)
            return True
        if body["metadata"]["uid"] != uid:
            self.take("ADDED", body)
            return True
        if not is_selected:
            self._drop(key, uid)
        return not is_selected

    async def relist(self) -> None:
        """List periodically to find events missed by the watch; never returns."""
        pause = RELIST_SECONDS
        while True:
            await asyncio.sleep(pause * self._clocks.jitter.uniform(0.9, 1.1))
            pause = RELIST_SECONDS
            try:
                news = await self.list_all()
            except KubeError:
                pause = RELIST_AGAIN_SECONDS
                continue
            if news and self._clocks.monotonic() - self._heard_at > SILENT_SECONDS:
                log.warning("The watch missed %d changes found by a list; restarting it", news)
                self._stop()

    # -- the watch ----------------------------------------------------------------------------------------------------

    def take(self, kind: str | None, body: Mapping[str, Any]) -> None:
        """Process one watch event. A DELETED object is only dropped: with selectors it may still exist, relabelled."""
        self._heard_at = self._clocks.monotonic()
        metadata = body["metadata"]
        key = (metadata["namespace"], metadata["name"])
        if kind == "DELETED":
            self._drop(key, metadata["uid"])
            return
        tracked = self._jobs.see(body, self._heard_at)
        if tracked is not None:
            self._queue.add(key, urgent=_is_going(body))

    def _drop(self, key: Key, uid: str) -> None:
        tracked = self._jobs.get(key)
        if tracked is not None and self._jobs.forget(key, uid):
            self._reconciler.forget(tracked)

    async def watch(self) -> None:
        """Run and restart Kopf for the served namespaces; never returns."""
        failures = 0
        state = self._coverage.state
        while True:
            if not self._coverage.served:
                self.heartbeat.tick()
                await self._coverage.change_from(self._coverage.state, TICK_SECONDS)
                continue
            if state != self._coverage.state:
                if None is not state.schema != self._coverage.state.schema:
                    log.info("The schema of TrainingJob changed")
                state = self._coverage.state
                await self._catch_up()
            began = self._clocks.monotonic()
            error = await self._watch_state(state)
            if state != self._coverage.state:
                continue
            failures = 0 if self._clocks.monotonic() - began > BACKOFF.limit else failures + 1
            pause = BACKOFF.after(failures + 1) * self._clocks.jitter.uniform(0.5, 1.0)
            log.warning("Watch ended (%s); restarting in %.1f s", error or "no error", pause)
            self._metrics.watch_restarted()
            await self._coverage.change_from(state, pause)

    async def _catch_up(self) -> None:
        """List anew after a change of coverage or schema, since the cache may be stale."""
        with contextlib.suppress(KubeError):  # logged; `relist` retries
            await self.list_all()

    async def _watch_state(self, state: State) -> BaseException | None:
        """Run Kopf until it exits or its state changes; returns its error, if any."""
        life = asyncio.create_task(self._run_kopf(state.namespaces))
        change = asyncio.create_task(self._coverage.change_from(state, None))
        try:
            await asyncio.wait((life, change), return_when=asyncio.FIRST_COMPLETED)
            if change.done():
                self._stop()
            error = await life
        finally:
            for task in (life, change):
                task.cancel()
            await asyncio.wait((life, change))
        if state == self._coverage.state:
            with contextlib.suppress(KubeError):  # finds a lost right or a deleted CRD
                await self._coverage.survey(anew=True)
        return error

    async def _run_kopf(self, namespaces: frozenset[str]) -> BaseException | None:
        """Run Kopf in a thread until it exits; returns its error, if any."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[BaseException | None] = loop.create_future()

        def intake(kind: str | None, body: Mapping[str, Any]) -> None:
            loop.call_soon_threadsafe(self.take, kind, body)

        def live() -> None:
            error: BaseException | None = None
            try:
                asyncio.run(self._operate(intake, loop, namespaces))
            except BaseException as raised:  # noqa: BLE001  passed to the awaiting coroutine
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop is closed at process exit
                loop.call_soon_threadsafe(_settle, ended, error)

        thread = threading.Thread(target=live, name="kopf", daemon=True)
        thread.start()
        try:
            result = await asyncio.shield(ended)
        except asyncio.CancelledError:
            self._stop()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended, JOIN_SECONDS)
            raise
        return result

    async def _operate(
        self, intake: handlers.Intake, home: asyncio.AbstractEventLoop, namespaces: frozenset[str]
    ) -> None:
        # Not a threading.Event: Kopf waits for it in a thread, and that thread leaks unless the event is set.
        stop, loop = asyncio.Event(), asyncio.get_running_loop()

        def end() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                loop.call_soon_threadsafe(stop.set)

        self._stop = end
        registry = kopf.OperatorRegistry()
        handlers.register(
            registry,
            load_credentials=self._login.load,
            label_selector=self._label_selector,
            intake=intake,
        )
        insights = Insights()

        async def check_kind() -> None:
            await insights.ready_resources.wait()
            if not insights.watched_resources:
                stop.set()

        # Created before Kopf starts, since Kopf cancels tasks created later.
        helpers = [asyncio.create_task(self._beat(home)), asyncio.create_task(check_kind())]
        try:
            await kopf.operator(
                registry=registry,
                insights=insights,
                identity=IDENTITY,
                standalone=True,
                clusterwide=namespaces == {""},
                namespaces=() if namespaces == {""} else sorted(namespaces),
                stop_flag=stop,
            )
        finally:
            for helper in helpers:
                helper.cancel()
        if insights.ready_resources.is_set() and not insights.watched_resources:
            raise NotFound("the API server does not serve the kind")

    async def _beat(self, home: asyncio.AbstractEventLoop) -> None:
        while True:
            home.call_soon_threadsafe(self.heartbeat.tick)
            await asyncio.sleep(TICK_SECONDS)


def _is_going(body: Mapping[str, Any]) -> bool:
    """True for an object in deletion; it is urgent, so that its job stops without delay."""
    return bool(body["metadata"].get("deletionTimestamp"))


def _is_inherited(body: Mapping[str, Any]) -> bool:
    """True if ACK's controller recorded the job; it sets no observedGeneration."""
    status = mapping(body.get("status"))
    return "arn" in mapping(status.get("ackResourceMetadata")) and "observedGeneration" not in status


def _settle(future: "asyncio.Future[BaseException | None]", result: BaseException | None) -> None:
    if not future.done():
        future.set_result(result)
