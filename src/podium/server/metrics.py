"""Counters and gauges for Prometheus, in a registry of their own.

Decides: names (`podium_*`) and label values, all from closed sets, never per device. Never: who may read them: /metrics
carries no secret and no id. Source: the Metrics port (ports/plane.py).
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from podium.core.state import State
from podium.core.views.fleet import online
from podium.server.loop.loop import Loop
from podium.wire.problems import PodiumError


class PlaneMetrics(Collector):
    """The Metrics port, and the gauges that are read from the loop when somebody scrapes."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._loop: Loop | None = None

    def watch(self, loop: Loop) -> None:
        """Read the gauges from this loop from now on."""
        self._loop = loop
        self._registry.register(self)

    def count(self, name: str, by: int = 1, **labels: str) -> None:
        """Add to the counter `podium_<name>_total`; a name always has the same labels."""
        counter = self._counters.get(name)
        if counter is None:
            counter = Counter(f"podium_{name}", name.replace("_", " "), sorted(labels), registry=self._registry)
            self._counters[name] = counter
        (counter.labels(**labels) if labels else counter).inc(by)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set the gauge `podium_<name>`; a name always has the same labels."""
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = Gauge(f"podium_{name}", name.replace("_", " "), sorted(labels), registry=self._registry)
            self._gauges[name] = gauge
        (gauge.labels(**labels) if labels else gauge).set(value)

    def render(self) -> bytes:
        """Everything in Prometheus' text format, version 0.0.4. Called on the event loop's thread."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges of this moment."""
        if self._loop is None:
            return
        yield GaugeMetricFamily("podium_ready", "1 while the plane takes requests", float(not self._loop.broken))
        yield GaugeMetricFamily("podium_requests_waiting", "undecided requests", self._loop.waiting)
        yield GaugeMetricFamily("podium_steps_ahead", "steps not durable yet", self._loop.steps_ahead)
        try:
            state = self._loop.state
        except PodiumError:
            return  # a plane without a core has no devices to count
        yield from _counted(state, self._loop.now_ms())


def _counted(state: State, now_ms: int) -> Iterator[GaugeMetricFamily]:
    yield GaugeMetricFamily("podium_devices", "enrolled devices", len(state.devices))
    yield GaugeMetricFamily("podium_devices_online", "devices heard lately", online(state, now_ms))
    yield GaugeMetricFamily("podium_rounds_open", "open rounds", len(state.open))
    yield GaugeMetricFamily("podium_leases_live", "leases offered or held", len(state.live_lease))
    runs = GaugeMetricFamily("podium_runs", "runs by state", labels=["state"])
    for name in sorted({run.state for run in state.runs.values()}):
        runs.add_metric([name], sum(run.state == name for run in state.runs.values()))
    yield runs
