"""The real device on the real plane, over real HTTP: rounds, an evaluation, refusals, and a plane that restarts."""

import contextlib
import time
from collections.abc import Sized
from pathlib import Path

import msgspec
import numpy as np

from podium.device import Described, Device, GivenProbes
from podium.server.main import PlaneServer
from podium.tasks.task import Data, Select, Task
from podium.wire.limits import Limits
from podium.wire.operator import DeviceDetail, DeviceView, Page, RunView
from podium.wire.tensors import read_arrays
from tests.support.device_bench import task as counting
from tests.support.plane_cases import FAST, SIZE, Operator, administrator, plane
from tests.support.plane_cases import task as rounds
from tests.support.running_devices import running

QUICK = Limits(retry_first_ms=20, transient_ms=100, permanent_ms=500)
PLANS = tuple(f"device_plans:{name}" for name in ("add_one", "measure", "raise_late", "not_finite"))


class Labelled:
    """`examples` rows of as many different classes, of ten."""

    def __init__(self, examples: int) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return self._examples

    def described(self) -> Described:
        """What the agent counts from."""
        return Described(labels=np.arange(self._examples), classes=10)


def _task(plan: str = "add_one", goal: int = 2, number: int = 1, **local: int | float | str | bool) -> Task:
    """`number` rounds of `goal` devices with a plan of `device_plans`."""
    kind = "evaluate" if plan == "measure" else "train"
    terms = rounds(goal=goal, rounds=number, kind=kind)
    return msgspec.structs.replace(
        terms,
        task=counting(plan, kind).task,
        local=local,
        data=Data(datasets=("rows",)),
    )


def _device(operator: Operator, token: str, state: Path | None = None, rows: Sized = (1, 2, 3)) -> Device:
    device = Device(operator.url, token=token, data={"rows": rows}, state=state, probes=GivenProbes())
    device.limits, device.plans = QUICK, PLANS
    return device


def _ended(operator: Operator, run: str, within_s: float = 40.0) -> RunView:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        view = operator.run(run)
        if view.state != "RUNNING":
            return view
        time.sleep(0.02)
    raise AssertionError(f"the run is still {operator.run(run)}")


def _failing(operator: Operator, code: str, within_s: float = 40.0) -> DeviceView:
    """The first device whose last failure has `code`."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        views = [msgspec.json.decode(item, type=DeviceView) for item in operator.get("/api/v1/devices", Page).items]
        for view in views:
            if view.failure == code:
                return view
        time.sleep(0.02)
    raise AssertionError(f"no device failed with {code}")


def _weights(operator: Operator, version: str) -> list[float]:
    numbers: list[float] = read_arrays(operator.ask("GET", f"/api/v1/versions/{version}/blob").data)["w"].tolist()
    return numbers


def test_two_devices_train_five_rounds(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (_, operator):
        token = operator.token(uses=2)
        with running(_device(operator, token), _device(operator, token, tmp_path / "state")):
            view = _ended(operator, operator.submit(_task(number=5)))
        assert (view.state, view.rounds_sealed) == ("FINISHED", 5)
        assert view.history["loss"] == [0.5] * 5
        np.testing.assert_allclose(_weights(operator, view.base), np.full(SIZE, 5.0), atol=1e-4)


def test_an_evaluation_measures_and_makes_no_new_numbers(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (_, operator):
        with running(_device(operator, operator.token())):
            view = _ended(operator, operator.submit(_task("measure", goal=1), {"w": np.full(SIZE, 3, np.float32)}))
        assert view.state == "FINISHED"
        assert view.history["mean"] == [3.0]
        assert _weights(operator, view.base) == [3.0] * SIZE


def test_a_rule_on_data_facts_selects_the_agents_that_tell_enough(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (_, operator):
        token, devices = operator.token(uses=3), []
        for held, tells in ((8, True), (3, True), (8, False)):  # of ten classes; the last one's owner tells nothing
            device = _device(operator, token, rows=Labelled(held))
            if tells:
                device.told, device.tells = frozenset({"rows"}), frozenset({"label_coverage"})
            devices.append(device)
        rule = "device.datasets['rows'] >= 5 && device.label_coverage >= 0.5"
        task = msgspec.structs.replace(_task(goal=1), select=Select(requires=rule))
        with running(*devices):
            view = _ended(operator, operator.submit(task))
        assert view.state == "FINISHED"
        (fit, few, silent) = (
            operator.get(f"/api/v1/devices/{each.identity.device_id}", DeviceDetail)
            for each in devices
            if each.identity
        )
        assert [len(each.leases) for each in (fit, few, silent)] == [1, 0, 0]
        assert fit.facts["device.datasets"] == "rows=8" and fit.facts["device.label_coverage"] == "0.8"
        assert few.facts["device.label_coverage"] == "0.3"
        assert silent.facts["device.datasets"] == "rows=not told" and "device.label_coverage" not in silent.facts


def test_a_plan_that_raises_is_told_to_the_operator(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (_, operator):
        with running(_device(operator, operator.token())):
            operator.submit(_task("raise_late", goal=1))
            view = _failing(operator, "plan-raised")
        assert "ValueError: the data is broken" in view.failure_detail


def test_numbers_that_are_not_finite_are_refused_and_named(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (_, operator), running(_device(operator, operator.token())):
        operator.submit(_task("not_finite", goal=1))
        _failing(operator, "not-finite")


def test_a_plane_that_restarts_in_the_middle_keeps_its_devices_and_rounds(tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = PlaneServer(data, limits=FAST)
    with server:
        port = int(server.url.rpartition(":")[2])
        operator = administrator(server)
        device = _device(operator, operator.token(), tmp_path / "state")
        run = operator.submit(_task(goal=1, number=12, steps=4, pause_ms=10))
        with contextlib.ExitStack() as stack:
            stack.enter_context(running(device))
            while operator.run(run).rounds_sealed < 3:
                time.sleep(0.01)
            server.stop()
            with PlaneServer(data, port=port, limits=FAST) as again:
                view = _ended(administrator(again), run)
                assert (view.state, view.rounds_sealed) == ("FINISHED", 12)
                np.testing.assert_allclose(_weights(administrator(again), view.base), np.full(SIZE, 12.0), atol=1e-4)
                device.stop()
