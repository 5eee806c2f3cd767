"""The gauges: what is read from a running plane at the moment somebody scrapes.

Decides: how each is computed. Never: anything that costs a device's request: only sizes, columns and two `stat` calls,
so a scrape of a million devices takes milliseconds. A plane without a core tells only what does not need one.
"""

import contextlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from podium.adapters.keys import FileKeys
from podium.core.state import State
from podium.core.views.fleet import online
from podium.core.views.shapes import drift, run_shapes
from podium.server.loop.loop import Loop
from podium.server.observe.table import BY_NAME
from podium.server.observe.watch import Watch
from podium.server.release import VERSION
from podium.wire.problems import PodiumError

KEYS: dict[str, str] = {"online": "plane/online", "root": "plane/root", "session": "session/root"}
"""A purpose's label -> how the names of its keys begin."""

Series = list[tuple[dict[str, str], float]]
"""Labels -> value, of one family."""


class Gauges(Collector):
    """Every gauge of the table, of one plane. `placed`: how many journal entries have their place."""

    def __init__(self, data: Path, loop: Loop, watch: Watch, placed: Callable[[], int]) -> None:
        self._data = data
        self._loop = loop
        self._watch = watch
        self._placed = placed
        self._began_ms = loop.now_ms()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges of this moment, in the table's words."""
        for name, series in self._read():
            metric = BY_NAME[name]
            family = GaugeMetricFamily(name, metric.meaning, labels=list(metric.labels))
            for labels, value in series:
                family.add_metric([labels[label] for label in metric.labels], value)
            yield family

    def _read(self) -> Iterator[tuple[str, Series]]:
        disk = shutil.disk_usage(self._data)
        entries, pending = self._watch.journal(self._placed())
        for name, value in (
            ("podium_ready", float(not self._loop.broken)),
            ("podium_uptime_seconds", (self._loop.now_ms() - self._began_ms) / 1000),
            ("podium_requests_waiting", self._loop.waiting),
            ("podium_steps_ahead", self._loop.steps_ahead),
            ("podium_disk_free_bytes", disk.free),
            ("podium_disk_size_bytes", disk.total),
            ("podium_journal_entries", entries),
            ("podium_journal_pending", pending),
        ):
            yield name, [({}, float(value))]
        yield "podium_build_info", [({"version": VERSION}, 1.0)]
        yield "podium_key_age_seconds", self._key_ages()
        with contextlib.suppress(PodiumError):  # a plane without a core has nothing to count
            yield from _counted(self._loop.state, self._loop.now_ms())

    def _key_ages(self) -> Series:
        ages = FileKeys.ages_s(self._data / "keys")
        told: Series = []
        for label, prefix in KEYS.items():
            of = [age for name, age in ages.items() if name.startswith(prefix)]
            if of:
                told.append(({"key": label}, min(of)))
        return told


def _counted(state: State, now_ms: int) -> Iterator[tuple[str, Series]]:
    size, fleet = state.fleet.size, state.fleet
    banned = int(np.count_nonzero(fleet.banned[:size]))
    cordoned = int(np.count_nonzero(fleet.cordoned[:size]))
    counts = {"active": size - banned - cordoned, "cordoned": cordoned, "banned": banned}
    yield "podium_devices", _by("state", counts, "podium_devices")
    yield "podium_devices_online", [({}, online(state, now_ms))]
    yield "podium_leases_live", [({}, len(state.live_lease))]
    yield "podium_frozen", [({}, float(state.frozen()))]
    yield "podium_runs", _by("state", Counter(run.state for run in state.runs.values()), "podium_runs")
    opened = Counter(state.rounds[key].state for key in state.open)
    yield "podium_rounds_open", _by("state", opened, "podium_rounds_open")
    open_runs = {run for run, _ in state.open}
    drifts = (drift(run_shapes(state, state.runs[run])) for run in open_runs)
    yield "podium_session_shape_drift", [({}, max(0.0, *drifts, 0.0))]
    yield "podium_run_starving_seconds", [({}, starving_ms(state, now_ms) / 1000)]


def _by(label: str, counts: dict[str, int], name: str) -> Series:
    """A series for each value of the label's closed set, 0 where there is none."""
    return [({label: value}, float(counts.get(value, 0))) for value in BY_NAME[name].labels[label]]


def starving_ms(state: State, now_ms: int) -> int:
    """How long the running run that waits longest has been without enough devices, in ms; 0 if none waits.

    A forming round waits from when its parent was there; a reporting one waits while nobody has a lease in it.
    """
    longest = 0
    for run, number in state.open:
        row = state.rounds[run, number]
        if state.runs[run].state != "RUNNING":
            continue
        if row.state == "FORMING" and row.form_deadline_ms >= 0:
            longest = max(longest, now_ms - (row.form_deadline_ms - state.task_of(run).task.round.form_deadline))
        elif row.state == "REPORTING" and not row.leases_made and not state.open[run, number].leases:
            longest = max(longest, now_ms - row.reporting_ms)
    return longest
