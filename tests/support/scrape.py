"""A scrape of a plane, read with Prometheus' own parser, and a plane that has lived through everything it counts."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import urllib3
from prometheus_client.parser import text_string_to_metric_families

from podium.core.effects import Step
from podium.server.main import PlaneServer
from podium.wire import messages as m
from podium.wire.asks import StopAsk, TokenAsk
from podium.wire.problems import StoreFault
from tests.e2e.test_plane_round import ended, offer_to, train
from tests.support.plane_cases import FAST, Operator, enrolled, one_hot, plane, task
from tests.support.scripted_device import Refused, ScriptedDevice

Series = dict[str, dict[frozenset[tuple[str, str]], float]]
"""Sample name -> labels -> value."""

LIVELY = msgspec.structs.replace(FAST, offer_ms=150)


def scraped(url: str, authorization: str = "") -> str:
    """The text of /metrics."""
    headers = {"authorization": authorization} if authorization else {}
    answer = urllib3.PoolManager(retries=False).request("GET", url + "/metrics", headers=headers)
    assert answer.status == 200, answer.data
    return answer.data.decode()


def series(text: str) -> Series:
    """What `text` says."""
    found: Series = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found


def value(found: Series, name: str, **labels: str) -> float:
    """One sample, 0 if there is none."""
    return found.get(name, {}).get(frozenset(labels.items()), 0.0)


@contextmanager
def lived(data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[PlaneServer, Operator, str]]:
    """A plane whose one run (its id is told) saw a decline, a failure, a lapse, a refused update and a sealed round.

    A commit failed once besides, a run was stopped, and a person asked for what is not there.
    """
    with plane(data, LIVELY) as (server, operator):
        devices = enrolled(operator, 3)
        run = operator.submit(task(goal=1))
        _troubled(devices[0])
        _refused_update(devices[1])
        assert train(devices[2], offer_to(devices[2]), 0).word == "stored"
        ended(operator, run)
        stopped = operator.submit(task(goal=2))
        operator.ask("POST", f"/api/v1/runs/{stopped}/stop", StopAsk(why="enough"))
        assert operator.ask("GET", "/api/v1/runs/nowhere").status == 404
        with pytest.raises(Refused):
            devices[0].say("/v1/leases/none/accept", m.Accept())
        _one_failed_commit(server, operator, monkeypatch)
        yield server, operator, run


def _troubled(device: ScriptedDevice) -> None:
    """Declines one lease, lets one lapse, and fails one."""
    device.lease(offer_to(device).lease, "decline", m.Decline(reason="battery"))
    lapsed = offer_to(device).lease
    time.sleep(2 * LIVELY.offer_ms / 1000)  # only silence makes an offer lapse
    assert device.lease(lapsed, "accept", m.Accept()).word == "stop"
    third = offer_to(device)
    device.lease(third.lease, "accept", m.Accept())
    device.lease(third.lease, "fail", m.Failure(code="plan-raised", detail="Traceback: it broke"))


def _refused_update(device: ScriptedDevice) -> None:
    offer = offer_to(device)
    device.lease(offer.lease, "accept", m.Accept())
    too_large = {"w": one_hot(1)["w"] * 1e9}
    update = device.update(offer, device.manifest(offer), too_large)
    device.upload(offer.lease, update.sealed)
    assert device.report(offer.lease, update.report).word == "stored"


def _one_failed_commit(server: PlaneServer, operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    assert server.plane is not None
    store = server.plane.parts.store
    commit = store.commit

    def full(name: str, steps: list[Step], salts: list[bytes]) -> None:
        monkeypatch.setattr(store, "commit", commit)
        raise StoreFault("store-full", retryable=True)

    monkeypatch.setattr(store, "commit", full)
    assert operator.ask("POST", "/api/v1/tokens", TokenAsk()).status == 503
    end = time.monotonic() + 20
    while operator.ask("GET", "/readyz").status != 200 and time.monotonic() < end:
        time.sleep(0.02)
