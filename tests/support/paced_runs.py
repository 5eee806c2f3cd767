"""Runs of the closed loop that tests/sim and the bench of pacing measure: rounds that form, and work that is wasted."""

from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from podium.sim.fleet import SimFleet, Workload
from podium.sim.fleet_terms import FleetTerms
from podium.sim.traces import AlwaysThere
from podium.wire.limits import Limits
from tests.support.closed_loop import Loop
from tests.support.core_made import task

DAY_MS = 86_400_000
LOAD = Workload(download_bytes=1_000_000, upload_bytes=1_000_000, examples_max=200, epochs=1)
QUICK = FleetTerms(compute_p90_p10=4.0, seconds_per_example=0.02)
FIRST_MS = 200 + 4 + 1 + 20
"""One window of a small population, a fiftieth of it of chance, a moment after the goal, and a slice of the loop."""


def losing(times: float) -> FleetTerms:
    """`QUICK` with so many times its losses of 8 %."""
    return replace(QUICK, platforms=tuple(replace(each, drop_out=times * each.drop_out) for each in QUICK.platforms))


class Formed(NamedTuple):
    """A round after the first of a small fleet: how long it took to form once its parent was sealed, and how long its
    goal of devices took to have their leases from then on, in ms."""

    late_ms: int
    filled_ms: int


def small_rounds(seed: int, terms: FleetTerms = QUICK, rounds: int = 40) -> list[Formed]:
    """A run of rounds of 50 among 200 devices to its end."""
    loop = Loop(SimFleet(200, terms, seed), AlwaysThere(), Limits(), LOAD)
    loop.chance = np.random.default_rng(seed)
    loop.bring()
    loop.submit(task(goal=50, minimum=50, rounds=rounds, report_deadline=600_000, stall=600_000, deadline=DAY_MS))
    loop.work()
    loop.due[:] = loop.chance.integers(0, 3_000, 200)
    while loop.run().state == "RUNNING":
        loop.go(loop.now_ms + 10_000, 20)
    assert loop.run().rounds_sealed == rounds
    formed, leases = [], list(loop.state.leases.values())
    for row in [loop.round(number) for number in range(2, loop.run().rounds_opened + 1)]:
        granted = sorted(lease.granted_ms for lease in leases if lease.round == row.number)
        late = row.reporting_ms - (row.form_deadline_ms - 600_000)
        formed.append(Formed(late, granted[49] - row.reporting_ms))
    return formed


class Cost(NamedTuple):
    """Abandoned rounds, leases that came to nothing, their device work in ms, and ms that the run took."""

    abandoned: int
    leases: int
    work_ms: int
    took_ms: int


def cost(over: str | float, seed: int, terms: FleetTerms = QUICK, rounds: int = 30) -> Cost:
    """A run of rounds of 100 among 2,000 devices to its end, over-selected by `over`."""
    loop = Loop(SimFleet(2_000, terms, seed), AlwaysThere(), Limits(checkins_easy_per_s_max=1_000), LOAD)
    loop.bring()
    held = {"goal": 100, "minimum": 90, "rounds": rounds, "report_deadline": 300_000, "stall": 300_000}
    loop.submit(task(**held, over=over, deadline=DAY_MS, abandoned_max=rounds))
    loop.work()
    while loop.run().state == "RUNNING":
        loop.go(loop.now_ms + 10_000, 100)
    assert loop.run().rounds_sealed == rounds
    abandoned = sum(row.state == "ABANDONED" and row.reason == "below-minimum" for row in loop.state.rounds.values())
    wasted = [lease for lease in loop.state.leases.values() if lease.state != "ACCEPTED" and lease.held_ms >= 0]
    work = sum(min(lease.ended_ms - lease.held_ms, loop.worked_ms[lease.id]) for lease in wasted)
    return Cost(abandoned, len(wasted), work, loop.run().ended_ms)


def costs(over: str | float, seeds: tuple[int, ...], terms: FleetTerms = QUICK) -> Cost:
    """The sums of `cost` over `seeds`."""
    return Cost(*map(sum, zip(*(cost(over, seed, terms) for seed in seeds), strict=True)))
