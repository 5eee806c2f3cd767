"""The Keys port's contract, run on every adapter; and what a disk adds: modes, crash leftovers, destruction."""

import os
from pathlib import Path

import pytest

from podium.adapters.keys import FileKeys, MemoryKeys
from podium.ports import Keys
from podium.wire.problems import Bug, StoreFault


@pytest.fixture(params=["file", "memory"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> Keys:
    return FileKeys(tmp_path / "keys") if request.param == "file" else MemoryKeys()


def erased(keys: Keys, name: str) -> None:
    with pytest.raises(StoreFault) as caught:
        keys.get(name)
    assert caught.value.code == "key-erased"


def test_put_get_erase(keys: Keys) -> None:
    erased(keys, "upload.r.1")
    keys.put("upload.r.1", b"\0secret\xff")
    assert keys.get("upload.r.1") == b"\0secret\xff"
    keys.erase("upload.r.1")
    keys.erase("upload.r.1")
    erased(keys, "upload.r.1")
    assert keys.names("") == []


def test_a_name_holds_one_secret(keys: Keys) -> None:
    keys.put("k", b"one")
    keys.put("k", b"one")
    with pytest.raises(Bug):
        keys.put("k", b"two")
    assert keys.get("k") == b"one"


def test_names_by_prefix_sorted(keys: Keys) -> None:
    for name in ("upload.b", "upload.a", "online", "sha256:ff", "upload/x", "a%2Fb"):
        keys.put(name, name.encode())
    assert keys.names("upload") == ["upload.a", "upload.b", "upload/x"]
    assert keys.names("") == ["a%2Fb", "online", "sha256:ff", "upload.a", "upload.b", "upload/x"]
    assert keys.get("upload/x") == b"upload/x"


@pytest.mark.parametrize("name", ["", "x" * 201, "ä" * 40])
def test_a_name_that_cannot_be(keys: Keys, name: str) -> None:
    for call in (lambda: keys.put(name, b"s"), lambda: keys.get(name), lambda: keys.erase(name)):
        with pytest.raises(Bug):
            call()


@pytest.mark.parametrize("name", ["..", "../../outside", "/etc/x", "a/../../b", ".", "a\0b"])
def test_no_name_leaves_the_directory(tmp_path: Path, name: str) -> None:
    keys = FileKeys(tmp_path / "keys")
    keys.put(name, b"s")
    assert keys.get(name) == b"s"
    assert keys.names("") == [name]
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]
    assert len(list((tmp_path / "keys").iterdir())) == 1


def test_modes(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        FileKeys(tmp_path / "keys").put("k", b"secret")
    finally:
        os.umask(previous)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    [path] = (tmp_path / "keys").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_lax_directory_is_closed(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir(mode=0o755)
    FileKeys(tmp_path / "keys")
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700


def test_another_process_sees_it(tmp_path: Path) -> None:
    FileKeys(tmp_path).put("k", b"secret")
    again = FileKeys(tmp_path)
    assert again.get("k") == b"secret"
    with pytest.raises(Bug):
        again.put("k", b"other")


def test_erase_overwrites_the_bytes(tmp_path: Path) -> None:
    keys = FileKeys(tmp_path)
    keys.put("k", b"secret")
    [path] = tmp_path.iterdir()
    with path.open("rb") as held:  # the file outlives its name while we hold it open
        keys.erase("k")
        assert not path.exists()
        assert held.read() == b"\0" * 6


def test_crash_leftovers_are_no_names_and_are_destroyed_once_old(tmp_path: Path) -> None:
    keys = FileKeys(tmp_path)
    keys.put("k", b"secret")
    young, old = tmp_path / "j.key.77.part", tmp_path / "i.key.78.part"
    young.write_bytes(b"half")
    old.write_bytes(b"half")
    os.utime(old, (1, 1))
    with old.open("rb") as held:
        again = FileKeys(tmp_path)
        assert held.read() == b"\0" * 4
    assert again.names("") == ["k"]
    assert young.exists()
    assert not old.exists()


@pytest.mark.parametrize("alone", [True, False])
def test_a_crash_between_two_names_of_one_secret_costs_the_second_name_only(tmp_path: Path, alone: bool) -> None:
    keys = FileKeys(tmp_path)
    keys.put("k", b"secret")
    staged = tmp_path / "k.key.77.part"
    os.link(tmp_path / "k.key", staged)  # died after the link and before the unlink
    os.utime(staged, (1, 1))
    assert FileKeys(tmp_path, alone=alone).get("k") == b"secret"
    assert not staged.exists()


def test_who_is_alone_destroys_every_leftover_at_once(tmp_path: Path) -> None:
    FileKeys(tmp_path)
    young = tmp_path / "j.key.77.part"
    young.write_bytes(b"half")
    with young.open("rb") as held:
        FileKeys(tmp_path, alone=True)
        assert held.read() == b"\0" * 4
    assert not young.exists()
