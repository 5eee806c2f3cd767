"""When a synthetic fleet is there: always, or four times as many at night as at noon."""

import random

import numpy as np
import pytest

from podium.sim.run import simulate_task
from podium.sim.traces import DAY_MS, HOUR_MS, Trace
from podium.sim.world import World
from podium.wire.problems import OperatorFault
from tests.support.core_made import task

COUNT = 4_000


def there(name: str, hour: int) -> int:
    """How many of the fleet are there at `hour` of the second day."""
    at = np.full(COUNT, DAY_MS + hour * HOUR_MS, np.int64)
    return int(np.count_nonzero(Trace(name, COUNT, random.Random(3)).next_ms(np.arange(COUNT), at) == at))


def test_a_flat_fleet_is_always_there() -> None:
    assert {there("flat", hour) for hour in range(24)} == {COUNT}


def test_a_diurnal_fleet_swings_fourfold() -> None:
    by_hour = [there("diurnal", hour) for hour in range(24)]
    assert by_hour.index(max(by_hour)) in (0, 1, 2, 3)
    assert by_hour.index(min(by_hour)) in range(10, 20)
    assert 3.5 < max(by_hour) / min(by_hour) < 4.2


def test_a_device_that_is_away_comes_at_the_beginning_of_its_night() -> None:
    trace = Trace("diurnal", COUNT, random.Random(3))
    noon = np.full(COUNT, 14 * HOUR_MS, np.int64)
    came = trace.next_ms(np.arange(COUNT), noon)
    away = np.flatnonzero(came > noon)
    assert len(away) > COUNT // 2
    assert np.array_equal(trace.next_ms(away, came[away]), came[away]), "there when it comes"
    assert np.all(trace.next_ms(away, came[away] - 1) == came[away]), "and not a moment earlier"
    assert int((came - noon).max()) < 14 * HOUR_MS


def test_another_name_is_refused() -> None:
    with pytest.raises(OperatorFault, match="the traces are flat, diurnal"):
        Trace("lunar", 1, random.Random(0))


def test_only_devices_that_are_there_check_in() -> None:
    world = World(task(goal=5), devices=COUNT, seed=1, faults=frozenset(), trace="diurnal")
    noon = 14 * HOUR_MS
    world.devices.next_ms[:] = noon
    came = world.devices.due(noon)
    assert 0.2 < len(came) / COUNT < 0.3
    later = world.devices.next_ms > noon
    assert np.count_nonzero(later) == COUNT - len(came), "the others come when their night begins"


def test_a_run_over_a_diurnal_fleet_is_the_same_every_time() -> None:
    terms = task(goal=5, rounds=3, over=1.0)
    once, again = (simulate_task(terms, devices=60, seed=1, trace="diurnal") for _ in range(2))
    assert once == again
    assert (once.state, once.rounds_sealed) == ("FINISHED", 3)
