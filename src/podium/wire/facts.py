"""What a device may tell of itself: each fact with its unit and the range beyond which it is broken or lies.

Decides: which numbers are facts at all, for the door that refuses the others and for the agent that does not tell them.
Never: what a rule makes of one, nor whether it fits what the plane measured (core/fleet/claims.py).
"""

import math

import msgspec

from podium.wire.problems import DeviceFault

COUNT_MAX = 2**53 - 1
"""Counts are signed and kept as JSON integers."""
EXAMPLES_MAX = 2**31 - 1


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """One number that a device tells: its unit, the least and the most it may be, and what it says.

    `measured`: the plane measures it too, so that a claim is held to history.
    """

    unit: str
    least: float
    most: float
    what: str
    measured: bool = False


MOMENTARY: dict[str, Range] = {
    "battery": Range(unit="share", least=0.0, most=1.0, what="how full the battery is"),
    "ram_free_mb": Range(unit="MB", least=0.0, most=1e9, what="memory that programs may still have"),
    "disk_free_mb": Range(unit="MB", least=0.0, most=1e12, what="free space where the agent keeps its state"),
    "thermal_c": Range(unit="degrees C", least=-100.0, most=300.0, what="the hottest sensor"),
    "download_mb_s": Range(unit="MB/s", least=0.0, most=1e6, what="what its last download saw", measured=True),
    "upload_mb_s": Range(unit="MB/s", least=0.0, most=1e6, what="what its last upload saw", measured=True),
    "latency_ms": Range(unit="ms", least=0.0, most=1e7, what="a round trip to the plane", measured=True),
}
"""Told at each check-in as a JSON number, or left out: unknown."""
SWITCHES: dict[str, str] = {"charging": "power comes from outside", "metered": "the network costs by the byte"}
"""Told at each check-in as true or false, or left out: unknown."""
QUALITIES: dict[str, Range] = {
    "label_coverage": Range(unit="share", least=0.0, most=1.0, what="label classes that it holds, of all there are"),
    "missing_rate": Range(unit="share", least=0.0, most=1.0, what="values that are missing, of all"),
    "freshness_h": Range(unit="h", least=0.0, most=1e6, what="since its newest example; less than 0 is the future"),
}
"""Told with each session as a canonical decimal, where the device's owner lets it; or left out: unknown."""
COUNTS: dict[str, Range] = {
    "ram_mb": Range(unit="MB", least=0, most=COUNT_MAX, what="memory; 0: unknown"),
    "cores": Range(unit="cores", least=0, most=COUNT_MAX, what="processor cores; 0: unknown"),
    "datasets": Range(unit="examples", least=0, most=EXAMPLES_MAX, what="examples by dataset; 0: kept to itself"),
}
"""Told with each session as a whole JSON number."""
RANGES: dict[str, Range] = {**MOMENTARY, **QUALITIES, **COUNTS}


def check_fact(name: str, value: float) -> None:
    """Return if `value` can be that of fact `name`; `DeviceFault(fact-absurd)` names the range it is not in."""
    if not possible(name, value):
        span = RANGES[name]
        why = f"it is within [{span.least:.16g}, {span.most:.16g}] {span.unit}"
        raise DeviceFault("fact-absurd", what=f"{name} is told as {value:.6g}", why=why)


def possible(name: str, value: float) -> bool:
    """Whether `value` is a finite number in the range of fact `name`."""
    span = RANGES[name]
    return math.isfinite(value) and span.least <= value <= span.most
