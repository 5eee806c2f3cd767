"""Probes and the device's own limits: what the machine is and how it is now, and when it will not train.

Decides: whether this device declines a lease on its own grounds, and with which public word. Never: what the plane
selects by (core/selection). Grounds that concern a person or the data are told as the one word `private`.
Limits: `SystemProbes` reads Linux's /sys and /proc; what is not there stays None, "unknown".
"""

import datetime
import os
import platform
import shutil
from pathlib import Path
from typing import Protocol

import msgspec

_MACHINES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i686": ("386", ""),
}
"""`uname -m` -> architecture and variant in the GOARCH words of OCI image indexes."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """How the device is at this moment; None is unknown. `battery` 0..1, memory in MB, `thermal_c` degrees Celsius.

    `download_mb_s`, `upload_mb_s`: MB/s of the last transfers; `latency_ms`: of a round trip to the plane.

    `busy`: the machine is needed for its own work. `private`: a person or the data's owner says no.
    """

    battery: float | None = None
    charging: bool | None = None
    metered: bool | None = None
    ram_free_mb: float | None = None
    disk_free_mb: float | None = None
    thermal_c: float | None = None
    download_mb_s: float | None = None
    upload_mb_s: float | None = None
    latency_ms: float | None = None
    busy: bool = False
    private: bool = False


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What the device is, constant over a session. `os`, `architecture`, `variant` in GOOS and GOARCH words."""

    os: str = ""
    architecture: str = ""
    variant: str = ""
    ram_mb: int = 0
    cores: int = 0
    accelerator: str = ""


class Probes(Protocol):
    """Where a device's facts come from."""

    def machine(self) -> Machine:
        """What the device is; asked once per session."""
        ...

    def facts(self) -> Facts:
        """How it is now; asked at each check-in and while training. Must be quick (well below a millisecond)."""
        ...


class GivenProbes:
    """Facts that somebody gives: tests, simulations, and hosts that know their device better than /sys does."""

    def __init__(self, facts: Facts | None = None, machine: Machine | None = None) -> None:
        """`now` may be replaced at any time, from any thread."""
        self.now = facts or Facts()
        self._machine = machine or Machine()

    def machine(self) -> Machine:
        """The given machine."""
        return self._machine

    def facts(self) -> Facts:
        """The facts given last."""
        return self.now


class SystemProbes:
    """Facts of this machine from the operating system: power supply, temperature, memory, disk."""

    def __init__(self, disk: Path | None = None, sys: Path = Path("/sys"), proc: Path = Path("/proc")) -> None:
        """`disk`: a path whose file system's free space counts. `sys`, `proc`: where the kernel's files are."""
        self._disk = disk or Path.cwd()
        self._supplies = sys / "class/power_supply"
        self._zones = sys / "class/thermal"
        self._meminfo = proc / "meminfo"

    def machine(self) -> Machine:
        """Operating system, architecture, memory and cores."""
        raw = platform.machine()
        architecture, variant = _MACHINES.get(raw, (raw, ""))
        return Machine(
            os=platform.system().lower(),
            architecture=architecture,
            variant=variant,
            ram_mb=int(self._memory_mb("MemTotal") or 0),
            cores=os.cpu_count() or 0,
        )

    def facts(self) -> Facts:
        """The present facts. A machine whose kernel lists no battery counts as charging."""
        battery, charging = self._power()
        return Facts(
            battery=battery,
            charging=charging,
            ram_free_mb=self._memory_mb("MemAvailable"),
            disk_free_mb=shutil.disk_usage(self._disk).free / 2**20,
            thermal_c=self._hottest(),
        )

    def _power(self) -> tuple[float | None, bool | None]:
        """Battery level 0..1 and whether it charges, of the emptiest battery; (None, True) without one."""
        level: float | None = None
        charging = True
        for supply in self._supplies.glob("*"):
            capacity = _number(supply / "capacity")
            if _text(supply / "type") != "Battery" or capacity is None:
                continue
            charging = charging and _text(supply / "status") in ("Charging", "Full", "Not charging")
            level = min(1.0 if level is None else level, capacity / 100)
        return level, charging

    def _hottest(self) -> float | None:
        """The highest zone in degrees Celsius (the kernel tells thousandths)."""
        readings = [_number(zone / "temp") for zone in self._zones.glob("thermal_zone*")]
        return max((reading / 1000 for reading in readings if reading is not None), default=None)

    def _memory_mb(self, name: str) -> float | None:
        for line in (_text(self._meminfo) or "").splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) / 1024
        return None


def _text(path: Path) -> str | None:
    """The stripped text of a kernel file; None where the kernel has none or will not tell."""
    try:
        return path.read_text().strip()
    except OSError:
        return None


def _number(path: Path) -> float | None:
    text = _text(path)
    return float(text) if text is not None and text.lstrip("-").isdigit() else None


class OwnLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When a device will not train, whatever it is offered. The defaults limit nothing.

    `battery_min` 0..1. `windows`: local (start, end) times as "HH:MM" in which it may train, none = always; a window
    may run over midnight. A limit on a fact that is unknown holds it back, but for the battery of a charging machine.
    """

    battery_min: float = 0.0
    charging: bool = False
    unmetered: bool = False
    thermal_c_max: float | None = None
    windows: tuple[tuple[str, str], ...] = ()

    def ground(self, facts: Facts, now: datetime.time) -> str:
        """Why the device declines at the local time `now`: a decline word of the protocol, or "" if it does not."""
        if facts.private:
            return "private"
        if facts.busy:
            return "busy"
        if self.charging and not facts.charging:
            return "battery"
        level = 1.0 if facts.battery is None and facts.charging else facts.battery or 0.0
        if level < self.battery_min:
            return "battery"
        if self.unmetered and facts.metered is not False:
            return "metered"
        if self.thermal_c_max is not None and (facts.thermal_c is None or facts.thermal_c > self.thermal_c_max):
            return "thermal"
        if self.windows and not any(_within(start, end, now) for start, end in self.windows):
            return "schedule"
        return ""


def _within(start: str, end: str, now: datetime.time) -> bool:
    first, last = datetime.time.fromisoformat(start), datetime.time.fromisoformat(end)
    return first <= now < last if first <= last else (now >= first or now < last)
