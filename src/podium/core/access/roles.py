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


def permit(subject: str, verb: str, verbs: frozenset[str] | None = None) -> None:
    """Return if `subject` may `verb`; `OperatorFault(verb-denied)` otherwise.

    `verbs`: those that its credential covers; without them `subject` is a role and has the role's.
    """
    covered = VERBS.get(subject, frozenset()) if verbs is None else verbs
    if verb not in covered:
        why = f"{subject} may only read" if covered <= READING else f"{subject} may {', '.join(sorted(covered))}"
        raise OperatorFault("verb-denied", what=f"{verb} by {subject}", why=why)
