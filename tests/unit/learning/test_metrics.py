"""Metrics add up exactly, by site and pooled, in any order."""

import itertools
import math
import random

import pytest

from podium.learning import metrics


def test_by_hand() -> None:
    state = metrics.State()
    metrics.add(state, "cleveland", {"accuracy": (70.0, 100.0), "loss": (12.5, 100.0)})
    metrics.add(state, "cleveland", {"accuracy": (2.0, 4.0)})
    metrics.add(state, "va", {"accuracy": (10.0, 45.0)})
    assert metrics.by_site(state) == {
        "cleveland": {"accuracy": (72.0, 104.0), "loss": (12.5, 100.0)},
        "va": {"accuracy": (10.0, 45.0)},
    }
    assert metrics.pooled(state) == {"accuracy": (82.0, 149.0), "loss": (12.5, 100.0)}
    assert metrics.finalise(metrics.pooled(state)) == {"accuracy": 82 / 149, "loss": 0.125}


def test_no_order_and_no_grouping_changes_a_bit() -> None:
    pairs = [
        {"m": (top, bottom)} for top, bottom in ((0.1, 1e16), (1e16, 0.3), (-1e16, 1.0), (0.7, 1e-300), (5e-324, 3))
    ]
    made = set()
    for order in itertools.permutations(pairs):
        for cut in (1, 3):
            a, b = metrics.State(), metrics.State()
            for place, pair in enumerate(order):
                metrics.add(a if place < cut else b, f"site{place % 2}", pair)
            made.add(metrics.pooled(metrics.merge(a, b))["m"])
    assert made == {(math.fsum([0.1, 1e16, -1e16, 0.7, 5e-324]), math.fsum([1e16, 0.3, 1.0, 1e-300, 3]))}


def test_it_agrees_with_fsum_on_many() -> None:
    rng = random.Random(4)
    tops = [rng.gauss(0, 1) * 10.0 ** rng.randint(-30, 30) for _ in range(500)]
    state = metrics.State()
    for top in tops:
        metrics.add(state, "", {"m": (top, 1.0)})
    assert metrics.pooled(state) == {"m": (math.fsum(tops), 500.0)}


def test_merge_leaves_the_other_as_it_is() -> None:
    a, b = metrics.State(), metrics.State()
    metrics.add(a, "s", {"m": (1.0, 2.0)})
    metrics.add(b, "s", {"m": (3.0, 4.0)})
    metrics.merge(a, b)
    metrics.add(a, "s", {"m": (1.0, 1.0)})
    assert metrics.by_site(b) == {"s": {"m": (3.0, 4.0)}}
    assert metrics.by_site(a) == {"s": {"m": (5.0, 7.0)}}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_adds_nothing(bad: float) -> None:
    state = metrics.State()
    with pytest.raises(ValueError, match="only finite"):
        metrics.add(state, "s", {"good": (1.0, 1.0), "bad": (bad, 1.0)})
    assert metrics.by_site(state) == {}


def test_a_zero_denominator_is_left_out() -> None:
    assert metrics.finalise({"a": (1.0, 0.0), "b": (1.0, 4.0)}) == {"b": 0.25}
