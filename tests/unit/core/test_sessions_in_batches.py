"""A batch of sessions is the same sessions one by one, and equal facts are kept once."""

import numpy as np

from podium.core.effects import Answer
from podium.core.events import SessionsOpened
from podium.core.fleet.telemetry import ABSENT, data_facts
from podium.wire.messages import Capabilities
from tests.support.core_acts import mark
from tests.support.core_drive import Drive
from tests.support.core_made import PLAN


def enrolled(count: int) -> Drive:
    drive = Drive()
    drive.issue("t", site="east", uses=count)
    for number in range(count):
        drive.enrol(f"n{number}", "t")
    return drive


def opened(
    drive: Drive, devices: list[int], epochs: list[int], tickets: list[int], **columns: list[int]
) -> SessionsOpened:
    kinds = columns.pop("kind", [0] * len(devices))
    return SessionsOpened(
        at_ms=drive.now_ms,
        at=np.full(len(devices), drive.now_ms),
        device=np.array(devices),
        epoch=np.array(epochs),
        ticket=np.array(tickets),
        kind=np.array(kinds, np.int32),
        capabilities=(Capabilities(os="linux", plans={PLAN: "d"}), Capabilities(os="android")),
        data=data_facts(len(devices), {name: np.array(told, np.int32) for name, told in columns.items()}),
    )


def test_who_waits_is_answered_and_a_second_session_in_one_batch_follows_the_first() -> None:
    drive = enrolled(3)
    step = drive.feed(opened(drive, [0, 1, 0, 0, 2], [1, 1, 3, 2, 1], [7, -1, 8, 9, 10]))
    heard = {send.ticket: send.code or send.word for send in step.sends if isinstance(send, Answer)}
    assert heard == {7: "done", 8: "done", 9: "epoch-stale", 10: "done"}
    assert drive.state.fleet.epoch[:3].tolist() == [3, 1, 1]
    assert [facts for _, facts in drive.state.fleet.facts.most(9)] == [drive.state.fleet.facts_of(1)]


def test_a_banned_device_opens_none_and_keeps_nothing() -> None:
    drive = enrolled(2)
    drive.feed(opened(drive, [0], [1], [-1]))
    mark(drive, [drive.state.devices[0].id], "banned")
    step = drive.feed(opened(drive, [0, 1], [2, 1], [5, 6], kind=[1, 1]))
    heard = {send.ticket: send.code or send.word for send in step.sends if isinstance(send, Answer)}
    assert heard == {5: "device-banned", 6: "done"}
    assert drive.state.fleet.facts_of(0)["device.os"] == "linux"


def test_examples_stand_in_the_slots_of_each_device_s_own_datasets() -> None:
    drive = enrolled(4)
    drive.feed(opened(drive, [0, 1, 2, 3], [1] * 4, [-1] * 4, a=[5, ABSENT, 0, ABSENT], b=[6, 7, ABSENT, ABSENT]))
    fleet, every = drive.state.fleet, np.arange(4)
    assert fleet.examples_of("a", every).tolist() == [5, ABSENT, 0, ABSENT]
    assert fleet.examples_of("b", every).tolist() == [6, 7, ABSENT, ABSENT]
    assert fleet.examples_of("c", every).tolist() == [ABSENT] * 4
    assert [fleet.facts_of(device)["device.datasets"] for device in range(4)] == [
        {"a": 5, "b": 6},
        {"b": 7},
        {"a": 0},
        {},
    ]
    drive.feed(opened(drive, [0], [2], [-1], b=[1]))
    assert fleet.facts_of(0)["device.datasets"] == {"b": 1}, "what it had before is forgotten"
    assert len({int(fleet.facts_id[device]) for device in range(4)}) == 3, "0 and 1 share a set now"


def test_what_nobody_holds_any_more_is_let_go() -> None:
    drive = enrolled(3)
    drive.feed(opened(drive, [0, 1, 2], [1] * 3, [-1] * 3, kind=[0, 0, 1]))
    drive.feed(opened(drive, [0, 1], [2] * 2, [-1] * 2, kind=[1, 1]))
    assert [number for number, _ in drive.state.fleet.facts.most(9)] == [int(drive.state.fleet.facts_id[2])]
