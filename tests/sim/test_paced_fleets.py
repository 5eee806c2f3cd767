"""Thousands of devices and the core's pacing in a closed loop: days of several kinds, herds, overload, flapping."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from podium.core.pacing.arrivals import ANCHOR_SWING
from podium.core.pacing.windows import SPAN_EDGE
from podium.sim.fleet import SimFleet, Workload
from podium.sim.fleet_terms import FleetTerms
from podium.sim.traces import AlwaysThere, Availability, availability_of
from podium.wire.limits import Limits
from tests.support.closed_loop import Loop
from tests.support.core_made import task

HOUR_MS, DAY_MS, QUARTER_MS = 3_600_000, 86_400_000, 900_000
SLICE_MS = 20_000
LOAD = Workload(download_bytes=1_000_000, upload_bytes=1_000_000, examples_max=200, epochs=1)
QUICK = FleetTerms(compute_p90_p10=4.0, seconds_per_example=0.02)
# a thousand stand for a million: the floor and the ceiling apply in full
SPREAD = Limits(checkins_easy_per_s_max=1)
WANTED_MS = int(SPREAD.window_floor_ms * ANCHOR_SWING / SPAN_EDGE)
"""The mean window of a large population of which much is wanted, while its day is not known: 23 min, so that it leaves
room for as few as there may be."""


def unpaced(there: Availability, devices: int, window_ms: int, days: int) -> NDArray[np.int64]:
    """Check-ins of each quarter hour, shape (days, 96), with one window for all."""
    everybody = np.arange(devices, dtype=np.int64)
    due = there.next_ms(everybody, np.random.default_rng(11).integers(0, window_ms, devices))
    counts = np.zeros(days * DAY_MS // QUARTER_MS, np.int64)
    for start in range(0, days * DAY_MS, SLICE_MS):
        here = np.flatnonzero(due < start + SLICE_MS)
        counts[start // QUARTER_MS] += len(here)
        due[here] = there.next_ms(here, due[here] + window_ms)
    return counts.reshape(days, -1)


def morning_trace(path: Path) -> None:
    """A file of 2,000 devices: a quarter always there, the others for five to ten hours from about nine o'clock."""
    draws = np.random.default_rng(3)
    lines = ["device,start_ms,end_ms,period_ms"]
    for number in range(2_000):
        begin = int((9.0 + draws.normal(0.0, 1.5)) * HOUR_MS)
        spans = [(begin, begin + int(draws.uniform(5.0, 10.0) * HOUR_MS))]
        if draws.random() < 0.25:
            spans = [(0, DAY_MS)]
        if spans[0][1] > DAY_MS:
            spans = [(0, spans[0][1] - DAY_MS), (begin, DAY_MS)]
        lines += [f"d{number},{start},{end},{DAY_MS}" for start, end in spans]
    path.write_text("\n".join(lines) + "\n")


def idle(loop: Loop, goal: int = 1_000) -> Loop:
    """`loop` with a run that wants so many devices all the time and finds none that fits."""
    loop.bring()
    loop.submit(task(goal=goal, requires="device.cores > 999", form_deadline=9 * DAY_MS, deadline=9 * DAY_MS))
    loop.work()
    return loop


def swing(counts: NDArray[np.int64]) -> float:
    return float(counts.max() / counts.mean())


@pytest.mark.long
@pytest.mark.parametrize(
    ("trace", "seed", "alone", "bound"),
    [("diurnal", 101, 1.9, 1.25), ("diurnal", 202, 1.9, 1.25), ("morning", 303, 1.8, 1.28), ("flat", 404, 1.0, 1.25)],
)
def test_a_large_fleet_comes_at_one_rate_every_day(
    trace: str, seed: int, alone: float, bound: float, tmp_path: Path
) -> None:
    devices, fleet = 20_000, SimFleet(20_000, FleetTerms(), seed)
    name = trace
    if trace == "morning":
        name = str(tmp_path / "morning.csv")
        morning_trace(Path(name))
    there = availability_of(name, fleet, seed)
    loop = idle(Loop(fleet, there, SPREAD, LOAD))
    loop.go(3 * DAY_MS, SLICE_MS)
    days = np.array(loop.counts).reshape(3, -1, QUARTER_MS // SLICE_MS).sum(axis=2)
    # the first time that a device comes nobody told it when
    swings = [swing(days[0][1_000_000 // QUARTER_MS + 1 :]), *map(swing, days[1:])]
    bare = swing(unpaced(there, devices, int(DAY_MS * devices / 2 / days[2].sum()), 2)[1])
    told = f"{trace}: peak to mean of three days {swings}, of one window for all {bare}"
    assert max(swings) <= bound, told
    assert max(swings[1:]) <= 1.2, told
    assert bare >= alone, told


@pytest.mark.parametrize("known_ms", [0, 4 * HOUR_MS], ids=["a plane that starts", "an outage of the network"])
def test_a_herd_is_apart_after_one_window(known_ms: int) -> None:
    devices = 1_500
    loop = idle(Loop(SimFleet(devices, QUICK, 21), AlwaysThere(), SPREAD, LOAD))
    loop.go(known_ms, SLICE_MS)
    back_ms = known_ms + 2 * HOUR_MS if known_ms else 0
    loop.due[:] = back_ms + loop.chance.integers(0, 1_000, devices)
    loop.go(back_ms + 3 * HOUR_MS, SLICE_MS)
    counts = np.array(loop.counts[back_ms // SLICE_MS :])
    assert counts[0] == devices, "all at once"
    # 1,500 in a mean window of 23.2 min are 65 a minute
    paced = devices * 60_000 / WANTED_MS
    minutes = counts[3:].reshape(-1)[: len(counts[3:]) // 3 * 3].reshape(-1, 3).sum(axis=1)
    smooth = np.convolve(minutes, np.ones(5) / 5, "valid")
    assert smooth.max() <= 1.5 * paced, f"five minutes saw {smooth.max()} a minute, paced are {paced}"
    assert minutes[60:].mean() == pytest.approx(paced, rel=0.1)


def test_more_than_the_plane_takes_comes_down_to_its_limit() -> None:
    """Four thousand devices, two a second at most: they come at that rate although the usual ceiling would be 4.4."""
    devices, limits = 4_000, Limits(checkins_easy_per_s_max=1, checkins_per_s_max=2, window_ceiling_ms=900_000)
    loop = idle(Loop(SimFleet(devices, QUICK, 22), AlwaysThere(), limits, LOAD))
    loop.due[:] = loop.chance.integers(0, 400_000, devices)
    loop.go(8 * HOUR_MS, SLICE_MS)
    rates = np.array(loop.counts).reshape(-1, QUARTER_MS // SLICE_MS).sum(axis=1) * 1000 / QUARTER_MS
    assert rates[0] > 4.0, "all of them, and some again"
    assert rates[12:].max() <= 2 * 1.15, f"{rates.round(2).tolist()}"
    assert rates[12:].mean() == pytest.approx(2.0, rel=0.1)


def test_a_queue_that_fills_pushes_windows_out() -> None:
    devices = 2_000
    loop = idle(Loop(SimFleet(devices, QUICK, 23), AlwaysThere(), SPREAD, LOAD))
    loop.go(2 * HOUR_MS, SLICE_MS)
    before = sum(loop.counts[-90:])
    loop.queue = SPREAD.requests_waiting_max  # full: fourfold
    loop.go(5 * HOUR_MS, SLICE_MS)
    full = sum(loop.counts[-180:]) / 2
    assert full == pytest.approx(before / 4, rel=0.2)
    loop.queue = 0
    loop.go(9 * HOUR_MS, SLICE_MS)
    assert sum(loop.counts[-90:]) == pytest.approx(before, rel=0.2), "as before once it is empty"


class Flapping(Loop):
    """Some devices come every two seconds whatever they are told, and fail every lease at once."""

    flapping: int

    def go(self, until_ms: int, slice_ms: int) -> None:
        for end in range(self.now_ms + slice_ms, until_ms + 1, slice_ms):
            idle_now = np.flatnonzero(self.due[: self.flapping] > end + 2_000)
            held = [number for number in idle_now if not self.state.fleet.live[number]]
            self.due[held] = self.now_ms + 2_000
            super().go(end, slice_ms)

    def fails(self, device: int) -> bool:
        """See `Loop`."""
        return device < self.flapping


def flapped(flapping: int, rounds: int = 8, mended: int = 0) -> Flapping:
    """A run of so many rounds of 100 among 1,200 devices, of which so many flap, to its end.

    `mended`: once so many rounds are sealed, none flaps any more; 0: that never happens.
    """
    loop = Flapping(SimFleet(1_200, QUICK, 24), AlwaysThere(), Limits(checkins_easy_per_s_max=1_000), LOAD)
    loop.flapping = flapping
    loop.bring()
    terms = {"goal": 100, "minimum": 90, "rounds": rounds, "report_deadline": 300_000, "stall": 60_000}
    loop.submit(task(**terms, over="auto", deadline=DAY_MS, abandoned_max=3))
    loop.work()
    while loop.run().state == "RUNNING":
        loop.go(loop.now_ms + 10_000, 1_000)
        if 0 < mended <= loop.run().rounds_sealed:
            loop.flapping = 0
    return loop


def test_flapping_devices_starve_nobody() -> None:
    calm, loop = flapped(0), flapped(60)
    for each in (calm, loop):
        assert each.run().rounds_sealed == 8
    theirs = [lease for lease in loop.state.leases.values() if loop.state.holder(lease) < loop.flapping]
    assert all(lease.state != "ACCEPTED" for lease in theirs)
    assert loop.run().ended_ms <= 1.5 * calm.run().ended_ms, f"{loop.run().ended_ms} ms, {calm.run().ended_ms} without"


def share(loop: Flapping, flapping: int, rounds: range) -> float:
    """Of the leases of `rounds` the share that the first so many devices were given."""
    holders = [loop.state.holder(lease) for lease in loop.state.leases.values() if lease.round in rounds]
    return float(np.mean(np.array(holders) < flapping))


@pytest.mark.parametrize("flapping", [60, 120])
def test_flapping_devices_get_no_more_than_their_share_of_the_leases_once_known(flapping: int) -> None:
    """They come ten times as often as the others, and got six times their share when nobody heeded that."""
    loop = flapped(flapping, rounds=40)
    told = [share(loop, flapping, rounds) for rounds in (range(1, 41), range(1, 11), range(11, 41))]
    assert told[0] <= 1.5 * flapping / 1_200, told
    assert told[2] <= flapping / 1_200, told
    assert loop.run().rounds_sealed == 40


def test_flapping_devices_that_are_mended_come_back() -> None:
    loop = flapped(120, rounds=60, mended=20)
    told = [share(loop, 120, rounds) for rounds in (range(11, 21), range(41, 61))]
    assert told[1] >= 0.07, f"a tenth of the fleet, and of the leases {told}"
    back = {loop.state.holder(lease) for lease in loop.state.leases.values() if lease.state == "ACCEPTED"}
    starved, others = (sum(device not in back for device in some) for some in (range(120), range(120, 1_200)))
    assert starved / 120 <= others / 1_080, f"{starved} of them never took part, {others} of the others"


def test_a_mass_drop_out_costs_one_round_at_most_and_no_herd() -> None:
    devices = 1_500
    loop = Loop(SimFleet(devices, QUICK, 25), AlwaysThere(), Limits(checkins_easy_per_s_max=100), LOAD)
    loop.due[:] = loop.chance.integers(0, 10_000, devices)
    loop.bring()
    terms = {"goal": 300, "minimum": 200, "rounds": 6, "report_deadline": 600_000, "stall": 300_000}
    loop.submit(task(**terms, over="auto", deadline=DAY_MS, abandoned_max=3))
    loop.work()
    while loop.run().rounds_sealed < 2:
        loop.go(loop.now_ms + 1_000, 1_000)
    while len(loop.state.live_lease) < 100 and loop.run().state == "RUNNING":
        loop.go(loop.now_ms + 1_000, 1_000)
    calm = np.mean(loop.counts[-60:])
    lost = loop.drop_out(0.6)
    assert lost >= 50
    dropped = len(loop.counts)
    while loop.run().state == "RUNNING":
        loop.go(loop.now_ms + 1_000, 1_000)
    assert loop.run().rounds_sealed == 6
    assert sum(row.state == "ABANDONED" for row in loop.state.rounds.values()) <= 1
    after = np.convolve(loop.counts[dropped:], np.ones(5) / 5, "valid")
    assert after.max() <= 3.0 * calm, f"five seconds saw {after.max()} a second, {calm} before"
