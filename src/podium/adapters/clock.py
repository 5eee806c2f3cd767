"""The Clock port over the operating system: monotonic, anchored at wall time when it was made.

Decides: what `at_ms` is in one process. Never: deadlines. A wall clock that is set back or forth later changes nothing;
`floor_ms` (the last durable `at_ms`) keeps time from falling over a restart on a machine whose clock went back.
"""

import time


class SystemClock:
    """`now_ms` never falls and never is below `floor_ms`."""

    def __init__(self, floor_ms: int = 0) -> None:
        self._anchor_ms = max(time.time_ns() // 1_000_000, floor_ms)
        self._started_ns = time.monotonic_ns()

    def now_ms(self) -> int:
        """Milliseconds since the epoch as anchored at the start, moved by the monotonic clock since."""
        return self._anchor_ms + (time.monotonic_ns() - self._started_ns) // 1_000_000
