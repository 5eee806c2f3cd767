"""A real plane's log: every line is JSON of the table, bears its ids and its cause, and no line holds a secret."""

import logging
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import pytest

from podium.server.logs import FIELDS, LINES, log_to, stop_logging
from podium.server.main import PlaneServer
from podium.server.plane_data import SERVICE_PREFIX
from podium.wire.asks import ServiceAsk, TokenAsk
from podium.wire.canonical import unb64
from podium.wire.operator import ServiceMade, TokenMade
from tests.support.plane_cases import Operator, enrolled
from tests.support.scrape import lived

Line = dict[str, str | int | float]


class Told(NamedTuple):
    """What a plane wrote while it lived, its secrets, what it answered a request with, and its journal's steps."""

    text: str
    run: str
    secrets: dict[str, bytes]
    request: str
    steps: dict[str, int]

    def lines(self, logger: str = "podium") -> list[Line]:
        """The lines of that logger and those below it."""
        every = [msgspec.json.decode(line, type=Line) for line in self.text.splitlines()]
        return [line for line in every if str(line["logger"]).startswith(logger)]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """One lively plane, logged at DEBUG: what is quiet by day is looked at too."""
    home = tmp_path_factory.mktemp("logged")
    handler = log_to(home / "log", logging.DEBUG)
    with pytest.MonkeyPatch.context() as patch, lived(home / "data", patch) as (server, operator, run):
        secrets = secrets_of(server, operator)
        request = operator.ask("GET", f"/api/v1/runs/{run}").headers["podium-request"]
        assert operator.ask("GET", "/api/v1/runs/none").headers["podium-request"] != request
        assert server.plane is not None
        steps = journal_steps(server)
    stop_logging(handler)
    yield Told((home / "log").read_text(), run, secrets, request, steps)


def secrets_of(server: PlaneServer, operator: Operator) -> dict[str, bytes]:
    """Every secret that the plane made or was shown, by what it is."""
    found = {path.name: path.read_text().strip().encode() for path in server.data.glob("*.token")}
    found |= {path.name: path.read_bytes() for path in (server.data / "keys").glob("*.key")}
    (device,) = enrolled(operator, 1)
    assert device.session is not None
    found |= {"device key": device.seed, "session key": device.session.key}
    token = operator.post("/api/v1/tokens", TokenAsk(), TokenMade).token
    held = msgspec.json.decode(unb64(token.removeprefix("pdm1.")), type=dict[str, str])
    found["enrolment"] = held["secret"].encode()
    service = operator.post("/api/v1/services", ServiceAsk(name="ci", verbs=("runs.read",)), ServiceMade).token
    found["service"] = service.removeprefix(SERVICE_PREFIX).encode()
    assert Operator(server.url, service).ask("GET", "/api/v1/runs").status == 200
    return found


def journal_steps(server: PlaneServer) -> dict[str, int]:
    """Kind and subject of each journal entry -> the step that wrote it."""
    assert server.plane is not None
    found = {}
    for entry in server.plane.parts.store.entries(0, 10_000):
        record = msgspec.json.decode(entry.record, type=dict[str, msgspec.Raw])
        kind, subject = (msgspec.json.decode(record[name], type=str) for name in ("kind", "subject"))
        found[f"{kind} {subject}"] = entry.step
    return found


def test_every_line_is_json_of_the_table(told: Told) -> None:
    known = {(logger, message) for logger, message, _, _ in LINES}
    lines = told.lines()
    assert len(lines) > 60
    for line in lines:
        name = (line["logger"], line["message"])
        assert name in known or line["logger"] == "podium.history", line
        fields = line.keys() - {"at", "level", "logger", "message", "request", "traceback"}
        assert fields <= FIELDS.keys(), line


def test_no_line_holds_a_secret(told: Told) -> None:
    assert len(told.secrets) >= 8
    for name, secret in told.secrets.items():
        shapes = {secret.hex().encode(), b64encode(secret).rstrip(b"="), urlsafe_b64encode(secret).rstrip(b"=")}
        if secret.isascii():
            shapes.add(secret)
        for shape in shapes:
            assert len(shape) >= 32 and shape not in told.text.encode(), name


def test_lines_of_leases_and_rounds_bear_their_ids_and_the_journals_step(told: Told) -> None:
    seen: set[str] = set()
    for line in told.lines("podium.history"):
        kind = str(line["message"])
        seen.add(kind)
        assert int(line["cause"]) > 0 and line["actor"]
        if kind.startswith("lease-"):
            assert str(line["lease"]).startswith(f"{line['run']}.{line['round']}.") and line["device"]
            assert told.steps[f"{kind} {line['lease']}"] == line["cause"]
        elif kind.startswith("round-"):
            assert told.steps[f"{kind} {line['run']}.{line['round']}"] == line["cause"]
        elif kind.startswith("run-"):
            assert told.steps[f"{kind} {line['run']}"] == line["cause"]
    assert {"lease-granted", "lease-declined", "lease-lapsed", "lease-failed", "lease-refused", "lease-passed"} <= seen
    assert {"round-opened", "round-started", "round-sealed", "round-abandoned", "run-submitted", "run-stopped"} <= seen


def test_all_that_one_event_led_to_has_one_cause(told: Told) -> None:
    history = told.lines("podium.history")
    (stopped,) = (line for line in history if line["message"] == "run-stopped")
    together = [line["message"] for line in history if line["cause"] == stopped["cause"]]
    assert together[:2] == ["run-stopped", "round-abandoned"]
    assert (stopped["actor"], stopped["reason"]) == ("person:administrator", "enough")


def test_an_operator_request_is_logged_under_the_id_that_its_answer_carries(told: Told) -> None:
    answered = told.lines("podium.requests")
    (line,) = (line for line in answered if line.get("request") == told.request)
    assert (line["method"], line["path"], line["status"]) == ("GET", f"/api/v1/runs/{told.run}", 200)
    (refused,) = (line for line in answered if line["path"] == "/api/v1/runs/none")
    assert (refused["status"], refused["code"]) == (404, "run-unknown")
    assert len({line["request"] for line in answered}) == len(answered) > 10
    assert not [line for line in answered if line["path"] in ("/metrics", "/readyz", "/healthz")]
