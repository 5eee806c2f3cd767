"""A plane from where a person stands: the operator API as typed calls, a plane found, embedded, submitted to, watched.

Decides: nothing that the plane decides. Never: talks to a device. Loading it loads no part of the server.
"""

from podium.plane.embedded import Plane
from podium.plane.link import OperatorLink
from podium.plane.runs import RoundSealed, Run, RunEnded, RunMoved

__all__ = ["OperatorLink", "Plane", "RoundSealed", "Run", "RunEnded", "RunMoved"]
