"""Fixtures of the attacks: one plane for all of a file's tests, its operator, a device that holds a lease."""

from collections.abc import Iterator

import pytest

from podium.server.main import PlaneServer
from podium.wire import messages as m
from tests.e2e.test_plane_round import offer_to
from tests.support.plane_cases import Operator, administrator, enrolled, plane, task
from tests.support.scripted_device import ScriptedDevice


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlaneServer]:
    """One plane for all attacks: what one of them broke, the next would notice."""
    with plane(tmp_path_factory.mktemp("attacked") / "data") as (serving, _):
        yield serving


@pytest.fixture
def operator(server: PlaneServer) -> Operator:
    """The administrator."""
    return administrator(server)


@pytest.fixture
def held(operator: Operator) -> Iterator[tuple[ScriptedDevice, m.OfferMessage, m.RoundManifest]]:
    """A device that holds a lease of a running run; the run is stopped afterwards."""
    run = operator.submit(task())
    (device,) = enrolled(operator, 1)
    offer = offer_to(device)
    assert device.lease(offer.lease, "accept", m.Accept()).word == "go"
    yield device, offer, device.manifest(offer)
    operator.ask("POST", f"/api/v1/runs/{run}/stop", b"{}")
