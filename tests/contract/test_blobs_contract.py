"""The Blobs port's contract, run on every adapter, and what only a disk does: crash leftovers, no room, durability."""

import hashlib
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from podium.adapters.blobs import LocalBlobs, MemoryBlobs
from podium.ports import Blobs
from podium.wire.problems import DeviceFault, StoreFault

ABSENT = "sha256:" + "0" * 64


@pytest.fixture(params=["local", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return LocalBlobs(tmp_path / "blobs") if request.param == "local" else MemoryBlobs()


def refused(code: str, call: Callable[[], object]) -> DeviceFault:
    with pytest.raises(DeviceFault) as caught:
        call()
    assert caught.value.code == code
    return caught.value


def test_put_names_by_sha256_and_gives_back(blobs: Blobs) -> None:
    digest = blobs.put(b"abc")
    # FIPS 180-2, appendix B.1
    assert digest == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert blobs.get(digest) == b"abc"
    assert blobs.size(digest) == 3
    assert blobs.put(b"abc") == digest
    assert [name for name, _ in blobs.digests()] == [digest]


def test_the_empty_blob(blobs: Blobs) -> None:
    digest = blobs.put(b"")
    assert blobs.get(digest) == b""
    assert blobs.size(digest) == 0
    refused("range-invalid", lambda: blobs.read(digest, 0, 0))


@pytest.mark.parametrize(("start", "end", "kept"), [(0, 10, b"0123456789"), (3, 5, b"34"), (9, 10, b"9")])
def test_ranges(blobs: Blobs, start: int, end: int, kept: bytes) -> None:
    assert blobs.read(blobs.put(b"0123456789"), start, end) == kept


@pytest.mark.parametrize(("start", "end"), [(0, 11), (-1, 3), (5, 5), (6, 5), (10, 12)])
def test_ranges_that_cannot_be(blobs: Blobs, start: int, end: int) -> None:
    digest = blobs.put(b"0123456789")
    refused("range-invalid", lambda: blobs.read(digest, start, end))


@pytest.mark.parametrize("name", [ABSENT, "", "sha256:", "sha256:../../etc/passwd", "md5:" + "0" * 64, "A" * 71])
def test_absent_or_no_digest_is_not_found(blobs: Blobs, name: str) -> None:
    refused("not-found", lambda: blobs.get(name))
    refused("not-found", lambda: blobs.size(name))
    refused("not-found", lambda: blobs.read(name, 0, 1))


def test_delete(blobs: Blobs) -> None:
    digest = blobs.put(b"gone")
    blobs.delete(digest)
    blobs.delete(digest)
    refused("not-found", lambda: blobs.get(digest))
    assert list(blobs.digests()) == []


def test_many_blobs_are_listed_each_once(blobs: Blobs) -> None:
    digests = {blobs.put(str(n).encode()) for n in range(120)}
    listed = list(blobs.digests())
    assert {name for name, _ in listed} == digests
    assert len(listed) == 120
    assert all(0 <= age_ms < 600_000 for _, age_ms in listed)


def test_upload_grows_by_chunks(blobs: Blobs) -> None:
    assert blobs.length("r.1.2") == 0
    assert blobs.append("r.1.2", 0, b"aaaa") == 4
    assert blobs.append("r.1.2", 4, b"bb") == 6
    assert blobs.append("r.1.2", 6, b"c") == 7
    assert blobs.length("r.1.2") == 7
    assert list(blobs.chunks("r.1.2")) == [b"aaaa", b"bb", b"c"]
    assert list(blobs.digests()) == []


def test_a_repeated_chunk_changes_nothing(blobs: Blobs) -> None:
    blobs.append("u", 0, b"aaaa")
    blobs.append("u", 4, b"bb")
    assert blobs.append("u", 0, b"aaaa") == 6
    assert blobs.append("u", 4, b"bb") == 6
    assert list(blobs.chunks("u")) == [b"aaaa", b"bb"]


@pytest.mark.parametrize("offset", [1, 3, 5, 7, 100, -1])
def test_another_offset_is_refused(blobs: Blobs, offset: int) -> None:
    blobs.append("u", 0, b"aaaa")
    blobs.append("u", 4, b"bb")
    refused("offset-wrong", lambda: blobs.append("u", offset, b"x"))
    assert blobs.length("u") == 6


@pytest.mark.parametrize("other", [b"aaab", b"aaa", b"aaaaa"])
def test_other_bytes_at_a_kept_offset_are_refused(blobs: Blobs, other: bytes) -> None:
    blobs.append("u", 0, b"aaaa")
    refused("conflicting-repeat", lambda: blobs.append("u", 0, other))
    assert list(blobs.chunks("u")) == [b"aaaa"]


def test_an_empty_chunk_is_refused(blobs: Blobs) -> None:
    refused("chunk-broken", lambda: blobs.append("u", 0, b""))
    assert blobs.uploads() == []


def test_uploads_are_listed_and_discarded(blobs: Blobs) -> None:
    for name in ("b.2.1", "a.1.1", "c"):
        blobs.append(name, 0, b"x")
    assert blobs.uploads() == ["a.1.1", "b.2.1", "c"]
    blobs.discard("b.2.1")
    blobs.discard("b.2.1")
    assert blobs.uploads() == ["a.1.1", "c"]
    assert blobs.length("b.2.1") == 0
    assert list(blobs.chunks("b.2.1")) == []
    assert blobs.append("b.2.1", 0, b"again") == 5


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "/etc", "a\\b", "a\0", "a\n", "x" * 129, ".hidden", "ä"]
)
def test_an_upload_name_is_never_a_path(blobs: Blobs, name: str) -> None:
    refused("not-found", lambda: blobs.append(name, 0, b"x"))
    refused("not-found", lambda: blobs.length(name))
    refused("not-found", lambda: blobs.discard(name))
    refused("not-found", lambda: list(blobs.chunks(name)))


# -- what only a disk can do -----------------------------------------------------------------------------------


def test_layout_and_modes(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path / "b")
    hexed = blobs.put(b"abc").removeprefix("sha256:")
    blobs.append("r.1.1", 0, b"x")
    assert (tmp_path / "b" / "blobs" / "sha256" / hexed[:2] / hexed[2:]).read_bytes() == b"abc"
    assert (tmp_path / "b" / "uploads" / "r.1.1" / "0000000000000000").read_bytes() == b"x"
    assert list((tmp_path / "b" / "staging").iterdir()) == []
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o700


def test_another_process_sees_what_was_acknowledged(tmp_path: Path) -> None:
    digest = LocalBlobs(tmp_path).put(b"abc")
    first = LocalBlobs(tmp_path)
    first.append("u", 0, b"abc")
    second = LocalBlobs(tmp_path)
    assert second.get(digest) == b"abc"
    assert second.append("u", 3, b"def") == 6
    assert list(first.chunks("u")) == [b"abc", b"def"]


def test_crash_leftovers_are_not_counted(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    blobs.append("u", 0, b"aaaa")
    upload = tmp_path / "uploads" / "u"
    (tmp_path / "staging" / "99-0").write_bytes(b"half a chu")  # died before it was linked
    (upload / "0000000000000004#1").write_bytes(b"half")  # obstore's own staging name
    (upload / "notes.txt").write_bytes(b"?")
    (upload / "0000000000000009").write_bytes(b"beyond a gap")
    (tmp_path / "uploads" / "empty").mkdir()
    again = LocalBlobs(tmp_path)
    assert again.length("u") == 4
    assert list(again.chunks("u")) == [b"aaaa"]
    refused("offset-wrong", lambda: again.append("u", 9, b"beyond a gap"))
    assert again.uploads() == ["u"]
    assert (tmp_path / "staging" / "99-0").exists(), "a young staged file may belong to a living process"


def test_old_leftovers_are_removed_at_start(tmp_path: Path) -> None:
    LocalBlobs(tmp_path)
    old = tmp_path / "staging" / "99-0"
    old.write_bytes(b"half")
    os.utime(old, (1, 1))
    LocalBlobs(tmp_path)
    assert not old.exists()


def test_who_is_alone_removes_every_leftover_at_once(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    blobs.append("u", 0, b"kept")
    (tmp_path / "staging" / "99-0").write_bytes(b"half")
    (tmp_path / "uploads" / "gone").mkdir()  # its discard died before the last stroke
    again = LocalBlobs(tmp_path, alone=True)
    assert list((tmp_path / "staging").iterdir()) == []
    assert [path.name for path in (tmp_path / "uploads").iterdir()] == ["u"]
    assert list(again.chunks("u")) == [b"kept"]


def test_a_discard_that_died_leaves_a_true_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = LocalBlobs(tmp_path)
    for n in range(5):
        blobs.append("u", 2 * n, b"xx")
    removed: list[str] = []
    remove = blobs._remove

    def dies_after_two(name: str) -> None:
        if len(removed) == 2:
            raise KeyboardInterrupt
        removed.append(name)
        remove(name)

    monkeypatch.setattr(blobs, "_remove", dies_after_two)  # the crash: the process stops between two unlinks
    with pytest.raises(KeyboardInterrupt):
        blobs.discard("u")
    assert LocalBlobs(tmp_path).length("u") == 6


def test_a_blob_put_again_is_young_again(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    hexed = blobs.put(b"abc").removeprefix("sha256:")
    os.utime(tmp_path / "blobs" / "sha256" / hexed[:2] / hexed[2:], (1, 1))
    [(_, age_ms)] = blobs.digests()
    assert age_ms > 1_000_000_000
    blobs.put(b"abc")
    [(_, age_ms)] = blobs.digests()
    assert age_ms < 600_000


def test_rotten_bytes_are_noticed(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    digest = blobs.put(b"abc")
    hexed = digest.removeprefix("sha256:")
    (tmp_path / "blobs" / "sha256" / hexed[:2] / hexed[2:]).write_bytes(b"abd")
    with pytest.raises(StoreFault) as caught:
        blobs.get(digest)
    assert caught.value.code == "store-corrupt"


def test_racing_writers_of_one_offset_agree(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    bodies = [bytes([n]) * 50_000 for n in range(8)]
    told: list[tuple[int, int | str]] = []
    barrier = threading.Barrier(8)

    def write(n: int) -> None:
        barrier.wait()
        try:
            told.append((n, blobs.append("u", 0, bodies[n])))
        except DeviceFault as fault:
            told.append((n, fault.code))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [n for n, answer in told if answer == 50_000]
    assert len(told) == 8
    assert len(winners) == 1
    assert sorted(str(answer) for _, answer in told) == ["50000"] + ["conflicting-repeat"] * 7
    assert list(blobs.chunks("u")) == [bodies[winners[0]]]


NO_ROOM = """
import resource, signal, sys
from pathlib import Path
from podium.adapters.blobs import LocalBlobs
from podium.adapters.keys import FileKeys
from podium.wire.problems import StoreFault
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
blobs = LocalBlobs(Path(sys.argv[1]))
keys = FileKeys(Path(sys.argv[1]) / "keys")
kept = blobs.put(b"small")
blobs.append("u", 0, b"small")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
codes = []
for call in (lambda: blobs.put(b"x" * 5000), lambda: blobs.append("u", 5, b"x" * 5000),
             lambda: keys.put("k", b"x" * 5000)):
    try:
        call()
    except StoreFault as fault:
        codes.append(fault.code)
assert blobs.get(kept) == b"small" and blobs.length("u") == 5 and keys.names("") == []
assert blobs.append("u", 5, b"more") == 9
print(*codes)
"""


def test_no_room_is_store_full_and_loses_nothing(tmp_path: Path) -> None:
    # The kernel's own limit on a file's size (EFBIG) stands for a full disk: real, and needs no privilege.
    assert resource.RLIMIT_FSIZE is not None
    done = subprocess.run(
        [sys.executable, "-c", NO_ROOM, str(tmp_path)], capture_output=True, text=True, env=os.environ, check=False
    )
    assert done.stdout.split() == ["store-full"] * 3, done.stderr
    assert [p.name for p in (tmp_path / "staging").iterdir()] == []
    assert list((tmp_path / "keys").iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A file system of 256 KiB; the test above runs without the privilege to mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.fail("mounting needs privilege: run `sudo make test-long`")
    return disk


@pytest.mark.long
def test_a_really_full_disk(small_disk: Path) -> None:
    try:
        blobs = LocalBlobs(small_disk / "b")
        assert blobs.append("u", 0, b"a" * 100_000) == 100_000
        with pytest.raises(StoreFault) as caught:
            blobs.append("u", 100_000, b"b" * 400_000)
        assert caught.value.code == "store-full"
        assert caught.value.retryable
        assert blobs.length("u") == 100_000
        assert hashlib.sha256(b"".join(blobs.chunks("u"))).hexdigest() == hashlib.sha256(b"a" * 100_000).hexdigest()
        blobs.discard("u")
        assert blobs.append("u", 0, b"b" * 150_000) == 150_000, "room again, and it goes on"
    finally:
        subprocess.run(["umount", str(small_disk)], check=True)
