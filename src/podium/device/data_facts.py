"""What a device's data is like, counted on the device: label coverage, missing values, freshness.

Decides: how the three numbers come from what datasets describe of themselves. Never: whether the plane hears them (the
owner's settings, agent.py), nor what follows. Only the three numbers leave; labels, values and times stay.
Limits: a dataset that describes nothing counts nothing; one whose description fails is passed over and logged.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

log = logging.getLogger("podium.device")

_FOREIGN_ERRORS = (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)
HOUR_S = 3600.0


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What one dataset says of itself; what it does not know is left out.

    `labels`: the class of each example, shape (n,), any dtype. `classes`: how many there are at all, also those that it
    holds none of. `values`: the examples, any shape; NaN is a missing value. `newest_s`: when its newest example was
    made, seconds since 1970 (UTC).
    """

    labels: NDArray[np.generic] | None = None
    classes: int = 0
    values: NDArray[np.generic] | None = None
    newest_s: float | None = None


@runtime_checkable
class Describing(Protocol):
    """A dataset that describes itself."""

    def described(self) -> Described:
        """Asked once for each session; must not take long."""
        ...


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """What a device's data is like; None is unknown. `label_coverage`, `missing_rate`: shares in [0, 1].

    `freshness_h`: hours since the newest example.
    """

    label_coverage: float | None = None
    missing_rate: float | None = None
    freshness_h: float | None = None


def quality(told: Sequence[Described], now_s: float) -> Quality:
    """The three numbers over all datasets `told` at `now_s` (seconds since 1970).

    Coverage: classes held, of all classes there are, summed over the datasets with labels. Missing: NaN values of all
    values. Freshness: of the newest example of any; one from the future counts as made now, its clock is ahead.
    """
    labelled = [each for each in told if each.labels is not None and each.classes > 0]
    valued = [each.values for each in told if each.values is not None and each.values.size]
    times = [each.newest_s for each in told if each.newest_s is not None]
    classes, values = sum(each.classes for each in labelled), sum(each.size for each in valued)
    held = sum(min(_distinct(each.labels), each.classes) for each in labelled)
    missing = sum(_missing(each) for each in valued)
    return Quality(
        label_coverage=held / classes if classes else None,
        missing_rate=missing / values if values else None,
        freshness_h=max(0.0, now_s - max(times)) / HOUR_S if times else None,
    )


def descriptions(datasets: Iterable[object]) -> list[Described]:
    """What those of `datasets` say of themselves that do."""
    found: list[Described] = []
    for each in datasets:
        if not isinstance(each, Describing):
            continue
        try:
            found.append(each.described())
        except _FOREIGN_ERRORS as error:
            log.warning("a dataset does not describe itself: %s: %s", type(error).__name__, error)
    return found


def _distinct(labels: NDArray[np.generic] | None) -> int:
    return 0 if labels is None else len(np.unique(labels))


def _missing(values: NDArray[np.generic]) -> int:
    return int(np.count_nonzero(np.isnan(values))) if values.dtype.kind in "fc" else 0
