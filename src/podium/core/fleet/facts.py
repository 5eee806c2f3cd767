"""Facts about a device under the names that rules use: "device.ram_mb", "device.battery".

Decides: which facts exist and how they come from what a device tells; an unknown fact is absent. Never: what a rule
makes of them (core/selection).
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from podium.core.fleet.telemetry import LEVELS, SWITCHES, Telemetry
from podium.wire.messages import Capabilities

Fact = bool | int | float | str | dict[str, int] | dict[str, str]
Facts = dict[str, Fact]

DATASETS = "device.datasets"
NOT_TOLD = "not told"
"""How the number of a dataset's examples is read that a device keeps to itself: it tells 0."""
_TEXTS = ("os", "architecture", "variant", "accelerator", "agent")
_SIZES = ("ram_mb", "cores")
_DIGITS = {"device.battery": 6, "device.label_coverage": 6, "device.missing_rate": 6, "device.thermal_c": 3}
"""Facts that rules compare with round numbers -> the digits after the point that a float32 keeps of them: the float32
of 0.7 is less than 0.7, and a device that tells 0.7 satisfies `>= 0.7`."""
REGION = "region"
"""The label that says where in the world a device is."""


def standing_facts(capabilities: Capabilities, datasets: Sequence[str], site: str, labels: Mapping[str, str]) -> Facts:
    """The facts that a whole class of devices shares for a session: what they can do, and what their enrolment says.

    `datasets`: their names in the order of their slots (fleet/sets.py); the examples in them are each device's own.
    """
    facts: Facts = {f"device.{name}": getattr(capabilities, name) for name in _TEXTS if getattr(capabilities, name)}
    facts |= {f"device.{name}": getattr(capabilities, name) for name in _SIZES if getattr(capabilities, name) > 0}
    facts["device.runtimes"] = dict(capabilities.runtimes)
    facts["device.plans"] = dict(capabilities.plans)
    facts[DATASETS] = dict.fromkeys(datasets, 0)
    facts["device.site"] = site
    facts["device.labels"] = dict(labels)
    if REGION in labels:
        facts["device.region"] = labels[REGION]
    return facts


def data_row(columns: Mapping[str, NDArray[np.float32]], device: int) -> Facts:
    """What one device told of its data, of the level `columns` by name; NaN is unknown."""
    return dict(_levels(columns.items(), device))


def _levels(columns: Iterable[tuple[str, NDArray[np.float32]]], row: int) -> Iterable[tuple[str, float]]:
    for name, column in columns:
        level = float(as_told(f"device.{name}", column[row].astype(np.float64)))
        if not math.isnan(level):
            yield f"device.{name}", level


def as_told(fact: str, levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """`levels` (float64, any shape, NaN unknown) of `fact`, which were kept as float32, as the device wrote them."""
    digits = _DIGITS.get(fact)
    return levels if digits is None else np.round(levels, digits)


def momentary_facts(telemetry: Telemetry, row: int) -> Facts:
    """The facts of one row of `telemetry`; NaN and -1 are unknown."""
    facts: Facts = dict(_levels(((name, getattr(telemetry, name)) for name in LEVELS), row))
    for name in SWITCHES:
        switch = int(getattr(telemetry, name)[row])
        if switch >= 0:
            facts[f"device.{name}"] = bool(switch)
    return facts
