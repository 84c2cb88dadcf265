"""Time and chance, as values that are passed in; assembly.py has the real ones."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Clocks:
    """Monotonic seconds for waiting, wall time for what people read, randomness for staying apart."""

    monotonic: Callable[[], float]
    wall: Callable[[], datetime]
    jitter: random.Random
