"""Probes and own limits: what /sys says, and when a device will not train."""

import datetime
from pathlib import Path

import pytest

from podium.device.probes import Facts, GivenProbes, Machine, OwnLimits, SystemProbes

NOON = datetime.time(12, 0)


def _kernel(root: Path, files: dict[str, str]) -> SystemProbes:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return SystemProbes(root, sys=root / "sys", proc=root / "proc")


def test_a_laptop_on_battery(tmp_path: Path) -> None:
    facts = _kernel(
        tmp_path,
        {
            "sys/class/power_supply/BAT0/type": "Battery",
            "sys/class/power_supply/BAT0/capacity": "64",
            "sys/class/power_supply/BAT0/status": "Discharging",
            "sys/class/power_supply/AC/type": "Mains",
            "sys/class/thermal/thermal_zone0/temp": "41500",
            "sys/class/thermal/thermal_zone1/temp": "-273000",
            "proc/meminfo": "MemTotal:  16384 kB\nMemAvailable:  2048 kB",
        },
    ).facts()
    assert (facts.battery, facts.charging, facts.thermal_c, facts.ram_free_mb) == (0.64, False, 41.5, 2.0)
    assert facts.metered is None
    assert facts.disk_free_mb is not None
    assert facts.disk_free_mb > 0


def test_of_two_batteries_the_emptier_counts(tmp_path: Path) -> None:
    files: dict[str, str] = {}
    for name, capacity in (("BAT0", "90"), ("BAT1", "20")):
        files |= {
            f"sys/class/power_supply/{name}/type": "Battery",
            f"sys/class/power_supply/{name}/capacity": capacity,
            f"sys/class/power_supply/{name}/status": "Charging",
        }
    facts = _kernel(tmp_path, files).facts()
    assert (facts.battery, facts.charging) == (0.2, True)


def test_a_machine_without_battery_or_kernel_files_is_on_mains(tmp_path: Path) -> None:
    facts = _kernel(tmp_path, {}).facts()
    assert (facts.battery, facts.charging, facts.thermal_c, facts.ram_free_mb) == (None, True, None, None)


def test_this_machine_answers(tmp_path: Path) -> None:
    probes = SystemProbes(tmp_path)
    machine, facts = probes.machine(), probes.facts()
    assert machine.os
    assert machine.cores >= 1
    assert "_" not in machine.architecture
    assert facts.battery is None or 0 <= facts.battery <= 1


def test_given_facts_can_change() -> None:
    probes = GivenProbes(Facts(battery=0.5), Machine(os="linux"))
    assert probes.facts().battery == 0.5
    probes.now = Facts(battery=0.1)
    assert probes.facts().battery == 0.1
    assert probes.machine().os == "linux"


@pytest.mark.parametrize(
    ("own", "facts", "ground"),
    [
        (OwnLimits(), Facts(), ""),
        (OwnLimits(), Facts(busy=True), "busy"),
        (OwnLimits(), Facts(busy=True, private=True), "private"),
        (OwnLimits(battery_min=0.5), Facts(battery=0.4), "battery"),
        (OwnLimits(battery_min=0.5), Facts(battery=0.5), ""),
        (OwnLimits(battery_min=0.5), Facts(battery=0.4, charging=True), "battery"),
        (OwnLimits(battery_min=0.5), Facts(), "battery"),
        (OwnLimits(battery_min=0.5), Facts(charging=True), ""),
        (OwnLimits(charging=True), Facts(charging=True), ""),
        (OwnLimits(charging=True), Facts(charging=False), "battery"),
        (OwnLimits(charging=True), Facts(), "battery"),
        (OwnLimits(unmetered=True), Facts(metered=False), ""),
        (OwnLimits(unmetered=True), Facts(metered=True), "metered"),
        (OwnLimits(unmetered=True), Facts(), "metered"),
        (OwnLimits(thermal_c_max=40.0), Facts(thermal_c=40.0), ""),
        (OwnLimits(thermal_c_max=40.0), Facts(thermal_c=40.1), "thermal"),
        (OwnLimits(thermal_c_max=40.0), Facts(), "thermal"),
        (OwnLimits(windows=(("11:00", "13:00"),)), Facts(), ""),
        (OwnLimits(windows=(("12:00", "12:00"),)), Facts(), "schedule"),
        (OwnLimits(windows=(("10:00", "12:00"), ("13:00", "14:00"))), Facts(), "schedule"),
        (OwnLimits(windows=(("22:00", "06:00"),)), Facts(), "schedule"),
        (OwnLimits(windows=(("22:00", "12:01"),)), Facts(), ""),
    ],
)
def test_grounds(own: OwnLimits, facts: Facts, ground: str) -> None:
    assert own.ground(facts, NOON) == ground
