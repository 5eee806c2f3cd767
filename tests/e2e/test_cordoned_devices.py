"""A cordoned device of a real plane: its work goes on to its end, it hears why it gets no more, and it may return."""

from pathlib import Path

from podium.wire import messages as m
from podium.wire.asks import MarkAsk
from podium.wire.operator import MarkDone
from tests.e2e.test_plane_round import ended, offer_to
from tests.support.plane_cases import Operator, enrolled, one_hot, plane, task


def marked(operator: Operator, mark: str, device: str) -> int:
    return operator.post("/api/v1/devices/mark", MarkAsk(mark=mark, devices=(device,)), MarkDone).changed


def test_one_at_work_finishes_and_gets_no_further_lease(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (_, operator):
        (device,) = enrolled(operator, 1)
        run = operator.submit(task())
        offer = offer_to(device)
        assert marked(operator, "cordoned", device.device_id) == 1
        assert device.lease(offer.lease, "accept", m.Accept()).word == "go"
        update = device.update(offer, device.manifest(offer), one_hot(0))
        device.upload(offer.lease, update.sealed)
        device.open()  # its session's hour may be over while it works
        assert device.report(offer.lease, update.report).word == "stored"
        assert ended(operator, run).state == "FINISHED"
        operator.submit(task())
        told = device.check_in()
        assert (told.offer, told.reason) == (None, "cordoned")
        assert marked(operator, "uncordoned", device.device_id) == 1
        assert offer_to(device).lease != offer.lease
