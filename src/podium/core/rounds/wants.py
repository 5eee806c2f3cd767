"""What the open rounds want of devices: which of them take devices now, and what follows for when to come back.

Decides: the rounds that look for devices, in which order; the part of a `PaceView` that is theirs. Never: who gets a
lease (selection), nor the windows (pacing). Reads only.
"""

import numpy as np
from numpy.typing import NDArray

from podium.core.pacing.windows import PaceView, kept_every_ms
from podium.core.rounds.buffered import is_buffered
from podium.core.rows import RoundRow
from podium.core.state import State
from podium.tasks.task import Task

Numbers = NDArray[np.int64]

ROUNDS_RECENT = 5
SOONER = 0.9
"""A round is not expected to end before nine tenths of the shortest of its last five predecessors."""


def wanting(state: State) -> list[RoundRow]:
    """The open rounds that take nominations or have seats; runs by priority and start, older rounds first.

    None while the plane is frozen; none of a paused run; of a pausing one only the round that is at work.
    """
    if state.frozen():
        return []
    wants = {"RUNNING": ("FORMING", "REPORTING"), "PAUSING": ("REPORTING",), "PAUSED": ()}
    keys = sorted(
        state.open, key=lambda key: (-state.task_of(key[0]).task.select.priority, state.runs[key[0]].started_ms, key)
    )
    return [state.rounds[key] for key in keys if state.rounds[key].state in wants[state.runs[key[0]].state]]


def pace_view(state: State, run: str = "") -> PaceView:
    """The population as it was last looked at, and what rounds want at this moment; of who takes part in `run`.

    A run wants devices while it goes on, be it that its present round is being summed. The same view until something
    that it depends on changes (`State.put`, `Pace.look`).
    """
    view = state.pace_views.get(run)
    if view is None:
        since = max((max(row.opened_ms, row.reporting_ms) for row in wanting(state)), default=-1)
        apart = apart_ms(state, run) if run else 0
        view = state.pace_views[run] = state.pace.view(state.fleet, seats_wanted(state), since, apart)
    return view


def seats_wanted(state: State) -> int:
    """What the runs that go on want at once."""
    going = [] if state.frozen() else [run for run, _ in state.open if state.runs[run].state != "PAUSED"]
    return sum(_seats(state.task_of(run).task) for run in going)


def kept_for(state: State, row: RoundRow, at_ms: Numbers) -> tuple[int, Numbers]:
    """(when `row`, that forms, is not expected to start before, how far apart whoever is kept for it asks), in ms.

    `at_ms`: int64, as the second. It opened when its parent started; a parent takes about as long as those before. Only
    rows tell, and those that no check-in changes.
    """
    task = state.task_of(row.run).task.round
    if row.base:
        since, longest, soonest = row.form_deadline_ms - task.form_deadline, task.form_deadline, 0
    else:
        since, longest, soonest = row.opened_ms, task.report_deadline, soonest_ms(state, row.run, row.number - 1)
    starts = since + soonest
    waited = np.minimum(np.maximum(np.maximum(at_ms, starts) - since, 0), longest)
    return starts, kept_every_ms(state.limits, waited)


def held_ms(state: State, row: RoundRow) -> int:
    """For how long the seats of `row`, that starts now, are held: until whoever is kept has asked again, and some more.

    `reserve_ms` covers the shortest such windows; after a long wait they are longer, and so seats are held longer.
    """
    task, limits = state.task_of(row.run).task.round, state.limits
    parented_ms = row.form_deadline_ms - task.form_deadline
    ahead = min(parented_ms - row.opened_ms, task.report_deadline)
    every = kept_every_ms(limits, np.array([max(ahead, state.now_ms - parented_ms)])).max()
    return limits.reserve_ms + int((every - limits.window_reserved_ms) * (1.0 + limits.window_jitter))


def soonest_ms(state: State, run: str, number: int) -> int:
    """How long round `number` of `run` works at least, by the sealed ones among the last before it; 0 unknown."""
    before = [state.rounds.get((run, number - back)) for back in range(1, 1 + ROUNDS_RECENT)]
    took = [each.ended_ms - each.reporting_ms for each in before if each is not None and each.state == "SEALED"]
    return int(SOONER * min(took, default=0))


def _seats(task: Task) -> int:
    return max(task.round.goal, task.round.concurrency) if is_buffered(task) else task.round.goal


def apart_ms(state: State, run: str) -> int:
    """How long nobody wants a device that takes part in `run`: its separation, unless another run may want it."""
    others = any(row.state == "RUNNING" and row.id != run for row in state.runs.values())
    return 0 if others else min(state.task_of(run).task.select.separation, state.limits.window_max_ms)
