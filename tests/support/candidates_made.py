"""Candidates and asks for tests of strategies: plain columns, of which a test names only what it is about."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from podium.core.draws import uniform
from podium.core.selection.strategies.strategy import Candidates, RoundAsk

NAN = float("nan")


def candidates(device: ArrayLike, **columns: ArrayLike) -> Candidates:
    """Candidates of these device numbers; a column that is not given tells nothing."""
    devices: NDArray[np.int64] = np.array(device, np.int64)
    count = len(devices)
    told: dict[str, ArrayLike] = {
        "draw": uniform(5, "reserve", devices),
        "last_round": [-1] * count,
        "times": [0] * count,
        "stratum": [0] * count,
        "preference": [1.0] * count,
        **columns,
    }

    def level(name: str) -> NDArray[np.float32]:
        return np.array(told.pop(name, [NAN] * count), np.float32)

    def number(name: str) -> NDArray[np.int32]:
        return np.array(told.pop(name), np.int32)

    made = Candidates(
        device=devices,
        draw=np.array(told.pop("draw"), np.float64),
        utility=level("utility"),
        loss=level("loss"),
        duration_ms=level("duration_ms"),
        last_round=number("last_round"),
        times=number("times"),
        quality=level("quality"),
        stratum=number("stratum"),
        preference=level("preference"),
    )
    assert not told, f"no columns {set(told)}"
    return made


def ask(
    seats: int, number: int = 1, utility_cap: float = float("inf"), strata_shares: dict[int, float] | None = None
) -> RoundAsk:
    """An ask for `seats` in the round of this `number`; a second is what a training may take."""
    return RoundAsk(
        round=number,
        seats=seats,
        preferred_ms=1_000.0,
        utility_cap=utility_cap,
        strata_shares=strata_shares or {},
    )
