"""Who the plane is: what a first start makes and leaves beside its directory, and what a rotated key changes."""

import stat
from pathlib import Path

import msgspec
import pytest

from podium.adapters.entropy import SystemEntropy
from podium.adapters.keys import MemoryKeys
from podium.crypto.release import open_release, seal_release
from podium.crypto.root import RETIRED, active_key, active_keys, open_root, role_key
from podium.crypto.sign import key_id, public_key
from podium.server.identity import (
    FORMAT,
    ONLINE_KEY,
    ROOT_KEY,
    Identity,
    online_name,
    open_identity,
    read_release_key,
    release_key_path,
    write_release_key,
)
from podium.wire.problems import DeviceFault, OperatorFault, StoreFault

NEW = bytes(range(32))


def opened(data: Path, keys: MemoryKeys) -> Identity:
    """The identity over `data`, as a start finds or makes it."""
    data.mkdir(exist_ok=True)
    return open_identity(data, keys, SystemEntropy())


def rotate_online(identity: Identity, keys: MemoryKeys, seed: bytes = NEW) -> None:
    """What a rotation of the online key does, in its order."""
    public = public_key(seed)
    keys.put(online_name(key_id(public)), seed)
    root = identity.next_root("online", public)
    identity.keep(root)
    identity.adopt(root)


def test_a_first_start_makes_an_identity_and_later_ones_find_it(tmp_path: Path) -> None:
    keys = MemoryKeys()
    made = opened(tmp_path / "data", keys)
    again = opened(tmp_path / "data", keys)
    assert (again.plane_id, again.root, again.online_seed()) == (made.plane_id, made.root, made.online_seed())
    root = open_root(made.root, None)
    assert (root.version, root.plane_id) == (1, made.plane_id)
    online = public_key(keys.get(ONLINE_KEY))
    assert role_key(root, "online", key_id(online)) == online
    assert made.online_id == key_id(online) and made.online_seed() == keys.get(ONLINE_KEY)
    assert role_key(root, "root", root.roles["root"].key_ids[0]) != online
    assert opened(tmp_path / "other", MemoryKeys()).plane_id != made.plane_id


def test_the_release_key_lies_beside_the_directory_and_not_with_the_plane(tmp_path: Path) -> None:
    keys, data = MemoryKeys(), tmp_path / "data"
    made = opened(data, keys)
    path = release_key_path(data)
    assert path == tmp_path / "data.release.key" and stat.S_IMODE(path.stat().st_mode) == 0o600
    seed = read_release_key(path)
    envelope = seal_release(made.document, seed, "sha256:" + "a" * 64, "")
    assert open_release(made.document, envelope).key_id == key_id(public_key(seed))
    held = {keys.get(name) for name in keys.names("")}
    assert seed not in held and len(held) == 2
    inside = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    assert path.read_text().strip().encode() not in inside and seed not in inside
    path.unlink()
    assert opened(data, keys).plane_id == made.plane_id, "a plane starts without it"
    assert not path.exists()


def test_a_start_that_crashed_after_its_keys_goes_on_with_them(tmp_path: Path) -> None:
    keys, data = MemoryKeys(), tmp_path / "data"
    opened(data, keys)
    seed, release = keys.get(ONLINE_KEY), read_release_key(release_key_path(data))
    (data / "identity.json").unlink()
    again = opened(data, keys)
    assert again.online_seed() == seed
    assert active_keys(again.document, "release") == (key_id(public_key(release)),)


@pytest.mark.parametrize("text", ["", "pdmr_", "pdmr_AAAA\n", "pdma_" + "A" * 43, "A" * 43, "pdmr_" + "é" * 43])
def test_what_is_no_release_key_is_refused_and_never_quoted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "data.release.key"
    path.write_text(text)
    with pytest.raises(OperatorFault, match="file-unreadable") as caught:
        opened(tmp_path / "data", MemoryKeys())
    secret = text.removeprefix("pdmr_").strip()
    assert not secret or secret not in f"{caught.value.what} {caught.value.why}"
    with pytest.raises(OperatorFault, match="file-unreadable"):
        read_release_key(tmp_path / "missing")


def test_a_written_release_key_is_read_again(tmp_path: Path) -> None:
    write_release_key(tmp_path / "key", NEW)
    assert read_release_key(tmp_path / "key") == NEW


def test_an_identity_of_a_newer_release_or_none_at_all_is_refused(tmp_path: Path) -> None:
    keys = MemoryKeys()
    opened(tmp_path / "data", keys)
    path = tmp_path / "data" / "identity.json"
    good = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode(good | {"format": FORMAT + 1, "unheard": 1}))
    with pytest.raises(OperatorFault, match="data-newer"):
        opened(tmp_path / "data", keys)
    foreign = msgspec.json.encode(good | {"plane_id": "another"})
    for broken in (b"", b"[]", b'{"format": 1}', b'{"format": "x"}', foreign):
        path.write_bytes(broken)
        with pytest.raises(StoreFault, match="store-corrupt"):
            opened(tmp_path / "data", keys)


def test_a_rotated_online_key_signs_and_the_old_one_only_verifies(tmp_path: Path) -> None:
    keys = MemoryKeys()
    identity = opened(tmp_path / "data", keys)
    before, old = identity.document, identity.online_id
    rotate_online(identity, keys)
    assert identity.online_seed() == NEW and identity.online_id == key_id(public_key(NEW))
    after = open_root(identity.root, before)
    assert (after.version, active_keys(after, "online")) == (2, (identity.online_id,))
    assert role_key(after, "online", old) == role_key(before, "online", old)
    with pytest.raises(DeviceFault, match="retired"):
        active_key(after, "online", old)
    again = opened(tmp_path / "data", keys)
    assert (again.root, again.online_seed()) == (identity.root, NEW)


def test_keys_are_rotated_again_and_again_and_none_comes_back(tmp_path: Path) -> None:
    keys = MemoryKeys()
    identity = opened(tmp_path / "data", keys)
    first = identity.document
    for number in range(1, 5):
        rotate_online(identity, keys, bytes([number]) * 32)
    told = open_root(identity.root, first)  # a device may skip versions
    assert told.version == 5 and len(told.roles["online"].key_ids) == 5 and len(told.roles[RETIRED].key_ids) == 4
    assert opened(tmp_path / "data", keys).online_seed() == bytes([4]) * 32
    with pytest.raises(OperatorFault, match="named already") as caught:
        identity.next_root("online", public_key(bytes([2]) * 32))
    assert caught.value.code == "usage"
    for role in ("root", RETIRED):
        with pytest.raises(OperatorFault, match="not rotated so"):
            identity.next_root(role, public_key(NEW))


def test_a_rotated_release_key_is_the_only_one_that_releases(tmp_path: Path) -> None:
    identity = opened(tmp_path / "data", MemoryKeys())
    old = read_release_key(release_key_path(tmp_path / "data"))
    before = seal_release(identity.document, old, "sha256:" + "a" * 64, "")
    identity.adopt(identity.next_root("release", public_key(NEW)))
    assert open_release(identity.document, seal_release(identity.document, NEW, "v", "")).version == "v"
    with pytest.raises(OperatorFault, match="release-invalid"):
        open_release(identity.document, before)
    with pytest.raises(OperatorFault, match="not the plane's release key"):
        seal_release(identity.document, old, "v", "")


def test_without_the_root_key_nothing_is_rotated(tmp_path: Path) -> None:
    keys = MemoryKeys()
    identity = opened(tmp_path / "data", keys)
    keys.erase(ROOT_KEY)
    with pytest.raises(StoreFault, match="key-erased"):
        identity.next_root("online", public_key(NEW))
