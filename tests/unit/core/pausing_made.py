"""A small run whose rounds take devices 0, 1, ...: what the tests of pausing begin with."""

from tests.support.core_drive import Drive
from tests.support.core_made import task

HOUR = 3_600_000
FORM_MS, REPORT_MS, RUN_MS, STALL_MS = 20_000, 30_000, 500_000, 8_000


def forming(devices: int = 2, **terms: object) -> Drive:
    """A run whose first round is prepared and forms."""
    drive = Drive()
    times = {"form_deadline": FORM_MS, "report_deadline": REPORT_MS, "deadline": RUN_MS, "stall": STALL_MS}
    drive.begin(task(**{"goal": 2, "over": 1.0, "rounds": 3, "abandoned_max": 9, **times, **terms}), devices)
    return drive


def reporting(devices: int = 2, **terms: object) -> Drive:
    """A run whose first round has started and whose second forms."""
    drive = forming(devices, **terms)
    drive.check_in(*range(devices))
    drive.wait(1)
    assert drive.round().state == "REPORTING"
    return drive


def states(drive: Drive) -> list[str]:
    """The run's state, then its rounds'."""
    return [drive.run().state, *(row.state for _, row in sorted(drive.state.rounds.items()))]


def heard(drive: Drive, *devices: int) -> list[str]:
    """What `devices` hear to a check-in."""
    return [told.reason for told in drive.check_in(*devices)]
