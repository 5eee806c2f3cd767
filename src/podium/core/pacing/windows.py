"""When each device should come back: two windows a reply, one if this goes well and one if it does not.

Decides: return windows in ms. A small population is brought together (rendezvous) so that rounds form at once; a large
one is spread so that the plane sees at most `checkins_per_s_max` and a forming round still sees three devices for each
seat. Never: who gets a lease. Source: pace steering, Bonawitz et al. 2019, "Towards federated learning at scale",
section 2.3. Jitter is a keyed draw per device and moment, so that a crowd never returns at once.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from podium.core.draws import uniform
from podium.wire.limits import Limits

Need = Literal["soon", "idle"]
"""Whether a run will want devices soon, or nothing does (idle)."""

CANDIDATES_PER_SEAT = 3
PATIENCE = 16
"""Who waits with a round that has been short for so long comes back after a sixteenth of that time: the round loses at
most that share when its last device arrives, and a long wait costs each device few requests."""


def window_ms(limits: Limits, population: int, need: Need, seats: int) -> int:
    """The mean return window in ms for a population of `population` devices with `seats` to fill."""
    base = limits.window_idle_ms if need == "idle" else limits.window_rendezvous_ms
    if population <= limits.rendezvous_devices_max:
        return base
    floor = population * 1000 // limits.checkins_per_s_max
    if need == "idle":
        return min(max(floor, base), limits.window_max_ms)
    wanted = max(1, seats) * CANDIDATES_PER_SEAT
    spread = limits.window_soon_ms * population // wanted
    return min(max(floor, spread, base), limits.window_max_ms)


def patient_ms(limits: Limits, window: int, waited_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """`window` (ms), longer for a round that has been waiting for `waited_ms` (int64, one per device).

    Never beyond the idle window, nor half the time for which a seat is kept.
    """
    longest = min(limits.window_idle_ms, limits.reserve_ms // 2)
    return np.maximum(window, np.minimum(waited_ms // PATIENCE, longest))


def jittered(
    limits: Limits, window: int | NDArray[np.int64], devices: NDArray[np.int64], at_ms: NDArray[np.int64]
) -> NDArray[np.int64]:
    """`window` spread by +- `window_jitter`: int64 ms >= 1, one per device; all arrays int64 of one shape."""
    share = uniform(0, "return-window", devices * 1_000_003 + at_ms)
    spread: NDArray[np.int64] = (window * (1.0 + limits.window_jitter * (2.0 * share - 1.0))).astype(np.int64)
    return np.maximum(spread, 1)
