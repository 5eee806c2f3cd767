"""A forecast from a trace against simulations of the same fleet, of unlike tasks: their mean within a factor of two.

The factor is what docs/how-to/ml-engineer.md states, of rounds an hour, bytes, device-hours and waste. The cells were
chosen before they were looked at. A plane that happens to wait long at first hears of slow devices, and waits on:
so of one and the same fleet single simulations differ by more than the forecast does from their mean.
"""

import math

import msgspec
import pytest

from podium.core.selection.eligible import Eligibility
from podium.core.views.prospect import prospect
from podium.sim.beginning import Setting
from podium.sim.prospect import TraceAsk, trace_prospect
from podium.sim.world import World
from podium.tasks.forecast import Forecast, Outlook, forecast
from podium.tasks.task import Head, ModelSource, Round, RunRules, Select, Task
from podium.wire.durations import Duration

BYTES = 400_000
HOUR_MS, MINUTE_MS = 3_600_000, 60_000
FACTOR, CLOSE, ROUGH = 2.0, 1.5, 3.0
"""Of a forecast from a trace; of one from the last rounds of the same run; of what that says of devices' time."""
SINGLE = 3.0
"""Of the rounds of one simulation: those of a goal of 10 differ from seed to seed by 2.4."""
FIGURES = ("rounds", "leases", "down", "up", "device_hours", "wasted")
BATCH_MS = 5_000
"""How `podium simulate` by the clock batches."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """A task on a fleet, and for how long it is simulated."""

    task: Task
    devices: int
    hours: int
    trace: str = "flat"
    answer_ms: int = BATCH_MS


def a_task(goal: int, select: Select | None = None, **terms: object) -> Task:
    """A task whose run goes on for longer than is looked at."""
    usual: dict[str, object] = {
        "minimum": goal // 2,
        "form_deadline": Duration(HOUR_MS),
        "report_deadline": Duration(30 * MINUTE_MS),
        "stall": Duration(10 * MINUTE_MS),
    }
    return Task(
        task=Head(name="kb", plan="a.b:c", purpose="test"),
        model=ModelSource(init="a.b:i"),
        select=select or Select(),
        round=msgspec.convert({"goal": goal, **usual, **terms}, Round),
        run=RunRules(rounds=10_000, deadline=Duration(240 * HOUR_MS), abandoned_max=1_000),
    )


def apart(hours: float) -> Select:
    """Who took part rests for so long."""
    return Select(separation=Duration(int(hours * HOUR_MS)))


CELLS = {
    "gathering": Cell(task=a_task(20), devices=300, hours=4),
    "plain": Cell(task=a_task(40), devices=2_500, hours=2),
    "small-apart": Cell(task=a_task(30, apart(1)), devices=150, hours=6),
    "tiny": Cell(task=a_task(6), devices=60, hours=3),
    "tiny-quick": Cell(task=a_task(6), devices=60, hours=1, answer_ms=500),
    "few-of-many": Cell(task=a_task(10), devices=10_000, hours=1),
    "large-goal": Cell(task=a_task(400), devices=6_000, hours=1),
    "large-apart": Cell(task=a_task(150, apart(3)), devices=4_000, hours=6),
    "diurnal": Cell(task=a_task(80), devices=3_000, hours=6, trace="diurnal"),
    "diurnal-apart": Cell(task=a_task(60, apart(2)), devices=2_000, hours=8, trace="diurnal"),
    "whole-cohort": Cell(task=a_task(25, Select(over=1.5), minimum=25), devices=400, hours=2),
    "short-stall": Cell(task=a_task(30, stall=Duration(MINUTE_MS)), devices=1_000, hours=2),
    "stream": Cell(task=a_task(40, mode="buffered", concurrency=80), devices=1_500, hours=1),
}


SHORT = Cell(task=a_task(8, apart(0.5)), devices=80, hours=3)
"""In one hour, of 17 rounds, the waste of a simulation differs sixfold from seed to seed."""


def told_of(cell: Cell, seed: int) -> Outlook:
    """What is expected from the cell's trace."""
    ask = TraceAsk(
        trace=cell.trace,
        devices=cell.devices,
        seed=seed,
        down_bytes=BYTES,
        up_bytes=BYTES,
        answer_ms=cell.answer_ms,
    )
    return expected_of(forecast(cell.task, BYTES, BYTES, trace_prospect(cell.task, ask)))


def expected_of(seen: Forecast) -> Outlook:
    """What is expected besides what is bound."""
    assert seen.expected is not None
    return seen.expected


def figures(told: Outlook, task: Task, hours: int) -> dict[str, float]:
    """Of an hour, and of a round."""
    rounds = task.run.rounds
    return {
        "rounds": sum(told.rounds_per_hour[:hours]) / hours,
        "leases": told.evidence.leases,
        "down": told.round_down_bytes,
        "up": told.round_up_bytes,
        "device_hours": told.device_hours / rounds,
        "wasted": told.wasted_device_hours / rounds,
    }


def found_in(world: World, hours: int) -> dict[str, float]:
    """The same of a simulation."""
    rounds = world.recorder.report().rounds
    wasted, used = (sum(each) for each in zip(*[(r.device_ms_wasted, r.device_ms_used) for r in rounds], strict=True))
    return {
        "rounds": len(rounds) / hours,
        "leases": sum(each.leases for each in rounds) / len(rounds),
        "down": sum(each.bytes_down for each in rounds) / len(rounds),
        "up": sum(each.bytes_up for each in rounds) / len(rounds),
        "device_hours": (wasted + used) / HOUR_MS / len(rounds),
        "wasted": wasted / HOUR_MS / len(rounds),
    }


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", CELLS)
def test_a_forecast_is_what_simulations_find(name: str) -> None:
    compare(CELLS[name], (1, 2, 3))


def test_of_a_short_one_too() -> None:
    compare(SHORT, (4,))


def compare(cell: Cell, seeds: tuple[int, ...]) -> None:
    """Forecasts before simulations and after them; each kind's mean over the seeds against what is found."""
    told, found, after = (dict.fromkeys(FIGURES, 0.0) for _ in range(3))
    for seed in seeds:
        world = World(
            cell.task,
            Setting(
                devices=cell.devices,
                seed=seed,
                window_ms=cell.answer_ms,
                trace=cell.trace,
                until_ms=cell.hours * HOUR_MS,
                model_bytes=BYTES,
                checked=False,
            ),
        )
        world.run()
        before, this = figures(told_of(cell, seed), cell.task, cell.hours), found_in(world, cell.hours)
        assert 1 / SINGLE <= before["rounds"] / this["rounds"] <= SINGLE, (seed, before, this)
        seen = prospect(world.core.state, cell.task, Eligibility(cell.task), [math.nan] * 24, world.now_ms)
        later = figures(expected_of(forecast(cell.task, BYTES, BYTES, seen)), cell.task, 1)
        for sums, each in ((told, before), (found, this), (after, later)):
            sums.update({name: sums[name] + each[name] for name in FIGURES})
    for name in FIGURES:
        assert 1 / FACTOR <= told[name] / found[name] <= FACTOR, (name, told, found)
        close = ROUGH if name in ("device_hours", "wasted") else CLOSE
        assert 1 / close <= after[name] / found[name] <= close, (name, after, found)
