"""What holds devices back from a round: one column of reasons over the whole fleet, or over one device of it.

Decides: for each device the first reason that applies (in the order of `HELD_BY`, then the task's clauses), and whether
it is the only one: a device with one reason would take part were that one removed. Never: which cause is named first
(explain.py). Reads only. Plan, data and `requires` are looked at as the facts are now; momentary rules, and devices of
which nothing is known, as they were judged at the device's last check-in in this round. A check-in is judged by the
first rule that fails; whether another would fail a device too is looked up in what it told last.
Limits: a pass over a few columns, of 1e6 devices in tens of ms; momentary values are counted over `TOLD_MAX` devices.
"""

import re
from collections import Counter
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from podium.core.fleet.columns import NEVER
from podium.core.fleet.facts import DATASETS, NOT_TOLD, Facts, momentary_facts
from podium.core.open_round import OpenRound
from podium.core.pacing.windows import longest_ms
from podium.core.rounds.table import LEASE_LIVE, LEASE_STORED
from podium.core.rounds.wants import pace_view
from podium.core.rows import DeviceRow, RoundRow, TaskRow
from podium.core.selection.declared import OWN
from podium.core.selection.eligible import CLAUSE, facts_now
from podium.core.selection.permits import over_budget, too_often
from podium.core.selection.reasons import CODE
from podium.core.selection.rules import UNKNOWN
from podium.core.state import State
from podium.core.views.runs import ONLINE_MS

TOLD_MAX = 500
TABLE_MAX = 4_000_000
"""Fact sets numbered up to here are looked up in a table, ten times faster than by bisection."""
VALUES_SHOWN = 3
EXAMPLES = "podium_examples."
"""Where the plans begin that Podium brings itself."""
NAMED_MAX = 3
BLOCK = 65_536
"""Devices looked through at once for names."""
TEXT_CHARS_MAX = 80
HELD_BY = (
    "banned",
    "at-work-elsewhere",
    "cordoned",
    "tries-spent",
    "separation",
    "times-spent",
    "budget-spent",
    "backoff",
    "not-connected",
    "plan-missing",
    "plan-digest",
    "region",
    "dataset",
    "not-checked-in",
    "returning",
)
"""The reasons without a clause, by number; `CLAUSE` and above is a clause's, numbered as in `OpenRound.reason`."""
NUMBER = {name: number for number, name in enumerate(HELD_BY)}
_FIT = [CODE[word] for word in ("offered", "reserved", "full")]
_TOLD = {"kind": "plan-missing", "region": "region", "dataset": "dataset"}
_FACT = re.compile(r"""(?:['"]([^'"]+)['"]\s+in\s+)?device\.(\w+)(?:\[\s*['"]([^'"]+)['"]\s*\])?""")

T = TypeVar("T", bound=np.generic)
Mask = NDArray[np.bool_]
Codes = NDArray[np.int16]


class HoldUps:
    """`first`: int16, the reason's number or -1; `several`: bool, whether others apply too. One element a device."""

    def __init__(self, size: int) -> None:
        self.first: Codes = np.full(size, -1, np.int16)
        self.several: Mask = np.zeros(size, np.bool_)
        self._named: dict[int, list[int]] = {}

    def mark(self, which: Mask, reason: int | Codes) -> None:
        """Give `reason` (one, or one a device) to the devices of `which`, behind those they have."""
        if not which.any():
            return  # most reasons hold nobody back
        new = which & (self.first < 0)
        self.several |= which ^ new
        np.copyto(self.first, np.asarray(reason, np.int16), where=new)

    def mark_also(self, which: Mask) -> None:
        """Something else applies to the devices of `which` besides what they have."""
        self.several |= which & (self.first >= 0)

    def counts(self) -> dict[int, int]:
        """Reason -> devices whose first it is, the most first."""
        every = Counter(_counted(self.first + np.int16(1)))
        return {reason - 1: count for reason, count in every.most_common() if reason}

    def alone(self) -> dict[int, int]:
        """Reason -> devices that nothing else holds back."""
        others = _counted(self.first[self.several])
        return {reason: count - others.get(reason, 0) for reason, count in self.counts().items()}

    def named(self, reason: int) -> list[int]:
        """The places of the first `NAMED_MAX` devices whose first reason it is; looked for once all are marked."""
        if reason not in self._named:
            found: list[int] = []
            for start in range(0, len(self.first), BLOCK):
                found += (start + np.flatnonzero(self.first[start : start + BLOCK] == reason)[:NAMED_MAX]).tolist()
                if len(found) >= NAMED_MAX:
                    break
            self._named[reason] = found[:NAMED_MAX]
        return self._named[reason]


def _counted(values: NDArray[np.signedinteger]) -> dict[int, int]:
    """Value (0 or above) -> how often it is there."""
    if len(values) == 0 or int(values.max()) > TABLE_MAX:
        every, counts = np.unique(values, return_counts=True)
        return dict(zip(every.tolist(), counts.tolist(), strict=True))
    table = np.bincount(values)
    return {int(value): int(table[value]) for value in np.flatnonzero(table)}


class Look:
    """What a view needs of a round and the devices of `pick`; `row` None: a round of `task` that is not there."""

    def __init__(self, state: State, task: TaskRow, row: RoundRow | None, pick: slice, now_ms: int) -> None:
        self.state, self.task, self.row, self.pick, self.now_ms = state, task, row, pick, now_ms
        self.work = OpenRound() if row is None else state.open[row.run, row.number]
        self.size = len(range(*pick.indices(state.fleet.size)))

    def column(self, values: NDArray[T], missing: int | bool) -> NDArray[T]:
        """`values` of `pick`; a column of the round may be shorter than the fleet."""
        short = self.state.fleet.size - len(values)
        if short > 0:
            values = np.concatenate([values, np.full(short, missing, values.dtype)])
        return values[: self.state.fleet.size][self.pick]

    def numbers(self) -> NDArray[np.int64]:
        """The device numbers of `pick`."""
        return np.arange(*self.pick.indices(self.state.fleet.size))

    def taking_part(self) -> Mask:
        """Devices that count already: nominated for a forming round, at work for this one, or done with it."""
        whole = np.zeros(self.state.fleet.size, np.bool_)
        kept = (*LEASE_LIVE, *LEASE_STORED)
        numbers = [self.state.holder(each) for each in self.work.leases.values() if each.state in kept]
        whole[numbers] = True
        if self.row is not None and self.row.state == "FORMING":
            nominated = self.work.nominated[: len(whole)]
            whole[: len(nominated)] |= nominated
        return whole[self.pick]


def window_now_ms(state: State) -> int:
    """The longest window that devices are told now, its jitter included."""
    return longest_ms(state.limits, pace_view(state), state.now_ms)


def horizon_ms(state: State) -> int:
    """A device heard within this counts as connected: it may be within the window that it was told."""
    idle = longest_ms(state.limits, state.pace.view(state.fleet, 0, -1), state.now_ms)
    return max(ONLINE_MS, window_now_ms(state), idle)


def connected(look: Look) -> Mask:
    """Devices heard within the horizon, or at work: who trains need not check in."""
    columns = look.state.fleet
    seen = look.column(columns.seen_ms, NEVER)
    heard: Mask = (seen != NEVER) & (seen >= look.now_ms - horizon_ms(look.state))
    return heard | look.column(columns.live, False)


def hold_ups(look: Look) -> HoldUps:
    """The reasons of every device of `look.pick` that does not take part in the round."""
    state, columns, work = look.state, look.state.fleet, look.work
    part, found, here = look.taking_part(), HoldUps(look.size), connected(look)
    away = ~part
    reason = look.column(work.reason, -1)
    found.mark(away & look.column(columns.banned, False), NUMBER["banned"])
    found.mark(away & look.column(columns.live, False), NUMBER["at-work-elsewhere"])
    found.mark(away & look.column(columns.cordoned, False), NUMBER["cordoned"])
    spent = look.column(work.attempts, 0) >= state.limits.leases_per_device_max
    found.mark(away & spent, NUMBER["tries-spent"])
    resting = free_ms(look) > 0
    found.mark(away & resting, NUMBER["separation"])
    _mark_bounds(look, found, away)
    # a device that took part was told to come back after its separation, one that is out of tries with the next round
    found.mark(away & ~here & ~resting, NUMBER["not-connected"])
    _mark_standing(look, found, away, reason)
    hard = len(state.eligibility_of(look.task).requires.clauses)
    found.mark(away & here & (reason >= CLAUSE + 2 * hard), reason)
    _mark_moment(look, found, away & here)
    fit = away & (found.first < 0)
    # what held a device back at its last check-in may be over, and its momentary facts be others by now
    looked_at = (reason == _FIT[0]) | (reason == _FIT[1]) | (reason == _FIT[2])  # isin takes ten times as long
    found.mark(fit & ~looked_at, NUMBER["not-checked-in"])
    found.mark(fit & looked_at, NUMBER["returning"])
    return found


def _mark_bounds(look: Look, found: HoldUps, away: Mask) -> None:
    """Devices that took part as often as they may, have spent what they may, or lost their last leases."""
    if look.row is None:
        return
    run, every = look.state.runs[look.row.run], look.numbers()
    often = too_often(look.state, run, every)
    spent = over_budget(look.state, run, every, np.full(len(every), look.now_ms))
    lost = look.state.losses[look.row.run].resting(every, np.full(len(every), look.now_ms))
    for mask, name in ((often, "times-spent"), (spent, "budget-spent"), (lost, "backoff")):
        if mask is not None:
            found.mark(away & mask, NUMBER[name])


def free_ms(look: Look) -> NDArray[np.int64]:
    """In how many ms each device may train again by the task's separation; 0 and below: it may now."""
    apart = look.task.task.select.separation
    if apart <= 0:
        return np.zeros(look.size, np.int64)
    took = look.column(look.state.fleet.participated_ms, NEVER)
    free: NDArray[np.int64] = np.where(took != NEVER, took + apart - look.now_ms, 0)
    return free


def _mark_standing(look: Look, found: HoldUps, away: Mask, reason: Codes) -> None:
    """Plan, data and `requires`: as its facts are, or as the device's last check-in in this round was judged."""
    fleet, fit = look.state.fleet, look.state.eligibility_of(look.task)
    held = look.column(fleet.facts_id, NEVER)
    asked = np.flatnonzero(away & (held != NEVER))
    codes = np.full(look.size, -1, np.int16)

    def mark(which: Mask, code: int | Codes) -> None:
        codes[asked] = np.where(which, code, -1)
        found.mark(codes >= 0, codes)

    if len(asked):
        facts = facts_now(fleet, look.pick.indices(fleet.size)[0] + asked)
        standing = fit.plan_codes(fleet, facts.sets)
        lacking = standing == CODE["kind"]
        sets = [number for number in np.unique(facts.sets[lacking]).tolist() if _plan(look, number) is not None]
        other = lacking & np.isin(facts.sets, np.array(sets, np.int32))
        mark(lacking & ~other, NUMBER["plan-missing"])
        mark(other, NUMBER["plan-digest"])
        mark(fit.out_of_region(fleet, facts.sets), NUMBER["region"])
        mark(fit.short_of_data(facts), NUMBER["dataset"])
        for index, verdict in enumerate(fit.requires.verdicts(facts)):
            mark(verdict > 0, CLAUSE + 2 * index + (verdict == UNKNOWN).astype(np.int16))
    hard = CLAUSE + 2 * len(fit.requires.clauses)
    told = np.where((reason >= CLAUSE) & (reason < hard), reason, np.int16(-1))
    for word, name in _TOLD.items():
        told[reason == CODE[word]] = NUMBER[name]
    found.mark(away & (held == NEVER) & (told >= 0), told)


def _mark_moment(look: Look, found: HoldUps, which: Mask) -> None:
    """Whether a momentary rule fails devices of `which` besides the one reason that they have: as told last."""
    fleet, fit = look.state.fleet, look.state.eligibility_of(look.task)
    if not fit.when.clauses:
        return
    told = (look.column(fleet.facts_id, NEVER) != NEVER) & (look.column(fleet.seen_ms, NEVER) != NEVER)
    asked = np.flatnonzero(which & told & (found.first >= 0) & ~found.several)
    if len(asked) == 0:
        return
    hard = CLAUSE + 2 * len(fit.requires.clauses)
    own = (found.first[asked] - hard) // 2  # the clause that is its reason; below 0 if that is another
    also = np.zeros(look.size, np.bool_)
    for index, verdict in enumerate(fit.when.verdicts(facts_now(fleet, look.pick.indices(fleet.size)[0] + asked))):
        also[asked] |= (verdict > 0) & (own != index)
    found.mark_also(also)


def _plan(look: Look, number: int) -> str | int | None:
    """The digest of the task's plan that the devices of a fact set have; None if they have none."""
    return _in(look.state.fleet.facts.of(number), "device.plans", look.task.task.task.plan)


def _in(facts: Facts, name: str, key: str) -> str | int | None:
    held = facts.get(name, {})
    return held.get(key) if isinstance(held, dict) else None


# -- what the devices have instead -----------------------------------------------------------------------------------


def held_devices(look: Look, found: HoldUps, code: int) -> list[DeviceRow]:
    """The first `NAMED_MAX` devices whose first reason is `code`."""
    start = look.pick.indices(look.state.fleet.size)[0]
    return [look.state.devices[start + place] for place in found.named(code)]


def told(look: Look, found: HoldUps, code: int) -> tuple[list[tuple[str, int]], int]:
    """What the devices that `code` holds back have where something else is asked for: value -> devices, most first.

    And how many devices that was counted over: momentary facts of the first `TOLD_MAX`, standing ones of all that hold
    one of the `TOLD_MAX` most frequent fact sets.
    """
    start = look.pick.indices(look.state.fleet.size)[0]
    numbers = start + np.flatnonzero(found.first == code)
    columns, texts = look.state.fleet, Counter[str]()
    if _is_own(look, code):
        for number in numbers[:TOLD_MAX].tolist():
            texts[_had(look, code, columns.facts_of(number) | momentary_facts(columns.telemetry, number))] += 1
    else:
        for held, count in Counter(_counted(columns.facts_id[numbers] - NEVER)).most_common(TOLD_MAX):
            texts[_had(look, code, columns.facts.of(held + NEVER))] += count
    return texts.most_common(), texts.total()


def _is_own(look: Look, code: int) -> bool:
    """Whether `code` is about facts that each device has for itself, not ones that a class of them shares."""
    if code == NUMBER["dataset"]:
        return True
    if code < CLAUSE:
        return False
    return any(f"device.{name}" in OWN for _, name, _ in _FACT.findall(clause_of(look, code)))


def clause_of(look: Look, code: int) -> str:
    """The text of the clause that `code` names."""
    rules = look.state.eligibility_of(look.task)
    return [*rules.requires.clauses, *rules.when.clauses][(code - CLAUSE) // 2]


def _had(look: Look, code: int, facts: Facts) -> str:
    task = look.task.task
    if code >= CLAUSE:
        parts = []
        for key_before, name, key_after in dict.fromkeys(_FACT.findall(clause_of(look, code))):
            key = key_before or key_after
            parts.append(f"{f'{name}[{key}]' if key else name} {shown(facts.get(f'device.{name}'), key)}")
    elif code == NUMBER["plan-digest"]:
        parts = [shown(facts.get("device.plans"), task.task.plan)]
    elif code == NUMBER["region"]:
        parts = [shown(facts.get("device.region"))]
    elif code == NUMBER["plan-missing"]:
        parts = _offered(facts.get("device.plans"), task.task.plan)
    else:
        held = {name: _in(facts, DATASETS, name) for name in task.data.datasets}
        parts = [f"{name} {NOT_TOLD if count == 0 else shown(count)}" for name, count in held.items()]
    return ", ".join(parts) or "none"


def _offered(plans: object, wanted: str) -> list[str]:
    """The first plans that a device offers; Podium's own examples, which each installation brings, only for another."""
    held = sorted(plans) if isinstance(plans, dict) else []
    told = [clean(name) for name in held if wanted.startswith(EXAMPLES) or not name.startswith(EXAMPLES)]
    return told[:VALUES_SHOWN] or (["only the examples of Podium"] if held else [])


def shown(value: object, key: str = "") -> str:
    """A fact as people read it; of a map the entry `key`, or its first entries."""
    if isinstance(value, dict):
        if key:
            return shown(value.get(key))
        return clean(" ".join(f"{name}={held}" for name, held in sorted(value.items())[:VALUES_SHOWN])) or "none"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return clean(f"{value:.4g}" if isinstance(value, float) else str(value)) or '""'


def clean(text: str) -> str:
    """What a device told, in one bounded line without control characters."""
    return "".join(char if char.isprintable() else "?" for char in text[:TEXT_CHARS_MAX])
