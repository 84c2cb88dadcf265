"""An event loop with a clock that moves only while all tasks wait: hours pass in milliseconds, in a fixed order."""

from __future__ import annotations

import asyncio
import functools
import selectors
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

P = ParamSpec("P")
T = TypeVar("T")

BEGIN = 1000.0
"""Initial time of the clock; not zero, so that no code takes a time for a missing one."""


TURN = 1e-9
"""Seconds of one turn of the loop. asyncio may run a timer early by one resolution of its clock (a nanosecond);
callbacks that then sleep for the remaining time would keep the loop at one moment for ever.
"""


class _Patience(selectors.DefaultSelector):
    """A selector that never blocks: each turn advances time by the time-out of the loop and by the cost of a turn."""

    def __init__(self) -> None:
        super().__init__()
        self.now = BEGIN

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("all tasks wait, and no timer is set")
        self.now += max(TURN, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._patience = _Patience()
        super().__init__(self._patience)

    def time(self) -> float:
        return self._patience.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """asyncio.run in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def in_virtual_time(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Decorate a coroutine function, such as a test, to run to its end in virtual time when called."""

    @functools.wraps(function)
    def run_function(*arguments: P.args, **named: P.kwargs) -> T:
        return run(function(*arguments, **named))

    return run_function
