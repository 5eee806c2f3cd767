"""A plane from where a person stands: the operator API as typed calls, a plane found, embedded, submitted to, watched.

Decides: nothing that the plane decides. Never: talks to a device. Loading it loads no part of the server; the names
below are loaded when they are first used, so that a verb that asks one question starts fast.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from podium.plane.embedded import Plane as Plane
    from podium.plane.link import OperatorLink as OperatorLink
    from podium.plane.runs import RoundSealed as RoundSealed
    from podium.plane.runs import Run as Run
    from podium.plane.runs import RunEnded as RunEnded
    from podium.plane.runs import RunMoved as RunMoved

_HOMES = {
    "OperatorLink": "podium.plane.link",
    "Plane": "podium.plane.embedded",
    "RoundSealed": "podium.plane.runs",
    "Run": "podium.plane.runs",
    "RunEnded": "podium.plane.runs",
    "RunMoved": "podium.plane.runs",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
