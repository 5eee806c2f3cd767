"""A writing process is killed with SIGKILL at random moments: every commit it acknowledged is there, and all fits."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from podium.adapters.sqlite.store import SqliteStore
from podium.core.rows import DeviceRow
from podium.server.journal.audit import verify_data

SEED = 20_240_611
ROOT = Path(__file__).parents[3]


def kill_once(data: Path, draw: random.Random) -> int:
    """Let the child write, kill it at a drawn moment; the last number it acknowledged."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.sqlite.writing_child", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )
    assert child.stdout is not None
    assert child.stderr is not None
    acknowledged = 0
    for _ in range(draw.randrange(1, 60)):
        line = child.stdout.readline()
        assert line.endswith(b"\n"), child.stderr.read().decode()
        acknowledged = int(line)
    for _ in range(draw.randrange(200_000)):  # a moment within whatever it is doing now
        pass
    child.kill()
    child.wait()
    rest = child.stdout.read().split(b"\n")[:-1]
    child.stdout.close()
    child.stderr.close()
    return int(rest[-1]) if rest else acknowledged


def check(data: Path, acknowledged: int) -> int:
    """What must hold after a kill; the number of entries that had no place yet."""
    pending = verify_data(data).pending
    store = SqliteStore(data)
    loaded = store.load()
    rows = tuple(loaded.rows)
    assert loaded.step >= acknowledged
    entries = store.entries(0, loaded.step + 1)
    assert [entry.step for entry in entries] == list(range(1, loaded.step + 1))
    numbers = {int(row.failure) for row in rows if isinstance(row, DeviceRow)}
    assert numbers == set(range(max(1, loaded.step - 49), loaded.step + 1))
    assert len(rows) == loaded.step + len(numbers)
    store.close()
    return pending


@pytest.mark.parametrize("kills", [4, pytest.param(24, marks=pytest.mark.long)])
def test_a_killed_writer_loses_nothing_it_acknowledged(tmp_path: Path, kills: int) -> None:
    sys.stdout.write(f"seed {SEED}\n")
    draw = random.Random(SEED + kills)
    data = tmp_path / "data"
    pending = [check(data, kill_once(data, draw)) for _ in range(kills)]
    if kills > 20:
        assert any(pending), "no kill fell between a commit and its placing"
