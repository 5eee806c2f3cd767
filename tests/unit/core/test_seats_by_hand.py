"""Seats, plans and scores by hand."""

import numpy as np
import pytest

from podium.core.draws import uniform
from podium.core.selection.plan import Plan, View, lint, propose
from podium.core.selection.scores import NEUTRAL, preference_scores, quality_score
from podium.core.selection.seats import BLOCK, FIRST, Seats
from podium.core.selection.strategies.strategy import Candidates, Floats, Groups, Numbers, RoundAsk
from podium.core.selection.strategies.uniform import Uniform
from podium.tasks.selecting import PREFERS
from podium.wire.problems import Bug
from tests.support.candidates_made import NAN, ask, candidates


def groups(*numbers: int) -> Groups:
    return np.array(numbers, np.int16)


def test_seats_keep_the_smallest_keys_of_each_group() -> None:
    seats = Seats({0: 2, 1: 1, 7: 0})
    seats.offer(np.array([1, 2, 3, 4, 5]), groups(0, 0, 1, 0, 1), np.array([5.0, 1.0, 4.0, 2.0, 3.0]))
    assert seats.members().tolist() == [2, 4, 5]
    seats.offer(np.array([6, 2]), groups(0, 0), np.array([1.5, 1.0]))
    assert seats.members().tolist() == [2, 6, 5], "a device already kept stays once"
    assert seats.holds(np.array([6, 4, 5])).tolist() == [True, False, True]
    seats.drop(6)
    seats.drop(99)
    assert seats.members().tolist() == [2, 5]
    seats.offer(np.array([9, 3]), groups(0, 0), np.array([8.0, 8.0]))
    assert seats.members().tolist() == [2, 3, 5], "ties go to the smaller number"


def test_no_seat_without_a_key_or_a_group() -> None:
    seats = Seats({0: 2})
    seats.offer(np.array([1, 2, 3, 4]), groups(0, 1, -1, 9), np.array([NAN, 0.0, 0.0, 0.0]))
    seats.offer(np.empty(0, np.int64), groups(), np.empty(0))
    assert seats.members().tolist() == []
    nobody = Seats({})
    nobody.offer(np.array([1]), groups(0), np.array([0.0]))
    assert nobody.members().tolist() == []


def test_a_device_told_many_times_in_a_batch_takes_one_seat() -> None:
    seats = Seats({0: 3})
    seats.offer(np.array([1, 1, 1, 1, 2, 3, 4]), groups(*[0] * 7), np.array([1.0, 1.0, 1.0, 1.0, 2.0, 3.0, 4.0]))
    assert seats.members().tolist() == [1, 2, 3]


def test_a_large_batch_is_looked_at_in_parts_and_keeps_the_same() -> None:
    devices = np.arange(40 * FIRST, dtype=np.int64)
    keys, of = np.floor(uniform(1, "large", devices) * 50_000), (devices % 3).astype(np.int16)
    seats = Seats({0: 500, 1: 20, 2: 100_000})
    seats.offer(devices, of, keys)
    expected = [
        devices[of == group][np.lexsort((devices[of == group], keys[of == group]))][:capacity]
        for group, capacity in ((0, 500), (1, 20), (2, 100_000))
    ]
    assert seats.members().tolist() == np.concatenate(expected).tolist()


def test_each_hears_whether_it_is_kept_when_it_comes() -> None:
    seats = Seats({0: 2})
    kept = seats.offer(np.array([5, 6, 7, 5, 8, 6]), groups(*[0] * 6), np.array([3.0, 5.0, 1.0, 3.0, 2.0, 5.0]))
    # 6 had a seat until 7 came; 5 still had its own when it came again, and lost it to 8
    assert kept.tolist() == [True, True, True, True, True, False]
    assert seats.members().tolist() == [7, 8]


def test_beyond_a_block_each_hears_the_same() -> None:
    falling = np.arange(3 * BLOCK, 0, -1).astype(np.float64)
    seats, devices = Seats({0: 1}), np.arange(3 * BLOCK, dtype=np.int64)
    assert seats.offer(devices, np.zeros(3 * BLOCK, np.int16), falling).all()
    assert not seats.offer(devices[:-1], np.zeros(3 * BLOCK - 1, np.int16), falling[:-1]).any()


def test_a_later_tie_of_a_smaller_number_comes_first() -> None:
    seats = Seats({0: 4})
    seats.offer(np.array([9, 5]), groups(0, 0), np.array([7.0, 1.0]))
    seats.offer(np.array([3, 1]), groups(0, 0), np.array([7.0, 7.0]))
    assert seats.members().tolist() == [5, 1, 3, 9]


VIEW = View(kept=np.array([1, 2, 3, 4]), nominees=9, seats=3, minimum=2)


@pytest.mark.parametrize(
    ("devices", "full", "why"),
    [
        ([1, 1, 2], 6, "twice"),
        ([1, 9], 7, "not kept"),
        ([1, 2, 3, 4], 5, "for 3 seats"),
        ([1], 8, "needs 2"),
        ([1, 2], 6, "reasons"),
    ],
)
def test_a_plan_that_does_not_hold_is_a_bug(devices: list[int], full: int, why: str) -> None:
    with pytest.raises(Bug, match=why):
        lint(Plan(devices=np.array(devices), unchosen={"full": full}), VIEW)


def test_a_plan_that_holds() -> None:
    lint(Plan(devices=np.array([4, 1]), unchosen={"full": 7}), VIEW)
    kept = candidates([1, 2, 3, 4], draw=[0.4, 0.3, 0.2, 0.1])
    plan = propose(Uniform(), ask(3), kept, 9)
    assert (plan.devices.tolist(), plan.unchosen) == ([4, 3, 2], {"full": 6})
    lint(plan, VIEW)


class Fixed:
    """A strategy that chooses what it was told to."""

    name = "acme.fixed"

    def __init__(self, places: Numbers) -> None:
        self.places = places

    def groups(self, ask: RoundAsk) -> dict[int, int]:
        return Uniform().groups(ask)

    def nominate(self, ask: RoundAsk, candidates: Candidates) -> tuple[Groups, Floats]:
        return Uniform().nominate(ask, candidates)

    def choose(self, ask: RoundAsk, kept: Candidates) -> Numbers:
        return self.places


@pytest.mark.parametrize("places", [np.array([-1]), np.array([2]), np.array([0.5]), np.array([[0]])])
def test_a_choice_outside_the_view_is_a_bug(places: Numbers) -> None:
    with pytest.raises(Bug, match=r"acme\.fixed"):
        propose(Fixed(places), ask(1), candidates([1, 2]), 2)


def test_preferences_by_hand() -> None:
    columns = {
        "battery": np.array([0.0, 0.25, 1.0, NAN]),
        "metered": np.array([1.0, 0.0, NAN, 0.0]),
        "ram_mb": np.array([512, 8_192, 65_536, 1_000_000], np.int64),
    }
    assert preference_scores({"battery": 2.0}, columns).tolist() == [0.0, 0.25, 1.0, NEUTRAL]
    assert preference_scores({"metered": 1.0}, columns).tolist() == [0.0, 1.0, NEUTRAL, 1.0]
    # 8,192 = 512 * 2^4 of 2^7
    assert preference_scores({"ram_mb": 1.0}, columns) == pytest.approx([0.0, 4 / 7, 1.0, 1.0], rel=1e-6)
    both = preference_scores({"battery": 3.0, "metered": 1.0}, columns)
    assert both.tolist() == [0.0, 0.4375, 0.875, 0.625]
    assert preference_scores({}, columns).tolist() == [1.0] * 4
    assert preference_scores({"cores": 1.0}, columns).tolist() == [NEUTRAL] * 4, "nobody told it"
    with pytest.raises(ValueError, match="battery"):
        preference_scores({"batery": 1.0}, columns)


def test_every_scale_reaches_from_its_worst_to_its_best() -> None:
    for name, scale in PREFERS.items():
        ends = preference_scores({name: 1.0}, {name: np.array([scale.low, scale.high])}).tolist()
        assert ends == ([1.0, 0.0] if scale.falling else [0.0, 1.0]), name


def test_quality_by_hand() -> None:
    columns = [
        np.array([10_000, 99, NAN, 0, NAN], np.float32),  # 1, ln 100 / ln 10,001 = 0.5, -, 0, -
        np.array([1.0, 0.5, 0.25, 1.0, NAN], np.float32),
        np.array([0.0, 0.0, 0.0, 0.0, NAN], np.float32),
        np.array([0.0, 168.0, NAN, 0.0, NAN], np.float32),
    ]
    scores = quality_score(*columns)
    assert scores.dtype == np.float32
    assert scores[:3] == pytest.approx([1.0, (0.5 * 0.5 * 1.0 * 0.5) ** 0.25, 0.5], rel=1e-4)
    assert scores[3] < 1e-6
    assert np.isnan(scores[4])
