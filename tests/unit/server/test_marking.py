"""Which devices a mark means and what it would change, and what people call aliases and services."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from podium.adapters.sqlite.pages import SqlitePages
from podium.adapters.sqlite.store import SqliteStore
from podium.core.rows import AliasMoveRow, AliasRow, DeviceRow, ServiceRow
from podium.core.state import State
from podium.server.operators.marking import DEVICES_TOLD, MARKS, SLICE, Marking, chosen
from podium.server.operators.naming import (
    Called,
    Devices,
    find_alias,
    find_service,
    version_to_go_back_to,
    versions_before,
)
from podium.wire.asks import MarkAsk
from podium.wire.limits import Limits
from podium.wire.problems import OperatorFault
from tests.contract.rows_made import record, salts, step
from tests.support.aggregation_rig import rows

MAX = Limits().marked_devices_max


def fleet(size: int) -> State:
    """`size` devices: d0... on two sites, every third of the label ward=icu."""
    state = State([], Limits())
    for number in range(size):
        state.put(
            DeviceRow(
                id=f"d{number:06d}",
                number=number,
                name=f"name-{number % 100}",
                population="default",
                site="north" if number % 2 else "south",
                labels={"ward": "icu"} if number % 3 == 0 else {},
                public_key=str(number),
                enrolled_ms=0,
                participated_ms=-1,
                state="active",
            )
        )
    return state


async def nobody(text: str, limit: int) -> tuple[list[int], list[int]]:
    """A store without devices: whole ids are known without it."""
    return [], []


def meant(state: State, most: int = MAX, called: Called = nobody, **terms: object) -> list[str]:
    ask = replace(MarkAsk(mark="banned"), **terms)
    return [row.id for row in asyncio.run(chosen(state, Devices(lambda: state, called), ask, most))]


def test_all_labels_must_match_and_site_and_name_are_labels_too() -> None:
    state = fleet(12)
    assert meant(state, labels={"ward": "icu"}) == ["d000000", "d000003", "d000006", "d000009"]
    assert meant(state, labels={"ward": "icu", "site": "north"}) == ["d000003", "d000009"]
    assert meant(state, labels={"name": "name-7"}) == ["d000007"]
    assert meant(state, labels={"ward": ""}) == [], "a label that is not there matches nothing, not even an empty text"
    assert meant(state, labels={"site": "north", "ward": "none"}) == []


def test_a_fleet_is_looked_through_beyond_one_slice_and_never_beyond_the_bound() -> None:
    state = fleet(SLICE + 10)
    assert len(meant(state, labels={"site": "south"})) == (SLICE + 10) // 2
    with pytest.raises(OperatorFault, match="more than 10 devices"):
        meant(state, 10, labels={"site": "south"})
    with pytest.raises(OperatorFault, match="more than 2 devices"):
        meant(state, 2, devices=("d000001", "d000002", "d000003"))
    assert len(meant(state, 2, devices=("d000001", "d000002"))) == 2


def test_devices_are_named_by_id_prefix_or_name_each_once(tmp_path: Path) -> None:
    state = fleet(112)
    state.put(replace(state.devices[50], name="d0000"))
    state.put(replace(state.devices[0], id="e77", number=112, public_key="e"))
    store = SqliteStore(tmp_path / "data")
    store.commit("fleet", [step(1, record(*state.devices))], salts(1))
    pages = SqlitePages(store)

    async def called(text: str, limit: int) -> tuple[list[int], list[int]]:
        return pages.devices_called(text, limit)

    assert meant(state, called=called, devices=("d000013", "name-13")) == ["d000013"]
    assert meant(state, called=called, devices=("d000111", "name-14")) == ["d000111", "d000014"]
    assert meant(state, called=called, devices=("d0000",)) == ["d000050"], "a whole name before the beginning of ids"
    assert meant(state, called=called, devices=("e",)) == ["e77"]
    for texts, code in (
        (("d00001",), "id-ambiguous"),
        (("name-3",), "not-found"),
        (("name",), "not-found"),
        (("x",), "not-found"),
        (("d000001", ""), "not-found"),
    ):
        with pytest.raises(OperatorFault, match=code):
            meant(state, called=called, devices=texts)
    pages.close()
    store.close()


def test_how_devices_are_meant_is_asked_for_one_way() -> None:
    state = fleet(12)
    with pytest.raises(OperatorFault, match="exactly one"):
        meant(state)
    with pytest.raises(OperatorFault, match="exactly one"):
        meant(state, devices=("d000001",), labels={"site": "north"})


def test_what_a_mark_would_change_is_counted_before_it_does() -> None:
    state = fleet(4)
    state.put(replace(state.devices[1], state="cordoned"))
    state.put(replace(state.devices[2], state="banned"))
    state.live_lease[0] = "r.1.1"
    every = list(state.devices)
    counts = {name: mark.done(state, every, dry_run=True) for name, mark in MARKS.items()}
    assert {name: (done.matched, done.changed, done.at_work) for name, done in counts.items()} == {
        "active": (4, 2, 1),
        "cordoned": (4, 2, 1),
        "drained": (4, 2, 1),
        "uncordoned": (4, 1, 1),
        "unbanned": (4, 1, 1),
        "banned": (4, 3, 1),
    }
    state.put(replace(state.devices[0], state="cordoned"))
    assert MARKS["cordoned"].done(state, list(state.devices.rows(0, 1)), dry_run=False).changed == 0
    assert MARKS["drained"].done(state, list(state.devices.rows(0, 1)), dry_run=False).changed == 1, "its lease ends"
    many = fleet(DEVICES_TOLD + 1)
    assert len(MARKS["banned"].done(many, list(many.devices), dry_run=True).devices) == DEVICES_TOLD
    with pytest.raises(OperatorFault, match="a device can be active"):
        Marking.of("gone")


# -- aliases and services ------------------------------------------------------------------------------------------


def models() -> State:
    """m@candidate went from a to b, and to a again by a promotion; m@latest is moved by the plane alone."""
    state = State(rows("sha256:aa", "key"), Limits())
    state.put(replace(state.versions["sha256:aa"], id="sha256:bb", number=2))
    state.put(replace(state.versions["sha256:aa"], id="sha256:cc", number=3))
    path = ["", "sha256:aa", "sha256:bb", "sha256:aa"]
    for counter in (1, 2, 3):
        state.put(
            AliasMoveRow(
                alias="m@candidate",
                counter=counter,
                version=path[counter],
                before=path[counter - 1],
                actor="",
                why="",
                at_ms=0,
            )
        )
    for name in ("m@candidate", "m@latest"):
        state.put(AliasRow(id=name, version="sha256:aa", counter=3, actor="", why="", at_ms=0))
    return state


def test_a_rollback_goes_to_the_version_before_or_to_one_that_was_named() -> None:
    state = models()
    alias = find_alias(state, "m@candidate")
    assert version_to_go_back_to(state, alias, "").id == "sha256:bb", "a promotion of what it named is no rollback"
    assert version_to_go_back_to(state, alias, "bb").id == "sha256:bb"
    for named, code in (("cc", "usage"), ("dd", "version-unknown")):
        with pytest.raises(OperatorFault, match=code):
            version_to_go_back_to(state, alias, named)
    with pytest.raises(OperatorFault, match="usage"):
        version_to_go_back_to(state, find_alias(state, "m@latest"), "")
    for unknown in ("m@nothing", "m", ""):
        with pytest.raises(OperatorFault, match="not-found"):
            find_alias(state, unknown)


@pytest.mark.parametrize(
    ("moves", "before"),
    [
        ("a", ""),
        ("ab", "a"),
        ("abc", "ab"),
        ("abc<b", "a"),
        ("abc<b<a", ""),
        ("abc<a", ""),
        ("abc<bc", "ab"),
        ("abc<b<c", "ab"),
        ("abca", "abc"),
        ("abca<c", "ab"),
        ("aba<b", "a"),
    ],
)
def test_rollbacks_go_further_back_and_never_to_what_was_rolled_back(moves: str, before: str) -> None:
    """`<`: the next letter was gone back to; else it was promoted."""
    state = State(rows("sha256:aa", "key"), Limits())
    for letter in "abc":
        state.put(replace(state.versions["sha256:aa"], id=letter))
    state.put(AliasRow(id="m@candidate", version=moves[-1], counter=9, actor="", why="", at_ms=0))
    move = AliasMoveRow(alias="m@candidate", counter=0, version="", before="", actor="", why="", at_ms=0)
    state.put(replace(move, alias="m@other", counter=1, version="c"))
    for place, letter in enumerate(moves):
        if letter != "<":
            state.put(replace(move, counter=place, version=letter, back=place > 0 and moves[place - 1] == "<"))
    assert "".join(row.id for row in versions_before(state, find_alias(state, "m@candidate"))) == before


def test_a_service_is_called_by_id_prefix_or_the_name_of_its_one_live_credential() -> None:
    state = State([], Limits())
    row = ServiceRow(id="aa1", name="nightly", verbs=(), actor="", made_ms=0, expires_ms=9, revoked=True)
    for each in (row, replace(row, id="ab2", revoked=False), replace(row, id="bb3", name="other", revoked=False)):
        state.put(each)
    assert find_service(state, "nightly").id == "ab2", "the revoked one of the name is not meant"
    assert find_service(state, "aa").id == find_service(state, "aa1").id == "aa1"
    for text, code in (("a", "id-ambiguous"), ("none", "service-unknown"), ("", "service-unknown")):
        with pytest.raises(OperatorFault, match=code):
            find_service(state, text)
    state.put(replace(row, id="cc4", revoked=False))
    with pytest.raises(OperatorFault, match="service-unknown"):
        find_service(state, "nightly")
