"""The words of [select]: what a strategy, its options and preferences may be, and what a wrong one is told."""

import pytest

from podium.tasks.check import task_faults
from podium.tasks.selecting import PREFERS, STRATEGIES, select_faults
from podium.tasks.task import Budgets, Fairness, Head, ModelSource, Select, Task

GOOD = [
    Select(),
    Select(strategy="oort", options={"alpha": 0.0, "explore": 1.0, "explore_least": 0.0, "decay": 1.0}),
    Select(strategy="power_of_choice", options={"candidates": 1.5}),
    Select(strategy="stratified", stratify="device.region"),
    Select(strategy="stratified", stratify="device.labels['locale']"),
    Select(strategy="acme.nightly", options={"anything": -1.0}),
    Select(prefers=dict.fromkeys(PREFERS, 0.5)),
    Select(fairness=Fairness(times_max=1, without_replacement=True)),
    Select(budgets=Budgets(trainings_per_day=1, bytes_per_month=10**9, energy_wh_per_day=0.5)),
]

BAD = [
    (Select(strategy="oorrt"), "select.strategy", '"oort"'),
    (Select(strategy="acme."), "select.strategy", "has a dot"),
    (Select(strategy="stratified"), "select.stratify", "names its fact"),
    (Select(strategy="uniform", stratify="device.site"), "select.stratify", "no other strategy"),
    (Select(strategy="stratified", stratify="device.battery"), "select.stratify", "standing fact"),
    (Select(strategy="stratified", stratify="device.labels[locale]"), "select.stratify", "standing fact"),
    (Select(strategy="oort", options={"alhpa": 1.0}), "select.options.alhpa", "alpha"),
    (Select(strategy="oort", options={"decay": 1.1}), "select.options.decay", "within 0.0 and 1.0"),
    (Select(strategy="power_of_choice", options={"candidates": 0.5}), "select.options.candidates", "within 1.0"),
    (Select(options={"alpha": 1.0}), "select.options.alpha", "it has none"),
    (Select(prefers={"batery": 1.0}), "select.prefers.batery", "nearest is battery"),
    (Select(prefers={"battery": 0.0}), "select.prefers.battery", "above zero"),
    (Select(prefers={"battery": 1e308, "charging": 1.0}), "select.prefers.battery", "at most 1,000,000"),
    (Select(fairness=Fairness(times_max=-1)), "select.fairness.times_max", "at least 0"),
    (Select(budgets=Budgets(energy_wh_per_day=-0.5)), "select.budgets.energy_wh_per_day", "at least 0"),
    (Select(weight=0.0), "select.weight", "within 0.01 and 100"),
    (Select(priority=1_001), "select.priority", "within -1000 and 1000"),
    (Select(regions=("eu", "")), "select.regions[1]", "a region has a name"),
]


@pytest.mark.parametrize("select", GOOD)
def test_terms_that_hold(select: Select) -> None:
    assert list(select_faults(select)) == []


@pytest.mark.parametrize(("select", "key", "why"), BAD, ids=lambda value: value if isinstance(value, str) else "")
def test_terms_that_do_not_hold_say_which_and_why(select: Select, key: str, why: str) -> None:
    (fault,) = select_faults(select)
    assert (fault.code, fault.what.partition(" = ")[0]) == ("task-invalid", key)
    assert why in fault.why


def test_defaults_are_within_their_bounds() -> None:
    for options in STRATEGIES.values():
        assert all(option.least <= option.default <= option.most for option in options.values())


@pytest.mark.parametrize("select", GOOD)
def test_every_one_of_them_is_offered(select: Select) -> None:
    head = Head(name="heart", plan="podium_examples.hospital:train", purpose="tell heart disease")
    task = Task(task=head, model=ModelSource(init="podium_examples.hospital:init"), select=select)
    assert list(task_faults(task)) == []
