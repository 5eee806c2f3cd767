"""The fleet counted: every device once, in the gravest of its states, under the platform it last told."""

import numpy as np

from podium.core.events import DevicesMarked
from podium.core.views.census import Census
from podium.core.views.runs import ONLINE_MS
from podium.wire.operator import FleetView
from tests.support.core_drive import Drive
from tests.support.core_made import task


def cells(view: FleetView) -> dict[tuple[str, str, str], int]:
    return {(cell.architecture, cell.os, cell.state): cell.devices for cell in view.cells}


def people() -> Drive:
    made = Drive()
    made.fleet(3, os="android", architecture="arm64")
    made.fleet(2, os="linux", architecture="x86_64")
    return made


def test_every_device_is_counted_once_in_the_gravest_of_its_states() -> None:
    made = people()
    made.begin(task(goal=1, minimum=1))
    made.enrol("never-seen", "token-0")
    census = Census()
    made.check_in(0)
    made.wait(made.limits.form_settle_ms)
    made.work()
    made.wait(made.limits.form_settle_ms)
    made.lease(0)
    for device, state in (("id-d1", "cordoned"), ("id-d3", "banned")):
        made.feed(
            DevicesMarked(
                at_ms=made.now_ms,
                ticket=made.ticket(),
                actor="person:administrator",
                devices=(device,),
                state=state,
                of_states=("active",),
                revoke=False,
                why="",
            )
        )
    seen = made.state.fleet.seen_ms[: made.state.fleet.size]
    view = census.count(made.state, made.now_ms)
    assert view.devices == sum(cell.devices for cell in view.cells) == len(made.state.devices)
    told = cells(view)
    assert told["arm64", "android", "at work"] == 1
    assert told["arm64", "android", "cordoned"] == 1
    assert told["x86_64", "linux", "banned"] == 1
    assert told["", "", "offline"] == 1
    later = cells(census.count(made.state, int(seen.max()) + ONLINE_MS + 1))
    assert not any(state == "online" for _, _, state in later), "nobody was heard for long"


def test_a_platform_told_anew_replaces_the_old_one() -> None:
    made, census = people(), Census()
    assert {key[:2] for key in cells(census.count(made.state, made.now_ms))} == {
        ("arm64", "android"),
        ("x86_64", "linux"),
    }
    made.open(3, capabilities={"os": "linux", "architecture": "arm64"})
    made.fleet(1, os="linux", architecture="x86_64")
    told = census.count(made.state, made.now_ms)
    assert cells(told) == cells(Census().count(made.state, made.now_ms))
    assert sum(cell.devices for cell in told.cells if (cell.architecture, cell.os) == ("arm64", "linux")) == 1


def test_another_core_is_counted_anew() -> None:
    census = Census()
    first, second = people(), Drive()
    census.count(first.state, first.now_ms)
    second.fleet(4, os="linux", architecture="riscv64")
    second.fleet(3, os="qnx", architecture="arm64")
    assert cells(census.count(second.state, second.now_ms)) == cells(Census().count(second.state, second.now_ms))
    first.reload()
    assert cells(census.count(first.state, first.now_ms)) == {("", "", "offline"): 5}


def test_an_empty_fleet_has_no_cell_and_a_platform_is_listed_by_its_weight() -> None:
    made, census = Drive(), Census()
    assert census.count(made.state, 0) == FleetView(devices=0, cells=[])
    made.fleet(1, os="linux")
    made.fleet(2, os="android")
    assert [cell.os for cell in census.count(made.state, made.now_ms).cells] == ["android", "linux"]
    assert np.all(made.state.fleet.facts_id[:3] >= 0)
