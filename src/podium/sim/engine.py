"""The aggregation role of a simulation: real exact sums over one-hot updates.

Decides: nothing. Each device's update is 1 at its own number and 0 elsewhere, so the mean times the number of updates
says exactly who was counted, and a 2 is a double count. Sealing is left out; sums are learning/fedavg's.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from podium.kernels.sums import choose_grid
from podium.learning import fedavg

TENSOR = "one-hot"


class OneHotEngine:
    """One sum per open round, in memory that a crash takes."""

    def __init__(self, devices: int, cohort: int) -> None:
        self._devices = devices
        self._grid = choose_grid(cohort, 1.0, 1.0)
        self._sums: dict[tuple[str, int], fedavg.State] = {}
        self._added: dict[tuple[str, int], set[str]] = {}

    def judge(self, key: tuple[str, int], lease: str, device: int, corrupt: bool) -> str:
        """Add the update of `lease` once; "" or the code of its refusal."""
        if corrupt:
            return "not-finite"
        state = self._sums.setdefault(key, fedavg.init({TENSOR: (self._devices,)}, self._grid))
        added = self._added.setdefault(key, set())
        if lease not in added:
            update = np.zeros(self._devices, np.float32)
            update[device] = 1.0
            fedavg.add(state, {TENSOR: update}, 1.0)
            added.add(lease)
        return ""

    def finish(self, key: tuple[str, int], leases: Sequence[str]) -> NDArray[np.float64]:
        """How often each device was counted (float64, one per device); ValueError if the sum is not over `leases`."""
        if self._added.get(key, set()) != set(leases):
            raise ValueError(f"the sum of {key} is over {sorted(self._added.get(key, set()))}, not {sorted(leases)}")
        mean = fedavg.finish(self._sums[key])[TENSOR]
        counted: NDArray[np.float64] = mean * len(leases)
        return counted

    def drop(self, key: tuple[str, int]) -> None:
        """Forget a round."""
        self._sums.pop(key, None)
        self._added.pop(key, None)
