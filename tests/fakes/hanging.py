"""A loop that hangs: what it waits for comes, and it does not go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

LOOK_SECONDS = 0.2
"""How often it is looked whether the task was cancelled meanwhile."""


def hang(task: asyncio.Task[Any]) -> None:
    """The task goes on no more from where it waits next, unless it is cancelled; to be called from within its loop."""
    loop = task.get_loop()
    waiter = task._fut_waiter  # type: ignore[attr-defined]  # there is no public way to lose a wake-up
    if waiter is None or not waiter._callbacks:
        loop.call_soon(hang, task)
        return
    [(wake, _)] = waiter._callbacks

    def hold_back(waiter: asyncio.Future[Any]) -> None:
        if task.cancelling():
            wake(waiter)
        else:
            loop.call_later(LOOK_SECONDS, hold_back, waiter)

    waiter.remove_done_callback(wake)
    waiter.add_done_callback(hold_back)
