"""Buffered rounds on a real plane over real HTTP: updates of older versions are opened and counted, and their key dies.

One-hot updates say who is in which version: each adds the mean of the updates that were counted in its window.
"""

import time
from pathlib import Path

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from podium.device import Device, GivenProbes
from podium.server.journal.audit import verify_data
from podium.server.plane_data import Parts
from podium.tasks.file import read_task
from podium.tasks.task import Round, Task
from podium.wire import messages as m
from podium.wire.durations import Duration
from podium.wire.limits import Limits
from podium.wire.operator import LeaseView, Page
from podium.wire.tensors import read_arrays
from podium_examples.digits import data as digits
from podium_examples.digits import init
from tests.e2e.test_plane_restart import moved
from tests.e2e.test_plane_round import ended, offer_to, train
from tests.support.plane_cases import Operator, enrolled, one_hot, plane, task
from tests.support.running_devices import running

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "task.toml"
PLANS = ("podium_examples.digits:train", "podium_examples.digits:evaluate")
QUICK = Limits(retry_first_ms=20, transient_ms=100, permanent_ms=500)


def _buffered(of: Task, goal: int, concurrency: int, staleness_max: int, rounds: int) -> Task:
    terms = Round(
        mode="buffered", goal=goal, concurrency=concurrency, staleness_max=staleness_max, stall=Duration(30_000)
    )
    return replace(of, round=terms, run=replace(of.run, rounds=rounds))


def _sealed(operator: Operator, run: str, count: int, within_s: float = 20.0) -> str:
    """The run's base once so many rounds are sealed and the next one is reported to."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        view = operator.run(run)
        if view.rounds_sealed == count and view.round is not None and view.round.state == "REPORTING":
            return view.base
        time.sleep(0.02)
    raise AssertionError(f"the run is still {view}")


def _empty(parts: Parts, within_s: float = 10.0) -> None:
    """Once the run is over every upload key dies, and every upload goes."""
    end = time.monotonic() + within_s
    while (left := [*parts.keys.names("upload/"), *parts.blobs.uploads()]) and time.monotonic() < end:
        time.sleep(0.02)
    assert left == []


def _weights(operator: Operator, version: str) -> NDArray[np.float64]:
    return read_arrays(operator.ask("GET", f"/api/v1/versions/{version}/blob").data)["w"].astype(np.float64)


def _leases(operator: Operator, run: str, number: int) -> dict[str, str]:
    page = operator.get(f"/api/v1/runs/{run}/rounds/{number}/leases", Page)
    return {view.id: view.state for view in (msgspec.json.decode(item, type=LeaseView) for item in page.items)}


def test_an_update_of_an_older_version_is_opened_after_a_restart_and_counted_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with plane(data) as (server, operator):
        slow, second, third = enrolled(operator, 3)
        run = operator.submit(_buffered(task(), goal=2, concurrency=3, staleness_max=1, rounds=2))
        offer = offer_to(slow)
        assert slow.lease(offer.lease, "accept", m.Accept()).word == "go"
        update = slow.update(offer, slow.manifest(offer), one_hot(0))
        for place, device in ((1, second), (2, third)):
            assert train(device, offer_to(device), place).word == "stored"
        first = _sealed(operator, run, 1)
        np.testing.assert_allclose(_weights(operator, first)[:4], [0.0, 0.5, 0.5, 0.0], atol=1e-5)
        assert server.plane is not None
        assert server.plane.parts.keys.names("upload/") == [f"upload/{run}.1", f"upload/{run}.2"]
    with plane(data) as (server, operator):
        moved(slow, server.url)
        moved(second, server.url)
        again = slow.check_in()
        assert again.offer is not None and (again.offer.lease, again.offer.state) == (offer.lease, "HELD")
        assert again.offer.base != first
        assert slow.manifest(again.offer) is not None, "the older round's manifest is still served"
        slow.upload(offer.lease, update.sealed)
        assert slow.report(offer.lease, update.report).word == "stored"
        assert train(second, offer_to(second), 3).word == "stored"
        view = ended(operator, run)
        assert (view.state, view.rounds_sealed) == ("FINISHED", 2)
        np.testing.assert_allclose(_weights(operator, view.base)[:4], [0.5, 0.5, 0.5, 0.5], atol=1e-5)
        assert _leases(operator, run, 2) == {offer.lease: "ACCEPTED", f"{run}.2.1": "ACCEPTED"}
        assert offer.lease not in _leases(operator, run, 1)
        assert server.plane is not None
        _empty(server.plane.parts)
    assert verify_data(data).entries > 0


def test_a_lost_key_of_an_older_version_ends_those_who_need_it_and_the_run_goes_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with plane(data) as (server, operator):
        slow, second, third = enrolled(operator, 3)
        run = operator.submit(_buffered(task(), goal=2, concurrency=3, staleness_max=3, rounds=2))
        offer = offer_to(slow)
        assert slow.lease(offer.lease, "accept", m.Accept()).word == "go"
        for place, device in ((1, second), (2, third)):
            assert train(device, offer_to(device), place).word == "stored"
        _sealed(operator, run, 1)
        assert server.plane is not None
        server.plane.parts.keys.erase(f"upload/{run}.1")
    with plane(data) as (server, operator):
        for device in (slow, second):
            moved(device, server.url)
            assert train(device, offer_to(device), 3).word == "stored"
        view = ended(operator, run)
        assert (view.state, view.rounds_sealed) == ("FINISHED", 2)
        assert view.round is not None and view.round.number == 3, "the second needed what was lost"
        assert _leases(operator, run, 2) == {offer.lease: "REVOKED"}
        assert server.plane is not None
        _empty(server.plane.parts)


def test_real_devices_learn_the_digits_in_windows(tmp_path: Path) -> None:
    made = _buffered(read_task(DIGITS), goal=3, concurrency=6, staleness_max=8, rounds=8)
    first = {name: values.astype(np.float32) for name, values in init(42).items()}
    with plane(tmp_path / "data") as (server, operator):
        token = operator.token(uses=8)
        devices = [Device(operator.url, token=token, data=digits(str(n)), probes=GivenProbes()) for n in range(8)]
        for device in devices:
            device.limits, device.plans = QUICK, PLANS
        with running(*devices):
            view = ended(operator, operator.submit(made, first), within_s=60.0)
        assert (view.state, view.rounds_sealed) == ("FINISHED", 8)
        assert view.history["accuracy"][-1] > view.history["accuracy"][0]
        assert server.plane is not None
        leases = server.plane.loop.state.leases.values()
        assert sum(lease.state == "ACCEPTED" for lease in leases) >= 8 * 3
        assert max(lease.staleness for lease in leases if lease.state == "ACCEPTED") > 0, "none was overtaken"
        _empty(server.plane.parts)
