"""podium doctor: what it finds well on a healthy plane, and each thing it notices on one that is not."""

import os
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest

import podium as podium_package
from podium.cli import checkup, reach
from podium.cli.checkup import FAIL, OK, WARN, Finding
from podium.cli.doctor import examine
from podium.cli.options import DATA, Where
from podium.server.identity import IdentityFile, release_key_path
from podium.server.main import PlaneServer
from podium.wire.asks import RotateAsk
from podium.wire.extras import how_to_install
from podium.wire.operator import KeyView
from tests.e2e.cli_made import TASK, podium
from tests.support.certificates import make_certificate
from tests.support.plane_cases import plane


def found(data: Path, task: Path | None = None, url: str = "", token: Path | None = None) -> dict[str, Finding]:
    """Check -> what it found; the worst of those of one name."""
    seen: dict[str, Finding] = {}
    for finding in examine(Where(data, url, token), task):
        if finding.check not in seen or finding.state != OK:
            seen[finding.check] = finding
    return seen


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A directory whose plane stopped."""
    with plane(tmp_path / "data"):
        pass
    return tmp_path / "data"


def told(finding: Finding, state: str, *words: str) -> None:
    """A finding that is no good says what, why and what next."""
    assert finding.state == state, finding
    assert finding.what and (state == OK or (finding.why and finding.next)), finding
    for word in words:
        assert word in f"{finding.what} {finding.why} {finding.next}", finding


def test_a_healthy_plane(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (server, _):
        release_key_path(server.data).rename(tmp_path / "offline.key")
        assert podium("db", "backup", "--out", tmp_path / "b.tar", "--data", server.data).code == 0
        said = podium("doctor", "--data", server.data, "--task", TASK, "--json")
        seen = {finding.check: finding for finding in msgspec.json.decode(said.out, type=list[Finding])}
        assert said.code == 0, said.out
        named = ["python", "packages", "directory", "secrets", "disk", "journal", "keys", "backup"]
        assert list(seen) == [*named, "plane", "release", "files", "clock", "plan"]
        assert {check for check, finding in seen.items() if finding.state != OK} <= {"disk"}, seen
        said = podium("doctor", "--data", server.data)
        assert said.code == 0 and "ok    journal" in said.out, said.out
        token = server.data / "administrator.token"
        elsewhere = found(DATA, url=server.url, token=token)
        assert list(elsewhere) == ["python", "packages", "plane", "release", "clock"]
        assert elsewhere["plane"].state == OK


def test_a_stopped_plane_is_no_fault_and_its_release_key_is_pointed_at(data: Path) -> None:
    seen = found(data)
    told(seen["plane"], OK, "none serves")
    told(seen["port"], OK)
    told(seen["clock"], OK)
    told(seen["keys"], WARN, str(release_key_path(data)), "move it offline")
    told(seen["backup"], WARN, "no backup was taken", "podium db backup")


def test_nothing_there(tmp_path: Path) -> None:
    said = podium("doctor", "--data", tmp_path / "nowhere")
    assert said.code == 1 and "fail  directory" in said.out and "podium serve --data" in said.out
    assert not (tmp_path / "nowhere").exists(), "it makes nothing"


SHUT = """
import os, sys
from pathlib import Path
from podium.cli import checkup, doctor, reach
from podium.cli.options import Where
os.geteuid() or os.setuid(65534)
for finding in doctor.examine(Where(Path(sys.argv[1]), "", None), None):
    doctor.say_finding(finding)
"""


@pytest.mark.parametrize("closed", ["the directory", "what it lies in"])
def test_a_directory_that_this_user_cannot_look_into(closed: str) -> None:
    """As another user, where the tests run as root."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir(mode=0o700)
        shut, opened = (data, data.parent) if closed == "the directory" else (data.parent, data)
        opened.chmod(0o755)
        shut.chmod(0)
        try:
            done = subprocess.run([sys.executable, "-c", SHUT, data], capture_output=True, text=True, check=False)
        finally:
            data.parent.chmod(0o700)
            data.chmod(0o700)
    assert done.returncode == 0 and "fail  directory" in done.stdout and "as the user who serves it" in done.stdout, (
        done
    )
    checks = [line.split()[1] for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert checks == ["python", "packages", "directory"], "nothing else is looked at"


def test_looking_changes_neither_modes_nor_what_a_crash_left(data: Path) -> None:
    staged = data / "keys" / "k.key.1.part"
    staged.write_bytes(b"secret")
    os.utime(staged, (0, 0))
    (data / "keys").chmod(0o750)
    told(found(data)["secrets"], FAIL, "keys", "chmod go-rwx")
    assert staged.read_bytes() == b"secret" and stat.S_IMODE((data / "keys").stat().st_mode) == 0o750


def test_a_plane_without_its_root_key_and_a_backup_of_before_a_rotation(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (server, operator):
        release_key_path(server.data).unlink()
        assert podium("db", "backup", "--out", tmp_path / "b.tar", "--data", server.data).code == 0
        told(found(server.data)["backup"], OK)
        operator.post("/api/v1/keys/rotate", RotateAsk(), KeyView)
        told(found(server.data)["keys"], OK, "root version 2")
        told(found(server.data)["backup"], WARN, "a key was rotated since", "podium db backup")
        (server.data / "keys" / "plane%2Froot.key").unlink()
        told(found(server.data)["keys"], WARN, "root key is gone", "--keys")


def test_a_plane_of_another_release_and_with_few_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with plane(tmp_path / "data") as (server, _):
        monkeypatch.setattr(podium_package, "__version__", "99.1")
        told(found(server.data)["release"], WARN, "99.1", "serve it again")
        monkeypatch.setattr(reach, "FILES_BESIDE", 1 << 40)
        told(found(server.data)["files"], WARN, "0 devices", "LimitNOFILE")


def test_a_clock_that_was_set_back(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "CLOCK_WARN_S", -3600.0)
    told(found(data)["clock"], WARN, "ahead of this machine's clock", "NTP")


def test_a_directory_restored_without_its_keys(data: Path, tmp_path: Path) -> None:
    assert podium("db", "backup", "--out", tmp_path / "b.tar", "--data", data).code == 0
    assert podium("db", "restore", tmp_path / "b.tar", "--data", tmp_path / "restored").code == 0
    told(found(tmp_path / "restored")["keys"], WARN, "cannot be served so", "--keys")
    (tmp_path / "restored" / "keys").mkdir(mode=0o700)
    told(found(tmp_path / "restored")["keys"], WARN, "cannot be served so")


def test_secrets_that_others_can_read(data: Path) -> None:
    (data / "viewer.token").chmod(0o644)
    told(found(data)["secrets"], FAIL, "viewer.token", "chmod go-rwx")
    (data / "viewer.token").chmod(0o600)
    key = next((data / "keys").glob("*.key"))
    key.chmod(0o640)
    told(found(data)["secrets"], FAIL, key.name)
    key.chmod(0o600)
    data.chmod(0o755)
    told(found(data)["directory"], WARN, "mode 755", f"chmod 700 {data}")
    assert podium("doctor", "--data", data).code == 0, "a warning is no failure"


def test_a_journal_that_does_not_hold(data: Path) -> None:
    database = sqlite3.connect(data / "podium.db")
    database.execute("DROP TRIGGER history_changed")
    database.execute("UPDATE history SET record = record || ' ' WHERE number = 1")
    database.commit()
    database.close()
    with plane(data.parent / "other"):
        pass
    told(found(data)["journal"], FAIL, "entry")
    said = podium("doctor", "--data", data)
    assert said.code == 1 and "fail  journal" in said.out


def test_a_directory_of_another_release(data: Path) -> None:
    database = sqlite3.connect(data / "podium.db")
    newest = database.execute("PRAGMA user_version").fetchone()[0]
    database.execute(f"PRAGMA user_version = {newest + 1}")
    database.commit()
    told(found(data)["journal"], FAIL, "schema")
    database.execute(f"PRAGMA user_version = {newest - 1}")
    database.commit()
    database.close()
    told(found(data)["journal"], WARN, "start a plane on it once")


def test_a_root_without_release_key_and_one_that_is_none(data: Path) -> None:
    path = data / "identity.json"
    whole = path.read_bytes()
    path.write_bytes(b"{}")
    told(found(data)["keys"], FAIL, "identity.json")
    path.write_bytes(whole)
    held = msgspec.json.decode(whole, type=IdentityFile)
    assert held.plane_id in whole.decode()


def test_a_taken_port_and_a_killed_plane(data: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (data / "port").write_text(f"{taken.getsockname()[1]}\n")
        told(found(data)["port"], WARN, "is taken")
    (data / "port").write_text("none\n")
    assert "port" not in found(data)
    (data / "plane.json").write_text('{"url": "http://127.0.0.1:9", "plane_id": "p", "pid": 2147483646}')
    told(found(data)["plane"], WARN, "is gone", "podium serve --data")


def test_a_plane_that_does_not_answer_and_a_credential_that_is_none(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (server, _):
        url = server.url
        token = tmp_path / "token"
        token.write_text("pdma_no-such-credential\n")
        told(found(DATA, url=url, token=token)["plane"], FAIL, "credential")
    told(found(DATA, url=url, token=tmp_path / "data" / "viewer.token")["plane"], FAIL)


def test_warnings_of_the_plane_itself_are_passed_on(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (server, _):
        assert podium("freeze", "--why", "drill", "--yes", "--data", server.data).code == 0
        told(found(server.data)["plane"], WARN, "drill")


def test_an_old_backup(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert podium("db", "backup", "--out", tmp_path / "b.tar", "--data", data).code == 0
    told(found(data)["backup"], OK, "0.0 days old")
    monkeypatch.setattr(checkup, "BACKUP_WARN_MS", -1)
    told(found(data)["backup"], WARN, "older than a week")


def test_little_room(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "DISK_WARN_BYTES", 1 << 60)
    told(found(data)["disk"], WARN, "free some space")
    monkeypatch.setattr(checkup, "DISK_FAIL_BYTES", 1 << 60)
    told(found(data)["disk"], FAIL)
    monkeypatch.undo()
    monkeypatch.setattr(checkup, "FILES_LEAST", 1 << 62)
    if os.statvfs(data).f_files:
        told(found(data)["disk"], FAIL, "files more can be made")


def test_a_plan_that_is_not_there_and_a_task_that_is_none(data: Path, tmp_path: Path) -> None:
    text = TASK.read_text()
    (tmp_path / "task.toml").write_text(text.replace("podium_examples.hospital:train", "no_such_module:train"))
    told(found(data, tmp_path / "task.toml")["plan"], FAIL, "no_such_module")
    told(found(data, tmp_path / "missing.toml")["plan"], FAIL)


def test_packages_that_are_old_or_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def checked() -> dict[str, Finding]:
        return {finding.check: finding for finding in checkup.installation()}

    assert checked()["packages"].state == OK
    monkeypatch.setattr(checkup, "requires", lambda name: ["numpy>=999", "no-such-thing>=1", "PyNaCl>=1.0"])
    told(checked()["packages"], FAIL, "numpy", "is older than 999", "no-such-thing is not installed")
    monkeypatch.setattr(checkup, "requires", lambda name: ["numpy", "no-such-server>=1; extra == 'server'"])
    told(checked()["packages"], WARN, "no-such-server", how_to_install("server"))
    monkeypatch.setattr(checkup, "requires", lambda name: ["no-such-dev; extra == 'dev'"])
    assert checked()["packages"].state == OK
    monkeypatch.setattr(checkup, "PYTHON_LEAST", (99, 0))
    told(checked()["python"], FAIL, "99.0")


def test_clocks_that_differ_and_certificates_that_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = make_certificate(tmp_path)
    with PlaneServer(tmp_path / "data", tls=(certificate.file, certificate.key_file)) as server:
        seen = found(server.data)
        assert seen["plane"].state == OK and seen["clock"].state == OK, seen
        told(seen["certificate"], WARN, "ends in 1 days", "--tls")
        monkeypatch.setattr(reach, "CERTIFICATE_WARN_DAYS", 0)
        assert found(server.data)["certificate"].state == OK
        monkeypatch.setattr(reach, "CLOCK_WARN_S", -1.0)
        told(found(server.data)["clock"], WARN, "NTP")
