"""What a task will ask of a fleet: bounds from its terms alone, and what is expected of a fleet.

Decides: the bounds that its own terms set; from evidence, how many rounds an hour has, what a run moves, takes, wastes
and uses, whether it can end, and what binds it. Never: evidence itself (core/views/prospect.py: a plane's history;
sim/prospect.py: a trace). Limits: over-selection is bounded as this release's default limits bound it; a replaced
lease fetches the model again, which only the expected figures count. Devices are taken as interchangeable within an
hour, rounds as one after the other, and each day as the one that was seen.
Source: `POWER_W`, watts drawn in training, are assumed: orders of magnitude of a telephone's, a small board's and a
desktop's power under load, not measurements.
"""

import math

import msgspec

from podium.tasks.task import Task
from podium.wire.durations import format_duration
from podium.wire.limits import Limits

LOSS_MAX = 0.5
"""Of more than this over-selection cannot make up for: its default limit is twice the goal."""
HOURS = 24
HOUR_MS = 3_600_000
LOSS_ASSUMED = 0.1
"""The share of leases that is lost where none was seen: the upper end of the 6 to 10 % of Bonawitz et al. 2019."""
POWER_W = {"android": 3.0, "ios": 3.0, "linux/arm": 5.0, "linux/arm64": 8.0}
"""Operating system, or system/architecture -> watts."""
POWER_OTHER_W = 60.0


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a fleet for one task. Counts are of the whole fleet, scaled up if only a sample was looked at.

    hours: devices that may train, there at once, by hour of the day from `hour` on; -1 not known. held: what keeps
    devices from fitting -> devices. loss_rate: share of leases lost, in [0, 1). round_ms: a whole round; lease_ms: a
    device's time on a lease. power_w: mean of the fitting devices. assumed: what was not seen, in sentences.
    """

    source: str  # history | trace
    devices: int
    sampled: int  # devices looked at
    fit: int
    now: int
    hour: int
    hours: list[int]
    held: dict[str, int]
    loss_rate: float
    round_ms: int
    lease_ms: int
    power_w: float
    assumed: list[str]


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What is expected of a run on the fleet of `evidence`; -1 where it cannot be said.

    error_devices: half of the 95 % interval of `evidence.fit` that the sample leaves. rounds_per_hour: by hour, as
    `evidence.hours`. Bytes, device-hours, leases and Wh are of the whole run. `binds`: what stops the run, or what
    sets its pace if it goes; `why`: the sentence.
    """

    evidence: Evidence
    error_devices: int
    leases: float  # granted a round
    rounds_per_hour: list[float]
    run_ms: int
    round_down_bytes: int
    round_up_bytes: int
    run_down_bytes: int
    run_up_bytes: int
    device_hours: float
    lost_leases: float
    lost_device_hours: float
    energy_wh: float
    go: bool
    binds: str
    why: str


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """Devices asked at once, bytes and ms. `*_bytes` of a whole round are the most; -1 where the model is not known."""

    rounds: int
    goal: int
    minimum: int
    devices_least: int
    devices_most: int
    device_down_bytes: int
    device_up_bytes: int
    round_down_bytes: int
    round_up_bytes: int
    round_ms: int
    run_ms: int
    expected: Outlook | None = None


def forecast(task: Task, model_bytes: int = -1, update_bytes: int = -1, seen: Evidence | None = None) -> Forecast:
    """The forecast of a checked `task` whose base version has `model_bytes` and whose updates have `update_bytes`.

    Both in bytes, -1 if not known. A round lasts at most its two deadlines, a run as many rounds or its own deadline.
    With `seen`, what is expected besides what is bound.
    """
    limits, terms = Limits(), task.round
    over = task.select.over
    least, most = (limits.over_min, limits.over_max) if over == "auto" else (over, over)
    asked = [_asked(task, factor) for factor in (least, most)]
    up = 0 if task.task.kind == "evaluate" else update_bytes
    round_ms = int(terms.form_deadline + terms.report_deadline)
    return Forecast(
        rounds=task.run.rounds,
        goal=terms.goal,
        minimum=terms.minimum or terms.goal,
        devices_least=asked[0],
        devices_most=asked[1],
        device_down_bytes=model_bytes,
        device_up_bytes=up,
        round_down_bytes=-1 if model_bytes < 0 else model_bytes * asked[1],
        round_up_bytes=-1 if up < 0 else up * asked[1],
        round_ms=round_ms,
        run_ms=min(int(task.run.deadline), round_ms * task.run.rounds),
        expected=None if seen is None else _outlook(task, model_bytes, up, seen),
    )


def _asked(task: Task, factor: float) -> int:
    limits, terms = Limits(), task.round
    if terms.mode == "buffered":
        return terms.concurrency
    room = terms.concurrency or limits.leases_live_max
    return min(room, math.ceil(round(terms.goal * min(max(factor, limits.over_min), limits.over_max), 6)))


def leases_expected(task: Task, loss_rate: float) -> float:
    """How many leases a round grants until its goal is there: what is lost is replaced, what is over-selected stays."""
    over = task.select.over
    if task.round.mode == "buffered":
        return task.round.goal / (1.0 - loss_rate)
    first = _asked(task, 1.0 / (1.0 - loss_rate) if over == "auto" else over)
    return max(float(first), task.round.goal / (1.0 - loss_rate))


def power_w(system: str, architecture: str) -> float:
    """The watts that a device of that system and architecture is assumed to draw in training."""
    return POWER_W.get(f"{system}/{architecture}", POWER_W.get(system, POWER_OTHER_W))


def _outlook(task: Task, down: int, up: int, seen: Evidence) -> Outlook:
    leases = leases_expected(task, seen.loss_rate)
    rates = [_rate(task, seen, leases, there) for there in seen.hours]
    run_ms = _run_ms(task.run.rounds, rates, seen.round_ms)
    binds, why = _binding(task, seen, run_ms)
    lost = leases * seen.loss_rate
    kept = leases - lost
    hours, rounds = seen.lease_ms / HOUR_MS, task.run.rounds
    round_down, round_up = (-1 if each < 0 else round(each * count) for each, count in ((down, leases), (up, kept)))
    share = seen.fit / seen.devices if seen.devices else 0.0
    sampled = 0.0 if seen.sampled >= seen.devices else 1.96 * math.sqrt(share * (1 - share) / max(1, seen.sampled))
    return Outlook(
        evidence=seen,
        error_devices=math.ceil(sampled * seen.devices),
        leases=leases,
        rounds_per_hour=rates,
        run_ms=run_ms,
        round_down_bytes=round_down,
        round_up_bytes=round_up,
        run_down_bytes=-1 if round_down < 0 else round_down * rounds,
        run_up_bytes=-1 if round_up < 0 else round_up * rounds,
        device_hours=leases * hours * rounds,
        lost_leases=lost * rounds,
        lost_device_hours=lost * hours * rounds,
        energy_wh=leases * hours * rounds * seen.power_w,
        go=binds in PACES,
        binds=binds,
        why=why,
    )


def _there(seen: Evidence) -> list[int]:
    """Devices at once, by hour; where an hour was not seen, those of now."""
    return [seen.now if there < 0 else there for there in seen.hours]


def _rate(task: Task, seen: Evidence, leases: float, there: int) -> float:
    """Rounds an hour with `there` devices: one after the other, and no device before its separation is over."""
    there = seen.now if there < 0 else there
    if there < (task.round.minimum or task.round.goal):
        return 0.0
    fastest = HOUR_MS / max(1, seen.round_ms)
    apart = int(task.select.separation)
    if apart <= 0:
        return fastest
    return min(fastest, there / min(leases, there) * HOUR_MS / apart)


def _run_ms(rounds: int, rates: list[float], round_ms: int) -> int:
    """How long `rounds` take that begin with the first of `rates`; -1 if they never end."""
    day = sum(rates)
    if day <= 0:
        return -1
    days = int((rounds - 1e-9) // day)
    left, total_ms = rounds - days * day, days * HOURS * HOUR_MS
    for rate in rates:
        if left <= rate + 1e-9:
            return max(round_ms, int(total_ms + left / rate * HOUR_MS)) if rate else total_ms
        left, total_ms = left - rate, total_ms + HOUR_MS
    return total_ms


PACES = ("rounds", "separation", "hours")
"""What sets the pace of a run that goes."""


def _binding(task: Task, seen: Evidence, run_ms: int) -> tuple[str, str]:
    """What stops the run, the first that does; else what sets its pace. And the sentence."""
    quorum, there = task.round.minimum or task.round.goal, _there(seen)
    most, apart = max(there, default=seen.now), int(task.select.separation)
    worst = max(seen.held.items(), key=lambda each: each[1], default=("", 0))
    held = f"; most are held by {worst[0]} ({worst[1]:,})" if worst[1] else ""
    if seen.devices < quorum:
        return "too-few-enrolled", f"a round needs {quorum:,} devices, and the fleet has {seen.devices:,}"
    if seen.fit < quorum:
        return "too-few-fit", f"a round needs {quorum:,} devices, and {seen.fit:,} of {seen.devices:,} fit{held}"
    if most < quorum:
        return (
            "too-few-at-once",
            f"a round needs {quorum:,} devices, and at most {most:,} that fit are there at once{held}",
        )
    if seen.loss_rate > LOSS_MAX:
        allowed = format_duration(int(task.round.report_deadline))
        return "losses", f"{seen.loss_rate:.0%} of leases are lost or later than round.report_deadline of {allowed}"
    if run_ms > int(task.run.deadline):
        took, allowed = format_duration(run_ms), format_duration(int(task.run.deadline))
        return "deadline", f"{task.run.rounds:,} rounds take {took}, and run.deadline is {allowed}"
    if min(there) < quorum:
        idle = sum(1 for each in there if each < quorum)
        return "hours", f"in {idle} of 24 hours fewer than {quorum:,} devices that fit are there, and rounds wait"
    if apart > 0 and _rate(task, seen, leases_expected(task, seen.loss_rate), min(there)) < HOUR_MS / seen.round_ms:
        return "separation", f"select.separation of {format_duration(apart)} sets the pace: devices are few for it"
    return "rounds", f"a round takes {format_duration(max(1_000, seen.round_ms))}: that sets the pace"
