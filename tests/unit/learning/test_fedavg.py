"""FedAvg over explicit state: hand-derived means, order, shards, memory, and what is refused."""

import itertools
import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from podium.kernels.sums import Grid, choose_grid
from podium.learning import fedavg
from podium.learning.server import sgd

SHAPES = {"w": (2, 2), "b": ()}
GRID = choose_grid(100, 1000.0, 8.0)
Update = dict[str, NDArray[np.float32]]


def update(w: list[float], b: float) -> Update:
    return {"w": np.array(w, np.float32).reshape(2, 2), "b": np.array(b, np.float32)}


def random_updates(count: int, seed: int) -> list[tuple[Update, float]]:
    rng = np.random.default_rng(seed)
    return [
        (update(rng.normal(size=4).tolist(), float(rng.normal())), float(rng.integers(1, 1000))) for _ in range(count)
    ]


def bits(state: fedavg.State) -> bytes:
    return b"".join(array.tobytes() for array in fedavg.finish(state).values())


def test_weighted_mean_by_hand() -> None:
    state = fedavg.init(SHAPES, GRID)
    fedavg.add(state, update([1, 2, 3, 4], 1), 1.0)
    fedavg.add(state, update([5, 2, -1, 0], -1), 3.0)
    mean = fedavg.finish(state)
    # (1 + 15) / 4, (2 + 6) / 4, (3 - 3) / 4, 4 / 4; (1 - 3) / 4
    assert mean["w"].tolist() == [[4.0, 2.0], [0.0, 1.0]]
    assert mean["b"].tolist() == -0.5
    assert mean["b"].shape == ()


def test_equal_weights_are_the_uniform_mean_whatever_the_weight() -> None:
    made = set()
    for weight in (1.0, 4.0, 512.0):
        state = fedavg.init(SHAPES, GRID)
        for values, _ in random_updates(8, 1):
            fedavg.add(state, {name: np.round(array, 1) for name, array in values.items()}, weight)
        made.add(bits(state))
    assert len(made) == 1


@pytest.mark.parametrize("grid", [GRID, choose_grid(10**6, 1000.0, 8.0)], ids=["float64", "int64"])
def test_every_order_and_every_sharding_gives_the_same_bits(grid: Grid) -> None:
    updates = random_updates(5, 2)
    made = set()
    for order in itertools.permutations(range(5)):
        for cut in (0, 2, 5):
            shards = fedavg.init(SHAPES, grid), fedavg.init(SHAPES, grid)
            for place, n in enumerate(order):
                fedavg.add(shards[place < cut], *updates[n])
            merged = fedavg.merge(*shards)
            assert merged.count == 5
            made.add(bits(merged))
    assert len(made) == 1


def test_plain_float64_would_not_do() -> None:
    """Why the grid: the same twenty updates in two orders differ when they are simply added."""
    rng = np.random.default_rng(3)
    updates = [(array, float(rng.uniform(1, 1000))) for array, _ in random_updates(20, 3)]
    there = sum((array["w"].astype(np.float64) * weight for array, weight in updates), np.zeros((2, 2)))
    back = sum((array["w"].astype(np.float64) * weight for array, weight in updates[::-1]), np.zeros((2, 2)))
    assert not np.array_equal(there, back)
    assert np.allclose(there, back)


def test_memory_of_one_model() -> None:
    size = 100_000
    tracemalloc.start()
    state = fedavg.init({"w": (size,)}, GRID)
    values = np.full(size, 0.5, np.float32)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    for _ in range(100):
        fedavg.add(state, {"w": values}, 2.0)
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - held < 128 * 1024, "numpy's own casting buffer, whatever the update's size"
    assert after - held < 4096


def test_a_refused_update_adds_nothing() -> None:
    state = fedavg.init(SHAPES, GRID)
    fedavg.add(state, update([1, 1, 1, 1], 1), 1.0)
    before = bits(state)
    good = update([2, 2, 2, 2], 2)
    wrong: list[tuple[Update, float]] = [
        ({"w": good["w"]}, 1.0),
        ({**good, "x": good["b"]}, 1.0),
        ({**good, "b": np.zeros(1, np.float32)}, 1.0),
        ({**good, "w": good["w"].reshape(4)}, 1.0),
        ({**good, "b": np.array(2.0)}, 1.0),
        (good, 0.0),
        (good, 1000.5),
        (good, float("nan")),
    ]
    for values, weight in wrong:
        with pytest.raises(ValueError, match=r"tensor|weight"):
            fedavg.add(state, values, weight)
    assert bits(state) == before
    assert state.count == 1


def test_a_sum_holds_its_cohort_and_no_more() -> None:
    grid = choose_grid(2, 1.0, 8.0)
    state, other = fedavg.init(SHAPES, grid), fedavg.init(SHAPES, grid)
    for _ in range(2):
        fedavg.add(state, update([1, 1, 1, 1], 1), 1.0)
    with pytest.raises(ValueError, match="was made for 2"):
        fedavg.add(state, update([1, 1, 1, 1], 1), 1.0)
    fedavg.add(other, update([1, 1, 1, 1], 1), 1.0)
    with pytest.raises(ValueError, match="were made for 2"):
        fedavg.merge(state, other)


def test_strangers_do_not_merge() -> None:
    with pytest.raises(ValueError, match="do not merge"):
        fedavg.merge(fedavg.init(SHAPES, GRID), fedavg.init(SHAPES, choose_grid(100, 1000.0, 4.0)))
    with pytest.raises(ValueError, match="do not merge"):
        fedavg.merge(fedavg.init(SHAPES, GRID), fedavg.init({"w": (2, 2)}, GRID))


def test_nothing_has_no_mean() -> None:
    with pytest.raises(ValueError, match="weight is zero"):
        fedavg.finish(fedavg.init(SHAPES, GRID))


def test_sgd_by_hand() -> None:
    moved = sgd(np.array([1.0, -2.0], np.float32), np.array([0.5, 0.25]), 2.0)
    assert moved.tolist() == [2.0, -1.5]
    assert moved.dtype == np.float32


def test_sgd_rounds_once() -> None:
    base = np.array([1.0], np.float32)
    # 2^-24 is half a step of float32 at 1: twice rounded it is lost, once rounded the rest tips it upward
    moved = sgd(base, np.array([2.0**-24 + 2.0**-50]), 1.0)
    assert moved.tolist() == [1.0 + 2.0**-23]


def test_sgd_keeps_scalars_and_types() -> None:
    moved = sgd(np.array(1.0, np.float16), np.array(0.5), 1.0)
    assert isinstance(moved, np.ndarray)
    assert (moved.shape, moved.dtype.name) == ((), "float16")


def test_sgd_refuses_what_the_type_cannot_hold() -> None:
    with pytest.raises(OverflowError, match="beyond float16"):
        sgd(np.array([60_000.0], np.float16), np.array([8.0]), 1000.0)
