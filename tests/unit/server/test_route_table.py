"""The operator API's table: queries checked against their row, the document made of the rows, calls that match them."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from podium.core.access.roles import CHANGING, EVERY, READING
from podium.plane.link import OperatorLink
from podium.server.main import PlaneServer
from podium.server.operators.openapi import EVERY_ROUTE, document, problem_codes
from podium.server.operators.route_table import (
    COUNT_MAX,
    QUERY_CHARS_MAX,
    AnyRoute,
    Call,
    Parameter,
    Route,
    read_query,
)
from podium.server.plane_data import NOBODY
from podium.wire.asks import Ask, FreezeAsk, MarkAsk, PromoteAsk, RollbackAsk, RunAsk, ServiceAsk, TokenAsk
from podium.wire.operator import Page, RunMade, RunView
from podium.wire.problems import KINDS, OperatorFault
from tests.support.plane_cases import FAST


async def nothing() -> bytes:
    return b""


BARE: AnyRoute = Route(
    method="GET",
    path="/api/v1/things/{id}",
    verb="status.read",
    summary="Things",
    ask=Ask,
    call=lambda call: nothing(),
)


def row(**terms: Any) -> AnyRoute:
    """A row that differs from `BARE` in `terms`."""
    return replace(BARE, **terms)


ROW = row(
    query=(
        Parameter(name="after", what="where"),
        Parameter(name="limit", kind="count", what="how many"),
        Parameter(name="open", kind="flag", what="which"),
    )
)


def call(**terms: Any) -> Call[Ask]:
    """A request that differs from an empty one in `terms`."""
    empty = Call(who=NOBODY, names={}, query={}, ask=Ask(), key="")
    return replace(empty, **terms)


# -- queries -------------------------------------------------------------------------------------------------------


def test_a_query_is_taken_by_its_row_s_parameters() -> None:
    query = read_query(ROW, [("after", "x y"), ("limit", "7"), ("open", "true")])
    asked = call(query=query)
    assert (asked.text("after"), asked.count("limit"), asked.flag("open")) == ("x y", 7, True)
    empty = call(query=read_query(ROW, []))
    assert (empty.text("after"), empty.count("limit"), empty.flag("open")) == ("", 0, False)
    assert call(query=read_query(ROW, [("limit", str(COUNT_MAX))])).count("limit") == COUNT_MAX
    assert not call(query=read_query(ROW, [("open", "false")])).flag("open")


@pytest.mark.parametrize(
    "given",
    [
        [("other", "1")],
        [("After", "1")],
        [("after", "1"), ("after", "1")],
        [("after", "x" * (QUERY_CHARS_MAX + 1))],
        [("limit", "")],
        [("limit", "-1")],
        [("limit", "1.5")],
        [("limit", "١")],
        [("limit", "²")],
        [("limit", str(COUNT_MAX + 1))],
        [("limit", "9" * 5_000)],
        [("open", "yes")],
        [("open", "")],
        [("open", "True")],
    ],
)
def test_a_query_that_does_not_fit_is_refused_by_name(given: list[tuple[str, str]]) -> None:
    with pytest.raises(OperatorFault, match="usage") as caught:
        read_query(ROW, given)
    assert given[-1][0] in caught.value.what


def test_a_number_in_a_path_is_a_number() -> None:
    assert call(names={"number": "12"}).number == 12
    for text in ("", "-1", "x", "1.0", "١", "9" * 17):
        with pytest.raises(OperatorFault, match="not-found"):
            _ = call(names={"number": text}).number


# -- the document --------------------------------------------------------------------------------------------------


def test_the_document_says_what_each_row_says() -> None:
    table = [
        row(path="/api/v1/runs", answer=Page, items=RunView, query=ROW.query),
        row(
            method="POST",
            path="/api/v1/runs",
            ask=RunAsk,
            answer=RunMade,
            status=201,
            codes=("run-limit",),
            keyed=True,
        ),
        row(path="/api/v1/rounds/{id}/{number}", media="application/octet-stream"),
        row(method="POST", path="/api/v1/marks", ask=MarkAsk),
        row(method="POST", path="/api/v1/services", ask=ServiceAsk),
    ]
    made = msgspec.json.decode(msgspec.json.encode(document(table)))
    assert made["openapi"] == "3.1.0"
    listed, started = made["paths"]["/api/v1/runs"]["get"], made["paths"]["/api/v1/runs"]["post"]
    assert [each["name"] for each in listed["parameters"]] == ["after", "limit", "open"]
    assert "requestBody" not in listed and started["requestBody"]["required"]
    assert [each["name"] for each in started["parameters"]] == ["idempotency-key"]
    assert "run-limit" in str(started["responses"]["409"]) and "201" in started["responses"]
    assert "500" not in started["responses"] and {"401", "403", "422", "503", "400", "413"} <= set(started["responses"])
    assert "400" not in listed["responses"], "what sends no body cannot send a bad one"
    parts = made["paths"]["/api/v1/rounds/{id}/{number}"]["get"]
    assert [each["schema"]["type"] for each in parts["parameters"]] == ["string", "integer"]
    schemas = made["components"]["schemas"]
    assert set(schemas["RunView"]["required"]) == set(schemas["RunView"]["properties"]), "answers say every field"
    assert schemas["RunAsk"]["required"] == ["task"] and schemas["RunAsk"]["additionalProperties"] is False
    assert set(schemas["ServiceAsk"]["properties"]["verbs"]["items"]["enum"]) == EVERY
    assert {"active", "cordoned", "drained", "banned"} <= set(schemas["MarkAsk"]["properties"]["mark"]["enum"])
    references = set(re.findall(r'"#/components/schemas/(\w+)"', msgspec.json.encode(made).decode()))
    assert references <= set(schemas)


# -- the real table ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlaneServer]:
    with PlaneServer(tmp_path_factory.mktemp("table") / "data", limits=FAST) as serving:
        yield serving


def table_of(server: PlaneServer) -> list[AnyRoute]:
    assert server.plane is not None
    return server.plane.surface.table


def test_every_row_has_a_known_verb_known_codes_and_a_path_of_its_own(server: PlaneServer) -> None:
    table = table_of(server)
    assert len({(each.method, each.path) for each in table}) == len(table)
    for each in table:
        reads = each.method == "GET" or each.path == "/api/v1/forecast"  # what is read there depends on a whole task
        assert each.verb in (READING if reads else CHANGING), each.path
        assert set(problem_codes(each)) <= KINDS.keys() and set(EVERY_ROUTE) <= set(problem_codes(each))
        assert "bug" not in each.codes and each.summary and each.path.startswith("/api/v1/")
        assert each.answer is None or each.media == "application/json"
        assert (each.items is not None) == (each.answer is Page)
    names = [each["operationId"] for path in operations(server) for each in path]
    assert len(set(names)) == len(names) == len(table)


def operations(server: PlaneServer) -> list[list[dict[str, str]]]:
    made = msgspec.json.decode(msgspec.json.encode(document(table_of(server))))
    return [list(path.values()) for path in made["paths"].values()]


class Recorded(OperatorLink):
    """Notes every request instead of sending it."""

    def __init__(self) -> None:
        self.asked: set[tuple[str, str]] = set()

    def _send(self, method: str, path: str, body: bytes | None = None, key: str = "") -> bytes:
        self.asked.add((method, path.partition("?")[0]))
        raise OperatorFault("usage")


def test_there_is_one_typed_call_for_every_row(server: PlaneServer) -> None:
    link = Recorded()
    ask = RunAsk(task=msgspec.Raw(b"{}"))
    terms: dict[str, tuple[object, ...]] = {
        "explain": ("run", "ID"),
        "submit": (ask,),
        "round": ("ID", 1),
        "leases": ("ID", 1),
        "mark": (MarkAsk(mark="active"),),
        "token": (TokenAsk(),),
        "release": ("ID", b"{}"),
        "promote": ("ID", PromoteAsk(version="x")),
        "rollback": ("ID", RollbackAsk(counter=1)),
        "issue_service": (ServiceAsk(name="x", verbs=()),),
        "freeze": (),
    }
    calls = [name for name in dir(OperatorLink) if not name.startswith("_") and name not in ("close", "root", "url")]
    for name in calls:
        method = getattr(link, name)
        for arguments in (terms.get(name, ()), terms.get(name, ("ID",))):
            try:
                method(*arguments)
            except (OperatorFault, TypeError):
                continue
    with pytest.raises(OperatorFault):
        link.explain("device", "ID")
    served = {(each.method, concrete(each.path)) for each in table_of(server)}
    assert served - link.asked == set(), "routes that no call asks for"
    assert FreezeAsk().revoke is False


def concrete(path: str) -> str:
    return path.removeprefix("/api/v1/").replace("{id}", "ID").replace("{number}", "1")


def test_a_plane_s_own_document_is_the_one_of_its_table(server: PlaneServer) -> None:
    token = (server.data / "viewer.token").read_text().strip()
    with OperatorLink(server.url, token) as link:
        made = msgspec.json.decode(link.openapi())
    assert made == msgspec.json.decode(msgspec.json.encode(document(table_of(server))))
    assert "/api/v1/openapi.json" in made["paths"]
