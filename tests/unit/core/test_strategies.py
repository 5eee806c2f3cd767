"""Each strategy by hand: groups, keys and cohorts derived on paper."""

import math

import numpy as np
import pytest

from podium.core.selection.seats import Seats
from podium.core.selection.strategies.fair import LeastOftenFirst, may_take_part
from podium.core.selection.strategies.oort import EXPLOIT, EXPLORE, Oort
from podium.core.selection.strategies.power_of_choice import PowerOfChoice
from podium.core.selection.strategies.quality import Quality
from podium.core.selection.strategies.registry import BUILT_IN, make_strategy
from podium.core.selection.strategies.strategy import Candidates, RoundAsk, Strategy
from podium.core.selection.strategies.stratified import Stratified, largest_remainder, quotas
from podium.core.selection.strategies.uniform import Uniform
from podium.core.selection.strategies.weighted import smallest, weighted_keys
from podium.tasks.selecting import STRATEGIES
from podium.tasks.task import Fairness, Select
from podium.wire.problems import OperatorFault
from tests.support.candidates_made import NAN, ask, candidates

OORT = Oort(alpha=2.0, explore=0.9, explore_least=0.2, decay=0.98)


def chosen(strategy: Strategy, kept: Candidates, told: RoundAsk | int) -> list[int]:
    """The device numbers that `strategy` chooses for an ask (or just so many seats), best first."""
    numbers: list[int] = kept.device[strategy.choose(ask(told) if isinstance(told, int) else told, kept)].tolist()
    return numbers


def test_weighted_keys_by_hand() -> None:
    draw = np.array([0.0, 0.5, 0.5, 0.75, 0.5])
    keys = weighted_keys(draw, np.array([1.0, 1.0, 0.5, 1.0, 0.0]))
    assert keys == pytest.approx([0.0, math.log(2), 2 * math.log(2), 2 * math.log(2), 100 * math.log(2)])


def test_a_weight_of_three_is_drawn_three_times_as_often() -> None:
    # the smaller of two exponentials of rates 3 and 1 is the first with probability 3/4; six standard deviations
    draws, weights = candidates(np.arange(40_000)).draw, np.tile([0.75, 0.25], 20_000)
    keys = weighted_keys(draws, weights)
    wins = int((keys[::2] < keys[1::2]).sum())
    assert abs(wins - 15_000) < 6 * math.sqrt(20_000 * 0.75 * 0.25)


def test_smallest_breaks_ties_by_device() -> None:
    keys, device = np.array([2.0, 1.0, 1.0, 1.0, 0.0]), np.array([1, 9, 3, 5, 7])
    assert smallest(keys, device, 3).tolist() == [4, 2, 3]
    assert smallest(keys, device, 0).tolist() == []
    assert smallest(keys, device, 9).tolist() == [4, 2, 3, 1, 0]


def test_uniform_follows_the_draw_and_prefers_by_weight() -> None:
    kept = candidates([1, 2, 3], draw=[0.5, 0.2, 0.4])
    assert chosen(Uniform(), kept, 2) == [2, 3]
    # keys: -ln(0.5) = 0.69; -ln(0.8) / 0.25 = 0.89; -ln(0.6) / 1 = 0.51
    preferred = candidates([1, 2, 3], draw=[0.5, 0.2, 0.4], preference=[1.0, 0.25, 1.0])
    assert chosen(Uniform(), preferred, 3) == [3, 1, 2]
    assert Uniform().groups(ask(7)) == {0: 7}


def test_quality_weighs_and_takes_the_unknown_as_half() -> None:
    # keys: -ln(0.5) / 1 = 0.69; -ln(0.8) / 0.2 = 1.12; -ln(0.6) / 0.5 = 1.02
    kept = candidates([1, 2, 3], draw=[0.5, 0.2, 0.4], quality=[1.0, 0.2, NAN])
    assert chosen(Quality(), kept, 3) == [1, 3, 2]


def test_power_of_choice_takes_the_unseen_then_the_highest_losses() -> None:
    strategy = PowerOfChoice(candidates=2.5)
    assert strategy.groups(ask(3)) == {0: 8}
    kept = candidates([1, 2, 3, 4, 5], draw=[0.1, 0.2, 0.3, 0.4, 0.05], loss=[0.5, NAN, 2.0, 0.5, 1.0])
    assert chosen(strategy, kept, 3) == [2, 3, 5]
    assert chosen(strategy, kept, 5) == [2, 3, 5, 1, 4]
    # device 2 took part and told nothing: it counts as the median of 0.5, 2.0, 0.5 and 1.0, which is 0.75
    silent = candidates(
        [1, 2, 3, 4, 5], draw=[0.1, 0.2, 0.3, 0.4, 0.05], loss=[0.5, NAN, 2.0, 0.5, 1.0], times=[1, 1, 1, 1, 1]
    )
    assert chosen(strategy, silent, 5) == [3, 5, 2, 1, 4]
    assert chosen(strategy, silent.at(np.array([1])), 5) == [2]


def test_largest_remainders_by_hand() -> None:
    # 10 seats by 47:16:158:120:59 = 1.175, 0.4, 3.95, 3.0, 1.475 of 400
    assert largest_remainder({1: 47, 2: 16, 3: 158, 4: 120, 5: 59}, 10) == {1: 1, 2: 0, 3: 4, 4: 3, 5: 2}
    assert largest_remainder({1: 1, 2: 1, 3: 1}, 2) == {1: 1, 2: 1, 3: 0}


def test_unfilled_quotas_go_to_the_others_by_their_shares() -> None:
    # 5 : 3 : 2; stratum 1 has two, so 3 of its 5 go to 2 and 3 as 1.8 : 1.2
    assert quotas({1: 0.5, 2: 0.3, 3: 0.2}, {1: 2, 2: 9, 3: 9, 0: 9}, 10) == {1: 2, 2: 5, 3: 3, 0: 0}
    assert quotas({1: 0.5, 2: 0.5}, {1: 2, 2: 1, 0: 9}, 10) == {1: 2, 2: 1, 0: 7}
    assert quotas({}, {0: 4}, 10) == {0: 4}


def test_stratified_fills_each_quota_by_draw() -> None:
    kept = candidates(
        [1, 2, 3, 4, 5, 6, 7],
        draw=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.0],
        stratum=[1, 1, 1, 1, 2, 2, 999],
    )
    assert chosen(Stratified(), kept, ask(4, strata_shares={1: 0.5, 2: 0.5})) == [1, 2, 5, 6]
    assert chosen(Stratified(), kept, ask(7, strata_shares={1: 0.5, 2: 0.5})) == [1, 2, 3, 4, 5, 6, 7]
    groups, _ = Stratified().nominate(ask(4, strata_shares={1: 1.0}), kept)
    assert groups.tolist() == [1, 1, 1, 1, 0, 0, 0]
    last, _ = Stratified().nominate(ask(4, strata_shares={255: 1.0}), candidates([1, 2, 3], stratum=[255, 256, -1]))
    assert last.tolist() == [255, 0, 0]
    assert Stratified().groups(ask(4, strata_shares={1: 0.5, 2: 0.5, 3: 0.0})) == {0: 4, 1: 4, 2: 4}


def test_the_scores_of_oort_by_hand() -> None:
    known = candidates(
        [1, 2, 3, 4, 5],
        utility=[50, 400, 50, 50, 50],
        last_round=[4, 4, 1, 4, 4],
        duration_ms=[500, NAN, NAN, 2_000, NAN],
        preference=[1, 1, 1, 1, 0.5],
    )
    bonus = [math.sqrt(0.1 * math.log(8) / last) for last in (4, 4, 1, 4, 4)]
    told = ask(3, 8, utility_cap=100.0)
    expected = [0.5 + bonus[0], 1.0 + bonus[1], 0.5 + bonus[2], (0.5 + bonus[3]) / 4, (0.5 + bonus[4]) / 2]
    assert OORT.scores(told, known) == pytest.approx(expected)
    groups, keys = OORT.nominate(told, known)
    assert groups.tolist() == [EXPLOIT] * 5
    assert keys == pytest.approx([1 / (1 + score) for score in expected], abs=2e-6)
    assert OORT.scores(ask(3), candidates([1], utility=[50], last_round=[1])).tolist() == [50.0], "no cap: as told"
    absurd = candidates([1, 2], utility=[float("inf"), -5.0], last_round=[1, 1])
    assert OORT.scores(ask(3), absurd).tolist() == [1e30, 0.0]
    assert sorted(chosen(OORT, absurd, 2)) == [1, 2]


def test_among_capped_utilities_the_draw_decides_who_is_kept() -> None:
    tied = candidates(np.arange(20), utility=np.full(20, 900.0), last_round=np.ones(20))
    told = ask(1, utility_cap=100.0)
    seats = Seats(OORT.groups(told))
    seats.offer(tied.device, *OORT.nominate(told, tied))
    assert seats.members().tolist() == np.argsort(tied.draw)[:4].tolist()


def test_the_explored_share_of_oort_decays_to_its_least() -> None:
    assert OORT.explore_share(ask(1, 1)) == 0.9
    assert OORT.explore_share(ask(1, 2)) == pytest.approx(0.882)
    assert OORT.explore_share(ask(1, 75)) == pytest.approx(0.9 * 0.98**74)
    assert OORT.explore_share(ask(1, 76)) == 0.2  # 0.9 * 0.98^75 = 0.1978


def test_oort_explores_by_speed_and_exploits_near_the_best() -> None:
    # exploited 1 of 5: the last seat scores 1.0, within 0.95 of it are 1 and 2; keys 0.69 and 0.12: device 2
    kept = candidates(
        [1, 2, 3, 11, 12, 13, 14],
        draw=[0.5, 0.1, 0.0, 0.5, 0.5, 0.5, 0.4],
        utility=[100, 96, 90, NAN, NAN, NAN, NAN],
        last_round=[1, 1, 1, -1, -1, -1, -1],
        duration_ms=[NAN, NAN, NAN, 500, 1_000, 4_000, NAN],
    )
    # newcomers' keys: 0.69 / 2, 0.69, 0.69 * 4, 0.51
    assert chosen(OORT, kept, ask(4, utility_cap=100.0))[:1] == [11], "round(0.9 * 4) = 4 newcomers"
    assert chosen(OORT, kept, ask(4, utility_cap=100.0)) == [11, 14, 12, 13]
    half = Oort(alpha=2.0, explore=0.5, explore_least=0.2, decay=1.0)
    assert chosen(half, kept, ask(2, utility_cap=100.0)) == [2, 11]
    assert sorted(chosen(OORT, kept, ask(7, utility_cap=100.0))) == [1, 2, 3, 11, 12, 13, 14], (
        "unfilled seats go to the other side"
    )
    assert chosen(half, kept.at(np.array([0, 1, 2])), ask(2, utility_cap=100.0))[0] == 2
    # keys: 0.22 * 3 = 0.67, 0.51: twice in vain counts a third
    vain = candidates([1, 2], draw=[0.2, 0.4], times=[2, 0])
    assert chosen(OORT, vain, 1) == [2]
    assert OORT.groups(ask(10)) == {EXPLOIT: 40, EXPLORE: 10}
    groups, _ = OORT.nominate(ask(4, utility_cap=100.0), kept)
    assert groups.tolist() == [EXPLOIT] * 3 + [EXPLORE] * 4


def test_caps_say_who_may_take_part() -> None:
    times = np.array([0, 1, 2, 3], np.int32)
    assert may_take_part(Fairness(), times).tolist() == [True] * 4
    assert may_take_part(Fairness(times_max=2), times).tolist() == [True, True, False, False]


def test_least_often_comes_first_in_key_and_choice() -> None:
    fair = LeastOftenFirst(PowerOfChoice(candidates=2.0))
    kept = candidates([1, 2, 3, 4], draw=[0.0, 0.5, 0.6, 0.1], loss=[9.0, 1.0, 2.0, 8.0], times=[1, 0, 0, 1])
    _, keys = fair.nominate(ask(4), kept)
    log = [-math.log(1 - draw) for draw in (0.0, 0.5, 0.6, 0.1)]
    assert keys == pytest.approx([times + each / (1 + each) for times, each in zip((1, 0, 0, 1), log, strict=True)])
    assert chosen(fair, kept, 3) == [3, 2, 1]
    assert (fair.name, fair.groups(ask(4))) == ("power_of_choice", {0: 8})


def test_every_named_strategy_is_made_with_its_options() -> None:
    assert set(BUILT_IN) == set(STRATEGIES)
    for name in STRATEGIES:
        assert make_strategy(Select(strategy=name), {}).name == name
    assert make_strategy(Select(strategy="oort", options={"alpha": 3.0}), {}) == Oort(3.0, 0.9, 0.2, 0.98)
    fair = make_strategy(Select(fairness=Fairness(without_replacement=True)), {})
    assert fair == LeastOftenFirst(Uniform())


def test_strategies_of_ones_own_are_handed_in() -> None:
    own = {"acme.choice": PowerOfChoice, "uniform": PowerOfChoice}
    made = make_strategy(Select(strategy="acme.choice", options={"candidates": 3.0}), own)
    assert made == PowerOfChoice(3.0)
    assert make_strategy(Select(), own) == Uniform(), "nobody replaces a built-in one"
    with pytest.raises(OperatorFault, match=r"acme\.nothing"):
        make_strategy(Select(strategy="acme.nothing"), own)
    with pytest.raises(OperatorFault, match="options"):
        make_strategy(Select(strategy="acme.choice", options={"depth": 3.0}), own)
