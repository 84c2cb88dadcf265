"""Leader election on a Lease of coordination.k8s.io/v1.

This process measures all durations (`Timing`) by its own clock and never compares clocks of two machines. A renewal
counts from the time of its request, so the Lease cannot be lost before that time + `lease`. `fence` allows a mutating
call only if its timeout ends before. The official client's elector keeps leading through connection errors, has no
renew deadline and compares wall clocks.
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
"""Timeout in seconds for the release of the Lease at exit."""

Lease = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations of the election, in seconds."""

    lease: float = 15.0
    """Lease duration: candidates may take a Lease without renewal for this long."""
    renew: float = 10.0
    """Renew deadline: the leader steps down without a successful renewal for this long."""
    retry: float = 2.0
    """Interval between renewals."""
    poll: float = 1.0
    """Interval between reads of a candidate."""
    call: float = 4.0
    """Timeout of one call; a hanging renewal leaves time for another one."""


DEFAULT_TIMING = Timing()


class Elector:
    """One candidate. `run` campaigns and leads until cancellation, without releasing the Lease, or until `release`.

    `identity` is unique to this process, also among processes of the same pod.
    `clock` must include suspend (CLOCK_BOOTTIME), so that a resumed leader does not trust an expired Lease.
    `now` supplies the timestamps in the Lease, for display only.
    `may_lead` is false while this replica cannot work: it neither acquires nor renews the Lease.
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
        self._seen: tuple[object, float] | None = None  # another holder's record and the time of its first observation
        self._renewed_at: float | None = None  # send time of the last successful renewal while leading
        self._released = False
        self._standing_by_for = ""
        self._troubled = False
        self._turn = asyncio.Lock()
        self._leads = asyncio.Event()
        self._waits = asyncio.Event()
        self._waits.set()
        self.term = 0
        self.heartbeat = clock()
        """Time of the last iteration, by `clock`; at most three calls and a pause ago, even without API server."""

    def is_leading(self) -> bool:
        return self._renewed_at is not None and self._clock() < self._renewed_at + self._timing.renew

    def fence(self, seconds: float) -> None:
        """Raise NotLeading unless a call of at most `seconds` from now ends before the Lease can be lost."""
        if self._renewed_at is None or not self.is_leading():
            raise NotLeading("this replica is not the leader")
        if self._clock() + seconds > self._renewed_at + self._timing.lease:
            raise NotLeading("the Lease was not renewed recently enough for this call")

    async def until(self, leading: bool) -> None:
        self._notice_end()  # `run` may not have iterated since
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
        """Give up leadership and release the Lease, so that another candidate can acquire it without delay.

        Callers must drain calls in flight first.
        """
        led = self.is_leading()
        self._released = True
        self._settle(None)
        try:
            async with asyncio.timeout(RELEASE), self._turn:  # a renewal in flight must not undo the release
                if led and _holder(lease := await self._read()) == self._identity:
                    await self._write(lease, holder="", seconds=RELEASE)
        except (KubeError, TimeoutError) as error:
            log.warning("Failed to release the Lease; it expires by itself: %s", error)

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
            advice = "; grant get, create and update on leases" if isinstance(error, Forbidden) else ""
            log.log(level, "Lease %s/%s: %s%s", self._namespace, self._name, error, advice)
            self._troubled = True
        except Exception:
            log.exception("Leader election continues after an unexpected error")
        self._notice_end()

    def _notice_end(self) -> None:
        if self._renewed_at is not None and not self.is_leading():
            log.warning("Lost leadership: no renewal of the Lease within %g s", self._timing.renew)
            self._settle(None)

    def _abstain(self) -> None:
        """Give up leadership and let the Lease expire, since calls admitted by `fence` may be in flight."""
        if self._renewed_at is not None:
            log.warning("Giving up leadership: cannot list TrainingJobs")
            self._settle(None)

    async def _renew(self) -> None:
        try:
            await self._hold(self._lease or await self._read())
        except NotFound:
            log.warning("Lost leadership: the Lease was deleted")
            self._settle(None)
        except Conflict:  # an earlier renewal with a lost response, an edit of its metadata, or another holder
            lease = await self._read()
            if _holder(lease) == self._identity:
                await self._hold(lease)
            else:
                log.warning("Lost leadership: the Lease is held by %s", _holder(lease) or "no replica")
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
                log.debug("Another candidate acquired the Lease first")

    def _may_take(self, lease: Lease) -> bool:
        spec = lease.get("spec") or {}
        if _holder(lease) in ("", self._identity):
            return True
        record = (spec.get("holderIdentity"), spec.get("renewTime"), spec.get("leaseTransitions"))
        if self._seen is None or self._seen[0] != record:
            self._log_holder(_holder(lease))
            self._seen = (record, self._clock())
        return self._clock() >= self._seen[1] + self._duration(spec)

    def _log_holder(self, holder: str) -> None:
        if self._standing_by_for != holder:
            self._standing_by_for = holder
            log.info("Standing by; the leader is %s", holder)

    def _duration(self, spec: dict[str, Any]) -> float:
        """Return the Lease duration of its holder in seconds; defaults to ours."""
        return float(spec.get("leaseDurationSeconds") or self._timing.lease)

    async def _hold(self, lease: Lease) -> None:
        """Acquire or renew the Lease."""
        sent = self._clock()
        self._lease = await self._write(lease, holder=self._identity, seconds=self._limit())
        if self._released:
            return
        if not self.is_leading():
            self._standing_by_for = ""
            log.info("Became leader as %s", self._identity)
        self._settle(sent)

    async def _write(self, lease: Lease, *, holder: str, seconds: float) -> Lease:
        """Create or replace the Lease; its resourceVersion turns a concurrent change into a Conflict."""
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
        """Return the timeout of the next call in seconds; a renewal must not outlast the leadership."""
        if self._renewed_at is None:
            return self._timing.call
        return max(0.1, min(self._timing.call, self._renewed_at + self._timing.renew - self._clock()))

    def _pause(self) -> float:
        """Return the seconds until the next iteration; jitter only shortens them: `Timing` is an upper bound."""
        span = self._timing.poll if self._renewed_at is None else self._timing.retry
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
