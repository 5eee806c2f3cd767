"""What a running plane knows that a forecast of a task needs: who fits it now, and how its last rounds went.

Decides: who of the fleet counts as fitting, how rounds of the past stand for those to come, and what is said to be
assumed where nothing was seen. Never: what follows from it (tasks/forecast.py). Reads only.
Limits: above `SAMPLE` devices a keyed sample of so many stands for all, so that a look costs tens of ms however large
the fleet is; the last `ROUNDS_SEEN` ended rounds. Who rests is there: its separation counts with the pace. Momentary
rules are judged by what devices told last, for every hour alike: the hours differ in how many devices are online.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from podium.core.draws import draw
from podium.core.fleet.columns import NEVER
from podium.core.rounds.adapting import goal_of
from podium.core.rounds.table import ROUND_OPEN
from podium.core.rows import RoundRow
from podium.core.selection.eligible import CLAUSE, Eligibility, facts_now
from podium.core.selection.reasons import CODE
from podium.core.state import State
from podium.core.views.fleet import online
from podium.core.views.holdups import horizon_ms
from podium.tasks.forecast import (
    HOUR_MS,
    HOURS,
    LOSS_ASSUMED,
    POWER_OTHER_W,
    WATTS_ASSUMED,
    Evidence,
    leases_expected,
    power_w,
)
from podium.tasks.task import Task

SAMPLE = 100_000
ROUNDS_SEEN = 32
LEASES_ENOUGH = 20
"""From so many decided leases on their loss rate stands for itself."""
_LACKS = {
    CODE["kind"]: "no such plan",
    CODE["dataset"]: "no such data",
    CODE["region"]: "in none of select.regions",
}
_LOST = ("DECLINED", "FAILED", "LAPSED", "REFUSED")

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


def prospect(state: State, task: Task, fit: Eligibility, by_hour: Sequence[float], now_ms: int) -> Evidence:
    """The evidence for a `task` whose rules are compiled in `fit`.

    `by_hour`: 24 means of devices online by hour of the plane's day, NaN where none was counted.
    """
    size, devices = state.fleet.size, sampled(state.fleet.size)
    scale = size / len(devices) if len(devices) else 0.0
    who = Fitting(state, fit, devices, now_ms)
    fitting, now = round(who.count(who.fits) * scale), round(who.count(who.able) * scale)
    assumed: list[str] = []
    past = list(_past(state, task))
    loss = _loss(past, assumed)
    round_ms, unused_ms = _times(task, past, assumed)
    leases, updates = _cost(state, task, past, loss)
    lease_ms = _lease_ms(state, past, who.classes(), unused_ms, assumed)
    assumed.append(WATTS_ASSUMED)
    hour = now_ms // HOUR_MS % HOURS
    return Evidence(
        source="history",
        devices=size,
        sampled=len(devices),
        fit=fitting,
        now=now,
        resting=round(who.count(who.able & who.resting) * scale),
        hour=hour,
        hours=_hours(state, by_hour, (hour, now, fitting), now_ms, assumed),
        held={name: round(count * scale) for name, count in who.held().items()},
        rounds_seen=len(past),
        loss_rate=loss,
        round_ms=round_ms,
        lease_ms=lease_ms,
        leases=leases,
        updates=updates,
        unused_ms=unused_ms,
        paced=[],
        power_w=who.power_w(),
        assumed=assumed,
    )


def sampled(size: int) -> Numbers:
    """The numbers of the devices that are looked at: all, or `SAMPLE` keyed draws with replacement."""
    if size <= SAMPLE:
        return np.arange(size)
    return (draw(0, "forecast", np.arange(SAMPLE)) % np.uint64(size)).astype(np.int64)


class Fitting:
    """How each of `devices` stands to a task: bool columns of their shape.

    fits: it is not barred, and what is known of it fits but for the moment. able: it fits now too, and is connected, or
    stays away because it was told to rest (`resting`).
    """

    def __init__(self, state: State, fit: Eligibility, devices: Numbers, now_ms: int) -> None:
        fleet = state.fleet
        self._fleet, self._fit, self._devices = fleet, fit, devices
        self._barred: Mask = fleet.banned[devices] | fleet.cordoned[devices]
        self._told: Mask = fleet.facts_id[devices] != NEVER
        self._codes = np.full(len(devices), CODE["offered"], np.int16)
        asked = np.flatnonzero(self._told)
        if len(asked):
            self._codes[asked] = fit.codes(fleet, facts_now(fleet, devices[asked]))
        momentary = self._codes >= CLAUSE + 2 * len(fit.requires.clauses)
        offered = self._codes == CODE["offered"]
        seen = fleet.seen_ms[devices]
        heard = ((seen != NEVER) & (seen >= now_ms - horizon_ms(state))) | fleet.live[devices]
        self.resting: Mask = ~heard & _told_to_rest(state, devices, now_ms)
        heard |= self.resting
        self.fits: Mask = self._told & ~self._barred & (offered | momentary)
        self.able: Mask = self.fits & offered & heard
        self._away: Mask = self.fits & offered & ~heard

    def count(self, which: Mask) -> int:
        """How many of `which` there are."""
        return int(np.count_nonzero(which))

    def held(self) -> dict[str, int]:
        """What keeps devices from being able to train now -> how many, the most first; each device once."""
        counts = Counter[str]()
        counts["cordoned or banned"] = self.count(self._barred)
        counts["not heard since the plane started"] = self.count(~self._told & ~self._barred)
        counts["not connected"] = self.count(self._away)
        codes, many = np.unique(self._codes[self._told & ~self._barred], return_counts=True)
        for code, count in zip(codes.tolist(), many.tolist(), strict=True):
            if code != CODE["offered"]:
                counts[self._text(code)] += count
        return {name: count for name, count in counts.most_common() if count}

    def _text(self, code: int) -> str:
        if code < CLAUSE:
            return _LACKS[code]
        clauses = [*self._fit.requires.clauses, *self._fit.when.clauses]
        return f"{'unknown' if (code - CLAUSE) % 2 else 'false'}: {clauses[(code - CLAUSE) // 2]}"

    def classes(self) -> Numbers:
        """The fact sets of those that fit, int64, one a device."""
        found: Numbers = self._fleet.facts_id[self._devices[self.fits]].astype(np.int64)
        return found

    def power_w(self) -> float:
        """The mean watts of those that fit; of a fleet of nobody an unknown class's."""
        sets, counts = np.unique(self.classes(), return_counts=True)
        if not len(sets):
            return POWER_OTHER_W
        facts = [self._fleet.facts.of(int(number)) for number in sets]
        watts = [power_w(str(each.get("device.os", "")), str(each.get("device.architecture", ""))) for each in facts]
        return float(np.average(watts, weights=counts))


def _told_to_rest(state: State, devices: Numbers, now_ms: int) -> Mask:
    """Which of `devices` may be silent only because they took part: whoever did comes back after the separation.

    It was told so when it reported. Of all runs the longest counts: which one a device served last is not kept.
    """
    rests = [
        min(terms.select.separation, state.limits.window_max_ms) + terms.round.report_deadline
        for terms in (state.task_of(run).task for run in state.runs)
        if terms.select.separation
    ]
    took_part = state.fleet.participated_ms[devices]
    told: Mask = (took_part != NEVER) & (took_part + max(rests, default=0) + horizon_ms(state) >= now_ms)
    return told & bool(rests)


def _hours(
    state: State, by_hour: Sequence[float], now: tuple[int, int, int], now_ms: int, assumed: list[str]
) -> list[int]:
    """Devices that may train by hour, from the present one on: those of `now`, as the day's online devices go.

    `now`: the hour, devices able to train now, devices that fit at all, which no hour exceeds.
    """
    hour, able, fitting = now
    here = online(state, now_ms)
    known = [by_hour[(hour + step) % HOURS] for step in range(HOURS)]
    if missing := sum(1 for each in known[1:] if np.isnan(each)):
        assumed.append(f"{missing} of 24 hours were not seen since the plane started: taken to be as now")
    level = able / here if here else 0.0
    told = [-1 if np.isnan(each) else min(fitting, round(each * level)) for each in known]
    return [able, *told[1:]]


def _past(state: State, task: Task) -> Iterator[RoundRow]:
    """The last ended rounds of tasks with the same plan, newest run first."""
    left = ROUNDS_SEEN
    for run in sorted(state.runs.values(), key=lambda run: -run.started_ms):
        if state.tasks[run.task].task.task.plan != task.task.plan:
            continue
        for number in range(run.rounds_opened, 0, -1):
            row = state.rounds.get((run.id, number))
            if row is None or row.state in ROUND_OPEN:
                continue
            yield row
            left -= 1
            if not left:
                return


def _loss(past: list[RoundRow], assumed: list[str]) -> float:
    outcomes = Counter[str]()
    for row in past:
        for name, count in row.outcomes.items():
            outcomes[name.split(":")[0]] += count
    lost = sum(outcomes[name] for name in _LOST)
    decided = lost + outcomes["ACCEPTED"]
    if decided < LEASES_ENOUGH:
        assumed.append(f"{decided} leases of this plan have ended: {LOSS_ASSUMED:.0%} are taken to be lost")
        return LOSS_ASSUMED
    return min(0.95, lost / decided)


def _times(task: Task, past: list[RoundRow], assumed: list[str]) -> tuple[int, int]:
    """(ms from one round to the next, most ms of a lease that brings nothing), of sealed rounds or by the deadlines.

    Such a lease lasts until its round is over, one of a window until it is too stale, and that of a silent device for
    `stall`.
    """
    sealed = [row for row in past if row.state == "SEALED" and row.reporting_ms >= 0]
    report, form, stall = (
        int(each) for each in (task.round.report_deadline, task.round.form_deadline, task.round.stall)
    )
    if not sealed:
        assumed.append("no round of this plan was sealed: each is taken to last to its deadlines")
        return form + report, min(report, stall)
    if task.round.mode == "buffered":
        whole = float(np.median([row.ended_ms - row.opened_ms for row in sealed]))
        return max(1, int(whole)), max(1, int(min(whole * task.round.staleness_max, stall)))
    assumed.append("a lease that brings nothing is taken to last as long as its round works: its waste is rough")
    before = {(row.run, row.number + 1): row.ended_ms for row in past}
    # a round forms while the one before it reports, and a few long ones cost more than many short ones: so the mean;
    # beyond its deadlines a round only stood still
    own = [row.ended_ms - max(row.opened_ms, before.get((row.run, row.number), -1)) for row in sealed]
    works = [min(row.ended_ms - row.reporting_ms, report, stall) for row in sealed]
    return max(1, int(np.minimum(own, form + report).mean())), max(1, int(np.mean(works)))


def _cost(state: State, task: Task, past: list[RoundRow], loss: float) -> tuple[float, float]:
    """(leases, updates) of a sealed round: as many for its goal as in the past, given up ones shared in."""
    sealed = [row for row in past if row.state == "SEALED"]
    updates = sum(row.outcomes.get("ACCEPTED", 0) for row in sealed)
    goals = sum(goal_of(row, state.task_of(row.run).task) for row in sealed)
    if not updates:
        return leases_expected(task, loss), float(task.round.goal)
    wanted = task.round.goal * updates / goals
    return wanted * sum(row.leases_made for row in past) / updates, wanted


def _lease_ms(state: State, past: list[RoundRow], classes: Numbers, works_ms: int, assumed: list[str]) -> int:
    """What a lease takes that is accepted: the medians of the classes of those that fit, as the last run taught.

    No lease that a round counted took longer than the round worked, `works_ms`: that stands in where nothing is known.
    """
    usual = state.learned.durations(past[0].run, classes, 0.5) if past else np.empty(0, np.float32)
    usual = usual[~np.isnan(usual)]
    if not len(usual):
        if past:
            assumed.append("how long a lease takes is not known since the plane started: as long as its round works")
        return works_ms
    return max(1, int(min(works_ms, float(usual.mean()))))
