"""The fleet and the core in a closed loop of virtual time: small populations that meet, and rounds that ask no more
devices than they need."""

import numpy as np
import pytest
from msgspec.structs import replace

from podium.core.rows import LeaseRow
from podium.sim.fleet import SimFleet, Workload
from podium.sim.fleet_terms import FleetTerms
from podium.sim.traces import AlwaysThere
from podium.wire.limits import Limits
from tests.support.closed_loop import Loop
from tests.support.core_made import task

DAY_MS = 86_400_000
LOAD = Workload(download_bytes=1_000_000, upload_bytes=1_000_000, examples_max=200, epochs=1)
SEEDS = (7, 8, 9)
QUICK = FleetTerms(compute_p90_p10=4.0, seconds_per_example=0.02)


LOSSY = replace(QUICK, platforms=tuple(replace(each, drop_out=2.5 * each.drop_out) for each in QUICK.platforms))
"""A fifth of all leases is lost."""


@pytest.mark.parametrize(
    ("seed", "terms"),
    [
        (6, QUICK),
        *(pytest.param(seed, QUICK, marks=pytest.mark.long) for seed in range(20, 26)),
        *(pytest.param(seed, LOSSY, marks=pytest.mark.long) for seed in range(30, 36)),
    ],
)
def test_a_small_fleet_meets_in_its_first_window(seed: int, terms: FleetTerms) -> None:
    loop = Loop(SimFleet(200, terms, seed), AlwaysThere(), Limits(), LOAD)
    loop.chance = np.random.default_rng(seed)
    loop.bring()
    loop.submit(task(goal=50, minimum=50, rounds=40, report_deadline=600_000, stall=600_000, deadline=DAY_MS))
    loop.work()
    loop.due[:] = loop.chance.integers(0, 3_000, 200)
    while loop.run().state == "RUNNING":
        loop.go(loop.now_ms + 10_000, 20)
    rows = [loop.round(number) for number in range(2, loop.run().rounds_opened + 1)]
    late = [row.reporting_ms - (row.form_deadline_ms - 600_000) for row in rows]
    # one window of 200 ms, a fiftieth of it of chance, a moment after the goal, and a slice of this loop
    first = sum(each <= 200 + 4 + 1 + 20 for each in late)
    told = f"{first} of {len(rows)} rounds formed in their first window; they took {sorted(late)[-5:]} ms"
    assert loop.run().rounds_sealed == 40
    assert first >= 0.95 * len(rows), told
    granted = [sorted(lease.granted_ms for lease in leases_of(loop, row.number)) for row in rows]
    filled = [moments[49] - row.reporting_ms for moments, row in zip(granted, rows, strict=True)]
    assert max(filled) <= 1_000, f"all fifty had their lease within {sorted(filled)[-5:]} ms"


def leases_of(loop: Loop, number: int) -> list[LeaseRow]:
    """The leases of a round of run "r"."""
    return [lease for lease in loop.state.leases.values() if lease.round == number]


def cost(over: str | float, seed: int) -> tuple[int, int, int, int]:
    """(abandoned rounds, leases that came to nothing, their device work in ms, ms that the run took)."""
    loop = Loop(SimFleet(2_000, QUICK, seed), AlwaysThere(), Limits(checkins_easy_per_s_max=1_000), LOAD)
    loop.bring()
    terms = {"goal": 100, "minimum": 90, "rounds": 30, "report_deadline": 300_000, "stall": 300_000}
    loop.submit(task(**terms, over=over, deadline=DAY_MS, abandoned_max=30))
    loop.work()
    while loop.run().state == "RUNNING":
        loop.go(loop.now_ms + 10_000, 100)
    assert loop.run().rounds_sealed == 30
    abandoned = sum(row.state == "ABANDONED" and row.reason == "below-minimum" for row in loop.state.rounds.values())
    wasted = [lease for lease in loop.state.leases.values() if lease.state != "ACCEPTED" and lease.held_ms >= 0]
    work = sum(min(lease.ended_ms - lease.held_ms, loop.worked_ms[lease.id]) for lease in wasted)
    return abandoned, len(wasted), work, loop.run().ended_ms


@pytest.mark.long
def test_asking_as_many_as_are_lost_wastes_less_than_a_fixed_share() -> None:
    fixed = np.sum([cost(1.3, seed) for seed in SEEDS], axis=0)
    adaptive = np.sum([cost("auto", seed) for seed in SEEDS], axis=0)
    told = f"(abandoned, leases wasted, work wasted in ms, ms): fixed 1.3 {fixed}, adaptive {adaptive}"
    assert adaptive[0] <= fixed[0], told
    assert adaptive[2] <= fixed[2] * 2 / 3, told
    assert adaptive[3] <= fixed[3] * 1.6, told
