"""Leases past hope: how many of their seats are filled anew, and whose pace says when they are."""

import numpy as np
import pytest

from podium.core.rounds.adapting import hope_of, open_seats
from tests.support.core_drive import Drive
from tests.support.core_made import task

BIN = 1.24
"""Quantiles of durations are right to a bin of 24 %."""


def learned(groups: dict[str, int], rounds: int, goal: int, over: float) -> Drive:
    """So many devices of each architecture, after rounds in which each took the ms that its group says; then another
    round's offers."""
    drive = Drive()
    drive.bring()
    devices = {device: ms for name, ms in groups.items() for device in drive.fleet(5, architecture=name)}
    terms = {"goal": goal, "minimum": 3, "over": over, "stall": 90_000, "report_deadline": 300_000}
    drive.submit(task(**terms, rounds=rounds + 1, deadline=36_000_000))
    drive.work()
    for _ in range(rounds):
        drive.check_in(*devices)
        drive.wait(300)
        held = [told.offer.lease for told in drive.check_in(*devices) if told.offer]
        for lease in held:
            drive.accept(lease)
        waited = 0
        for lease in sorted(held, key=lambda each: devices[drive.device_of(each)])[:goal]:
            drive.wait(devices[drive.device_of(lease)] - waited)
            waited = devices[drive.device_of(lease)]
            drive.report(lease)
        drive.work()
    drive.check_in(*devices)
    drive.wait(300)
    return drive


def test_more_silent_leases_than_updates_are_missing_are_replaced_all_the_same() -> None:
    drive = learned({"arm64": 1_000, "x86_64": 1_000}, rounds=6, goal=4, over=1.5)
    held = [told.offer.lease for told in drive.check_in(*range(10)) if told.offer]
    assert len(held) == 6
    for lease in held:
        drive.accept(lease)
    drive.wait(1_000)
    for lease in held[:3]:
        drive.report(lease)
    row = drive.round(7)
    assert row.state == "REPORTING"
    # six are at work for four; of three of them there is hope, so nothing is open
    assert open_seats(drive.state, row) == 0
    drive.wait(row.hope_ms)
    # the three that are silent are past hope, one update is missing: 1.5 leases for it, of 2 * 4 - 3 that may still be
    assert open_seats(drive.state, drive.round(7)) == 2


def test_hope_goes_by_those_that_were_chosen() -> None:
    drive = learned({"arm64": 1_000, "x86_64": 20_000}, rounds=9, goal=10, over=1.0)
    row = drive.round(10)
    fast, slow = np.arange(5), np.arange(5, 10)
    assert hope_of(drive.state, row, fast) == pytest.approx(1_500, rel=BIN - 1)
    assert hope_of(drive.state, row, slow) == pytest.approx(30_000, rel=BIN - 1)
    assert hope_of(drive.state, row, np.arange(10)) == hope_of(drive.state, row, slow)
    assert row.hope_ms == hope_of(drive.state, row, np.arange(10)), "all ten were chosen"
