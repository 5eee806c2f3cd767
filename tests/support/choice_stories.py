"""Stories of who is chosen: everybody has a turn, nobody too soon, and tasks share a fleet."""

from tests.support.core_made import task
from tests.support.core_story import Teller
from tests.support.story_starts import forming, reporting


def starvation() -> Teller:
    """Oort would take the useful again and again; without replacement each device has its turn before any has two."""
    teller = forming(4, goal=2, rounds=2, strategy="oort", fairness={"without_replacement": True})
    turns = []
    for number in (1, 2):
        teller.note(f"round {number}: all four come")
        teller.check_in(*range(4))
        teller.wait(300)
        chosen = sorted(teller.state.open["r", number].reserved)
        turns += chosen
        teller.trained(*chosen, metrics={"loss": (8.0, 1.0)})
        teller.work()
    assert sorted(turns) == [0, 1, 2, 3]
    return teller


def minimum_separation() -> Teller:
    """Who trained a moment ago waits; the round forms with the others, and with it again once its time is over."""
    teller = reporting(3, rounds=2, separation=60_000)
    first = sorted(teller.state.open["r", 1].reserved)
    teller.trained(*first)
    teller.work()
    teller.note("round 2 forms: the two that trained come too early")
    teller.told_windows(*range(3))
    teller.note("a minute after their training")
    teller.wait(60_000)
    teller.check_in(*first)
    teller.wake()
    return teller


def two_tasks_competing() -> Teller:
    """An urgent task goes first with each device; what it has no seat for goes to the other in the same check-in."""
    teller = forming(4, goal=2)
    teller.submit(task(goal=1, over=1.0, stall=10_000, deadline=600_000, priority=1), "urgent")
    teller.work()
    teller.note("the urgent round keeps one of the four, who come one after the other")
    teller.check_in(*range(4))
    for run in ("urgent", "r"):
        kept = teller.state.open[run, 1].seats
        assert kept is not None
        teller.note(f"seats of {run} are kept for {' and '.join(f'device {number}' for number in kept.members())}")
    teller.wait(300)
    teller.note("all come for their seats")
    teller.check_in(*range(4))
    return teller
