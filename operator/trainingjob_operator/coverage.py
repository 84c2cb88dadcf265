"""Which namespaces can be served now: the kind is served, the rights are there, the namespace exists.

Asked again every few seconds, because each of it comes and goes. What can't be served is shown in the log (once), in
readiness and in a metric, and never keeps the other namespaces waiting.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from trainingjob_operator.health import Readiness
from trainingjob_operator.kube.discovery import Right, describe, rights_in
from trainingjob_operator.kube.errors import Forbidden, KubeError
from trainingjob_operator.kube.objects import API_VERSION, PLURAL
from trainingjob_operator.metrics import Metrics

log = logging.getLogger(__name__)

SURVEY_SECONDS = 3.0
"""Between two surveys."""
DEAF_SECONDS = 30.0
"""A replica that can't list for so long must not lead."""
WATCH = "the watch"
"""The part of readiness."""

NO_KIND = (
    f"The API server does not serve {PLURAL} of {API_VERSION} with a status subresource: "
    "apply the CustomResourceDefinition in crds/ (kubectl apply --server-side -k crds)."
)


class Discovers(Protocol):
    """kube/discovery.py."""

    async def read_schema(self) -> str | None: ...

    async def find_missing(self, rights: Sequence[Right]) -> list[Right]: ...

    async def read_identity(self) -> str: ...


class State(NamedTuple):
    """What the watch depends on."""

    schema: str | None
    """None while the kind is not served."""
    namespaces: frozenset[str]
    """Those that can be served once the kind is; an empty name stands for all."""


class _Finding(NamedTuple):
    """One namespace."""

    lacking: tuple[Right, ...] = ()
    is_absent: bool = False

    @property
    def is_obstacle(self) -> bool:
        """An absent namespace can be watched: its objects are seen once it is created."""
        return any(right.is_needed for right in self.lacking)


class Coverage:
    """Surveys the namespaces to serve; none means all of them, as one."""

    def __init__(
        self,
        *,
        namespaces: Sequence[str],
        beside: Sequence[Right],
        discovery: Discovers,
        exists: Callable[[str], Awaitable[bool]],
        readiness: Readiness,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        """Ask nothing yet.

        :param beside: further rights, without which nothing is begun to be served
        :param exists: whether a namespace exists; raises KubeError where that can't be told
        :param clock: monotonic seconds
        """
        self._namespaces = tuple(namespaces) or ("",)
        self._beside = tuple(beside)
        self._discovery = discovery
        self._exists = exists
        self._readiness = readiness
        self._metrics = metrics
        self._clock = clock
        self._listed = False
        self._unlistable_since: float | None = None
        self._changed = asyncio.Event()
        self._findings: dict[str, _Finding] = {}
        self._sentences: list[str] = []
        self._identity = ""
        self.state = State(None, frozenset())

    @property
    def served(self) -> frozenset[str]:
        """The namespaces that can be served now."""
        return frozenset() if self.state.schema is None else self.state.namespaces

    @property
    def problems(self) -> str:
        """What is missing, one sentence each; empty where nothing is."""
        return " ".join(self._sentences)

    def can_list(self) -> bool:
        """Whether what exists is known: it was listed, and lists have not failed for long."""
        since = self._unlistable_since
        return self._listed and bool(self.served) and (since is None or self._clock() < since + DEAF_SECONDS)

    def note_list(self, *, succeeded: bool) -> None:
        """The objects were listed, or none of them could be."""
        self._listed = self._listed or succeeded
        if succeeded:
            self._unlistable_since = None
        elif self._unlistable_since is None:
            self._unlistable_since = self._clock()

    async def run(self, tick: Callable[[], None]) -> None:
        """Survey for ever."""
        while True:
            await asyncio.sleep(SURVEY_SECONDS)
            tick()
            try:
                await self.survey()
            except KubeError as error:  # nothing is known to have changed
                log.debug("The namespaces can't be surveyed: %s", error)

    async def change_from(self, state: State, seconds: float | None) -> bool:
        """Wait until the state is another one, for so many seconds at most if any; whether it is."""
        try:
            async with asyncio.timeout(seconds):
                while self.state == state:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def survey(self, *, anew: bool = False) -> None:
        """Find out what can be served; of a namespace that is served, rights are asked for `anew` only.

        Raises KubeError.
        """
        schema = await self._discovery.read_schema()
        findings = {namespace: await self._find(namespace, anew=anew) for namespace in self._namespaces}
        if any(finding.lacking for finding in findings.values()) and not self._identity:
            self._identity = await self._discovery.read_identity()
        self._findings = findings
        self._settle(State(schema, frozenset(name for name, finding in findings.items() if not finding.is_obstacle)))

    async def _find(self, namespace: str, *, anew: bool) -> _Finding:
        known = self._findings.get(namespace)
        lacking = () if known is None else known.lacking
        try:
            is_absent = bool(namespace) and not await self._exists(namespace)
        except Forbidden:  # a missing right, or the namespace went and its roles with it
            is_absent, anew = False, True
        if anew or known is None or lacking:
            rights = [*rights_in(namespace), *self._beside]
            lacking = tuple(await self._discovery.find_missing(rights))
        return _Finding(lacking, is_absent)

    def _settle(self, state: State) -> None:
        before, served = self.state, self.served
        self.state = state
        sentences = self._compose()
        for sentence in sentences:
            if sentence not in self._sentences:
                log.warning("%s", sentence)
        self._sentences = sentences
        for namespace, finding in self._findings.items():
            self._metrics.namespace_is_served(namespace, namespace in self.served and not finding.is_absent)
        self._readiness.note(WATCH, sentences)
        if self.served:
            self._beside = ()
            self._readiness.reached(WATCH)
        else:
            self._readiness.wait_for(WATCH, self.problems)
        if state != before:
            if served != self.served:
                log.info("Served: %s", ", ".join(name or "all namespaces" for name in sorted(self.served)) or "nothing")
            self._changed.set()

    def _compose(self) -> list[str]:
        sentences = [] if self.state.schema is not None else [NO_KIND]
        sentences += [
            f"The namespace {namespace} of --watch-namespace does not exist: create it, or remove it there."
            for namespace, finding in self._findings.items()
            if finding.is_absent
        ]
        lacking = dict.fromkeys(
            right for finding in self._findings.values() if not finding.is_absent for right in finding.lacking
        )
        if lacking:
            operator = f"The operator ({self._identity})" if self._identity else "The operator"
            sentences.append(
                f"{operator} may not {describe(tuple(lacking))}: apply the roles in deploy/{self._advise()}."
            )
        return sentences

    def _advise(self) -> str:
        """What else may mend missing rights."""
        if self._namespaces == ("",):
            return ", or restrict it with --watch-namespace"
        doubtful = [
            namespace
            for namespace, finding in self._findings.items()
            if any(right.resource == "namespaces" for right in finding.lacking if right.namespace == namespace)
        ]
        return f" (a namespace that does not exist gives no right either: {', '.join(doubtful)})" if doubtful else ""
