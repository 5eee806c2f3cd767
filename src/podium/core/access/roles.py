"""Roles and the verbs they may use; least privilege, denied by default.

Decides: whether a role may do a verb. Never: who has which role (the credential says so at the gateway).
"""

from difflib import SequenceMatcher

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


def known(verb: str) -> None:
    """Return if there is such a verb; `OperatorFault(usage)` with the nearest: a slip is no denied attempt."""
    if verb not in EVERY:
        nearest = max(sorted(EVERY), key=lambda each: SequenceMatcher(None, verb.lower(), each).ratio())
        why, next = f"the nearest is {nearest}", "podium auth can-i lists those that this credential may"
        raise OperatorFault("usage", what=f"no verb is called {verb[:64]}", why=why, next=next)


def permit(subject: str, verb: str, verbs: frozenset[str] | None = None) -> None:
    """Return if `subject` may `verb`; `OperatorFault(verb-denied)` otherwise.

    `verbs`: those that its credential covers; without them `subject` is a role and has the role's.
    """
    covered = VERBS.get(subject, frozenset()) if verbs is None else verbs
    if verb not in covered:
        why = f"{subject} may only read" if covered <= READING else f"{subject} may {', '.join(sorted(covered))}"
        raise OperatorFault("verb-denied", what=f"{verb} by {subject}", why=why)
