"""A version's bytes over HTTP: in pieces, checked, and for nobody who does not read them."""

import contextlib
import hashlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import numpy as np
import pytest
from msgspec.structs import replace

from podium.device.link import PlaneAway
from podium.plane.link import OperatorLink
from podium.server.backup.taking import blob_path
from podium.server.devices.uploads import PIECE_BYTES
from podium.server.main import PlaneServer
from podium.wire.operator import VersionView
from tests.support.api_cases import linked
from tests.support.plane_cases import FAST, Operator, task

ELEMENTS = 4 * 1024 * 1024
"""16 MiB: more than the systems of both sides keep for a connection."""
Serving = tuple[PlaneServer, Operator, OperatorLink, VersionView]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A plane with a large model."""
    with linked(tmp_path_factory.mktemp("downloads") / "data", replace(FAST, body_ms=500)) as (server, operator, link):
        run = operator.submit(task(), {"w": np.arange(ELEMENTS, dtype=np.float32)})
        yield server, operator, link, link.version(link.run(run).base)


def test_a_large_version_comes_whole_and_is_never_held_whole(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    server, operator, link, version = serving
    assert server.plane is not None
    read, asked = server.plane.parts.blobs.read, list[int]()

    def counted(digest: str, start: int, end: int) -> bytes:
        asked.append(end - start)
        return read(digest, start, end)

    monkeypatch.setattr(server.plane.parts.blobs, "read", counted)
    data = link.blob(version.digest)
    assert f"sha256:{hashlib.sha256(data).hexdigest()}" == version.digest
    assert max(asked) <= PIECE_BYTES and sum(asked) == version.size_bytes == len(data)
    answer = operator.ask("GET", f"/api/v1/versions/{version.digest}/blob")
    assert answer.headers["content-length"] == str(len(data))
    assert answer.headers["content-type"] == "application/octet-stream"


def test_whoever_reads_nothing_is_cut_off(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    server, operator, _, version = serving
    assert server.plane is not None
    parts, pieces, ended = urlsplit(server.url), server.plane.room.pieces, threading.Event()

    async def watched(digest: str) -> AsyncIterator[bytes]:
        try:
            async for piece in pieces(digest):
                yield piece
        finally:
            ended.set()

    monkeypatch.setattr(server.plane.room, "pieces", watched)
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        reader.settimeout(60)
        reader.connect((parts.hostname, parts.port))
        lines = [f"GET /api/v1/versions/{version.digest}/blob HTTP/1.1", f"Host: {parts.netloc}"]
        lines += [f"{name}: {value}" for name, value in operator.headers.items()]
        reader.sendall("\r\n".join([*lines, "", ""]).encode())
        assert reader.recv(12) == b"HTTP/1.1 200"
        assert ended.wait(60)
        had = 0
        with contextlib.suppress(ConnectionResetError):
            while piece := reader.recv(1 << 20):
                had += len(piece)
        assert had < version.size_bytes


def test_spoiled_bytes_end_the_connection_before_they_are_whole(serving: Serving) -> None:
    server, operator, link, version = serving
    path = blob_path(server.data, version.digest.removeprefix("sha256:"))
    with path.open("r+b") as file:
        file.seek(version.size_bytes - 1)
        file.write(b"\xff")
    with pytest.raises(PlaneAway):
        link.blob(version.digest)
    small = operator.submit(task())
    digest = link.run(small).base
    blob_path(server.data, digest.removeprefix("sha256:")).unlink()
    assert operator.ask("GET", f"/api/v1/versions/{digest}/blob").status == 404
