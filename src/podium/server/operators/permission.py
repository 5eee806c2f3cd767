"""Whether somebody may do a verb, at whatever door of people and services: the one place that asks, and tells.

Decides: that no denied attempt goes unheard: it is logged, and the core hears of it, which records the first of each
subject and hour. Never: what a role or a credential covers (core/access/roles.py), nor who showed one (plane_data.py).
"""

import logging

from podium.core.access import roles
from podium.server.loop.loop import Loop, note_denied
from podium.server.plane_data import Who
from podium.wire.problems import OperatorFault

log = logging.getLogger("podium.operators")


def permit(loop: Loop, who: Who, verb: str) -> None:
    """Return if `who` may `verb`; else `OperatorFault(verb-denied)`, once it is told."""
    try:
        roles.permit(who.actor, verb, who.verbs)
    except OperatorFault as fault:
        raise denied(loop, who, verb, fault.why) from fault


def denied(loop: Loop, who: Who, verb: str, why: str) -> OperatorFault:
    """The fault of `who`, who may not `verb` here; it is told."""
    note_denied(loop, who.actor, "verb-denied")
    log.warning("denied", extra={"actor": who.actor, "verb": verb})
    return OperatorFault("verb-denied", what=f"{verb} by {who.actor}", why=why)
