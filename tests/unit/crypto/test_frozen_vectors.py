"""Frozen vectors: what this release signs, seals, MACs and digests today must stay so, byte for byte.

A change here breaks every device and plane already out there: it needs a new version byte or purpose, not new vectors.
HPKE draws its own randomness, so sealed keys are only opened. Binary values are hex, unless they travel as base64url.
"""

import hashlib
import json
from pathlib import Path

import pytest

from podium.crypto import mac, seal, session, sign
from podium.crypto.dsse import open_statement, pae, seal_statement
from podium.crypto.root import make_root, open_root
from podium.wire.canonical import b64, canonical, decimal, decode_canonical, parse_decimal, sha256_digest
from podium.wire.messages import RootDocument, RootRole, Signed

HERE = Path(__file__).resolve().parents[2] / "vectors"
Case = dict[str, str]


def cases(name: str, group: str) -> list[Case]:
    """The cases of one group of one vector file; there is at least one."""
    found: list[Case] = json.loads((HERE / f"{name}.json").read_text("utf-8"))[group]
    assert found
    return found


@pytest.mark.parametrize("case", cases("canonical", "values"))
def test_canonical_bytes(case: Case) -> None:
    value = json.loads(case["json"])
    assert canonical(value).hex() == case["canonical"]
    assert decode_canonical(bytes.fromhex(case["canonical"]), type(value)) == value


@pytest.mark.parametrize("case", cases("canonical", "decimals"))
def test_decimals(case: Case) -> None:
    value = float.fromhex(case["float"])
    assert decimal(value) == case["text"]
    assert parse_decimal(case["text"]) == value


@pytest.mark.parametrize("case", cases("digest", "digests"))
def test_digests(case: Case) -> None:
    assert sha256_digest(bytes.fromhex(case["data"])) == case["digest"]


@pytest.mark.parametrize("case", cases("signatures", "signed"))
def test_signatures(case: Case) -> None:
    seed, payload = bytes.fromhex(case["seed"]), bytes.fromhex(case["payload"])
    told = Signed(payload=b64(payload), key_id=case["key_id"], signature=case["signature"])
    assert sign.public_key(seed).hex() == case["public"]
    assert sign.sign(seed, case["purpose"], payload) == told
    assert sign.verify(bytes.fromhex(case["public"]), case["purpose"], told) == payload


@pytest.mark.parametrize("case", cases("signatures", "statements"))
def test_statements(case: Case) -> None:
    seed, payload, kind = bytes.fromhex(case["seed"]), bytes.fromhex(case["payload"]), case["payload_type"]
    assert pae(kind, payload).hex() == case["pae"]
    assert seal_statement(seed, kind, payload).decode() == case["envelope"]
    assert open_statement(sign.public_key(seed), kind, case["envelope"].encode()) == payload


@pytest.mark.parametrize("case", cases("signatures", "roots"))
def test_roots(case: Case) -> None:
    seeds = [bytes.fromhex(seed) for seed in case["seeds"].split()]
    publics = {sign.key_id(public): b64(public) for public in map(sign.public_key, seeds)}
    role = RootRole(threshold=int(case["threshold"]), key_ids=tuple(publics))
    document = RootDocument(version=1, plane_id=case["plane_id"], keys=publics, roles={"root": role})
    signed = make_root(document, seeds)
    assert sha256_digest(canonical(signed)) == case["signed_digest"]
    assert open_root(signed, None) == document


@pytest.mark.parametrize("case", cases("seal", "keys"))
def test_sealed_keys(case: Case) -> None:
    private, public = seal.upload_keypair(bytes.fromhex(case["private"]))
    info = seal.update_info(case["lease"], case["base"]) if "lease" in case else seal.session_info(case["session"])
    assert public.hex() == case["public"]
    assert seal.open_key(private, bytes.fromhex(case["sealed"]), info).hex() == case["content_key"]


@pytest.mark.parametrize("case", cases("seal", "bodies"))
def test_sealed_bodies(case: Case) -> None:
    size = int(case["plain_length"])
    plain = (bytes(range(251)) * (size // 251 + 1))[:size]  # byte i is i mod 251
    frames = list(seal.seal_frames(bytes.fromhex(case["content_key"]), plain))
    assert [hashlib.sha256(frame).hexdigest() for frame in frames] == case["frames_sha256"].split()
    assert seal.sealed_length(size) == int(case["sealed_length"])
    if "sealed" in case:
        assert b"".join(frames).hex() == case["sealed"]


@pytest.mark.parametrize("case", cases("mac", "requests"))
def test_request_macs(case: Case) -> None:
    digest = hashlib.sha256(bytes.fromhex(case["body"])).digest()
    key, counter = bytes.fromhex(case["key"]), int(case["counter"])
    request = (case["method"], case["path"], case["query"], digest, counter)
    assert mac.request_mac(key, *request) == case["mac"]
    mac.check_mac(key, *request, given=case["mac"])


@pytest.mark.parametrize("case", cases("session", "sessions"))
def test_sessions(case: Case) -> None:
    master = session.hourly_master(bytes.fromhex(case["root"]), int(case["hour"]))
    numbers = [int(case[name]) for name in ("device", "epoch", "expires_ms", "hour")]
    assert master.hex() == case["master"]
    assert session.make_session(case["device_id"], *numbers) == case["session"]
    claims = session.read_session(case["session"])
    assert claims == session.SessionClaims(case["device_id"], *numbers)
    assert session.session_key(master, claims).hex() == case["key"]


@pytest.mark.parametrize("case", cases("session", "challenges"))
def test_challenges(case: Case) -> None:
    master, ends_ms = bytes.fromhex(case["master"]), int(case["expires_ms"])
    assert session.make_challenge(master, bytes.fromhex(case["nonce"]), ends_ms) == case["challenge"]
    session.check_challenge(master, case["challenge"], ends_ms - 1)
    assert session.challenge_expires_ms(case["challenge"]) == ends_ms
