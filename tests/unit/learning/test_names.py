"""What a task may ask for in [aggregate]: offered rules pass, everything else says why not."""

import pytest

from podium.learning.names import Rule, check_bounds, check_steps, cohort_max, is_weighted

SGD: Rule = {"rule": "sgd", "lr": 1.0}
MEAN: Rule = {"rule": "mean", "weighted": True}


@pytest.mark.parametrize(
    ("steps", "optimizer"),
    [
        ([MEAN], SGD),
        ([{"rule": "mean"}], {"rule": "sgd"}),
        ([{"rule": "mean", "weighted": False}], {"rule": "sgd", "lr": 1}),
    ],
)
def test_offered(steps: list[Rule], optimizer: Rule) -> None:
    check_steps(steps, optimizer)


@pytest.mark.parametrize(
    ("steps", "optimizer", "why"),
    [
        ([], SGD, "exactly one"),
        ([MEAN, MEAN], SGD, "exactly one"),
        ([{"rule": "clip", "norm": 1.0}, MEAN], SGD, "'clip': this release offers mean"),
        ([{"weighted": True}], SGD, "rule ''"),
        ([{"rule": True}], SGD, "rule True"),
        ([{"rule": "mean", "weigthed": True}], SGD, "no parameter 'weigthed': it takes weighted"),
        ([{"rule": "mean", "weighted": 1}], SGD, "true or false"),
        ([{"rule": "mean", "weighted": "yes"}], SGD, "true or false"),
        ([MEAN], {"rule": "adam"}, "'adam': this release offers sgd"),
        ([MEAN], {"rule": "sgd", "momentum": 0.9}, "no parameter 'momentum'"),
        ([MEAN], {"rule": "sgd", "lr": "1"}, "a number"),
        ([MEAN], {"rule": "sgd", "lr": True}, "a number"),
        ([MEAN], {"rule": "sgd", "lr": 0.0}, "above zero"),
        ([MEAN], {"rule": "sgd", "lr": float("nan")}, "finite"),
        ([MEAN], {"rule": "sgd", "lr": float("inf")}, "finite"),
    ],
)
def test_refused_with_the_reason(steps: list[Rule], optimizer: Rule, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_steps(steps, optimizer)


def test_weighted_is_the_default() -> None:
    assert is_weighted([{"rule": "mean"}])
    assert is_weighted([MEAN])
    assert not is_weighted([{"rule": "mean", "weighted": False}])


@pytest.mark.parametrize(
    ("goal", "concurrency", "over", "most"),
    [(4, 0, "auto", 20), (800, 1000, "auto", 4800), (4, 0, 1.3, 20), (10, 0, 6.5, 75)],
)
def test_a_round_adds_at_most(goal: int, concurrency: int, over: float | str, most: int) -> None:
    assert cohort_max(goal, concurrency, over) == most


def test_bounds_too_wide_for_any_exact_sum() -> None:
    check_bounds(4800, 10_000.0, 8.0)
    with pytest.raises(ValueError, match="lower it to"):
        check_bounds(4800, 2e8, 8.0)
