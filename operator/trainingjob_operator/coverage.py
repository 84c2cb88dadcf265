"""Coverage: the namespaces that the operator can serve at the moment.

A namespace needs the CRD, the operator's rights and its own existence; all of them can change, so a survey repeats
every few seconds. The log (once), /readyz and a metric report each obstacle. No namespace delays another.
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
"""Interval between surveys."""
DEAF_SECONDS = 30.0
"""Duration of failing lists after which a replica gives up leadership."""
WATCH = "the watch"
"""Name of the readiness part."""

NO_KIND = (
    f"The API server does not serve {PLURAL} of {API_VERSION} with a status subresource: "
    "apply the CustomResourceDefinition in crds/ (kubectl apply --server-side -k crds)."
)


class Discovers(Protocol):
    """Discovery calls (kube/discovery.py)."""

    async def read_schema(self) -> str | None: ...

    async def find_missing(self, rights: Sequence[Right]) -> list[Right]: ...

    async def read_identity(self) -> str: ...


class State(NamedTuple):
    """Inputs of the watch; a change restarts it."""

    schema: str | None
    """Schema version; None while the API server does not serve the kind."""
    namespaces: frozenset[str]
    """Namespaces without obstacle; the empty name means all namespaces."""


class _Finding(NamedTuple):
    """Survey result of one namespace."""

    lacking: tuple[Right, ...] = ()
    is_absent: bool = False

    @property
    def is_obstacle(self) -> bool:
        """True if a required right is missing. An absent namespace is no obstacle: its watch waits for creation."""
        return any(right.is_needed for right in self.lacking)


class Coverage:
    """Surveys the namespaces to serve; an empty sequence means all namespaces, as one."""

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
        """Store the dependencies; makes no call.

        :param beside: rights on other kinds, required once before the first namespace is served
        :param exists: existence check of a namespace; raises KubeError if the answer is unknown
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
        """Namespaces that the operator can serve at the moment."""
        return frozenset() if self.state.schema is None else self.state.namespaces

    @property
    def problems(self) -> str:
        """Obstacles, one sentence each; empty if there are none."""
        return " ".join(self._sentences)

    def can_list(self) -> bool:
        """True after a first list, unless lists have failed for DEAF_SECONDS."""
        since = self._unlistable_since
        return self._listed and bool(self.served) and (since is None or self._clock() < since + DEAF_SECONDS)

    def note_list(self, *, succeeded: bool) -> None:
        """Record the outcome of a list; `succeeded` is False if every namespace failed."""
        self._listed = self._listed or succeeded
        if succeeded:
            self._unlistable_since = None
        elif self._unlistable_since is None:
            self._unlistable_since = self._clock()

    async def run(self, tick: Callable[[], None]) -> None:
        """Survey periodically; never returns."""
        while True:
            await asyncio.sleep(SURVEY_SECONDS)
            tick()
            try:
                await self.survey()
            except KubeError as error:  # keeps the last state
                log.debug("Cannot survey namespaces: %s", error)

    async def change_from(self, state: State, seconds: float | None) -> bool:
        """Wait until the state differs from `state`, or at most `seconds`; True if it differs."""
        try:
            async with asyncio.timeout(seconds):
                while self.state == state:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def survey(self, *, anew: bool = False) -> None:
        """Update the state; checks the rights of served namespaces only if `anew`. Raises KubeError."""
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
        except Forbidden:  # a missing right, or a namespace deleted along with its roles
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
                names = ", ".join(name or "all" for name in sorted(self.served)) or "none"
                log.info("Namespaces served: %s", names)
            self._changed.set()

    def _compose(self) -> list[str]:
        sentences = [] if self.state.schema is not None else [NO_KIND]
        sentences += [
            f"Namespace {namespace} of --watch-namespace does not exist: create it, or remove it from the flag."
            for namespace, finding in self._findings.items()
            if finding.is_absent
        ]
        lacking = dict.fromkeys(
            right for finding in self._findings.values() if not finding.is_absent for right in finding.lacking
        )
        if lacking:
            operator = f"The operator ({self._identity})" if self._identity else "The operator"
            sentences.append(
                f"{operator} is not allowed to {describe(tuple(lacking))}: apply the roles in deploy/{self._advise()}."
            )
        return sentences

    def _advise(self) -> str:
        """Return further advice on missing rights."""
        if self._namespaces == ("",):
            return ", or restrict it with --watch-namespace"
        doubtful = [
            namespace
            for namespace, finding in self._findings.items()
            if any(right.resource == "namespaces" for right in finding.lacking if right.namespace == namespace)
        ]
        return f" (rights are also missing if the namespace does not exist: {', '.join(doubtful)})" if doubtful else ""
