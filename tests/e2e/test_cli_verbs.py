"""The verbs against real planes in other processes: what they print, how they end, and what they never do."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cli_made import Dev, dev, device_running, podium, start, task_file


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    with dev(tmp_path_factory.mktemp("plane") / "data") as made:
        yield made


def submitted(plane: Dev, folder: Path, **changed: str) -> str:
    said = plane.podium("run", task_file(folder, **changed))
    assert said.code == 0, said.err
    return said.out.strip()


def test_a_run_is_started_watched_and_its_version_verifies_offline(plane: Dev, tmp_path: Path) -> None:
    task = task_file(tmp_path, name='"whole"', goal="1", minimum="1", rounds="2")
    with device_running(plane, tmp_path / "cleveland", "cleveland"):
        said = plane.podium("run", task, "--watch")
    assert said.code == 0, said.err
    run, state, version = said.out.split()
    assert state == "FINISHED"
    assert f"run {run} FINISHED" in said.err
    assert "accuracy" in said.err
    listed = json.loads(plane.podium("model", "list", "--run", run, "--json").out)
    assert [each["number"] for each in listed] == [0, 1, 2]
    assert [each["parent"] for each in listed[1:]] == [each["digest"] for each in listed[:-1]]
    assert listed[-1]["digest"] == version
    model = tmp_path / "model.safetensors"
    assert plane.podium("model", "pull", version.removeprefix("sha256:")[:12], "--out", model).out.strip() == version
    assert podium("model", "verify", model).code == 0
    fleet = json.loads(plane.podium("device", "list", "--json").out)
    assert [each["name"] for each in fleet] == ["cleveland"]


def test_a_changed_model_or_statement_ends_with_exit_code_8(plane: Dev, tmp_path: Path) -> None:
    submitted(plane, tmp_path, name='"forged"')
    model, statement = tmp_path / "m.safetensors", tmp_path / "m.safetensors.statement.json"
    assert plane.podium("model", "pull", "@last", "--out", model).code == 0
    nowhere = plane.podium("model", "pull", "@last", "--out", tmp_path / "nowhere" / "model")
    assert (nowhere.code, "cannot write" in nowhere.err) == (2, True), nowhere.err
    whole = model.read_bytes()
    model.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    changed = podium("model", "verify", model)
    assert (changed.code, "error[P1018 digest-mismatch]" in changed.err) == (8, True)
    model.write_bytes(whole)
    envelope = json.loads(statement.read_text())
    envelope["payload"] = envelope["payload"][:-8] + "AAAAAAAA"
    statement.write_text(json.dumps(envelope))
    forged = podium("model", "verify", model)
    assert (forged.code, "error[P1004 signature-invalid]" in forged.err) == (8, True)


def test_three_are_asked_for_and_none_is_connected_is_named_at_once(plane: Dev, tmp_path: Path) -> None:
    run = submitted(plane, tmp_path, name='"short"', deadline='"8s"')
    status = json.loads(plane.podium("status", "--json").out)
    waits = next(each["waiting"] for each in status["runs"] if each["id"] == run)
    assert (waits["have"], waits["need"]) == (0, 3)
    assert f"run {run} waits: round {run}.1 needs devices to start: 0 of 3" in plane.podium("status").out
    watched = plane.podium("watch", run)
    assert watched.code == 6
    assert "needs devices to start: 0 of 3" in watched.err
    assert watched.out.split()[:2] == [run, "TIMED_OUT"]


def test_stop_counts_asks_and_stops_once(plane: Dev, tmp_path: Path) -> None:
    run = submitted(plane, tmp_path, name='"stopped"')
    asked = plane.podium("stop", run)
    assert (asked.code, asked.out) == (2, "")
    assert "0 devices at work lose their lease" in asked.err
    assert plane.podium("stop", run[:5], "--yes", "--why", "a test").out.strip() == run
    again = plane.podium("stop", run, "--yes")
    assert (again.code, "error[P2011 run-over]" in again.err) == (5, True)
    assert plane.podium("watch", "@last").code == 7


def test_ctrl_c_leaves_a_watch_and_the_run_goes_on(plane: Dev, tmp_path: Path) -> None:
    run = submitted(plane, tmp_path, name='"left"')
    process = start(["watch", "left", "--data", plane.data])
    assert process.stderr is not None
    assert f"run {run} RUNNING" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"the run goes on: podium watch --data {plane.data} {run}" in err
    assert f"{run}  left" in plane.podium("status").out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("watch", "nobody"), 3, "error[P2010 run-unknown]"),
        (("model", "pull", "beef", "--out", "never.safetensors"), 3, "error[P2013 version-unknown]"),
        (("run", "missing.toml"), 2, "error[P2051 file-unreadable]"),
        (("run", "list"), 2, "error[P2051 file-unreadable]: there is no task file list"),
        (("device", "token", "--uses", "0"), 2, "next: podium device token --help"),
    ],
)
def test_what_is_not_there_is_said_with_its_code(plane: Dev, words: tuple[str, ...], code: int, said: str) -> None:
    done = plane.podium(*words)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert "  next: " in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"plan": '"podium_nowhere:train"'}, "error[P2004 plan-missing]"),
        ({"goal": "0"}, "error[P2001 task-invalid]"),
        ({"stall": '"15s"\nstahl = 1'}, "error[P2002 task-unknown-key]"),
        ({"datasets": '["heart"]\n[select]\nrequires = "device.ram_mb >"'}, "error[P2003 expression-invalid]"),
    ],
)
def test_a_bad_task_is_refused_before_it_runs(plane: Dev, tmp_path: Path, changed: dict[str, str], said: str) -> None:
    done = plane.podium("run", task_file(tmp_path, **changed))
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_a_viewer_may_look_and_not_touch(plane: Dev, tmp_path: Path) -> None:
    run = submitted(plane, tmp_path, name='"looked-at"')
    viewer = ("--plane", plane.url, "--token-file", plane.data / "viewer.token")
    assert podium("status", *viewer).code == 0
    denied = podium("stop", run, "--yes", *viewer)
    assert (denied.code, "error[P2032 verb-denied]" in denied.err) == (4, True)
    assert podium("status", "--plane", plane.url).code == 4
    (tmp_path / "wrong").write_text("pdma_" + "A" * 43)
    assert podium("status", "--plane", plane.url, "--token-file", tmp_path / "wrong").code == 4
    (tmp_path / "other").write_text("a key\nof something else\n")
    other = podium("status", "--plane", plane.url, "--token-file", tmp_path / "other")
    assert (other.code, "holds no credential" in other.err, "something else" in other.err) == (2, True, False)


def test_the_journal_is_exported_and_verified_beside_a_live_plane(plane: Dev, tmp_path: Path) -> None:
    submitted(plane, tmp_path, name='"journalled"')
    exported = subprocess.run(
        [*start_words(), "audit", "export", "--data", str(plane.data)], capture_output=True, check=True
    ).stdout
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(exported)
    assert podium("audit", "verify", journal).code == 0
    assert plane.podium("audit", "verify").code == 0
    journal.write_bytes(exported.replace(b"run-submitted", b"run-submittee", 1))
    broken = podium("audit", "verify", journal)
    assert broken.code == 8
    assert "error[P2050 journal-broken]: entry " in broken.err
    assert podium("audit", "verify", tmp_path / "none").code == 2


def start_words() -> tuple[str, ...]:
    from tests.e2e.cli_made import PODIUM

    return PODIUM


def test_two_dev_planes_never_see_each_other(plane: Dev, tmp_path: Path) -> None:
    with dev(tmp_path / "other") as other:
        assert other.url != plane.url
        assert json.loads(other.podium("status", "--json", "--all").out)["runs"] == []
        assert "no run is open: podium status --data" in other.podium("status").err
        assert "there is no run yet: podium run" in other.podium("status", "--all").err
        mixed = tmp_path / "mixed"
        mixed.mkdir()
        (mixed / "administrator.token").write_bytes((plane.data / "administrator.token").read_bytes())
        told = json.loads((plane.data / "plane.json").read_text()) | {"url": other.url}
        (mixed / "plane.json").write_text(json.dumps(told))
        foreign = podium("status", "--data", mixed)
        assert (foreign.code, "error[P2034 plane-foreign]" in foreign.err) == (5, True)
        enrolled = podium("device", "enroll", plane.token, "--plane", other.url, "--state", tmp_path / "device")
        assert enrolled.code == 4
        assert "error[P1010 token-invalid]" in enrolled.err


def test_reading_never_starts_a_plane_and_a_dead_one_is_said_to_be(tmp_path: Path) -> None:
    nothing = podium("status", "--data", tmp_path / "nothing")
    assert (nothing.code, "error[P2038 data-missing]" in nothing.err) == (3, True)
    assert not (tmp_path / "nothing").exists()
    with dev(tmp_path / "data") as ended:
        kept = (ended.data / "plane.json").read_bytes()
    gone = ended.podium("status")
    assert (gone.code, "error[P2033 plane-unreachable]" in gone.err) == (1, True)
    (ended.data / "plane.json").write_bytes(kept)  # as a SIGKILL leaves it
    dead = ended.podium("status")
    assert dead.code == 1
    assert f"podium serve --data {ended.data}" in dead.err


def test_serve_wants_pinned_plans_and_a_free_port_and_directory(plane: Dev, tmp_path: Path) -> None:
    port = plane.url.rpartition(":")[2]
    taken = podium("serve", "--data", tmp_path / "a", "--port", port)
    assert (taken.code, "error[P2035 port-in-use]" in taken.err) == (5, True)
    held = podium("serve", "--data", plane.data, "--port", "0")
    assert (held.code, "error[P2036 data-in-use]" in held.err) == (5, True), held.err
    assert podium("serve", "--data", tmp_path / "b", "--host", "0.0.0.0").code == 2
    server = start(["serve", "--data", tmp_path / "c", "--port", "0"])
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        refused = podium("run", task_file(tmp_path), "--data", tmp_path / "c")
    finally:
        server.terminate()
        server.communicate(timeout=30)
    # where the examples are an installed distribution they are pinned and taken
    assert (refused.code, "error[P2005 plan-dev]" in refused.err) in {(2, True), (0, False)}
