"""When a synthetic fleet is there: always, or four times as many at night as at noon."""

import numpy as np
import pytest

from podium.sim.crowd import Crowd
from podium.sim.fleet import SimFleet
from podium.sim.fleet_terms import FleetTerms
from podium.sim.run import simulate_task
from podium.sim.traces import DAY_MS, HOUR_MS, AlwaysThere, availability_of
from podium.wire.problems import OperatorFault
from tests.support.core_made import task

COUNT = 4_000


def fleet() -> SimFleet:
    return SimFleet(COUNT, FleetTerms(), 3)


def test_another_name_is_refused() -> None:
    with pytest.raises(OperatorFault, match="the traces are flat, diurnal, or a file"):
        availability_of("lunar", fleet(), 0)


def test_only_devices_that_are_there_check_in() -> None:
    there = availability_of("diurnal", fleet(), 3)
    crowd = Crowd(COUNT, there, HOUR_MS, 3)
    early, _ = crowd.due(HOUR_MS)
    noon = DAY_MS + 14 * HOUR_MS
    crowd.back(early, np.full(len(early), noon))
    came, at = crowd.due(noon)
    assert np.all(there.next_ms(came, at) == at)
    missing = np.setdiff1d(np.arange(COUNT), came)
    assert len(missing) > COUNT // 3, "the others come when their night begins"
    assert np.all(there.next_ms(missing, np.full(len(missing), noon)) > noon)


def test_the_later_word_on_when_a_device_comes_counts() -> None:
    crowd = Crowd(3, AlwaysThere(), HOUR_MS, 1)
    crowd.due(HOUR_MS)
    crowd.back(np.arange(3), np.array([HOUR_MS + 10, HOUR_MS + 20, HOUR_MS + 30]))
    crowd.back_alone(0, HOUR_MS + 25)
    crowd.back(np.array([1]), np.array([HOUR_MS + 20]))
    devices, at = crowd.due(2 * HOUR_MS)
    assert list(zip(devices.tolist(), (at - HOUR_MS).tolist(), strict=True)) == [(1, 20), (0, 25), (2, 30)]


def test_who_heard_nothing_comes_again_and_no_one_else_does() -> None:
    crowd = Crowd(4, AlwaysThere(), HOUR_MS, 1)
    crowd.due(HOUR_MS)
    crowd.answered(np.array([0, 1]))
    crowd.back(np.array([1]), np.array([3 * HOUR_MS]))
    crowd.lost(HOUR_MS + 5)
    devices, _ = crowd.due(2 * HOUR_MS)
    assert sorted(devices.tolist()) == [2, 3], "0 is at work, 1 comes later"


def test_a_session_is_opened_once_it_is_over_or_forgotten() -> None:
    crowd = Crowd(2, AlwaysThere(), HOUR_MS, 1)
    both, at = np.arange(2), np.array([5, 6])
    assert crowd.opening(both, at).tolist() == [0, 1]
    assert crowd.opening(both, at + HOUR_MS - 1).tolist() == []
    crowd.forget_sessions(np.array([1]))
    assert crowd.opening(both, at + 1).tolist() == [1]
    assert crowd.opening(both, at + HOUR_MS).tolist() == [0]
    assert crowd.epoch.tolist() == [2, 2]


def test_a_run_over_a_diurnal_fleet_is_the_same_every_time() -> None:
    terms = task(goal=5, rounds=3, over=1.0)
    once, again = (simulate_task(terms, devices=60, seed=1, trace="diurnal") for _ in range(2))
    assert once == again
    assert (once.state, once.rounds_sealed) == ("FINISHED", 3)
