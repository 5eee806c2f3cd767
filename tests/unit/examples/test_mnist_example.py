"""MNIST in five hundred hands: who holds what, exact slopes, and the plan held to its contract."""

import numpy as np
import pytest

from podium.device.plan import load_data, load_init, load_plan
from podium.wire.problems import OperatorFault
from podium_examples.mnist import data, evaluate, init, init_hidden, train
from podium_examples.mnist.shards import DEVICES, dealt
from podium_examples.softmax import Images, batches, gradient, measure
from tests.unit.examples.by_hand import outcome, told

LOCAL: dict[str, int | float | str | bool] = {"epochs": 2, "batch": 3, "lr": 0.1}


def small(images: int) -> Images:
    """Images of random pixels."""
    choices = np.random.default_rng(images)
    x, y = choices.random((images, 784), np.float32), choices.integers(0, 10, images)
    return Images(x_train=x, y_train=y, x_test=x, y_test=y)


def test_each_device_trains_on_eight_images_of_one_or_two_digits_and_a_thousand_are_held_out() -> None:
    labels = np.repeat(np.arange(10), 500)
    training, testing = dealt(labels)
    assert training.shape == (500, 8)
    assert testing.shape == (500, 2)
    assert np.array_equal(np.sort(np.concatenate([training, testing], axis=None)), np.arange(5_000))
    assert (np.bincount(labels[testing].ravel()) == 100).all()
    kinds = [len(np.unique(labels[rows])) for rows in training]
    assert set(kinds) == {1, 2}
    # a device's second shard is of its first one's digit with 99 chances of 999: some 50 of 500
    assert 25 <= kinds.count(1) <= 75
    again = dealt(labels)
    assert np.array_equal(training, again[0])
    assert np.array_equal(testing, again[1])


def test_the_images_are_mnists_first_five_hundred_of_each_digit() -> None:
    held = [data(str(number))["mnist"] for number in range(DEVICES)]
    assert {len(each) for each in held} == {8}
    digits = np.concatenate([each.y_train for each in held] + [each.y_test for each in held])
    assert (np.bincount(digits) == 500).all()
    x = held[0].x_train
    assert x.dtype == np.float32
    assert (x.shape, float(x.min()), float(x.max())) == ((8, 784), 0.0, 1.0)


def test_other_mnist_devices_there_are_none() -> None:
    for name in ("500", "-1", "", "1.0", "²"):
        with pytest.raises(OperatorFault, match="no device is called"):
            data(name)


def test_the_plans_are_found_by_their_names() -> None:
    assert load_plan("podium_examples.mnist:train").function is train
    assert load_init("podium_examples.mnist:init_hidden")(1)["weight"].shape == (126, 10)
    assert len(load_data("podium_examples.mnist:data?499")["mnist"]) == 8


def test_one_step_of_softmax_from_zero_is_what_the_formula_gives() -> None:
    # at zero every chance is 1/10: the error of the true digit is -0.9, of each other 0.1; two images halve it
    x, y = np.eye(2, 784, dtype=np.float32), np.array([3, 7])
    images = Images(x_train=x, y_train=y, x_test=x, y_test=y)
    result = outcome(train, init(0), {"mnist": images}, told("train", {"epochs": 1, "batch": 2, "lr": 1.0}, 1, 0))
    assert result.weights is not None
    expected = np.zeros((784, 10))
    expected[:2] = -0.05
    expected[0, 3] = expected[1, 7] = 0.45
    assert np.allclose(result.weights["weight"], expected, atol=1e-7)
    assert result.metrics["accuracy"] == (0.0, 2.0)
    assert result.metrics["loss"] == pytest.approx((2 * np.log(10), 2.0))


@pytest.mark.parametrize("name", ["weight", "bias", "hidden.weight", "hidden.bias"])
def test_the_slopes_are_those_of_small_differences(name: str) -> None:
    images = small(5)
    model = {each: values.astype(np.float64) for each, values in init_hidden(1).items()}
    slope = gradient(model, images.x_train, images.y_train)[name]
    place = np.unravel_index(int(np.abs(slope).argmax()), slope.shape)
    losses = []
    for move in (1e-5, -1e-5):
        moved = {each: values.copy() for each, values in model.items()}
        moved[name][place] += move
        losses.append(measure(moved, images)["loss"][0] / 5)
    assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(slope[place], rel=1e-4)


def test_the_batches_are_every_example_once_an_epoch_anew_each_round() -> None:
    first, second = (batches(told("train", LOCAL, number, 4), 8) for number in (1, 2))
    assert [len(rows) for rows in first] == [3, 3, 2, 3, 3, 2]
    for start in (0, 3):
        assert np.array_equal(np.sort(np.concatenate(first[start : start + 3])), np.arange(8))
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))


def test_an_evaluation_measures_and_sends_no_tensors() -> None:
    result = outcome(evaluate, init_hidden(3), {"mnist": small(6)}, told("evaluate", {}, 1, 0))
    assert (result.weights, result.weight, result.metrics["accuracy"][1]) == (None, 6.0, 6.0)
