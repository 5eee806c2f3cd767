"""An oracle of updates and upload keys: who is counted in which version, and when the plane can open nothing more.

Decides: that a lease counts in at most one version and in the round that its row names, that no buffered update is
staler than its task allows, and that a key is destroyed once, when no live lease names it and no update under it waits.
"""

from collections import Counter

from podium.core.effects import EndRound, FinishRound, Step
from podium.core.rounds.table import LEASE_LIVE, LEASE_STORED
from podium.core.rows import LeaseRow, RoundRow, granting_round
from podium.core.state import State

Key = tuple[str, int]
MET = ("carried", "behind", "too stale", "stored before the start", "key lives on", "late key dies")
"""What buffered rounds can meet: a lease of an older window reported, was counted, was ended as too stale; a window
had updates when it started; a key outlived its round, and died with a later one."""


class Windows:
    """Takes steps in order. `met` counts the situations."""

    def __init__(self, met: Counter[str]) -> None:
        self.met = met
        self.counted: dict[str, Key] = {}
        self.destroyed: set[Key] = set()

    def take(self, step: Step, state: State) -> None:
        """Hold a step, and what the core remembers after it, against the accounts."""
        for record in step.records:
            for row in record.rows:
                if isinstance(row, LeaseRow):
                    self._lease(row, state)
                elif isinstance(row, RoundRow) and record.kind == "round-started":
                    self.met["stored before the start"] += int(record.why.get("stored", 0)) > 0
        for send in step.sends:
            if isinstance(send, FinishRound):
                self._finish(send, state)
            elif isinstance(send, EndRound):
                self._end(send)
        for run, number in state.open:
            for lease in state.open[run, number].leases.values():
                needed = lease.state in (*LEASE_LIVE, *LEASE_STORED)
                assert not needed or (run, granting_round(lease.id)) not in self.destroyed, f"{lease.id} lost its key"

    def ended(self, state: State) -> None:
        """Every run is over: no key is left."""
        assert self.destroyed == set(state.rounds)

    def _lease(self, row: LeaseRow, state: State) -> None:
        rules = state.task_of(row.run).task.round
        assert row.staleness <= (rules.staleness_max if rules.mode == "buffered" else 0)
        self.met["carried"] += row.round > granting_round(row.id)
        self.met["too stale"] += row.reason == "stale"

    def _finish(self, send: FinishRound, state: State) -> None:
        for lease in send.leases:
            assert self.counted.setdefault(lease, (send.run, send.round)) == (send.run, send.round)
            row = state.leases[lease]
            assert (row.run, row.round, row.state) == (send.run, send.round, "ACCEPTED")
            self.met["behind"] += row.staleness > 0

    def _end(self, send: EndRound) -> None:
        dead = {(send.run, number) for number in send.key_rounds}
        self.destroyed |= dead
        self.met["key lives on"] += send.round not in send.key_rounds
        self.met["late key dies"] += any(number < send.round for number in send.key_rounds)
