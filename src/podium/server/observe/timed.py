"""The Engine port with a clock: how long judging an update and finishing a version take.

Decides: nothing; it forwards because the port is the one seam that every engine has, and its calls are the work.
"""

from collections.abc import Iterator, Sequence
from time import perf_counter

from podium.core.events import Verdict
from podium.core.rows import LeaseRow
from podium.ports.plane import Arrays, Engine, Metrics, RoundWork


class TimedEngine:
    """`engine`, with the time of its two long calls put into `podium_aggregation_seconds`."""

    def __init__(self, engine: Engine, metrics: Metrics) -> None:
        self._engine = engine
        self._metrics = metrics
        self.drop = engine.drop
        self.added = engine.added

    def judge(self, work: RoundWork, lease: LeaseRow, sealed: Iterator[bytes]) -> Verdict:
        """As `Engine.judge`."""
        began = perf_counter()
        verdict = self._engine.judge(work, lease, sealed)
        self._metrics.observe("podium_aggregation_seconds", perf_counter() - began, job="judge")
        return verdict

    def finish(self, work: RoundWork, leases: Sequence[str]) -> Arrays:
        """As `Engine.finish`."""
        began = perf_counter()
        arrays = self._engine.finish(work, leases)
        self._metrics.observe("podium_aggregation_seconds", perf_counter() - began, job="finish")
        return arrays
