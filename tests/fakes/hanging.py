"""Makes an asyncio task hang: its wait ends, and the task does not continue."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

CHECK_SECONDS = 0.2
"""Interval of the check for a cancellation of the task."""


def hang(task: asyncio.Task[Any], *, for_good: bool = False) -> None:
    """Stop the task at its next wait; call this in the event loop of the task.

    Only a cancellation wakes it, and with `for_good` none at the place of the hang, because a time-out cancels too.
    """
    loop = task.get_loop()
    waiter = task._fut_waiter  # type: ignore[attr-defined]  # asyncio has no public way to drop a wake-up
    if waiter is None or not waiter._callbacks:
        loop.call_soon(functools.partial(hang, task, for_good=for_good))
        return
    [wake] = [callback for callback, _ in waiter._callbacks if getattr(callback, "__self__", None) is task]

    def hold_back(waiter: asyncio.Future[Any]) -> None:
        if task.cancelling() and not for_good:
            wake(waiter)
        else:
            loop.call_later(CHECK_SECONDS, hold_back, waiter)

    waiter.remove_done_callback(wake)
    waiter.add_done_callback(hold_back)
