"""Services' credentials, repeated submissions and the door of the operator API, on a real plane over real HTTP."""

import contextlib
import http.client
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from podium.core.access.roles import EVERY, READING
from podium.plane.link import OperatorLink
from podium.server.main import PlaneServer
from podium.tasks.digest import task_bytes
from podium.wire.asks import RunAsk, ServiceAsk
from podium.wire.operator import RunMade, WhoAmI
from podium.wire.problems import KINDS, OperatorFault, Problem
from tests.e2e.test_api_acts import code_of_fault
from tests.support.api_cases import linked, one_model
from tests.support.attacks import code_of, in_journal
from tests.support.loopback import Answer, Loopback
from tests.support.plane_cases import Operator, task, viewer

Plane = tuple[PlaneServer, Operator, OperatorLink]


@pytest.fixture(scope="module")
def plane_of_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """One plane for every test of the file."""
    with linked(tmp_path_factory.mktemp("services") / "data") as made:
        yield made


@pytest.fixture
def operator(plane_of_services: Plane) -> Operator:
    return plane_of_services[1]


@pytest.fixture
def link(plane_of_services: Plane) -> Iterator[OperatorLink]:
    """The administrator's calls; no run is open afterwards."""
    yield plane_of_services[2]
    for run in plane_of_services[2].runs():
        with contextlib.suppress(OperatorFault):  # it is over
            plane_of_services[2].stop(run.id)


# -- services ------------------------------------------------------------------------------------------------------


def test_a_service_does_what_its_credential_covers_and_nothing_else(operator: Operator, link: OperatorLink) -> None:
    made = link.issue_service(ServiceAsk(name="nightly", verbs=("runs.submit", "runs.read", "whoami.read")))
    assert made.token.startswith("pdms1.") and len(made.token) > 40
    service = Operator(operator.url, made.token)
    told = service.get("/api/v1/whoami", WhoAmI)
    assert (told.role, told.actor) == ("service", "service:nightly")
    assert told.verbs == ["runs.read", "runs.submit", "whoami.read"]
    run = service.submit(task())
    assert link.run(run).actor == "service:nightly"
    for method, path in (("GET", "/api/v1/status"), ("POST", f"/api/v1/runs/{run}/stop"), ("POST", "/api/v1/freeze")):
        answer = service.ask(method, path)
        assert (answer.status, code_of(answer)) == (403, "verb-denied"), path
    in_journal(operator, b'"kind":"run-submitted"', b'"actor":"service:nightly"', b'"tree":"plane"')
    in_journal(operator, b'"kind":"refused"', b'"subject":"service:nightly"', b"verb-denied")
    in_journal(operator, b'"kind":"service-issued"', b'"subject":"nightly"', b'"actor":"person:administrator"')
    assert made.token.encode() not in operator.ask("GET", "/api/v1/audit/export").data


def test_a_revoked_or_expired_credential_is_refused_at_its_next_request(operator: Operator, link: OperatorLink) -> None:
    made = link.issue_service(ServiceAsk(name="robot", verbs=("status.read",)))
    service = Operator(operator.url, made.token)
    assert service.ask("GET", "/api/v1/status").status == 200
    revoked = link.revoke_service("robot")
    assert (revoked.id, revoked.revoked, revoked.left_ms) == (made.id, True, 0)
    answer = service.ask("GET", "/api/v1/status")
    assert (answer.status, code_of(answer)) == (401, "credential-invalid")
    assert link.revoke_service(made.id[:12]).revoked, "again it changes nothing"
    short = link.issue_service(ServiceAsk(name="short", verbs=("status.read",), expires_ms=1))
    time.sleep(0.005)
    assert code_of(Operator(operator.url, short.token).ask("GET", "/api/v1/status")) == "credential-invalid"
    assert code_of_fault(link.revoke_service, "nobody") == "service-unknown"
    forged = made.token[:-2] + ("AA" if made.token[-2:] != "AA" else "BB")
    assert code_of(Operator(operator.url, forged).ask("GET", "/api/v1/status")) == "credential-invalid"


def test_nobody_issues_a_credential_for_more_than_they_may(operator: Operator, link: OperatorLink) -> None:
    made = link.issue_service(ServiceAsk(name="issuer", verbs=("services.issue", "status.read")))
    issuer = Operator(operator.url, made.token)
    less = msgspec.json.encode({"name": "less", "verbs": ["status.read"]})
    assert issuer.ask("POST", "/api/v1/services", less).status == 201
    more = msgspec.json.encode({"name": "more", "verbs": ["status.read", "keys.rotate"]})
    answer = issuer.ask("POST", "/api/v1/services", more)
    assert (answer.status, code_of(answer)) == (403, "verb-denied")
    in_journal(operator, b'"kind":"refused"', b'"subject":"service:issuer"', b"verb-denied")
    for bad in (
        ServiceAsk(name="", verbs=("status.read",)),
        ServiceAsk(name="a/b", verbs=("status.read",)),
        ServiceAsk(name="n" * 129, verbs=("status.read",)),
        ServiceAsk(name="x", verbs=()),
        ServiceAsk(name="x", verbs=("status.read",), expires_ms=-1),
        ServiceAsk(name="x", verbs=("status.read",), expires_ms=2**53),
    ):
        assert code_of_fault(link.issue_service, bad) == "usage", bad
    assert code_of_fault(link.issue_service, ServiceAsk(name="x", verbs=("fly",))) == "usage"


def test_a_credential_outlives_a_restart_and_so_does_its_end(tmp_path: Path) -> None:
    with linked(tmp_path / "data") as (_, _, link):
        kept, over = (link.issue_service(ServiceAsk(name=name, verbs=("status.read",))) for name in ("kept", "over"))
        link.revoke_service(over.id)
    with linked(tmp_path / "data") as (_, operator, _):
        assert Operator(operator.url, kept.token).ask("GET", "/api/v1/status").status == 200
        assert Operator(operator.url, over.token).ask("GET", "/api/v1/status").status == 401


# -- the same key is the same run ----------------------------------------------------------------------------------


def ask_for(goal: int = 1) -> RunAsk:
    return RunAsk(task=msgspec.Raw(task_bytes(task(goal=goal))), model=one_model())


def test_the_same_key_of_the_same_caller_is_the_same_run(operator: Operator, link: OperatorLink) -> None:
    made = link.submit(ask_for(), key="monday")
    assert link.submit(ask_for(), key="monday") == made
    assert code_of_fault(link.submit, ask_for(goal=2), "monday") == "conflicting-repeat"
    assert link.submit(ask_for(), key="tuesday").run != made.run
    assert link.submit(ask_for()).run != link.submit(ask_for()).run, "a call without a key makes its own"
    token = link.issue_service(ServiceAsk(name="other", verbs=("runs.submit",))).token
    with OperatorLink(operator.url, token) as other:
        assert other.submit(ask_for(), key="monday").run != made.run, "a key is its caller's own"
    named = RunAsk(task=ask_for().task, base="@last")
    first = link.submit(named, key="named")
    link.submit(RunAsk(task=ask_for().task, model=one_model()))
    assert link.submit(named, key="named") == first, "also when the name has moved meanwhile"
    for key in ("k" * 129, "a\tb", "é"):
        with pytest.raises(AssertionError, match="usage"):
            keyed(operator, key)
    assert keyed(operator, "monday") == made.run


def keyed(operator: Operator, key: str) -> str:
    """Submit under any key, also one that no link would send."""
    address = operator.url.removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=20)
    headers = {**operator.headers, "Idempotency-Key": key.encode("latin-1").decode("latin-1")}
    connection.request("POST", "/api/v1/runs", msgspec.json.encode(ask_for()), headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    assert answer.status == 201, data
    return msgspec.json.decode(data, type=RunMade).run


def test_a_key_outlives_a_restart(tmp_path: Path) -> None:
    with linked(tmp_path / "data") as (_, _, link):
        made = link.submit(ask_for(), key="monday")
        stopped = link.stop(made.run)
        again = link.retry(stopped.id, key="tuesday")
    with linked(tmp_path / "data") as (_, _, link):
        assert link.submit(ask_for(), key="monday") == made, "also when that run is over"
        assert link.retry(stopped.id, key="tuesday") == again
        assert len(link.runs()) == 2


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "tokens"), ("POST", "services"), ("POST", "freeze"), ("DELETE", "services/nobody")],
)
def test_a_key_that_would_be_ignored_is_refused(operator: Operator, link: OperatorLink, method: str, path: str) -> None:
    services, body = len(link.services()), b'{"name":"keyed","verbs":["runs.read"]}' if path == "services" else b"{}"
    answer = operator.pass_on(method, f"/api/v1/{path}", {"idempotency-key": "monday"}, body)
    assert (answer.status, b"takes no Idempotency-Key" in answer.data) == (422, True), answer.data
    assert len(link.services()) == services and not link.status().freeze.frozen
    assert operator.pass_on("GET", "/api/v1/status", {"idempotency-key": "monday"}, b"").status == 200


def test_a_lost_answer_starts_no_second_run(plane_of_services: Plane, operator: Operator, link: OperatorLink) -> None:
    token = (plane_of_services[0].data / "administrator.token").read_text().strip()
    sent: list[str] = []

    def lossy(method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """Pass the request on, and lose the first answer."""
        sent.append(headers["idempotency-key"])
        answer = operator.pass_on(method, target, {"idempotency-key": sent[-1]}, body)
        return Answer(status=answer.status, body=answer.data, drop=len(sent) == 1)

    before = len(link.runs())
    proxy = Loopback(lossy)
    try:
        with OperatorLink(f"http://127.0.0.1:{proxy.port}", token) as far:
            made = far.submit(ask_for())
    finally:
        proxy.close()
    assert len(set(sent)) == 1 and len(sent) == 2
    assert len(link.runs()) == before + 1
    assert link.run(made.run).state == "RUNNING"


# -- the door ------------------------------------------------------------------------------------------------------


def test_whatever_is_not_served_is_a_problem(operator: Operator) -> None:
    for method, path, code in (
        ("GET", "/api/v1/nothing", "not-found"),
        ("GET", "/nothing", "not-found"),
        ("GET", "/api/v1/runs/", "not-found"),
        ("GET", "/api/v1/runs/%00", "run-unknown"),
        ("GET", "/api/v1/runs/%ff%fe", "run-unknown"),
        ("GET", "/api/v1/runs/..%2F..%2Fidentity.json", "not-found"),
        ("DELETE", "/api/v1/runs", "method-not-allowed"),
        ("PUT", "/api/v1/runs/x/stop", "method-not-allowed"),
        ("GET", "/api/v1/status?x=1", "usage"),
        ("GET", "/api/v1/devices?limit=1&limit=2", "usage"),
        ("GET", "/api/v1/devices?limit=-1", "usage"),
        ("GET", "/api/v1/devices?limit=99999999999999999999", "usage"),
        ("GET", "/api/v1/devices?limit=%D9%A1", "usage"),
        ("GET", "/api/v1/devices?" + "&".join(f"a{n}=" for n in range(99)), "usage"),
        ("GET", "/api/v1/versions?run=" + "x" * 600, "usage"),
        ("POST", "/api/v1/freeze", "body-malformed"),
    ):
        answer = operator.ask(method, path, b"[]" if method == "POST" else None)
        assert answer.headers["content-type"] == "application/problem+json", path
        told = msgspec.json.decode(answer.data, type=Problem)
        assert (told.code, told.status) == (code, answer.status), path
        assert answer.status == KINDS[code].status
        assert told.next, "every problem says what to do next"
    allowed = operator.ask("DELETE", "/api/v1/runs").headers["allow"]
    assert {method.strip() for method in allowed.split(",")} == {"GET", "HEAD", "POST"}


def test_answers_are_kept_by_nobody_and_a_401_names_the_scheme(operator: Operator) -> None:
    for path in ("/api/v1/status", "/api/v1/runs/nothing", "/api/v1/openapi.json"):
        assert operator.ask("GET", path).headers["cache-control"] == "no-store", path
    refused = Operator(operator.url, "").ask("GET", "/api/v1/status")
    assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
    head = operator.ask("HEAD", "/api/v1/status")
    assert (head.status, head.data) == (200, b"")


def test_bodies_that_cannot_be_are_refused_before_anything_happens(operator: Operator) -> None:
    for body in (
        b'{"revoke":1}',
        b'{"revoke":true,"revoke":false}',
        b'{"unknown":1}',
        b'{"why":"\\ud800"}',
        b"\xff",
        b'{"why":1e999}',
        b"[" * 10_000,
        b"null",
    ):
        answer = operator.ask("POST", "/api/v1/freeze", body)
        assert code_of(answer) in ("body-malformed", "usage"), body
    assert code_of(operator.ask("POST", "/api/v1/freeze", b" " * (256 * 1024 + 1))) == "body-too-large"
    odd = operator.ask("POST", "/api/v1/devices/mark", b'{"mark":"banned","devices":["\\u0000"]}')
    assert code_of(odd) == "not-found"


def test_a_viewer_may_read_every_reading_verb_and_no_changing_one(plane_of_services: Plane) -> None:
    server = plane_of_services[0]
    assert server.plane is not None
    reader = viewer(server)
    denied = {row.verb for row in server.plane.surface.table if row.verb not in READING}
    assert denied <= EVERY - READING and len(denied) >= 8
    for row in server.plane.surface.table:
        if row.verb in denied:
            answer = reader.ask(row.method, row.path.replace("{id}", "x"), b"{}")
            assert (answer.status, code_of(answer)) == (403, "verb-denied"), row.path
