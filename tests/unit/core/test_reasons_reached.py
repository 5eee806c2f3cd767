"""Every reason that a check-in may be answered with is met: a situation for each code of core/selection/reasons.py.

The device of a situation checks in once more and must hear just that; what it tells then is beside it.
"""

from collections.abc import Callable

import pytest

from podium.core.selection.reasons import REASONS
from tests.support.core_acts import freeze, mark, pause
from tests.support.core_drive import Drive
from tests.support.explain_cases import failing, forming, full, idle, reporting, resting, spent_alone, without_privacy


def after(drive: Drive, act: Callable[[Drive], object]) -> Drive:
    """`drive` once somebody did `act`."""
    act(drive)
    return drive


def offered() -> Drive:
    """A seat is kept for device 0, and its round has started."""
    drive = forming(2)
    drive.check_in(0, 1)
    drive.wait(500)
    return drive


def forgotten() -> Drive:
    """The plane was restarted, and device 0 has opened no session since."""
    drive = forming(2)
    drive.reload()
    return drive


SITUATIONS: dict[str, tuple[Callable[[], Drive], dict[str, float]]] = {
    "offered": (offered, {}),
    "reserved": (lambda: forming(2), {}),
    "no-task": (idle, {}),
    "full": (full, {}),
    "banned": (lambda: after(forming(2), lambda drive: mark(drive, ["id-d0"], "banned")), {}),
    "kind": (lambda: forming(2, plan="another:plan"), {}),
    "dataset": (lambda: forming(2, datasets=["hearts"]), {}),
    "requires": (lambda: forming(2, requires="device.site == 'north'"), {}),
    "when": (lambda: forming(2, when="device.charging"), {"charging": 0.0}),
    "unknown-fact": (lambda: forming(2, when="device.charging"), {}),
    "separation": (resting, {}),
    "round-done": (spent_alone, {}),
    "epoch": (forgotten, {}),
    "cordoned": (lambda: after(forming(2), lambda drive: mark(drive, ["id-d0"], "cordoned")), {}),
    "paused": (lambda: after(forming(2), pause), {}),
    "frozen": (lambda: after(forming(2), freeze), {}),
    "spent": (lambda: resting(separation=0, fairness={"times_max": 1}), {}),
    "budget": (lambda: resting(separation=0, budgets={"trainings_per_day": 1}), {}),
    "region": (lambda: forming(2, regions=["eu"]), {}),
    "privacy": (without_privacy, {}),
    "backoff": (lambda: failing(reporting(2), 2), {}),
}


@pytest.mark.parametrize("reason", REASONS)
def test_a_situation_for_each_reason(reason: str) -> None:
    make, facts = SITUATIONS[reason]
    drive = make()
    (told,) = drive.check_in(0, facts=facts)
    assert told.reason == reason
    assert told.window_ms > 0
    assert (told.offer is not None) == (reason == "offered")


def test_what_is_heard_again_while_at_work_is_the_same_offer() -> None:
    drive = reporting()
    first, again = (drive.check_in(0)[0].offer for _ in range(2))
    assert first is not None and again is not None and first.lease == again.lease


def test_no_reason_is_without_its_situation() -> None:
    assert SITUATIONS.keys() == set(REASONS)
