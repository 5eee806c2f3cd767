"""What rounds of a task come to over a synthetic fleet, drawn one by one: their time, leases, updates and waste.

Decides: how long a round takes from the end of the one before, and what its leases cost. Never: when there are devices
for it (prospect.py). A round's leases are drawn at random of the fleet, each with its time, its losses and what every
answer of the plane takes; who is lost, or past hope, is replaced as the core does it (rounds/adapting.py). What a plane
learns of classes and losses it learns of the rounds drawn before; whoever is at work or silent is drawn less.
Limits: `LEASES_DRAWN` leases, so of large rounds fewer; at most `WAVES` times is a round filled up; a device that is
drawn once may be drawn again; a window's cost is by means (Little's law), no window is drawn.
"""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.core.draws import uniform
from podium.core.fleet.learned import DURATIONS_MIN, SLOW
from podium.core.pacing.adapt import SLACK, leases_for
from podium.sim.devices import LATENCY_MS
from podium.sim.world import WORK_MS
from podium.tasks.forecast import LOSS_ASSUMED
from podium.tasks.task import Task
from podium.wire.limits import Limits

ROUNDS_DRAWN, LEASES_DRAWN = 128, 800_000
PLANES = 8
"""What a plane learns first, it learns by chance, and goes by it for long."""
FIRST_ROUNDS = 2
"""A plane that knows nothing learns of its first rounds; of twice as many then, and so on: as it does in a run."""
SETTLED = 8
WAVES = 4
LOSS_MOST = 0.95
RATE_STEPS = 32

Numbers = NDArray[np.int64]
Times = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """The devices that rounds are drawn of: arrays of one shape (n,), n >= 1.

    took_ms: each one's time on a lease; drop_out: its chance to fall silent; classes: its standing facts' number.
    there: how many such devices are there at once.
    """

    took_ms: Numbers
    drop_out: NDArray[np.float32]
    classes: NDArray[np.int16]
    there: int


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """How messages go, in ms. answer_ms: the plane answers in batches of so long. asks_ms: how far apart a device asks
    for which a seat is kept; free_ms: between two devices that may take a seat that is free."""

    answer_ms: int
    asks_ms: float
    free_ms: float

    def answered(self, at_ms: Times) -> Times:
        """When the batch in which something comes is answered."""
        told: Times = (np.floor(at_ms / self.answer_ms) + 1.0) * self.answer_ms
        return told


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What a sealed round comes to, on average; what abandoned ones cost is shared among the sealed.

    round_ms: from the end of the one before; leases and updates: granted and accepted; lease_ms and unused_ms: a
    device's time on a lease whose update is accepted, and on one that brings nothing; away_ms: for how long a lease
    keeps its device from the next; loss_rate: as a plane learns it.
    """

    round_ms: float
    leases: float
    updates: float
    lease_ms: float
    unused_ms: float
    away_ms: float
    loss_rate: float


class _Leases(msgspec.Struct, frozen=True, kw_only=True):
    """Drawn leases, a row each round; inf where there is none. who: of the pool; in ms from the start of the round."""

    who: Numbers
    granted: Times
    accepted: Times
    reports: Times
    lapses: Times
    given_up: Times


def course_of(task: Task, pool: Pool, traffic: Traffic) -> Course:
    """The course of the task's rounds on the devices of `pool`: the mean of those of `PLANES` planes.

    Of each, that of the last of its rounds, which know most.
    """
    if task.round.mode == "buffered":
        return _window(task, pool, traffic)
    found = [_learning(task, pool, traffic, plane) for plane in range(PLANES)]
    means = {name: float(np.mean([getattr(each, name) for each in found])) for name in Course.__struct_fields__}
    return Course(**means)


def _learning(task: Task, pool: Pool, traffic: Traffic, plane: int) -> Course:
    """The course of rounds of a plane that begins to learn, the one of this number."""
    learned, rounds = _Learned(task, pool), FIRST_ROUNDS
    most = max(FIRST_ROUNDS, min(ROUNDS_DRAWN, LEASES_DRAWN // (PLANES * WAVES * task.round.goal)))
    while True:
        found = learned.take(traffic, _Draws(task, pool, traffic, learned, (plane, rounds)))
        if rounds >= most:
            return found
        rounds = min(2 * rounds, most)


def _free(task: Task, pool: Pool, course: Course) -> Times:
    """How often each device is there for a round: who was slow, dropped out or rests is so all the less.

    A device that every `1 / rate` ms gets a lease and is away for `away` ms after it is free for 1 / (1 + rate * away)
    of its time; the rate is that at which all devices together serve the rounds.
    """
    stall, apart = float(task.round.stall), float(task.select.separation)
    # who comes too late hears of it with the next word about its progress
    works = np.minimum(pool.took_ms, max(course.round_ms, stall // 3))
    away = np.maximum(apart, works + pool.drop_out * (2.0 * stall))
    asked = course.leases / course.round_ms / max(1, pool.there)
    rate = asked
    free: Times = 1.0 / (1.0 + rate * away)
    for _ in range(RATE_STEPS):
        rate = asked / float(free.mean())
        free = 1.0 / (1.0 + rate * away)
    return free


class _Draws:
    """So many rounds of one task as they go when what was `learned` is known."""

    def __init__(self, task: Task, pool: Pool, traffic: Traffic, learned: "_Learned", which: tuple[int, int]) -> None:
        """`which`: the number of the plane, and how many rounds."""
        self._task, self._pool, self._traffic, self._learned = task, pool, traffic, learned
        self._plane, self.rounds = which
        goal, limits = task.round.goal, Limits()
        rates = np.array([learned.loss_rate], np.float32)
        if task.select.over == "auto":
            wanted = [leases_for(limits, each, rates) for each in _steps(goal)]
            self._wanted = np.interp(np.arange(goal + 1), [0, *_steps(goal)], [0, *wanted])
        else:
            factor = min(max(float(task.select.over), limits.over_min), limits.over_max)
            self._wanted = np.ceil(np.round(np.arange(goal + 1) * factor, 6))
        self._most = math.ceil(goal * limits.over_max)
        self._width = min(int(self._wanted[goal]), task.round.concurrency or self._most)
        self._hope: Times = np.full((self.rounds, 1), np.inf)  # as of the devices that were chosen first
        self.leases = self._drawn()

    def _drawn(self) -> _Leases:
        """The leases of all waves together."""
        goal, start = self._task.round.goal, np.zeros(self.rounds)
        count = np.full(self.rounds, self._width)
        waves: list[_Leases] = []
        for number in range(WAVES):
            waves.append(self._wave(number, start, count))
            every = _joined(waves)
            lost = np.isfinite(every.granted) & (every.reports > every.given_up)
            missing = np.maximum(0, goal - np.count_nonzero(np.isfinite(every.granted) & ~lost, axis=1))
            if not missing.any():
                break
            newest = waves[-1]
            gone = np.isfinite(newest.granted) & (newest.reports > newest.given_up)
            start = np.where(gone, newest.given_up, 0.0).max(axis=1)
            live = np.count_nonzero(lost & (every.lapses > start[:, None]), axis=1)
            count = np.minimum(np.ceil(self._wanted[missing]).astype(np.int64), self._most - live).clip(0, self._width)
            count[missing == 0] = 0
        return _joined(waves)

    def _wave(self, number: int, start: Times, count: Numbers) -> _Leases:
        """`count` leases a round from `start` on: kept devices come within a pause, others one after the other."""
        pool, traffic, terms = self._pool, self._traffic, self._task.round
        name = f"{self._plane}-{self.rounds}-{number}"
        seed, keys = self._task.run.seed, np.arange(self.rounds * self._width).reshape(self.rounds, self._width)
        who = np.searchsorted(self._learned.chances, uniform(seed, f"forecast-round-{name}", keys), side="right")
        who = np.minimum(who, len(pool.took_ms) - 1)
        ranks = np.arange(self._width)
        kept = uniform(seed, f"forecast-ask-{name}", keys) * traffic.asks_ms
        granted = start[:, None] + (kept if number == 0 else (ranks + 1.0) * traffic.free_ms)
        granted = np.where((ranks < count[:, None]) & np.isfinite(start)[:, None], granted, np.inf)
        accepted, reports = _worked(traffic, granted, pool.took_ms[who], int(terms.stall))
        dropped = uniform(seed, f"forecast-drop-{name}", keys) < pool.drop_out[who]
        lapses = np.where(dropped, accepted + float(terms.stall), np.inf)
        if number == 0:
            self._hope = np.minimum(
                float(terms.report_deadline), SLACK * self._learned.slow[who].max(axis=1, keepdims=True)
            )
        return _Leases(
            who=who,
            granted=granted,
            accepted=accepted,
            reports=np.where(dropped, np.inf, reports),
            lapses=lapses,
            given_up=np.minimum(lapses, granted + self._hope),
        )


def _steps(goal: int) -> list[int]:
    """Some numbers up to `goal`, by which the leases for each are told on the line between."""
    return sorted({*np.geomspace(1, goal, 24).astype(int).tolist(), goal})


def _joined(waves: list[_Leases]) -> _Leases:
    if len(waves) == 1:
        return waves[0]
    names = _Leases.__struct_fields__
    return _Leases(**{name: np.concatenate([getattr(each, name) for each in waves], axis=1) for name in names})


def _worked(traffic: Traffic, granted: Times, took_ms: Numbers, stall_ms: int) -> tuple[Times, Times]:
    """When a lease that is granted is accepted, and when it reports: each word waits for its answer, progress too."""
    latency = sum(LATENCY_MS) / 2
    accepted = traffic.answered(granted) + latency
    pieces = np.ceil(took_ms / max(1, stall_ms // 3))
    told = (pieces - 1.0) * (latency + traffic.answer_ms / 2)
    return accepted, traffic.answered(accepted) + took_ms + told + latency


class _Learned:
    """What a plane knows after some rounds. By device: `slow`, the p95 of its class in ms (inf unknown), and `chances`
    to be there for a round, summed up to 1."""

    def __init__(self, task: Task, pool: Pool) -> None:
        self._task, self._pool = task, pool
        self.loss_rate = LOSS_ASSUMED
        self.slow: Times = np.full(len(pool.took_ms), np.inf)
        self.chances: Times = np.linspace(0.0, 1.0, len(pool.took_ms) + 1)[1:]
        self._who: list[Numbers] = []
        self._lasted: list[Times] = []
        self._lost = self._decided = 0

    def take(self, traffic: Traffic, drawn: _Draws) -> Course:
        """What the drawn rounds come to; it is learned."""
        terms, leases, pool = self._task.round, drawn.leases, self._pool
        goal, stall = terms.goal, float(terms.stall)
        judged = _judged(traffic, leases.reports)
        deadline = leases.granted.min(axis=1) + float(terms.report_deadline)
        met = judged[:, goal - 1] if judged.shape[1] >= goal else np.full(drawn.rounds, np.inf)
        late = met > deadline
        closes = np.minimum(met, deadline)
        granted, used = leases.granted < closes[:, None], leases.reports <= closes[:, None]
        sealed = np.count_nonzero(used, axis=1) >= np.where(late, terms.minimum or goal, goal)
        used &= sealed[:, None]
        unused, ends = granted & ~used, np.minimum(leases.lapses, closes[:, None])
        self._who.append(leases.who[used])
        self._lasted.append(leases.reports[used] - leases.granted[used])
        self.slow = _slow(pool.classes, np.concatenate(self._who), np.concatenate(self._lasted))
        age = ends[unused] - leases.granted[unused]
        past = (age > SLACK * self.slow[leases.who[unused]]) | (leases.lapses[unused] <= ends[unused])
        past |= np.broadcast_to(late[:, None], unused.shape)[unused]  # later than the deadline
        self._lost += int(np.count_nonzero(past))
        self._decided += int(np.count_nonzero(past)) + int(np.count_nonzero(used))
        self.loss_rate = min(LOSS_MOST, self._lost / max(1, self._decided))
        count = max(1, int(np.count_nonzero(sealed)))
        lease_ms = _mean(leases.reports[used] - leases.accepted[used])
        course = Course(
            # what is judged is summed, then the next round is prepared: a batch each
            round_ms=(float(closes.sum()) + 2.0 * traffic.answer_ms * drawn.rounds) / count,
            leases=float(np.count_nonzero(granted)) / count,
            updates=int(np.count_nonzero(used)) / count,
            lease_ms=lease_ms,
            unused_ms=_mean(np.maximum(0.0, ends[unused] - leases.accepted[unused])),
            # who drops out is away for one to three times `stall`
            away_ms=lease_ms + _mean(pool.drop_out[leases.who[granted]]) * 2.0 * stall,
            loss_rate=self.loss_rate,
        )
        free = _free(self._task, pool, course)
        self.chances = np.cumsum(free) / free.sum()
        return course


def _mean(values: NDArray[np.floating]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _judged(traffic: Traffic, reports: Times) -> Times:
    """When the reports of each round are judged, in order: one after the other, in the batch after theirs."""
    arrived = np.sort(traffic.answered(reports), axis=1)
    each = sum(WORK_MS) / 2
    turns = np.arange(arrived.shape[1]) * each
    told: Times = traffic.answered(np.maximum.accumulate(arrived - turns, axis=1) + turns + each)
    return told


def _slow(classes: NDArray[np.int16], who: Numbers, lasted: Times) -> Times:
    """For each device the p95 of what was heard of its class (`lasted` of devices `who`), as fleet/learned.py has it:
    of all together, if too little was heard of it; inf if too little was heard of all."""
    if len(lasted) < DURATIONS_MIN:
        return np.full(len(classes), np.inf)
    slow = np.full(len(classes), np.quantile(lasted, SLOW))
    for each, heard in zip(*np.unique(classes[who], return_counts=True), strict=True):
        if heard >= DURATIONS_MIN:
            slow[classes == each] = np.quantile(lasted[classes[who] == each], SLOW)
    return slow


def _window(task: Task, pool: Pool, traffic: Traffic) -> Course:
    """The same of windows: `concurrency` devices at work, and nobody begins once a window has its goal stored."""
    terms, stall = task.round, float(task.round.stall)
    granted = np.full(len(pool.took_ms), traffic.free_ms)
    accepted, reports = _worked(traffic, granted, pool.took_ms, int(stall))
    kept, lost = 1.0 - float(np.mean(pool.drop_out)), float(np.mean(pool.drop_out))
    closing, whole = 3.5 * traffic.answer_ms, math.inf  # judged, summed, prepared: a batch each, and half of one before
    seat_ms = lapse_ms = 0.0
    for _ in range(SETTLED):  # who is past `staleness_max` versions is not waited for
        lapse_ms = min(stall, terms.staleness_max * whole)
        seat_ms = kept * float(reports.mean()) + lost * (float(accepted.mean()) + lapse_ms)
        whole = terms.goal * seat_ms / (terms.concurrency * kept) + closing
    updates = terms.concurrency * kept / seat_ms * whole
    lease_ms = float((reports - accepted).mean())
    return Course(
        round_ms=whole,
        leases=updates / kept,
        updates=updates,
        lease_ms=lease_ms,
        unused_ms=lapse_ms,
        away_ms=lease_ms + lost * 2.0 * stall,
        loss_rate=lost,
    )
