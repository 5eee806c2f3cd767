"""Roles and the verbs they may use; least privilege, denied by default.

Decides: whether a role may do a verb. Never: who has which role (the credential says so at the gateway).
"""

from podium.wire.problems import OperatorFault

READING: frozenset[str] = frozenset(
    {
        "status.read",
        "runs.read",
        "devices.read",
        "versions.read",
        "journal.read",
        "whoami.read",
        "keys.read",
        "services.read",
        "webhooks.read",
    }
)
CHANGING: frozenset[str] = frozenset(
    {
        "runs.submit",
        "runs.stop",
        "runs.pause",
        "runs.retry",
        "plane.freeze",
        "tokens.issue",
        "devices.mark",
        "versions.release",
        "versions.promote",
        "services.issue",
        "webhooks.set",
        "keys.rotate",
    }
)
EVERY = READING | CHANGING
VERBS: dict[str, frozenset[str]] = {"administrator": EVERY, "viewer": READING}


def permit(role: str, verb: str) -> None:
    """Return if `role` may `verb`; `OperatorFault(verb-denied)` otherwise."""
    if verb not in VERBS.get(role, frozenset()):
        raise OperatorFault("verb-denied", what=f"{verb} by {role}", why=f"{role} may only read")
