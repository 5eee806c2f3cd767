"""A closed-loop load: many keep-alive connections, each with its own prepared requests, one under way on each.

Decides: how requests are sent and answers counted. Never: what they mean. Requests are whole bytes made beforehand, so
that the load costs little beside the server whose processor time is measured.
"""

import asyncio
import os
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import uvloop

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(process: int) -> float:
    """Processor seconds that the process `process` has used, all threads, user and system (proc(5), stat)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def peak_bytes(process: int) -> int:
    """The most memory that the process `process` ever had resident (proc(5), status, VmHWM)."""
    return _status_kb(process, "VmHWM:") * 1024


def resident_bytes(process: int) -> int:
    """The memory that the process `process` has resident now."""
    return _status_kb(process, "VmRSS:") * 1024


def _status_kb(process: int, name: str) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


class Caller(asyncio.Protocol):
    """One connection: sends the next request when the answer to the last has come; counts answers that hold `seek`."""

    def __init__(self, requests: Sequence[bytes], seek: bytes) -> None:
        self._requests = iter(requests)
        self._seek = seek
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.found = 0
        self.failed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; `go` sends the first request."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without saying so

    def go(self) -> None:
        """Send the next request, or end."""
        request = next(self._requests, None)
        if request is None or self._transport is None:
            if not self.done.done():
                self.done.set_result(None)
        else:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Collect one whole answer by its content-length."""
        self._buffer += data
        head, mark, body = self._buffer.partition(b"\r\n\r\n")
        if not mark:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._buffer = b""
        self.failed += not head.startswith(b"HTTP/1.1 200")
        self.found += self._seek in body
        self.go()

    def connection_lost(self, error: Exception | None) -> None:
        """A connection that ends before its requests do fails the bench."""
        if not self.done.done():
            self.done.set_exception(ConnectionError(f"the server closed a connection: {error}"))


async def _drive(
    address: tuple[str, int], tls: bool, scripts: Sequence[Sequence[bytes]], seek: bytes, process: int
) -> tuple[float, int]:
    context = None
    if tls:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    loop = asyncio.get_running_loop()
    callers = []
    for script in scripts:
        _, caller = await loop.create_connection(lambda script=script: Caller(script, seek), *address, ssl=context)
        callers.append(caller)
    before = cpu_s(process)
    for caller in callers:
        caller.go()
    await asyncio.gather(*(caller.done for caller in callers))
    used = cpu_s(process) - before
    if failed := sum(caller.failed for caller in callers):
        raise RuntimeError(f"{failed} requests were not answered with 200")
    return used, sum(caller.found for caller in callers)


def drive(url: str, scripts: Sequence[Sequence[bytes]], seek: bytes, process: int) -> tuple[float, int]:
    """Send each script over a connection of its own; the processor seconds that `process` used meanwhile, and how many
    answers held `seek`. The handshakes come before."""
    scheme, _, rest = url.partition("://")
    host, _, port = rest.rpartition(":")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_drive((host, int(port)), scheme == "https", scripts, seek, process))


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, as PEM files in `folder`."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bench")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "bench.pem", folder / "bench.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(*pem))
    return paths


def scratch() -> "tempfile.TemporaryDirectory[str]":
    """A directory that goes away."""
    return tempfile.TemporaryDirectory(prefix="podium-bench-")
