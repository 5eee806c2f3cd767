"""A plane that stops, dies, is started twice, or finds another's things: what it keeps, and what it says."""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest

from podium.server.main import PlaneServer
from podium.wire import messages as m
from podium.wire.operator import PlaneFile
from podium.wire.problems import OperatorFault
from podium.wire.tensors import read_arrays
from tests.e2e.test_plane_round import ended, offer_to, train
from tests.support.plane_cases import FAST, Operator, enrolled, one_hot, plane, plane_process, task
from tests.support.scripted_device import Refused, ScriptedDevice

PROGRAM = """
import sys
from pathlib import Path
from podium.server.main import PlaneServer, serve
from tests.support.plane_cases import FAST
serve(PlaneServer(Path(sys.argv[1]), limits=FAST), lambda server: print(server.url, flush=True), Path(sys.argv[2]))
"""


@contextmanager
def process(data: Path) -> Iterator[tuple[subprocess.Popen[str], Operator]]:
    """A plane in a process of its own, killed at the end if it still lives."""
    with plane_process(data, "-c", PROGRAM, str(data), str(data) + ".log") as made:
        yield made


def moved(device: ScriptedDevice, url: str) -> None:
    """The same device talks to the plane's new address and opens a session there."""
    device.url = url
    device.open()


def test_a_stopped_plane_goes_on_where_it_was(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with plane(data) as (_, operator):
        devices = enrolled(operator, 2)
        run = operator.submit(task(goal=2, rounds=1))
        for device in devices:
            device.check_in()
        first, second = devices
        assert train(first, offer_to(first), 0).word == "stored"
        offer = offer_to(second)
        second.lease(offer.lease, "accept", m.Accept())
        manifest = second.manifest(offer)
        update = second.update(offer, manifest, one_hot(1))
        assert second.put(offer.lease, 0, update.sealed[:64]) == 64
    with plane(data) as (server, operator):
        moved(second, server.url)
        answer = second.check_in()
        assert answer.offer is not None and answer.offer.lease == offer.lease and answer.offer.state == "HELD"
        head = second.ask("HEAD", f"/v1/leases/{offer.lease}/upload")
        assert head.headers["podium-offset"] == "64", "the upload goes on where it was"
        second.put(offer.lease, 64, update.sealed[64:])
        assert second.report(offer.lease, update.report).word == "stored"
        view = ended(operator, run)
        assert view.state == "FINISHED"
        weights = read_arrays(operator.ask("GET", f"/api/v1/versions/{view.base}/blob").data)["w"].astype(np.float64)
        np.testing.assert_allclose(weights[:2], [0.5, 0.5], atol=1e-5)
        assert not weights[2:].any(), "nothing was counted twice"


def test_a_session_goes_on_after_a_stop(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (_, operator):
        (device,) = enrolled(operator, 1)
    with plane(tmp_path / "data") as (server, _):
        device.url = server.url
        assert device.check_in().reason == "no-task"


def test_a_session_that_was_not_kept_has_to_be_opened_again(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with process(data) as (child, operator):
        (device,) = enrolled(operator, 1)
        child.send_signal(signal.SIGKILL)
        child.wait()
    with plane(data) as (server, _):
        device.url = server.url
        with pytest.raises(Refused, match="session-unknown"):
            device.check_in()
        moved(device, server.url)
        assert device.check_in().reason == "no-task"


def test_an_upload_is_taken_as_the_first_word_after_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with plane(data) as (_, operator):
        (device,) = enrolled(operator, 1)
        run = operator.submit(task())
        offer = offer_to(device)
        device.lease(offer.lease, "accept", m.Accept())
        update = device.update(offer, device.manifest(offer), one_hot(0))
    with plane(data) as (server, operator):
        device.url = server.url
        with pytest.raises(Refused, match="session-unknown"):
            device.upload(offer.lease, update.sealed)
        moved(device, server.url)
        device.upload(offer.lease, update.sealed)
        assert device.report(offer.lease, update.report).word == "stored"
        assert ended(operator, run).state == "FINISHED"


def test_a_killed_plane_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with process(data) as (child, operator):
        devices = enrolled(operator, 2)
        run = operator.submit(task(goal=2))
        for device in devices:
            device.check_in()
        assert train(devices[0], offer_to(devices[0]), 0).word == "stored"
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert (data / "plane.json").exists(), "a killed plane cannot tidy up"
    with plane(data) as (server, operator):
        said = msgspec.json.decode((data / "plane.json").read_bytes(), type=PlaneFile)
        assert (said.url, said.pid) == (server.url, os.getpid())
        for device in devices:
            moved(device, server.url)
        assert train(devices[1], offer_to(devices[1]), 1).word == "stored"
        view = ended(operator, run)
        assert (view.state, view.rounds_sealed) == ("FINISHED", 1)
        weights = read_arrays(operator.ask("GET", f"/api/v1/versions/{view.base}/blob").data)["w"].astype(np.float64)
        np.testing.assert_allclose(weights[:2], [0.5, 0.5], atol=1e-5)
    assert not (data / "plane.json").exists()


def test_sigterm_drains_and_leaves_nothing_behind(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with process(data) as (child, operator):
        (device,) = enrolled(operator, 1)
        assert device.check_in().reason == "no-task"
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 0
    assert not (data / "plane.json").exists()
    lines = [msgspec.json.decode(line) for line in Path(f"{data}.log").read_bytes().splitlines()]
    assert [line["message"] for line in lines if line["logger"] == "podium.plane"] == ["plane open", "plane closed"]
    secret = (data / "administrator.token").read_text().strip()
    assert secret not in Path(f"{data}.log").read_text()


def test_an_upload_key_that_is_gone_abandons_the_round_and_the_run_goes_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with plane(data) as (server, operator):
        (device,) = enrolled(operator, 1)
        run = operator.submit(task())
        offer_to(device)
        assert server.plane is not None
        keys = server.plane.parts.keys
        (name,) = keys.names("upload/")
        keys.erase(name)
    with plane(data) as (server, operator):
        moved(device, server.url)
        assert train(device, offer_to(device), 0).word == "stored"
        view = ended(operator, run)
        assert (view.state, view.rounds_sealed) == ("FINISHED", 1)
        assert view.round is not None and view.round.number == 2, "the first was abandoned"
        journal = operator.ask("GET", "/api/v1/audit/export").data
        assert b'"key-erased"' in journal


def test_what_a_crash_left_beside_the_rows_is_dropped_at_the_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with plane(data) as (server, _):
        assert server.plane is not None
        server.plane.parts.blobs.append("gone.1.1", 0, b"chunk")
        server.plane.parts.keys.put("upload/gone.1", bytes(32))
    with plane(data) as (server, _):
        assert server.plane is not None
        assert server.plane.parts.blobs.uploads() == []
        assert server.plane.parts.keys.names("upload/") == []


def test_one_plane_per_directory_and_one_listener_per_port(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (server, _):
        with pytest.raises(OperatorFault, match="data-in-use"):
            PlaneServer(tmp_path / "data").start()
        port = int(server.url.rsplit(":", 1)[1])
        with pytest.raises(OperatorFault, match="port-in-use"):
            PlaneServer(tmp_path / "other", port=port).start()
    with plane(tmp_path / "other"):
        pass  # the failed start left nothing locked


def test_a_start_that_fails_late_lets_go_of_the_directory(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with plane(data):
        pass
    kept = (data / "viewer.token").read_bytes()
    (data / "viewer.token").write_bytes(b"short")
    for _ in range(2):
        with pytest.raises(OperatorFault, match="file-unreadable"):
            PlaneServer(data).start()
    (data / "viewer.token").write_bytes(kept)
    with plane(data):
        pass


def test_a_plane_comes_back_where_its_devices_know_it_unless_the_port_is_taken(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with plane(data) as (server, operator):
        (device,) = enrolled(operator, 1)
        first = server.url
    with plane(data) as (server, operator):
        assert server.url == first
        device.open()
        operator.submit(task())
        assert offer_to(device).lease
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", int(first.rpartition(":")[2])))
        taken.listen()
        with plane(data) as (server, _):
            assert server.url != first
    for broken in (b"", b"none", b"99999999", b"70000", b"\xff"):
        (data / "port").write_bytes(broken)
        with plane(data):
            pass


def test_beyond_loopback_only_with_tls(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(OperatorFault, match="usage"):
            PlaneServer(tmp_path / "data", host=host).start()
    (tmp_path / "cert.pem").write_text("no certificate")
    with pytest.raises(OperatorFault, match="file-unreadable"):
        PlaneServer(tmp_path / "data", tls=(tmp_path / "cert.pem", tmp_path / "none.pem")).start()
    assert not (tmp_path / "data").exists()


def test_a_newer_directory_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with plane(data):
        pass
    identity = msgspec.json.decode((data / "identity.json").read_bytes())
    (data / "identity.json").write_bytes(msgspec.json.encode(identity | {"format": 2}))
    with pytest.raises(OperatorFault, match="data-newer"):
        PlaneServer(data).start()
    (data / "identity.json").write_bytes(msgspec.json.encode(identity))
    with plane(data) as (server, _):
        assert server.plane_id == identity["plane_id"]


def test_two_planes_on_one_host_are_strangers(tmp_path: Path) -> None:
    with plane(tmp_path / "a") as (_, one), plane(tmp_path / "b") as (other, two):
        (device,) = enrolled(one, 1)
        device.url = other.url
        with pytest.raises(Refused, match=r"session-unknown|mac-invalid"):
            device.check_in()
        with pytest.raises(Refused, match="token-invalid"):
            ScriptedDevice(two.url).enrol(one.token())
        assert two.ask("GET", "/api/v1/status").status == 200
        assert (
            Operator(two.url, (tmp_path / "a" / "administrator.token").read_text().strip())
            .ask("GET", "/api/v1/status")
            .status
            == 401
        )


def test_slow_bodies_time_out(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(FAST, body_ms=200)
    with plane(tmp_path / "data", limits) as (server, _):
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as wire:
            wire.sendall(b"POST /v1/enrol HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
            began = time.monotonic()
            answer = wire.recv(65_536)
            assert b" 400 " in answer.split(b"\r\n")[0] and b"body-malformed" in answer
            assert time.monotonic() - began < 9


@pytest.mark.parametrize(
    "begun", [b"", b"GET /healthz HTTP/1.1\r\nho", b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /"]
)
def test_a_head_that_does_not_come_keeps_no_connection(tmp_path: Path, begun: bytes) -> None:
    limits = msgspec.structs.replace(FAST, clients_max=3, body_ms=300)
    with plane(tmp_path / "data", limits) as (server, operator), contextlib.ExitStack() as silent:
        host, port = server.url.removeprefix("http://").split(":")
        taken = [silent.enter_context(socket.create_connection((host, int(port)), 10)) for _ in range(3)]
        for connection in taken:
            connection.sendall(begun)
        for connection in taken:
            while connection.recv(4096):
                pass  # until the plane closes it
        assert operator.ask("GET", "/api/v1/status").status == 200


def test_a_changed_journal_is_noticed_at_the_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with plane(data) as (_, operator):
        operator.token()
    with contextlib.closing(sqlite3.connect(data / "podium.db")) as db, db:
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute("UPDATE history SET leaf = zeroblob(32) WHERE number = 1")
    with pytest.raises(OperatorFault, match="journal-broken"):
        PlaneServer(data).start()
    with pytest.raises(OperatorFault, match="journal-broken"):
        PlaneServer(data).start()  # and the first start let the directory go
