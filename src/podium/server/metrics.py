"""Counters and histograms for Prometheus, in a registry of their own, made from the one table (observe/table.py).

Decides: nothing but how they are kept. Never: names and labels (the table), nor who may read them (observe/scrape.py).
What is counted is counted from any thread; a series is looked up once and then kept.
Source: the Metrics port (ports/plane.py); the text format 0.0.4 of Prometheus.
"""

from itertools import product
from math import prod

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.registry import Collector

from podium.server.observe.table import BY_NAME, METRICS, OTHER, Metric, bounded
from podium.wire.problems import Bug

disable_created_metrics()

SERIES_AT_ONCE_MAX = 64
"""Counters of at most so many series begin at 0, so that the first increase is seen as one."""


class PlaneMetrics:
    """The Metrics port over the table; `watch` adds what is read when somebody scrapes."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._counters: dict[tuple[str, ...], Counter] = {}
        self._histograms: dict[tuple[str, ...], Histogram] = {}
        self._families = {metric.name: self._family(metric) for metric in METRICS if metric.kind != "gauge"}

    def _family(self, metric: Metric) -> Counter | Histogram:
        names = sorted(metric.labels)
        if metric.kind == "histogram":
            return Histogram(metric.name, metric.meaning, names, registry=self._registry, buckets=metric.buckets)
        family = Counter(metric.name, metric.meaning, names, registry=self._registry)
        if metric.labels and prod(len(values) for values in metric.labels.values()) <= SERIES_AT_ONCE_MAX:
            for values in product(*metric.labels.values()):
                if OTHER not in values:
                    family.labels(**dict(zip(metric.labels, values, strict=True)))
        return family

    def watch(self, gauges: Collector) -> None:
        """Read these too at every scrape."""
        self._registry.register(gauges)

    def count(self, name: str, by: int = 1, **labels: str) -> None:
        """Add to a counter of the table; `Bug` if it has none of that name."""
        key = (name, *labels.values())
        counter = self._counters.get(key)
        if counter is None:
            family = self._families.get(name)
            if not isinstance(family, Counter):
                raise Bug(f"the table of metrics has no counter {name}")
            counter = self._counters[key] = family.labels(**bounded(BY_NAME[name], labels)) if labels else family
        counter.inc(by)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Put `value` into a histogram of the table; `Bug` if it has none of that name."""
        key = (name, *labels.values())
        histogram = self._histograms.get(key)
        if histogram is None:
            family = self._families.get(name)
            if not isinstance(family, Histogram):
                raise Bug(f"the table of metrics has no histogram {name}")
            histogram = self._histograms[key] = family.labels(**bounded(BY_NAME[name], labels)) if labels else family
        histogram.observe(value)

    def render(self) -> bytes:
        """Everything in Prometheus' text format, version 0.0.4. Called on the event loop's thread."""
        return generate_latest(self._registry)
