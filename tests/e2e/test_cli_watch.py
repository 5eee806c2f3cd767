"""A watch bears what happens to its plane; a simulation from the command line repeats itself."""

import json
import signal
from pathlib import Path

import pytest

from tests.e2e.cli_made import ROOT, podium, start, task_file

DIGITS = ROOT / "src" / "podium_examples" / "digits" / "task.toml"


@pytest.mark.long
def test_a_watch_bears_a_killed_plane_and_sees_the_run_end(tmp_path: Path) -> None:
    words: list[str | Path] = ["serve", "--data", tmp_path / "data", "--allow-dev-plans", "--port"]
    first = start([*words, "0"])
    assert first.stdout is not None
    url = first.stdout.readline().strip()
    task = task_file(tmp_path, deadline='"8s"')
    run = podium("run", task, "--data", tmp_path / "data").out.strip()
    watching = start(["watch", run, "--data", tmp_path / "data"])
    assert watching.stderr is not None
    assert "RUNNING" in watching.stderr.readline()
    first.send_signal(signal.SIGKILL)
    first.wait()
    again = start([*words, url.rpartition(":")[2]])
    try:
        out, err = watching.communicate(timeout=60)
    finally:
        again.terminate()
        again.communicate(timeout=30)
    assert watching.returncode == 6, err
    assert out.startswith(f"{run} TIMED_OUT ")


def test_a_simulation_repeats_itself_and_says_what_struck() -> None:
    words = ("simulate", DIGITS, "--devices", "120", "--faults", "all", "--seeds", "2", "--seed", "5", "--json", "-")
    first, second = podium(*words), podium(*words)
    assert first.code == 0, first.err
    assert first.out == second.out
    results = json.loads(first.out)
    assert [each["seed"] for each in results] == [5, 6]
    assert len({each["digest"] for each in results}) == 2
    assert sum(sum(each["struck"].values()) for each in results) > 100
    assert "commit" in first.err


def test_a_simulation_wants_faults_and_counts_that_exist() -> None:
    for words in (("--faults", "gremlins"), ("--devices", "many"), ("--seeds", "0")):
        said = podium("simulate", DIGITS, *words)
        assert (said.code, said.out) == (2, "")
        assert "error[P2052 usage]" in said.err


def test_a_bench_that_is_not_there_is_named_with_those_that_are() -> None:
    said = podium("bench", "nothing")
    assert said.code == 2
    assert "why:  there are checkin, " in said.err
