"""A real situation of a core for every code of the table of causes: what is told of it must name that code first.

Each function drives a core into one situation and gives what is explained of its run "r", or of its device 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from podium.core.rows import RunRow
from podium.core.views.explain import explain_run
from podium.core.views.explain_device import explain_device
from podium.tasks.task import Task
from podium.wire.explained import Explanation
from podium.wire.limits import Limits
from tests.support.core_acts import freeze, mark, pause, unfreeze
from tests.support.core_drive import Drive
from tests.support.core_made import LIMITS, PLAN, task

NARROW = Limits(window_jitter=LIMITS.window_jitter, leases_live_max=1)


@dataclass(frozen=True)
class Case:
    """`of`: "run" or "device"; `make`: the core in that situation; `trouble`: the loop's problem code; `first`: whether
    the cause binds."""

    of: str
    make: Callable[[], Drive]
    trouble: str = ""
    first: bool = True

    def explained(self) -> Explanation:
        """What is told of it."""
        drive = self.make()
        return of_run(drive, trouble=self.trouble) if self.of == "run" else of_device(drive, trouble=self.trouble)


def of_run(drive: Drive, run: str = "r", trouble: str = "") -> Explanation:
    """What is told of a run now."""
    return explain_run(drive.state, drive.run(run), drive.now_ms, trouble)


def of_device(drive: Drive, device: int = 0, trouble: str = "") -> Explanation:
    """What is told of a device now."""
    return explain_device(drive.state, drive.state.devices[device], drive.now_ms, trouble)


def forming(devices: int = 3, **terms: object) -> Drive:
    """A run of rounds of two whose first round forms, and nobody has checked in."""
    drive = Drive()
    drive.begin(task(**{"goal": 2, "over": 1.0, "rounds": 9, **terms}), devices)
    return drive


def reporting(devices: int = 3, **terms: object) -> Drive:
    """Its first round reports: devices 0 and 1 have accepted."""
    drive = forming(devices, **terms)
    drive.check_in(0, 1)
    drive.wait(500)
    for device in (0, 1):
        drive.accept(drive.lease(device))
    return drive


def aborted() -> Drive:
    """Both devices of its first round failed, and a half was to end the run."""
    drive = forming(2, abort=[{"kind": "failed", "share": 0.5, "min": 2}])
    drive.check_in(0, 1)
    drive.wait(500)
    for lease in [drive.lease(device) for device in (0, 1)]:
        drive.accept(lease)
        drive.fail(lease)
    return drive


def waiting(ms: int, drive: Drive) -> Drive:
    """`drive` after `ms` in which nothing is heard."""
    drive.wait(ms)
    return drive


def frozen() -> Drive:
    """A person froze the plane while a round formed."""
    drive = forming()
    freeze(drive, why="an incident")
    return drive


def leases_full() -> Drive:
    """Another run's device holds the one lease that the plane may grant."""
    drive = Drive(NARROW)
    drive.begin(task(goal=1, over=1.0), 2, run="other")
    drive.check_in(0)
    drive.wait(500)
    drive.accept(drive.lease(0))
    drive.begin(task(goal=1, over=1.0))
    return drive


def finished() -> Drive:
    """A run did its one round."""
    drive = reporting(2, rounds=1)
    for lease in list(drive.state.live_lease.values()):
        drive.report(lease)
    drive.work()
    return drive


def stopped(requires: str = "") -> Drive:
    """A person stopped it."""
    drive = forming(requires=requires)
    drive.stop(why="enough")
    return drive


def abandoned() -> Drive:
    """Two rounds in a row found no device that may take part."""
    drive = forming(1, abandoned_max=2, form_deadline=1_000)
    drive.wake()
    drive.work()
    drive.wake()
    return drive


def timed_out_frozen() -> Drive:
    """Its time was over while a person kept the plane frozen."""
    drive = forming(deadline=60_000)
    freeze(drive, why="an incident")
    drive.wait(60_000)
    unfreeze(drive)
    return drive


def drifted() -> Drive:
    """Of its newest eight rounds a third of the leases stalled, of the eight before a fiftieth."""
    drive = forming()
    row = drive.state.rounds["r", 1]
    for number in range(1, 17):
        stalled = 2 if number <= 8 else 33
        outcomes = {"ACCEPTED": 100 - stalled, "LAPSED:stall": stalled}
        drive.state.put(replace(row, number=number, state="SEALED", outcomes=outcomes))
    drive.state.put(replace(row, number=17))
    drive.state.put(replace(drive.run(), rounds_opened=17))
    return drive


def pausing() -> Drive:
    """A person paused it while its round reports."""
    drive = reporting()
    pause(drive)
    return drive


def paused() -> Drive:
    """It is at rest."""
    drive = forming()
    pause(drive)
    return drive


def preparing() -> Drive:
    """Enough devices are there, the manifest is not."""
    drive = Drive()
    drive.bring()
    drive.fleet(2)
    drive.submit(task(goal=2))
    drive.check_in(0, 1)
    return drive


def window_preparing() -> Drive:
    """The version before it is sealed; the key and the manifest of the next window are not there."""
    drive = Drive()
    drive.begin(task(goal=1, concurrency=2, mode="buffered", rounds=2), 2)
    drive.accept(drive.lease(0))
    drive.trained(1)
    while drive.kinds()[-1] != "round-parented":
        drive.do(drive.jobs.pop(0))
    return drive


def starting() -> Drive:
    """The minimum is there, and the goal might still come."""
    drive = forming(goal=3, minimum=2)
    drive.check_in(0, 1)
    return drive


def being_checked() -> Drive:
    """Every update is stored, none is judged."""
    drive = reporting(2)
    for lease in list(drive.state.live_lease.values()):
        drive.report(lease)
    return drive


def aggregating() -> Drive:
    """Every update is judged, the sum is not made."""
    drive = being_checked()
    for lease in list(drive.state.leases):
        drive.judge(lease)
    return drive


def returning() -> Drive:
    """Seats are kept for two devices that have not come back."""
    drive = forming()
    drive.check_in(0, 1)
    drive.wait(500)
    return drive


def marked(state: str) -> Drive:
    """A person marked two of three devices."""
    drive = forming()
    mark(drive, ["id-d0", "id-d1"], state)
    drive.check_in(2)
    return drive


def elsewhere() -> Drive:
    """Both devices work for another run."""
    drive = Drive()
    drive.begin(task(goal=2, over=1.0), 2, run="other")
    drive.check_in(0, 1)
    drive.wait(500)
    for device in (0, 1):
        drive.accept(drive.lease(device))
    drive.begin(task(goal=2, over=1.0))
    return drive


def trained(**terms: object) -> Drive:
    """Both devices trained once, which is as often as the task lets them."""
    return resting(separation=0, **terms)


class NoPrivacy:
    """A budget of which nothing is left."""

    def epsilon_left(self, run: RunRow, task: Task) -> float:
        """None."""
        return 0.0


def without_privacy() -> Drive:
    """The run has spent its privacy budget."""
    drive = forming()
    drive.state.privacy = NoPrivacy()
    drive.check_in(0, 1)
    return drive


def resting(**terms: object) -> Drive:
    """Both devices trained a moment ago, and the task wants an hour between two trainings."""
    drive = reporting(2, **{"separation": 3_600_000, **terms})
    for lease in list(drive.state.live_lease.values()):
        drive.report(lease)
    drive.work()
    return drive


def failing(drive: Drive, times: int) -> Drive:
    """Device 0 gets a lease and fails, so many times, its rests over in between."""
    for number in range(times):
        drive.wait(60_000 * (number // 2))
        drive.accept(drive.state.live_lease.get(0) or drive.lease(0))
        drive.fail(drive.state.live_lease[0], detail="ValueError: no such column")
    return drive


def spent() -> Drive:
    """One of two devices failed as often as it may in a round."""
    return failing(reporting(2), LIMITS.leases_per_device_max)


def spent_alone() -> Drive:
    """Device 0 is out of tries in the only round there will be."""
    drive = forming(2, rounds=1)
    drive.check_in(0, 1)
    drive.wait(500)
    return failing(drive, LIMITS.leases_per_device_max)


def ruled(facts: dict[str, float], **rules: str) -> Drive:
    """Three devices checked in with `facts` to a run with rules."""
    drive = forming(3, **rules)
    drive.check_in(0, 1, 2, facts=facts)
    return drive


def with_other(what: str, **terms: object) -> Drive:
    """Three devices that lack what the run asks for."""
    drive = forming(0, **terms)
    plans = {"plan": {"other:plan": "sha256:other"}, "digest": {PLAN: "sha256:old"}}
    drive.fleet(3, plans=plans.get(what, {PLAN: "sha256:plan"}), datasets={"hearts": 12})
    return drive


def contributed() -> Drive:
    """Device 0 has reported, the others work; no later round forms."""
    drive = reporting(3, goal=3, minimum=2, rounds=1)
    drive.report(drive.state.live_lease[0])
    return drive


def failed_idle() -> Drive:
    """A device failed, and its run was stopped."""
    drive = reporting(2)
    drive.fail(drive.state.live_lease[0])
    drive.stop()
    return drive


def full() -> Drive:
    """Devices 1 and 2 hold the seats; device 0 checked in too late."""
    drive = forming(rounds=1)
    drive.check_in(1, 2)
    drive.wait(500)
    for device in (1, 2):
        drive.accept(drive.lease(device))
    drive.check_in(0)
    return drive


def idle() -> Drive:
    """No run."""
    drive = Drive()
    drive.fleet(1)
    return drive


def lying() -> Drive:
    """Device 0 had its base version at 4 MB/s, and tells of 500."""
    drive = reporting()
    timed = {"bytes": 8_000_000, "ms": 2_000}
    drive.report(drive.state.live_lease[0], downloaded=timed)
    drive.check_in(0, facts={"download_mb_s": 500.0})
    return drive


LATE = 31_000
BATTERY = {"charging": 0.0, "battery": 0.25}
CASES: dict[str, list[Case]] = {
    "store-full": [Case("run", forming, "store-full"), Case("device", forming, "store-full")],
    "store-failed": [Case("run", forming, "store-unknown"), Case("device", forming, "store-failed")],
    "plane-loading": [Case("run", forming, "overloaded"), Case("device", forming, "bug")],
    "frozen": [Case("run", frozen), Case("device", frozen)],
    "leases-full": [Case("run", leases_full)],
    "run-finished": [Case("run", finished)],
    "run-stopped": [Case("run", stopped)],
    "run-timed-out": [Case("run", lambda: waiting(60_000, forming(deadline=60_000)))],
    "run-abandoned": [Case("run", abandoned)],
    "task-refused": [Case("run", lambda: stopped(requires="device.nothing > 3"))],
    "shape-drift": [Case("run", drifted, first=False)],
    "run-aborted": [Case("run", aborted)],
    "frozen-meanwhile": [Case("run", timed_out_frozen, first=False)],
    "pausing": [Case("run", pausing)],
    "paused": [Case("run", paused), Case("device", paused)],
    "preparing": [Case("run", preparing)],
    "window-preparing": [Case("run", window_preparing)],
    "starting": [Case("run", starting)],
    "waiting-for-reports": [Case("run", reporting)],
    "being-checked": [Case("run", being_checked)],
    "aggregating": [Case("run", aggregating)],
    "returning": [Case("run", returning), Case("device", returning)],
    "not-checked-in": [Case("run", forming), Case("device", forming)],
    "too-few-enrolled": [Case("run", lambda: forming(1))],
    "not-connected": [
        Case("run", lambda: waiting(LATE, forming())),
        Case("device", lambda: waiting(LATE, forming())),
    ],
    "cordoned": [Case("run", lambda: marked("cordoned")), Case("device", lambda: marked("cordoned"))],
    "banned": [Case("run", lambda: marked("banned")), Case("device", lambda: marked("banned"))],
    "at-work-elsewhere": [Case("run", elsewhere), Case("device", elsewhere, first=False)],
    "separation": [Case("run", resting), Case("device", resting)],
    "times-spent": [Case(of, lambda: trained(fairness={"times_max": 1})) for of in ("run", "device")],
    "budget-spent": [Case(of, lambda: trained(budgets={"trainings_per_day": 1})) for of in ("run", "device")],
    "backoff": [Case(of, lambda: failing(reporting(2), 2)) for of in ("run", "device")],
    "region": [Case(of, lambda: waiting(0, forming(regions=["eu"]))) for of in ("run", "device")],
    "privacy-spent": [Case("run", without_privacy), Case("device", without_privacy)],
    "tries-spent": [Case("run", spent), Case("device", spent_alone)],
    "plan-missing": [Case(of, lambda: with_other("plan")) for of in ("run", "device")],
    "plan-digest": [Case(of, lambda: with_other("digest", plan_digests=["sha256:new"])) for of in ("run", "device")],
    "dataset": [Case(of, lambda: with_other("few", datasets=["hearts"], examples_min=50)) for of in ("run", "device")],
    "requires-false": [Case(of, lambda: ruled({}, requires="device.site == 'north'")) for of in ("run", "device")],
    "requires-unknown": [Case(of, lambda: ruled({}, requires="device.cores >= 4")) for of in ("run", "device")],
    "when-false": [Case(of, lambda: ruled(BATTERY, when="device.charging")) for of in ("run", "device")],
    "when-unknown": [Case(of, lambda: ruled(BATTERY, when="!device.metered")) for of in ("run", "device")],
    "at-work": [Case("device", reporting)],
    "reserved": [Case("device", starting)],
    "contributed": [Case("device", contributed)],
    "seats-taken": [Case("device", full)],
    "no-run": [Case("device", idle)],
    "failed-last": [Case("device", failed_idle, first=False)],
    "claims-contradicted": [Case("device", lying, first=False)],
}
"""Code -> situations in which it is told."""
