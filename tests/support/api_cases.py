"""A plane with something of everything in it, for tests of the operator API: devices, a sealed version, open runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from podium.plane.finding import connect_data
from podium.plane.link import OperatorLink
from podium.server.main import PlaneServer
from podium.wire.asks import PromoteAsk, ServiceAsk
from podium.wire.canonical import b64
from podium.wire.limits import Limits
from podium.wire.tensors import write_arrays
from tests.e2e.test_plane_round import ended, offer_to, train
from tests.support.plane_cases import FAST, SIZE, Operator, enrolled, plane, task


@contextmanager
def linked(data: Path, limits: Limits = FAST) -> Iterator[tuple[PlaneServer, Operator, OperatorLink]]:
    """A plane over `data` with its administrator, raw and as typed calls."""
    with plane(data, limits) as (server, operator), connect_data(data) as link:
        yield server, operator, link


def one_model() -> str:
    """The test model as a submission brings it."""
    return b64(write_arrays({"w": np.zeros(SIZE, np.float32)}))


def fill(operator: Operator, link: OperatorLink) -> str:
    """Two devices, a finished run with a sealed version, an alias that was moved, a service, and a run that is open.

    The id of the finished run.
    """
    devices = enrolled(operator, 2, site="north")
    run = operator.submit(task(goal=2))
    for device in devices:
        device.check_in()
    for place, device in enumerate(devices):
        assert train(device, offer_to(device), place).word == "stored"
    view = ended(operator, run)
    assert view.state == "FINISHED"
    link.promote("one-hot@candidate", PromoteAsk(version=view.base))
    link.issue_service(ServiceAsk(name="nightly", verbs=("runs.read", "status.read")))
    operator.submit(task(goal=1, rounds=3))
    offer_to(devices[0])
    return run
