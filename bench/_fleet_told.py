"""What the devices of the bench's directory told before the plane stopped, as the plane keeps it (facts in chunks).

Decides: that every device has told everything there is to tell, each its own numbers; two hundred sites tell apart
the fact sets. Written past the store, like the rows (_fleet_data.py).
"""

import sqlite3
from pathlib import Path

import numpy as np

from bench import _fleet_data
from podium.core.draws import uniform
from podium.core.fleet.columns import Fleet
from podium.core.fleet.facts import standing_facts
from podium.core.fleet.snapshot import changed, packed, taken
from podium.core.fleet.telemetry import LEVELS, QUALITIES, SWITCHES, data_facts, telemetry
from podium.wire.messages import Capabilities

HELD = Capabilities(
    os="linux", architecture="arm64", variant="", ram_mb=2048, cores=4, accelerator="", agent="bench",
    runtimes={"numpy": "2.0"}, plans={"bench:train": "sha256:plan"}, datasets={"digits": 14},
)  # fmt: skip


def tell(data: Path) -> None:
    """Keep what each device told, long ago."""
    db = sqlite3.connect(data / "podium.db")
    fleet = told(_fleet_data.DEVICES)
    for number in changed(fleet):
        chunk = packed(taken(fleet, number), 0)
        cells = (chunk.number, chunk.at_ms, chunk.digest, chunk.body)
        db.execute("INSERT OR REPLACE INTO facts (number, at_ms, digest, body) VALUES (?, ?, ?, ?)", cells)
    db.commit()
    db.close()


def told(count: int) -> Fleet:
    """A fleet of `count` devices, each in its first session."""
    fleet, devices = Fleet(), np.arange(count, dtype=np.int64)
    fleet._grow(count)
    fleet.size = count
    shares = {name: uniform(1, name, devices).astype(np.float32) for name in (*LEVELS, *QUALITIES)}
    switches = {name: (uniform(1, name, devices) < 0.5).astype(np.int8) for name in SWITCHES}
    sites = _fleet_data.SITES
    sets = [
        fleet.facts.hold(standing_facts(HELD, ("digits",), f"site-{site:03d}", {}), len(devices[site::sites]))
        for site in range(sites)
    ]
    fleet.open_sessions(devices, np.ones(count, np.int64), np.array(sets, np.int32)[devices % sites])
    fleet.seen_ms[:count] = 0
    fleet.hear(devices, telemetry(count, {name: shares[name] for name in LEVELS}, switches), devices)
    examples = {"digits": (1 + 100 * shares["battery"]).astype(np.int32)}
    fleet.hear_data(devices, data_facts(count, examples, **{name: shares[name] for name in QUALITIES}), devices)
    return fleet
