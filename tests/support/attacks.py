"""What every attack asks: with which code it was refused, and whether the journal has it."""

import time

import msgspec
import pytest
import urllib3

from podium.wire import messages as m
from podium.wire.problems import KINDS, Problem
from tests.support.plane_cases import Operator
from tests.support.scripted_device import Refused, ScriptedDevice

EXPORT = "/api/v1/audit/export"
Held = tuple[ScriptedDevice, m.OfferMessage, m.RoundManifest]


def refused(device: ScriptedDevice, method: str, target: str, body: bytes = b"", **headers: str) -> str:
    """The code with which an authenticated request is refused."""
    with pytest.raises(Refused) as caught:
        device.whole(device.ask(method, target, body, **headers))
    assert caught.value.status == KINDS[caught.value.code].status
    return caught.value.code


def raw(device: ScriptedDevice, headers: dict[str, str], body: bytes = b"{}", target: str = "/v1/checkin") -> str:
    """The code with which a request with exactly these headers is refused."""
    with pytest.raises(Refused) as caught:
        device.whole(device.send("POST", target, body, headers))
    return caught.value.code


def in_journal(operator: Operator, *words: bytes) -> None:
    """Some entry of the journal has all these words; nobody waits for that record, so it may come later."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if any(all(word in line for word in words) for line in operator.ask("GET", EXPORT).data.splitlines()):
            return
        time.sleep(0.02)
    raise AssertionError(f"no entry has {words}")


def code_of(response: urllib3.BaseHTTPResponse) -> str:
    """The problem code of an operator answer."""
    return msgspec.json.decode(response.data, type=Problem).code
