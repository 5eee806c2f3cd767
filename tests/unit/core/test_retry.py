"""A retry: a new run from where a run that is over, but not finished, came to."""

import pytest

from podium.core.events import AggregateFailed
from tests.support.core_acts import pause
from tests.support.core_drive import Drive
from tests.support.core_made import task
from tests.unit.core.pausing_made import RUN_MS, forming, reporting


def over(state: str) -> Drive:
    """A run that made one version and then came to `state`."""
    drive = reporting(abandoned_max=1)
    drive.trained(0, 1)
    drive.work()
    if state == "STOPPED":
        drive.stop()
    elif state == "TIMED_OUT":
        drive.check_in(0, 1)
        drive.wait(1)
        for lease in drive.trained(0, 1):
            drive.judge(lease)
        drive.jobs.clear()
        drive.wait(RUN_MS)
    else:
        drive.feed(AggregateFailed(at_ms=drive.now_ms, run="r", round=2, reason="key-erased"))
    assert (drive.run().state, drive.run().base) == (state, "sha256:r.1")
    return drive


def again(drive: Drive, run: str = "r2", retry_of: str = "r", base: str = "sha256:r.1") -> str:
    """Retry; the code that it was refused with, or nothing."""
    heard = drive.submit(task(goal=2, over=1.0, deadline=RUN_MS), run, base=base, retry_of=retry_of)
    assert bool(heard.word) != bool(heard.code)
    return heard.code


@pytest.mark.parametrize("state", ["STOPPED", "TIMED_OUT", "ABANDONED"])
def test_a_run_is_retried_from_its_last_version(state: str) -> None:
    drive = over(state)
    before = drive.run()
    assert again(drive) == ""
    run = drive.run("r2")
    assert (run.retry_of, run.base, run.first, run.rounds_sealed) == ("r", "sha256:r.1", "sha256:r.1", 0)
    assert run.deadline_ms == drive.now_ms + RUN_MS, "its deadlines are fresh"
    assert drive.run() == before
    record = next(record for record in reversed(drive.records) if record.kind == "run-submitted")
    assert record.why["retry_of"] == "r"
    drive.work()
    drive.check_in(0, 1)
    drive.wait(1)
    drive.trained(0, 1)
    drive.work()
    assert (drive.run("r2").state, drive.state.versions["sha256:r2.1"].parent) == ("FINISHED", "sha256:r.1")
    assert drive.state.versions["sha256:r2.1"].number == 2


def test_a_retry_told_again_changes_nothing() -> None:
    drive = over("STOPPED")
    again(drive)
    records = len(drive.records)
    assert again(drive) == ""
    assert again(drive, retry_of="") == "conflicting-repeat"
    assert len(drive.records) == records


@pytest.mark.parametrize("how", ["RUNNING", "PAUSING", "PAUSED"])
def test_a_run_that_is_not_over_is_not_retried(how: str) -> None:
    drive = forming() if how == "RUNNING" else reporting()
    if how != "RUNNING":
        pause(drive, now=how == "PAUSED")
    assert drive.run().state == how
    assert again(drive, base="sha256:base") == "run-open"
    assert "r2" not in drive.state.runs


def test_what_else_is_not_retried() -> None:
    drive = over("STOPPED")
    assert again(drive, retry_of="none") == "run-unknown"
    assert again(drive, base="sha256:none") == "version-unknown"
    drive.submit(task(goal=2, rounds=1), "f")
    drive.work()
    drive.check_in(0, 1)
    drive.wait(1)
    drive.trained(0, 1)
    drive.work()
    assert drive.run("f").state == "FINISHED"
    assert again(drive, retry_of="f") == "run-over"
    assert set(drive.state.runs) == {"r", "f"}


def test_a_retry_may_be_retried() -> None:
    drive = over("ABANDONED")
    again(drive)
    drive.stop("r2")
    assert again(drive, "r3", retry_of="r2") == ""
    assert drive.run("r3").retry_of == "r2"
    drive.reload()
    assert (drive.run("r3").state, drive.run("r3").retry_of) == ("RUNNING", "r2")
