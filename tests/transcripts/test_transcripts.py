"""Each story of a run, as the core really tells it, against its kept transcript; `pytest --rewrite` keeps it anew."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.choice_stories import minimum_separation, starvation, two_tasks_competing
from tests.support.core_acts import freeze, pause, promote, release, resume, unfreeze
from tests.support.core_made import task
from tests.support.core_story import Teller
from tests.support.fleet_stories import herd, mass_drop_out, straggler
from tests.support.story_starts import forming, reporting

HERE = Path(__file__).parent


def happy_round() -> Teller:
    """Two devices train and one version is made."""
    teller = reporting()
    teller.trained(0, metrics={"accuracy": (3.0, 4.0)})
    teller.work()
    teller.trained(1, metrics={"accuracy": (4.0, 4.0)})
    teller.work()
    return teller


def lapse_and_replacement() -> Teller:
    """One device falls silent; another takes its seat."""
    teller = reporting(3)
    reserved = sorted(teller.state.open["r", 1].reserved)
    silent, good = reserved
    (spare,) = set(range(3)) - set(reserved)
    teller.accept(teller.lease(silent))
    teller.accept(teller.lease(good))
    teller.wait(9_000)
    teller.progress("r.1.2", done=5)
    teller.note("a stall after it was accepted, the first lease lapses; the second moved and lives")
    teller.wake()
    teller.note("the silent device speaks too late")
    teller.report("r.1.1")
    teller.note("its seat goes to another")
    teller.report("r.1.2")
    teller.trained(spare)
    teller.work()
    return teller


def decline_and_failure() -> Teller:
    """One device declines, one plan raises, one cannot run it at all."""
    teller = reporting(4, goal=3, minimum=1, over=1.3)
    teller.state.open["r", 1].reserved.clear()
    teller.decline(teller.lease(0), "private")
    teller.fail(teller.lease(1), "ValueError: no such column")
    teller.decline(teller.lease(2), "needs another runtime", incompatible=True)
    teller.note("who declined may try again; who cannot run it may not, in this round")
    teller.check_in(0, 2)
    return teller


def late_report_superseded() -> Teller:
    """The goal is reached while one device is still at work."""
    teller = reporting(3, over=1.5)
    late = teller.lease(0)
    teller.accept(late)
    teller.trained(1, 2)
    teller.work()
    teller.note("its report comes when the round is closed")
    teller.report(late)
    return teller


def refused_update() -> Teller:
    """A stored update does not pass its content checks; the device hears of it when it comes again."""
    teller = reporting()
    teller.trained(0)
    teller.work(d0="not-finite")
    teller.check_in(0, 1)
    return teller


def below_minimum() -> Teller:
    """One update where two are promised."""
    teller = reporting(report_deadline=30_000)
    teller.trained(0)
    teller.work()
    teller.wait(30_000)
    return teller


def cohort_short() -> Teller:
    """Too few devices come; the round is given up, again, and the run ends."""
    teller = forming(1, form_deadline=5_000, abandoned_max=2)
    teller.check_in(0)
    teller.wake()
    teller.work()
    teller.wake()
    return teller


def stop() -> Teller:
    """A person stops the run while devices train."""
    teller = reporting(rounds=2)
    teller.trained(0)
    teller.accept(teller.lease(1))
    teller.stop(why="wrong data")
    teller.note("devices hear of it")
    teller.progress("r.1.2", done=1)
    teller.report("r.1.1")
    return teller


def deadline() -> Teller:
    """The run's own deadline."""
    teller = reporting(deadline=20_000, stall=60_000)
    teller.accept(teller.lease(0))
    teller.wait(20_000)
    return teller


def overlap() -> Teller:
    """The second round forms while the first reports, and starts as soon as it has its parent."""
    teller = reporting(4, rounds=2)
    reserved = sorted(teller.state.open["r", 1].reserved)
    others = sorted(set(range(4)) - set(reserved))
    first, second = (teller.lease(device) for device in reserved)
    teller.note("the others are nominated for round 2")
    teller.check_in(*others)
    for lease in (first, second):
        teller.accept(lease)
        teller.report(lease)
    teller.work()
    teller.note("round 2 has its parent, its manifest and its devices")
    teller.check_in(*others)
    return teller


def evaluation() -> Teller:
    """An evaluation pools metrics and makes no version."""
    teller = reporting(kind="evaluate")
    teller.trained(0, metrics={"accuracy": (3.0, 4.0)})
    teller.trained(1, metrics={"accuracy": (4.0, 4.0)})
    teller.work()
    return teller


def crash_in_each_state() -> Teller:
    """The plane dies while a round forms, reports and aggregates; nothing that was stored is lost."""
    teller = Teller()
    teller.bring()
    teller.fleet(2)
    teller.telling = True
    teller.submit(task(goal=2, over=1.0, stall=10_000, deadline=600_000))
    teller.note("dies before the manifest is signed")
    teller.reload(60_000)
    teller.work()
    teller.note("dies while it forms: nominations are forgotten")
    teller.open(0)
    teller.check_in(0)
    teller.reload(60_000)
    for device in (0, 1):
        teller.open(device)
    teller.check_in(0, 1)
    teller.wake()
    teller.accept(teller.lease(0))
    teller.report("r.1.1")
    teller.accept(teller.lease(1))
    teller.note("dies while it reports: one update stored, one lease at work")
    teller.reload(60_000)
    teller.work()
    teller.report("r.1.2")
    teller.judge("r.1.2")
    teller.note("dies while it aggregates")
    teller.reload(60_000)
    teller.work()
    return teller


def ban() -> Teller:
    """A device is banned in the middle of its work."""
    teller = reporting()
    teller.accept(teller.lease(0))
    teller.ban("id-d0", why="forged reports")
    teller.progress("r.1.1", done=1)
    teller.check_in(0)
    return teller


def pause_after_round() -> Teller:
    """A person pauses the run while a round is at work: it comes to rest after it, and goes on later."""
    teller = reporting(3, rounds=2)
    reserved = sorted(teller.state.open["r", 1].reserved)
    (spare,) = set(range(3)) - set(reserved)
    teller.trained(reserved[0])
    pause(teller, why="the site is moving")
    teller.note("the round at work still takes its device; nobody is nominated for the next")
    teller.check_in(spare)
    teller.trained(reserved[1])
    teller.note("the round is sealed: the next has its parent, and the run stands still")
    teller.work()
    teller.check_in(spare)
    teller.wait(86_400_000)
    teller.note("a day later it goes on with the round that was forming, all deadlines a day on")
    resume(teller)
    teller.check_in(spare, reserved[0])
    teller.wake()
    return teller


def pause_now() -> Teller:
    """A person pauses the run at once: leases live, what they bring seals the round; nothing new starts."""
    teller = reporting(2, rounds=3)
    first, second = teller.lease(0), teller.lease(1)
    for lease in (first, second):
        teller.accept(lease)
    pause(teller, now=True)
    teller.report(first)
    teller.note("the plane restarts; a paused run is given no time back, for it loses none")
    teller.reload(60_000)
    teller.work()
    teller.report(second)
    teller.work()
    teller.note("the round was sealed, the next has its parent; nobody is asked to train")
    for device in (0, 1):
        teller.open(device)
    teller.check_in(0, 1)
    resume(teller)
    teller.check_in(0, 1)
    teller.wake()
    return teller


def freeze_revoke() -> Teller:
    """A person freezes the plane and takes every lease back; the round is given up, and its run not charged."""
    teller = reporting(report_deadline=30_000)
    teller.accept(teller.lease(0))
    teller.lease(1)
    freeze(teller, revoke=True, why="a poisoned plan")
    teller.note("devices hear of it")
    teller.report("r.1.1")
    teller.check_in(1)
    teller.note("deadlines run on")
    teller.wait(30_000)
    teller.work()
    teller.note("unfrozen, the next round may form")
    unfreeze(teller, why="the plan is gone")
    teller.check_in(0, 1)
    return teller


def freeze_forming() -> Teller:
    """A person freezes the plane while a round forms: it neither starts nor gives up, and goes on a day later."""
    teller = forming(2, form_deadline=20_000, deadline=172_800_000)
    teller.check_in(0)
    teller.wait(5_000)
    freeze(teller, why="an incident")
    teller.check_in(1)
    teller.note("the plane restarts in between; the round has waited for nobody")
    teller.wait(43_200_000)
    teller.reload(43_195_000)
    unfreeze(teller, why="over")
    teller.note("fifteen seconds are left of its twenty")
    for device in (0, 1):
        teller.open(device)
    teller.check_in(0)
    teller.wait(14_999)
    teller.check_in(1)
    return teller


def promote_and_rollback() -> Teller:
    """Two versions are made; the second is promoted once it is released, and taken back."""
    teller = reporting(rounds=2)
    for _ in range(2):
        teller.telling = False
        teller.trained(0, 1)
        teller.work()
        teller.check_in(0, 1)
        teller.wait(300)
    teller.telling = True
    teller.note("any sealed version may be a candidate")
    promote(teller, "t@candidate", "sha256:r.1", why="looks good")
    teller.note("production wants a release")
    promote(teller, "t@production", "sha256:r.1", counter=0)
    release(teller, "sha256:r.1")
    promote(teller, "t@production", "sha256:r.1", counter=0, why="released")
    release(teller, "sha256:r.2")
    promote(teller, "t@production", "sha256:r.2", counter=1, why="better")
    teller.note("who read it before the last move is told so")
    promote(teller, "t@production", "sha256:r.1", counter=1)
    teller.note("rolled back, by whoever read it since")
    promote(teller, "t@production", "sha256:r.1", counter=2, why="worse on the wards")
    promote(teller, "t@latest", "sha256:r.1")
    return teller


def flapping() -> Teller:
    """A device restarts again and again, and never reports: it is left alone, and then tried once more."""
    teller = reporting(3, goal=2, over=1.5)
    for number in range(3):
        teller.accept(teller.lease(0))
        teller.open(0)
        teller.check_in(0)
        teller.wait(10_000)
        if number == 1:
            teller.note("two leases in a row were lost: for its stall it gets none")
            teller.told_windows(0)
            teller.wait(10_000)
    teller.check_in(0)
    rates = teller.state.learned.reliability().loss_rate(np.array([0, 1]), np.array([-1, -1]))
    teller.note(f"its next lease is lost with a chance of {rates[0]:.2f}, that of another with {rates[1]:.2f}")
    return teller


def buffered() -> Teller:
    """Windows of two updates each, three devices at work at all times, no base more than one version behind."""
    teller = forming(5, mode="buffered", goal=2, concurrency=3, staleness_max=1, rounds=3)
    slow, slowest = teller.lease(0), teller.lease(4)
    teller.accept(slow)
    teller.accept(slowest)
    teller.trained(1)
    teller.note("the seat of who reported is free at once")
    teller.trained(2)
    teller.judge("r.1.3")
    teller.judge("r.1.4")
    teller.note("two still work when the window closes, and go on in the next one; none begins while it is summed")
    teller.check_in(3)
    teller.note("the first version is sealed, but two leases name its upload key")
    teller.work()
    teller.progress(slow, done=1)
    teller.progress(slowest, done=1)
    teller.trained(3)
    teller.note("the process dies; who is at work stands in the newest window again")
    teller.reload(1_000)
    teller.report(slow)
    teller.work()
    teller.note("the slowest would have been two versions behind, and hears so; the oldest key is gone")
    teller.report(slowest)
    teller.open(1)
    teller.open(2)
    teller.trained(1, 2)
    teller.work()
    return teller


STORIES: tuple[Callable[[], Teller], ...] = (
    happy_round,
    lapse_and_replacement,
    decline_and_failure,
    late_report_superseded,
    refused_update,
    below_minimum,
    cohort_short,
    stop,
    deadline,
    overlap,
    evaluation,
    crash_in_each_state,
    ban,
    pause_after_round,
    pause_now,
    freeze_revoke,
    freeze_forming,
    promote_and_rollback,
    straggler,
    mass_drop_out,
    flapping,
    herd,
    starvation,
    minimum_separation,
    two_tasks_competing,
    buffered,
)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_the_story_goes_as_it_is_kept(story: Callable[[], Teller], request: pytest.FixtureRequest) -> None:
    kept = HERE / f"{story.__name__}.txt"
    told = "\n".join([f"{story.__doc__}", *story().lines, ""])
    if request.config.getoption("rewrite"):
        kept.write_text(told)
    assert kept.read_text() == told, f"pytest {Path(__file__).name} --rewrite, and read the diff"


def test_every_kept_transcript_has_its_story() -> None:
    assert {path.stem for path in HERE.glob("*.txt")} == {story.__name__ for story in STORIES}
