"""What a plane's history tells a forecast: who fits now and why others do not, how past rounds went."""

import math

import numpy as np

from podium.core.selection.eligible import Eligibility
from podium.core.views.prospect import SAMPLE, prospect, sampled
from podium.tasks.forecast import Evidence, forecast
from podium.tasks.task import Task
from tests.support.core_acts import mark
from tests.support.core_drive import Drive
from tests.support.core_made import task
from tests.support.explain_cases import forming, reporting

NEVER_SEEN = [math.nan] * 24


def of(drive: Drive, terms: Task, hours: list[float] = NEVER_SEEN) -> Evidence:
    """The evidence for `terms` now."""
    return prospect(drive.state, terms, Eligibility(terms), hours, drive.now_ms)


def test_each_device_counts_once_with_what_keeps_it() -> None:
    drive = forming(2)
    drive.fleet(3, plans={})
    drive.check_in(0, 1, facts={"charging": 0.0})
    mark(drive, ["id-d1"], "cordoned")
    told = of(drive, task(goal=2, when="device.charging"))
    assert (told.devices, told.sampled, told.fit, told.now) == (5, 5, 1, 0)
    assert told.held == {"no such plan": 3, "cordoned or banned": 1, "false: device.charging": 1}
    drive.check_in(0, facts={"charging": 1.0})
    assert of(drive, task(goal=2, when="device.charging")).now == 1
    drive.wait(31_000)
    gone = of(drive, task(goal=2))
    assert (gone.fit, gone.now, gone.held["not connected"]) == (1, 0, 1)


def test_devices_of_other_regions_are_counted_by_that() -> None:
    drive = forming(2)
    drive.check_in(0, 1)
    told = of(drive, task(goal=2, regions=["eu"]))
    assert (told.fit, told.held) == (0, {"in none of select.regions": 2})


def test_what_was_not_seen_is_said_to_be_assumed() -> None:
    terms = task(goal=2, form_deadline=60_000, report_deadline=30_000)
    told = of(forming(2), terms)
    assert (told.loss_rate, told.round_ms, told.lease_ms) == (0.1, 90_000, 30_000)
    assert [each.split(":")[0] for each in told.assumed] == [
        "0 leases of this plan have ended",
        "no round of this plan was sealed",
        "the watts go by a device's system and architecture",
        "23 of 24 hours were not seen since the plane started",
    ]
    assert (told.rounds_seen, told.resting, told.updates) == (0, 0, 2.0)
    assert told.leases == 3.0  # two, of which a tenth is lost: over-selected


def test_rounds_and_losses_of_the_past_stand_for_those_to_come() -> None:
    drive = reporting(2, rounds=30)
    for _ in range(24):
        for lease in list(drive.state.live_lease.values()):
            drive.report(lease)
        drive.work()
        drive.check_in(0, 1)
        drive.wait(500)
        for lease in list(drive.state.live_lease.values()):
            drive.accept(lease)
    sealed = [row for row in drive.state.rounds.values() if row.state == "SEALED"]
    told = of(drive, task(goal=2))
    assert len(sealed) >= 10 and told.loss_rate == 0.0
    assert (told.rounds_seen, told.leases, told.updates) == (len(sealed), 2.0, 2.0)
    wider = of(drive, task(goal=6))
    assert (wider.leases, wider.updates) == (6.0, 6.0), "as many for each update"
    # rounds overlap, so each counts from the end of the one before it
    span = max(row.ended_ms for row in sealed) - min(row.opened_ms for row in sealed)
    assert told.round_ms == span // len(sealed)


def test_who_rests_because_it_took_part_is_there() -> None:
    terms: dict[str, object] = {"goal": 2, "separation": 3_600_000}
    drive = reporting(3, **terms)
    for lease in list(drive.state.live_lease.values()):
        drive.report(lease)
    drive.work()
    drive.wait(1_800_000)  # nobody came meanwhile: two were told to rest, the third is gone
    told = of(drive, task(**terms))
    assert (told.fit, told.now, told.resting) == (3, 2, 2)
    assert told.held == {"not connected": 1}
    pace = forecast(task(**terms), seen=told).expected
    assert pace is not None and pace.rounds_per_hour[0] == 1.0  # two devices, each once an hour, two a round
    drive.wait(5_400_000)
    gone = of(drive, task(**terms))
    assert (gone.now, gone.resting) == (0, 0), "long after their rest they are gone too"


def test_the_day_is_that_of_devices_online_scaled_to_those_that_can_train() -> None:
    drive = forming(4)
    drive.fleet(4, plans={})
    drive.check_in(0, 1, 2, 3)
    hours = [math.nan] * 24
    hour = drive.now_ms // 3_600_000 % 24
    hours[(hour + 1) % 24], hours[(hour + 2) % 24] = 4.0, 80.0
    told = of(drive, task(goal=2), hours)
    # 8 online now, of which 4 can train: half of those online; never more than fit at all
    assert (told.hour, told.hours[:4]) == (hour, [4, 2, 4, -1])


def test_beyond_the_sample_keyed_draws_stand_for_all() -> None:
    assert sampled(10).tolist() == list(range(10))
    drawn = sampled(10 * SAMPLE)
    assert len(drawn) == SAMPLE and drawn.max() < 10 * SAMPLE and np.array_equal(drawn, sampled(10 * SAMPLE))
    assert abs(drawn.mean() / (5 * SAMPLE) - 1) < 0.02
