"""podium task, error, completion: verbs that need no plane, run as processes."""

import json
import os
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from podium.tasks.digest import task_digest
from podium.tasks.file import read_task
from tests.e2e.cli_made import PODIUM, TASK, dev, podium, task_file


def test_a_task_that_holds_gets_its_digest_and_forecast() -> None:
    said = podium("task", "validate", TASK)
    assert said.code == 0, said.err
    lines = dict(line.split(maxsplit=1) for line in said.out.splitlines())
    assert lines["ok"] == task_digest(read_task(TASK))
    assert lines["rounds"] == "15, each from 4 updates, at least 3"
    assert lines["devices"] == "4 to 8 asked at once"
    # 14 float32 numbers under a header of 128 bytes, each way; eight devices at most
    assert lines["bytes"] == "down 184 B, up 184 B a device; down 1.5 kB, up 1.5 kB a round at most"
    assert lines["time"] == "a round ends within 2 min, the run within 10 min"
    assert "sha256:" in lines["plan"]
    told = json.loads(podium("task", "validate", TASK, "--json").out)
    assert (told["digest"], told["forecast"]["devices_most"]) == (lines["ok"], 8)


def test_every_fault_is_told_with_its_key(tmp_path: Path) -> None:
    said = podium("task", "validate", task_file(tmp_path, goal="0", rounds="0", norm_max="-1.0"))
    assert (said.code, said.out) == (2, "")
    for key in ("round.goal = 0", "run.rounds = 0", "aggregate.norm_max = -1.0"):
        assert f"error[P2001 task-invalid]: {key}" in said.err
    unknown = podium("task", "validate", task_file(tmp_path, stall='"15s"\nstahl = 1\ngaol = 2'))
    assert unknown.code == 2
    assert unknown.err.count("error[P2002 task-unknown-key]") == 2
    assert "write round.stall" in unknown.err
    rule = podium("task", "validate", task_file(tmp_path, datasets='["heart"]\n[select]\nrequires = "device.ram_mb >"'))
    assert (rule.code, "error[P2003 expression-invalid]" in rule.err) == (2, True)
    assert podium("task", "validate", tmp_path / "none.toml").code == 2


def test_a_function_that_its_module_does_not_have_is_a_fault(tmp_path: Path) -> None:
    changed = {"plan": '"podium_examples.hospital:trian"', "init": '"podium_examples.hospital:innit"'}
    said = podium("task", "validate", task_file(tmp_path, **changed))
    assert (said.code, said.out) == (2, "")
    for key, nearest in (("task.plan", "train"), ("model.init", "init")):
        assert f"error[P2001 task-invalid]: {key} = " in said.err
        assert f"; the nearest is {nearest}\n" in said.err


def test_a_run_that_ends_within_its_first_round_is_told_of(tmp_path: Path) -> None:
    said = podium("task", "validate", task_file(tmp_path, deadline='"30s"'))
    assert (said.code, "may end the run within its first round" in said.err) == (0, True)
    assert "may end the run" not in podium("task", "validate", TASK).err


def test_a_plan_that_is_not_installed_is_no_fault_of_the_file(tmp_path: Path) -> None:
    said = podium("task", "validate", task_file(tmp_path, plan='"podium_nowhere:train"'))
    assert said.code == 0, said.err
    assert "plan      podium_nowhere:train: not installed here" in said.out
    assert "bytes     down not known, up not known a device\n" in said.out
    assert "podium_nowhere" in said.err


def test_a_task_is_shown_with_every_default_and_is_the_same_task_again(tmp_path: Path) -> None:
    said = podium("task", "show", TASK)
    assert said.code == 0, said.err
    assert tomllib.loads(said.out)["round"]["concurrency"] == 0
    (tmp_path / "again.toml").write_text(said.out)
    assert task_digest(read_task(tmp_path / "again.toml")) == task_digest(read_task(TASK))
    assert f"digest {task_digest(read_task(TASK))}" in said.err


def test_help_names_types_of_values_alone() -> None:
    for words in (("--help",), ("run", "--help"), ("device", "list", "--help"), ("auth",)):
        said = podium(*words)
        assert "--help" in said.out and "<bool>" not in said.out


def test_a_problem_code_has_a_page_offline() -> None:
    said = podium("error", "P2041")
    assert said.code == 0, said.err
    assert said.out.startswith("P2041 cohort-short: ")
    assert "\ncause  " in said.out
    assert podium("error", "2041").out == podium("error", "cohort-short").out == said.out
    wrong = podium("error", "P0000")
    assert (wrong.code, "error[P1032 not-found]" in wrong.err) == (3, True)
    assert wrong.err.endswith("  docs: podium error not-found\n")
    listed = json.loads(podium("error", "--json").out)
    assert {"code": "cohort-short", "number": 2041, "title": "a round cannot start: too few devices"} in listed


def completed(*words: str, **said: str) -> list[str]:
    """What bash is offered after these words, the last one incomplete, where the environment says `said` too."""
    asked = said | {
        "_PODIUM_COMPLETE": "complete_bash",
        "COMP_WORDS": shlex.join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run([*PODIUM], capture_output=True, text=True, check=True, env=os.environ | asked)
    assert done.stderr == ""
    return done.stdout.split()


def test_shells_complete_verbs_options_and_ids_of_the_plane(tmp_path: Path) -> None:
    assert completed("podium", "st") == ["status", "stop"]
    assert "--token-file" in completed("podium", "status", "--")
    assert {"cordon", "drain"} <= set(completed("podium", "device", ""))
    assert completed("podium", "watch", "--data", str(tmp_path / "none"), "") == []
    with dev(tmp_path / "data") as plane:
        run = plane.podium("run", task_file(tmp_path)).out.strip()
        assert completed("podium", "watch", "--data", str(plane.data), "") == ["@last", run]
        assert completed("podium", "stop", "--data", str(plane.data), run[:3]) == [run]
        digest = json.loads(plane.podium("model", "list", "--json").out)[0]["digest"]
        assert completed("podium", "model", "show", "--data", str(plane.data), "") == ["@last", "v0", digest[7:19]]
        assert completed("podium", "device", "show", "--data", str(plane.data), "") == []
        said = podium("device", "enroll", plane.token, "--plane", plane.url, "--state", tmp_path / "berlin")
        here = {"PODIUM_DATA": str(plane.data)}
        assert completed("podium", "device", "cordon", "", **here) == ["berlin", said.out.strip()]
        assert completed("podium", "explain", "", **here) == ["@last", run, "berlin", said.out.strip()]
        assert completed("podium", "model", "promote", "v0", "ca", **here) == ["candidate", "canary"]
    assert completed("podium", "error", "cohort") == ["cohort-short"]
    assert completed("podium", "watch", "--data", str(tmp_path / "data"), "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(shell: str) -> None:
    said = podium("completion", shell)
    assert (said.code, "_PODIUM_COMPLETE=complete_" + shell in said.out) == (0, True)
    interpreter = shutil.which(shell)
    if interpreter is not None:
        subprocess.run([interpreter, "-n"], input=said.out, text=True, check=True)
    assert podium("completion", "tcsh").code == 2
