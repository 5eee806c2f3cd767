"""podium db backup of a plane under load: each one restores to a plane whose run ends and whose webhooks go on."""

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import msgspec
import numpy as np
import pytest
from standardwebhooks import Webhook

from podium.adapters.disk import LEFTOVER_AGE_MS
from podium.adapters.keys import FileKeys
from podium.server.backup import taking
from podium.server.backup.archive import Manifest, Pieces
from podium.server.backup.restoring import Restored, restore_backup
from podium.server.backup.secrets import PlaneSecrets, read_secrets, write_secrets
from podium.server.backup.taking import Taken, take_backup
from podium.server.journal.audit import verify_data
from podium.wire.asks import FreezeAsk, RotateAsk
from podium.wire.operator import FreezeView, KeyView, Page, VersionView, WebhookView
from podium.wire.problems import OperatorFault, StoreFault
from podium.wire.tensors import read_arrays
from tests.e2e.cli_made import podium
from tests.e2e.test_plane_restart import moved
from tests.e2e.test_plane_round import served
from tests.e2e.test_webhooks import Receiver, dead, hook, local, set_hook
from tests.support.plane_cases import SIZE, Operator, enrolled, plane, task

PHRASE = "a passphrase of the tests"


def taken_with_keys(data: Path, folder: Path) -> tuple[Taken, Path]:
    """A backup of `data`, and its keys, in `folder`."""
    taken = take_backup(data, folder / "backup.tar")
    write_secrets(data, taken, folder / "keys", PHRASE)
    return taken, folder / "keys"


def restored(taken: Taken, keys: Path, data: Path) -> Restored:
    return restore_backup(Path(taken.file), data, secrets=read_secrets(keys, PHRASE))


# -- rounds --------------------------------------------------------------------------------------------------


def check_sums(operator: Operator, run: str, rounds: int) -> None:
    """Every round of the run is sealed, and no device counts twice in one."""
    view = operator.run(run)
    assert (view.state, view.rounds_sealed) == ("FINISHED", rounds)
    page = operator.get(f"/api/v1/versions?run={run}", Page)
    versions = [msgspec.json.decode(item, type=VersionView) for item in page.items]
    before = np.zeros(SIZE)
    for version in versions[1:]:
        blob = operator.ask("GET", f"/api/v1/versions/{version.digest}/blob").data
        weights = read_arrays(blob)["w"].astype(np.float64)
        counted = np.round((weights - before) * version.contributors)
        assert set(counted.tolist()) <= {0.0, 1.0}, "a 2 would be a double count"
        before = weights


@pytest.mark.long
def test_every_backup_of_a_plane_under_load_is_a_plane_whose_run_ends(tmp_path: Path) -> None:
    """Eight devices train while one backup follows the other; a round that was open is abandoned or goes on."""
    data, rounds, kept = tmp_path / "data", 16, list[tuple[Taken, Path]]()
    with plane(data) as (_, operator):
        devices = enrolled(operator, 8)
        run = operator.submit(task(goal=4, minimum=2, rounds=rounds))
        training = threading.Thread(target=served, args=(operator, run, devices))
        training.start()
        while training.is_alive():
            folder = tmp_path / f"backup-{len(kept)}"
            folder.mkdir()
            kept.append(taken_with_keys(data, folder))
        training.join()
        check_sums(operator, run, rounds)
    counts = [taken.entries for taken, _ in kept]
    assert len(kept) >= 3 and counts == sorted(counts)
    abandoned = 0
    for taken, keys in kept[:: max(1, len(kept) // 3)]:
        again = Path(taken.file).parent / "data"
        made = restored(taken, keys, again)
        assert verify_data(again).entries == made.entries == taken.entries
        with plane(again) as (server, operator):
            operator.post("/api/v1/unfreeze", FreezeAsk(why="looked through"), FreezeView)
            for device in devices:
                moved(device, server.url)
            served(operator, run, devices)
            check_sums(operator, run, rounds)
            abandoned += b'"key-erased"' in operator.ask("GET", "/api/v1/audit/export").data
        assert verify_data(again).pending == 0
    assert abandoned, "a backup was taken while a round was open"


def test_a_backup_that_could_not_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, out = tmp_path / "data", tmp_path / "backups" / "b.tar"
    out.parent.mkdir()
    with plane(data):

        def full(file: IO[bytes], manifest: Manifest, contents: Iterable[Pieces]) -> None:
            file.write(bytes(70_000))
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(taking, "write_archive", full)
        with pytest.raises(StoreFault, match="store-full"):
            take_backup(data, out)
    assert not list(out.parent.iterdir())


def test_a_backup_is_written_over_no_file_and_not_into_its_directory(tmp_path: Path) -> None:
    data, keys, phrase = tmp_path / "data", tmp_path / "keys", tmp_path / "phrase"
    phrase.write_text(f"{PHRASE}\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(data)
    with plane(data):
        pass
    for inside in (tmp_path / "other" / ".." / "data" / "b.tar", tmp_path / "link" / "b.tar"):
        said = podium("db", "backup", "--out", inside, "--data", data)
        assert said.code == 2 and "kept apart" in said.err and not (data / "b.tar").exists(), said.err
    first, second = tmp_path / "first.tar", tmp_path / "second.tar"
    assert podium("db", "backup", "--out", first, "--with-keys", keys, phrase, "--data", data).code == 0
    before = first.read_bytes(), keys.read_bytes()
    said = podium("db", "backup", "--out", first, "--data", data)
    assert said.code == 2 and f"{first} is there already" in said.err and "move that one away" in said.err, said.err
    said = podium("db", "backup", "--out", second, "--with-keys", keys, phrase, "--data", data)
    assert said.code == 2 and f"{keys} is there already" in said.err and not second.exists(), said.err
    assert (first.read_bytes(), keys.read_bytes()) == before


def test_what_a_killed_backup_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    data, out, prefix = tmp_path / "data", tmp_path / "out", ".podium-backup-"
    out.mkdir()
    with plane(data):
        pass
    code = (
        "import sys, pathlib; from podium.server.backup.scratch import scratch\n"
        f"with scratch({prefix!r}, pathlib.Path({str(out)!r})) as path:\n"
        "  (path / 'podium.db').write_bytes(b'x'); print(path, flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    held = Path(child.stdout.readline().strip())
    for name, age_ms in (("young", 0), ("old", 2 * LEFTOVER_AGE_MS)):  # of a release that locked nothing
        (out / f"{prefix}{name}").mkdir()
        os.utime(out / f"{prefix}{name}", ns=(time.time_ns() - age_ms * 1_000_000,) * 2)
    (out / f"{prefix}link").symlink_to(data)
    take_backup(data, out / "first.tar")
    left = {held, out / f"{prefix}young", out / f"{prefix}link"}
    assert set(out.iterdir()) == {*left, out / "first.tar"}, "that of a live process stays"
    child.kill()
    child.communicate()
    take_backup(data, out / "second.tar")
    assert set(out.iterdir()) == {*left - {held}, out / "first.tar", out / "second.tar"}
    assert (data / "podium.db").exists()


def test_keys_of_after_a_rotation_are_not_kept_with_a_backup_of_before(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with plane(data) as (_, operator):
        taken = take_backup(data, tmp_path / "backup.tar")
        operator.post("/api/v1/keys/rotate", RotateAsk(), KeyView)
        with pytest.raises(OperatorFault, match="data-in-use") as caught:
            write_secrets(data, taken, tmp_path / "keys", PHRASE)
        assert "take the backup again" in caught.value.next and not (tmp_path / "keys").exists()
        Path(taken.file).unlink()
        assert taken_with_keys(data, tmp_path)[0].root_version == 2


# -- webhooks ------------------------------------------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[Receiver]:
    """A receiver on loopback."""
    with Receiver() as made:
        yield made


def test_webhooks_go_on_where_they_were_when_the_backup_was_taken(listener: Receiver, tmp_path: Path) -> None:
    data, again = tmp_path / "data", tmp_path / "again"
    with local(data) as (_, operator):
        made = set_hook(operator, listener.url, "token-issued")
        operator.token()
        listener.wait(lambda: hook(operator).delivered == 1)
        listener.answer = lambda event: 500
        operator.token()
        listener.wait(lambda: len(dead(operator)) == 1)
        taken, keys = taken_with_keys(data, tmp_path)
        listener.answer = lambda event: 204
        operator.token()
        listener.wait(lambda: hook(operator).delivered == 2)
        letters = dead(operator)
    before, numbers = listener.ids(), [event["data"]["number"] for event in listener.events()]
    restored(taken, keys, again)
    assert (again / "webhooks.db").stat().st_mode & 0o777 == 0o600
    with local(again) as (_, operator):
        assert (hook(operator).delivered, hook(operator).failing) == (1, "")
        assert [each.event for each in dead(operator)] == [each.event for each in letters]
        operator.token()
        listener.wait(lambda: hook(operator).delivered == 2)
        headers, body = listener.got[-1]
        assert Webhook(made.secret).verify(body, headers)["type"] == "io.podium.token-issued"
        assert len(listener.ids()) == len(before) + 1 and listener.ids()[-1] not in before
        # a restored plane begins with a freeze and a start of its own, so its numbers run over those of the lost ones
        assert numbers[-1] <= listener.events()[-1]["data"]["number"] <= numbers[-1] + 2, "yet its id is its own"
        operator.ask("POST", f"/api/v1/webhooks/{made.id}/retry")
        listener.wait(lambda: hook(operator).delivered == 3)
        assert listener.ids()[-1] == letters[0].event and not dead(operator)


@pytest.mark.parametrize("lost_key", ["", "/url"], ids=["secret", "address"])
def test_a_webhook_whose_secret_or_address_did_not_come_back_says_so_and_is_set_anew(
    listener: Receiver, tmp_path: Path, lost_key: str
) -> None:
    data, again = tmp_path / "data", tmp_path / "again"
    with local(data) as (_, operator):
        made = set_hook(operator, listener.url, "token-issued")
        taken, keys = taken_with_keys(data, tmp_path)
    secrets = read_secrets(keys, PHRASE)
    assert secrets.keys[f"webhook/{made.id}/url"].decode() == listener.url, "address and secret are kept apart from all"
    assert listener.url.encode() not in Path(taken.file).read_bytes()
    lost = f"webhook/{made.id}{lost_key}"
    left = {name: secret for name, secret in secrets.keys.items() if name != lost}
    assert len(left) == len(secrets.keys) - 1, "it is among the keys that a backup keeps apart"
    older = PlaneSecrets(plane_id=secrets.plane_id, keys=left, credentials=secrets.credentials)
    restore_backup(Path(taken.file), again, secrets=older)
    with local(again) as (_, operator):
        assert hook(operator).failing == "its secret or its address is gone: remove it and set it anew"
        operator.token()
        assert operator.ask("DELETE", f"/api/v1/webhooks/{made.id}").status == 200
        fresh = set_hook(operator, listener.url, "token-issued")
        operator.token()
        listener.wait(lambda: hook(operator).delivered == 1)
        Webhook(fresh.secret).verify(listener.got[-1][1], listener.got[-1][0])
        assert msgspec.convert(hook(operator), WebhookView).id == fresh.id and len(listener.got) == 1


def test_a_backup_without_a_ledger_restores_to_a_plane_that_begins_one(tmp_path: Path) -> None:
    """As of a release that kept none in its backups."""
    data, again = tmp_path / "data", tmp_path / "again"
    with plane(data):
        pass
    (data / "webhooks.db").unlink()
    taken = take_backup(data, tmp_path / "backup.tar")
    assert b"webhooks.db" not in (tmp_path / "backup.tar").read_bytes()[:4096]
    restore_backup(Path(taken.file), again)
    shutil.copytree(data / "keys", again / "keys")
    with plane(again):
        assert (again / "webhooks.db").exists()
    assert FileKeys(again / "keys").names("plane/")


def test_the_verb_keeps_the_ledger_of_a_plane_that_stopped(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with plane(data):
        pass
    assert podium("db", "backup", "--out", tmp_path / "b.tar", "--data", data).code == 0
    assert b"webhooks.db" in (tmp_path / "b.tar").read_bytes()[:4096]
    assert podium("db", "restore", tmp_path / "b.tar", "--data", tmp_path / "again").code == 0
    assert (tmp_path / "again" / "webhooks.db").exists()
