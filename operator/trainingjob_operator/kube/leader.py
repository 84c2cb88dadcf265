"""Leader election on a Lease of coordination.k8s.io/v1.

All spans (`Timing`) are counted by this process's own clock, never by comparing the times of two machines. A renewal
counts from the moment it was sent, so the Lease can't be lost before that moment + `lease`. `fence` holds mutating
calls to that: one is let through only if its time limit ends before. The official client's own elector goes on leading
through a connection error, has no deadline for a renewal and compares wall clocks.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from trainingjob_operator.kube.client import ApiServer
from trainingjob_operator.kube.errors import Conflict, Forbidden, KubeError, NotFound
from trainingjob_operator.leadership import NotLeading

log = logging.getLogger(__name__)

LEASE_NAME = "trainingjob-operator.sagemaker.services.k8s.aws"
RELEASE = 2.0
"""Seconds for giving the Lease back at exit."""

Lease = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds."""

    lease: float = 15.0
    """Others may take the Lease when they have seen it unchanged for so long."""
    renew: float = 10.0
    """A leader whose last good renewal was sent longer ago leads no more."""
    retry: float = 2.0
    """Between two renewals."""
    look: float = 1.0
    """Between two looks of a candidate."""
    call: float = 4.0
    """For one call at most, so that a renewal that hangs leaves time for another."""


DEFAULT_TIMING = Timing()


class Elector:
    """One candidate. `run` campaigns and leads until it is cancelled, which keeps the Lease, or `release`d.

    `identity` belongs to this process alone, never to the next one of the same pod.
    `clock` must count while the machine sleeps (CLOCK_BOOTTIME), or a leader that wakes up believes in its Lease.
    `now` only fills the times that people read in the Lease.
    `may_lead` is false while this replica could do nothing with the Lease: it neither takes nor keeps it then.
    """

    def __init__(
        self,
        api: ApiServer,
        *,
        namespace: str,
        identity: str,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        jitter: random.Random,
        may_lead: Callable[[], bool] = lambda: True,
        name: str = LEASE_NAME,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        self._api = api
        self._name = name
        self._namespace = namespace
        self._identity = identity
        self._clock = clock
        self._now = now
        self._jitter = jitter
        self._may_lead = may_lead
        self._timing = timing
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._lease: Lease | None = None
        self._seen: tuple[object, float] | None = None  # a foreign holder's record, and when it was first seen
        self._renewed_at: float | None = None  # when the renewal that made or kept us leader was sent
        self._released = False
        self._standing_by_for = ""
        self._troubled = False
        self._turn = asyncio.Lock()
        self._leads = asyncio.Event()
        self._waits = asyncio.Event()
        self._waits.set()
        self.term = 0
        self.heartbeat = clock()
        """When the loop last turned, by `clock`; at most three calls and a pause ago, API server or not."""

    def is_leading(self) -> bool:
        return self._renewed_at is not None and self._clock() < self._renewed_at + self._timing.renew

    def fence(self, seconds: float) -> None:
        """Raise NotLeading unless a call of at most `seconds` that starts now ends before the Lease can be lost."""
        if self._renewed_at is None or not self.is_leading():
            raise NotLeading("this replica does not lead")
        if self._clock() + seconds > self._renewed_at + self._timing.lease:
            raise NotLeading("the Lease was not renewed recently enough for this call")

    async def until(self, leading: bool) -> None:
        self._notice_end()  # the election may not have had its turn since
        await (self._leads if leading else self._waits).wait()

    async def run(self) -> None:
        try:
            while not self._released:
                self.heartbeat = self._clock()
                async with self._turn:
                    await self._take_turn()
                await asyncio.sleep(self._pause())
        finally:
            self._settle(None)

    async def release(self) -> None:
        """Lead no more, at once, and give the Lease back so that the next candidate need not wait for its end.

        What the fence let through may still be under way: end that first where it can be awaited.
        """
        led = self.is_leading()
        self._released = True
        self._settle(None)
        try:
            async with asyncio.timeout(RELEASE), self._turn:  # a renewal on its way must not undo the release
                if led and _holder(lease := await self._read()) == self._identity:
                    await self._write(lease, holder="", seconds=RELEASE)
        except (KubeError, TimeoutError) as error:
            log.warning("The Lease could not be given back and ends by itself: %s", error)

    async def _take_turn(self) -> None:
        self._notice_end()
        try:
            if self._released:
                return
            if not self._may_lead():
                self._abstain()
            elif self.is_leading():
                await self._renew()
            else:
                await self._campaign()
            self._troubled = False
        except KubeError as error:
            level = logging.DEBUG if self._troubled else logging.WARNING
            advice = "; the role must allow get, create, update on leases" if isinstance(error, Forbidden) else ""
            log.log(level, "Lease %s/%s: %s%s", self._namespace, self._name, error, advice)
            self._troubled = True
        except Exception:
            log.exception("The election goes on after an unexpected error")
        self._notice_end()

    def _notice_end(self) -> None:
        if self._renewed_at is not None and not self.is_leading():
            log.warning("The Lease was not renewed for %g s: this replica leads no more", self._timing.renew)
            self._settle(None)

    def _abstain(self) -> None:
        """Leave the Lease to others; it ends by itself, as calls may be under way that the fence let through."""
        if self._renewed_at is not None:
            log.warning("The objects can't be listed: this replica leads no more")
            self._settle(None)

    async def _renew(self) -> None:
        try:
            await self._hold(self._lease or await self._read())
        except NotFound:
            log.warning("The Lease was deleted: this replica leads no more")
            self._settle(None)
        except Conflict:  # our own renewal whose answer was lost, an edit of its metadata, or another holder
            lease = await self._read()
            if _holder(lease) == self._identity:
                await self._hold(lease)
            else:
                log.warning("The Lease was taken by %s: this replica leads no more", _holder(lease) or "nobody")
                self._settle(None)

    async def _campaign(self) -> None:
        try:
            lease = await self._read()
        except NotFound:
            lease = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self._name, "namespace": self._namespace},
            }
        if self._may_take(lease):
            try:
                await self._hold(lease)
            except Conflict:
                log.debug("Another candidate was faster")

    def _may_take(self, lease: Lease) -> bool:
        spec = lease.get("spec") or {}
        if _holder(lease) in ("", self._identity):
            return True
        record = (spec.get("holderIdentity"), spec.get("renewTime"), spec.get("leaseTransitions"))
        if self._seen is None or self._seen[0] != record:
            self._tell_holder(_holder(lease))
            self._seen = (record, self._clock())
        return self._clock() >= self._seen[1] + self._duration(spec)

    def _tell_holder(self, holder: str) -> None:
        if self._standing_by_for != holder:
            self._standing_by_for = holder
            log.info("This replica stands by: %s leads", holder)

    def _duration(self, spec: dict[str, Any]) -> float:
        """Seconds that the holder asked for; ours where it left that out."""
        return float(spec.get("leaseDurationSeconds") or self._timing.lease)

    async def _hold(self, lease: Lease) -> None:
        """Write ourselves as the holder, for the first time or again."""
        sent = self._clock()
        self._lease = await self._write(lease, holder=self._identity, seconds=self._limit())
        if self._released:
            return
        if not self.is_leading():
            self._standing_by_for = ""
            log.info("This replica (%s) leads", self._identity)
        self._settle(sent)

    async def _write(self, lease: Lease, *, holder: str, seconds: float) -> Lease:
        """Create or replace; the resourceVersion in it makes a write on a changed Lease a Conflict."""
        moment = self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = dict(lease.get("spec") or {})
        if holder and spec.get("holderIdentity") != holder:
            spec["leaseTransitions"] = (spec.get("leaseTransitions") or 0) + 1 if spec else 0
            spec["acquireTime"] = moment
        spec.update(holderIdentity=holder, renewTime=moment, leaseDurationSeconds=int(self._timing.lease))
        body = {**lease, "spec": spec}
        if "resourceVersion" not in lease["metadata"]:
            return await self._api.call("POST", self._collection, body=body, seconds=seconds)
        return await self._api.call("PUT", f"{self._collection}/{self._name}", body=body, seconds=seconds)

    async def _read(self) -> Lease:
        return await self._api.call("GET", f"{self._collection}/{self._name}", seconds=self._limit())

    def _limit(self) -> float:
        """Seconds for the next call: it must not outlast the leadership that it is to prolong."""
        if self._renewed_at is None:
            return self._timing.call
        return max(0.1, min(self._timing.call, self._renewed_at + self._timing.renew - self._clock()))

    def _pause(self) -> float:
        """Seconds until the next turn, with jitter: early only, so that the spans above are upper limits."""
        span = self._timing.look if self._renewed_at is None else self._timing.retry
        return span * self._jitter.uniform(0.75, 1.0)

    def _settle(self, renewed_at: float | None) -> None:
        leads = renewed_at is not None
        if leads and self._renewed_at is None:
            self.term += 1
        self._renewed_at = renewed_at
        (self._leads if leads else self._waits).set()
        (self._waits if leads else self._leads).clear()


def _holder(lease: Lease) -> str:
    return str((lease.get("spec") or {}).get("holderIdentity") or "")
