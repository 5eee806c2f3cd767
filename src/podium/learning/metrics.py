"""Metrics as ratios that add up: sum first, finalise last, by site and pooled, exact and order-free.

Decides: how (numerator, denominator) pairs of many devices become one number. Never: what a metric means, nor which
site is too small to be shown. Sums are whole numbers of 2^-1074, the smallest step of a float64, so that every float is
exact in them and no order or grouping changes a bit.
Limits: finite floats; a sum beyond float64 finalises to an `OverflowError` (the door bounds each value far below).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

Pairs = Mapping[str, tuple[float, float]]
"""Metric name -> (numerator, denominator)."""

_SHIFT = 1074
_ONE = 1 << _SHIFT


@dataclass
class State:
    """Site -> metric name -> (numerator, denominator), in whole steps of 2^-1074."""

    sites: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)


def add(state: State, site: str, pairs: Pairs) -> None:
    """Add one device's pairs under its site ("" if it has none). `ValueError` if a number is not finite."""
    steps = {name: (_steps(top), _steps(bottom)) for name, (top, bottom) in pairs.items()}
    _add_steps(state.sites.setdefault(site, {}), steps)


def merge(a: State, b: State) -> State:
    """Both states as one, in `a`; `b` is left as it is."""
    for site, steps in b.sites.items():
        _add_steps(a.sites.setdefault(site, {}), steps)
    return a


def by_site(state: State) -> dict[str, dict[str, tuple[float, float]]]:
    """The sums of each site, each number rounded once to float64."""
    return {site: _floats(steps) for site, steps in sorted(state.sites.items())}


def pooled(state: State) -> dict[str, tuple[float, float]]:
    """The sums over all sites; equal to what one site holding every device would have, to the bit."""
    whole: dict[str, tuple[int, int]] = {}
    for steps in state.sites.values():
        _add_steps(whole, steps)
    return _floats(whole)


def finalise(pairs: Pairs) -> dict[str, float]:
    """numerator / denominator by metric; a metric whose denominator is zero is left out, never NaN."""
    return {name: top / bottom for name, (top, bottom) in pairs.items() if bottom != 0}


def _steps(value: float) -> int:
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be part of a metric: only finite numbers add up")
    top, bottom = value.as_integer_ratio()  # bottom is a power of two, at most 2^1074
    return top << (_SHIFT + 1 - bottom.bit_length())


def _add_steps(into: dict[str, tuple[int, int]], steps: Mapping[str, tuple[int, int]]) -> None:
    for name, (top, bottom) in steps.items():
        held = into.get(name, (0, 0))
        into[name] = (held[0] + top, held[1] + bottom)


def _floats(steps: Mapping[str, tuple[int, int]]) -> dict[str, tuple[float, float]]:
    # Division of whole numbers is correctly rounded, whatever their size.
    return {name: (top / _ONE, bottom / _ONE) for name, (top, bottom) in sorted(steps.items())}
