"""Lists of a real plane: every page, filter and cursor of the reading routes, and a journal that is verified."""

from collections.abc import Iterator

import msgspec
import pytest

from podium.server.main import PlaneServer
from podium.wire import messages as m
from podium.wire.asks import MarkAsk, StopAsk, TokenAsk
from podium.wire.operator import (
    AliasView,
    DeviceDetail,
    DeviceView,
    EntryView,
    LeaseView,
    MarkDone,
    Page,
    RoundView,
    RunView,
    StatusView,
    TokenMade,
    VerifyView,
    VersionView,
    View,
)
from podium.wire.problems import Problem
from tests.e2e.test_plane_round import offer_to
from tests.support.plane_cases import Operator, administrator, enrolled, plane, task
from tests.support.scripted_device import ScriptedDevice

Kind = type[View]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlaneServer]:
    """A plane with a few devices, a run at work and two that were stopped."""
    with plane(tmp_path_factory.mktemp("listed") / "data") as (serving, operator):
        for place in range(3):
            token = operator.post(
                "/api/v1/tokens",
                TokenAsk(uses=1, site="north" if place else "south", labels={"ward": str(place % 2), "decimal": "1"}),
                TokenMade,
            ).token
            ScriptedDevice(operator.url, name=f"d{place}").enrol(token)
        for _ in range(2):
            run = operator.submit(task(rounds=1))
            operator.post(f"/api/v1/runs/{run}/stop", StopAsk(why="enough"), RunView)
        operator.submit(task(rounds=2))
        (device,) = enrolled(operator, 1, site="at-work")
        offer = offer_to(device)
        assert device.lease(offer.lease, "accept", m.Accept()).word == "go"
        yield serving


@pytest.fixture
def operator(server: PlaneServer) -> Operator:
    """The administrator."""
    return administrator(server)


def listed(operator: Operator, path: str, kind: Kind, limit: int = 0) -> list[View]:
    """A list read to its end, `limit` a page."""
    found: list[View] = []
    after = ""
    joint = "&" if "?" in path else "?"
    while True:
        page = operator.get(f"/api/v1/{path}{joint}limit={limit}" + (f"&after={after}" if after else ""), Page)
        assert not limit or len(page.items) <= limit
        found += [msgspec.json.decode(item, type=kind) for item in page.items]
        if not page.next:
            return found
        after = page.next


def problem(operator: Operator, path: str) -> Problem:
    """The fault of a request."""
    response = operator.ask("GET", f"/api/v1/{path}")
    assert response.status >= 400
    return msgspec.json.decode(response.data, type=Problem)


@pytest.mark.parametrize(
    ("path", "kind", "count"),
    [
        ("runs", RunView, 3),
        ("devices", DeviceView, 4),
        ("versions", VersionView, 1),
        ("versions?newest=true", VersionView, 1),
        ("runs/@last/rounds", RoundView, 2),
        ("runs/@last/rounds/1/leases", LeaseView, 1),
        ("audit/entries?kind=device-enrolled", EntryView, 4),
        ("aliases", AliasView, 0),
    ],
)
def test_pages_of_one_join_to_the_whole_list(operator: Operator, path: str, kind: Kind, count: int) -> None:
    whole = listed(operator, path, kind)
    assert len(whole) == count
    keys = [[getattr(view, name, "") for name in ("id", "digest", "number", "alias")] for view in whole]
    single = listed(operator, path, kind, limit=1)
    assert [[getattr(view, name, "") for name in ("id", "digest", "number", "alias")] for view in single] == keys
    assert len({str(key) for key in keys}) == count


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("site=north", ["d1", "d2"]),
        ("site=south&state=active", ["d0"]),
        ("name=d", ["d0", "d1", "d2", "device-0"]),
        ("name=dev", ["device-0"]),
        ("label=ward%3D0", ["d0", "d2"]),
        ("label=ward%3D0,decimal%3D1&site=north", ["d2"]),
        ("online=true", ["device-0"]),
        ("online=false&site=north", ["d1", "d2"]),
        ("lease=any", ["device-0"]),
        ("lease=HELD&name=dev", ["device-0"]),
        ("lease=OFFERED", []),
        ("lease=none&label=ward%3D1", ["d1"]),
        ("state=banned", []),
    ],
)
def test_devices_by_every_filter(operator: Operator, query: str, names: list[str]) -> None:
    for limit in (0, 1):
        found = listed(operator, f"devices?{query}", DeviceView, limit)
        assert [view.name for view in found if isinstance(view, DeviceView)] == names


def test_marked_devices_are_found_by_their_state(operator: Operator) -> None:
    operator.post("/api/v1/devices/mark", MarkAsk(mark="cordoned", labels={"site": "south"}), MarkDone)
    found = listed(operator, "devices?state=cordoned", DeviceView)
    assert [view.name for view in found if isinstance(view, DeviceView)] == ["d0"]
    operator.post("/api/v1/devices/mark", MarkAsk(mark="active", labels={"site": "south"}), MarkDone)
    assert listed(operator, "devices?state=cordoned", DeviceView) == []


def test_runs_by_state_and_task(operator: Operator) -> None:
    stopped = listed(operator, "runs?state=STOPPED", RunView, 1)
    assert [view.state for view in stopped if isinstance(view, RunView)] == ["STOPPED"] * 2
    assert len(listed(operator, "runs?task=one-hot&state=RUNNING", RunView)) == 1
    assert listed(operator, "runs?task=other", RunView) == []


def test_a_device_with_its_leases_and_facts(operator: Operator) -> None:
    detail = operator.get("/api/v1/devices/device-0", DeviceDetail)
    assert detail.device.online
    assert [lease.state for lease in detail.leases] == ["HELD"]
    assert detail.facts["device.os"]
    leases = listed(operator, "devices/device-0/leases", LeaseView)
    assert [lease.id for lease in leases if isinstance(lease, LeaseView)] == [detail.leases[0].id]
    assert operator.get(f"/api/v1/devices/{detail.device.id}", DeviceDetail).device.name == "device-0"
    assert problem(operator, "devices/nobody").code == "not-found"


def test_one_round_and_one_that_is_not_there(operator: Operator) -> None:
    view = operator.get("/api/v1/runs/@last/rounds/1", RoundView)
    assert (view.number, view.state, view.leases["granted"]) == (1, "REPORTING", 1)
    for path in ("runs/@last/rounds/99", "runs/@last/rounds/one", "runs/@last/rounds/99/leases"):
        assert problem(operator, path).code == "not-found"
    assert problem(operator, "runs/nothing/rounds").code == "run-unknown"


def test_the_journal_newest_first_by_kind_subject_and_actor(operator: Operator) -> None:
    entries = [view for view in listed(operator, "audit/entries", EntryView, 7) if isinstance(view, EntryView)]
    assert [view.number for view in entries] == list(range(len(entries), 0, -1))
    by_person = listed(operator, "audit/entries?actor=person:administrator", EntryView, 3)
    assert by_person == [view for view in by_person if isinstance(view, EntryView) and view.actor.startswith("person")]
    stopped = listed(operator, "audit/entries?kind=run-stopped&actor=person:administrator", EntryView)
    assert len(stopped) == 2
    subject = entries[0].subject
    of_subject = listed(operator, f"audit/entries?subject={subject}", EntryView)
    assert [view.number for view in of_subject if isinstance(view, EntryView)] == [
        view.number for view in entries if view.subject == subject
    ]
    plane_did = listed(operator, "audit/entries?actor=plane", EntryView, 2)
    assert len(plane_did) == sum(view.actor == "plane" for view in entries)


def test_a_cursor_that_none_gave_is_refused(operator: Operator) -> None:
    for path in ("devices", "versions", "audit/entries", "runs/@last/rounds"):
        assert problem(operator, f"{path}?after=x").code == "usage"
    assert problem(operator, "devices?lease=LOST").code == "usage"
    assert problem(operator, "devices?online=perhaps").code == "usage"


def test_an_alias_that_is_not_there_has_no_moves(operator: Operator) -> None:
    assert problem(operator, "aliases/none@here/moves").code == "not-found"


def test_the_journal_is_verified_once_for_each_state_of_it(operator: Operator, server: PlaneServer) -> None:
    first = operator.get("/api/v1/audit/verify", VerifyView)
    assert (first.ok, first.first_bad) == (True, "")
    assert first.entries > 10
    status = operator.get("/api/v1/status", StatusView)
    assert status.journal_entries >= first.entries
    assert server.plane is not None
    assert server.plane.surface.journal.verified() is not None
