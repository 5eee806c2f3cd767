"""Calculations of the core against numbers derived by hand: draws, windows, deadlines."""

import json
from pathlib import Path

import numpy as np
import pytest

from podium.core.deadlines import NONE, Deadlines
from podium.core.draws import draw, uniform
from podium.core.pacing.windows import Need, jittered, patient_ms, window_ms
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


@pytest.mark.parametrize(
    ("population", "need", "seats", "expected"),
    [
        (1, "soon", 1, 200),  # small: brought together
        (200, "soon", 1, 200),
        (200, "idle", 0, 5_000),
        (201, "soon", 1_000, 200),  # 1000 * 201 / 3000 = 67, below the rendezvous window
        (10_000, "soon", 100, 33_333),  # 1000 * 10000 / (3 * 100): three candidates a seat each second
        (10_000, "soon", 0, 3_333_333),  # as if for one seat
        (10_000_000, "soon", 1_000_000, 2_000_000),  # the floor: 10^7 / 5000 a second = 2000 s
        (10_000, "idle", 0, 5_000),
        (1_000_000, "idle", 0, 200_000),  # the floor again
        (10_000_000, "soon", 1, 14_400_000),  # never longer than four hours
        (1_000_000_000, "idle", 0, 14_400_000),
    ],
)
def test_return_windows(population: int, need: Need, seats: int, expected: int) -> None:
    assert window_ms(LIMITS, population, need, seats) == expected


def test_a_long_wait_is_asked_after_less_often() -> None:
    waited = np.array([0, 3_199, 3_216, 16_000, 80_000, 10_000_000])
    # a sixteenth of the wait, at least the window, at most the idle window of 5 s (half of reserve_ms is 5 s too)
    assert patient_ms(LIMITS, 200, waited).tolist() == [200, 200, 201, 1_000, 5_000, 5_000]
    assert patient_ms(LIMITS, 33_333, waited).tolist() == [33_333] * 6, "a large population is spread further already"
    assert patient_ms(Limits(reserve_ms=1_000), 200, waited).max() == 500, "a kept seat is not missed"


def test_a_window_is_spread_by_its_jitter_and_never_nothing() -> None:
    devices = np.arange(10_000, dtype=np.int64)
    at = np.zeros(10_000, np.int64)
    spread = jittered(LIMITS, 10_000, devices, at)
    assert spread.min() >= 8_000
    assert spread.max() <= 12_000
    assert abs(float(spread.mean()) - 10_000) < 60, "standard error of the mean: 4000 / sqrt(12 * 10000) = 12"
    # by hand: 10_000 * (1 + 0.2 * (2 * u - 1)), u drawn for device * 1_000_003 + moment
    u = uniform(0, "return-window", np.array([7 * 1_000_003 + 50], np.int64))[0]
    one = jittered(LIMITS, 10_000, np.array([7]), np.array([50]))
    assert one[0] == int(10_000 * (1 + 0.2 * (2 * u - 1)))
    assert jittered(LIMITS, 0, devices, at).min() == 1


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
