"""Calculations of the core against numbers derived by hand: draws, windows, deadlines."""

import json
from pathlib import Path

import numpy as np
import pytest

from podium.core.deadlines import NONE, Deadlines
from podium.core.draws import draw, uniform
from podium.wire.limits import Limits

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "draws.json").read_text())["draws"]
LIMITS = Limits()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['seed']}-{vector['label']}-{vector['id']}")
def test_frozen_draws(vector: dict[str, str]) -> None:
    ids = np.array([int(vector["id"])], np.int64)
    drawn = int(draw(int(vector["seed"]), vector["label"], ids)[0])
    assert drawn == int(vector["draw"])
    assert uniform(int(vector["seed"]), vector["label"], ids)[0] == (drawn >> 11) / 2**53


def test_draws_are_uniform_enough_and_differ_by_label_and_seed() -> None:
    ids = np.arange(100_000, dtype=np.int64)
    shares = uniform(1, "a", ids)
    assert shares.min() >= 0.0
    assert shares.max() < 1.0
    counts, _ = np.histogram(shares, bins=10, range=(0.0, 1.0))
    # a binomial's standard deviation is sqrt(1e5 * 0.1 * 0.9) = 95; six of them
    assert np.abs(counts - 10_000).max() < 570
    assert abs(float(np.corrcoef(shares, uniform(1, "b", ids))[0, 1])) < 0.02
    assert abs(float(np.corrcoef(shares, uniform(2, "a", ids))[0, 1])) < 0.02


def test_deadlines_by_hand() -> None:
    due = Deadlines()
    assert (due.earliest(), due.of("a"), due.due(10)) == (NONE, NONE, [])
    due.set("b", 5)
    due.set("a", 5)
    due.set("c", 9)
    assert (due.earliest(), due.due(4), due.due(5), due.due(9)) == (5, [], ["a", "b"], ["a", "b", "c"])
    due.set("a", 20)
    due.drop("b")
    due.drop("b")
    assert (due.earliest(), due.of("a"), due.of("b"), due.due(99)) == (9, 20, NONE, ["c", "a"])


def test_deadlines_grow_and_use_their_slots_again() -> None:
    due = Deadlines()
    for number in range(200):
        due.set(str(number), 1_000 - number)
    assert (due.earliest(), len(due.due(1_000))) == (801, 200)
    for number in range(200):
        due.drop(str(number))
    assert (due.earliest(), due.due(5_000)) == (NONE, [])
    for number in range(250):
        due.set(f"again-{number}", number)
    assert due.due(2) == ["again-0", "again-1", "again-2"]
