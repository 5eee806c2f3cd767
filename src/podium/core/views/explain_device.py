"""Why a device does or does not work: what holds for all runs, then why each run that is not over does not take it.

Decides: which of its causes is named first: what holds for the device whatever runs there are, the gravest first, then
what a run would take it for. Never: what a cause is called (causes.py) nor which devices it holds (holdups.py). Reads
only.
"""

from msgspec.structs import replace

from podium.core.fleet.columns import NEVER
from podium.core.rounds import adapting, buffered, rounds
from podium.core.rows import DeviceRow, RoundRow, RunRow
from podium.core.state import State
from podium.core.views import holdups
from podium.core.views.causes import CAUSES, sentence
from podium.core.views.evidence import Facts, Found, devices_found, frozen_facts, time_text
from podium.core.views.explain import COMING, explain_trouble, explained
from podium.core.views.funnel import funnel
from podium.core.views.holdups import NUMBER, Look
from podium.wire.explained import Explanation
from podium.wire.operator import RUN_OPEN


def explain_device(state: State, device: DeviceRow, now_ms: int, trouble: str = "") -> Explanation:
    """Why `device` does or does not work: what holds for all runs, then why each run that is not over does not take it.

    `trouble`: the loop's problem code, "" while the plane decides; `state` is then the last that was known.
    """
    name = device.name or device.id
    facts: Facts = {
        "subject": device.id,
        "ids": device.id,
        "examples": name,
        "window": time_text(holdups.window_now_ms(state)),
        "failure": device.failure,
    }
    whole = _device_wide(state, device, now_ms, facts)
    runs = sorted((run for run in state.runs.values() if run.state in RUN_OPEN), key=lambda run: run.started_ms)
    by_run = [each for run in runs for each in _by_run(state, run, device, now_ms, facts)]
    if not runs:
        by_run.append(Found("no-run", 0, facts))
    # what a run would take the device for goes before what another holds against it
    by_run.sort(key=lambda each: each.code not in _WANTED)
    failed = [Found("failed-last", 0, facts)] if device.failure else []
    found = [*whole, *by_run, *failed]
    what = f"device {name}: {sentence(CAUSES[found[0].code].device, found[0].facts)}"
    last = _with_funnel(
        state, runs[:1], device, now_ms, explained("device", device.id, device.state, found, None, what)
    )
    return explain_trouble("device", device.id, trouble, last) if trouble else last


def _with_funnel(state: State, runs: list[RunRow], device: DeviceRow, now_ms: int, told: Explanation) -> Explanation:
    """`told` with how far the device is in the oldest open round of the run that was started first."""
    for run in runs:
        row = state.open_rounds_of(run.id)[0]
        look = Look(state, state.tasks[run.task], row, slice(device.number, device.number + 1), now_ms)
        held = holdups.hold_ups(look)
        found = devices_found(look, held, 1, {"run": run.id, "round": rounds.name_of(row), "ids": device.id})
        return replace(told, funnel=funnel(look, held, found), funnel_of=rounds.name_of(row))
    return told


_WANTED = ("reserved", *COMING)
_WHOLE = ("banned", "cordoned", "not-connected")


def _device_wide(state: State, device: DeviceRow, now_ms: int, facts: Facts) -> list[Found]:
    """What holds for the device whatever runs there are, the gravest first."""
    found, seen = [], int(state.fleet.seen_ms[device.number])
    if device.state == "banned":
        found.append(Found("banned", 1, facts))
    if device.number in state.live_lease:
        lease = state.leases[state.live_lease[device.number]]
        since = lease.granted_ms if lease.state == "OFFERED" else lease.held_ms
        told: Facts = {
            "lease": lease.id,
            "state": lease.state,
            "run": lease.run,
            "age": time_text(now_ms - since),
            "left": time_text(state.lease_deadlines.of(lease.id) - now_ms),
        }
        found.append(Found("at-work", 1, facts | told))
    elif seen == NEVER or seen < now_ms - holdups.horizon_ms(state):
        heard = "never heard since the plane started" if seen == NEVER else f"last heard {time_text(now_ms - seen)} ago"
        found.append(Found("not-connected", 1, facts | {"heard": heard}))
    if device.state == "cordoned":
        found.append(Found("cordoned", 1, facts))
    if state.frozen():
        found.append(Found("frozen", 0, facts | frozen_facts(state, now_ms)))
    return found


def _by_run(state: State, run: RunRow, device: DeviceRow, now_ms: int, facts: Facts) -> list[Found]:
    """Why `run` does not take the device now: by the first of its open rounds that it has not done its part in."""
    told: Facts = {"run": run.id, "age": time_text(now_ms - max(0, run.paused_ms))}
    if run.state == "PAUSED":
        return [Found("paused", 0, facts | told)]
    if state.privacy.epsilon_left(run, state.tasks[run.task].task) <= 0:
        return [Found("privacy-spent", 0, facts | told)]
    found: list[Found] = []
    for row in state.open_rounds_of(run.id):
        look = Look(state, state.tasks[run.task], row, slice(device.number, device.number + 1), now_ms)
        found = _by_round(look, row, facts | told | {"round": rounds.name_of(row)})
        if not found or found[0].code not in ("contributed", "tries-spent"):
            break
    return found


def _by_round(look: Look, row: RoundRow, facts: Facts) -> list[Found]:
    state, work = look.state, look.work
    if look.taking_part()[0]:
        if not buffered.forms(row, look.task.task):
            return [] if look.column(state.fleet.live, False)[0] else [Found("contributed", 0, facts)]
        if work.seats is not None and not work.seats.holds(look.numbers()).all():
            return [Found("seats-taken", 0, facts)]
        need = adapting.minimum_of(row, look.task.task)
        return [Found("reserved", 0, facts | {"have": work.nominees, "need": need})]
    held = holdups.hold_ups(look)
    if not buffered.forms(row, look.task.task) and held.first[0] in (NUMBER[code] for code in COMING):
        free = adapting.open_seats(state, row) - len(work.reserved - {look.pick.start})
        if free <= 0:
            return [Found("seats-taken", 0, facts)]
    # no task is changed for one device
    return [
        each._replace(facts={name: value for name, value in each.facts.items() if name != "looser"})
        for each in devices_found(look, held, 1, facts)
        if each.code not in _WHOLE
    ]
