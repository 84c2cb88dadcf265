"""A clock under the control of its test."""


class Clock:
    """Monotonic seconds; a test sets `now`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
