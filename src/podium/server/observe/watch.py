"""The watch: counts and logs what became durable, from the steps themselves, in one place.

Decides: what a record is counted as, and how loud its log line is. Never: anything the core or a device would notice;
it is called once per durable step on the event loop's thread and counts check-ins by the batch, never by the row.
A step whose commit's outcome is unknown is not counted, even if it turns out to be durable after the reload.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from podium.core.effects import CheckinAnswers, Record, Step
from podium.core.rows import AnyRow, DeviceRow, LeaseRow, RoundRow, RunRow, VersionRow
from podium.core.selection.reasons import REASONS
from podium.ports.plane import Metrics
from podium.wire.problems import PodiumError

log = logging.getLogger("podium.history")
Kept = TypeVar("Kept", bound=AnyRow)

QUIET = frozenset(
    {
        "lease-granted",
        "lease-accepted",
        "lease-reported",
        "lease-passed",
        "lease-superseded",
        "round-parented",
        "round-prepared",
        "counted",
        "population-head",
    }
)
"""Records logged at DEBUG: the ordinary life of a lease, which a large plane has thousands of every second."""
LOUD = frozenset(
    {"round-abandoned", "run-abandoned", "run-timed-out", "refused", "plane-frozen", "leases-revoked", "lease-refused"}
)
"""Records logged at WARNING."""
_LEVELS = dict.fromkeys(QUIET, logging.DEBUG) | dict.fromkeys(LOUD, logging.WARNING)


class Watch:
    """What the loop tells of durable steps and of failures."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._durable = 0
        self.listeners: list[Callable[[Step], None]] = []
        """Told of each durable step too; none raises or blocks."""

    def begin(self, entries: int) -> None:
        """The journal has so many entries, all placed, as the plane opens."""
        self._durable = entries

    def journal(self, placed: int) -> tuple[int, int]:
        """(entries, pending) of the journal, of which `placed` entries have their place."""
        # what turned out durable after a reload was never told here, but it is placed
        self._durable = max(self._durable, placed)
        return self._durable, self._durable - placed

    def step(self, step: Step) -> None:
        """Count `step`, which is durable and about to be answered."""
        self._durable += len(step.records)
        for send in step.sends:
            if isinstance(send, CheckinAnswers):
                self._check_ins(send)
        for record in step.records:
            self._count(record)
            level = _LEVELS.get(record.kind, logging.INFO)
            if log.isEnabledFor(level):
                log.log(level, record.kind, extra=facts(record, step.number))

        for listener in self.listeners:
            listener(step)

    def failed(self, fault: PodiumError) -> None:
        """The core was dropped for `fault` and is loaded again."""
        self._metrics.count("podium_store_failures_total", code=fault.code)
        self._metrics.count("podium_reloads_total")

    def _check_ins(self, answers: CheckinAnswers) -> None:
        counts = np.bincount(answers.reason, minlength=len(REASONS))
        for reason in np.flatnonzero(counts).tolist():
            self._metrics.count("podium_checkins_total", int(counts[reason]), reason=REASONS[reason])
        for fact, rows in answers.against.items():
            self._metrics.count("podium_claims_contradicted_total", rows, fact=fact)

    def _count(self, record: Record) -> None:
        kind = record.kind
        if kind.startswith("lease-"):
            lease = first(record, LeaseRow)
            if lease is None:
                return
            self._metrics.count("podium_leases_total", state=lease.state)
            if kind in ("lease-passed", "lease-refused"):
                self._metrics.count("podium_updates_judged_total", code=lease.reason or "ok")
        elif kind in ("round-sealed", "round-abandoned"):
            row = first(record, RoundRow)
            if row is not None:
                self._metrics.count("podium_rounds_total", state=row.state, reason=row.reason or "none")
                seconds = (row.ended_ms - row.opened_ms) / 1000
                self._metrics.observe("podium_round_duration_seconds", seconds, state=row.state)


def first(record: Record, kind: type[Kept]) -> Kept | None:
    """The first row of `record` that is a `kind`."""
    return next((row for row in record.rows if isinstance(row, kind)), None)


def facts(record: Record, step: int) -> dict[str, str | int]:
    """What a log line may tell of `record`: ids, who, why; `cause` is the number of the step it belongs to.

    All that one event led to has the same cause, and the journal's entries carry it too.
    """
    told: dict[str, str | int] = {"cause": step, "actor": record.actor}
    for row in reversed(record.rows):
        told |= ids(row)
    for name in ("code", "reason"):
        if value := record.why.get(name):
            told[name] = value
    return told


def ids(row: AnyRow) -> dict[str, str | int]:
    """The ids that `row` bears."""
    match row:
        case LeaseRow():
            return {"run": row.run, "round": row.round, "lease": row.id, "device": row.device, "state": row.state}
        case RoundRow():
            return {"run": row.run, "round": row.number, "state": row.state}
        case RunRow():
            return {"run": row.id, "state": row.state}
        case DeviceRow():
            return {"device": row.id}
        case VersionRow():
            return {"version": row.id}
    return {}
