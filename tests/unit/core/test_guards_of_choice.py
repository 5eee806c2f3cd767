"""Guards that mutants of budgets, pacing and adapting rounds got past: held here, each by numbers derived by hand."""

import numpy as np
import pytest
from msgspec.structs import replace

from podium.core.pacing.adapt import outlook
from podium.core.pacing.windows import PaceView, longest_ms, windows
from podium.core.rounds import adapting
from podium.core.rows import LeaseRow
from podium.core.selection.budgets import Spent
from podium.tasks.task import Budgets
from podium.wire.limits import Limits
from tests.support.explain_cases import forming, reporting
from tests.support.fleet_stories import learned_round

HOUR_MS = 3_600_000


def held_for(ms: int, state: str = "ACCEPTED", upload_bytes: int = 8) -> LeaseRow:
    """A lease that was granted at 1,000 and held from 2,000 on, for so long."""
    drive = reporting(2)
    row = drive.leased("r.1.1")
    end = 2_000 + ms
    reported = end if state == "ACCEPTED" else -1
    return replace(
        row,
        state=state,
        granted_ms=1_000,
        held_ms=2_000,
        reported_ms=reported,
        ended_ms=end + 50,
        upload_bytes=upload_bytes,
    )


def over(spent: Spent, devices: int, **bounds: float) -> list[int]:
    """The devices below `devices` that have nothing left of `bounds`."""
    budgets, every = replace(Budgets(), **bounds), np.arange(devices)
    return np.flatnonzero(spent.over(budgets, every, np.full(devices, 5_000), 0)).tolist()


def test_what_is_spent_is_kept_as_the_fleet_grows() -> None:
    spent, row = Spent(), held_for(HOUR_MS)
    for device in (0, 15, 16, 40, 200):
        spent.take(device, row, None, 100)
        assert device in over(spent, device + 1, trainings_per_day=1)
    known = [0, 15, 16, 40, 200]
    assert over(spent, 500, trainings_per_day=1) == known
    assert over(spent, 500, bytes_per_month=107) == known and over(spent, 500, bytes_per_month=108) == []
    assert over(spent, 500, energy_wh_per_day=5.0) == known and over(spent, 500, energy_wh_per_day=5.001) == []


def test_each_budget_holds_beside_the_others() -> None:
    spent = Spent()
    spent.take(0, held_for(1), None, 0)
    spent.take(1, held_for(HOUR_MS, upload_bytes=0), None, 0)
    spent.take(1, held_for(HOUR_MS, upload_bytes=0), None, 0)
    spent.take(2, held_for(1, upload_bytes=1_000), None, 0)
    assert over(spent, 3, trainings_per_day=2, energy_wh_per_day=99, bytes_per_month=9_999) == [1]
    assert over(spent, 3, trainings_per_day=9, energy_wh_per_day=10, bytes_per_month=9_999) == [1]
    assert over(spent, 3, trainings_per_day=2, energy_wh_per_day=99, bytes_per_month=999) == [1, 2]


def test_a_lease_that_was_lost_costs_its_time_too_and_one_at_work_none_yet() -> None:
    spent = Spent()
    spent.take(0, held_for(HOUR_MS, "LAPSED"), None, 0)
    spent.take(1, held_for(HOUR_MS), None, 0)
    assert over(spent, 2, energy_wh_per_day=5.0) == [0, 1]
    # until its end of 50 ms later, not until a report that never came; a report ends the work, whatever follows
    assert over(spent, 2, energy_wh_per_day=5.0 + 0.00006) == [0]
    spent.take(2, replace(held_for(0, "HELD"), ended_ms=-1), None, 0)
    assert over(spent, 3, energy_wh_per_day=1e-9) == [0, 1]


def view(awake: float, **terms: float) -> PaceView:
    """A population of which so many are awake."""
    return replace(PaceView(awake=awake, low=awake, high=awake, learned=False, seats=10), **terms)


@pytest.mark.parametrize("pace", [view(100), view(100, queue=9_000), view(100_000), view(100_000, rate_per_s=60_000)])
def test_the_longest_window_is_one_that_devices_are_told(pace: PaceView) -> None:
    limits, devices = Limits(), np.arange(20_000)
    told = windows(limits, pace, devices, np.full(20_000, 1_000_000), np.zeros(20_000, np.bool_))[1]
    longest = longest_ms(limits, pace, 1_000_000)
    assert told.max() <= longest
    if pace.awake > limits.rendezvous_devices_max:
        assert told.max() > 0.99 * longest
    else:  # whoever comes right after a moment is told nearly the whole way to the next one
        moments = np.arange(20_000) + 1_000_000
        told = windows(limits, pace, devices, moments, np.zeros(20_000, np.bool_))[1]
        assert 0.98 * longest < told.max() <= longest
    assert longest_ms(Limits(window_max_ms=5_000), view(10_000_000, rate_per_s=99_999), 0) == 5_000


def test_a_population_of_just_the_rendezvous_meets() -> None:
    most = Limits().rendezvous_devices_max
    assert longest_ms(Limits(), view(most), 0) < 10_000 < longest_ms(Limits(), view(100 * most), 0)


def test_a_round_reads_once_what_was_learned_of_its_devices() -> None:
    told = learned_round().round(6)
    assert told.loss_rate < 0 and told.hope_ms == 1_555, "select.over is a factor: no loss was asked for"
    drive = forming(6, goal=5, minimum=3, over="auto")
    drive.check_in(*range(6))
    state, seats = drive.state, drive.state.open["r", 1].seats
    assert seats is not None
    members, prior = seats.members(), drive.run().loss_rate
    rates = state.learned.reliability().loss_rate(members, state.fleet.facts_id[members].astype(np.int64), prior)
    started = adapting.with_learned(state, drive.round(1))
    assert started.loss_rate == round(float(rates.mean()), 4) > 0.0
    assert (started.hope_ms, started.quick_ms) == (-1, -1), "no duration is known"


def test_a_round_says_how_many_it_asks_and_why() -> None:
    drive = forming(6, goal=5, minimum=3, over="auto")
    row = replace(drive.round(1), loss_rate=0.2, hope_ms=0)
    # 0.8 n - 5 + 0.5 >= 0.8416 sqrt(0.16 n): at n = 6 0.3 < 0.82, at 7 1.1 >= 0.89
    assert adapting.choice(drive.state, row) == {"asked": "7 for 5", "lost": "20.0% of such leases", "hope_ms": "0"}
    assert adapting.choice(drive.state, replace(row, loss_rate=0.0, hope_ms=-1)) == {}
    narrow = forming(6, goal=5, minimum=3, over=2.0, concurrency=6)
    assert adapting.choice(narrow.state, narrow.round(1)) == {"asked": "6 for 5"}


def test_the_goal_is_open_while_just_enough_may_report() -> None:
    assert (outlook(5, 3, 3, 2), outlook(5, 3, 3, 1), outlook(5, 3, 2, 0)) == ("open", "open", "hopeless")
    assert (outlook(5, 3, 3, 0), outlook(5, 3, 4, 2), outlook(5, 3, 5, 0)) == ("short", "open", "met")


def test_a_budget_of_bytes_holds_before_anything_was_spent() -> None:
    # a base of 4 bytes, down and up again
    for bound, held in ((7, True), (8, False), (9, False), (0, False)):
        drive = forming(2, budgets={"bytes_per_month": bound, "trainings_per_day": 1})
        heard = [told.reason for told in drive.check_in(0, 1)]
        assert heard == (["budget"] * 2 if held else ["reserved"] * 2), bound
    drive = forming(1, goal=1, rounds=9, budgets={"bytes_per_month": 19})
    for reason in ("reserved", "budget"):
        assert drive.check_in(0)[0].reason == reason
        drive.wait(500)
        if reason == "reserved":
            drive.trained(0)  # 4 down and 8 up: 12, and 8 more would be 20
            drive.work()


def test_how_many_a_round_asks_is_known_while_it_is_open_and_of_one_that_started() -> None:
    drive = forming(6, goal=5, minimum=3, over="auto")
    state, row = drive.state, drive.round(1)
    assert adapting.asked(state, replace(row, loss_rate=0.2)) == 7
    drive.state.put(replace(drive.run(), loss_rate=0.2))
    assert adapting.asked(state, row) == 7, "a forming round asks by what its run lost"
    gone = replace(row, number=9, state="ABANDONED")
    assert (adapting.asked(state, gone), adapting.asked(state, replace(gone, loss_rate=0.2))) == (0, 7)
    assert adapting.asked(state, replace(gone, loss_rate=0.0)) == 5
