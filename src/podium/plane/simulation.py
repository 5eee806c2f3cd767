"""`podium.simulate`: the same task over a synthetic fleet in virtual time.

Decides: nothing; the simulator (podium.sim) is loaded when it is called.
"""

from typing import TYPE_CHECKING

from podium.plane.terms import Task
from podium.tasks.check import check_task
from podium.tasks.task import Task as WholeTask

if TYPE_CHECKING:
    from podium.sim.run import SimResult


def simulate(
    task: Task | WholeTask, *, devices: int, seed: int = 0, faults: str = "none", trace: str = "flat"
) -> "SimResult":
    """Run `task` over `devices` synthetic devices in virtual time; no plan runs, updates are self-checking one-hots.

    `faults`: "all", "none" or names separated by commas. `trace`: when devices are there, "flat" or "diurnal".
    `OperatorFault` for a task, fault or trace that does not hold;
    `podium.sim.checkers.InvariantBroken` with the story if Podium broke a promise.
    """
    from podium.sim.faults import parse_faults
    from podium.sim.run import simulate_task

    terms = task.whole() if isinstance(task, Task) else task
    check_task(terms)
    return simulate_task(terms, devices=devices, seed=seed, faults=parse_faults(faults), trace=trace)
