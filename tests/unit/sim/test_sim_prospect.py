"""A forecast's evidence from a synthetic fleet: its hours against the trace's own share, its rules against counts."""

import msgspec
import numpy as np
import pytest

from podium.sim.fleet import SimFleet
from podium.sim.fleet_terms import FleetTerms
from podium.sim.prospect import SAMPLE, TraceAsk, trace_prospect
from podium.sim.traces import HOUR_MS, availability_of
from podium.tasks.forecast import Evidence
from podium.tasks.task import Data, Head, ModelSource, Round, RunRules, Select, Task
from podium.wire.durations import Duration
from podium.wire.problems import OperatorFault
from tests.support.sim_there import share_there

COUNT = 2_000


def a_task(data: Data | None = None, requires: str = "", when: str = "") -> Task:
    """A task of ten devices a round with these rules."""
    return Task(
        task=Head(name="kb", plan="a.b:c", purpose="test"),
        model=ModelSource(init="a.b:i"),
        data=data or Data(),
        select=Select(requires=requires, when=when),
        round=Round(goal=10, report_deadline=Duration(600_000)),
        run=RunRules(rounds=3),
    )


def seen(task: Task, trace: str = "flat", count: int = COUNT) -> Evidence:
    """Its evidence of a fleet of `count`."""
    return trace_prospect(task, TraceAsk(trace=trace, devices=count, seed=7, down_bytes=-1, up_bytes=-1, answer_ms=500))


def test_without_rules_the_hours_are_the_trace_s_own() -> None:
    fleet = SimFleet(COUNT, FleetTerms(), 7)
    there, every = availability_of("diurnal", fleet, 7), np.arange(COUNT)
    told = seen(a_task(), "diurnal")
    halves = [hour * HOUR_MS + HOUR_MS // 2 for hour in range(24)]
    assert told.hours == [round(share_there(there, every, at) * COUNT) for at in halves]
    assert (told.devices, told.fit, told.held) == (COUNT, COUNT, {})
    assert 3 < max(told.hours) / min(told.hours) < 5
    assert seen(a_task()).hours == [COUNT] * 24


def test_each_rule_holds_the_devices_that_it_does_not_fit() -> None:
    fleet = SimFleet(COUNT, FleetTerms(), 7)
    data = fleet.data_facts(np.arange(COUNT))
    covered = seen(a_task(requires="device.label_coverage >= 0.6"))
    low = int(np.count_nonzero(data["label_coverage"].astype(np.float64) < 0.6))
    assert covered.held == {"false: device.label_coverage >= 0.6": low} and covered.fit == COUNT - low
    few = seen(a_task(Data(datasets=("text",), examples_min=60)))
    assert few.held == {"no such data": int(np.count_nonzero(data["examples"] < 60))}
    named = seen(a_task(Data(datasets=("text",)), requires="device.datasets['text'] >= 60"))
    assert named.fit == few.fit, "the data of a rule are those of the task"
    charged = seen(a_task(when="device.charging && device.battery > 0.9"))
    assert charged.fit == COUNT and 0 < max(charged.hours) < COUNT
    none = seen(a_task(requires="device.site == 'nowhere'"))
    assert (none.fit, none.hours, none.loss_rate) == (0, [0] * 24, 0.0)


def test_late_leases_are_lost_and_a_large_fleet_is_a_sample_of_itself() -> None:
    slow = msgspec.structs.replace(a_task(), round=Round(goal=10, report_deadline=Duration(1)))
    assert seen(slow).loss_rate == 0.95
    assert 0.05 < seen(a_task()).loss_rate < 0.2
    large = seen(a_task(requires="device.os == 'ios'"), count=4 * SAMPLE)
    assert (large.devices, large.sampled) == (4 * SAMPLE, SAMPLE)
    assert large.fit == pytest.approx(SAMPLE, rel=0.05)  # a quarter of the fleet


def test_a_synthetic_fleet_is_in_no_named_region() -> None:
    regional = msgspec.structs.replace(a_task(), select=Select(regions=("eu",)))
    told = seen(regional)
    assert (told.fit, max(told.hours)) == (0, 0)
    assert told.held == {"in none of select.regions, as a synthetic fleet names none": COUNT}


def test_no_such_trace() -> None:
    with pytest.raises(OperatorFault):
        seen(a_task(), "weekly")


def test_an_hour_has_no_more_rounds_than_rested_devices() -> None:
    often = seen(a_task(), count=400)
    assert often.paced == pytest.approx([3_600_000 / often.round_ms] * 24, rel=0.01), "one after the other"
    rested = seen(msgspec.structs.replace(a_task(), select=Select(separation=Duration(4 * HOUR_MS))), count=400)
    # all come at once, then again when they have rested: 400 in each 4 h, whatever a round takes
    assert sum(rested.paced) == pytest.approx(6 * 400 / rested.leases, rel=0.02)
    assert max(rested.paced) > 5 * min(rested.paced)
    rare = seen(msgspec.structs.replace(a_task(), select=Select(separation=Duration(48 * HOUR_MS))), count=400)
    assert sum(rare.paced) == pytest.approx(400 / rare.leases / 2, rel=0.02), "a day's mean over two"
    assert rare.unused_ms > often.unused_ms, "a round that waits for devices holds who dropped out"
