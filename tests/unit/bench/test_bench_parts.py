"""The parts of the benches: rows, the load, and that the limits do the work they claim."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench._load import cpu_s, drive, peak_bytes, resident_bytes, self_signed
from bench._planes import process
from bench._rows import row
from bench.checkin import ECHO, OFFERED, scripts_of
from bench.limits.bare_round import sealed_update
from bench.round import BARE
from podium.crypto.seal import open_frames, open_key, upload_keypair


def test_a_ratio_is_how_far_a_figure_is_from_its_limit() -> None:
    lower = row(("checkin", "no-offer"), 60.0, "us", ("raw-asgi-echo", 30.0), 2.0)
    assert (lower["ratio"], lower["met"], lower["better"]) == (2.0, True, "lower")
    higher = row(("transfer", "download"), 1.0, "GB/s", ("memory", 2.0), 1.25, better="higher")
    assert (higher["ratio"], higher["met"]) == (2.0, False)
    assert row(("a", "b"), 1.0, "s", ("c", 1.0), None)["met"] is None


def test_requests_are_dealt_in_order_with_offers_spread() -> None:
    requests = [[f"{device}.{number}".encode() for number in range(26)] for device in range(512)]
    scripts = scripts_of(requests)
    assert len(scripts) == 256
    assert scripts[3][0] == b"6.3"
    last = [b"6.25", b"7.25"]
    assert [request for request in scripts[3] if request.endswith(b".25")] == last
    assert scripts[3][-1] == last[-1]
    share = 512 / sum(map(len, scripts))
    assert 0.049 < share < 0.051


@pytest.mark.parametrize("tls", [False, True])
def test_the_echo_decodes_and_answers_each_request(tmp_path: Path, tls: bool) -> None:
    body = b'{"battery":0.5}'
    request = b"POST /v1/checkin HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    files = self_signed(tmp_path) if tls else ()
    with process([ECHO, *map(str, files)]) as (pid, url):
        used, found = drive(url, [[request] * 5] * 3, b'"window_ok_ms":1000', pid)
        assert found == 15
        assert 0 <= used <= cpu_s(pid)
        bad = request.replace(b"0.5", b'"x"')
        with pytest.raises((RuntimeError, ConnectionError)):
            drive(url, [[bad]], OFFERED, pid)


def test_the_bare_round_seals_what_opens_to_the_difference() -> None:
    private, public = upload_keypair(bytes(range(32)))
    base = np.arange(1000, dtype=np.float32)
    key, body, _, _ = sealed_update(base.tobytes(), public, bytes(32))
    values = np.frombuffer(b"".join(open_frames(open_key(private, key, b"bare"), [body])), np.float32)
    assert values.tolist() == [0.0] * 1000


def test_the_bare_round_ends_with_a_time_for_each_round() -> None:
    server = subprocess.Popen([sys.executable, BARE, "serve", "3", "1000", "2"], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    address = server.stdout.readline().strip()
    subprocess.run([sys.executable, BARE, "devices", address, "3"], check=True, timeout=60)
    times = [float(word) for word in server.stdout.readline().split()]
    assert server.wait(30) == 0
    assert len(times) == 2
    assert all(each > 0 for each in times)


def test_memory_is_read_of_a_living_process() -> None:
    assert 0 < resident_bytes(os.getpid()) <= peak_bytes(os.getpid())
