"""A synthetic fleet is what its terms say, the same for the same seed, in few bytes."""

from collections.abc import Mapping

import msgspec
import numpy as np
import pytest

from podium.core.draws import uniform
from podium.sim.fleet import MEGABYTE, RECORD, SimFleet, Workload
from podium.sim.fleet_terms import FleetTerms, Platform, Region, always_share
from podium.sim.trace_files import Capacity
from podium.sim.traces import DAY_MS, HOUR_MS, NIGHT_UNIT_MS, availability_of
from podium.wire.problems import OperatorFault
from tests.support.sim_there import share_there

COUNT = 200_000
TERMS = FleetTerms()
FLEET = SimFleet(COUNT, TERMS, seed=11)
ALL = np.arange(COUNT)


def at(hour: float) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Every device at `hour`."""
    return np.full(COUNT, int(hour * HOUR_MS), np.int64)


def columns(facts: Mapping[str, object]) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]]:
    """The columns of `facts`, whatever their types."""
    return {name: np.asarray(column) for name, column in facts.items()}


def test_compute_spreads_as_stated_and_goes_with_the_class() -> None:
    seconds = FLEET.seconds_per_example
    assert np.quantile(seconds, 0.9) / np.quantile(seconds, 0.1) == pytest.approx(39, rel=0.03)
    assert np.median(seconds) == pytest.approx(0.02, rel=0.02)
    medians = [float(np.median(seconds[FLEET.class_of == each])) for each in range(5)]
    assert medians == sorted(medians), "the classes are listed from fast to slow"
    assert medians[4] > 10 * medians[0]


def test_shares_of_classes_and_regions() -> None:
    assert np.bincount(FLEET.class_of) / COUNT == pytest.approx([0.05, 0.25, 0.25, 0.30, 0.15], abs=0.005)
    assert np.bincount(FLEET.region) / COUNT == pytest.approx([0.47, 0.29, 0.24], abs=0.005)


def test_bandwidth_has_the_stated_medians_at_every_hour() -> None:
    for hour in (3, 14):
        facts = FLEET.telemetry(ALL, at(hour))
        assert np.median(facts["download_mb_s"]) == pytest.approx(4.3, rel=0.02)
        assert np.median(facts["upload_mb_s"]) == pytest.approx(3.3, rel=0.02)
        assert np.median(facts["latency_ms"]) == pytest.approx(60, rel=0.02)
        spread = np.std(np.log(facts["download_mb_s"]))
        assert spread == pytest.approx(np.hypot(0.9, 0.3), rel=0.02)


def test_devices_drop_out_as_stated_and_as_their_class_does() -> None:
    assert FLEET.drop_out.mean() == pytest.approx(0.08, abs=0.001)
    dropped = FLEET.drops(ALL, uniform(1, "drop", ALL))
    assert dropped.mean() == pytest.approx(0.08, abs=0.003)
    by_class = [dropped[FLEET.class_of == each].mean() for each in range(5)]
    assert by_class == pytest.approx([0.03, 0.05, 0.06, 0.09, 0.16], abs=0.01)


def test_data_is_as_stated() -> None:
    facts = FLEET.data_facts(ALL)
    assert np.median(facts["examples"]) == pytest.approx(60, abs=1)
    assert facts["examples"].min() >= 1
    assert np.median(facts["label_coverage"]) == pytest.approx(0.6, abs=0.01)
    assert np.median(facts["missing_rate"]) == pytest.approx(0.02, abs=0.001)
    assert np.median(facts["freshness_h"]) == pytest.approx(12, rel=0.02)
    for name in ("label_coverage", "missing_rate"):
        assert 0 <= columns(facts)[name].min() <= columns(facts)[name].max() <= 1


def test_devices_are_metered_as_stated_by_day_and_by_night() -> None:
    by_hour = FLEET.telemetry(ALL, at(14.5))["metered"]
    nightly = FLEET.night_length < DAY_MS // NIGHT_UNIT_MS
    assert by_hour[nightly].mean() == pytest.approx(0.35, abs=0.01), "nobody's night is at half past two"
    assert by_hour[~nightly].mean() == pytest.approx(0.05, abs=0.01)


def test_a_battery_fills_by_night_and_falls_by_day() -> None:
    device = np.flatnonzero(FLEET.night_length < DAY_MS // NIGHT_UNIT_MS)[:1]
    dusk = int(FLEET.night_begin[device[0]]) * NIGHT_UNIT_MS
    length = int(FLEET.night_length[device[0]]) * NIGHT_UNIT_MS
    low = float(FLEET.telemetry(device, np.array([dusk]))["battery"][0])
    night = [dusk + length * part // 10 for part in range(10)]
    facts = FLEET.telemetry(np.repeat(device, 10), np.array(night))
    assert facts["charging"].tolist() == [1] * 10
    assert facts["battery"][6:] == pytest.approx(np.ones(4)), "full after six tenths of the night"
    assert facts["battery"][3] == pytest.approx(low + (1 - low) / 2, abs=0.01), "half way after half of that"
    day = np.arange(dusk + length, dusk + DAY_MS, HOUR_MS // 2)
    facts = FLEET.telemetry(np.repeat(device, len(day)), day)
    untopped = facts["battery"][facts["charging"] == 0]
    assert np.all(np.diff(untopped) < 0)
    assert low - 0.01 <= untopped.min() < untopped.max() <= 1


def test_a_device_that_is_always_there_is_plugged_in() -> None:
    always = np.flatnonzero(FLEET.night_length == DAY_MS // NIGHT_UNIT_MS)
    facts = FLEET.telemetry(always, np.full(len(always), 14 * HOUR_MS))
    assert (facts["battery"].min(), facts["charging"].min()) == (1.0, 1)


def test_momentary_facts_are_functions_of_device_and_moment() -> None:
    devices, moments = np.array([5, 77, 5, 1_234]), np.array([10, 3 * HOUR_MS, 10, 90 * HOUR_MS])
    whole = columns(FLEET.telemetry(devices, moments))
    for place in range(4):
        single = columns(FLEET.telemetry(devices[place : place + 1], moments[place : place + 1]))
        assert {name: column[0] for name, column in single.items()} == {
            name: column[place] for name, column in whole.items()
        }


def test_every_column_is_compact() -> None:
    assert RECORD.itemsize == 52
    facts = columns(FLEET.telemetry(ALL[:3], ALL[:3]))
    types = {name: column.dtype.name for name, column in facts.items()}
    assert {name for name, kind in types.items() if kind == "int8"} == {"charging", "metered"}
    assert set(types.values()) == {"int8", "float32"}
    kinds = [column.dtype.name for column in columns(FLEET.data_facts(ALL[:3])).values()]
    assert kinds == ["int32", "float32", "float32", "float32"]
    assert (FLEET.class_of.dtype.name, FLEET.region.dtype.name) == ("int16", "int8")


def test_a_seed_gives_its_fleet_and_a_smaller_fleet_begins_a_larger_one() -> None:
    fleets = [SimFleet(count, TERMS, seed) for count, seed in ((500, 3), (500, 3), (900, 3), (500, 4))]
    facts = [each.data_facts(ALL[:500])["label_coverage"].tolist() for each in fleets]
    assert facts[0] == facts[1] == facts[2] != facts[3]
    assert np.array_equal(fleets[0].night_begin, fleets[2].night_begin[:500])


def test_work_takes_the_bytes_and_the_examples() -> None:
    """1 MB at 2 MB/s, 10 of 40 examples twice at 0.25 s, 3 MB at 1 MB/s: 0.5 + 5 + 3 = 8.5 s."""
    row = Capacity(
        examples=np.array([40], np.int32),
        seconds_per_example=np.array([0.25], np.float32),
        download_mb_s=np.array([2.0], np.float32),
        upload_mb_s=np.array([1.0], np.float32),
        platform_of=np.zeros(1, np.int16),
        platforms=(("linux", "riscv64", 512),),
    )
    fleet = SimFleet(2, TERMS, 1, row)
    load = Workload(download_bytes=MEGABYTE, upload_bytes=3 * MEGABYTE, epochs=2, examples_max=10)
    median, slow = fleet.work_ms(np.arange(2), np.array([0.5, 0.9]), load).tolist()
    assert median == pytest.approx(8_500, rel=0.001)
    assert slow == pytest.approx(8_500 * np.exp(0.2 * 1.28155), rel=0.001)
    dear = msgspec.structs.replace(load, cost=2.0)
    assert fleet.work_ms(np.arange(1), np.array([0.5]), dear)[0] == pytest.approx(13_500, rel=0.001)
    assert [(each.os, each.architecture, each.ram_mb) for each in fleet.capabilities()] == [("linux", "riscv64", 512)]


def test_a_class_says_what_it_can_do() -> None:
    classes = FLEET.capabilities()
    assert [each.os for each in classes] == ["linux", "ios", "android", "android", "android"]
    assert [each.ram_mb for each in classes] == [16_384, 6_144, 8_192, 4_096, 2_048]
    assert classes[2].runtimes == {"executorch": "1.0"}
    assert classes[1].accelerator == "neural-engine"


def test_availability_swings_fourfold() -> None:
    diurnal = availability_of("diurnal", FLEET, 11)
    by_hour = [share_there(diurnal, ALL, hour * HOUR_MS // 2) for hour in range(48)]
    assert max(by_hour) / min(by_hour) == pytest.approx(4, abs=0.3)
    assert by_hour.index(max(by_hour)) in range(2, 10), "in the small hours"


def test_nights_begin_later_in_the_west() -> None:
    begins = (FLEET.night_begin.astype(np.int64) * NIGHT_UNIT_MS / HOUR_MS + 12) % 24
    east, central, west = (float(np.mean(begins[FLEET.region == each])) for each in range(3))
    assert (central - east, west - east) == pytest.approx((1.0, 3.0), abs=0.05)


def test_the_swing_is_solved_for_and_refused_where_it_cannot_be() -> None:
    assert 0.2 < always_share(TERMS) < 0.3
    assert always_share(msgspec.structs.replace(TERMS, swing=1.0)) == pytest.approx(1.0)
    around = tuple(Region(str(phase), phase, 1 / 24) for phase in range(24))
    with pytest.raises(OperatorFault, match="leave less"):
        SimFleet(1, msgspec.structs.replace(TERMS, regions=around), 1)


def test_terms_that_contradict_themselves_are_refused() -> None:
    half = (Platform(os="a", architecture="b", ram_mb=1, cores=1, share=0.5, drop_out=0.1),)
    for wrong in ({"platforms": half}, {"compute_class_correlation": 1.5}, {"compute_p90_p10": 0.5}):
        with pytest.raises(OperatorFault):
            SimFleet(1, msgspec.structs.replace(TERMS, **wrong), 1)
