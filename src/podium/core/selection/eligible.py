"""Which devices fit a task: its plan, its data and its rules, a column at a time, with a reason for each that does not.

Decides: the first reason that keeps a device from a task, whatever round it is for. Never: whether there is a seat, nor
whether it may take part again (admit). What whole classes of devices share is looked at once for each fact set.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from podium.core.fleet.columns import Fleet
from podium.core.fleet.facts import DATASETS, Facts
from podium.core.fleet.telemetry import ABSENT, QUALITIES, Telemetry
from podium.core.selection.columnwise import FactColumns
from podium.core.selection.declared import OWN
from podium.core.selection.operations import Values
from podium.core.selection.reasons import CODE
from podium.core.selection.rules import compile_rules
from podium.tasks.task import Task

Reasons = NDArray[np.int16]
Devices = NDArray[np.int64]

CLAUSE = 1_000
"""Reason codes from here on name a clause: 1000 + 2 * clause + (1 if a fact was unknown)."""
_UNSEEN = -2


class Eligibility:
    """What a task asks of devices, compiled; kept while the process lives."""

    def __init__(self, task: Task) -> None:
        """`OperatorFault(expression-invalid)` if a rule does not compile."""
        self._task = task
        rules = compile_rules(task)
        self.requires, self.when = rules.requires, rules.when
        self._plans: Reasons = np.full(16, _UNSEEN, np.int16)
        hard, every = len(self.requires.clauses), len(self.requires.clauses) + len(self.when.clauses)
        clauses = [(CODE["requires" if each < hard else "when"], CODE["unknown-fact"]) for each in range(every)]
        self.heard: Reasons = np.array([*range(CLAUSE), *(code for pair in clauses for code in pair)], np.int16)
        """By reason code the one that devices hear: that of a clause is requires, when or unknown-fact to them."""

    def codes(self, fleet: Fleet, facts: FactColumns) -> Reasons:
        """For each row of `facts` the first reason why its device does not fit, `CODE["offered"]` if it does."""
        codes = self.plan_codes(fleet, facts.sets)
        if self._task.data.datasets:
            codes[self.short_of_data(facts) & (codes == CODE["offered"])] = CODE["dataset"]
        for rule, first in ((self.requires, 0), (self.when, len(self.requires.clauses))):
            if rule.clauses:
                failing = rule.first_failing(facts)
                np.copyto(codes, CLAUSE + 2 * first + failing, where=(failing >= 0) & (codes == CODE["offered"]))
        return codes

    def plan_codes(self, fleet: Fleet, sets: NDArray[np.int32]) -> Reasons:
        """By the devices' fact sets: `CODE["kind"]` if they lack the task's plan, `CODE["region"]` if they are not
        known to be in one of its regions, else `CODE["offered"]`."""
        count = fleet.facts.count
        if count > len(self._plans):
            more = np.full(max(count, 2 * len(self._plans)) - len(self._plans), _UNSEEN, np.int16)
            self._plans = np.concatenate([self._plans, more])
        codes: Reasons = self._plans[sets]
        unseen = codes == _UNSEEN
        if np.count_nonzero(unseen):
            for number in np.unique(sets[unseen]):
                self._plans[number] = CODE[self._refused(fleet.facts.of(int(number)))]
            codes = self._plans[sets]
        return codes

    def out_of_region(self, fleet: Fleet, sets: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of the devices' fact sets are not known to be in one of the task's regions, whatever their plans."""
        if not self._task.select.regions:
            return np.zeros(len(sets), np.bool_)
        held, places = np.unique(sets, return_inverse=True)
        outside = [not self._in_region(fleet.facts.of(number)) for number in held.tolist()]
        return np.array(outside, np.bool_)[places]

    def _refused(self, facts: Facts) -> str:
        if not self._has_plan(facts):
            return "kind"
        return "offered" if self._in_region(facts) else "region"

    def _in_region(self, facts: Facts) -> bool:
        regions = self._task.select.regions
        return not regions or facts.get("device.region") in regions

    def _has_plan(self, facts: Facts) -> bool:
        head, plans = self._task.task, facts.get("device.plans")
        digest = plans.get(head.plan) if isinstance(plans, dict) else None
        return digest is not None and (not head.plan_digests or digest in head.plan_digests)

    def short_of_data(self, facts: FactColumns) -> NDArray[np.bool_]:
        """Which rows lack a dataset that the task names, or tell too few examples of it."""
        short = np.zeros(len(facts.sets), np.bool_)
        for name in self._task.data.datasets:
            held = facts.datasets[name]
            # 0 is "not told": the count is private then, and the device itself holds to the minimum
            short |= (held == ABSENT) | ((held > 0) & (held < self._task.data.examples_min))
        return short


def facts_now(fleet: Fleet, devices: Devices) -> FactColumns:
    """What `devices`, whose session is open, told last: at their last check-in and when it was opened."""
    return told_facts(fleet, devices, fleet.telemetry, devices)


def told_facts(fleet: Fleet, devices: Devices, told: Telemetry, rows: Devices) -> FactColumns:
    """The facts of `devices`, whose session is open, with the momentary ones of `rows` of `told`."""
    return FactColumns(
        sets=fleet.facts_id[devices],
        facts_of=fleet.facts.of,
        columns=_Levels(fleet, devices, told, rows),
        datasets=_Examples(fleet, devices),
    )


class _Levels(Mapping[str, Values]):
    """Columns by the name of a fact, gathered when a rule first asks for them."""

    def __init__(self, fleet: Fleet, devices: Devices, told: Telemetry, rows: Devices) -> None:
        self._fleet, self._devices, self._told, self._rows = fleet, devices, told, rows
        self._gathered: dict[str, Values] = {}

    def __getitem__(self, name: str) -> Values:
        if name not in self._gathered:
            fact = name.removeprefix("device.")
            if fact in QUALITIES:
                self._gathered[name] = self._fleet.qualities[fact][self._devices]
            else:
                self._gathered[name] = getattr(self._told, fact)[self._rows]
        return self._gathered[name]

    def __iter__(self) -> Iterator[str]:
        return iter(OWN - {DATASETS})

    def __len__(self) -> int:
        return len(OWN) - 1


class _Examples(Mapping[str, NDArray[np.int32]]):
    """Examples by dataset, gathered when first asked for."""

    def __init__(self, fleet: Fleet, devices: Devices) -> None:
        self._fleet, self._devices = fleet, devices
        self._gathered: dict[str, NDArray[np.int32]] = {}

    def __getitem__(self, name: str) -> NDArray[np.int32]:
        if name not in self._gathered:
            self._gathered[name] = self._fleet.examples_of(name, self._devices)
        return self._gathered[name]

    def __iter__(self) -> Iterator[str]:
        sets = np.unique(self._fleet.facts_id[self._devices]).tolist()
        held = [self._fleet.facts.of(number).get(DATASETS) for number in sets]
        return iter(sorted({name for names in held if isinstance(names, dict) for name in names}))

    def __len__(self) -> int:
        return sum(1 for _ in self)
