"""Injected time and randomness; assembly.py supplies the real ones."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Clocks:
    """Monotonic seconds for delays, wall time for timestamps, randomness for jitter."""

    monotonic: Callable[[], float]
    wall: Callable[[], datetime]
    jitter: random.Random
