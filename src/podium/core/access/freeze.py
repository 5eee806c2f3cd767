"""The kill switch: while the plane is frozen, no lease is granted anywhere.

Decides: what becomes of running leases (left, or revoked). Deadlines run on; rounds at work may end, and below their
minimum they are abandoned as ever, which does not count against their run (rounds.py). A round that still forms stands
still (pausing.py), and gets its time back when the plane is unfrozen. Never: ends a run. Freezing a frozen plane again
changes nothing but, with `revoke`, leases.
"""

from podium.core.effects import Answer
from podium.core.events import Frozen, Unfrozen
from podium.core.outbox import Outbox
from podium.core.rounds import pausing
from podium.core.rounds.leases import end_lease
from podium.core.rows import FreezeRow
from podium.core.state import FREEZE, State


def freeze(state: State, out: Outbox, event: Frozen) -> None:
    """Grant no lease from now on; with `revoke` every live one ends."""
    # a reloaded core holds them in another order
    leases = sorted(state.live_lease.values()) if event.revoke else []
    if not state.frozen():
        row = FreezeRow(id=FREEZE, frozen=True, why=event.why, actor=event.actor, at_ms=state.now_ms)
        out.record("plane-frozen", FREEZE, row, actor=event.actor, reason=event.why, revoke=int(event.revoke))
    elif leases:
        out.record("leases-revoked", FREEZE, actor=event.actor, reason=event.why, leases=len(leases))
    for lease in leases:
        end_lease(out, state.leases[lease], "revoked", "plane-frozen", actor=event.actor)
    out.send(Answer(ticket=event.ticket, word="done"))


def unfreeze(state: State, out: Outbox, event: Unfrozen) -> None:
    """Grant leases again; rounds that form go on doing so with the time that they had left."""
    if state.frozen():
        row = FreezeRow(id=FREEZE, frozen=False, why=event.why, actor=event.actor, at_ms=state.now_ms)
        out.record("plane-unfrozen", FREEZE, row, *pausing.thawed(state), actor=event.actor, reason=event.why)
    out.send(Answer(ticket=event.ticket, word="done"))
