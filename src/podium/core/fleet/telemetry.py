"""What devices tell of themselves, in columns: momentary facts at each check-in, facts about their data each session.

Decides: which facts there are, their types, and how "not told" is written: NaN in a level, -1 in a switch or a count.
Never: what a rule makes of them. One array element per device; all arrays of one struct have one shape (n,).
"""

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

Level = NDArray[np.float32]
Switch = NDArray[np.int8]
Count = NDArray[np.int32]

ABSENT = -1
"""`DataFacts.examples` of a device that has no such dataset; 0 is one that keeps the number to itself."""


class Telemetry(msgspec.Struct, frozen=True, kw_only=True):
    """Momentary facts. Levels are float32, NaN unknown; switches int8 (0, 1, -1 unknown).

    battery: in [0, 1]. ram_free_mb, disk_free_mb: MB. thermal_c: degrees C. download_mb_s, upload_mb_s: MB/s that the
    device last saw. latency_ms: ms of a round trip to the plane.
    """

    battery: Level
    charging: Switch
    metered: Switch
    ram_free_mb: Level
    disk_free_mb: Level
    thermal_c: Level
    download_mb_s: Level
    upload_mb_s: Level
    latency_ms: Level


class DataFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What devices tell of their data, where their site lets them.

    examples: dataset name -> int32 (`ABSENT`: no such dataset, 0: not told how many); a name that is missing here is
    nobody's. label_coverage: share of the label classes that it holds, in [0, 1]. missing_rate: share of missing
    values, in [0, 1]. freshness_h: hours since its newest example.
    """

    examples: Mapping[str, Count]
    label_coverage: Level
    missing_rate: Level
    freshness_h: Level


SWITCHES = ("charging", "metered")
LEVELS = tuple(name for name in Telemetry.__struct_fields__ if name not in SWITCHES)
QUALITIES = tuple(name for name in DataFacts.__struct_fields__ if name != "examples")


def telemetry(
    rows: int, levels: Mapping[str, Level] | None = None, switches: Mapping[str, Switch] | None = None
) -> Telemetry:
    """Momentary facts of `rows` devices: the columns given, everything else unknown."""

    def level(name: str) -> Level:
        return levels[name] if levels and name in levels else np.full(rows, np.nan, np.float32)

    def switch(name: str) -> Switch:
        return switches[name] if switches and name in switches else np.full(rows, -1, np.int8)

    return Telemetry(
        battery=level("battery"),
        charging=switch("charging"),
        metered=switch("metered"),
        ram_free_mb=level("ram_free_mb"),
        disk_free_mb=level("disk_free_mb"),
        thermal_c=level("thermal_c"),
        download_mb_s=level("download_mb_s"),
        upload_mb_s=level("upload_mb_s"),
        latency_ms=level("latency_ms"),
    )


def data_facts(rows: int, examples: Mapping[str, Count] | None = None, **told: NDArray[np.float32]) -> DataFacts:
    """Facts about the data of `rows` devices: the columns given, everything else unknown."""
    levels = {name: np.full(rows, np.nan, np.float32) for name in QUALITIES if name not in told}
    return DataFacts(examples=examples or {}, **levels, **told)
