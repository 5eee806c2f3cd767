"""The digits: who holds what, hand-derived numbers, exact slopes, and rounds done by hand."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from podium.device.plan import load_data, load_init, load_plan
from podium.tasks.file import read_task
from podium.wire.problems import OperatorFault
from podium_examples.digits import data, evaluate, init, train
from podium_examples.digits.shards import DEVICES
from podium_examples.softmax import Images, gradient, measure
from tests.unit.examples.by_hand import average, outcome, pooled, told

LOCAL: dict[str, int | float | str | bool] = {"epochs": 5, "batch": 10, "lr": 0.1}


@pytest.fixture(scope="module")
def devices() -> list[Images]:
    return [data(str(number))["digits"] for number in range(DEVICES)]


def test_every_image_is_held_once_and_each_device_knows_two_or_three_digits(devices: list[Images]) -> None:
    held = np.concatenate([part for each in devices for part in (each.x_train, each.x_test)])
    images = (load_digits().data / 16).astype(np.float32)
    assert np.array_equal(np.unique(held, axis=0), np.unique(images, axis=0))
    assert len(held) == len(images) == 1797
    labels = [set(each.y_train) | set(each.y_test) for each in devices]
    assert {len(each) for each in labels} == {2, 3}
    assert all(any(digit < 5 for digit in each) and any(digit >= 5 for digit in each) for each in labels)
    assert len({tuple(sorted(each)) for each in labels}) > 20
    assert {(len(each.y_train), len(each.y_test)) for each in devices} <= {(14, 4), (13, 4)}
    assert sum(len(each) for each in devices) == 1397


def test_the_pixels_are_between_0_and_1(devices: list[Images]) -> None:
    for each in devices:
        assert each.x_train.dtype == np.float32
        assert each.x_train.shape == (len(each), 64)
        assert each.x_train.min() == 0.0
        assert each.x_train.max() == 1.0


def test_other_devices_there_are_none() -> None:
    for name in ("100", "-1", "", "1.0", "x", "²", "٣"):
        with pytest.raises(OperatorFault, match="no device is called"):
            data(name)


def tiny() -> Images:
    """Two images of one lit pixel each: pixel 0 is a 3, pixel 1 is a 7."""
    x = np.eye(2, 64, dtype=np.float32)
    y = np.array([3, 7], np.int64)
    return Images(x_train=x, y_train=y, x_test=x, y_test=y)


def test_one_step_from_zero_is_what_the_formula_gives() -> None:
    # at zero every chance is 1/10: the error of the true digit is -0.9, of each other 0.1; two images halve it
    zero = {"bias": np.zeros(10, np.float32), "weight": np.zeros((64, 10), np.float32)}
    result = outcome(train, zero, {"digits": tiny()}, told("train", {"epochs": 1, "batch": 2, "lr": 1.0}, 1, 0))
    assert result.weights is not None
    expected = np.zeros((64, 10))
    expected[:2] = -0.05
    expected[0, 3] = expected[1, 7] = 0.45
    assert np.allclose(result.weights["weight"], expected, atol=1e-7)
    bias = np.full(10, -0.1)
    bias[[3, 7]] = 0.4
    assert np.allclose(result.weights["bias"], bias, atol=1e-7)
    assert result.weight == 2.0
    assert result.metrics["accuracy"] == (0.0, 2.0)
    assert result.metrics["loss"] == pytest.approx((2 * np.log(10), 2.0))


def test_the_metrics_are_sums_over_the_test_images_and_bear_huge_logits() -> None:
    weight = np.zeros((64, 10))
    weight[0, 3] = weight[1, 7] = 2000.0
    assert measure({"bias": np.zeros(10), "weight": weight}, tiny()) == {"accuracy": (2.0, 2.0), "loss": (0.0, 2.0)}
    total, count = measure({"bias": np.zeros(10), "weight": -weight}, tiny())["loss"]
    assert (total, count) == pytest.approx((2 * (2000 + np.log(9)), 2.0))


def test_the_slope_is_that_of_the_loss(devices: list[Images]) -> None:
    images = devices[5]
    choices = np.random.default_rng(2)
    model = {"bias": choices.normal(size=10), "weight": choices.normal(size=(64, 10))}

    def loss(name: str, place: tuple[int, ...], step: float) -> float:
        nudged = {key: values.copy() for key, values in model.items()}
        nudged[name][place] += step
        total, count = measure(nudged, images)["loss"]
        return total / count

    slopes = gradient(model, images.x_test, images.y_test)
    places: list[tuple[str, tuple[int, ...]]] = [("bias", (digit,)) for digit in range(10)]
    places += [("weight", (int(pixel), digit)) for pixel in choices.integers(0, 64, 8) for digit in range(10)]
    for name, place in places:
        rise = (loss(name, place, 1e-5) - loss(name, place, -1e-5)) / 2e-5
        assert slopes[name][place] == pytest.approx(rise, abs=1e-8)


def test_the_seed_moves_the_initial_weights_and_the_batches(devices: list[Images]) -> None:
    assert not np.array_equal(init(1)["weight"], init(2)["weight"])
    trained = []
    for round, seed in ((1, 5), (1, 5), (2, 5), (1, 6)):
        weights = outcome(train, init(0), {"digits": devices[0]}, told("train", LOCAL, round, seed)).weights
        assert weights is not None
        trained.append(weights["weight"].tobytes())
    assert trained[0] == trained[1]
    assert len(set(trained)) == 3


def test_twenty_rounds_of_forty_by_hand_learn_all_ten_digits(devices: list[Images]) -> None:
    choices = np.random.default_rng(7)
    model = init(42)
    for round in range(1, 21):
        cohort = choices.choice(DEVICES, 40, replace=False)
        results = [
            outcome(train, model, {"digits": devices[number]}, told("train", LOCAL, round, 42)) for number in cohort
        ]
        model = average(model, results)
    last = [outcome(evaluate, model, {"digits": each}, told("evaluate", {}, 1, 0)) for each in devices]
    assert all(result.weights is None for result in last)
    assert sum(result.weight for result in last) == 400.0
    assert pooled(last, "accuracy") > 0.85  # a device that knows two digits only would reach 0.2 to 0.3
    assert pooled(last, "loss") < 1.2


def test_the_tasks_names_lead_to_these_functions() -> None:
    task = read_task(Path(__file__).parents[3] / "examples" / "digits" / "task.toml")
    assert load_plan(task.task.plan).function is train
    assert load_init(task.model.init) is init
    assert len(load_data("podium_examples.digits:data?17")["digits"]) == 14
    assert task.local == LOCAL
    assert (task.round.goal, task.round.minimum, task.run.rounds, task.run.seed) == (40, 30, 20, 42)
