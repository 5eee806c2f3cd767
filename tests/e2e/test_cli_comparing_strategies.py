"""podium simulate COMPARISON.toml as a person runs it: the table held to what can be said by hand, and interrupted."""

import signal
from pathlib import Path

import msgspec

from podium.sim.compare import Compared
from tests.e2e.cli_made import ROOT, podium, start

INTERRUPTED = 130
PARAMETERS = 784 * 10 + 10
UPDATE_BYTES = 4 * PARAMETERS

TERMS = """
[compare]
task = "task.toml"
devices = 12
seeds = [1, 2]
window = 1
[strategies.half]
round = { goal = 6, minimum = 6 }
[strategies.lazy]
local.lr = 1e-12
[strategies.uniform.select]
strategy = "uniform"
[strategies.twin.select]
strategy = "uniform"
"""


def comparison(folder: Path, more: str = "") -> Path:
    """One round of 3 of 12 devices, and strategies laid over it."""
    task = (ROOT / "examples" / "mnist" / "task.toml").read_text()
    for old, new in (("goal = 25 ", "goal = 3 "), ("minimum = 20", "minimum = 3"), ("rounds = 100", "rounds = 1")):
        assert old in task
        task = task.replace(old, new)
    (folder / "task.toml").write_text(task)
    path = folder / "race.toml"
    path.write_text(TERMS + more)
    return path


def test_a_small_comparison_comes_to_what_it_must(tmp_path: Path) -> None:
    path, json, page = comparison(tmp_path), tmp_path / "told.json", tmp_path / "told.html"
    done = podium("simulate", path, "--json", json, "--report", page)
    assert done.code == 0, done.err
    told = msgspec.json.decode(json.read_bytes(), type=Compared)
    names = ("uniform", "half", "lazy", "twin")
    assert [(row.strategy, row.seed) for row in told.rows] == [(name, seed) for seed in (1, 2) for name in names]
    for row in told.rows:
        own = next(each for each in told.rows if (each.strategy, each.seed) == ("uniform", row.seed))
        assert row.target == own.accuracy
        assert (row.bytes_up % UPDATE_BYTES, row.bytes_down % UPDATE_BYTES) == (0, 0)
        # k of 12 devices sent one update, the others none: (12 - k) / 12
        assert abs(row.gini - {"half": 6 / 12}.get(row.strategy, 9 / 12)) < 1e-12
        assert row.bytes_up >= {"half": 6}.get(row.strategy, 3) * UPDATE_BYTES
        assert row.bytes_down >= row.bytes_up
        if row.strategy == "twin":
            assert msgspec.structs.replace(row, strategy="uniform") == own
        if row.strategy == "lazy":  # every chance stays 1/10, the first digit wins: a tenth of the held-out thousand
            assert (row.accuracy, row.reached_ms) == (0.1, None)
    uniform, _, lazy, twin = told.summaries
    assert (uniform.reached, uniform.times, twin.times, lazy.reached, lazy.times) == (2, 1.0, 1.0, 0, None)
    assert page.read_text().count("<svg") == 1 + 2 + 4
    assert sorted(each.name for each in tmp_path.iterdir()) == ["race.toml", "task.toml", "told.html", "told.json"]
    # one seed, in a process of its own, tells the same, as a table on stdout
    again = podium("simulate", path, "--seeds", "1")
    assert again.out.splitlines()[2].startswith("| uniform | 1 of 1 |")
    assert [line for line in again.err.splitlines() if "seed 1" in line] == [
        line for line in done.err.splitlines() if "seed 1" in line
    ]


def test_what_the_file_says_is_not_said_twice_and_a_missing_folder_is_told_first(tmp_path: Path) -> None:
    path = comparison(tmp_path)
    for option in (("--devices", "1000"), ("--seed", "3"), ("--trace", "diurnal"), ("--faults", "all")):
        done = podium("simulate", path, *option)
        assert done.code == 2 and f"{option[0]} with a comparison" in done.err
    done = podium("simulate", path, "--json", tmp_path / "none" / "told.json")
    assert done.code == 2 and "there is no folder" in done.err and "seed" not in done.err


def test_an_interrupted_comparison_leaves_nothing_half(tmp_path: Path) -> None:
    path = comparison(tmp_path, "[strategies.endless.run]\nrounds = 100000\n")
    process = start(["simulate", path, "--json", tmp_path / "told.json", "--report", tmp_path / "told.html"])
    assert process.stderr is not None
    told = [process.stderr.readline() for _ in range(2)]  # what is compared, and the first run
    assert told[1].startswith("uniform, seed 1:")
    process.send_signal(signal.SIGINT)
    _, after = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED
    assert "Traceback" not in after
    assert sorted(each.name for each in tmp_path.iterdir()) == ["race.toml", "task.toml"]
