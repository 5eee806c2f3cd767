"""Devices that take a lease, fall silent and come back, in the simulated world: what they get of the leases."""

import pytest

from podium.core.selection import losses
from podium.sim.beginning import Setting
from podium.sim.world import World
from tests.support.core_made import task
from tests.support.paced_runs import QUICK

DEVICES, FLAPPING, ROUNDS = 200, 20, 80
TERMS = {"goal": 40, "minimum": 32, "rounds": ROUNDS, "abandoned_max": ROUNDS, "stall": 30_000, "deadline": 864_000_000}


def flapped(seed: int, mended: int = ROUNDS) -> World:
    """A run of rounds of 40 among 200 devices, 20 of which drop out of every lease until so many rounds are sealed."""
    setting = Setting(devices=DEVICES, seed=seed, window_ms=200, terms=QUICK, checked=False)
    world = World(task(**TERMS), setting)
    chances = world.devices.fleet.drop_out
    sound = chances[:FLAPPING].copy()
    chances[:FLAPPING] = 1.0
    world.begin()
    for _ in world.windows():
        if world.core.state.runs["sim"].rounds_sealed >= mended:
            chances[:FLAPPING] = sound
    return world


def share(world: World, rounds: range) -> float:
    """Of the leases of `rounds` the share of those 20."""
    state = world.core.state
    holders = [state.holder(lease) for lease in state.leases.values() if lease.round in rounds]
    return sum(holder < FLAPPING for holder in holders) / len(holders)


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_devices_that_vanish_again_and_again_get_less_than_their_share(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = flapped(seed)
    second = range(ROUNDS // 2, ROUNDS + 1)
    assert share(world, range(1, ROUNDS + 1)) <= 0.06, "a tenth of the fleet"
    assert share(world, second) <= 0.04
    monkeypatch.setattr(losses, "FREE", 99)  # nobody is left alone
    before = flapped(seed)
    assert share(before, second) >= 1.5 * share(world, second)
    assert world.now_ms <= 1.3 * before.now_ms, "the run is over hardly later for it"


@pytest.mark.long
def test_devices_that_are_mended_take_part_again() -> None:
    world = flapped(1, mended=ROUNDS // 2)
    assert share(world, range(21, 41)) <= 0.06
    assert share(world, range(51, 81)) >= 0.07, "a tenth of the fleet, as before it flapped"
    state = world.core.state
    back = {state.holder(lease) for lease in state.leases.values() if lease.state == "ACCEPTED"}
    missed = set(range(FLAPPING)) - back
    assert len(missed) <= 2, f"{missed} of them had no turn, in forty rounds of a fifth of the fleet"
