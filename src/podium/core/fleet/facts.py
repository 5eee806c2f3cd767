"""Facts about a device under the names that rules use: "device.ram_mb", "device.battery".

Decides: which facts exist and how they come from what a device tells; an unknown fact is absent. Never: what a rule
makes of them (core/selection).
"""

import math

from podium.core.events import Telemetry
from podium.core.rows import DeviceRow
from podium.wire.messages import Capabilities

Fact = bool | int | float | str | dict[str, int] | dict[str, str]
Facts = dict[str, Fact]

DATASETS = "device.datasets"
NOT_TOLD = "not told"
"""How the number of a dataset's examples is read that a device keeps to itself: it tells 0."""
_TEXTS = ("os", "architecture", "variant", "accelerator", "agent")
_SIZES = ("ram_mb", "cores")
_LEVELS = ("battery", "ram_free_mb", "disk_free_mb", "thermal_c")
_SWITCHES = ("charging", "metered")


def standing_facts(capabilities: Capabilities, device: DeviceRow) -> Facts:
    """The facts that hold for a session: what the device can do, and what its enrolment says of it."""
    facts: Facts = {f"device.{name}": getattr(capabilities, name) for name in _TEXTS if getattr(capabilities, name)}
    facts |= {f"device.{name}": getattr(capabilities, name) for name in _SIZES if getattr(capabilities, name) > 0}
    facts["device.runtimes"] = dict(capabilities.runtimes)
    facts["device.plans"] = dict(capabilities.plans)
    facts[DATASETS] = dict(capabilities.datasets)
    facts["device.site"] = device.site
    facts["device.labels"] = dict(device.labels)
    return facts


def momentary_facts(telemetry: Telemetry, row: int) -> Facts:
    """The facts of one row of `telemetry`; NaN and -1 are unknown."""
    facts: Facts = {}
    for name in _LEVELS:
        level = float(getattr(telemetry, name)[row])
        if not math.isnan(level):
            facts[f"device.{name}"] = level
    for name in _SWITCHES:
        switch = int(getattr(telemetry, name)[row])
        if switch >= 0:
            facts[f"device.{name}"] = bool(switch)
    return facts
