"""What must be true of every simulation, checked from outside the core.

Decides: whether a run kept Podium's promises. It keeps its own copy of what became durable and of what devices were
told, and compares: no stored update is lost, counted twice or counted too late, every transition is in the tables,
nobody gets a lease who should not, a paused run loses no time, a frozen plane starts no round, lets none give up
forming and charges no run with what it loses, a reload gives the same rows, and at the end nothing is left running.
`InvariantBroken` carries the story.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from podium.core.effects import Record
from podium.core.rounds.table import LEASE_LIVE, LEASE_TABLE, ROUND_OPEN, ROUND_TABLE, RUN_TABLE
from podium.core.rows import (
    AnyRow,
    DeviceRow,
    FreezeRow,
    LeaseRow,
    RoundRow,
    RunRow,
    TaskRow,
    VersionRow,
    table_of,
)
from podium.core.state import FREEZE, State
from podium.wire.operator import RUN_OPEN


class InvariantBroken(AssertionError):
    """A promise was broken; the text names the entity, what was expected and what was seen."""


def require(holds: bool, story: str) -> None:
    """Raise `InvariantBroken(story)` unless `holds`."""
    if not holds:
        raise InvariantBroken(story)


class Ledger:
    """What became durable, in order, and what devices were told."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], AnyRow] = {}
        self.told_stored: set[str] = set()
        self.counted: dict[tuple[str, int], NDArray[np.float64]] = {}
        self.last_at_ms = 0

    def durable(self, records: tuple[Record, ...]) -> None:
        """Take records that the store has committed, and check that each transition is one the tables have."""
        for record in records:
            require(record.at_ms >= self.last_at_ms, f"{record.kind} at {record.at_ms} after {self.last_at_ms}")
            self.last_at_ms = record.at_ms
            for row in record.rows:
                key = (table_of(row), row.key())
                self._check_transition(self.rows.get(key), row)
                self._check_standing(self.rows.get(key), row, record.at_ms)
                self.rows[key] = row

    def _check_transition(self, before: AnyRow | None, row: AnyRow) -> None:
        if isinstance(row, LeaseRow):
            was = before.state if isinstance(before, LeaseRow) else None
            first, table = "OFFERED", LEASE_TABLE
        elif isinstance(row, RoundRow):
            was = before.state if isinstance(before, RoundRow) else None
            first, table = "FORMING", ROUND_TABLE
        elif isinstance(row, RunRow):
            was = before.state if isinstance(before, RunRow) else None
            first, table = "RUNNING", RUN_TABLE
        else:
            return
        if was is None:
            require(row.state == first, f"{row.key()} begins as {row.state}, not {first}")
        elif was != row.state:
            reachable = {target for (source, _), target in table.items() if source == was}
            require(row.state in reachable, f"{row.key()} went from {was} to {row.state}")

    def _check_standing(self, before: AnyRow | None, row: AnyRow, at_ms: int) -> None:
        """What stands still, or is kept out, does: no lease is granted then, and time is given back to the ms."""
        if isinstance(row, LeaseRow) and before is None:
            run, device = self.rows["runs", row.run], self.rows["devices", row.device]
            require(not isinstance(run, RunRow) or run.state != "PAUSED", f"lease {row.id} is granted for a paused run")
            require(not self._frozen(), f"lease {row.id} is granted while frozen")
            require(
                not isinstance(device, DeviceRow) or device.state == "active",
                f"lease {row.id} is granted to a device that is kept out",
            )
        if isinstance(row, RunRow) and isinstance(before, RunRow) and before.state == "PAUSED":
            given = row.deadline_ms - before.deadline_ms
            stood = at_ms - before.paused_ms if row.state == "RUNNING" else 0
            require(given == stood, f"run {row.id} stood still for {stood} ms and is given back {given}")
        if self._frozen():
            self._check_frozen(before, row)

    def _frozen(self) -> bool:
        freeze = self.rows.get(("freezes", FREEZE))
        return isinstance(freeze, FreezeRow) and freeze.frozen

    def _check_frozen(self, before: AnyRow | None, row: AnyRow) -> None:
        if isinstance(row, RoundRow) and isinstance(before, RoundRow) and before.state == "FORMING":
            require(row.state != "REPORTING", f"round {row.key()} starts while frozen")
            require(row.reason != "cohort-short", f"round {row.key()} gives up forming while frozen")
        if isinstance(row, RunRow) and isinstance(before, RunRow):
            grew = row.abandoned_in_row > before.abandoned_in_row
            require(not grew, f"run {row.id} is charged with what it lost while frozen")

    def sealed(self, key: tuple[str, int], counted: NDArray[np.float64], state: State) -> None:
        """A round's sum was finished: every accepted update is in it exactly once, and nothing else."""
        leases = [row for row in self.leases_of(key) if row.state == "ACCEPTED"]
        expected = np.zeros_like(counted)
        for lease in leases:
            expected[state.holder(lease)] += 1
            self._check_staleness(key, lease)
        require(expected.max(initial=0) <= 1, f"round {key} accepted a device twice")
        wrong = np.flatnonzero(np.abs(counted - expected) > 1e-6)
        require(len(wrong) == 0, f"round {key}: devices {wrong[:5]} counted {counted[wrong[:5]]}")
        self.counted[key] = counted

    def _check_staleness(self, key: tuple[str, int], lease: LeaseRow) -> None:
        """No counted update is staler than its task allows; versions are numbered along a run."""
        row, run = self.rows["rounds", f"{key[0]}/{key[1]}"], self.rows["runs", lease.run]
        if not isinstance(row, RoundRow) or not isinstance(run, RunRow):
            return
        made_from, trained, task = (
            self.rows["versions", row.base],
            self.rows["versions", lease.base],
            self.rows["tasks", run.task],
        )
        if isinstance(made_from, VersionRow) and isinstance(trained, VersionRow) and isinstance(task, TaskRow):
            rules, behind = task.task.round, made_from.number - trained.number
            most = rules.staleness_max if rules.mode == "buffered" else 0
            require(0 <= behind <= lease.staleness <= most, f"lease {lease.id} of round {key} is {behind} behind")

    def leases_of(self, key: tuple[str, int]) -> list[LeaseRow]:
        """The durable leases of a round."""
        return [row for row in self.rows.values() if isinstance(row, LeaseRow) and (row.run, row.round) == key]

    def reloaded(self, loaded: Iterable[AnyRow]) -> None:
        """What the store loads is what the folded records say."""
        now = {(table_of(row), row.key()): row for row in loaded}
        require(now.keys() == self.rows.keys(), f"loaded rows differ: {sorted(now.keys() ^ self.rows.keys())[:3]}")
        for key in [key for key, row in now.items() if row != self.rows[key]]:
            raise InvariantBroken(f"{key} loads as {now[key]}, the history folds to {self.rows[key]}")

    def ended(self) -> None:
        """The run is over: nothing is left running, and every update told `stored` has its place."""
        for row in self.rows.values():
            if isinstance(row, RunRow):
                require(row.state not in RUN_OPEN, f"run {row.id} is still running")
            if isinstance(row, RoundRow):
                require(row.state not in ROUND_OPEN, f"round {row.key()} is left {row.state}")
                self._check_sealed(row)
            if isinstance(row, LeaseRow):
                require(row.state not in (*LEASE_LIVE, "REPORTED"), f"lease {row.id} is left {row.state}")
        for lease in self.told_stored:
            self._check_stored(lease)

    def _check_sealed(self, row: RoundRow) -> None:
        if row.state != "SEALED":
            return
        accepted = [lease for lease in self.leases_of((row.run, row.number)) if lease.state == "ACCEPTED"]
        counted = self.counted.get((row.run, row.number))
        require(counted is not None, f"round {row.key()} is sealed without a sum")
        if counted is not None:
            require(round(float(counted.sum())) == len(accepted), f"round {row.key()} counts {counted.sum()}")

    def _check_stored(self, lease_id: str) -> None:
        lease = self.rows.get(("leases", lease_id))
        require(isinstance(lease, LeaseRow), f"lease {lease_id} was told stored and is gone")
        if not isinstance(lease, LeaseRow):
            return
        row = self.rows["rounds", f"{lease.run}/{lease.round}"]
        kept = lease.state == "ACCEPTED" or (lease.state == "REFUSED" and lease.reason != "")
        given_up = isinstance(row, RoundRow) and row.state == "ABANDONED" and row.reason != ""
        require(kept or given_up, f"lease {lease_id} was told stored and is {lease.state}")
