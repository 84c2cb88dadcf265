"""Leadership: the interface of leader election for the rest of the operator.

kube/leader.py implements the election; `AlwaysLeading` replaces it if leader election is disabled.
"""

import asyncio
from typing import Protocol


class NotLeading(Exception):  # noqa: N818 - a state of this replica rather than an error
    """Rejection of a mutating call that could outlive this replica's leadership; nothing was sent."""


class Leadership(Protocol):
    term: int
    """Number of terms of this replica; another replica may have acted between two terms."""

    def is_leading(self) -> bool:
        """True while this replica is the leader; turns False by the clock alone, even if all else is blocked."""

    def fence(self, seconds: float) -> None:
        """Raise NotLeading unless a call of at most `seconds` from now ends within this leadership."""

    async def until(self, leading: bool) -> None:
        """Wait until this replica leads, or with `leading=False` until it does not."""


class AlwaysLeading:
    """Leadership of a single replica without election."""

    term = 0

    def is_leading(self) -> bool:
        return True

    def fence(self, seconds: float) -> None:
        """Let every call pass."""

    async def until(self, leading: bool) -> None:
        if not leading:
            await asyncio.get_running_loop().create_future()
