"""podium db backup, restore: taken while a run trains, brought back after a kill, and what may not be brought back."""

import hashlib
import shutil
import signal
import sqlite3
import stat
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from podium.adapters.keys import FileKeys
from podium.adapters.sqlite.migrations import migrate
from podium.adapters.sqlite.reader import meta_digest
from podium.adapters.sqlite.schema import MIGRATIONS
from podium.crypto.root import open_root
from podium.server.backup.archive import Manifest, Member, write_archive
from podium.server.identity import IdentityFile, release_key_path
from podium.server.journal.audit import META_ROOT, verify_data
from podium.server.journal.heads import heads_path
from podium.server.main import PlaneServer
from podium.wire import messages as m
from podium.wire.asks import FreezeAsk
from podium.wire.operator import FreezeView, Page, RunView, StatusView
from podium.wire.problems import OperatorFault
from podium.wire.tensors import read_arrays
from tests.e2e.cli_made import podium
from tests.e2e.test_device_on_plane import QUICK, _device
from tests.e2e.test_plane_restart import moved, process
from tests.e2e.test_plane_round import ended, offer_to, train
from tests.support.plane_cases import Operator, enrolled, plane, task
from tests.support.scripted_device import ScriptedDevice

PHRASE = "a passphrase of the tests\n"


@dataclass
class Site:
    """A plane that was killed in the middle of its run's second round, and what was backed up of it before."""

    data: Path
    backup: Path
    keys: Path
    phrase: Path
    run: str
    first: ScriptedDevice  # its update of round 2 is stored
    second: ScriptedDevice  # it holds a lease of round 2
    offer: m.OfferMessage

    def restore(self, data: Path, *words: str | Path) -> None:
        """The backup in a new directory."""
        said = podium("db", "restore", self.backup, "--data", data, *words)
        assert (said.code, said.out) == (0, f"{data}\n"), said.err


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Backed up by the verb, from another process, while the round is open; killed while the device goes on."""
    folder = tmp_path_factory.mktemp("backup")
    data, phrase = folder / "data", folder / "phrase"
    phrase.write_text(PHRASE)
    with process(data) as (child, operator):
        first, second = enrolled(operator, 2)
        run = operator.submit(task(goal=2, rounds=2))
        seated(first, second)
        assert train(first, offer_to(first), 0).word == "stored"
        assert train(second, offer_to(second), 1).word == "stored"
        seated(first, second)
        assert train(first, offer_to(first), 2).word == "stored"
        offer = offer_to(second)
        assert second.lease(offer.lease, "accept", m.Accept()).word == "go"
        site = Site(data, folder / "backup.tar", folder / "keys", phrase, run, first, second, offer)
        words = ("--with-keys", site.keys, phrase)
        said = podium("db", "backup", "--out", site.backup, *words, "--data", data)
        assert (said.code, said.out) == (0, f"{site.backup}\n"), said.err
        assert train_held(second, offer, 3).word == "stored", "the plane served meanwhile, and goes on"
        assert ended(operator, run).state == "FINISHED"
        while operator.get("/api/v1/status", StatusView).journal_pending:
            time.sleep(0.05)  # until a signed head, kept beside the directory, counts all of it
        child.send_signal(signal.SIGKILL)
        child.wait()
    return site


def seated(*devices: ScriptedDevice) -> None:
    """Each of them asks for work, so that a round of all of them can form."""
    for device in devices:
        device.check_in()


def train_held(device: ScriptedDevice, offer: m.OfferMessage, place: int) -> m.LeaseAnswer:
    """Finish a lease that is held already."""
    values = {"w": np.zeros(64, np.float32)}
    values["w"][place] = 1.0
    update = device.update(offer, device.manifest(offer), values)
    device.upload(offer.lease, update.sealed)
    return device.report(offer.lease, update.report)


def unfrozen(operator: Operator) -> None:
    """A restored plane, once a person looked through what is live in it."""
    freeze = operator.get("/api/v1/status", StatusView).freeze
    assert freeze.frozen and freeze.actor == "podium db restore" and "restored from a backup" in freeze.why, freeze
    operator.post("/api/v1/unfreeze", FreezeAsk(why="looked through"), FreezeView)


def weights(operator: Operator, view: RunView) -> NDArray[np.float64]:
    return read_arrays(operator.ask("GET", f"/api/v1/versions/{view.base}/blob").data)["w"].astype(np.float64)


def test_the_run_goes_on_to_its_end_after_a_restore_elsewhere(site: Site, tmp_path: Path) -> None:
    data = tmp_path / "restored"
    site.restore(data, "--keys", site.keys, site.phrase)
    with plane(data) as (server, operator):
        unfrozen(operator)
        view = operator.run(site.run)
        assert (view.state, view.rounds_sealed) == ("RUNNING", 1)
        for device in (site.first, site.second):
            moved(device, server.url)
        seated(site.first, site.second)
        assert train(site.first, offer_to(site.first), 4).word == "stored"
        assert train(site.second, offer_to(site.second), 5).word == "stored"
        view = ended(operator, site.run)
        assert (view.state, view.rounds_sealed) == ("FINISHED", 2)
        assert view.round is not None and view.round.number == 3, "round 2 was abandoned and done again"
        np.testing.assert_allclose(weights(operator, view)[:6], [0.5, 0.5, 0, 0, 0.5, 0.5], atol=1e-5)
        lines = operator.ask("GET", "/api/v1/audit/export").data
        assert b'"round-abandoned"' in lines and b'"key-erased"' in lines
    assert verify_data(data).pending == 0


def test_no_copy_holds_an_upload_key_and_no_backup_a_secret(site: Site, tmp_path: Path) -> None:
    site.restore(tmp_path / "again", "--keys", site.keys, site.phrase)
    names = FileKeys(tmp_path / "again" / "keys").names("")
    assert "plane/root" in names and "session/root" in names
    assert not [name for name in names if name.startswith("upload/")], "no copy ever holds one"
    packed = site.backup.read_bytes()
    for name in names:
        assert FileKeys(tmp_path / "again" / "keys").get(name) not in packed
    for role in ("administrator", "viewer"):
        token = (site.data / f"{role}.token").read_text()
        assert (tmp_path / "again" / f"{role}.token").read_text() == token
        assert token.strip().encode() not in packed + site.keys.read_bytes()
    for path in (site.backup, site.keys):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_upload_key_that_survived_lets_the_round_go_on(tmp_path: Path) -> None:
    data, backup, restored = tmp_path / "data", tmp_path / "backup.tar", tmp_path / "restored"
    with plane(data) as (_, operator):
        first, second = enrolled(operator, 2)
        run = operator.submit(task(goal=2))
        seated(first, second)
        assert train(first, offer_to(first), 0).word == "stored"
        offer = offer_to(second)
        second.lease(offer.lease, "accept", m.Accept())
        assert podium("db", "backup", "--out", backup, "--data", data).code == 0
    assert podium("db", "restore", backup, "--data", restored).code == 0
    shutil.copytree(data / "keys", restored / "keys")
    with plane(restored) as (server, operator):
        unfrozen(operator)
        moved(second, server.url)
        answer = second.check_in()
        assert answer.offer is not None and answer.offer.lease == offer.lease
        assert train_held(second, offer, 1).word == "stored"
        view = ended(operator, run)
        assert (view.state, view.round and view.round.number) == ("FINISHED", 1)
        np.testing.assert_allclose(weights(operator, view)[:3], [0.5, 0.5, 0], atol=1e-5)


def test_without_its_keys_a_restored_plane_does_not_start_and_says_why(site: Site, tmp_path: Path) -> None:
    site.restore(tmp_path / "restored")
    with pytest.raises(OperatorFault, match="data-missing") as caught:
        PlaneServer(tmp_path / "restored").start()
    assert "restored without its keys" in caught.value.why and "--keys" in caught.value.next


def test_a_changed_byte_anywhere_is_refused(site: Site, tmp_path: Path) -> None:
    packed = site.backup.read_bytes()
    broken = tmp_path / "broken.tar"
    places = np.random.default_rng(7).integers(0, len(packed), 6).tolist()
    for place in [0, 600, *places, len(packed) - 1]:
        broken.write_bytes(packed[:place] + bytes([packed[place] ^ 0x20]) + packed[place + 1 :])
        said = podium("db", "restore", broken, "--data", tmp_path / "restored")
        assert said.code == 8 and "backup-invalid" in said.err, (place, said)
    assert [path.name for path in tmp_path.iterdir()] == ["broken.tar"], "nothing is left of a refused backup"


def test_a_directory_that_holds_anything_is_not_written_to(site: Site, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with plane(data) as (server, _):
        said = podium("db", "restore", site.backup, "--data", data)
        assert said.code == 5 and "data-in-use" in said.err
        assert podium("status", "--data", data).code == 0
        assert server.plane is not None
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    assert podium("db", "restore", site.backup, "--data", tmp_path / "other").code == 5
    (tmp_path / "empty").mkdir()
    site.restore(tmp_path / "empty")


def test_keys_of_another_passphrase_or_plane_are_refused(site: Site, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("another passphrase\n")
    words = ("db", "restore", site.backup, "--data", tmp_path / "restored", "--keys", site.keys)
    said = podium(*words, other)
    assert said.code == 8 and "signature-invalid" in said.err
    said = podium(*words)
    assert said.code == 2 and "usage" in said.err
    said = podium(*words, tmp_path / "nowhere")
    assert said.code == 2 and "file-unreadable" in said.err
    with plane(tmp_path / "stranger"):
        pass
    said = podium(
        "db",
        "backup",
        "--out",
        tmp_path / "b.tar",
        "--with-keys",
        tmp_path / "k",
        other,
        "--data",
        tmp_path / "stranger",
    )
    assert said.code == 0, said.err
    said = podium(*words[:-1], tmp_path / "k", other)
    assert said.code == 8 and "they are of plane" in said.err
    assert not (tmp_path / "restored").exists()


def test_a_backup_older_than_the_heads_beside_is_noticed(site: Site, tmp_path: Path) -> None:
    """What a device, an auditor or the file beside the directory saw must be in the journal, or it is said."""
    data = tmp_path / "data"
    shutil.copyfile(heads_path(site.data), heads_path(data))
    words = ("--keys", site.keys, site.phrase)
    said = podium("db", "restore", site.backup, "--data", data, *words)
    assert said.code == 8 and "journal-broken" in said.err, said.err
    assert "older than signed heads" in said.err and "--accept-loss" in said.err, said.err
    said = podium("db", "restore", site.backup, "--data", data, *words, "--accept-loss")
    assert said.code == 0 and "refuse to train" in said.err, said.err
    assert not heads_path(data).exists()
    (aside,) = tmp_path.glob("data.heads.jsonl.before-restore-*")
    assert aside.read_bytes() == heads_path(site.data).read_bytes()
    with plane(data):
        pass


def test_an_older_database_put_in_place_does_not_start(tmp_path: Path) -> None:
    data, older = tmp_path / "data", tmp_path / "older"
    with plane(data) as (_, operator):
        enrolled(operator, 1)
    shutil.copytree(data, older)
    with plane(data) as (_, operator):
        enrolled(operator, 1)
    shutil.rmtree(data)
    older.rename(data)
    with pytest.raises(OperatorFault, match="journal-broken") as caught:
        PlaneServer(data).start()
    assert "an older copy of the database" in caught.value.why
    said = podium("audit", "verify", "--data", data)
    assert said.code == 8


def test_a_device_that_saw_a_longer_journal_does_not_train(tmp_path: Path) -> None:
    data, backup, keys = tmp_path / "data", tmp_path / "b.tar", tmp_path / "k"
    phrase = tmp_path / "phrase"
    phrase.write_text(PHRASE)
    with plane(data) as (_, operator):
        device = _device(operator, operator.token(), tmp_path / "state")
        device.run_once()
        words = ("--out", backup, "--with-keys", keys, phrase, "--data", data)
        assert podium("db", "backup", *words).code == 0
        enrolled(operator, 3)
        assert operator.get("/api/v1/devices", Page)
        device.close()
    with plane(data) as (server, operator):  # a stop placed and signed everything
        device = _device(operator, "", tmp_path / "state")
        assert device.run_once().word == "idle"
        device.close()
    shutil.rmtree(data)
    given = (backup, "--data", data, "--keys", keys, phrase, "--accept-loss")
    assert podium("db", "restore", *given).code == 0
    with plane(data) as (server, operator):
        device = _device(operator, "", tmp_path / "state")
        device.limits = QUICK
        outcome = device.run_once()
        assert (outcome.word, outcome.code) == ("denied", "manifest-invalid"), outcome
        device.close()
    assert server.url


def test_the_backup_of_an_older_release_is_migrated(tmp_path: Path) -> None:
    data, old, packed = tmp_path / "data", tmp_path / "old", tmp_path / "b.tar"
    with plane(data):
        pass
    root = msgspec.json.decode((data / "identity.json").read_bytes(), type=IdentityFile).root
    old.mkdir()
    database = sqlite3.connect(old / "podium.db", isolation_level=None)
    migrate(database, old / "podium.db", MIGRATIONS[:1])
    text = msgspec.json.encode(root).decode()
    database.execute("INSERT INTO meta VALUES (?, ?, ?)", (META_ROOT, text, meta_digest(META_ROOT, text)))
    database.close()
    said = podium("db", "backup", "--out", packed, "--data", old)
    assert said.code == 2 and "older than this release's" in said.err
    content = (old / "podium.db").read_bytes()
    member = Member(name="podium.db", size=len(content), sha256=hashlib.sha256(content).hexdigest())
    plane_id = open_root(root, None).plane_id
    with packed.open("wb") as file:
        told = Manifest(plane_id=plane_id, podium="0.1.0", at_ms=1, entries=0, members=(member,))
        write_archive(file, told, [iter([content])])
    said = podium("db", "restore", packed, "--data", tmp_path / "restored", "--json")
    assert said.code == 0 and msgspec.json.decode(said.out)["plane_id"] == plane_id, said.err
    found = sqlite3.connect(tmp_path / "restored" / "podium.db").execute("PRAGMA user_version").fetchone()[0]
    assert found == len(MIGRATIONS)


def test_a_backup_of_nothing_or_into_itself_is_refused(site: Site, tmp_path: Path) -> None:
    said = podium("db", "backup", "--out", tmp_path / "b.tar", "--data", tmp_path / "nowhere")
    assert said.code == 3 and "data-missing" in said.err
    said = podium("db", "backup", "--out", site.data / "b.tar", "--data", site.data)
    assert said.code == 2 and "kept apart" in said.err
    said = podium("db", "backup", "--out", tmp_path / "no" / "b.tar", "--data", site.data)
    assert said.code == 1 and "store-failed" in said.err, said
    said = podium("db", "restore", tmp_path / "nothing.tar", "--data", tmp_path / "restored")
    assert said.code == 2 and "file-unreadable" in said.err
    assert list(tmp_path.iterdir()) == []


def test_a_lost_blob_makes_no_backup(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with plane(data) as (_, operator):
        (device,) = enrolled(operator, 1)
        run = operator.submit(task())
        assert train(device, offer_to(device), 0).word == "stored"
        digest = ended(operator, run).base
    path = data / "blobs" / "blobs" / "sha256" / digest[7:9] / digest[9:]
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"?")
    said = podium("db", "backup", "--out", tmp_path / "b.tar", "--data", data)
    assert said.code == 1 and digest in said.err, said.err
    path.unlink()
    said = podium("db", "backup", "--out", tmp_path / "b.tar", "--data", data)
    assert said.code == 1 and digest in said.err and "not there" in said.err, said.err
    assert release_key_path(data).exists() and not (tmp_path / "b.tar").exists()
