"""What an alias may be called: "<task>@<name>" with one of a few names, so that a slip of the pen makes none.

Decides: the names, and which one somebody meant. Never: whether an alias may move (core/models/aliases.py). Rows of
other names, from before the names were fixed, are read and shown as ever.
"""

from difflib import SequenceMatcher

LATEST = "latest"
"""The alias that follows the last sealed version of a task's model; the plane alone moves it."""
RELEASED_ONLY = ("production",)
"""Aliases that name released versions only."""
MOVABLE = ("candidate", "canary", *RELEASED_ONLY)
"""Aliases that people move."""


def nearest(name: str) -> str:
    """The name that people may move which is most like `name`."""
    return max(MOVABLE, key=lambda known: (SequenceMatcher(None, name.lower(), known).ratio(), known))
