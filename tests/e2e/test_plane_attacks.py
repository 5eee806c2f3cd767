"""Attacks on a real plane over real HTTP: each must fail with its documented code and change nothing."""

import os
import socket

import msgspec
import pytest

from podium.server.main import PlaneServer
from podium.wire import messages as m
from podium.wire.asks import MarkAsk, TokenAsk
from podium.wire.canonical import b64, canonical
from podium.wire.operator import DeviceView, Page, TokenMade
from tests.e2e.test_plane_round import ended, offer_to, train
from tests.support.attacks import Held, code_of, in_journal, raw, refused
from tests.support.plane_cases import FAST, Operator, enrolled, task, viewer
from tests.support.scripted_device import Refused, ScriptedDevice, Session

# -- sessions ----------------------------------------------------------------------------------------------------


def test_a_stolen_session_id_is_worthless(operator: Operator) -> None:
    victim, thief = enrolled(operator, 2)
    assert victim.session is not None and thief.session is not None
    thief.session = Session(victim.session.id, thief.session.key, victim.session.epoch, counter=100)
    assert raw(thief, thief.headers("POST", "/v1/checkin", b"{}")) == "mac-invalid"
    assert victim.check_in().reason


def test_a_replayed_request_is_refused_and_a_changed_one_too(operator: Operator) -> None:
    (device,) = enrolled(operator, 1)
    headers = device.headers("POST", "/v1/checkin", b"{}")
    device.whole(device.send("POST", "/v1/checkin", b"{}", headers))
    assert raw(device, headers) == "counter-replayed"
    fresh = device.headers("POST", "/v1/checkin", b"{}")
    assert raw(device, fresh, b'{"battery":1.0}') == "mac-invalid"
    assert raw(device, fresh, target="/v1/checkin?x=1") == "mac-invalid"
    assert raw(device, fresh | {"Podium-Counter": "99"}) == "mac-invalid"
    assert raw(device, fresh | {"Podium-Counter": "-1"}) == "session-unknown"
    assert raw(device, fresh | {"Podium-Counter": "9" * 30}) == "session-unknown"
    assert raw(device, {}) == "session-unknown"
    assert raw(device, fresh | {"Podium-Session": "AAAA"}) == "session-unknown"
    device.whole(device.send("POST", "/v1/checkin", b"{}", fresh))


def test_an_older_session_is_stale_and_a_session_statement_does_not_serve_twice(operator: Operator) -> None:
    (device,) = enrolled(operator, 1)
    old = device.session
    device.open()
    device.session, newer = old, device.session
    assert refused(device, "POST", "/v1/checkin", b"{}") == "epoch-stale"
    device.session = newer
    device.epoch -= 1
    with pytest.raises(Refused, match="epoch-stale"):
        device.open()


def test_a_session_needs_the_enrolled_key_this_plane_s_challenge_and_a_real_ephemeral_key(operator: Operator) -> None:
    (device,) = enrolled(operator, 1)
    with pytest.raises(Refused, match="signature-invalid"):
        device.open(seed=os.urandom(32))
    statement = m.SessionStatement(
        challenge=b64(os.urandom(57)),
        plane_key_id=device.challenge().plane_key_id,
        device_id=device.device_id,
        epoch=9,
        ephemeral_key=b64(bytes(32)),
        capabilities=m.Capabilities(),
    )
    for changed, code in (
        ({}, "challenge-expired"),
        ({"plane_key_id": "0" * 16}, "challenge-expired"),
        ({"challenge": device.challenge().challenge}, "body-malformed"),  # a key of small order
        ({"challenge": device.challenge().challenge, "epoch": 2**60}, ""),
    ):
        told = msgspec.structs.replace(statement, **changed)
        if code:
            with pytest.raises(Refused, match=code):
                device.open_with(signed(device, "session", told), bytes(32))
        else:
            with pytest.raises(ValueError, match="2\\^53"):
                canonical(told)
    unknown = msgspec.structs.replace(statement, device_id="d00")
    with pytest.raises(Refused, match="device-unknown"):
        device.open_with(signed(device, "session", unknown), bytes(32))


def signed(device: ScriptedDevice, purpose: str, told: msgspec.Struct) -> m.Signed:
    from podium.crypto.sign import sign

    return sign(device.seed, purpose, canonical(told))


# -- enrolment -----------------------------------------------------------------------------------------------------


def test_enrolment_wants_a_live_token_of_this_plane_and_a_proven_key(operator: Operator) -> None:
    token = operator.token()
    for changed, code in (
        ({"plane_id": "p0000"}, "token-invalid"),
        ({"token_hash": "0" * 64}, "token-invalid"),
        ({"population": "other"}, "token-invalid"),
        ({"public_key": b64(os.urandom(32))}, "signature-invalid"),
        ({"public_key": "AA"}, "signature-invalid"),
        ({"name": "../../etc/passwd"}, "body-malformed"),
        ({"name": "a\x00b"}, "body-malformed"),
        ({"name": "n" * 129}, "body-malformed"),
    ):
        with pytest.raises(Refused, match=code):
            ScriptedDevice(operator.url).enrol(token, **changed)
    first = ScriptedDevice(operator.url)
    enrolled_as = first.enrol(token)
    assert first.enrol(token).device_id == enrolled_as.device_id, "a lost answer is asked for again"
    with pytest.raises(Refused, match="token-invalid"):
        ScriptedDevice(operator.url).enrol(token)


# -- bodies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"battery":NaN}',
        b'{"battery":1e999}',
        b'{"battery":0.1,"battery":0.2}',
        b'{"unknown":1}',
        b'{"battery":"1"}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"held":' + msgspec.json.encode({str(n): "x" for n in range(65)}) + b"}",
    ],
)
def test_a_malformed_check_in_is_refused(operator: Operator, body: bytes) -> None:
    device = cached_device(operator)
    assert refused(device, "POST", "/v1/checkin", body) == "body-malformed"


_devices: dict[str, ScriptedDevice] = {}


def cached_device(operator: Operator) -> ScriptedDevice:
    """One device for many malformed bodies: it stays well through all of them."""
    if operator.url not in _devices:
        (_devices[operator.url],) = enrolled(operator, 1)
    return _devices[operator.url]


def test_an_oversized_body_is_refused_whether_it_says_so_or_not(operator: Operator) -> None:
    device = cached_device(operator)
    big = b" " * (FAST.body_bytes_max + 1)
    assert refused(device, "POST", "/v1/checkin", big) == "body-too-large"
    address = operator.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1])), timeout=10) as wire:
        wire.sendall(b"POST /v1/enrol HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(FAST.body_bytes_max // 65_536 + 2):
            wire.sendall(b"10000\r\n" + b" " * 65_536 + b"\r\n")
        assert b" 413 " in wire.recv(65_536).split(b"\r\n")[0]


def test_paths_and_methods_that_are_not_served(operator: Operator) -> None:
    device = cached_device(operator)
    for method, target, code in (
        ("GET", "/v1/checkin", "method-not-allowed"),
        ("DELETE", "/v1/leases/x/upload", "method-not-allowed"),
        ("POST", "/v1/nothing", "not-found"),
        ("POST", "/v1/leases//accept", "not-found"),
        ("GET", "/v1/blobs/..%2F..%2Fidentity.json", "not-found"),
        ("POST", "/v1/leases/..%2F..%2Fx/accept", "lease-unknown"),
    ):
        assert refused(device, method, target, b"{}" if method == "POST" else b"") == code, target


# -- operators -----------------------------------------------------------------------------------------------------


def test_every_operator_route_wants_a_credential(server: PlaneServer) -> None:
    assert server.plane is not None
    assert len(server.plane.surface.table) >= 24
    for row in server.plane.surface.table:
        method, target = row.method, row.path.replace("{id}", "x").replace("{number}", "1")
        for token, code in (("", "credential-missing"), ("pdma_" + "A" * 43, "credential-invalid")):
            answer = Operator(server.url, token).ask(method, target, None)
            assert (answer.status, code_of(answer)) == (401, code), target


def test_a_viewer_reads_and_changes_nothing(server: PlaneServer, operator: Operator, held: Held) -> None:
    reader = viewer(server)
    assert reader.get("/api/v1/devices", Page).items
    for path, body in (
        ("/api/v1/tokens", TokenAsk()),
        ("/api/v1/runs", b"{}"),
        ("/api/v1/runs/@last/stop", b"{}"),
        ("/api/v1/devices/mark", MarkAsk(mark="banned", devices=(held[0].device_id,))),
    ):
        answer = reader.ask("POST", path, body)
        assert (answer.status, code_of(answer)) == (403, "verb-denied"), path
    in_journal(operator, b'"kind":"refused"', b'"person:viewer"', b"verb-denied")


def test_bad_submissions_name_what_is_wrong(operator: Operator) -> None:
    for body, code in (
        (b"{}", "body-malformed"),
        (b'{"task":{},"model":"","base":""}', "task-invalid"),
        (b'{"task":{},"task":{},"model":""}', "body-malformed"),
    ):
        assert code_of(operator.ask("POST", "/api/v1/runs", body)) == code, body
    with pytest.raises(AssertionError, match="expression-invalid"):
        operator.submit(task(requires="device.ram_mb >="))
    with pytest.raises(AssertionError, match="task-invalid"):
        operator.submit(task(goal=1, minimum=5))
    for target, code in (
        ("/api/v1/runs/nothing", "run-unknown"),
        ("/api/v1/versions/nothing", "version-unknown"),
        ("/api/v1/devices?after=x", "usage"),
    ):
        assert code_of(operator.ask("GET", target)) == code
    for ask in (TokenAsk(uses=0), TokenAsk(name="a/b"), TokenAsk(expires_ms=-1), TokenAsk(labels={"a": "\n"})):
        assert code_of(operator.ask("POST", "/api/v1/tokens", ask)) == "usage"
    for labels in ({"a=b": "c"}, {"a,b": "c"}, {"a": "b,c"}, {"": "b"}):
        assert code_of(operator.ask("POST", "/api/v1/tokens", TokenAsk(labels=labels))) == "usage"
    assert code_of(operator.ask("POST", "/api/v1/tokens", TokenAsk(population="x"))) == "not-available"


def test_the_plane_is_well_after_all_that(operator: Operator) -> None:
    run = operator.submit(task())
    (device,) = enrolled(operator, 1)
    assert train(device, offer_to(device), 7).word == "stored"
    assert ended(operator, run).state == "FINISHED"
    assert operator.post("/api/v1/tokens", TokenAsk(), TokenMade).token.startswith("pdm1.")
    assert msgspec.json.decode(operator.get("/api/v1/devices", Page).items[0], type=DeviceView).id
    for path in ("/healthz", "/readyz", "/metrics"):
        assert Operator(operator.url, "").ask("GET", path).status == 200
