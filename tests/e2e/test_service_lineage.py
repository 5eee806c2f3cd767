"""Credentials that services issue, on a real plane over real HTTP: none outlives, outranks or impersonates another."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from podium.plane.link import OperatorLink
from podium.server.main import PlaneServer
from podium.wire.asks import ServiceAsk
from podium.wire.operator import Page, ServiceMade, ServiceView
from tests.e2e.cli_made import podium
from tests.support.api_cases import linked
from tests.support.attacks import code_of, in_journal
from tests.support.plane_cases import Operator

Plane = tuple[PlaneServer, Operator, OperatorLink]
ISSUER = ("services.issue", "status.read")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """One plane for every test of the file; each has names of its own."""
    with linked(tmp_path_factory.mktemp("lineage") / "data") as made:
        yield made


def issued(by: Operator, name: str, *verbs: str, expires_ms: int = 0) -> ServiceMade:
    ask = ServiceAsk(name=name, verbs=verbs or ISSUER, expires_ms=expires_ms)
    return by.post("/api/v1/services", ask, ServiceMade)


def refused(by: Operator, name: str, *verbs: str) -> str:
    """The code of why it cannot be issued."""
    return code_of(by.ask("POST", "/api/v1/services", ServiceAsk(name=name, verbs=verbs or ISSUER)))


def status(url: str, made: ServiceMade) -> int:
    """What the plane answers who shows that credential."""
    return Operator(url, made.token).ask("GET", "/api/v1/status").status


def services(operator: Operator) -> dict[str, ServiceView]:
    views = [msgspec.json.decode(item, type=ServiceView) for item in operator.get("/api/v1/services", Page).items]
    return {view.id: view for view in views}


def test_a_child_is_over_when_its_parent_is(served: Plane) -> None:
    _, operator, _ = served
    parent = issued(operator, "short-parent", expires_ms=1_500)
    child = issued(Operator(operator.url, parent.token), "long-child", expires_ms=86_400_000)
    assert child.left_ms <= parent.left_ms == 1_500, "what it is told is what it has"
    assert status(operator.url, child) == 200 and services(operator)[child.id].issuer == parent.id
    end = time.monotonic() + 10
    while status(operator.url, child) == 200:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert status(operator.url, child) == 401 and services(operator)[child.id].left_ms == 0


def test_revoking_one_ends_all_that_came_from_it_and_says_so_before(served: Plane) -> None:
    server, operator, _ = served
    root = issued(operator, "root")
    child = issued(Operator(operator.url, root.token), "child")
    grandchild = issued(Operator(operator.url, child.token), "grandchild", "status.read")
    beside = issued(operator, "beside", "status.read")
    said = podium("auth", "revoke", "root", "--data", server.data)
    assert said.code == 2 and "revoke 3 credentials" in said.err, said.err
    assert podium("auth", "revoke", "root", "--yes", "--data", server.data).code == 0
    assert [status(operator.url, each) for each in (root, child, grandchild, beside)] == [401, 401, 401, 200]
    in_journal(operator, b'"kind":"service-revoked"', b'"subject":"grandchild"', b'"issuer":"child"')


def test_a_service_ends_itself_and_what_it_issued_and_nobody_else(served: Plane) -> None:
    _, operator, _ = served
    low, other = issued(operator, "low"), issued(operator, "nightly", "status.read")
    as_low = Operator(operator.url, low.token)
    child = issued(as_low, "low-child", "status.read")
    answer = as_low.ask("DELETE", f"/api/v1/services/{other.id}")
    assert (answer.status, code_of(answer)) == (403, "verb-denied") and b"did not issue nightly" in answer.data
    in_journal(operator, b'"kind":"refused"', b'"subject":"service:low"', b"verb-denied")
    assert refused(as_low, "nightly") == "name-taken", "so its name is not to be had"
    assert as_low.ask("DELETE", f"/api/v1/services/{child.id}").status == 200
    assert as_low.ask("DELETE", f"/api/v1/services/{low.id}").status == 200
    assert [status(operator.url, each) for each in (low, child, other)] == [401, 401, 200]


def test_two_living_credentials_never_share_a_name(served: Plane) -> None:
    server, operator, link = served
    first = issued(operator, "ci", "status.read")
    answer = operator.ask("POST", "/api/v1/services", ServiceAsk(name="ci", verbs=("status.read",)))
    assert (answer.status, code_of(answer)) == (409, "name-taken") and b"is called ci" in answer.data
    assert refused(operator, " ci") == "usage", "nor one that only looks like it"
    said = podium("auth", "issue", "ci", "--verb", "status.read", "--data", server.data)
    assert said.code != 0 and "name-taken" in said.err and "podium auth revoke" in said.err
    link.revoke_service("ci")
    second = issued(operator, "ci", "status.read")
    assert [status(operator.url, each) for each in (first, second)] == [401, 200]
    assert link.revoke_service("ci").id == second.id, "the living one of that name"


def test_a_lineage_outlives_a_restart(tmp_path: Path) -> None:
    with linked(tmp_path / "data") as (_, operator, _):
        parent = issued(operator, "parent")
        child = issued(Operator(operator.url, parent.token), "child")
    with linked(tmp_path / "data") as (_, operator, link):
        assert status(operator.url, child) == 200
        link.revoke_service(parent.id)
        assert status(operator.url, child) == 401
