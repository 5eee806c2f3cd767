"""Worlds of every kind for faulted seeds: what a seed's tasks and fleet are like, and what happened in it.

Decides: which terms a seed gives (strategy, strata, budgets, fairness, ramp, abort, rules, a rival task), all faults
among them. Never: what must hold (sim/checkers.py and core/check.py, which raise). By hand, on as many processes as
there are cores: python -m tests.sim.worlds [COUNT [FIRST]]
"""

import multiprocessing
import os
import random
import sys
from collections import Counter
from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from podium.core.effects import AnySend, CheckinAnswers, Step
from podium.core.rounds.table import LEASE_TABLE, ROUND_TABLE, RUN_TABLE
from podium.core.rows import LeaseRow, RoundRow, RunRow
from podium.core.selection.reasons import REASONS
from podium.sim.beginning import Setting
from podium.sim.checkers import InvariantBroken
from podium.sim.faults import ALL
from podium.sim.world import World
from podium.tasks.check import check_task
from podium.tasks.task import Abort, Budgets, Data, Fairness, Head, ModelSource, Ramp, Round, RunRules, Select, Task
from podium.wire.durations import Duration
from podium.wire.problems import PodiumError

STRATEGIES = ("uniform", "stratified", "oort", "power_of_choice", "quality")
STRATA = ("device.os", "device.architecture", "device.region")
WHEN = ("device.charging", "!device.metered && device.battery > 0.3", "device.thermal_c < 35.0")
REQUIRES = ("device.ram_mb >= 4096", "device.os == 'android' || device.os == 'linux'")
KINDS = (("run", RunRow, RUN_TABLE), ("round", RoundRow, ROUND_TABLE), ("lease", LeaseRow, LEASE_TABLE))
TRANSITIONS = {
    (name, source, target) for name, _, table in KINDS for (source, _), target in table.items() if source != target
}
"""(machine, state, next state) of every row of the tables that leads elsewhere."""


class Tally:
    """What was met: counts by name."""

    def __init__(self) -> None:
        self.terms = Counter[str]()
        self.faults = Counter[str]()
        self.reasons = Counter[str]()
        self.cells = Counter[tuple[str, str, str]]()
        self.ends = Counter[str]()

    def add(self, other: "Tally") -> None:
        """Take the counts of another."""
        for name in vars(self):
            getattr(self, name).update(getattr(other, name))

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {dict(counts.most_common())}" for name, counts in vars(self).items())


class TalliedWorld(World):
    """A checked world that counts what it meets."""

    def __init__(self, task: Task, setting: Setting) -> None:
        super().__init__(task, setting)
        self.tally = Tally()
        self._states: dict[str, str] = {}

    def _durable(self, steps: Sequence[Step]) -> None:
        super()._durable(steps)
        for row in (row for step in steps for record in step.records for row in record.rows):
            for name, kind, _ in KINDS:
                if isinstance(row, kind):
                    was = self._states.get(f"{name} {row.key()}", row.state)
                    self._states[f"{name} {row.key()}"] = row.state
                    self.tally.cells[name, was, row.state] += was != row.state

    def _send(self, send: AnySend) -> None:
        super()._send(send)
        if isinstance(send, CheckinAnswers):
            for code, count in zip(*np.unique(send.reason, return_counts=True), strict=True):
                self.tally.reasons[REASONS[int(code)]] += int(count)


def run_seed(seed: int) -> Tally:
    """The world of `seed` to its end; `InvariantBroken` names the seed, the moment and the story."""
    chance = random.Random(f"world {seed}")
    goal = chance.choice((3, 8, 16))
    task = task_of(chance, goal, STRATEGIES[seed % len(STRATEGIES)])
    rivals = tuple(task_of(chance, chance.choice((2, 6)), chance.choice(STRATEGIES)) for _ in range(seed % 3 == 0))
    setting = Setting(
        devices=chance.randint(3 * goal, 8 * goal),
        seed=seed,
        faults=ALL,
        window_ms=chance.choice((100, 500, 2_000)),
        rivals=rivals,
        gateways=(1, 3, 8)[seed // 3 % 3],
    )
    world = TalliedWorld(task, setting)
    try:
        world.run()
    except (InvariantBroken, PodiumError, ValueError, KeyError, IndexError) as error:
        story = f"seed {seed} at {world.now_ms} ms, step {world.steps}, {task.select}, {task.round}: {error!r}"
        raise InvariantBroken(story) from error
    tally = world.tally
    tally.faults.update(world.faults.struck)
    tally.ends.update(f"{run.state} {run.reason.split(':')[0]}" for run in world.core.state.runs.values())
    for each in (task, *rivals):
        tally.terms.update(named(each))
    tally.terms["rival"] += len(rivals)
    return tally


def task_of(chance: random.Random, goal: int, strategy: str) -> Task:
    """A task that would be accepted, of drawn terms."""
    task = Task(
        task=Head(name="world", plan="tests.plan:train", purpose="a test"),
        model=ModelSource(init="tests.plan:init"),
        data=Data(datasets=("d",), examples_min=chance.choice((0, 10))),
        select=selected(chance, strategy),
        round=round_of(chance, goal),
        run=RunRules(
            rounds=chance.randint(2, 5),
            deadline=Duration(chance.choice((7_200_000, 86_400_000))),
            abandoned_max=chance.choice((2, 4)),
            seed=chance.randint(0, 9),
        ),
    )
    if strategy == "uniform" and chance.random() < 0.6:
        task = in_windows(chance, task)
    check_task(task)
    return task


def in_windows(chance: random.Random, task: Task) -> Task:
    """`task` with buffered rounds, which choose no cohort."""
    select = replace(
        task.select,
        prefers={},
        over="auto",
        fairness=replace(task.select.fairness, without_replacement=False),
    )
    goal = task.round.goal
    terms = replace(
        task.round,
        mode="buffered",
        concurrency=chance.choice((max(1, goal // 2), goal, 3 * goal)),
        staleness_max=chance.choice((0, 1, 4, 10)),
        ramp=None,
    )
    return replace(task, select=select, round=terms)


def selected(chance: random.Random, strategy: str) -> Select:
    """How devices are chosen."""
    stratify = chance.choice(STRATA) if strategy == "stratified" else ""
    return Select(
        requires=chance.choice(("", "", *REQUIRES)),
        when=chance.choice(("", "", *WHEN)),
        prefers=chance.choice(({}, {"battery": 1.0}, {"charging": 2.0, "ram_mb": 1.0})),
        strategy=strategy,
        stratify=stratify,
        over=chance.choice(("auto", "auto", 1.0, 1.3)),
        separation=Duration(chance.choice((0, 0, 5_000, 120_000))),
        fairness=Fairness(times_max=chance.choice((0, 0, 3)), without_replacement=chance.random() < 0.3),
        budgets=chance.choice(
            (
                *(Budgets(), Budgets(), Budgets(trainings_per_day=chance.randint(1, 4))),
                Budgets(bytes_per_month=chance.randint(1, 6) * 1_000_000),
                Budgets(energy_wh_per_day=chance.uniform(0.01, 1.0)),
            )
        ),
        weight=chance.choice((0.5, 1.0, 4.0)),
        priority=chance.choice((-1, 0, 0, 1)),
    )


def round_of(chance: random.Random, goal: int) -> Round:
    """How rounds go."""
    share = chance.choice((0.1, 0.6))
    aborts = (
        Abort(kind="failed", share=share, min=8),
        Abort(kind="lapsed", share=share, min=8),
        Abort(kind="refused", share=share, min=8),
        Abort(kind="declined", share=share, min=8),
    )
    return Round(
        concurrency=chance.choice((0, 0, max(1, goal // 2), 2 * goal)),
        goal=goal,
        minimum=chance.choice((0, max(1, goal // 2))),
        form_deadline=Duration(chance.choice((30_000, 600_000))),
        report_deadline=Duration(chance.choice((60_000, 300_000))),
        stall=Duration(chance.choice((10_000, 30_000))),
        ramp=chance.choice((None, None, Ramp(base=max(1, goal // 4), factor=2.0, after=1))),
        abort=chance.choice(((), (), (chance.choice(aborts),))),
    )


def named(task: Task) -> set[str]:
    """The names of the terms that `task` uses."""
    select, terms = task.select, task.round
    used = {
        "when": select.when,
        "requires": select.requires,
        "prefers": select.prefers,
        "over": select.over != "auto",
        "separation": select.separation,
        "times_max": select.fairness.times_max,
        "without_replacement": select.fairness.without_replacement,
        "trainings_per_day": select.budgets.trainings_per_day,
        "bytes_per_month": select.budgets.bytes_per_month,
        "energy_wh_per_day": select.budgets.energy_wh_per_day,
        "priority": select.priority,
        "concurrency": terms.concurrency,
        "ramp": terms.ramp,
        "abort": terms.abort,
        "buffered": terms.mode == "buffered",
    }
    return {select.strategy, *(name for name, value in used.items() if value)}


TERMS = {
    *STRATEGIES,
    *("when", "requires", "prefers", "over", "separation", "times_max", "without_replacement", "trainings_per_day"),
    *("bytes_per_month", "energy_wh_per_day", "priority", "concurrency", "ramp", "abort", "rival", "buffered"),
}


def run_seeds(seeds: Sequence[int]) -> Tally:
    """`run_seed` of each, on as many processes as there are cores; the first broken promise ends it."""
    whole = Tally()
    with multiprocessing.get_context("spawn").Pool(min(len(seeds), os.cpu_count() or 1)) as pool:
        for place, tally in enumerate(pool.imap(run_seed, seeds), 1):
            whole.add(tally)
            if place % 100 == 0:
                sys.stderr.write(f"{place} of {len(seeds)} seeds\n")
    return whole


def main(arguments: Sequence[str]) -> int:
    """Run COUNT seeds (1,000) from FIRST on (0), and print what was met."""
    count, first = (int(each) for each in [*arguments, *("1000", "0")[len(arguments) :]])
    whole = run_seeds(range(first, first + count))
    sys.stdout.write(f"{count} seeds from {first} on, no broken invariant\n{whole!r}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
