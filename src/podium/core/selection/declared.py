"""The facts that rules may name, with their types in the Common Expression Language.

Decides: which facts a rule may name, and which of them differ from device to device. Never: where a fact comes from
(core/fleet). A fact that is declared and that no device tells is unknown.
"""

from cel_expr_python import cel

from podium.core.fleet.facts import DATASETS

_TEXTS = cel.Type.Map(cel.Type.STRING, cel.Type.STRING)
STANDING: dict[str, cel.Type] = {
    "device.os": cel.Type.STRING,
    "device.architecture": cel.Type.STRING,
    "device.variant": cel.Type.STRING,
    "device.ram_mb": cel.Type.INT,
    "device.cores": cel.Type.INT,
    "device.accelerator": cel.Type.STRING,
    "device.agent": cel.Type.STRING,
    "device.runtimes": _TEXTS,
    "device.plans": _TEXTS,
    "device.site": cel.Type.STRING,
    "device.region": cel.Type.STRING,
    "device.labels": _TEXTS,
}
"""Facts that hold for a session's length and that many devices share: a set of them has a number."""
DATA: dict[str, cel.Type] = {
    DATASETS: cel.Type.Map(cel.Type.STRING, cel.Type.INT),
    "device.label_coverage": cel.Type.DOUBLE,
    "device.missing_rate": cel.Type.DOUBLE,
    "device.freshness_h": cel.Type.DOUBLE,
}
"""What a device tells of its data: it holds for a session's length, and each device has its own."""
MOMENTARY: dict[str, cel.Type] = {
    "device.battery": cel.Type.DOUBLE,
    "device.charging": cel.Type.BOOL,
    "device.metered": cel.Type.BOOL,
    "device.ram_free_mb": cel.Type.DOUBLE,
    "device.disk_free_mb": cel.Type.DOUBLE,
    "device.thermal_c": cel.Type.DOUBLE,
    "device.download_mb_s": cel.Type.DOUBLE,
    "device.upload_mb_s": cel.Type.DOUBLE,
    "device.latency_ms": cel.Type.DOUBLE,
}
"""Facts of one check-in."""

OWN = frozenset({*DATA, *MOMENTARY})
"""Facts that differ from device to device."""
SWITCHES = frozenset(name for name, type in MOMENTARY.items() if type == cel.Type.BOOL)
"""Those of them that have so few values that each can be tried."""
