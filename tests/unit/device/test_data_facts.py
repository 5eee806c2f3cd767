"""What a device's data is like: the three numbers by hand, and that only what its owner allows is told."""

import numpy as np
import pytest

from podium.device import Device, Facts, GivenProbes, Machine
from podium.device.agent import _check_in
from podium.device.data_facts import Described, Quality, descriptions, quality
from podium.wire.messages import Capabilities, CheckIn
from podium_examples.digits.shards import DATASET, data

DAY_S = 86_400.0


class Rows:
    """A dataset that describes itself, or fails to."""

    def __init__(self, described: Described | Exception, rows: int = 3) -> None:
        self._described = described
        self._rows = rows

    def __len__(self) -> int:
        return self._rows

    def described(self) -> Described:
        if isinstance(self._described, Exception):
            raise self._described
        return self._described


def test_three_numbers_by_hand() -> None:
    told = Described(
        labels=np.array([3, 3, 7]),
        classes=10,
        values=np.array([[1.0, np.nan], [np.nan, 4.0], [5.0, 6.0]]),
        newest_s=0.0,
    )
    assert quality([told], 2 * DAY_S) == Quality(label_coverage=0.2, missing_rate=2 / 6, freshness_h=48.0)


def test_datasets_add_up_and_what_none_tells_is_unknown() -> None:
    words = Described(labels=np.array(["a", "b"]), classes=4, newest_s=DAY_S)
    images = Described(labels=np.array([0, 0]), classes=4, values=np.array([1, 2, 3]), newest_s=0.0)
    assert quality([words, images], 2 * DAY_S) == Quality(label_coverage=3 / 8, missing_rate=0.0, freshness_h=24.0)
    assert quality([Described()], 0.0) == quality([], 0.0) == Quality()
    assert quality([Described(labels=np.array([1, 2]), classes=0)], 0.0) == Quality(), "of how many classes?"


def test_more_labels_than_classes_and_an_example_from_the_future_stay_within_bounds() -> None:
    told = Described(labels=np.arange(12), classes=10, newest_s=DAY_S)
    assert quality([told], 0.0) == Quality(label_coverage=1.0, freshness_h=0.0)


@pytest.mark.parametrize("error", [ValueError("broken"), OSError("gone"), AttributeError("y"), ZeroDivisionError()])
def test_a_dataset_that_cannot_describe_itself_is_passed_over(error: Exception) -> None:
    fine = Described(labels=np.array([1]), classes=2)
    assert descriptions([[1, 2], Rows(error), Rows(fine)]) == [fine]


def capabilities(device: Device) -> Capabilities:
    return device._capabilities()


def test_nothing_of_the_data_is_told_unless_the_owner_says_so() -> None:
    held = Rows(Described(labels=np.array([1]), classes=4, values=np.ones(2), newest_s=0.0))
    device = Device("http://localhost:1", data={"rows": held})
    device.plans = ()
    told = capabilities(device)
    assert told.datasets == {"rows": 0}
    assert (told.label_coverage, told.missing_rate, told.freshness_h) == (None, None, None)
    device.told, device.tells = frozenset({"rows"}), frozenset({"label_coverage"})
    told = capabilities(device)
    assert told.datasets == {"rows": 3}
    assert (told.label_coverage, told.missing_rate, told.freshness_h) == ("0.25", None, None)


def test_an_integrator_may_give_the_numbers_and_absurd_ones_are_not_told() -> None:
    device = Device("http://localhost:1", data={}, probes=GivenProbes(machine=Machine(ram_mb=-5, cores=2)))
    device.plans, device.tells = (), frozenset({"label_coverage", "missing_rate", "freshness_h"})
    device.quality = Quality(label_coverage=40.0, missing_rate=0.125, freshness_h=float("nan"))
    told = capabilities(device)
    assert (told.label_coverage, told.missing_rate, told.freshness_h) == (None, "0.125", None)
    assert (told.ram_mb, told.cores) == (0, 2)


def test_a_broken_sensor_costs_its_own_fact_only() -> None:
    facts = Facts(battery=7.0, charging=True, thermal_c=36.5, disk_free_mb=-1.0, download_mb_s=float("inf"))
    assert _check_in(facts, []) == CheckIn(charging=True, thermal_c=36.5)


def test_digits_describe_themselves() -> None:
    held = data("17")[DATASET]
    told = quality(descriptions([held]), 0.0)
    distinct = len(set(held.y_train.tolist()))
    assert distinct in (2, 3)
    assert told == Quality(label_coverage=distinct / 10, missing_rate=0.0)
