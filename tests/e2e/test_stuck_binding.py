"""What binds a stuck run, of several things that hold devices: a real plane, its API, `podium explain` and the page.

`explained` holds the three doors to one text and to the same counts; here the counts are held to those made by hand
over eight devices, and "without it N more" to who fails nothing else. Six devices are nowhere, two in the region "eu".
"""

from pathlib import Path

import msgspec

from podium.server.main import PlaneServer
from podium.tasks.task import Budgets, Select, Task
from podium.wire import messages as m
from podium.wire.durations import Duration
from podium.wire.explained import Explanation
from tests.e2e.cli_made import podium
from tests.e2e.test_plane_round import ended, offer_to, train
from tests.e2e.test_stuck import explained, ruled
from tests.e2e.test_stuck_facts import in_region
from tests.support.plane_cases import Operator, enrolled, plane
from tests.support.scripted_device import PLAN, ScriptedDevice

PLANS = {PLAN: "sha256:" + "0" * 64}
KINDS = (
    m.Capabilities(os="linux", plans=PLANS, cores=8, ram_mb=8_192, label_coverage="0.9"),
    m.Capabilities(os="linux", plans=PLANS, cores=8, ram_mb=2_048, label_coverage="0.9"),
    m.Capabilities(os="linux", plans=PLANS, cores=8, ram_mb=2_048),
    m.Capabilities(os="linux", plans=PLANS, cores=2, ram_mb=8_192),
    m.Capabilities(os="linux", plans=PLANS, cores=2),
    m.Capabilities(os="linux", plans=PLANS, cores=8, ram_mb=8_192),
)
EU = m.Capabilities(os="linux", plans=PLANS, cores=8, ram_mb=8_192)
HOUR = Duration(3_600_000)
Counts = list[tuple[str, str, int, int]]


def counts(told: Explanation) -> Counts:
    """(code, clause, devices, devices that nothing else holds), the binding one first, then by size and name."""
    every = [
        (each.code, each.text.split("`")[1] if "`" in each.text else "", each.devices, each.alone)
        for each in told.causes
    ]
    return [every[0], *sorted(every[1:], key=lambda each: (-each[2], each[:2]))]


class Stuck:
    """A plane with its eight devices, and runs one after the other."""

    def __init__(self, server: PlaneServer, operator: Operator) -> None:
        self.server, self.operator = server, operator
        self.devices = enrolled(operator, len(KINDS))
        for device, kind in zip(self.devices, KINDS, strict=True):
            device.open(kind)
        for name in ("here", "there"):
            self.devices.append(in_region(operator, "eu", name))
            self.devices[-1].open(EU)

    def run(self, task: Task, **told: list[float] | list[bool]) -> str:
        """A run that all have checked in for, each with its value of `told`."""
        run = self.operator.submit(task)
        for place, device in enumerate(self.devices):
            device.check_in(**{name: values[place] for name, values in told.items()})
        return run

    def stops(self, run: str) -> Counts:
        """The counts that the three doors tell of `run`, which is stopped then."""
        told = explained(self.server, self.operator, run)
        assert podium("stop", run, "--yes", "--data", self.server.data).code == 0
        return counts(told)


def served(stuck: Stuck, task: Task, *places: int) -> str:
    """A run whose first round the devices at `places` have served."""
    run = stuck.operator.submit(task)
    some: list[ScriptedDevice] = [stuck.devices[place] for place in places]
    for device in some:
        device.check_in()
    for place, device in enumerate(some):
        assert train(device, offer_to(device), place).word == "stored"
    return run


def test_the_binding_clause_is_named_with_its_counts(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (server, operator):
        stuck = Stuck(server, operator)

        # the second clause of `requires`: without it the two of 2 GB would make the six
        run = stuck.run(ruled(6, Select(requires="device.cores >= 4 && device.ram_mb >= 4096")))
        assert stuck.stops(run) == [
            ("requires-false", "device.ram_mb >= 4096", 2, 2),
            ("requires-false", "device.cores >= 4", 2, 1),  # one of them tells of no memory either
        ]

        # a clause of `when`, at this moment: five are nearly empty, of whom one is not charging either
        charging = [True, True, True, True, False, True, True, True]
        battery = [0.2, 0.2, 0.2, 0.2, 0.2, 0.9, 0.9, 0.9]
        run = stuck.run(
            ruled(7, Select(when="device.charging && device.battery > 0.5")), charging=charging, battery=battery
        )
        assert stuck.stops(run) == [
            ("when-false", "device.battery > 0.5", 4, 4),
            ("when-false", "device.charging", 1, 0),
        ]

        # a fact that is not told
        run = stuck.run(ruled(5, Select(requires="device.label_coverage >= 0.5 && device.cores >= 4")))
        assert stuck.stops(run) == [
            ("requires-unknown", "device.label_coverage >= 0.5", 6, 4),
        ]

        # regions, and a minimum cohort
        run = stuck.run(ruled(3, Select(regions=("eu",), requires="device.cores >= 4")))
        assert stuck.stops(run) == [("region", "", 6, 4)]
        run = stuck.run(ruled(9, Select()))
        assert stuck.stops(run) == [("too-few-enrolled", "", 1, 1)]


def test_separation_and_budgets_bind_with_their_counts(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (server, operator):
        stuck = Stuck(server, operator)
        strong = "device.ram_mb >= 4096 && device.cores >= 4"

        # whoever trained may not again today: four are strong, two of them served round 1
        task = ruled(2, Select(requires=strong, budgets=Budgets(trainings_per_day=1)))
        task = msgspec.structs.replace(task, run=msgspec.structs.replace(task.run, rounds=3))
        run = served(stuck, task, 0, 5)
        for place in (6, 7):
            stuck.devices[place].check_in()
        for place in (6, 7):
            assert train(stuck.devices[place], offer_to(stuck.devices[place]), place).word == "stored"
        for device in stuck.devices:
            device.check_in()
        assert stuck.stops(run) == [
            ("budget-spent", "", 4, 4),
            ("requires-false", "device.ram_mb >= 4096", 2, 2),
            ("requires-false", "device.cores >= 4", 1, 1),
            ("requires-unknown", "device.ram_mb >= 4096", 1, 0),
        ]

        # an hour between two trainings: the same four rest, and one of them is cordoned besides
        run = stuck.run(ruled(7, Select(separation=HOUR)))
        assert podium("device", "cordon", stuck.devices[0].device_id, "--yes", "--data", server.data).code == 0
        assert stuck.stops(run) == [("separation", "", 3, 3), ("cordoned", "", 1, 0)]
        assert ended(operator, run).state == "STOPPED"
