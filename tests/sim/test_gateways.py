"""The digits example at 1, 3 and 8 gateways: some die with their slices, some go on with old ones, nothing is broken.

The worlds check their memory and what became durable, so nobody is let in without a seat; and rounds take about as long
as at one gateway.
"""

import pytest
from msgspec.structs import replace

from podium.core.selection.quotas import NEWEST
from podium.sim import faults as fault_rates
from podium.sim.beginning import Setting
from podium.sim.faults import ALL
from podium.sim.run import SimResult, result_of
from podium.sim.world import World
from podium.tasks.task import Task
from tests.sim.sim_cases import DIGITS, OF_GATEWAYS

SHORT = replace(DIGITS, run=replace(DIGITS.run, rounds=5))
SMALL = replace(DIGITS, round=replace(DIGITS.round, goal=12, minimum=6), run=replace(DIGITS.run, rounds=4))
LOSSES = frozenset({"lapse", "decline"})


def end(task: Task, setting: Setting) -> tuple[World, SimResult]:
    """The world at its end."""
    world = World(task, setting)
    world.run()
    return world, result_of(world)


def holds(gateways: int, seed: int) -> None:
    """With every fault the run ends; nothing is leased to a gateway that is alone."""
    world, result = end(SHORT, Setting(devices=300, seed=seed, faults=ALL, gateways=gateways))
    assert (result.state, result.rounds_sealed) == ("FINISHED", 5)
    assert [name for name in OF_GATEWAYS if (result.struck[name] > 0) != (gateways > 1)] == []
    # of several the last restart may have been after the last lease of slices
    assert gateways > 1 or world.core.state.quotas.generation == NEWEST


@pytest.mark.parametrize("gateways", (1, 3, 8))
def test_every_fault_strikes_at_any_number_of_gateways(gateways: int) -> None:
    holds(gateways, seed=gateways)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("gateways", (1, 3, 8))
@pytest.mark.parametrize("seed", range(100, 120))
def test_wide_seeds_at_any_number_of_gateways(gateways: int, seed: int) -> None:
    holds(gateways, seed)


def test_rounds_take_about_as_long_as_at_one_gateway() -> None:
    took = {1: 0, 8: 0}
    for gateways in took:
        for seed in range(3):
            _, result = end(SMALL, Setting(devices=60, seed=seed, faults=LOSSES, gateways=gateways))
            took[gateways] += result.virtual_ms
    assert took[8] <= 1.5 * took[1], took


def test_gateways_that_hear_nothing_cost_time_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fault_rates.RATES, "gateway-deaf", 0.2)
    _, result = end(SMALL, Setting(devices=60, seed=5, faults=LOSSES | OF_GATEWAYS, gateways=3))
    assert (result.state, result.rounds_sealed) == ("FINISHED", 4)
    assert result.struck["gateway-deaf"] > 10, result.struck
