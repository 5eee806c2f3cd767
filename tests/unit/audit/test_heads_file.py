"""The file of signed heads beside the data directory: what it keeps, what a crash or a hand leaves in it."""

from pathlib import Path

import pytest

from podium.server.journal.heads import append_heads, heads_path, read_heads
from podium.wire.problems import OperatorFault, StoreFault
from tests.contract.plane_made import sign_head

HEADS = [sign_head(b"head %d" % number) for number in range(4)]


def test_it_lies_beside_the_directory(tmp_path: Path) -> None:
    assert heads_path(tmp_path / "data") == tmp_path / "data.heads.jsonl"


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    path = tmp_path / "h"
    append_heads(path, HEADS[:1])
    append_heads(path, HEADS[1:])
    assert read_heads(path) == HEADS
    append_heads(path, [])
    assert path.read_bytes().count(b"\n") == 4


@pytest.mark.parametrize("kept", [0, 2])
def test_a_torn_line_is_left_out_and_cut(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "h"
    append_heads(path, HEADS[: kept + 1])
    whole = path.read_bytes()
    for cut in (1, 20):
        path.write_bytes(whole[:-cut])
        assert read_heads(path) == HEADS[:kept]
        append_heads(path, HEADS[3:])
        assert read_heads(path) == [*HEADS[:kept], HEADS[3]]


@pytest.mark.parametrize("line", [b"{}", b"", b"\xff", b'{"payload":"=","key_id":"k","signature":""}'])
def test_a_broken_line_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "h"
    append_heads(path, HEADS[:1])
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(OperatorFault, match="line 2 of") as caught:
        read_heads(path)
    assert caught.value.code == "journal-broken"


def test_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(OperatorFault, match="cannot be read") as caught:
        read_heads(tmp_path / "none")
    assert caught.value.code == "file-unreadable"
    with pytest.raises(StoreFault, match="writing") as failed:
        append_heads(tmp_path / "no" / "h", HEADS)
    assert failed.value.code == "store-failed"
