"""What does not verify is not trained: every lie of a plane, and the stable code that the device answers with."""

import hashlib
from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import pytest

from podium.crypto.sign import sign
from podium.wire import messages as m
from podium.wire.canonical import b64, canonical, unb64
from podium.wire.problems import DeviceFault, OperatorFault
from tests.support.device_bench import model, quick_device, task
from tests.support.loopback import Answer
from tests.support.scripted_plane import Misdeed, ScriptedPlane

Lie = Callable[[m.RoundManifest], m.RoundManifest]
replace = msgspec.structs.replace
STRANGER = hashlib.sha256(b"stranger").digest()


@pytest.fixture(name="plane")
def _plane() -> Iterator[ScriptedPlane]:
    with ScriptedPlane() as plane:
        yield plane


def _only_failure(plane: ScriptedPlane) -> m.Failure:
    """The one thing that was told about the only lease; nothing may have been trained or uploaded."""
    (lease,) = plane.leases.values()
    (told,) = lease.told
    assert isinstance(told, m.Failure)
    assert lease.report is None
    assert plane.requests("/upload") == 0
    return told


LIES: dict[str, Lie] = {
    "plane": lambda true: replace(true, plane_id="plane-b"),
    "population": lambda true: replace(true, population="other"),
    "base version": lambda true: replace(true, base="sha256:" + "0" * 64),
    "task digest": lambda true: replace(true, task_digest="sha256:" + "0" * 64),
    "variant": lambda true: replace(true, variants=()),
    "run and round": lambda true: replace(true, run="run2"),
}


@pytest.mark.parametrize("name", sorted(LIES))
def test_a_manifest_that_contradicts_its_offer_fails_the_lease(plane: ScriptedPlane, name: str) -> None:
    true = plane.manifest(task(), model(), 1)
    lease = plane.offer(true)
    signed = sign(plane.online_seed, "round-manifest", canonical(LIES[name](true)))
    lease.offer = replace(lease.offer, manifest=plane.put(msgspec.json.encode(signed)))
    with quick_device(plane) as device:
        outcome = device.run_once()
    assert (outcome.word, outcome.code) == ("failed", "manifest-invalid")
    told = _only_failure(plane)
    assert told.code == "manifest-invalid"
    assert name in told.detail


def test_a_changed_task_term_breaks_the_digest(plane: ScriptedPlane) -> None:
    other = plane.manifest(task(add=2.0), model(), 1)
    plane.offer(replace(plane.manifest(task(), model(), 1), task=other.task))
    with quick_device(plane) as device:
        assert device.run_once().code == "manifest-invalid"
    assert "task digest" in _only_failure(plane).detail


@pytest.mark.parametrize(("seed", "purpose"), [(STRANGER, "round-manifest"), (b"", "journal-head")])
def test_a_manifest_signed_by_another_key_or_for_another_purpose_fails(
    plane: ScriptedPlane, seed: bytes, purpose: str
) -> None:
    plane.offer(plane.manifest(task(), model(), 1), seed=seed, purpose=purpose)
    with quick_device(plane) as device:
        assert device.run_once().code == "manifest-invalid"
    assert _only_failure(plane).code == "manifest-invalid"


def test_the_root_key_may_not_sign_manifests(plane: ScriptedPlane) -> None:
    plane.offer(plane.manifest(task(), model(), 1), seed=plane.root_seed)
    with quick_device(plane) as device:
        assert device.run_once().code == "manifest-invalid"


def test_manifest_bytes_of_another_digest_fail(plane: ScriptedPlane) -> None:
    lease = plane.offer(plane.manifest(task(), model(), 1))
    plane.blobs[lease.offer.manifest] += b" "
    with quick_device(plane) as device:
        assert device.run_once().code == "manifest-invalid"


def test_a_manifest_that_is_no_json_fails(plane: ScriptedPlane) -> None:
    lease = plane.offer(plane.manifest(task(), model(), 1))
    lease.offer = replace(lease.offer, manifest=plane.put(b"\xff not json"))
    with quick_device(plane) as device:
        assert device.run_once().code == "manifest-invalid"


def test_base_bytes_of_another_digest_fail(plane: ScriptedPlane) -> None:
    lease = plane.offer(plane.manifest(task(), model(), 1))
    data = bytearray(plane.blobs[lease.offer.base])
    data[-1] ^= 1
    plane.blobs[lease.offer.base] = bytes(data)
    with quick_device(plane) as device:
        assert device.run_once().code == "manifest-invalid"
    assert "another digest" in _only_failure(plane).detail


def test_base_tensors_that_the_manifest_does_not_list_fail(plane: ScriptedPlane) -> None:
    manifest = plane.manifest(task(), model(), 1)
    plane.offer(replace(manifest, tensors=manifest.tensors[1:]))
    with quick_device(plane) as device:
        assert device.run_once().code == "manifest-invalid"
    assert "tensors" in _only_failure(plane).detail


def test_a_base_that_is_no_safetensors_fails(plane: ScriptedPlane) -> None:
    digest = plane.put(b"no tensors here")
    manifest = replace(
        plane.manifest(task(), model(), 1), base=digest, variants=(m.VariantEntry(digest=digest, size=15),)
    )
    plane.offer(manifest)
    with quick_device(plane) as device:
        assert device.run_once().code == "manifest-invalid"


TERMS: dict[str, Lie] = {
    "approvals": lambda true: replace(true, approvals=("someone",)),
    "site_policies": lambda true: replace(true, site_policies=("sha256:1",)),
    "budgets": lambda true: replace(true, budgets={"epsilon": "1"}),
    "attestation": lambda true: replace(true, attestation="tpm"),
    "encoding": lambda true: replace(true, upload=replace(true.upload, encoding="int8")),
}


@pytest.mark.parametrize("name", sorted(TERMS))
def test_terms_that_are_not_understood_are_incompatible(plane: ScriptedPlane, name: str) -> None:
    lease = plane.offer(TERMS[name](plane.manifest(task(), model(), 1)))
    with quick_device(plane) as device:
        outcome = device.run_once()
    assert (outcome.word, outcome.code) == ("incompatible", "not-available")
    (told,) = lease.told
    assert isinstance(told, m.Decline)
    assert told.reason == "incompatible"
    assert name in told.detail


def test_a_plan_that_is_not_installed_is_incompatible(plane: ScriptedPlane) -> None:
    lease = plane.offer(plane.manifest(task("not_there"), model(), 1))
    with quick_device(plane) as device:
        assert device.run_once().code == "plan-missing"
    assert [type(told) for told in lease.told] == [m.Decline]


def test_a_plan_of_another_digest_than_the_task_allows_is_incompatible(plane: ScriptedPlane) -> None:
    terms = task()
    terms = replace(terms, task=replace(terms.task, plan_digests=("sha256:" + "1" * 64,)))
    plane.offer(plane.manifest(terms, model(), 1))
    with quick_device(plane) as device:
        assert device.run_once().code == "plan-mismatch"


def test_the_plan_digest_that_a_device_tells_is_one_that_a_task_may_allow(plane: ScriptedPlane) -> None:
    terms = task()
    with quick_device(plane) as device:
        device.run_once()
        digest = plane.capabilities[0].plans[terms.task.plan]
        plane.offer(plane.manifest(replace(terms, task=replace(terms.task, plan_digests=(digest,))), model(), 1))
        assert device.run_once().word == "stored"


# -- the journal's heads -------------------------------------------------------------------------------------


def test_a_shorter_head_in_a_session_stops_everything(plane: ScriptedPlane) -> None:
    plane.head = plane.sign_head(10, "aa")
    with quick_device(plane) as device:
        device.run_once()
        plane.sessions.clear()
        plane.head = plane.sign_head(9, "bb")
        plane.offer(plane.manifest(task(), model(), 1))
        outcome = device.run_once()
    assert (outcome.word, outcome.code) == ("denied", "manifest-invalid")
    assert plane.requests("/v1/blobs") == 0


def test_a_forked_or_missing_head_in_a_session_stops_everything(plane: ScriptedPlane) -> None:
    plane.head = plane.sign_head(10, "aa")
    with quick_device(plane) as device:
        device.run_once()
        for head in (plane.sign_head(10, "bb"), None):
            plane.sessions.clear()
            plane.head = head
            assert device.run_once().code == "manifest-invalid"


def test_a_forked_head_in_a_manifest_fails_the_lease(plane: ScriptedPlane) -> None:
    plane.head = plane.sign_head(10, "aa")
    plane.offer(replace(plane.manifest(task(), model(), 1), head=plane.sign_head(10, "bb")))
    with quick_device(plane) as device:
        assert device.run_once().code == "manifest-invalid"
    assert "forked at 10" in _only_failure(plane).detail


def test_a_manifest_older_than_the_session_is_no_fork(plane: ScriptedPlane) -> None:
    plane.head = plane.sign_head(10, "aa")
    plane.offer(replace(plane.manifest(task(), model(), 1), head=plane.sign_head(5, "cc")))
    with quick_device(plane) as device:
        assert device.run_once().word == "stored"


@pytest.mark.parametrize("head", [(4, "bb"), (5, "bb"), None])
def test_heads_of_one_runs_manifests_only_grow(plane: ScriptedPlane, head: tuple[int, str] | None) -> None:
    plane.offer(replace(plane.manifest(task(), model(), 1), head=plane.sign_head(5, "aa")))
    later = None if head is None else plane.sign_head(*head)
    lease = plane.offer(replace(plane.manifest(task(), model(), 2), head=later))
    with quick_device(plane) as device:
        assert device.run_once().word == "stored"
        assert device.run_once().code == "manifest-invalid"
    assert lease.report is None


def test_an_earlier_round_of_a_run_is_a_replay(plane: ScriptedPlane) -> None:
    plane.offer(plane.manifest(task(), model(), 2))
    plane.offer(plane.manifest(task(), model(), 1))
    with quick_device(plane) as device:
        assert device.run_once().word == "stored"
        assert device.run_once().code == "manifest-invalid"


# -- root, enrolment, session --------------------------------------------------------------------------------


def test_the_root_must_be_of_the_tokens_plane(plane: ScriptedPlane) -> None:
    plane.root = ScriptedPlane("plane-b").root
    with quick_device(plane) as device, pytest.raises(DeviceFault) as caught:
        device.run_once()
    assert caught.value.code == "manifest-invalid"


def test_a_used_token_is_told_to_the_person(plane: ScriptedPlane) -> None:
    with quick_device(plane) as device:
        device._token = replace(device._token, secret="other") if device._token else None
        with pytest.raises(DeviceFault) as caught:
            device.run_once()
    assert caught.value.code == "token-invalid"


def test_without_token_or_identity_there_is_nothing_to_do(plane: ScriptedPlane) -> None:
    with quick_device(plane) as device:
        device._token = None
        with pytest.raises(OperatorFault) as caught:
            device.run_once()
    assert caught.value.code == "token-invalid"


def test_a_rotated_online_key_is_followed_by_way_of_the_root(plane: ScriptedPlane) -> None:
    with quick_device(plane) as device:
        device.run_once()
        old, plane.online_seed = plane.online_seed, hashlib.sha256(b"new").digest()
        plane.root = plane.make_root(2, [old, plane.online_seed])
        plane.offer(plane.manifest(task(), model(), 1))
        assert device.run_once().word == "stored"
        plane.sessions.clear()
        assert device.run_once().word == "idle"
    assert plane.requests("/v1/root") == 1


def test_a_root_that_the_old_keys_did_not_sign_is_not_followed(plane: ScriptedPlane) -> None:
    with quick_device(plane) as device:
        device.run_once()
        plane.root_seed = plane.online_seed = STRANGER
        plane.root = plane.make_root(2, [STRANGER])
        plane.offer(plane.manifest(task(), model(), 1))
        assert device.run_once().code == "manifest-invalid"
    assert _only_failure(plane).code == "manifest-invalid"


def _grant(plane: ScriptedPlane, change: Callable[[Answer], Answer]) -> str:
    plane.misdeeds.append(Misdeed(match="/v1/session", after=lambda answer: answer))
    plane.misdeeds.append(Misdeed(match="/v1/session", after=change))
    with quick_device(plane) as device:
        return device.run_once().code


def test_a_grant_signed_by_a_stranger_is_no_session(plane: ScriptedPlane) -> None:
    def forge(answer: Answer) -> Answer:
        signed = msgspec.json.decode(answer.body, type=m.Signed)
        return replace(answer, body=msgspec.json.encode(replace(signed, signature=b64(bytes(64)))))

    assert _grant(plane, forge) == "manifest-invalid"
    assert plane.requests("/v1/checkin") == 0


def test_a_grant_for_another_statement_is_no_session(plane: ScriptedPlane) -> None:
    def replay(answer: Answer) -> Answer:
        signed = msgspec.json.decode(answer.body, type=m.Signed)
        told = msgspec.json.decode(unb64(signed.payload), type=m.SessionGrant)
        again = sign(plane.online_seed, "session-grant", canonical(replace(told, statement_hash="0" * 64)))
        return replace(answer, body=msgspec.json.encode(again))

    assert _grant(plane, replay) == "manifest-invalid"


def test_fields_that_a_newer_plane_says_are_ignored(plane: ScriptedPlane) -> None:
    def more(answer: Answer) -> Answer:
        return replace(answer, body=answer.body[:-1] + b',"weather":"fine"}')

    plane.misdeeds.append(Misdeed(match="/v1/checkin", after=more))
    plane.misdeeds.append(Misdeed(match="/v1/enrol", after=more))
    with quick_device(plane) as device:
        assert device.run_once().word == "idle"


def test_values_do_not_matter_to_the_device(plane: ScriptedPlane) -> None:
    lease = plane.offer(plane.manifest(task("not_finite"), {"w": np.zeros(3, np.float32)}, 1))
    with quick_device(plane) as device:
        assert device.run_once().word == "stored"
    assert np.isnan(plane.update(lease)["w"]).all()
