"""A loop that hangs: what it waits for comes, and it does not go on."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

LOOK_SECONDS = 0.2
"""How often it is looked whether the task was cancelled meanwhile."""


def hang(task: asyncio.Task[Any], *, for_good: bool = False) -> None:
    """The task goes on no more from where it waits next; to be called from within its loop.

    Only its cancellation wakes it, and that neither where it hangs `for_good`, as a time-out cancels too.
    """
    loop = task.get_loop()
    waiter = task._fut_waiter  # type: ignore[attr-defined]  # there is no public way to lose a wake-up
    if waiter is None or not waiter._callbacks:
        loop.call_soon(functools.partial(hang, task, for_good=for_good))
        return
    [wake] = [callback for callback, _ in waiter._callbacks if getattr(callback, "__self__", None) is task]

    def hold_back(waiter: asyncio.Future[Any]) -> None:
        if task.cancelling() and not for_good:
            wake(waiter)
        else:
            loop.call_later(LOOK_SECONDS, hold_back, waiter)

    waiter.remove_done_callback(wake)
    waiter.add_done_callback(hold_back)
