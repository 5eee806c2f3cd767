"""What it costs to answer a check-in, and to choose a cohort: 1,000 of 1,000,000 devices that wait, by each strategy.

Rows of admission (_admission.py): admit-live-idle-N and admit-live-wanted-N, microseconds a check-in in batches of N as
a gateway makes them, at most 10; admit-sim-idle and admit-sim-wanted, in batches of a simulation, at most 0.8 (the
core's share: row admit-sim of the bench of simulation is of all that a simulated check-in takes).
Rows of strategies: one for each, in ms of processor time: choose, check the plan, reserve the seats and count the
others by reason, as a round does when it starts. A million devices were nominated before, batch after batch as they
check in; a note says what that took for each. Half of them told a loss, a utility and a duration; ten strata. Target:
50 ms.
Limit: numpy's argpartition of as many keys in the same run.
"""

import statistics
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bench import _admission
from bench._admission import COHORT, DEVICES, PLAN, submit
from bench._rows import Row, row
from podium.cli.output import note
from podium.core.draws import uniform
from podium.core.events import CheckedIn, ManifestMade, TimePassed
from podium.core.fleet.facts import Facts, standing_facts
from podium.core.fleet.telemetry import telemetry
from podium.core.step import Core
from podium.tasks.selecting import STRATEGIES
from podium.tasks.task import Select
from podium.wire.limits import Limits
from podium.wire.messages import Capabilities

BATCH = 16_384
STRATA = 10
TARGET_MS = 50.0
REPEATS = 5


def measure() -> Iterator[Row]:
    """Admission by the size of batches, then a row a strategy."""
    yield from _admission.rows()
    limit = argpartition_ms()
    for name in STRATEGIES:
        yield row(("select", name), start_ms(name), "ms", ("argpartition", limit), TARGET_MS / limit)


def argpartition_ms() -> float:
    """Milliseconds in which numpy finds the `COHORT` smallest of `DEVICES` keys."""
    keys, took = np.random.default_rng(1).random(DEVICES), []
    for _ in range(REPEATS):
        began = time.process_time()
        np.argpartition(keys, COHORT)[:COHORT].sum()
        took.append(time.process_time() - began)
    return statistics.median(took) * 1_000


def start_ms(strategy: str) -> float:
    """Milliseconds of the step in which a round of `strategy` starts with its cohort, a million devices nominated."""
    core = waiting(strategy)
    devices, began = np.arange(DEVICES, dtype=np.int64), time.process_time()
    for start in range(0, DEVICES, BATCH):
        core.step(check_in(devices[start : start + BATCH]))
    note(f"{strategy}: nominated in {(time.process_time() - began) / DEVICES * 1e9:.0f} ns a device")
    work = core.state.open["r", 1]
    assert work.nominees == DEVICES, work.nominees
    core.step(ManifestMade(at_ms=0, run="r", round=1, manifest="m", key_id="k"))
    began = time.process_time()
    core.step(TimePassed(at_ms=1))
    took = time.process_time() - began
    assert len(work.reserved) == COHORT, len(work.reserved)
    return took * 1_000


def waiting(strategy: str) -> Core:
    """A core with `DEVICES` devices in a session and a run whose first round forms."""
    core = Core((), step=0, at_ms=0, limits=Limits())
    state, fleet = core.state, core.state.fleet
    devices = np.arange(DEVICES, dtype=np.int64)
    fleet._grow(DEVICES)
    fleet.size = DEVICES
    sets = [fleet.facts.hold(facts_of(f"site-{place}"), DEVICES // STRATA) for place in range(STRATA)]
    fleet.open_sessions(devices, np.zeros(DEVICES, np.int64), np.array(sets, np.int32)[devices % STRATA])
    stratify = "device.site" if strategy == "stratified" else ""
    submit(core, Select(strategy=strategy, over=1.0, stratify=stratify))
    if "r" in state.experience:
        told, learned = uniform(1, "told", devices), state.experience["r"]
        learned.grow(DEVICES)
        known = np.flatnonzero(told < 0.5)
        learned.utility[known] = learned.loss[known] = 10 * told[known]
        learned.duration_ms[known] = 1_000 + 60_000 * told[known]
        learned.times[known], learned.last_round[known] = 1, 1
    return core


def facts_of(site: str) -> Facts:
    """What the devices of a site tell."""
    held = Capabilities(
        os="linux", architecture="amd64", variant="", ram_mb=2048, cores=4, accelerator="", agent="bench",
        runtimes={}, plans={PLAN: "sha256:plan"}, datasets={},
    )  # fmt: skip
    return standing_facts(held, (), site, {})


def check_in(devices: NDArray[np.int64]) -> CheckedIn:
    """`devices` check in at once, with momentary facts that nobody asks for."""
    count = len(devices)
    return CheckedIn(
        at_ms=0,
        at=np.zeros(count, np.int64),
        device=devices,
        epoch=np.zeros(count, np.int64),
        ticket=devices,
        telemetry=telemetry(count),
    )
