"""Malformed facts over the real door: refused with their code, and nothing that the plane knew is other than before.

And a line that the plane measured: a claim that contradicts it decides nothing, and everybody sees that.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from podium.crypto.seal import upload_keypair
from podium.crypto.sign import sign
from podium.server.main import PlaneServer
from podium.tasks.task import Select
from podium.wire import messages as m
from podium.wire.canonical import b64
from podium.wire.explained import Explanation
from podium.wire.operator import Condition, DeviceDetail
from tests.e2e.cli_made import podium
from tests.e2e.test_plane_round import ended, offer_to
from tests.support.attacks import in_journal, refused
from tests.support.plane_cases import Operator, enrolled, plane, task
from tests.support.scrape import series, value
from tests.support.scripted_device import PLAN, Refused, ScriptedDevice

GOOD = {"battery": 0.5, "charging": True, "download_mb_s": 4.0, "latency_ms": 60.0}
ABLE = m.Capabilities(
    os="linux",
    plans={PLAN: "sha256:" + "0" * 64},
    datasets={"words": 40},
    label_coverage="0.5",
    missing_rate="0",
    freshness_h="12",
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PlaneServer, Operator, ScriptedDevice]]:
    """A plane, its operator, and a device that told good facts."""
    with plane(tmp_path_factory.mktemp("facts") / "data") as (server, operator):
        (device,) = enrolled(operator, 1)
        device.open(ABLE)
        device.check_in(**GOOD)
        yield server, operator, device


def detail(operator: Operator, device: ScriptedDevice) -> DeviceDetail:
    return operator.get(f"/api/v1/devices/{device.device_id}", DeviceDetail)


def known(told: DeviceDetail) -> tuple[dict[str, str], dict[str, str]]:
    return told.facts, told.momentary


@pytest.mark.parametrize(
    ("body", "code"),
    [
        # absurd values
        (b'{"battery":7}', "fact-absurd"),
        (b'{"battery":-0.01}', "fact-absurd"),
        (b'{"disk_free_mb":-1}', "fact-absurd"),
        (b'{"ram_free_mb":1e300}', "fact-absurd"),
        (b'{"thermal_c":5000}', "fact-absurd"),
        (b'{"download_mb_s":1e30}', "fact-absurd"),
        (b'{"upload_mb_s":-4}', "fact-absurd"),
        (b'{"latency_ms":1e12}', "fact-absurd"),
        (b'{"charging":false,"battery":0.1,"latency_ms":-1}', "fact-absurd"),
        # no numbers, and wrong types
        (b'{"battery":NaN}', "body-malformed"),
        (b'{"battery":Infinity}', "body-malformed"),
        (b'{"battery":1e999}', "body-malformed"),
        (b'{"battery":"full"}', "body-malformed"),
        (b'{"battery":true}', "body-malformed"),
        (b'{"battery":[0.5]}', "body-malformed"),
        (b'{"battery":{"level":0.5}}', "body-malformed"),
        (b'{"charging":1}', "body-malformed"),
        (b'{"charging":"yes"}', "body-malformed"),
        (b'{"metered":0.5}', "body-malformed"),
        (b'{"latency_ms":"60"}', "body-malformed"),
        (b'{"charge":1}', "body-malformed"),
    ],
)
def test_a_check_in_with_facts_that_cannot_be_changes_nothing(
    served: tuple[PlaneServer, Operator, ScriptedDevice], body: bytes, code: str
) -> None:
    _, operator, device = served
    before = known(detail(operator, device))
    assert refused(device, "POST", "/v1/checkin", body) == code
    assert known(detail(operator, device)) == before
    assert before[1]["device.battery"] == "0.5"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"label_coverage": "40"}, "fact-absurd"),
        ({"missing_rate": "-0.5"}, "fact-absurd"),
        ({"freshness_h": "-3"}, "fact-absurd"),  # an example from the future
        ({"freshness_h": "1e+30"}, "fact-absurd"),
        ({"datasets": {"words": 2**31}}, "fact-absurd"),
        ({"datasets": {"words": -1}}, "fact-absurd"),
        ({"ram_mb": -1}, "fact-absurd"),
        ({"datasets": {"words": 10**18}}, "body-not-canonical"),  # no integer of canonical JSON
        ({"cores": 2**53}, "body-not-canonical"),
        ({"label_coverage": "NaN"}, "body-malformed"),
        ({"label_coverage": "0.50"}, "body-malformed"),
        ({"label_coverage": 40}, "body-malformed"),
        ({"freshness_h": None, "ram_mb": "64"}, "body-malformed"),
        ({"datasets": ["words"]}, "body-malformed"),
        ({"datasets": {str(number): 1 for number in range(9)}}, "body-malformed"),
        ({"os": 7}, "body-malformed"),
    ],
)
def test_a_session_with_facts_that_cannot_be_is_not_opened(
    served: tuple[PlaneServer, Operator, ScriptedDevice], changed: dict[str, object], code: str
) -> None:
    _, operator, device = served
    before = detail(operator, device)
    private, public = upload_keypair(b"\x07" * 32)
    asked = device.challenge()
    told = {
        "challenge": asked.challenge,
        "plane_key_id": asked.plane_key_id,
        "device_id": device.device_id,
        "epoch": device.epoch + 1_000,
        "ephemeral_key": b64(public),
        "capabilities": {**msgspec.to_builtins(ABLE), **changed},
    }
    payload = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(Refused) as caught:
        device.open_with(sign(device.seed, "session", payload), private)
    assert caught.value.code == code, caught.value
    after = detail(operator, device)
    assert known(after) == known(before)
    assert after.facts["device.datasets"] == "words=40" and after.facts["device.label_coverage"] == "0.5"
    device.check_in(**GOOD)  # the session before goes on


def test_a_refusal_of_facts_is_in_the_journal(served: tuple[PlaneServer, Operator, ScriptedDevice]) -> None:
    _, operator, device = served
    assert refused(device, "POST", "/v1/checkin", b'{"battery":7}') == "fact-absurd"
    in_journal(operator, b'"refused"', device.device_id.encode(), b"fact-absurd")


def measured_device(operator: Operator) -> ScriptedDevice:
    """A device whose base version of 2 MiB took more than 200 ms, by its own word that it has it: below 11 MB/s."""
    (device,) = enrolled(operator, 1)
    run = operator.submit(task(), {"w": np.zeros(1 << 19, np.float32)})
    offer = offer_to(device)
    device.lease(offer.lease, "accept", m.Accept())
    early = m.Progress(done=0, total=1, moved_bytes=1 << 40)
    assert device.lease(offer.lease, "progress", early).word == "extended"  # before a byte left: it times nothing
    base = device.blob(offer.base)
    time.sleep(0.2)
    device.lease(offer.lease, "progress", m.Progress(done=0, total=1, moved_bytes=len(base)))
    update = device.update(offer, device.manifest(offer), {"w": np.zeros(1 << 19, np.float32)})
    device.upload(offer.lease, update.sealed)
    assert device.report(offer.lease, update.report).word == "stored"
    assert ended(operator, run).state == "FINISHED"
    return device


def condition(told: DeviceDetail, name: str) -> Condition:
    (found,) = [each for each in told.conditions if each.name == name]
    return found


def test_a_claim_that_contradicts_the_measured_line_decides_nothing(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (server, operator):
        device = measured_device(operator)
        honest = detail(operator, device)
        assert 0.5 < float(honest.measured["download_mb_s"]) < 11
        assert condition(honest, "claims-hold").holds

        fast = task()
        select = Select(when="device.download_mb_s > 100.0")
        run = operator.submit(msgspec.structs.replace(fast, select=select))
        assert device.check_in(download_mb_s=9_999.0).reason == "when"
        told = detail(operator, device)
        assert float(told.momentary["device.download_mb_s"]) < 44
        doubt = condition(told, "claims-hold")
        assert (doubt.holds, doubt.reason) == (False, "claim-contradicted")
        assert doubt.since_age_ms >= 0 and doubt.about.startswith("download_mb_s counts as ")
        assert condition(told, "eligible").reason == "when"
        assert condition(told, "eligible").about == f"round {run}.1: device.download_mb_s > 100.0"

        shown = podium("device", "show", device.device_id, "--data", server.data).out
        assert "claims-hold" in shown and "claim-contradicted" in shown
        why = operator.get(f"/api/v1/devices/{device.device_id}/explain", Explanation)
        assert "claims-contradicted" in [each.code for each in why.causes]
        scraped = series(operator.ask("GET", "/metrics").data.decode())
        assert value(scraped, "podium_claims_contradicted_total", fact="download_mb_s") == 1

        device.check_in(download_mb_s=float(honest.measured["download_mb_s"]))
        assert condition(detail(operator, device), "claims-hold").holds
