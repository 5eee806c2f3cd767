"""What would change it: how many devices more could take part without a cause, against a count device by device.

The fleet is drawn; every device checks in once. The count knows the task's terms as plain Python, in the order in which
explain names them: a device counts for the first that it fails, and for a cause's `alone` if it fails nothing else.
"""

import random
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from podium.wire.explained import Explanation
from tests.support.core_acts import mark
from tests.support.core_drive import Drive
from tests.support.core_made import PLAN, task
from tests.support.explain_cases import of_run

DEVICES = 120
TRAINED = 12
HOUR_MS = 3_600_000


class Device(NamedTuple):
    """A drawn device: what it is, and what it tells when it checks in; None and NaN: it does not tell."""

    number: int
    plans: dict[str, str]
    region: str
    examples: int
    cores: int
    ram_mb: int
    charging: float
    battery: float
    state: str


def drawn(chance: random.Random, number: int) -> Device:
    """A device that fails few terms or none."""
    return Device(
        number=number,
        plans={PLAN: "sha256:plan"} if chance.random() < 0.93 else {},
        region=chance.choice(("eu", "eu", "eu", "eu", "eu", "us", "")),
        examples=chance.choice((50, 50, 50, 50, 50, 50, 5)),
        cores=chance.choice((8, 8, 8, 8, 8, 2, 0)),  # 0: not told
        ram_mb=chance.choice((8_192, 8_192, 8_192, 8_192, 2_048, 0)),
        charging=chance.choice((1.0, 1.0, 1.0, 1.0, 0.0, np.nan)),
        battery=chance.choice((0.9, 0.9, 0.9, 0.9, 0.2, np.nan)),
        state=chance.choice(("active",) * 14 + ("cordoned", "banned")),
    )


RULES: dict[str, object] = {
    "goal": DEVICES,
    "over": 1.0,
    "requires": "device.cores >= 4 && device.ram_mb >= 4096",
    "when": "device.charging && device.battery > 0.5",
    "regions": ["eu"],
    "datasets": ["d"],
    "examples_min": 10,
    "separation": HOUR_MS,
}
Fails = Callable[[Device], bool]
TERMS: dict[str, Fails] = {
    "banned": lambda d: d.state == "banned",
    "cordoned": lambda d: d.state == "cordoned",
    "separation": lambda d: d.number < TRAINED,
    "plan-missing": lambda d: not d.plans,
    "region": lambda d: d.region != "eu",
    "dataset": lambda d: d.examples < 10,
    "requires-unknown device.cores >= 4": lambda d: d.cores == 0,
    "requires-false device.cores >= 4": lambda d: 0 < d.cores < 4,
    "requires-unknown device.ram_mb >= 4096": lambda d: d.ram_mb == 0,
    "requires-false device.ram_mb >= 4096": lambda d: 0 < d.ram_mb < 4096,
    "when-unknown device.charging": lambda d: bool(np.isnan(d.charging)),
    "when-false device.charging": lambda d: d.charging == 0,
    "when-unknown device.battery > 0.5": lambda d: bool(np.isnan(d.battery)),
    "when-false device.battery > 0.5": lambda d: d.battery <= 0.5,
}
"""In the order in which explain looks; an unknown fact and a false clause never meet in one device."""


def counted(fleet: list[Device]) -> dict[str, tuple[int, int]]:
    """Cause -> (devices, those of them that fail nothing else), device by device."""
    devices, alone = Counter[str](), Counter[str]()
    for each in fleet:
        failed = [name for name, fails in TERMS.items() if fails(each)]
        if failed:
            devices[failed[0]] += 1
            alone[failed[0]] += len(failed) == 1
    return {name: (devices[name], alone[name]) for name in devices}


def told_of(told: Explanation) -> dict[str, tuple[int, int]]:
    """The same of an explanation; a clause by its text."""
    found = {}
    for each in told.causes:
        clause = each.text.split("`")[1] if "`" in each.text else ""
        found[f"{each.code} {clause}".strip()] = (each.devices, each.alone)
    return found


def driven(fleet: list[Device], **changed: object) -> Drive:
    """A core in which all of `fleet` have checked in for run "r", of which the first trained a moment before.

    `changed`: terms of the run in place of the usual ones.
    """
    drive = Drive()
    for region in {each.region for each in fleet}:
        drive.issue(f"token-{region}", uses=DEVICES, labels={"region": region} if region else {})
    for each in fleet:
        drive.enrol(f"d{each.number}", f"token-{each.region}")
        told = {name: value for name, value in (("cores", each.cores), ("ram_mb", each.ram_mb)) if value}
        drive.open(each.number, capabilities={**told, "plans": each.plans, "datasets": {"d": each.examples}})
    drive.begin(task(goal=TRAINED, over=1.0, plan=PLAN), run="other")
    for each in fleet[:TRAINED]:
        drive.open(each.number)  # whoever trained had the plan
    drive.check_in(*range(TRAINED))
    drive.wait(500)
    for lease in drive.trained(*range(TRAINED)):
        drive.judge(lease)
    drive.work()
    assert drive.run("other").state == "FINISHED"
    for each in fleet[:TRAINED]:
        told = {name: value for name, value in (("cores", each.cores), ("ram_mb", each.ram_mb)) if value}
        drive.open(each.number, capabilities={**told, "plans": each.plans, "datasets": {"d": each.examples}})
    drive.begin(task(**RULES | changed))
    for each in fleet:
        if each.state != "active":
            mark(drive, [f"id-d{each.number}"], each.state)
        facts = {"charging": each.charging, "battery": each.battery}
        drive.check_in(each.number, facts={name: value for name, value in facts.items() if not np.isnan(value)})
    return drive


@pytest.mark.parametrize("seed", range(3))
def test_the_counts_are_those_of_a_count_device_by_device(seed: int) -> None:
    chance = random.Random(seed)
    fleet = [drawn(chance, number) for number in range(DEVICES)]
    expected = counted(fleet)
    told = of_run(driven(fleet))
    assert told_of(told) == expected
    assert expected.keys() == TERMS.keys(), "each term holds somebody back"
    assert all(alone < devices for devices, alone in expected.values() if devices > 8), "and many meet another"
    assert sum(alone for _, alone in expected.values()) > 20
    assert told.funnel[0].devices == DEVICES


@pytest.mark.parametrize(
    ("without", "causes"),
    [
        ({"requires": "device.cores >= 4"}, ("requires-false device.ram_mb", "requires-unknown device.ram_mb")),
        ({"when": "device.battery > 0.5"}, ("when-false device.charging", "when-unknown device.charging")),
        ({"when": "device.charging"}, ("when-false device.battery", "when-unknown device.battery")),
        ({"regions": []}, ("region",)),
        ({"examples_min": 0}, ("dataset",)),
        ({"separation": 0}, ("separation",)),
    ],
)
def test_a_run_without_the_term_has_as_many_more_as_was_said(
    without: dict[str, object], causes: tuple[str, ...]
) -> None:
    fleet = [drawn(random.Random(f"{number}"), number) for number in range(DEVICES)]
    told, other = of_run(driven(fleet)), of_run(driven(fleet, **without))
    assert told.waiting is not None and other.waiting is not None
    said = sum(alone for name, (_, alone) in told_of(told).items() if name.startswith(causes))
    assert said > 0 and other.waiting.have - told.waiting.have == said
