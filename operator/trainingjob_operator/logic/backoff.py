"""Exponential back-off without jitter: the pause after the n-th failure in a row."""

from dataclasses import dataclass

LONGEST = 64
"""Doublings after which every limit is reached: a larger power would only cost time."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds after the first failure, doubled by each further one, up to a limit."""

    first: float
    limit: float

    def after(self, failures: int) -> float:
        """Seconds after that many failures in a row; 1 is the first one, and 0 counts as 1."""
        return min(self.limit, self.first * 2.0 ** min(max(0, failures - 1), LONGEST))
