"""What must hold after a run of the kill test, read from the disk when nobody lives any more."""

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from podium.adapters.blobs import LocalBlobs
from podium.adapters.sqlite.reader import open_readonly
from podium.core.rows import AnyRow, DeviceRow, LeaseRow, RoundRow, RunRow, VersionRow
from podium.server.journal.audit import verify_data
from podium.wire.tensors import read_arrays
from tests.e2e.kills.killing import DEVICES, SIZE, Trial
from tests.e2e.kills.tracing import read_trace


def check(trial: Trial) -> Counter[str]:
    """Everything at once; how the leases and rounds ended, for the record."""
    _check_nothing_left(trial.data)
    audit = verify_data(trial.data)
    assert audit.pending == 0, f"{audit.pending} entries have no place after a drained stop"
    assert audit.heads > 0
    reader = open_readonly(trial.data)
    rows = tuple(reader.load().rows)
    reader.close()
    run = _run(trial, rows)
    rounds = [row for row in rows if isinstance(row, RoundRow)]
    leases = [row for row in rows if isinstance(row, LeaseRow)]
    _check_ends(trial, run, rounds, leases)
    places = _places(rows)
    counted = {row.number: _counted(trial, row, rows) for row in rounds if row.state == "SEALED"}
    for row in rounds:
        if row.state == "SEALED":
            accepted = [lease for lease in leases if lease.round == row.number and lease.state == "ACCEPTED"]
            expected = np.zeros(SIZE, np.int64)
            for lease in accepted:
                expected[places[lease.device]] += 1
            assert expected.max() == 1, f"a device has two accepted leases in round {row.number}"
            found = counted[row.number]
            assert np.array_equal(found, expected), f"round {row.number} counted {found[:DEVICES]}, not {expected[:8]}"
    _check_stored(trial, {lease.id: lease for lease in leases}, {row.number: row for row in rounds})
    ends = Counter(f"round {row.state} {row.reason}".strip() for row in rounds)
    ends.update(f"lease {lease.state} {lease.reason}".strip() for lease in leases)
    return ends


def _run(trial: Trial, rows: tuple[AnyRow, ...]) -> RunRow:
    (run,) = (row for row in rows if isinstance(row, RunRow))
    assert (run.id, run.state, run.reason) == (trial.run, "FINISHED", "rounds-done")
    assert run.rounds_sealed == trial.rounds
    return run


def _check_ends(trial: Trial, run: RunRow, rounds: list[RoundRow], leases: list[LeaseRow]) -> None:
    """Nothing is open; whatever ended otherwise than well has a reason; honest devices are never refused."""
    assert sorted(row.number for row in rounds) == list(range(1, run.rounds_opened + 1))
    assert sum(row.state == "SEALED" for row in rounds) == trial.rounds
    for row in rounds:
        assert row.state == "SEALED" or (row.state == "ABANDONED" and row.reason), row
    by_round = {row.number: row for row in rounds}
    for lease in leases:
        ended = lease.state == "ACCEPTED" or (lease.state in ("LAPSED", "SUPERSEDED", "REVOKED") and lease.reason)
        assert ended, f"lease {lease.id} is {lease.state} {lease.reason}"
        if lease.state == "REVOKED":
            assert by_round[lease.round].state == "ABANDONED", lease


def _places(rows: tuple[AnyRow, ...]) -> dict[str, int]:
    """Device id -> its place in the vector; each device was enrolled once, however often it died meanwhile."""
    devices = [row for row in rows if isinstance(row, DeviceRow)]
    names = sorted(row.name for row in devices)
    assert len(set(names)) == len(names) and len(names) <= DEVICES, names
    return {row.id: int(row.name.rpartition("-")[2]) for row in devices}


def _counted(trial: Trial, row: RoundRow, rows: tuple[AnyRow, ...]) -> NDArray[np.int64]:
    """How often each place was counted in the version that a round made."""
    versions = {version.id: version for version in rows if isinstance(version, VersionRow)}
    made = versions[row.version]
    assert (made.parent, made.round) == (row.base, row.number)
    blobs = LocalBlobs(trial.data / "blobs")
    after, before = (read_arrays(blobs.get(digest))["w"].astype(np.float64) for digest in (made.id, made.parent))
    times = (after - before) * made.contributors
    counts: NDArray[np.int64] = np.rint(times).astype(np.int64)
    assert np.abs(times - counts).max() < 1e-3, "an update is not one-hot"
    return counts


def _check_stored(trial: Trial, leases: dict[str, LeaseRow], rounds: dict[int, RoundRow]) -> None:
    """What a device heard to be stored was counted, or its round was given up with a reason."""
    stored = 0
    for device in trial.devices:
        for lease in {line.detail for line in read_trace(device.trace) if line.word == "stored"}:
            row = leases[lease]
            end = rounds[row.round]
            if end.state == "SEALED":
                assert row.state == "ACCEPTED", f"{lease} was stored and is {row.state} {row.reason}"
            else:
                assert end.state == "ABANDONED" and end.reason
                assert row.state in ("ACCEPTED", "REVOKED")
            stored += 1
    assert stored > 0


def _check_nothing_left(data: Path) -> None:
    """Looked at before anything opens the directory again, because opening tidies."""
    assert not (data / "plane.json").exists()
    kept = {path.name for path in (data / "keys").iterdir()}
    assert kept == {"plane%2Fonline.key", "plane%2Froot.key", "session%2Froot.key"}
    assert list((data / "blobs" / "uploads").iterdir()) == []
    assert list((data / "blobs" / "staging").iterdir()) == []
