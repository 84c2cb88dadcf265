"""Identities of credentials, from STS; read again whenever they are in doubt."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from trainingjob_operator.aws.credentials import IDENTITY_TIMEOUTS, OWN, Principal, Sessions
from trainingjob_operator.aws.recent import Recent
from trainingjob_operator.logic.jobs.errors import AwsError, ErrorClass

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainingjob_operator.aws.calls import Caller

REUSE_SECONDS: Final = 5.0
"""Validity of an answer from STS: a thousand objects in doubt at once cause one call."""
PRINCIPALS: Final = 256


@dataclass(frozen=True, slots=True)
class CallerIdentity:
    """Identity of a principal."""

    account: str
    partition: str
    arn: str


class Identities:
    """The identities of credentials. `ask` raises AwsError; credentials rejected by STS are renewed."""

    def __init__(self, *, caller: Caller, sessions: Sessions, patience: float, clock: Callable[[], float]) -> None:
        self._caller = caller
        self._sessions = sessions
        self._patience = patience
        self._clock = clock
        self._turn = asyncio.Lock()
        self._slots = asyncio.Semaphore(1)
        self._answers: Recent[Principal, tuple[float, CallerIdentity | AwsError]] = Recent(
            limit=PRINCIPALS, seconds=REUSE_SECONDS, clock=clock
        )

    async def ask(self, principal: Principal = OWN, *, anew: bool = False) -> CallerIdentity:
        """Return the principal's identity; STS is called unless it has just answered, and always with `anew`."""
        async with self._turn:
            known = self._answers.get(principal)
            if anew or known is None or self._clock() >= known[0] + REUSE_SECONDS:
                known = self._clock(), await self._ask(principal)
                self._answers.put(principal, known)
        if isinstance(known[1], AwsError):
            raise known[1]
        return known[1]

    async def _ask(self, principal: Principal) -> CallerIdentity | AwsError:
        try:
            return await self._caller.call(
                "GetCallerIdentity",
                lambda: _read_identity(self._sessions.identity_client(principal).get_caller_identity()),
                patience=self._patience,
                seconds=sum(IDENTITY_TIMEOUTS),
                slots=self._slots,
            )
        except AwsError as error:
            if error.kind is ErrorClass.CREDENTIALS:
                self._sessions.renew(principal)
            return error


def _read_identity(answer: dict[str, Any]) -> CallerIdentity:
    account, arn = answer["Account"], answer["Arn"]
    return CallerIdentity(str(account), str(arn).split(":")[1], str(arn))
