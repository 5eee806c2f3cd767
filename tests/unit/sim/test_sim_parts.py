"""Parts of the simulator: faults by name, the one-hot engine, and how a broken promise names its seed."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from podium.sim.checkers import InvariantBroken
from podium.sim.engine import OneHotEngine
from podium.sim.faults import ALL, RATES, Faults, parse_faults
from podium.sim.run import simulate_many, simulate_task
from podium.wire.problems import OperatorFault
from tests.support.core_made import task

KEY = ("r", 1)


def test_faults_by_name() -> None:
    assert parse_faults("all") == ALL == RATES.keys()
    assert parse_faults("none") == parse_faults("") == frozenset()
    assert parse_faults("crash, late,") == {"crash", "late"}
    with pytest.raises(OperatorFault, match="fault 'flood'"):
        parse_faults("crash,flood")


def test_faults_strike_at_their_rate_and_are_counted() -> None:
    faults = Faults(frozenset({"duplicate"}), random.Random(1))
    struck = sum(faults.strikes("duplicate") for _ in range(10_000))
    # binomial: 1000 +- sqrt(10000 * 0.1 * 0.9) = 30; five of them
    assert abs(struck - 1_000) < 150
    assert not any(faults.strikes("crash") for _ in range(1_000))
    assert faults.struck == {"duplicate": struck}


def test_the_engine_counts_each_device_once() -> None:
    engine = OneHotEngine(4, 8)
    assert engine.judge(KEY, [("a", 0, False), ("b", 3, False), ("a", 0, False)]) == ["", "", ""]
    assert engine.judge(KEY, [("c", 1, True)]) == ["not-finite"]
    assert engine.finish(KEY, ("a", "b"))[1].tolist() == [1.0, 0.0, 0.0, 1.0]
    with pytest.raises(ValueError, match="is over"):
        engine.finish(KEY, ("a",))
    engine.drop(KEY, [KEY])
    with pytest.raises(ValueError, match="is over"):
        engine.finish(KEY, ("a", "b"))


def test_a_small_simulation_without_faults() -> None:
    small = task(goal=2, rounds=3, over=1.0)
    result = simulate_task(small, devices=4, seed=9)
    assert (result.state, result.rounds_sealed, result.rounds_abandoned, result.updates) == ("FINISHED", 3, 0, 6)
    assert result.struck == {}
    assert list(simulate_many(small, devices=4, seeds=[9])) == [result]


def test_a_broken_promise_names_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Doubling(OneHotEngine):
        """Counts everybody twice."""

        def finish(self, key: tuple[str, int], leases: Sequence[str]) -> tuple[str, NDArray[np.float64]]:
            """Twice what is true."""
            digest, counted = super().finish(key, leases)
            return digest, counted * 2

    monkeypatch.setattr("podium.sim.world.OneHotEngine", Doubling)
    with pytest.raises(InvariantBroken, match=r"seed 5, 4 devices, at \d+ ms, step \d+: round .* counted \[2"):
        simulate_task(task(goal=2, over=1.0), devices=4, seed=5)
