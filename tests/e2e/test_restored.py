"""A restored plane undoes no decision about safety without a word: it says what is live again, and starts frozen."""

from pathlib import Path

import msgspec
import pytest

from podium.crypto.root import open_root
from podium.server.backup.restoring import restore_backup
from podium.server.backup.secrets import read_secrets, write_secrets
from podium.server.backup.taking import take_backup
from podium.server.journal.audit import verify_data
from podium.server.journal.heads import heads_path, read_heads
from podium.wire.asks import FreezeAsk, MarkAsk, RotateAsk, ServiceAsk
from podium.wire.messages import SignedRoot
from podium.wire.operator import FreezeView, KeyView, ServiceMade, StatusView
from podium.wire.problems import DeviceFault
from tests.e2e.cli_made import podium
from tests.support.plane_cases import Operator, enrolled, plane

PHRASE = "a passphrase of the tests"


def root_of(operator: Operator) -> SignedRoot:
    """The root document that devices are shown."""
    return msgspec.json.decode(operator.ask("GET", "/v1/root").data, type=SignedRoot)


def test_what_was_revoked_and_banned_since_is_said_and_the_plane_starts_frozen_once(tmp_path: Path) -> None:
    data, keys, phrase = tmp_path / "data", tmp_path / "keys", tmp_path / "phrase"
    phrase.write_text(f"{PHRASE}\n")
    with plane(data) as (_, operator):
        made = operator.post("/api/v1/services", ServiceAsk(name="leaked", verbs=("status.read",)), ServiceMade)
        first, second = enrolled(operator, 2)
        banned = MarkAsk(mark="banned", devices=(first.device_id,), why="stolen")
        assert operator.ask("POST", "/api/v1/devices/mark", banned).status == 200
        taken = take_backup(data, tmp_path / "b.tar")
        write_secrets(data, taken, keys, PHRASE)
        assert operator.ask("DELETE", f"/api/v1/services/{made.id}").status == 200
        operator.post("/api/v1/keys/rotate", RotateAsk(), KeyView)
        trusted = open_root(root_of(operator), None)
    again = tmp_path / "again"
    said = podium("db", "restore", tmp_path / "b.tar", "--data", again, "--keys", keys, phrase)
    assert said.code == 0 and "service leaked is good until" in said.err and "status.read" in said.err, said.err
    assert "1 services, 0 webhooks, 1 banned devices; the plane was not frozen" in said.err, said.err
    assert "its first start is frozen: restored from a backup taken at" in said.err and "unfreeze" in said.err
    assert "a newer root document than its version 1" in said.err and "podium key rotate" in said.err, said.err
    with plane(again) as (_, operator):
        for _ in range(2):  # until it is above version 2, as the restore says
            with pytest.raises(DeviceFault, match="manifest-invalid"):
                open_root(root_of(operator), trusted)
            operator.post("/api/v1/keys/rotate", RotateAsk(), KeyView)
        assert open_root(root_of(operator), trusted).version == 3
        freeze = operator.get("/api/v1/status", StatusView).freeze
        assert freeze.frozen and "restored from a backup taken at" in freeze.why, freeze
        assert second.device_id and not (again / "restored").exists()
        operator.post("/api/v1/unfreeze", FreezeAsk(why="looked through"), FreezeView)
    with plane(again) as (_, operator):
        assert not operator.get("/api/v1/status", StatusView).freeze.frozen, "who unfroze it has the last word"
    assert verify_data(again).pending == 0


def test_a_backup_that_kept_heads_show_to_be_the_newest_does_not_start_frozen(tmp_path: Path) -> None:
    data, again = tmp_path / "data", tmp_path / "again"
    with plane(data) as (_, operator):
        operator.token()
    taken = take_backup(data, tmp_path / "b.tar")
    write_secrets(data, taken, tmp_path / "keys", PHRASE)
    secrets, heads = read_secrets(tmp_path / "keys", PHRASE), read_heads(heads_path(data))
    assert restore_backup(tmp_path / "b.tar", tmp_path / "none", secrets=secrets, heads=[]).freeze
    assert restore_backup(tmp_path / "b.tar", tmp_path / "few", secrets=secrets, heads=heads[:1]).freeze
    assert not restore_backup(tmp_path / "b.tar", again, secrets=secrets, heads=heads).freeze
    with plane(again) as (_, operator):
        assert not operator.get("/api/v1/status", StatusView).freeze.frozen
