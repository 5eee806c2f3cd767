"""pause, resume, retry, freeze, marks and service tokens against a real plane, as processes."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cli_made import PODIUM, Dev, dev, podium, start, task_file


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    with dev(tmp_path_factory.mktemp("plane") / "data") as made:
        yield made


def submitted(plane: Dev, folder: Path, **changed: str) -> str:
    said = plane.podium("run", task_file(folder, **changed))
    assert said.code == 0, said.err
    return said.out.strip()


def test_a_paused_run_says_so_on_every_screen_and_goes_on(plane: Dev, tmp_path: Path) -> None:
    run = submitted(plane, tmp_path, name='"rested"')
    paused = plane.podium("pause", run[:6], "--now", "--why", "maintenance")
    assert (paused.code, paused.out) == (0, f"{run} PAUSED\n"), paused.err
    assert f"run {run} PAUSED   for " in plane.podium("status").out
    assert f"run {run} (rested) PAUSED   for " in plane.podium("device", "list").err
    watching = start(["watch", run, "--data", plane.data])
    assert watching.stderr is not None
    first = watching.stderr.readline()
    assert first.startswith("PAUSED   for ")
    assert "by person:administrator: maintenance; " in first
    assert f"run {run} PAUSED" in watching.stderr.readline()
    watching.send_signal(signal.SIGINT)
    _, left = watching.communicate(timeout=30)
    assert (watching.returncode, f"the run goes on: podium watch --data {plane.data} {run}" in left) == (130, True)
    resumed = plane.podium("resume", run, "--json")
    assert (resumed.code, json.loads(resumed.out)["state"]) == (0, "RUNNING")
    assert plane.podium("resume", run).out == f"{run} RUNNING\n"  # as it is already: no error
    plane.podium("stop", run, "--yes")
    over, gone = plane.podium("pause", run), plane.podium("resume", run)
    assert (over.code, "error[P2011 run-over]" in over.err) == (5, True)
    assert (gone.code, "error[P2016 run-not-paused]" in gone.err) == (5, True)


def test_a_stopped_run_is_tried_again_and_an_open_one_is_not(plane: Dev, tmp_path: Path) -> None:
    run = submitted(plane, tmp_path, name='"tried"')
    early = plane.podium("retry", run)
    assert (early.code, "error[P2015 run-open]" in early.err) == (5, True)
    plane.podium("stop", run, "--yes")
    retried = plane.podium("retry", run)
    assert retried.code == 0, retried.err
    new = retried.out.strip()
    views = {view["id"]: view for view in json.loads(plane.podium("status", "--json", "--all").out)["runs"]}
    assert (views[new]["retry_of"], views[new]["state"], views[new]["base"]) == (run, "RUNNING", views[run]["base"])
    plane.podium("stop", new, "--yes")
    assert plane.podium("retry", "nobody").code == 3


def test_a_frozen_plane_says_so_on_every_screen_until_it_is_not(plane: Dev, tmp_path: Path) -> None:
    run = submitted(plane, tmp_path, name='"cold"')
    asked = plane.podium("freeze")
    assert (asked.code, asked.out) == (2, "")
    assert "freeze the plane: 1 runs get no device, 0 devices at work finish" in asked.err
    frozen = plane.podium("freeze", "--revoke", "--why", "a bad release", "--yes")
    assert frozen.code == 0, frozen.err
    assert "0 devices at work lose their lease" in frozen.err
    told = "by person:administrator: a bad release; no lease is granted until podium unfreeze"
    for seen in (frozen.out, plane.podium("status").out, plane.podium("device", "list").err):
        assert "FROZEN   for " in seen
        assert told in seen
    watching = start(["watch", run, "--data", plane.data])
    assert watching.stderr is not None
    assert told in watching.stderr.readline()
    assert watching.stderr.readline().rstrip().endswith("FROZEN")
    watching.send_signal(signal.SIGINT)
    watching.communicate(timeout=30)
    assert plane.podium("unfreeze").out == "the plane grants leases\n"
    assert "FROZEN" not in plane.podium("status").out
    plane.podium("stop", run, "--yes")


def enrolled(plane: Dev, state: Path, region: str) -> str:
    token = plane.podium("device", "token", "-l", f"region={region}").out.strip()
    said = podium("device", "enroll", token, "--plane", plane.url, "--state", state)
    assert said.code == 0, said.err
    return said.out.strip()


def states(plane: Dev, *words: str) -> dict[str, str]:
    return {each["name"]: each["state"] for each in json.loads(plane.podium("device", "list", "--json", *words).out)}


def test_a_mark_counts_asks_and_touches_only_what_it_is_about(plane: Dev, tmp_path: Path) -> None:
    ids = [enrolled(plane, tmp_path / name, region) for name, region in (("a", "eu"), ("b", "eu"), ("c", "us"))]
    dry = plane.podium("device", "cordon", "-l", "region=eu", "--dry-run")
    assert (dry.code, dry.out.split()) == (0, ids[:2])
    assert "cordon 2 of 2 devices, 0 of them at work; nothing was changed" in dry.err
    asked = plane.podium("device", "cordon", "-l", "region=eu")
    assert (asked.code, asked.out, "there is no terminal" in asked.err) == (2, "", True)
    assert set(states(plane).values()) == {"active"}
    assert plane.podium("device", "cordon", "-l", "region=eu", "--yes", "--why", "a test").code == 0
    assert states(plane, "-l", "region=eu") == {"a": "cordoned", "b": "cordoned"}
    assert states(plane, "--state", "cordoned") == {"a": "cordoned", "b": "cordoned"}
    assert states(plane, "-l", "region=eu", "-l", "name=b") == {"b": "cordoned"}
    assert plane.podium("device", "ban", "b", "--yes").code == 0
    again = plane.podium("device", "drain", "a", "b", "--yes")  # b's ban stays
    assert (again.code, "cordon and end the lease of 0 of 2 devices" in again.err) == (0, True)
    assert plane.podium("device", "uncordon", "-l", "region=eu", "--yes").out.split() == [ids[0]]
    assert states(plane) == {"a": "active", "b": "banned", "c": "active"}
    assert plane.podium("device", "unban", "b", ids[2][:8], "--yes").code == 0
    assert set(states(plane).values()) == {"active"}
    for words in (("cordon",), ("cordon", "a", "-l", "region=eu"), ("cordon", "-l", "region")):
        wrong = plane.podium("device", *words, "--yes")
        assert (wrong.code, "error[P2052 usage]" in wrong.err) == (2, True)
    assert plane.podium("device", "cordon", "nobody", "--yes").code == 3


def at_terminal(plane: Dev, words: list[str], answer: str) -> tuple[int, str]:
    """A verb at a terminal, given `answer` once it asks; its exit code and all that it wrote."""
    master, slave = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "160", "NO_COLOR": "1"}
    process = subprocess.Popen(
        [*PODIUM, *words, "--data", str(plane.data)], stdin=slave, stdout=slave, stderr=slave, env=environment
    )
    os.close(slave)
    shown = b""
    while process.poll() is None or not shown:
        try:
            shown += os.read(master, 65_536)
        except OSError:  # the other side has closed
            break
        if answer and b"go on?" in shown:
            os.write(master, answer.encode())
            answer = ""
    code = process.wait(30)
    os.close(master)
    return code, shown.decode("utf-8", "replace")


def test_a_person_at_a_terminal_is_asked(plane: Dev, tmp_path: Path) -> None:
    device = enrolled(plane, tmp_path / "asked", "eu")
    code, said = at_terminal(plane, ["device", "cordon", device], "n\n")
    assert (code, "cordon 1 of 1 devices, 0 of them at work" in said) == (130, True)
    assert states(plane, "-l", "name=asked") == {"asked": "active"}
    code, said = at_terminal(plane, ["device", "cordon", device], "y\n")
    assert (code, device in said) == (0, True)
    assert states(plane, "-l", "name=asked") == {"asked": "cordoned"}
    assert plane.podium("device", "uncordon", "asked", "--yes").code == 0


def test_a_followed_list_tells_each_change_on_a_line(plane: Dev, tmp_path: Path) -> None:
    watching = start(["device", "list", "--watch", "--state", "cordoned", "--data", plane.data])
    assert watching.stdout is not None
    device = enrolled(plane, tmp_path / "followed", "eu")
    plane.podium("device", "cordon", device, "--yes")
    assert watching.stdout.readline().startswith(f"+  {device}  followed")
    plane.podium("device", "uncordon", device, "--yes")
    assert watching.stdout.readline().startswith(f"-  {device}  followed")
    watching.send_signal(signal.SIGINT)
    _, err = watching.communicate(timeout=30)
    assert (watching.returncode, "left the list" in err) == (130, True)


def test_a_followed_list_is_redrawn_at_a_terminal(plane: Dev, tmp_path: Path) -> None:
    device = enrolled(plane, tmp_path / "redrawn", "eu")
    master, slave = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "160", "NO_COLOR": "1"}
    words = [*PODIUM, "device", "list", "--watch", "-l", "name=redrawn", "--data", str(plane.data)]
    process = subprocess.Popen(words, stdout=slave, stderr=subprocess.PIPE, env=environment)
    os.close(slave)
    shown = b""
    while device.encode() not in shown:
        shown += os.read(master, 65_536)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    os.close(master)
    assert (process.returncode, b"left the list" in err) == (130, True)
    assert b"DEVICE" in shown
    assert b"+  " not in shown


def test_the_journal_says_who_did_what_and_why(plane: Dev, tmp_path: Path) -> None:
    run = submitted(plane, tmp_path, name='"journalled"')
    plane.podium("pause", run, "--now", "--why", "for lunch")
    plane.podium("stop", run, "--yes")
    words = ("audit", "list", "-l", f"subject={run}", "--json")
    told = json.loads(plane.podium(*words).out)
    assert [each["kind"] for each in told if each["kind"].startswith("run-")] == [
        "run-submitted",
        "run-paused",
        "run-stopped",
    ]
    paused = next(each for each in told if each["kind"] == "run-paused")
    assert (paused["actor"], "for lunch" in paused["why"].values()) == ("person:administrator", True)
    assert len(json.loads(plane.podium(*words, "--limit", "1").out)) == 1
    assert "for lunch" in plane.podium("audit", "list", "-l", "kind=run-paused").out
    wrong = plane.podium("audit", "list", "-l", "colour=red")
    assert (wrong.code, "an entry has kind, subject and actor" in wrong.err) == (2, True)


def test_a_service_may_do_what_its_token_names_until_it_is_revoked(plane: Dev, tmp_path: Path) -> None:
    words = ("--verb", "status.read", "--verb", "whoami.read", "--expires", "1h")
    made = plane.podium("auth", "issue", "dashboard", *words)
    assert made.code == 0, made.err
    (tmp_path / "token").write_text(made.out)
    service = made.err.split()[1].rstrip(":")
    service_options = ("--plane", plane.url, "--token-file", tmp_path / "token")
    assert podium("status", *service_options).code == 0
    assert podium("auth", "can-i", *service_options).out.split() == ["status.read", "whoami.read"]
    yes, no = (podium("auth", "can-i", verb, *service_options) for verb in ("status.read", "runs.stop"))
    assert (yes.code, yes.out, no.code, no.out) == (0, "yes\n", 4, "no\n")
    denied = podium("freeze", "--yes", *service_options)
    assert (denied.code, "error[P2032 verb-denied]" in denied.err) == (4, True)
    listed = json.loads(plane.podium("auth", "list", "--json").out)
    assert [(each["id"][:12], each["name"], each["verbs"]) for each in listed] == [
        (service, "dashboard", ["status.read", "whoami.read"])
    ]
    assert plane.podium("auth", "list").out.splitlines()[1].split()[0] == service
    assert made.out.strip() not in plane.podium("auth", "list").out
    asked = plane.podium("auth", "revoke", service)
    assert (asked.code, asked.out) == (2, "")
    assert plane.podium("auth", "revoke", service, "--yes").out.strip() == listed[0]["id"]
    assert podium("status", *service_options).code == 4
    for slipped in (("issue", "x", "--verb", "run.stop"), ("can-i", "run.stop")):
        slip = plane.podium("auth", *slipped)
        assert (slip.code, "no verb is called run.stop\n  why:  the nearest is runs.stop" in slip.err) == (2, True)
    assert plane.podium("auth", "issue", "x", "--verb", "runs.read", "--expires", "soon").code == 2


def test_status_loads_no_more_than_it_needs(plane: Dev) -> None:
    words = [sys.executable, "-X", "importtime", *PODIUM[1:], "status", "--data", str(plane.data)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=os.environ)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "podium.plane.link" in loaded
    heavy = ("numpy", "rich", "cryptography", "starlette", "podium.server", "podium.core", "podium.device.agent")
    assert [name for name in heavy if name in loaded] == []
