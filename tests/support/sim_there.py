"""How much of a simulated fleet is there."""

import numpy as np
from numpy.typing import NDArray

from podium.sim.traces import Availability


def share_there(availability: Availability, devices: NDArray[np.int64], at_ms: int) -> float:
    """The share of `devices` (int64, not empty) that are there at `at_ms`."""
    moment = np.full(len(devices), at_ms, np.int64)
    return float(np.mean(availability.next_ms(devices, moment) == moment))
