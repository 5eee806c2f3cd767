"""What runs learn of devices and what these spend on a task, by hand; a reload makes both again from the lease rows."""

import math

import numpy as np
import pytest

from podium.core.rows import LeaseRow
from podium.core.selection.budgets import DAY_MS, MONTH_MS, Spent
from podium.core.selection.experience import Experience, told_by
from podium.core.selection.strata import Strata
from podium.tasks.task import Budgets
from tests.support.core_drive import Drive
from tests.support.core_made import task

METRICS = {"loss": (6.0, 3.0)}


def lease(drive: Drive, device: int, **metrics: tuple[float, float]) -> LeaseRow:
    """The row of a lease of `device` that reported `metrics` and was accepted."""
    (name,) = drive.trained(device, metrics=metrics or METRICS)
    drive.work()
    return drive.leased(name)


def oort(**terms: object) -> Drive:
    """A run of rounds of one after Oort."""
    drive = Drive()
    drive.begin(task(**{"goal": 1, "over": 1.0, "rounds": 9, "strategy": "oort", **terms}), 3)
    return drive


def turn(drive: Drive, *devices: int) -> LeaseRow:
    """`devices` come, the one that is chosen trains for 40 ms."""
    drive.check_in(*devices)
    drive.wait(500)
    row = max(row.number for (_, _), row in drive.state.rounds.items() if row.state == "REPORTING")
    (chosen,) = drive.state.open["r", row].reserved
    held = drive.lease(chosen)
    drive.accept(held)
    drive.wait(40)
    drive.report(held, metrics=METRICS, weight=5.0)
    drive.work()
    return drive.leased(held)


def test_a_run_learns_from_an_accepted_report() -> None:
    drive = oort()
    row = turn(drive, 0)
    learned = drive.state.experience["r"]
    assert (learned.loss[0], learned.utility[0]) == (2.0, 10.0), "mean loss 6/3; weight 5 times it"
    assert (learned.times[0], learned.last_round[0], learned.duration_ms[0]) == (1, 1, 40.0)
    assert learned.times[1:3].tolist() == [0, 0] and np.isnan(learned.loss[1:3]).all()
    assert told_by(row) == (10.0, 2.0)
    assert (learned.utility_cap(), learned.preferred_ms(9.0)) == (10.0, 40.0)


@pytest.mark.parametrize(
    ("metrics", "utility", "loss"),
    [
        ({"squared_loss": (36.0, 4.0)}, 12.0, math.nan),  # 4 examples * sqrt(36 / 4)
        ({"loss": (math.inf, 1.0)}, math.nan, math.nan),
        ({"loss": (1.0, 0.0)}, math.nan, math.nan),
        ({"loss": (-4.0, 2.0)}, 2.0, -2.0),
        ({}, math.nan, math.nan),
    ],
)
def test_what_a_report_tells(metrics: dict[str, tuple[float, float]], utility: float, loss: float) -> None:
    drive = oort()
    drive.check_in(0)
    drive.wait(500)
    (name,) = drive.trained(0, metrics=metrics)
    told = told_by(drive.leased(name))
    assert np.array_equal(told, (utility, loss), equal_nan=True)


def test_a_reload_learns_the_same_again() -> None:
    drive = oort(budgets={"trainings_per_day": 3})
    for _ in range(4):
        turn(drive, 0, 1, 2)
    before = {name: np.copy(column) for name, column in vars(drive.state.experience["r"]).items()}
    spent = {name: np.copy(column) for name, column in vars(drive.state.spent["sha256:task-of-r"]).items()}
    assert before["times"].sum() == 4
    drive.reload()
    for name, column in vars(drive.state.experience["r"]).items():
        assert np.array_equal(column, before[name], equal_nan=True), name
    for name, column in vars(drive.state.spent["sha256:task-of-r"]).items():
        assert np.array_equal(column, spent[name]), name


def test_rows_in_any_order_teach_the_same() -> None:
    drive = oort()
    rows = [turn(drive, 0) for _ in range(3)]
    forth, back = Experience(), Experience()
    for row in rows:
        forth.take(0, row, None)
    for row in reversed(rows):
        back.take(0, row, None)
    for name, column in vars(forth).items():
        assert np.array_equal(column, getattr(back, name), equal_nan=True), name


def test_what_a_lease_costs() -> None:
    drive = oort()
    row = turn(drive, 0)
    spent = Spent()
    at = np.array([row.granted_ms])
    one = np.array([0])
    spent.take(0, row, None, 1_000)

    def over(bounds: Budgets, moment: int = 0) -> bool:
        return bool(spent.over(bounds, one, at + moment, 1_000)[0])

    once = Budgets(trainings_per_day=1)
    assert over(once) and not over(Budgets(trainings_per_day=2))
    assert not over(once, DAY_MS), "the next day"
    # 1,000 down and 8 up, and what the next one takes: 1,000 down and as many up
    assert over(Budgets(bytes_per_month=3_007)) and not over(Budgets(bytes_per_month=3_008))
    assert not over(Budgets(bytes_per_month=2_000), MONTH_MS) and over(Budgets(bytes_per_month=1_999), MONTH_MS)
    # 40 ms at 5 W are 0.2 Ws
    assert over(Budgets(energy_wh_per_day=0.2 / 3_601)) and not over(Budgets(energy_wh_per_day=0.2 / 3_599))


def test_an_offer_counts_until_it_is_declined() -> None:
    drive = oort(budgets={"trainings_per_day": 1})
    drive.check_in(0)
    drive.wait(500)
    name = drive.lease(0)
    spent, at = drive.state.spent["sha256:task-of-r"], np.array([drive.now_ms])
    bound = Budgets(trainings_per_day=1)
    assert spent.over(bound, np.array([0]), at, 0).all()
    drive.decline(name)
    assert not spent.over(bound, np.array([0]), at, 0).any()


def test_bounds_are_told_and_hold() -> None:
    drive = oort(budgets={"trainings_per_day": 1})
    turn(drive, 0)
    assert [told.reason for told in drive.check_in(0, 1)] == ["budget", "reserved"]
    drive = oort(fairness={"times_max": 1})
    turn(drive, 0)
    assert [told.reason for told in drive.check_in(0, 1)] == ["spent", "reserved"]
    drive = oort(regions=["eu"])
    assert [told.reason for told in drive.check_in(0)] == ["region"]


def test_strata_are_numbered_by_text() -> None:
    drive = Drive()
    drive.fleet(4)
    for device, system in enumerate(("linux", "android", "linux", "")):
        drive.open(device, capabilities={"os": system})
    strata = Strata(drive.state.fleet, "device.os")
    assert strata.numbers == {"android": 1, "linux": 2}
    assert strata.shares == {1: 1 / 3, 2: 2 / 3}
    assert strata.of(np.array([0, 3, 1])).tolist() == [2, 0, 1]
