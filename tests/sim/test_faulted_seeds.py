"""The digits example in virtual time with every fault: it ends, keeps every promise, and does the same again."""

from collections import Counter

import pytest
from msgspec.structs import replace

from podium.sim import faults as fault_rates
from podium.sim.faults import ALL
from podium.sim.run import simulate_many, simulate_task
from podium.wire.durations import Duration
from tests.sim.sim_cases import DIGITS, OF_GATEWAYS


@pytest.mark.parametrize("seed", range(20))
def test_every_fault_strikes_and_no_promise_is_broken(seed: int) -> None:
    result = simulate_task(DIGITS, devices=300, seed=seed, faults=ALL)
    assert (result.state, result.rounds_sealed) == ("FINISHED", 20)
    assert result.updates >= 20 * 30, "the minimum of each round"
    assert result.struck.keys() == ALL
    assert [name for name in ALL - OF_GATEWAYS if result.struck[name] < 2] == []


def test_the_same_seed_gives_the_same_trace_and_another_gives_another() -> None:
    short = replace(DIGITS, run=replace(DIGITS.run, rounds=6))
    first, again, other = (simulate_task(short, devices=300, seed=seed, faults=ALL) for seed in (1, 1, 2))
    assert first == again
    assert first.digest != other.digest


def test_windows_of_any_length_keep_the_promises_without_faults() -> None:
    short = replace(DIGITS, run=replace(DIGITS.run, rounds=3))
    for window_ms in (1_000, 200, 20):
        result = simulate_task(short, devices=200, seed=4, window_ms=window_ms)
        assert (result.state, result.rounds_sealed, result.rounds_abandoned) == ("FINISHED", 3, 0)


def test_a_plane_that_dies_all_the_time_still_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fault_rates.RATES, "crash", 0.05)
    monkeypatch.setitem(fault_rates.RATES, "lost-ack", 0.05)
    short = replace(DIGITS, round=replace(DIGITS.round, goal=6, minimum=3), run=replace(DIGITS.run, rounds=4))
    for seed in range(4):
        result = simulate_task(
            short, devices=40, seed=seed, window_ms=200, faults=frozenset({"crash", "lost-ack", "clock-jump", "lapse"})
        )
        assert result.state == "FINISHED"
        assert result.struck["crash"] + result.struck["lost-ack"] > 10


def test_people_who_pause_and_freeze_all_the_time_still_get_their_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    struck: Counter[str] = Counter()
    for name in ("pause", "freeze", "cordon", "crash", "lost-ack"):
        monkeypatch.setitem(fault_rates.RATES, name, 0.03)
    short = replace(DIGITS, round=replace(DIGITS.round, goal=6, minimum=3), run=replace(DIGITS.run, rounds=4))
    for seed in range(4):
        faults = frozenset({"pause", "freeze", "cordon", "crash", "lost-ack", "clock-jump"})
        result = simulate_task(short, devices=60, seed=seed, faults=faults)
        assert (result.state, result.rounds_sealed) == ("FINISHED", 4)
        struck.update(result.struck)
    assert min(struck[name] for name in ("pause", "freeze", "cordon")) > 10, struck


def test_a_plane_that_is_frozen_again_and_again_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fault_rates.RATES, "freeze", 0.1)
    few = replace(DIGITS.round, goal=6, minimum=6, report_deadline=Duration(20_000))
    # twice as many as are needed are asked, so that no round falls short for its slow devices
    patient = replace(
        DIGITS,
        select=replace(DIGITS.select, over=2.0),
        round=few,
        run=replace(DIGITS.run, rounds=4, abandoned_max=1, deadline=Duration(86_400_000)),
    )
    lost = 0
    for seed in range(2):
        result = simulate_task(patient, devices=60, seed=seed, faults=frozenset({"freeze", "crash", "clock-jump"}))
        assert (result.state, result.rounds_sealed) == ("FINISHED", 4)
        lost += result.rounds_abandoned
    assert lost > 0, "no freeze took a round of any run"


def test_too_few_devices_end_as_they_should() -> None:
    short = replace(DIGITS, run=replace(DIGITS.run, rounds=2, abandoned_max=2))
    result = simulate_task(short, devices=20, seed=1, faults=ALL)
    assert (result.state, result.rounds_sealed, result.rounds_abandoned) == ("ABANDONED", 0, 2)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_wide_seeds_over_ten_thousand_devices() -> None:
    results = list(simulate_many(DIGITS, devices=10_000, seeds=range(1_000, 1_024), faults=ALL))
    assert len(results) == 24
    assert {result.state for result in results} == {"FINISHED"}
    assert len({result.digest for result in results}) == 24
    assert all(result.struck[name] for result in results for name in ALL - OF_GATEWAYS)
