"""All kinds of events in any order: after every step the invariants hold and the folded records are the core's rows.

The oracle knows the tables by heart only as far as a device can see them: an ended lease never changes, a round that
ended never changes, who heard `stored` is never told otherwise. Counters show that the cells (lease state x word) and
(round state x happening), (run state x happening) were really reached: a green property test can be empty. A second
oracle, `Watched`, keeps the accounts of time and grants: what a run stood still or the plane was down is given back to
the millisecond, and nobody gets a lease of a paused run, in a frozen plane, or while it is cordoned. A third one,
`Clocks`, does so for the rounds that form, paused, frozen or both; `STOOD` counts in which situations. A fourth one,
`Windows`, keeps the accounts of updates and upload keys, and counts in `STOOD` what buffered rounds met.
"""

import random
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from podium.core.effects import Record, Step
from podium.core.events import AggregateFailed, AnyEvent, Denied
from podium.core.rounds.table import LEASE_STATES, ROUND_OPEN, ROUND_STATES
from podium.core.rows import LeaseRow, RoundRow
from podium.wire.limits import Limits
from podium.wire.operator import RUN_OPEN
from tests.support.core_acts import freeze, mark, pause, resume, unfreeze
from tests.support.core_drive import Drive
from tests.support.core_made import rows_of, task
from tests.support.core_time import Clocks
from tests.support.core_windows import MET, Windows

DEVICES = 6
LIMITS = Limits(offer_ms=4_000, reserve_ms=500)
ACTS = ("pause", "pause now", "resume", "freeze", "freeze, revoke", "unfreeze", "cordon", "uncordon")
WORDS = ("accept", "decline", "incompatible", "fail", "progress", "report", "report other", "pass", "refuse")
HAPPENINGS = ("check-in", "time", "stop", "crash", "erased", "ban", *ACTS)
LEASE_CELLS: Counter[tuple[str, str]] = Counter()
ROUND_CELLS: Counter[tuple[str, str]] = Counter()
RUN_CELLS: Counter[tuple[str, str]] = Counter()
STOOD: Counter[str] = Counter()
STANDINGS = (
    *("thawed", "thawed while paused", "resumed while frozen", "formed while frozen", "booted while frozen"),
    *("given up while frozen", "given up after a freeze"),
    *MET,
)
ROUNDS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(("train", "train", "evaluate")),
        "concurrency": st.sampled_from((0, 2)),
        "rounds": st.integers(1, 4),
        "over": st.just(2.0),
    }
)
WINDOWS = st.fixed_dictionaries(
    {
        "mode": st.just("buffered"),
        "concurrency": st.sampled_from((1, 3)),
        "rounds": st.integers(3, 6),
        "staleness_max": st.integers(0, 2),
    }
)
STORED_ANSWERS = {("stored", ""), ("refused", "not-finite"), ("stop", "lease-over")}


class Watched(Drive):
    """A drive that keeps accounts of its own: the time that each run is owed, and who may get a lease."""

    def __init__(self) -> None:
        super().__init__(LIMITS)
        self.clocks = Clocks(STOOD)
        self.windows = Windows(STOOD)
        self.paused_at: dict[str, int] = {}
        self.owed: dict[str, int] = {}  # run -> what its deadline has been moved by

    def feed(self, event: AnyEvent) -> Step:
        """One step, held against the accounts."""
        frozen, states = self.state.frozen(), {run.id: run.state for run in self.state.runs.values()}
        marks = {row.id: row.state for row in self.state.devices}
        step = super().feed(event)
        for record in step.records:
            self.account(record)
            self.clocks.take(record)
            for lease in record.rows if record.kind == "lease-granted" else ():
                assert not frozen, "granted in a frozen plane"
                assert not isinstance(lease, LeaseRow) or states[lease.run] != "PAUSED", "granted for a paused run"
                assert not isinstance(lease, LeaseRow) or marks[lease.device] == "active", "granted to who is kept out"
        for run in self.state.runs.values():
            moved = run.deadline_ms - run.started_ms - self.state.task_of(run.id).task.run.deadline
            assert moved == self.owed.get(run.id, 0), f"the deadline of run {run.id} moved by {moved} ms"
        self.clocks.check(self.state, step.at_ms)
        self.windows.take(step, self.state)
        return step

    def account(self, record: Record) -> None:
        """Take what a record says about time."""
        if record.kind == "run-paused":
            self.paused_at[record.subject] = record.at_ms
        elif record.kind == "run-resumed" and record.subject in self.paused_at:
            stood = record.at_ms - self.paused_at.pop(record.subject)
            self.owed[record.subject] = self.owed.get(record.subject, 0) + stood
        elif record.kind == "plane-booted":
            for run in self.state.runs.values():
                if run.state in RUN_OPEN and run.id not in self.paused_at:
                    self.owed[run.id] = self.owed.get(run.id, 0) + int(record.why["down_ms"])


class Plane(RuleBasedStateMachine):
    """A plane of two runs and six devices."""

    def __init__(self) -> None:
        super().__init__()
        self.drive = Watched()
        self.ended: dict[str, LeaseRow] = {}
        self.over: dict[tuple[str, int], RoundRow] = {}
        self.stored: set[str] = set()

    @initialize(drawn=ROUNDS | WINDOWS, goal=st.integers(1, 3), minimum=st.integers(0, 1))
    def begin(self, drawn: dict[str, object], goal: int, minimum: int) -> None:
        """Two runs, of which the first is drawn."""
        drive = self.drive
        drive.bring()
        drive.fleet(DEVICES)
        terms = {"stall": 3_000, "form_deadline": 20_000, "report_deadline": 9_000, "abandoned_max": 4}
        drive.submit(task(goal=goal, minimum=minimum, **terms, **drawn), "a")
        soon = {"deadline": 10_000, "form_deadline": 4_000, "abandoned_max": 2}
        drive.submit(task(goal=2, rounds=3, **{**terms, **soon}), "b")

    def teardown(self) -> None:
        """Whatever happened, runs that do not stand still end once nobody comes any more, and a reload agrees."""
        if self.drive.state.runs:
            self.drive.reload()
            for run in "ab":
                resume(self.drive, run)
            if self.drive.now_ms % 2:
                unfreeze(self.drive)  # else the deadlines of the runs end them
            self.drive.work()
            for _ in range(400):
                if not self.drive.state.open:
                    break
                self.drive.wake()
                self.drive.work()
            assert not self.drive.state.open
            self.drive.windows.ended(self.drive.state)
            self.after("end")

    def after(self, happening: str) -> None:
        """What must hold after anything; every round as it stood before counts as a cell in `happened`."""
        state = self.drive.state
        assert self.drive.folded == rows_of(state)
        for lease, row in self.ended.items():
            assert state.leases[lease] == row, happening
        for key, round_row in self.over.items():
            assert state.rounds[key] == round_row, happening
        self.ended |= {row.id: row for row in state.leases.values() if row.ended_ms >= 0}
        self.over |= {key: row for key, row in state.rounds.items() if row.state not in ROUND_OPEN}

    def happens(self, happening: str) -> None:
        """Count the cells of `happening`: it meets every round there is."""
        for state in {row.state for row in self.drive.state.rounds.values()}:
            ROUND_CELLS[state, happening] += 1
        for state in {row.state for row in self.drive.state.runs.values()}:
            RUN_CELLS[state, happening] += 1

    @rule(devices=st.lists(st.integers(0, DEVICES - 1), min_size=1, max_size=10), step=st.sampled_from((0, 1, 200)))
    def check_in(self, devices: list[int], step: int) -> None:
        """A batch of check-ins, devices twice and timers within."""
        self.happens("check-in")
        at = [self.drive.now_ms + place * step for place in range(len(devices))]
        told = self.drive.check_in(*devices, at=at)
        for device, heard in zip(devices, told, strict=True):
            lease = self.drive.state.leases[heard.offer.lease] if heard.offer else None
            assert lease is None or self.drive.state.device_number(lease.device) == device
        self.after("check-in")

    @rule(seed=st.integers(0, 2**32), words=st.integers(4, 24))
    def say(self, seed: int, words: int) -> None:
        """Words about leases; every state that some lease is in is as likely as another."""
        chance = random.Random(seed)
        for word in chance.choices(WORDS, k=words):
            leases = self.drive.state.leases
            states = sorted({row.state for row in leases.values()})
            if not states:
                return
            state = chance.choice(states)
            lease = chance.choice(sorted(row.id for row in leases.values() if row.state == state))
            LEASE_CELLS[state, word] += 1
            self.word(word, lease, leases[lease])
            self.after(word)

    def word(self, word: str, lease: str, before: LeaseRow) -> None:
        """Tell one word, and hold what is heard against what was heard before."""
        drive, device = self.drive, self.drive.device_of(lease)
        if drive.state.fleet.epoch[device] != drive.epochs[device] and drive.open(device).code:
            return  # banned while the plane was away: it gets no session in which to speak
        match word:
            case "accept":
                assert (drive.accept(lease).word == "go") == (before.state in ("OFFERED", "HELD"))
            case "decline":
                drive.decline(lease, "busy")
            case "incompatible":
                drive.decline(lease, "lacks", incompatible=True)
            case "fail":
                drive.fail(lease)
            case "progress":
                assert (drive.progress(lease, done=pick_done(drive)).word == "extended") == (before.state == "HELD")
            case "report":
                heard = drive.report(lease)
                self.stored |= {lease} if heard.word == "stored" else set()
                assert lease not in self.stored or (heard.word, heard.code) in STORED_ANSWERS
            case "report other" if before.report:
                assert drive.report(lease, "other").code == "conflicting-repeat"
            case "pass":
                drive.judge(lease)
            case "refuse":
                drive.judge(lease, "not-finite")

    @rule(trainees=st.integers(0, 3))
    def gather(self, trainees: int) -> None:
        """Everybody comes, rounds that wait for devices start, some get leases and some of those train at once."""
        drive = self.drive
        drive.work()
        drive.check_in(*range(DEVICES))
        drive.wait(301)
        for told in drive.check_in(*range(DEVICES))[:trainees]:
            if told.offer is not None and drive.leased(told.offer.lease).state in ("OFFERED", "HELD"):
                self.train(told.offer.lease)
        self.after("gather")

    @rule(sums=st.booleans())
    def overtake(self, sums: bool) -> None:
        """Somebody is slower than a window: it begins, others fill the window, and then it reports."""
        drive = self.drive
        if drive.state.task_of("a").task.round.mode != "buffered":
            return
        drive.work()
        drive.check_in(*range(DEVICES))
        slow = next(iter(sorted(lease for lease in drive.state.live_lease.values() if lease[0] == "a")), "")
        for _ in range(DEVICES):
            for told in drive.check_in(*range(DEVICES)):
                if told.offer is not None and told.offer.run == "a" and told.offer.lease != slow:
                    self.train(told.offer.lease)
                    drive.judge(told.offer.lease)
        if sums:
            drive.work()
        if slow:
            self.train(slow)
            drive.judge(slow)
        self.after("overtake")

    def train(self, lease: str) -> None:
        """Take a lease and report."""
        self.drive.accept(lease)
        if self.drive.report(lease).word == "stored":
            self.stored.add(lease)

    @rule(judged=st.integers(0, 4))
    def judge(self, judged: int) -> None:
        """The aggregation role judges what is stored, and leaves the sums for later."""
        stored = [lease for lease, row in sorted(self.drive.state.leases.items()) if row.state == "REPORTED"]
        for lease in stored[:judged]:
            self.drive.judge(lease)
        self.after("judge")

    @rule()
    def aggregate(self) -> None:
        """Rounds get what they need and wait for their sums."""
        self.gather(DEVICES)
        self.judge(DEVICES)

    @rule()
    def work(self) -> None:
        """The aggregation role does what it was asked."""
        self.drive.work()
        self.after("work")

    @rule(ms=st.sampled_from((1, 1, 300, 501, 3_000, 4_000, 9_000)))
    def time(self, ms: int) -> None:
        """Time passes."""
        self.happens("time")
        self.drive.wait(ms)
        self.after("time")

    @precondition(lambda self: self.drive.now_ms > 2_000)
    @rule(run=st.sampled_from("ab"), sure=st.integers(0, 5))
    def stop(self, run: str, sure: int) -> None:
        """A person stops a run, seldom."""
        if sure == 0:
            self.happens("stop")
            self.drive.stop(run)
            self.after("stop")

    @rule(down=st.sampled_from((0, 1_000, 3_600_000)), back=st.booleans(), sure=st.integers(0, 2))
    def crash(self, down: int, back: bool, sure: int) -> None:
        """The process dies, seldom; devices come back with new sessions or go on in their old ones."""
        if sure:
            return
        self.happens("crash")
        self.drive.reload(down)
        for device in range(DEVICES if back else 2):
            self.drive.open(device)
        self.after("crash")

    @rule(number=st.integers(1, 3), run=st.sampled_from("ab"), sure=st.integers(0, 2))
    def erased(self, number: int, run: str, sure: int) -> None:
        """A round's upload key is gone, seldom."""
        row = self.drive.state.rounds.get((run, number))
        if row is not None and sure == 0:
            ROUND_CELLS[row.state, "erased"] += 1
            self.drive.feed(AggregateFailed(at_ms=self.drive.now_ms, run=run, round=number, reason="key-erased"))
            self.after("erased")

    @rule(name=st.sampled_from(ACTS), run=st.sampled_from("ab"), device=st.integers(0, DEVICES - 1))
    def act(self, name: str, run: str, device: int) -> None:
        """A person pauses, freezes, cordons; or takes it back, which is as likely."""
        self.happens(name)
        match name:
            case "pause":
                self.gather(2)  # so that a round is at work, which the run is to end first
                pause(self.drive, run)
            case "pause now":
                pause(self.drive, run, now=True)
            case "resume":
                for each in "ab":
                    resume(self.drive, each)
            case "freeze" | "freeze, revoke":
                freeze(self.drive, revoke=name == "freeze, revoke")
            case "unfreeze":
                unfreeze(self.drive)
            case "cordon" if self.drive.state.devices[device].state == "active":
                mark(self.drive, [f"id-d{device}"], "cordoned", revoke=device % 2 == 0)
            case "uncordon":
                kept_out = [row.id for row in self.drive.state.devices if row.state == "cordoned"]
                mark(self.drive, kept_out, "active")
        self.after(name)

    @precondition(lambda self: self.drive.now_ms > 5_000)
    @rule(device=st.integers(0, 20))
    def ban(self, device: int) -> None:
        """A device is banned, seldom; somebody is refused."""
        self.happens("ban")
        if device < 2:
            self.drive.ban(f"id-d{device}")
        self.drive.feed(Denied(at_ms=self.drive.now_ms, subject=str(device), code="mac-invalid"))
        self.after("ban")


def pick_done(drive: Drive) -> int:
    """A growing amount of work done."""
    return drive.now_ms + 1


CAMPAIGNS_MAX = 8
"""One campaign of random orders in some leaves more cells out than is allowed; further ones add to what it reached."""
WORDS_UNREACHED_MAX = len(LEASE_STATES) * len(WORDS) // 12
MET_BY_RUNS = tuple(each for each in HAPPENINGS if each != "erased")
HAPPENINGS_UNREACHED_MAX = 4
RUNS_UNREACHED_MAX = len(RUN_OPEN) * len(MET_BY_RUNS) // 12
"""Of a run that is not over: nothing that is tried here can happen to an ended one."""


def unreached(cells: dict[tuple[str, str], int]) -> int:
    """How many of `cells` (cell -> times reached) were never reached."""
    return sum(not count for count in cells.values())


def test_any_order_of_events_keeps_the_invariants() -> None:
    LEASE_CELLS.clear()
    ROUND_CELLS.clear()
    RUN_CELLS.clear()
    STOOD.clear()
    for _ in range(CAMPAIGNS_MAX):
        run_state_machine_as_test(
            Plane,
            # drawn anew each time, also where hypothesis would repeat itself (CI): a campaign again adds nothing
            settings=settings(
                max_examples=250, stateful_step_count=50, report_multiple_bugs=False, derandomize=False, database=None
            ),
        )
        words = {(state, word): LEASE_CELLS[state, word] for state in LEASE_STATES for word in WORDS}
        happened = {(state, each): ROUND_CELLS[state, each] for state in ROUND_STATES for each in HAPPENINGS}
        runs = {(state, each): RUN_CELLS[state, each] for state in RUN_OPEN for each in MET_BY_RUNS}
        enough = unreached(happened) <= HAPPENINGS_UNREACHED_MAX and unreached(runs) <= RUNS_UNREACHED_MAX
        if enough and unreached(words) <= WORDS_UNREACHED_MAX and not [each for each in STANDINGS if not STOOD[each]]:
            break
    assert sum(words.values()) > 2_000
    assert unreached(words) <= WORDS_UNREACHED_MAX, words
    assert unreached(happened) <= HAPPENINGS_UNREACHED_MAX, happened
    assert unreached(runs) <= RUNS_UNREACHED_MAX, runs
    assert {"FINISHED", "STOPPED"} <= {state for state, _ in RUN_CELLS}
    assert not [each for each in STANDINGS if not STOOD[each]], STOOD
