"""The aggregation role of a simulation: self-checking one-hot sums, or, of fleets too large for those, lists.

Decides: nothing. In a `OneHotEngine` each device's update is 1 at its own number and 0 elsewhere, so the mean times the
number of updates says exactly who was counted, and a 2 is a double count. Sealing is left out; sums are
learning/fedavg's. A `ListEngine` keeps who was added. training_engine.py trains them for real.
"""

import hashlib
from collections.abc import Sequence
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.core.said import LeaseReported, MetricSums
from podium.core.state import State
from podium.kernels.sums import choose_grid
from podium.learning import fedavg
from podium.sim.devices import Message

TENSOR = "one-hot"
Key = tuple[str, int]
Added = tuple[str, int, bool]
"""(lease, device, whether its update is broken)."""


class SimEngine(Protocol):
    """One sum per open round, in memory that a crash takes."""

    scores: dict[Key, tuple[float, float]]
    """Round -> accuracy and loss of the version that it made, on held-out examples; of those that measure any."""

    def begin(self, key: Key, base: str) -> None:
        """Round `key` starts from version `base`."""
        ...

    def measure(self, key: Key, devices: NDArray[np.int64]) -> list[tuple[float, MetricSums]]:
        """What each of `devices` tells of the base: its update's weight, its metrics; empty if they tell anything."""
        ...

    def judge(self, key: Key, updates: Sequence[Added]) -> list[str]:
        """Add each update of round `key` once; for each "" or the code of its refusal."""
        ...

    def finish(self, key: Key, leases: Sequence[str]) -> tuple[str, NDArray[np.float64]]:
        """The digest of the version made, and what the sum came to; ValueError if it is not over `leases`."""
        ...

    def drop(self, key: Key, bases: Sequence[Key]) -> None:
        """Forget the sum of round `key`, and what the rounds `bases` began with: nobody works on those any more."""
        ...


class OneHotEngine:
    """How often each device was counted: float64, one per device."""

    def __init__(self, devices: int, cohort: int) -> None:
        self._devices = devices
        self._grid = choose_grid(cohort, 1.0, 1.0)
        self._sums: dict[Key, fedavg.State] = {}
        self._added: dict[Key, set[str]] = {}
        self.scores: dict[Key, tuple[float, float]] = {}

    def begin(self, key: Key, base: str) -> None:
        """See `SimEngine`; nothing depends on the base."""

    def measure(self, key: Key, devices: NDArray[np.int64]) -> list[tuple[float, MetricSums]]:
        """See `SimEngine`; nothing is measured."""
        return []

    def judge(self, key: Key, updates: Sequence[Added]) -> list[str]:
        """See `SimEngine`."""
        return [self._judge(key, lease, device, corrupt) for lease, device, corrupt in updates]

    def _judge(self, key: Key, lease: str, device: int, corrupt: bool) -> str:
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

    def finish(self, key: Key, leases: Sequence[str]) -> tuple[str, NDArray[np.float64]]:
        """See `SimEngine`."""
        require_same(key, self._added.get(key, set()), leases)
        mean = fedavg.finish(self._sums[key])[TENSOR]
        counted: NDArray[np.float64] = mean * len(leases)
        return digest_of(key, counted), counted

    def drop(self, key: Key, bases: Sequence[Key]) -> None:
        """See `SimEngine`; no base is kept."""
        self._sums.pop(key, None)
        self._added.pop(key, None)


class ListEngine:
    """The devices that were counted, in order: float64 numbers."""

    def __init__(self) -> None:
        self._added: dict[Key, dict[str, int]] = {}
        self.scores: dict[Key, tuple[float, float]] = {}

    def begin(self, key: Key, base: str) -> None:
        """See `SimEngine`; nothing depends on the base."""

    def measure(self, key: Key, devices: NDArray[np.int64]) -> list[tuple[float, MetricSums]]:
        """See `SimEngine`; nothing is measured."""
        return []

    def judge(self, key: Key, updates: Sequence[Added]) -> list[str]:
        """See `SimEngine`."""
        added = self._added.setdefault(key, {})
        added.update({lease: device for lease, device, corrupt in updates if not corrupt})
        return ["not-finite" if corrupt else "" for _, _, corrupt in updates]

    def finish(self, key: Key, leases: Sequence[str]) -> tuple[str, NDArray[np.float64]]:
        """See `SimEngine`."""
        added = self._added.get(key, {})
        require_same(key, set(added), leases)
        counted = np.array(sorted(added.values()), np.float64)
        return digest_of(key, counted), counted

    def drop(self, key: Key, bases: Sequence[Key]) -> None:
        """See `SimEngine`; no base is kept."""
        self._added.pop(key, None)


def digest_of(key: Key, values: NDArray[np.float64]) -> str:
    """A version's digest by its round and content."""
    return "sha256:" + hashlib.sha256(f"{key}{values.tobytes().hex()}".encode()).hexdigest()


def require_same(key: Key, added: set[str], leases: Sequence[str]) -> None:
    """`ValueError` unless the sum of round `key` is over exactly `leases`."""
    if added != set(leases):
        raise ValueError(f"the sum of {key} is over {sorted(added)}, not {sorted(leases)}")


def measured(engine: SimEngine, state: State, said: list[Message]) -> list[Message]:
    """What devices say, with what their reports tell of their base, if `engine` measures it."""
    by_round: dict[Key, list[int]] = {}
    for place, each in enumerate(said):
        if isinstance(each, LeaseReported) and each.lease in state.leases:
            lease = state.leases[each.lease]
            by_round.setdefault((lease.run, lease.round), []).append(place)
    for key, places in by_round.items():
        told = engine.measure(key, np.array([said[place].device for place in places]))
        for place, (weight, metrics) in zip(places, told, strict=False):
            said[place] = msgspec.structs.replace(said[place], weight=weight, metrics=metrics)
    return said
