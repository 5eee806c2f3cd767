"""The file of a backup: what it says of itself must hold for every byte of it, and no member goes anywhere else."""

import hashlib
import io
import tarfile
from collections.abc import Iterator

import msgspec
import pytest

from podium.server.backup.archive import (
    BLOCK,
    Manifest,
    Member,
    Pieces,
    read_archive,
    write_archive,
)
from podium.wire.canonical import canonical
from podium.wire.problems import OperatorFault

BLOB = b"model" * 300
FILES = {
    "podium.db": b"SQLite" * 100,
    "port": b"8443\n",
    f"blobs/{hashlib.sha256(BLOB).hexdigest()}": BLOB,
    "uploads/r1.1.1/0000000000000000": b"",
    "uploads/r1.1.1/0000000000001024": bytes(1024),
}


def member(name: str, data: bytes) -> Member:
    return Member(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def manifest(files: dict[str, bytes]) -> Manifest:
    members = tuple(member(name, data) for name, data in files.items())
    return Manifest(plane_id="p1", podium="0", at_ms=1, entries=3, members=members)


def whole(files: dict[str, bytes] = FILES, told: Manifest | None = None) -> bytes:
    out = io.BytesIO()
    write_archive(out, told or manifest(files), (iter([data[:7], data[7:]]) for data in files.values()))
    return out.getvalue()


def read(data: bytes) -> dict[str, bytes]:
    """What a backup holds, once it was verified."""
    found: dict[str, bytes] = {}

    def take(told: Manifest, one: Member, pieces: Pieces) -> None:
        found[one.name] = b"".join(pieces)

    assert read_archive(io.BytesIO(data), take).plane_id == "p1"
    return found


def refused(data: bytes) -> OperatorFault:
    with pytest.raises(OperatorFault) as caught:
        read(data)
    assert caught.value.code == "backup-invalid", caught.value
    return caught.value


def test_what_was_written_is_read() -> None:
    assert read(whole()) == FILES


def test_it_is_a_tar_that_every_tool_reads() -> None:
    with tarfile.open(fileobj=io.BytesIO(whole())) as tar:
        names = tar.getnames()
        assert names == ["manifest.json", *FILES, "SHA256"]
        blob = tar.extractfile(names[3])
        assert blob is not None and blob.read() == BLOB
        told = tar.extractfile("manifest.json")
        assert told is not None and msgspec.json.decode(told.read(), type=Manifest) == manifest(FILES)


def test_every_changed_byte_is_refused_and_contents_name_their_member() -> None:
    data = whole()
    named = 0
    for place in range(0, len(data), 3):
        fault = refused(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        named += any(name in fault.what for name in FILES)
    assert named > len(data) // 3 // 2, "most bytes are those of members"
    content = data.index(BLOB)
    assert list(FILES)[2] in refused(data[:content] + b"X" + data[content + 1 :]).what


def test_every_cut_and_every_appended_byte_is_refused() -> None:
    data = whole()
    for length in range(0, len(data), 97):
        refused(data[:length])
    refused(data[:-1])
    refused(data + b"\0")


@pytest.mark.parametrize(
    "name",
    [
        "../podium.db",
        "/etc/passwd",
        "blobs/../../x",
        "uploads/../0000000000000000",
        "uploads/.../0000000000000000",
        "uploads/a/b/0000000000000000",
        "uploads/a/1",
        "keys/plane%2Froot.key",
        "identity.json",
        "podium.db\n",
        "",
    ],
)
def test_a_name_that_leaves_its_place_is_refused(name: str) -> None:
    assert "no backup has such a member" in refused(whole(FILES | {name: b"x"})).why


def test_a_blob_under_another_digest_a_member_twice_and_no_database_are_refused() -> None:
    assert "a blob's name is its digest" in refused(whole(FILES | {"blobs/" + "0" * 64: b"x"})).why
    doubled = manifest(FILES)
    doubled = msgspec.structs.replace(doubled, members=(*doubled.members, doubled.members[1]))
    out = io.BytesIO()
    write_archive(out, doubled, (iter([data]) for data in [*FILES.values(), FILES["port"]]))
    assert "not twice" in refused(out.getvalue()).why
    assert refused(whole({"port": b"1\n"})).what == "podium.db"


def test_links_and_devices_in_the_place_of_a_file_are_refused() -> None:
    data = whole()
    place = data.index(b"port\0") // BLOCK * BLOCK
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE):
        entry = tarfile.TarInfo("port")
        entry.type, entry.linkname, entry.size = kind, "/etc/passwd", 0
        forged = data[:place] + entry.tobuf(tarfile.GNU_FORMAT) + data[place + BLOCK :]
        assert refused(forged).what == "the header of port"
    entry = tarfile.TarInfo("manifest.json")
    entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
    assert "manifest.json" in refused(entry.tobuf(tarfile.GNU_FORMAT) + data[BLOCK:]).what


def test_a_manifest_that_is_no_manifest_is_refused() -> None:
    for body in (b"", b"{}", b"[]", canonical(manifest(FILES)) + b" ", b"\xff"):
        entry = tarfile.TarInfo("manifest.json")
        entry.size, entry.mode = len(body), 0o600
        refused(entry.tobuf(tarfile.GNU_FORMAT) + body + bytes(-len(body) % BLOCK) + bytes(1024))
    entry.size = 1 << 40
    assert "not as a backup writes it" in refused(entry.tobuf(tarfile.GNU_FORMAT)).why


def test_a_backup_of_a_newer_format_says_which_release_made_it() -> None:
    body = canonical({"format": 2, "podium": "9.1", "unheard": [1]})
    entry = tarfile.TarInfo("manifest.json")
    entry.size, entry.mode = len(body), 0o600
    with pytest.raises(OperatorFault, match="data-newer") as caught:
        read(entry.tobuf(tarfile.GNU_FORMAT) + body + bytes(-len(body) % BLOCK) + bytes(1024))
    assert caught.value.why == "podium 9.1 made it" and "that release" in caught.value.next


def test_a_member_that_changes_while_it_is_written_is_a_fault() -> None:
    def other() -> Iterator[Pieces]:
        yield from (iter([data]) for data in [*list(FILES.values())[:-1], b"other"])

    with pytest.raises(OperatorFault, match=r"0000000000001024 is not what the manifest says"):
        write_archive(io.BytesIO(), manifest(FILES), other())


def test_a_member_beyond_eight_gigabytes_has_a_header() -> None:
    told = manifest({"podium.db": b""})
    large = msgspec.structs.replace(told, members=(msgspec.structs.replace(told.members[0], size=1 << 36),))
    out = io.BytesIO()
    with pytest.raises(OperatorFault, match="backup-invalid"):
        write_archive(out, large, [iter([b""])])
    assert "ends within it" in refused(out.getvalue()).why
