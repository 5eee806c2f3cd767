"""`step` is batch-invariant: the same rows, cut and joined in any way, give the same records, answers and wake-ups.

A first core gets every row as an event of its own and the story is written down; a second one gets the same story with
neighbouring rows joined at random. Counters show that the hard cases were met: timers due in the middle of a batch,
devices twice in one, goals crossed, reserved seats taken, two runs served, the live bound reached, boots in between,
seats leased in slices to three gateways, one of which hears of none later than its first; devices that hear of a paused
run, a frozen plane, or that they are kept from new leases; and claims that contradict what was measured.
"""

import random
from collections import Counter
from collections.abc import Mapping

import msgspec
import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from podium.core.effects import Answer, AnySend, CheckinAnswers, Record, Step
from podium.core.events import AnyEvent, Booted, CheckedIn, LeasesTold
from podium.core.fleet.telemetry import Telemetry
from podium.core.rows import LeaseRow, granting_round
from podium.core.selection.quotas import NEWEST, Landed
from podium.core.selection.reasons import REASONS
from podium.core.step import Core
from podium.wire.limits import Limits
from tests.support.core_acts import freeze, mark, pause, resume, unfreeze
from tests.support.core_drive import Drive
from tests.support.core_made import task, told_by

DEVICES = 8
LIMITS = Limits(offer_ms=700, reserve_ms=400, leases_live_max=5, rendezvous_devices_max=4, leases_per_device_max=1)
A_TERMS: dict[str, object] = {
    "goal": 3,
    "minimum": 2,
    "stall": 900,
    "form_deadline": 4_000,
    "report_deadline": 3_000,
    "when": "device.charging",
}
B_TERMS: dict[str, object] = {
    "goal": 2,
    "over": 2.0,
    "concurrency": 3,
    "separation": 3_000,
    "form_deadline": 5_000,
    "report_deadline": 1_500,
}
CHOICES: tuple[dict[str, object], ...] = (
    {},
    {"over": 1.0, "strategy": "stratified", "stratify": "device.site"},
    {"over": 1.0, "strategy": "oort"},
    {"over": 1.0, "strategy": "power_of_choice", "fairness": {"without_replacement": True}},
    {"over": 1.0, "strategy": "quality", "prefers": {"charging": 1.0}, "fairness": {"times_max": 1}},
    {"strategy": "oort", "budgets": {"trainings_per_day": 1}, "weight": 3.0},
    {"when": "device.charging && device.download_mb_s > 6.0", "prefers": {"download_mb_s": 1.0}, "strategy": "quality"},
    {"mode": "buffered", "goal": 1, "minimum": 1, "concurrency": 3, "staleness_max": 1},
)
KINDS = (
    *("in", "in", "crowd", "crowd", "crowd", "accept", "accept", "report", "report", "progress"),
    *("decline", "decline", "fail", "work", "work", "stop", "old session"),
    *("pause", "resume", "resume", "freeze", "unfreeze", "cordon", "uncordon"),
)
GAPS_MS = (0, 0, 0, 1, 1, 2, 30, 250, 301, 900, 2_500)
Action = tuple[str, int, int]
ACTIONS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, DEVICES - 1), st.sampled_from(GAPS_MS)), min_size=20, max_size=120
)
OVERTAKEN: list[Action] = 6 * [
    ("crowd", 0, 1),
    *(("accept", device, 0) for device in range(DEVICES)),
    *(("report", 0, 0), ("work", 0, 0)),
    *(("progress", 0, 1), ("report", 0, 0), ("report", 0, 0), ("report", 0, 0)),
]
"""Some report, which closes a window, and then those who still worked do."""
LOST: list[Action] = 4 * [
    *(("work", 0, 0), ("crowd", 0, 1), ("work", 0, 0), ("crowd", 0, 301)),
    *(("crowd", 0, 900), ("crowd", 0, 250), ("crowd", 0, 2_500)),
]
"""Whoever comes is offered a lease, and nobody takes it: round after round is lost."""
ROUNDS = st.tuples(st.integers(1, 3), st.integers(1, 3))


class Story(Drive):
    """A drive that writes down what it fed to its core, whose devices check in at so many gateways by turns."""

    def __init__(self, gateways: int = 1) -> None:
        super().__init__(msgspec.structs.replace(LIMITS, gateways_max=gateways))
        self.told: list[AnyEvent] = []

    def feed(self, event: AnyEvent) -> Step:
        """One step, written down."""
        self.told.append(event)
        return super().feed(event)

    def act(self, action: Action) -> None:
        """One thing happens; words about a lease come from a device that holds one, if any does."""
        kind, device, gap = action
        self.now_ms += gap
        live = sorted(self.state.live_lease)
        holder = live[device % len(live)] if live else -1
        match kind:
            case "in":
                self.come(device, {"charging": device % 4 != 3, "download_mb_s": 7.0 + 90.0 * (gap % 2)})
            case "crowd":
                for other in range(DEVICES):
                    facts = {"charging": other % 3 > 0, "download_mb_s": 4.0 + 30.0 * (other % 2)}
                    self.come((device + other) % DEVICES, facts)
                    self.now_ms += gap % 3
            case "work":
                self.work(d2="not-finite")
            case "old session":
                self.epochs[device] -= 1
                self.come(device, {})
                self.epochs[device] += 1
            case "stop" if device == 0:
                self.stop("b")
            case "stop" if device == 1:
                self.reload(gap)
                for number in range(DEVICES):
                    self.open(number)
            case "pause" | "resume" | "freeze" | "unfreeze" | "cordon" | "uncordon":
                self.person(kind, device)
            case "accept" | "report" | "progress" | "decline" | "fail" if live:
                self.word(kind, self.state.live_lease[holder], gap)

    def come(self, device: int, facts: Mapping[str, float]) -> None:
        """`device` checks in with `facts`; the last gateway goes on with the slices of before anything was leased."""
        last, landed = self.limits.gateways_max - 1, None
        if last:
            gateway = np.array([(device + self.now_ms // 900) % (last + 1)])
            landed = Landed(gateway=gateway, generation=np.where(gateway == last, 0, NEWEST))
        self.check_in(device, facts=facts, landed=landed)

    def person(self, kind: str, device: int) -> None:
        """A person does something to a run, the plane or a device."""
        run = "ab"[device % 2]
        match kind:
            case "pause":
                pause(self, run, now=device > 3)
            case "resume":
                resume(self, run)
            case "freeze":
                freeze(self, revoke=device == 0)
            case "unfreeze":
                unfreeze(self)
            case "cordon":
                mark(self, [f"id-d{device}"], "cordoned", revoke=device > 5)
            case "uncordon":
                mark(self, [f"id-d{device}", f"id-d{(device + 1) % DEVICES}"], "active")

    def first_round(self) -> None:
        """Who comes trains, so that something is known of some devices."""
        for _ in range(2):
            for device in range(DEVICES):
                self.come(device, {"charging": True, "download_mb_s": 8.0})
            self.now_ms += 301
        for lease in sorted(self.state.live_lease.values()):
            self.accept(lease)
            self.hand_in(lease)
        self.work()

    def hand_in(self, lease: str) -> None:
        """The report of a lease whose base version came at 8.4 MB/s to device 0, at half of that to device 1..."""
        device = self.device_of(lease)
        timed = {"bytes": 8 << 20, "ms": 1_000 * (device + 1)}
        self.report(lease, metrics={"loss": (float(device), 1.0)}, downloaded=timed)

    def word(self, kind: str, lease: str, gap: int) -> None:
        """A word about a live lease."""
        if kind == "accept":
            self.accept(lease)
        elif kind == "report":
            self.hand_in(lease)
        elif kind == "progress":
            self.progress(lease, done=self.now_ms)
        elif kind == "decline":
            self.decline(lease)
        else:
            self.fail(lease)


def tell(actions: list[Action], rounds: tuple[int, int], choice: dict[str, object], gateways: int) -> Story:
    """The story of `actions` over two runs of so many rounds, with so many gateways."""
    story = Story(gateways)
    story.bring()
    story.fleet(DEVICES)
    story.submit(task(**{**A_TERMS, **choice}, rounds=rounds[0] + bool(choice)), "a")
    story.submit(task(**B_TERMS, rounds=rounds[1]), "b")
    story.work()
    if choice:
        story.first_round()
    for action in actions:
        story.act(action)
    return story


def joined(events: list[AnyEvent], chance: random.Random) -> list[AnyEvent]:
    """`events` with neighbouring check-ins, and neighbouring lease messages, joined at random."""
    out: list[AnyEvent] = []
    for event in events:
        last = out[-1] if out else None
        if isinstance(last, CheckedIn) and isinstance(event, CheckedIn) and chance.random() < 0.8:
            out[-1] = join(last, event)
        elif isinstance(last, LeasesTold) and isinstance(event, LeasesTold) and chance.random() < 0.8:
            out[-1] = LeasesTold(at_ms=event.at_ms, rows=last.rows + event.rows)
        else:
            out.append(event)
    return out


def join(first: CheckedIn, second: CheckedIn) -> CheckedIn:
    """Both batches as one."""
    old, new = first.telemetry, second.telemetry
    return CheckedIn(
        at_ms=second.at_ms,
        at=np.concatenate([first.at, second.at]),
        device=np.concatenate([first.device, second.device]),
        epoch=np.concatenate([first.epoch, second.epoch]),
        ticket=np.concatenate([first.ticket, second.ticket]),
        telemetry=Telemetry(
            **{name: np.concatenate([getattr(old, name), getattr(new, name)]) for name in Telemetry.__struct_fields__}
        ),
        landed=together(first.landed, second.landed),
    )


def together(first: Landed | None, second: Landed | None) -> Landed | None:
    """Where the rows of both batches landed."""
    if first is None or second is None:
        assert first is second, "a story's devices all check in through `come`"
        return None
    return Landed(
        gateway=np.concatenate([first.gateway, second.gateway]),
        generation=np.concatenate([first.generation, second.generation]),
    )


class Heard(msgspec.Struct):
    """What came of a story: records, what each ticket heard, other sends, and when each moment's last step wakes."""

    records: list[Record] = []
    answers: dict[int, object] = {}
    sends: list[AnySend] = []
    wakes: dict[int, int] = {}  # how many rows and events were told -> wake

    def take(self, step: Step, told: int) -> None:
        """One step more, after `told` rows and events."""
        self.records += step.records
        self.answers |= dict(told_by(step.sends))
        self.answers |= {send.ticket: send for send in step.sends if isinstance(send, Answer)}
        self.sends += [send for send in step.sends if not isinstance(send, Answer | CheckinAnswers)]
        self.wakes[told] = step.wake_ms


def length(event: AnyEvent) -> int:
    """How many rows an event holds; 1 if it has none."""
    if isinstance(event, CheckedIn):
        return len(event.at)
    return len(event.rows) if isinstance(event, LeasesTold) else 1


def replay(events: list[AnyEvent], limits: Limits, met: Counter[str]) -> Heard:
    """Feed `events` to a fresh core; `met` counts the hard cases within batches."""
    core = Core((), step=0, at_ms=0, limits=limits)
    heard, told = Heard(), 0
    for event in events:
        if isinstance(event, Booted):  # the process died before it
            rows = {(type(row), row.key()): row for record in heard.records for row in record.rows}
            core = Core(rows.values(), step=0, at_ms=core.state.now_ms, limits=limits)
        full = core.state.leases_left() == 0
        step = core.step(event)
        told += length(event)
        heard.take(step, told)
        if length(event) > 1:
            count(event, step, met)
            met["grants in a window"] += grants_in_a_window(core, step)
            met["live bound"] += not full and core.state.leases_left() == 0
            for slices in [work.slices for work in core.state.open.values() if work.slices is not None]:
                met["slice leased"] += slices.seats > 0
                met["slice used"] += int(slices.left.sum()) < slices.seats
    return heard


def grants_in_a_window(core: Core, step: Step) -> bool:
    """Whether `step` grants a lease of a buffered run."""
    runs = [record.subject[0] for record in step.records if record.kind == "lease-granted"]
    return any(core.state.task_of(run).task.round.mode == "buffered" for run in runs)


def count(event: AnyEvent, step: Step, met: Counter[str]) -> None:
    """Count what a batch met."""
    kinds = {record.kind for record in step.records}
    if isinstance(event, LeasesTold):
        met["timer among lease words"] += bool(kinds & {"lease-lapsed", "round-started", "counted"})
        leases = [row for record in step.records for row in record.rows if isinstance(row, LeaseRow)]
        met["older lease"] += any(lease.round > granting_round(lease.id) for lease in leases)
        return
    assert isinstance(event, CheckedIn)
    met["device twice"] += len(np.unique(event.device)) < len(event.device)
    met["timer among check-ins"] += bool(kinds & {"lease-lapsed", "round-started", "round-abandoned", "round-closed"})
    met["grants after a start"] += {"round-started", "lease-granted"} <= kinds
    met["two runs"] += len({record.subject[0] for record in step.records if record.kind == "lease-granted"}) > 1
    met.update(str(record.why.get("strategy", "")) for record in step.records if record.kind == "round-started")
    for send in step.sends:
        if isinstance(send, CheckinAnswers):
            met.update(REASONS[int(reason)] for reason in send.reason)
            met["claim contradicted"] += bool(send.against)


MET = (
    "timer among lease words",
    "timer among check-ins",
    "device twice",
    "grants after a start",
    "two runs",
    "live bound",
    "slice leased",
    "slice used",
    "offered",
    "reserved",
    "full",
    "when",
    "separation",
    "round-done",
    "epoch",
    "paused",
    "frozen",
    "cordoned",
    "claim contradicted",
    *("stratified", "oort", "power_of_choice", "quality", "spent", "budget", "backoff"),
    *("grants in a window", "older lease"),
)


def test_cutting_and_joining_batches_changes_no_decision() -> None:
    met: Counter[str] = Counter()

    @settings(max_examples=300, derandomize=True)
    @given(ACTIONS, ROUNDS, st.sampled_from(CHOICES), st.integers(0, 2**32))
    @example(OVERTAKEN, (3, 3), CHOICES[-1], 1)
    @example(OVERTAKEN, (2, 1), CHOICES[-1], 2)
    @example(LOST, (3, 3), CHOICES[0], 1)
    @example(LOST, (3, 3), CHOICES[0], 2)
    def holds(actions: list[Action], rounds: tuple[int, int], choice: dict[str, object], cut: int) -> None:
        story = tell(actions, rounds, choice, (1, 3)[cut % 2])
        single = replay(story.told, story.limits, Counter())
        several = replay(joined(story.told, random.Random(cut)), story.limits, met)
        assert several.records == single.records
        assert several.answers == single.answers
        assert several.sends == single.sends
        assert {told: single.wakes[told] for told in several.wakes} == several.wakes

    holds()
    assert [case for case in MET if not met[case]] == [], met
