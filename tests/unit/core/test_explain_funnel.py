"""The funnel of explain: each device once, no stage larger than the one before, every loss named."""

from collections import Counter

from podium.core.views.funnel import STAGES
from podium.wire.explained import Explanation
from tests.support.core_acts import mark
from tests.support.explain_cases import CASES, elsewhere, forming, of_device, of_run, reporting, resting, spent


def stages(told: Explanation) -> list[int]:
    """Devices by stage."""
    return [each.devices for each in told.funnel]


def left(told: Explanation) -> dict[str, dict[str, int]]:
    """Stage -> code -> devices that got no further."""
    return {each.name: {loss.code: loss.devices for loss in each.left} for each in told.funnel if each.left}


def test_in_every_situation_the_stages_fall_and_add_up() -> None:
    reached = Counter[str]()
    for case in [each for cases in CASES.values() for each in cases]:
        told = case.explained()
        if not told.funnel:
            continue
        reached[case.of] += 1
        assert [each.name for each in told.funnel] == list(STAGES)
        counts = stages(told)
        assert counts[0] == (case.make().state.fleet.size if case.of == "run" else 1)
        for stage, following in zip(told.funnel, [*counts[1:], 0], strict=True):
            lost = sum(each.devices for each in stage.left)
            assert stage.devices - following == (lost if stage.name != "accepted" else stage.devices)
    assert reached["run"] > 20 and reached["device"] > 8


def test_each_device_counts_at_the_furthest_stage_that_it_reached() -> None:
    drive = reporting(2, goal=2, over=1.0)
    drive.fleet(3, plans={})
    drive.fleet(2)
    mark(drive, ["id-d5"], "cordoned")
    drive.report(drive.state.live_lease[0])
    told = of_run(drive)
    assert stages(told) == [7, 3, 3, 2, 2, 2, 1, 0]
    assert left(told) == {
        "registered": {"plan-missing": 3, "cordoned": 1},
        "connected": {"not-checked-in": 1},
        "training": {"held": 1},
        "reported": {"reported": 1},
    }
    assert told.funnel_of == "r.1"


def test_what_would_change_a_loss_stands_beside_it() -> None:
    drive = forming(3, when="device.charging")
    drive.check_in(0, 1, facts={"charging": 0.0})
    told = of_run(drive)
    (loss,) = told.funnel[3].left
    assert (loss.code, loss.what, loss.devices) == ("when-false", "device.charging", 2)
    assert loss.change.startswith("make `device.charging` true on d0, d1")


def test_devices_that_rest_work_elsewhere_or_are_out_of_tries() -> None:
    assert left(of_run(resting()))["registered"] == {"separation": 2}
    assert left(of_run(elsewhere()))["connected"] == {"at-work-elsewhere": 2}
    assert "failed" in left(of_run(spent()))["training"]


def test_one_device_is_a_funnel_of_one() -> None:
    drive = reporting(3)
    assert stages(of_device(drive, 0)) == [1, 1, 1, 1, 1, 1, 0, 0]
    assert stages(of_device(drive, 2)) == [1, 1, 1, 0, 0, 0, 0, 0]
