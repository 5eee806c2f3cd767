"""Buffered windows over a fleet in virtual time, with every fault: no update is lost, counted twice or too late.

The checked world compares from outside: sums are one-hot, so a 2 is a double count; each counted update's staleness is
told by the numbers of the versions alone.
"""

from collections import Counter

from msgspec.structs import replace

from podium.sim.faults import ALL
from podium.sim.run import simulate_task
from podium.tasks.task import Round
from tests.sim.sim_cases import DIGITS, OF_GATEWAYS

SHAPES = ((3, 2, 0), (10, 24, 4), (20, 9, 1), (6, 40, 10))
"""Goal, concurrency, staleness_max: from one version at a time to many more at work than a window takes."""


def test_every_fault_strikes_windows_and_no_promise_is_broken() -> None:
    struck, states, updates = Counter[str](), Counter[str](), 0
    for seed in range(8):
        goal, concurrency, staleness_max = SHAPES[seed % 4]
        terms = replace(
            DIGITS.round,
            mode="buffered",
            goal=goal,
            minimum=seed // 4 % 2,
            concurrency=concurrency,
            staleness_max=staleness_max,
        )
        task = replace(DIGITS, round=terms, run=replace(DIGITS.run, rounds=8, abandoned_max=50))
        result = simulate_task(task, devices=60, seed=seed, faults=ALL - OF_GATEWAYS)
        states[result.state] += 1
        updates += result.updates
        struck.update(result.struck)
    assert states["FINISHED"] >= 7, states
    assert updates > 8 * 8 * 2
    assert struck.keys() == ALL - OF_GATEWAYS and min(struck.values()) > 0, struck


def test_without_faults_windows_come_sooner_than_rounds_and_a_seed_is_one_story() -> None:
    few = replace(DIGITS, run=replace(DIGITS.run, rounds=6))
    rounds = replace(few, round=replace(DIGITS.round, goal=10, minimum=6))
    windows = replace(few, round=Round(mode="buffered", goal=10, minimum=6, concurrency=30))
    first, again = (simulate_task(windows, devices=300, seed=3) for _ in range(2))
    assert first == again
    assert (first.state, first.rounds_sealed, first.rounds_abandoned) == ("FINISHED", 6, 0)
    assert first.virtual_ms < simulate_task(rounds, devices=300, seed=3).virtual_ms
