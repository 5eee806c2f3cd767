"""Runs that are stuck on what devices are like: battery, region, label coverage, facts about data that nobody told.

The API, `podium explain` and the page name the same clause and the same funnel; once the facts are as the clause wants
them, the run goes on to its end.
"""

from pathlib import Path

import msgspec

from podium.tasks.task import Data, Select
from podium.wire import messages as m
from podium.wire.asks import TokenAsk
from podium.wire.explained import Explanation
from podium.wire.operator import DeviceDetail, TokenMade
from tests.e2e.cli_made import podium
from tests.e2e.test_stuck import explained, reached, ruled, served
from tests.support.console_browser import Browser
from tests.support.plane_cases import Operator, enrolled, plane
from tests.support.scripted_device import PLAN, ScriptedDevice

ABLE = m.Capabilities(os="linux", plans={PLAN: "sha256:" + "0" * 64})


def told_of(stage: str, told: Explanation) -> tuple[int, dict[str, int]]:
    """A stage's devices, and what keeps those that got no further."""
    return next((devices, left) for name, devices, left in reached(told) if name == stage)


def in_region(operator: Operator, region: str, name: str) -> ScriptedDevice:
    """A device whose token carries the label region."""
    token = operator.post("/api/v1/tokens", TokenAsk(labels={"region": region}), TokenMade).token
    device = ScriptedDevice(operator.url, name=name)
    device.enrol(token)
    device.open()
    return device


def test_low_battery(tmp_path: Path) -> None:
    clause = "device.battery > 0.5"
    with plane(tmp_path / "data") as (server, operator):
        devices = enrolled(operator, 3)
        run = operator.submit(ruled(3, Select(when=clause)))
        for device, battery in zip(devices, (0.2, 0.2, 0.9), strict=True):
            device.check_in(battery=battery)
        told = explained(server, operator, run)
        assert [(each.code, each.devices) for each in told.causes] == [("when-false", 2)]
        assert told_of("checked in", told) == (3, {"when-false": 2, "reserved": 1})
        shown = podium("explain", "--data", server.data).out
        assert f"2 no further: when-false {clause} -> make `{clause}` true on device-0, device-1" in shown
        detail = operator.get(f"/api/v1/devices/{devices[0].device_id}", DeviceDetail)
        assert detail.momentary == {"device.battery": "0.2"} and detail.momentary_age_ms >= 0
        viewer = (server.data / "viewer.token").read_text().strip()
        assert "<code>battery</code>" in Browser(server.url).sign_in(viewer).page(f"/fleet/{devices[0].device_id}")
        served(operator, run, devices)


def test_too_low_a_label_coverage(tmp_path: Path) -> None:
    clause = "device.label_coverage >= 0.5"
    with plane(tmp_path / "data") as (server, operator):
        devices = enrolled(operator, 2)
        devices[0].open(msgspec.structs.replace(ABLE, label_coverage="0.25"))
        devices[1].open(msgspec.structs.replace(ABLE, label_coverage="0.75"))
        run = operator.submit(ruled(2, Select(requires=clause)))
        for device in devices:
            device.check_in()
        told = explained(server, operator, run)
        assert [(each.code, each.devices) for each in told.causes] == [("requires-false", 1)]
        assert told.causes[0].text == f"1 device with `{clause}` false (they have label_coverage 0.25 (1))"
        assert told_of("registered", told) == (2, {"requires-false": 1})
        one = operator.get(f"/api/v1/devices/{devices[0].device_id}/explain", Explanation)
        assert [stage.devices for stage in one.funnel] == [1, 0, 0, 0, 0, 0, 0, 0]
        devices[0].open(msgspec.structs.replace(ABLE, label_coverage="0.5"))
        served(operator, run, devices)


def test_another_region(tmp_path: Path) -> None:
    clause = "device.region == 'eu'"
    with plane(tmp_path / "data") as (server, operator):
        here, there = in_region(operator, "eu", "here"), in_region(operator, "us", "there")
        nowhere = enrolled(operator, 1)[0]
        run = operator.submit(ruled(2, Select(requires=clause)))
        for device in (here, there, nowhere):
            device.check_in()
        told = explained(server, operator, run)
        counts = {(each.code, each.devices) for each in told.causes}
        assert counts == {("requires-false", 1), ("requires-unknown", 1)}
        assert told_of("eligible", told)[0] == 1
        assert told_of("registered", told)[1] == {"requires-false": 1, "requires-unknown": 1}
        assert "region us (1)" in " ".join(each.text for each in told.causes)
        served(operator, run, [here, in_region(operator, "eu", "new")])


def test_facts_about_data_that_nobody_told(tmp_path: Path) -> None:
    clause = "device.missing_rate < 0.1"
    with plane(tmp_path / "data") as (server, operator):
        devices = enrolled(operator, 2)
        asked = ruled(2, Select(requires=clause))
        run = operator.submit(msgspec.structs.replace(asked, data=Data(datasets=("hearts",))))
        for device in devices:
            device.check_in()
        told = explained(server, operator, run)
        assert told.causes[0].code == "dataset" and told_of("registered", told) == (2, {"dataset": 2})
        for device in devices:
            device.open(msgspec.structs.replace(ABLE, datasets={"hearts": 0}))  # and keeps the number to itself
            device.check_in()
        told = explained(server, operator, run)
        assert told.causes[0].code == "requires-unknown"
        assert told.causes[0].text == (
            f"2 devices without a fact that `{clause}` names (they have missing_rate none (2))"
        )
        assert told_of("registered", told) == (2, {"requires-unknown": 2})
        for device in devices:
            device.open(msgspec.structs.replace(ABLE, datasets={"hearts": 0}, missing_rate="0.05"))
        served(operator, run, devices)
