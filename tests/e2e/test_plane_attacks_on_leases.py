"""Attacks on leases, blobs, uploads and reports of a real plane: each fails with its code and changes nothing."""

import contextlib
import hashlib
import os
import socket
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from podium.wire import messages as m
from podium.wire.asks import MarkAsk
from podium.wire.operator import MarkDone
from tests.e2e.test_plane_round import offer_to
from tests.support.attacks import Held, in_journal, refused
from tests.support.plane_cases import FAST, Operator, enrolled, one_hot, plane, task
from tests.support.scripted_device import Refused

# -- leases, uploads, reports --------------------------------------------------------------------------------------


def test_another_s_lease_is_unknown_and_the_attempt_is_in_the_journal(operator: Operator, held: Held) -> None:
    _, offer, manifest = held
    (thief,) = enrolled(operator, 1)
    update = thief.update(offer, manifest, one_hot(0))
    for method, target, body in (
        ("POST", f"/v1/leases/{offer.lease}/accept", b"{}"),
        ("POST", f"/v1/leases/{offer.lease}/progress", b"{}"),
        ("POST", f"/v1/leases/{offer.lease}/decline", b'{"reason":"busy"}'),
        ("PUT", f"/v1/leases/{offer.lease}/upload?offset=0", update.sealed),
        ("POST", f"/v1/leases/{offer.lease}/report", msgspec.json.encode(m.ReportAsk(report=update.report))),
        ("POST", "/v1/leases/no.1.1/accept", b"{}"),
    ):
        assert refused(thief, method, target, body) == "lease-unknown", target
    in_journal(operator, b'"kind":"refused"', thief.device_id.encode(), b"lease-unknown")


def test_blobs_are_served_to_those_they_were_offered_to(operator: Operator, held: Held) -> None:
    device, offer, _ = held
    (thief,) = enrolled(operator, 1)
    for digest in (offer.base, offer.manifest):
        assert device.blob(digest)
        assert refused(thief, "GET", f"/v1/blobs/{digest}") == "not-found"
    statement = operator.ask("GET", f"/api/v1/versions/{offer.base}/statement").data
    other = "sha256:" + hashlib.sha256(statement).hexdigest()
    assert refused(device, "GET", f"/v1/blobs/{other}") == "not-found"


def test_ranges(held: Held) -> None:
    device, offer, _ = held
    whole = device.blob(offer.base)
    part = device.ask("GET", f"/v1/blobs/{offer.base}", range="bytes=8-15")
    assert (part.status, part.data) == (206, whole[8:16])
    assert part.headers["content-range"] == f"bytes 8-15/{len(whole)}"
    rest = device.ask("GET", f"/v1/blobs/{offer.base}", range="bytes=10-")
    assert (rest.status, rest.data) == (206, whole[10:])
    for bad in ("bytes=999999-", "bytes=5-4", "bytes=-5", "bytes=0-1,3-4", "lines=0-1", f"bytes={len(whole)}-"):
        assert refused(device, "GET", f"/v1/blobs/{offer.base}", range=bad) == "range-invalid", bad


def test_broken_chunks_and_offsets(held: Held) -> None:
    device, offer, manifest = held
    sealed = device.update(offer, manifest, one_hot(1)).sealed
    path = f"/v1/leases/{offer.lease}/upload"
    assert refused(device, "PUT", f"{path}?offset=5", sealed) == "offset-wrong"
    assert refused(device, "PUT", f"{path}?offset=0", b"") == "chunk-broken"
    assert refused(device, "PUT", f"{path}?offset=0", bytes(FAST.chunk_bytes + 1)) == "body-too-large"
    assert refused(device, "PUT", f"{path}?offset=0", bytes(manifest.upload.bytes_max + 1)) == "update-too-large"
    assert refused(device, "PUT", f"{path}?offset=99999999999", b"x") == "update-too-large"
    for bad in ("", "?offset=", "?offset=-1", "?offset=1e3", "?offset=0&offset=1", "?offset=" + "9" * 40):
        assert refused(device, "PUT", path + bad, b"x") == "body-malformed", bad
    assert device.put(offer.lease, 0, sealed[:100]) == 100
    assert device.put(offer.lease, 0, sealed[:100]) == 100, "a repeated chunk changes nothing"
    assert refused(device, "PUT", f"{path}?offset=0", bytes(100)) == "conflicting-repeat"
    head = device.ask("HEAD", path)
    assert (head.status, head.headers["podium-offset"]) == (200, "100")
    assert device.put(offer.lease, 100, sealed[100:]) == len(sealed)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"base": "sha256:" + "1" * 64}, "base-mismatch"),
        ({"task_digest": "sha256:" + "1" * 64}, "task-mismatch"),
        ({"lease": "other.1.1"}, "lease-unknown"),
        ({"encoding": "pickle"}, "schema-mismatch"),
        ({"length": 7}, "size-mismatch"),
        ({"sha256": "0" * 64}, "digest-mismatch"),
        ({"weight": "0"}, "weight-bound"),
        ({"weight": "-1"}, "weight-bound"),
        ({"weight": "1e308"}, "weight-bound"),
        ({"weight": "NaN"}, "weight-bound"),
        ({"metrics": {"a": {"numerator": "1", "denominator": "0"}}}, "metric-invalid"),
        ({"metrics": {"a": {"numerator": "inf", "denominator": "1"}}}, "metric-invalid"),
        ({"metrics": {"a" * 129: {"numerator": "1", "denominator": "1"}}}, "metric-invalid"),
        ({"metrics": {f"m{n}": {"numerator": "1", "denominator": "1"} for n in range(65)}}, "metric-invalid"),
    ],
)
def test_a_report_that_does_not_fit_is_refused_at_the_door(held: Held, changed: dict[str, object], code: str) -> None:
    device, offer, manifest = held
    update = device.update(offer, manifest, one_hot(2), None, **changed)
    device.upload(offer.lease, update.sealed)
    body = msgspec.json.encode(m.ReportAsk(report=update.report))
    assert refused(device, "POST", f"/v1/leases/{offer.lease}/report", body) == code


def test_a_forged_signature_is_refused_and_the_honest_report_still_counts(operator: Operator, held: Held) -> None:
    device, offer, manifest = held
    forged = device.update(offer, manifest, one_hot(3), os.urandom(32))
    honest = device.update(offer, manifest, one_hot(3))
    device.upload(offer.lease, honest.sealed)
    path = f"/v1/leases/{offer.lease}/report"
    assert refused(device, "POST", path, msgspec.json.encode(m.ReportAsk(report=forged.report))) == "update-forged"
    tampered = msgspec.structs.replace(honest.report, payload=forged.report.payload)
    assert refused(device, "POST", path, msgspec.json.encode(m.ReportAsk(report=tampered))) == "update-forged"
    assert device.report(offer.lease, honest.report).word == "stored"


def test_a_repeated_report_gets_the_same_answer_and_another_under_its_name_a_conflict(held: Held) -> None:
    device, offer, manifest = held
    update = device.update(offer, manifest, one_hot(4))
    device.upload(offer.lease, update.sealed)
    assert device.report(offer.lease, update.report).word == "stored"
    assert device.report(offer.lease, update.report).word == "stored"
    other = device.update(offer, manifest, one_hot(5), None, steps_done=2)
    body = msgspec.json.encode(m.ReportAsk(report=other.report))
    assert refused(device, "POST", f"/v1/leases/{offer.lease}/report", body) == "conflicting-repeat"
    assert refused(device, "PUT", f"/v1/leases/{offer.lease}/upload?offset=0", b"x") == "lease-over"


@pytest.mark.parametrize(
    ("arrays", "code"),
    [
        ({"w": np.full(64, np.nan, np.float32)}, "not-finite"),
        ({"w": np.full(64, np.inf, np.float32)}, "not-finite"),
        ({"w": np.full(64, 1e30, np.float32)}, "value-bound"),
        ({"w": np.zeros(63, np.float32)}, "schema-mismatch"),
        ({"v": np.zeros(64, np.float32)}, "schema-mismatch"),
    ],
)
def test_poison_inside_a_sealed_update_is_refused_by_its_code(
    operator: Operator, arrays: dict[str, NDArray[np.float32]], code: str
) -> None:
    run = operator.submit(task())
    (device,) = enrolled(operator, 1)
    offer = offer_to(device)
    device.lease(offer.lease, "accept", m.Accept())
    update = device.update(offer, device.manifest(offer), arrays)
    device.upload(offer.lease, update.sealed)
    assert device.report(offer.lease, update.report).word == "stored"
    news = ""
    while not news:
        news = device.check_in().news
    assert news == code
    again = device.report(offer.lease, update.report)
    assert (again.word, again.code) == ("refused", code)
    view = operator.run(run)
    assert view.state == "RUNNING" and view.round is not None
    assert view.round.lost == {f"REFUSED:{code}": 1}
    operator.ask("POST", f"/api/v1/runs/{run}/stop", b"{}")


def test_a_banned_device_is_out_at_its_next_request(operator: Operator, held: Held) -> None:
    device, offer, _ = held
    ban = MarkAsk(mark="banned", devices=(device.device_id,), why="stolen")
    assert operator.post("/api/v1/devices/mark", ban, MarkDone).changed == 1
    assert refused(device, "POST", f"/v1/leases/{offer.lease}/progress", b"{}") == "device-banned"
    with pytest.raises(Refused, match="device-banned"):
        device.open()


def test_what_a_device_lacks_is_shown_on_one_line_and_steers_no_terminal(operator: Operator) -> None:
    run = operator.submit(task())
    (device,) = enrolled(operator, 1)
    offer = offer_to(device)
    told = m.Decline(reason="incompatible", detail="no torch\n\x1b]0;owned\x07" + "x" * 500)
    assert device.lease(offer.lease, "decline", told).word == "declined"
    row = operator.run(run).round
    assert row is not None
    (name,) = row.lost
    assert name.startswith("INCOMPATIBLE:no torch  ]0;owned x") and name.isprintable() and len(name) < 150
    operator.ask("POST", f"/api/v1/runs/{run}/stop", b"{}")


def test_strangers_who_send_no_body_keep_no_upload_waiting(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(FAST, uploads_open_max=2)
    begun = b"PUT /v1/leases/x/upload?offset=0 HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n"
    with plane(tmp_path / "data", limits) as (server, operator), contextlib.ExitStack() as strangers:
        operator.submit(task())
        (device,) = enrolled(operator, 1)
        offer = offer_to(device)
        device.lease(offer.lease, "accept", m.Accept())
        for _ in range(3):
            address = server.url.removeprefix("http://").split(":")
            stranger = strangers.enter_context(socket.create_connection((address[0], int(address[1])), 10))
            stranger.sendall(begun)
            assert b"session-unknown" in stranger.recv(4096)
        update = device.update(offer, device.manifest(offer), one_hot(0))
        device.upload(offer.lease, update.sealed)
        assert device.report(offer.lease, update.report).word == "stored"
