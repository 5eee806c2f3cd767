"""The limit of a round: a bare script that moves the same bytes between the same processes, and no plane.

Mandatory per byte, as in a real round: each device receives the base and verifies its SHA-256, subtracts, seals, hashes
and signs; the server verifies, hashes, writes and syncs the sealed bytes, opens them, checks them and adds them to an
exact sum. Plain sockets, a thread for each device on both sides; no protocol, no leases, no records, no rounds forming.

Run as programs: `serve COUNT SIZE ROUNDS` prints its address, then the seconds of each round; `devices ADDRESS COUNT`.
"""

import hashlib
import os
import secrets
import socket
import struct
import sys
import tempfile
import threading
import time
from pathlib import Path

import msgspec
import numpy as np

from podium.crypto.seal import FRAME_BYTES, open_frames, open_key, seal_frames, seal_key, upload_keypair
from podium.crypto.sign import public_key, sign, verify
from podium.kernels.sums import accumulate, choose_grid, make_scratch, mean_of
from podium.wire.canonical import canonical
from podium.wire.messages import Signed

_HEAD = struct.Struct(">I32sI")
_INFO = b"bare"


def receive(connection: socket.socket, length: int) -> bytearray:
    """Exactly `length` bytes; `ConnectionError` if the other side closed."""
    data = bytearray(length)
    view = memoryview(data)
    while view:
        count = connection.recv_into(view)
        if not count:
            raise ConnectionError("closed")
        view = view[count:]
    return data


def sealed_update(base: bytes, public: bytes, seed: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """The sealed key, the sealed difference of a training that changed nothing, its SHA-256, and the signed report."""
    trained = np.frombuffer(base, np.float32)
    key = secrets.token_bytes(32)
    body = b"".join(seal_frames(key, (trained - np.frombuffer(base, np.float32)).tobytes()))
    digest = hashlib.sha256(body).digest()
    signed = msgspec.json.encode(sign(seed, "report", canonical({"sha256": digest.hex()})))
    return seal_key(public, key, _INFO), body, digest, signed


def device(address: tuple[str, int]) -> None:
    """One device: each round, receive the base, send an update; ends when the server closes."""
    seed = secrets.token_bytes(32)
    with socket.create_connection(address) as connection:
        connection.sendall(public_key(seed))
        while True:
            try:
                length, digest, _ = _HEAD.unpack(receive(connection, _HEAD.size))
            except ConnectionError:
                return
            public = bytes(receive(connection, 32))
            base = bytes(receive(connection, length))
            if hashlib.sha256(base).digest() != digest:
                raise ValueError("the base does not verify")
            key, body, hashed, signed = sealed_update(base, public, seed)
            connection.sendall(_HEAD.pack(len(body), hashed, len(signed)) + key + signed)
            connection.sendall(body)


class Server:
    """The other side: `count` devices, a base of `size` float32 numbers."""

    def __init__(self, count: int, size: int, folder: Path) -> None:
        self._count = count
        self._folder = folder
        self._grid = choose_grid(count, 10_000.0, 8.0)
        self._scratch = make_scratch()
        self._base = np.zeros(size, np.float32)
        self._total = self._grid.zeros(size)
        self._adding = threading.Lock()

    def run(self, connections: list[socket.socket], rounds: int) -> list[float]:
        """The seconds of each round."""
        keys = [bytes(receive(connection, 32)) for connection in connections]
        return [self._round(list(zip(connections, keys, strict=True))) for _ in range(rounds)]

    def _round(self, members: list[tuple[socket.socket, bytes]]) -> float:
        started = time.monotonic()
        private, public = upload_keypair(secrets.token_bytes(32))
        base = self._base.tobytes()
        offer = _HEAD.pack(len(base), hashlib.sha256(base).digest(), 0) + public
        threads = [
            threading.Thread(target=self._served, args=(number, member, offer + base, private))
            for number, member in enumerate(members)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        units = self._count * self._grid.weight_units(1.0)
        self._base = self._base + mean_of(self._total, units, self._grid).astype(np.float32)
        self._kept("version", self._base.tobytes())
        self._total[:] = 0
        return time.monotonic() - started

    def _served(self, number: int, member: tuple[socket.socket, bytes], offer: bytes, private: bytes) -> None:
        connection, public = member
        connection.sendall(offer)
        length, digest, signed_length = _HEAD.unpack(receive(connection, _HEAD.size))
        key = open_key(private, bytes(receive(connection, 81)), _INFO)
        signed = msgspec.json.decode(receive(connection, signed_length), type=Signed)
        body = bytes(receive(connection, length))
        verify(public, "report", signed)
        if hashlib.sha256(body).digest() != digest:
            raise ValueError("the update does not verify")
        self._kept(str(number), body)
        frames = (body[start : start + FRAME_BYTES] for start in range(0, length, FRAME_BYTES))
        values = np.frombuffer(b"".join(open_frames(key, frames)), np.float32)
        if not np.isfinite(values).all():
            raise ValueError("the update is not finite")
        with self._adding:
            accumulate(self._total, values, 1.0, self._grid, self._scratch)

    def _kept(self, name: str, data: bytes) -> None:
        handle = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            os.write(handle, data)
            os.fsync(handle)
        finally:
            os.close(handle)


def serve(count: int, size: int, rounds: int) -> None:
    """Print the address, take `count` devices, print the seconds of each round on a line."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=count)
    sys.stdout.write(f"127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    connections = [listener.accept()[0] for _ in range(count)]
    with tempfile.TemporaryDirectory(prefix="podium-bench-") as folder:
        seconds = Server(count, size, Path(folder)).run(connections, rounds)
    sys.stdout.write(" ".join(f"{each:.6f}" for each in seconds) + "\n")
    for connection in connections:
        connection.close()


def main() -> None:
    """One of the two programs."""
    if sys.argv[1] == "serve":
        serve(*map(int, sys.argv[2:5]))
        return
    host, _, port = sys.argv[2].rpartition(":")
    threads = [threading.Thread(target=device, args=((host, int(port)),)) for _ in range(int(sys.argv[3]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
