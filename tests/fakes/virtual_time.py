"""An event loop whose clock moves only when everybody waits: hours pass in milliseconds, always in the same order."""

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
"""What the clock shows at first; not zero, so that a time is never taken for none."""


TURN = 1e-9
"""Seconds that one turn of the loop takes. asyncio may run a timer up to one resolution of its clock (a nanosecond)
early; callbacks that then ask for the rest of their time would keep the loop busy at one moment for ever."""


class _Patience(selectors.DefaultSelector):
    """Waits for nothing: each turn moves time on by as much as the loop would have slept, and by what a turn takes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = BEGIN

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits for somebody else")
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
    """Decorate a coroutine function, such as a test, to run to its end in virtual time when it is called."""

    @functools.wraps(function)
    def run_function(*arguments: P.args, **named: P.kwargs) -> T:
        return run(function(*arguments, **named))

    return run_function
