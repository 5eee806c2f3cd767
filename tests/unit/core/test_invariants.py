"""check(): each invariant of the core's memory, broken on purpose, is told."""

import pytest
from msgspec.structs import replace

from podium.core.check import check
from podium.core.rows import TaskRow
from podium.wire.problems import Bug
from tests.support.core_drive import Drive
from tests.support.core_made import task


def reporting() -> Drive:
    """A round with one live and one stored lease."""
    drive = Drive()
    drive.begin(task(goal=2, over=1.0, rounds=2, concurrency=2), 2)
    drive.check_in(0, 1)
    drive.wait(1)
    drive.accept(drive.lease(0))
    drive.trained(1)
    return drive


@pytest.mark.parametrize(
    "story",
    [
        "is LOST",
        "with 0 rounds",
        "open rounds",
        "forming rounds",
        "counts",
        "made 7 leases",
        "live leases",
        "started unprepared",
        "has base",
        "is due at",
        "contribute twice",
        "but held",
        "live column",
        "while it forms",
        "while it aggregates",
    ],
)
def test_each_broken_invariant_is_told(story: str) -> None:
    drive = reporting()
    check(drive.state)
    break_it(drive, story)
    with pytest.raises(Bug, match=story):
        check(drive.state)


def break_it(drive: Drive, story: str) -> None:
    """Change the core's memory so that `story` is true."""
    state, work = drive.state, drive.state.open["r", 1]

    def alter(lease: str, **terms: object) -> None:
        state.leases[lease] = work.leases[lease] = replace(state.leases[lease], **terms)

    def alter_round(number: int, **terms: object) -> None:
        state.rounds["r", number] = replace(state.rounds["r", number], **terms)

    match story:
        case "is LOST":
            alter("r.1.1", state="LOST")
            work.count = {"LOST": 1, "REPORTED": 1}
        case "with 0 rounds":
            state.open.clear()
        case "open rounds" | "forming rounds":
            for number in (3, 4) if story == "open rounds" else (3,):
                state.put(replace(state.rounds["r", 2], number=number))
            if story == "forming rounds":
                state.open.pop(("r", 1))
        case "counts":
            work.count["HELD"] = 5
        case "made 7 leases":
            alter_round(1, leases_made=7)
        case "live leases":
            alter("r.1.2", state="HELD")
            work.count = {"HELD": 2}
            state.tasks["sha256:task-of-r"] = TaskRow(id="sha256:task-of-r", task=task(goal=2, concurrency=1))
        case "started unprepared":
            alter_round(1, key_id="")
        case "has base":
            alter("r.1.1", base="other")
        case "is due at":
            state.lease_deadlines.drop("r.1.1")
        case "contribute twice":
            alter("r.1.1", state="REPORTED", device="id-d1")
            work.count = {"HELD": 0, "REPORTED": 2}
            state.lease_deadlines.drop("r.1.1")
        case "but held":
            state.live_lease.clear()
        case "live column":
            state.fleet.live[1] = True
        case "while it forms":
            alter_round(1, state="FORMING")
            state.rounds.pop(("r", 2))
            state.open.pop(("r", 2))
        case "while it aggregates":
            alter_round(1, state="AGGREGATING")
