"""The bench of a fleet: every row is there, over a small directory whose devices told all they have."""

from pathlib import Path

import pytest

from bench import _fleet_data, _fleet_runs, _fleet_told, fleet
from podium.adapters.sqlite.store import SqliteStore
from podium.server.loop.loop import load_core
from podium.wire.limits import Limits


def test_a_small_fleet_has_every_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fleet_data, "DEVICES", 1_000)
    for name, value in (
        ("ROUNDS", 12),
        ("LEASED_ROUNDS", 8),
        ("BUSY_LEASES", 5),
        ("WIDE_ROUNDS", 1),
        ("SHORT_RUNS", 2),
    ):
        monkeypatch.setattr(_fleet_runs, name, value)
    monkeypatch.setattr(fleet, "REPEATS", 1)
    data = tmp_path / "data"
    _fleet_data.fill(data)
    _fleet_told.tell(data)
    store = SqliteStore(data)
    core, _ = load_core(store, Limits(), store.last_ms())
    store.close()
    known = core.state.fleet
    assert (known.facts_id[:1_000] >= 0).all() and (known.epoch[:1_000] >= 1).all()
    assert (known.examples[:1_000, 0] >= 1).all()
    rows = list(fleet.measured(data))
    assert [row["name"] for row in rows] == ["boot-1e6", "boot-1e6-memory", "facts-1e6", "serve-1e6-memory"]
    assert all(float(str(row["value"])) > 0 for row in rows)
    monkeypatch.setattr(_fleet_data, "DEVICES", 1_001)
    with pytest.raises(RuntimeError, match="1000 of 1001"):
        fleet.booted(data)
