"""Who may act: what the rest of the operator sees of the leader election.

The election itself is kube/leader.py's; where it is switched off, `AlwaysLeading` stands in.
"""

import asyncio
from typing import Protocol


class NotLeading(Exception):  # noqa: N818 - a state of this replica rather than an error
    """A mutating call was about to start that could outlive this replica's leadership; nothing was sent."""


class Leadership(Protocol):
    term: int
    """How often this replica has begun to lead; in between another one may have acted."""

    def is_leading(self) -> bool:
        """True while this replica may act; turns False by the clock alone, whatever else is stuck."""

    def fence(self, seconds: float) -> None:
        """Raise NotLeading unless a call that starts now and takes `seconds` at most ends in this leadership."""

    async def until(self, leading: bool) -> None:
        """Wait until this replica leads, or until it does not."""


class AlwaysLeading:
    """The leadership of an operator that runs alone."""

    term = 0

    def is_leading(self) -> bool:
        return True

    def fence(self, seconds: float) -> None:
        """Let every call pass."""

    async def until(self, leading: bool) -> None:
        if not leading:
            await asyncio.get_running_loop().create_future()
