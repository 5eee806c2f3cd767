"""What a person may see of the plane as a whole: its kill switch and what calls for attention.

Decides: what is an alert. Reads only.
"""

from podium.core.state import FREEZE, State
from podium.wire.operator import RUN_OPEN, FreezeView, RunView


def freeze_view(state: State, now_ms: int) -> FreezeView:
    """Whether the plane grants leases."""
    row = state.freezes.get(FREEZE)
    if row is None:
        return FreezeView(frozen=False, why="", actor="", age_ms=-1)
    return FreezeView(frozen=row.frozen, why=row.why, actor=row.actor, age_ms=now_ms - row.at_ms)


def alerts(state: State, runs: list[RunView]) -> list[str]:
    """Sentences about what a person should look at, the gravest first; `runs`: the views of those not over."""
    told = []
    if state.frozen():
        told.append(f"the plane is frozen: {state.freezes[FREEZE].why or 'no reason given'}")
    for view in runs:
        if view.state not in RUN_OPEN:
            continue
        if view.round is not None and view.state == "RUNNING" and state.runs[view.id].abandoned_in_row:
            told.append(f"run {view.id}: {state.runs[view.id].abandoned_in_row} rounds in a row were abandoned")
        if view.waiting is not None and view.waiting.why and view.waiting.have < view.waiting.need:
            told.append(f"run {view.id} waits: {view.waiting.what}, {view.waiting.have} of {view.waiting.need}")
    return told
