"""An oracle of time: how long each forming round's time has run, and what a freeze excuses, told by records alone.

Decides: that the time of a round that forms runs only while its run is not paused, the plane not frozen and not down;
what the core says of it (the row's deadline, what a person is shown) must agree to the millisecond. A round given up in
a frozen plane, or one that lost leases to a freeze, counts against no run; one that worked in no freeze does.
"""

from collections import Counter

from podium.core.effects import Record
from podium.core.rows import LeaseRow, RoundRow, RunRow
from podium.core.state import State
from podium.core.views.runs import round_view

Key = tuple[str, int]


class Clocks:
    """The clocks of forming rounds. `met` counts the situations in which one was looked at."""

    def __init__(self, met: Counter[str]) -> None:
        self.met = met
        self.at_ms = 0
        self.frozen = False
        self.paused: set[str] = set()
        self.ran: dict[Key, int] = {}  # a forming round with a parent -> how long its time has run
        self.worked: dict[Key, str] = {}  # a round that started -> what of a freeze it met since
        self.in_row: Counter[str] = Counter()

    def take(self, record: Record) -> None:
        """Time passes until `record`, which then may let clocks stand or go on."""
        if record.kind == "plane-booted":
            self.at_ms += int(record.why["down_ms"])
            self.met["booted while frozen"] += self.frozen and bool(self.ran)
        self.pass_until(record.at_ms)
        match record.kind:
            case "plane-frozen":
                self.frozen = True
                self.worked = dict.fromkeys(self.worked, "frozen")
            case "plane-unfrozen":
                self.frozen = False
                for run, _ in self.ran:
                    self.met["thawed while paused" if run in self.paused else "thawed"] += 1
            case "run-paused":
                self.paused.add(record.subject)
            case "run-resumed":
                self.paused.discard(record.subject)
                self.met["resumed while frozen"] += self.frozen and record.subject in {run for run, _ in self.ran}
        for row in record.rows:
            self._row(record, row)

    def _row(self, record: Record, row: object) -> None:
        if isinstance(row, LeaseRow) and row.reason == "plane-frozen":
            self.worked[row.run, row.round] = "revoked"
        if isinstance(row, RunRow) and record.kind != "round-abandoned":
            self.in_row[row.id] = row.abandoned_in_row
        if not isinstance(row, RoundRow):
            return
        key = (row.run, row.number)
        if row.state != "FORMING":
            self.ran.pop(key, None)
            if record.kind == "round-started":
                assert not self.frozen, f"round {key} started in a frozen plane"
                self.worked[key] = ""
        elif row.form_deadline_ms >= 0 and key not in self.ran:
            self.ran[key] = 0
            self.met["formed while frozen"] += self.frozen
        if record.kind == "round-abandoned":
            self._abandoned(record, row)

    def _abandoned(self, record: Record, row: RoundRow) -> None:
        (run,) = [each for each in record.rows if isinstance(each, RunRow)]
        counted = run.abandoned_in_row - self.in_row[run.id]
        self.in_row[run.id] = run.abandoned_in_row
        met = "frozen" if self.frozen else self.worked.pop((row.run, row.number), "")
        assert not self.frozen or row.reason != "cohort-short", f"round {row.key()} gave up in a frozen plane"
        assert counted == (not row.frozen and not row.reason.startswith("run-")), f"round {row.key()} counts {counted}"
        if self.frozen or met == "revoked":
            assert row.frozen, f"round {row.key()} lost what it lacked to a freeze"
        if not met:
            assert not row.frozen, f"round {row.key()} met no freeze"
        self.met["given up while frozen"] += self.frozen and row.reason == "below-minimum"
        self.met["given up after a freeze"] += not self.frozen and met != "" and row.reason == "below-minimum"

    def pass_until(self, at_ms: int) -> None:
        """Every clock that does not stand goes on until `at_ms`."""
        for run, number in self.ran:
            if not self.frozen and run not in self.paused:
                self.ran[run, number] += at_ms - self.at_ms
        self.at_ms = at_ms

    def check(self, state: State, now_ms: int) -> None:
        """Hold every clock against what the core says of its round."""
        self.pass_until(now_ms)
        for key, ran in self.ran.items():
            row, left = state.rounds[key], state.task_of(key[0]).task.round.form_deadline - ran
            assert round_view(state, row, now_ms).left_ms == left, f"round {key} has {left} ms left, and shows others"
            stands = self.frozen or key[0] in self.paused
            assert stands or row.form_deadline_ms == now_ms + left > now_ms, f"round {key} is due in {left} ms"
