"""Devices that lose lease after lease are left alone for longer and longer, by hand; whoever is mended is back."""

from collections.abc import Mapping

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from podium.core.rows import PAST_HOPE, LeaseRow
from podium.core.selection.losses import Losses
from tests.support.core_drive import Drive
from tests.support.core_made import task
from tests.support.explain_cases import reporting

STALL_MS, LONGEST_MS = 1_000, 10_000
AT = np.array([3])


def ended(at_ms: int, state: str, reason: str = "") -> LeaseRow:
    """A lease that ended so."""
    drive = reporting(2)
    return replace(drive.leased("r.1.1"), state=state, reason=reason, ended_ms=at_ms)


def until(losses: Losses) -> int:
    """Until when device 3 is left alone."""
    return int(losses.free_ms(AT)[0])


def resting(losses: Losses, devices: list[int], at_ms: NDArray[np.int64]) -> list[bool]:
    """Whether each of `devices` is left alone then."""
    found = losses.resting(np.array(devices), at_ms)
    assert found is not None
    return [bool(each) for each in found]


def test_the_rest_doubles_with_each_loss_in_a_row() -> None:
    losses, row = Losses(), ended(0, "LAPSED")
    told = []
    for number in range(60):
        losses.take(3, replace(row, ended_ms=100_000 * number), STALL_MS, LONGEST_MS)
        told.append(until(losses) - 100_000 * number)
    assert told[:7] == [-1, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000], "one is chance; no rest is longer than 10 s"
    assert told[-1] == 10_000 and losses.in_a_row[3] == 40
    at = 100_000 * 59 + np.array([9_999, 10_000])
    assert resting(losses, [3, 3], at) == [True, False]
    assert losses.resting(np.array([15, 99]), at) is None, "nothing is known of these"
    assert losses.resting(AT, at[1:]) is None, "it was the last one"
    losses.take(99, row, STALL_MS, LONGEST_MS)
    assert resting(losses, [3, 99, 100], at[[0, 0, 0]]) == [True, False, False]
    assert losses.free_ms(np.array([4, 99])).tolist() == [-1, -1]
    losses.take(3, ended(9_000_000, "ACCEPTED"), STALL_MS, LONGEST_MS)
    assert (until(losses), losses.in_a_row[3]) == (-1, 0), "an accepted update clears all of it"


@pytest.mark.parametrize(
    ("end", "counts"),
    [
        (("LAPSED", "stall"), True),
        (("LAPSED", "offer"), True),
        (("FAILED", "plan-raised"), True),
        (("REFUSED", "not-finite"), True),
        (("SUPERSEDED", PAST_HOPE), True),
        (("SUPERSEDED", "round-closed"), False),
        (("DECLINED", "battery"), False),
        (("INCOMPATIBLE", ""), False),
        (("REVOKED", "device-cordoned"), False),
    ],
)
def test_what_is_a_loss(end: tuple[str, str], counts: bool) -> None:
    losses = Losses()
    for at_ms in (0, 5_000):
        losses.take(3, ended(at_ms, *end), STALL_MS, LONGEST_MS)
    assert until(losses) == (6_000 if counts else -1)
    assert losses.in_a_row[3] == (2 if counts else 0)


def lost(drive: Drive, terms: Mapping[str, str]) -> None:
    """Device 0 gets a lease and fails."""
    drive.fail(drive.state.live_lease.get(0) or drive.lease(0), **terms)


def test_a_device_that_fails_again_and_again_is_told_when_it_is_tried_again() -> None:
    drive = reporting(3, stall=10_000, report_deadline=900_000)
    lost(drive, {})
    lost(drive, {})
    (told,) = drive.check_in(0)
    assert (told.reason, told.window_ms) == ("backoff", 10_000)
    drive.wait(9_999)
    assert drive.check_in(0)[0].reason == "backoff"
    drive.reload()
    drive.open(0)
    assert drive.check_in(0)[0].reason == "backoff", "its leases are remembered"
    drive.wait(1)
    drive.accept(drive.lease(0))


def test_another_run_begins_anew_and_a_run_that_is_over_is_forgotten() -> None:
    drive = reporting(3)
    lost(drive, {})
    lost(drive, {})
    assert drive.check_in(0)[0].reason == "backoff"
    drive.begin(task(goal=1, over=1.0), run="other")
    assert drive.check_in(0)[0].reason == "reserved"
    drive.stop()
    assert list(drive.state.losses) == ["other"]
