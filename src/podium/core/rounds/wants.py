"""What the open rounds want of devices: which of them take devices now, and what follows for when to come back.

Decides: the rounds that look for devices, in which order; the part of a `PaceView` that is theirs. Never: who gets a
lease (selection), nor the windows (pacing). Reads only.
"""

from podium.core.pacing.windows import PaceView
from podium.core.rounds.buffered import is_buffered
from podium.core.rows import RoundRow
from podium.core.state import State
from podium.tasks.task import Task


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


def pace_view(state: State, apart_ms: int = 0) -> PaceView:
    """The population as it was last looked at, and what rounds want at this moment.

    A run wants devices while it goes on, be it that its present round is being summed. The same view until something
    that it depends on changes (`State.put`, `Pace.look`).
    """
    view = state.pace_views.get(apart_ms)
    if view is None:
        going = [] if state.frozen() else [run for run, _ in state.open if state.runs[run].state != "PAUSED"]
        seats = sum(_seats(state.task_of(run).task) for run in going)
        since = max((max(row.opened_ms, row.reporting_ms) for row in wanting(state)), default=-1)
        view = state.pace_views[apart_ms] = state.pace.view(state.fleet, seats, since, apart_ms)
    return view


def _seats(task: Task) -> int:
    return max(task.round.goal, task.round.concurrency) if is_buffered(task) else task.round.goal


def apart_ms(state: State, run: str) -> int:
    """How long nobody wants a device that takes part in `run`: its separation, unless another run may want it."""
    others = any(row.state == "RUNNING" and row.id != run for row in state.runs.values())
    return 0 if others else min(state.task_of(run).task.select.separation, state.limits.window_max_ms)
