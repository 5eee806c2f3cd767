"""The checkers are checked: each promise, broken on purpose in a true story, is told."""

from collections.abc import Callable

import numpy as np
import pytest
from msgspec.structs import replace

from podium.core.effects import Answer, Record
from podium.core.rows import AnyRow, LeaseRow
from podium.sim.checkers import InvariantBroken, Ledger
from tests.support.core_acts import freeze, mark, pause, resume, unfreeze
from tests.support.core_drive import Drive
from tests.support.core_made import task


def story(sealed: bool = True) -> tuple[Drive, Ledger]:
    """A round of two devices of three, and a ledger that has followed it; sealed or about to be."""
    drive, ledger = Drive(), Ledger()
    drive.begin(task(goal=2, over=1.0), 3)
    drive.check_in(0, 1)
    drive.wait(1)
    for lease in drive.trained(0, 1):
        drive.judge(lease)
        ledger.told_stored.add(lease)
    if sealed:
        drive.work()
    ledger.durable(tuple(drive.records))
    return drive, ledger


def record(*rows: AnyRow, at_ms: int = 1_000) -> tuple[Record, ...]:
    """A record that says `rows`."""
    return (Record(at_ms=at_ms, tree="default", kind="made-up", subject="x", actor="plane", rows=rows),)


def test_a_true_story_holds() -> None:
    drive, ledger = story()
    ledger.sealed(("r", 1), np.array([1.0, 1.0, 0.0]), drive.state)
    ledger.reloaded(tuple(drive.folded.values()))
    ledger.ended()


@pytest.mark.parametrize(
    ("counted", "told"),
    [
        ([2.0, 1.0, 0.0], r"devices \[0\] counted \[2"),
        ([1.0, 0.0, 0.0], r"devices \[1\] counted \[0"),
        ([1.0, 1.0, 1.0], r"devices \[2\] counted \[1"),
        ([1.0, 0.5, 0.0], r"devices \[1\] counted \[0.5"),
    ],
)
def test_a_double_count_and_a_lost_update_are_told(counted: list[float], told: str) -> None:
    drive, ledger = story(sealed=False)
    with pytest.raises(InvariantBroken, match=told):
        ledger.sealed(("r", 1), np.array(counted), drive.state)


def test_two_updates_of_one_device_are_told() -> None:
    drive, ledger = story(sealed=False)
    first = ledger.rows["leases", "r.1.1"]
    assert isinstance(first, LeaseRow)
    ledger.rows["leases", "r.1.9"] = replace(first, id="r.1.9")
    with pytest.raises(InvariantBroken, match="accepted a device twice"):
        ledger.sealed(("r", 1), np.array([2.0, 1.0, 0.0]), drive.state)


def test_illegal_transitions_are_told() -> None:
    drive, ledger = story()
    with pytest.raises(InvariantBroken, match=r"r\.1\.1 went from ACCEPTED to HELD"):
        ledger.durable(record(replace(drive.leased("r.1.1"), state="HELD")))
    with pytest.raises(InvariantBroken, match="r/1 went from SEALED to REPORTING"):
        ledger.durable(record(replace(drive.round(), state="REPORTING")))
    with pytest.raises(InvariantBroken, match="r went from FINISHED to RUNNING"):
        ledger.durable(record(replace(drive.run(), state="RUNNING")))
    for row, first in (
        (replace(drive.leased("r.1.1"), id="new"), "OFFERED"),
        (replace(drive.round(), number=9), "FORMING"),
        (replace(drive.run(), id="new"), "RUNNING"),
    ):
        with pytest.raises(InvariantBroken, match=f"begins as .*, not {first}"):
            ledger.durable(record(row))


def test_a_lease_that_nobody_may_have_is_told() -> None:
    acts: tuple[tuple[Callable[[Drive], Answer], str], ...] = (
        (lambda drive: pause(drive, now=True), "granted for a paused run"),
        (freeze, "granted while frozen"),
        (lambda drive: mark(drive, ["id-d2"], "cordoned"), "kept out"),
        (lambda drive: mark(drive, ["id-d2"], "banned"), "kept out"),
    )
    for what, told in acts:
        drive, ledger = story(sealed=False)
        known = len(drive.records)
        what(drive)
        ledger.durable(tuple(drive.records[known:]))
        lease = replace(drive.leased("r.1.1"), id="r.1.3", device="id-d2", state="OFFERED")
        with pytest.raises(InvariantBroken, match=told):
            ledger.durable(record(lease))


def test_time_that_a_paused_run_loses_is_told() -> None:
    drive, ledger = story(sealed=False)
    known = len(drive.records)
    pause(drive, now=True)
    drive.wait(700)
    resume(drive)
    paused, *between, resumed = drive.records[known:]
    assert not between
    ledger.durable((paused,))
    row = drive.run()
    for wrong in (replace(row, deadline_ms=row.deadline_ms - 1), replace(row, deadline_ms=row.deadline_ms + 1)):
        with pytest.raises(InvariantBroken, match=r"stood still for 700 ms and is given back (699|701)"):
            ledger.durable(record(wrong, at_ms=resumed.at_ms))
    ledger.durable((resumed,))


def test_what_a_frozen_plane_may_not_do_is_told() -> None:
    drive, ledger = Drive(), Ledger()
    drive.begin(task(goal=2, over=1.0), 2)
    freeze(drive)
    ledger.durable(tuple(drive.records))
    row, run = drive.round(), drive.run()
    ledger.durable(record(replace(row, manifest="m"), replace(run, loss_rate=0.2)))
    for wrong, told in (
        (replace(row, state="REPORTING"), "r/1 starts while frozen"),
        (replace(row, state="ABANDONED", reason="cohort-short"), "r/1 gives up forming while frozen"),
        (replace(run, abandoned_in_row=1), "run r is charged with what it lost while frozen"),
    ):
        with pytest.raises(InvariantBroken, match=told):
            ledger.durable(record(wrong))
    unfreeze(drive)
    ledger.durable((replace(drive.records[-1], at_ms=1_000),))
    ledger.durable(record(replace(row, state="ABANDONED", reason="cohort-short"), replace(run, abandoned_in_row=1)))


def test_time_that_falls_is_told() -> None:
    _, ledger = story()
    ledger.durable(record(at_ms=5_000))
    with pytest.raises(InvariantBroken, match="made-up at 4999 after 5000"):
        ledger.durable(record(at_ms=4_999))


def test_a_missing_another_and_a_changed_row_are_told() -> None:
    drive, ledger = story()
    rows = list(drive.folded.values())
    with pytest.raises(InvariantBroken, match="loaded rows differ"):
        ledger.reloaded(tuple(rows[1:]))
    with pytest.raises(InvariantBroken, match="loaded rows differ"):
        ledger.reloaded((*rows, replace(drive.leased("r.1.1"), id="r.1.9")))
    with pytest.raises(InvariantBroken, match="the history folds to"):
        ledger.reloaded(tuple(replace(row, weight=9.0) if isinstance(row, LeaseRow) else row for row in rows))


def test_what_is_left_running_is_told() -> None:
    drive, _ = story()
    for row, told in (
        (replace(drive.run(), state="RUNNING"), "run r is still running"),
        (replace(drive.round(), state="AGGREGATING"), "round r/1 is left AGGREGATING"),
        (replace(drive.leased("r.1.2"), state="HELD"), r"lease r\.1\.2 is left HELD"),
        (replace(drive.leased("r.1.2"), state="REPORTED"), r"lease r\.1\.2 is left REPORTED"),
    ):
        _, other = story()
        other.counted["r", 1] = np.array([1.0, 0.0 if "lease" in told else 1.0, 0.0])
        other.rows[("leases" if "lease" in told else "rounds" if "round" in told else "runs"), row.key()] = row
        with pytest.raises(InvariantBroken, match=told):
            other.ended()


def test_a_sealed_round_needs_its_sum() -> None:
    _, ledger = story()
    with pytest.raises(InvariantBroken, match="sealed without a sum"):
        ledger.ended()
    ledger.counted["r", 1] = np.array([1.0, 0.0, 0.0])
    with pytest.raises(InvariantBroken, match=r"round r/1 counts 1\.0"):
        ledger.ended()


def test_an_update_told_stored_has_its_place() -> None:
    drive, ledger = story()
    ledger.counted["r", 1] = np.array([1.0, 1.0, 0.0])
    ledger.told_stored.add("r.1.9")
    with pytest.raises(InvariantBroken, match=r"r\.1\.9 was told stored and is gone"):
        ledger.ended()
    ledger.told_stored = {"r.1.1"}
    ledger.rows["leases", "r.1.1"] = replace(drive.leased("r.1.1"), state="SUPERSEDED")
    ledger.counted["r", 1] = np.array([0.0, 1.0, 0.0])
    with pytest.raises(InvariantBroken, match=r"r\.1\.1 was told stored and is SUPERSEDED"):
        ledger.ended()
    ledger.rows["leases", "r.1.1"] = replace(drive.leased("r.1.1"), state="REFUSED", reason="not-finite")
    ledger.ended()
    ledger.rows["leases", "r.1.1"] = replace(drive.leased("r.1.1"), state="REVOKED")
    ledger.rows["rounds", "r/1"] = replace(drive.round(), state="ABANDONED", reason="key-erased")
    ledger.ended()
