"""A run or a device of a plane that decides nothing (its disk is full, it reloads): what is wrong, and what to do.

Decides: what is left of a screen when there is no core to read. Never: what is wrong (core/views/explain.py). Its live
fragment is called as in the whole screens, so that a page opened before says it too.
"""

import shlex

from podium.server.console.rendering import Screen
from podium.wire.explained import Explanation


def standstill(told: Explanation, crumbs: tuple[tuple[str, str], ...]) -> Screen:
    """The screen of what `told` is about; `crumbs` as on the whole one."""
    heading = f"{told.kind.capitalize()} {told.subject}"
    return Screen(
        template="standstill.html",
        title=heading,
        heading=heading,
        twin=f"podium explain {shlex.quote(told.subject)}",
        crumbs=crumbs,
        told={"explained": told},
    )
