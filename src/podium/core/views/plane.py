"""What a person may see of the plane as a whole: its kill switch, its services and what calls for attention.

Decides: what is an alert. Reads only.
"""

from podium.core.rows import ServiceRow
from podium.core.state import FREEZE, State
from podium.wire.operator import RUN_OPEN, FreezeView, RunView, ServiceView

WAITING_LONG_MS = 60_000
"""A run that is short of what it needs is an alert only once it has waited so long: every round waits a little."""


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
        wait = view.waiting
        if wait is not None and wait.why and wait.have < wait.need and wait.since_ms >= WAITING_LONG_MS:
            told.append(f"run {view.id} waits: {wait.what}, {wait.have} of {wait.need}")
    return told


def service_view(row: ServiceRow, now_ms: int) -> ServiceView:
    """A service's credential, without its secret."""
    left = 0 if row.revoked else max(0, row.expires_ms - now_ms)
    return ServiceView(
        id=row.id,
        name=row.name,
        verbs=list(row.verbs),
        actor=row.actor,
        age_ms=now_ms - row.made_ms,
        left_ms=left,
        revoked=row.revoked,
        issuer=row.issuer,
    )
