"""Webhooks that services set, and addresses that hold a secret: who may set one, when it ends, who sees what of it."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from podium.adapters.keys import FileKeys
from podium.core.records import decode_row, encode_row
from podium.core.rows import WebhookRow
from podium.server.logs import log_to, stop_logging
from podium.server.loop.loop import AskEvent, Loop
from podium.server.main import PlaneServer
from podium.wire.asks import FreezeAsk, ServiceAsk, WebhookAsk
from podium.wire.operator import EntryView, Page, ServiceMade, WebhookMade, WebhookView
from podium.wire.problems import StoreFault
from tests.e2e.cli_made import podium
from tests.e2e.test_webhooks import Receiver, hook, local, set_hook
from tests.support.attacks import code_of, in_journal
from tests.support.plane_cases import Operator, viewer

BOTH = ("webhooks.set", "journal.read")
GONE = "told nothing any more: the credential that set it"


@pytest.fixture
def told() -> Iterator[Receiver]:
    """A receiver on loopback, at an address with a secret in path and query."""
    with Receiver() as made:
        made.url = made.url.replace("/hook?a=b", "/services/T0/B0/PATHSECRET?token=QUERYSECRET")
        yield made


def service(operator: Operator, name: str, *verbs: str, expires_ms: int = 0) -> tuple[Operator, str]:
    """A service's calls, and the id of its credential."""
    made = operator.post("/api/v1/services", ServiceAsk(name=name, verbs=verbs, expires_ms=expires_ms), ServiceMade)
    return Operator(operator.url, made.token), made.id


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_webhook_is_set_by_who_may_read_the_journal_only(told: Receiver, tmp_path: Path) -> None:
    with local(tmp_path / "data") as (server, operator):
        blind, _ = service(operator, "blind", "webhooks.set")
        answer = blind.ask("POST", "/api/v1/webhooks", WebhookAsk(url=told.url))
        assert (answer.status, code_of(answer)) == (
            403,
            "verb-denied",
        ) and b"journal.read by service:blind" in answer.data
        in_journal(operator, b'"kind":"refused"', b'"subject":"service:blind"', b"verb-denied")
        assert server.plane is not None and server.plane.parts.keys.names("webhook/") == []
        reading, _ = service(operator, "reading", *BOTH)
        set_hook(reading, told.url, "token-issued")
        assert hook(operator).actor == "service:reading"
        operator.token()
        told.wait(lambda: len(told.got) == 1)


def test_it_ends_with_the_credential_that_set_it(told: Receiver, tmp_path: Path) -> None:
    with Receiver() as mine, local(tmp_path / "data") as (server, operator):
        parent, known = service(operator, "parent", "services.issue", *BOTH)
        child, _ = service(parent, "child", *BOTH)
        made = set_hook(child, told.url)
        kept = set_hook(operator, mine.url)
        operator.token()
        told.wait(lambda: any(event["type"].endswith("token-issued") for event in told.events()))
        assert operator.ask("DELETE", f"/api/v1/services/{known}").status == 200
        operator.ask("POST", "/api/v1/freeze", FreezeAsk(why="a secret reason"))
        mine.wait(lambda: any(event["type"].endswith("plane-frozen") for event in mine.events()))
        kinds = {event["type"] for event in told.events()}
        assert not kinds & {"io.podium.service-revoked", "io.podium.webhook-ended", "io.podium.plane-frozen"}, kinds
        views = {view.id: view for view in listed(operator)}
        assert views[made.id].failing == f"{GONE} was revoked; remove it" and views[kept.id].failing == ""
        assert "was revoked" in podium("webhook", "list", "--data", server.data).out
        in_journal(operator, b'"kind":"webhook-ended"', made.id.encode(), b'"service":"child"', b"credential-revoked")
        assert server.plane is not None
        keys = server.plane.parts.keys
        until(lambda: keys.names(f"webhook/{made.id}") == [])
        assert len(keys.names(f"webhook/{kept.id}")) == 2
        assert operator.ask("DELETE", f"/api/v1/webhooks/{made.id}").status == 200, "a person clears it away"
        assert [view.id for view in listed(operator)] == [kept.id]
        mine.server.shutdown()
        mine.server.server_close()


def listed(operator: Operator) -> list[WebhookView]:
    return [msgspec.json.decode(item, type=WebhookView) for item in operator.get("/api/v1/webhooks", Page).items]


def test_it_ends_when_that_credential_is_over_and_stays_so(told: Receiver, tmp_path: Path) -> None:
    with local(tmp_path / "data") as (_, operator):
        short, _ = service(operator, "short", *BOTH, expires_ms=2_000)
        made = set_hook(short, told.url, "token-issued")
        until(lambda: hook(operator).failing == f"{GONE} is over; remove it")
        operator.token()
        in_journal(operator, b'"kind":"webhook-ended"', made.id.encode(), b"credential-over", b'"actor":"plane"')
    with local(tmp_path / "data") as (server, operator):
        assert hook(operator).failing == f"{GONE} is over; remove it"
        operator.token()
        assert server.plane is not None and server.plane.parts.keys.names("webhook/") == []
    assert told.got == []


def test_what_is_shown_of_an_address_is_its_origin(told: Receiver, tmp_path: Path) -> None:
    data = tmp_path / "data"
    handler = log_to(tmp_path / "plane.log")
    try:
        with local(data) as (server, operator):
            set_hook(operator, told.url, "token-issued", "webhook-set")
            told.answer = lambda event: 500
            operator.token()
            until(lambda: hook(operator).dead > 0)
            told.answer = lambda event: 200
            until(lambda: len(told.got) >= 2)
            origin = told.url.partition("/services")[0]
            reader = viewer(server)
            assert [view.origin for view in listed(reader)] == [origin]
            entries = [
                msgspec.json.decode(item, type=EntryView)
                for item in reader.get("/api/v1/audit/entries?kind=webhook-set", Page).items
            ]
            assert [entry.why for entry in entries] == [{"origin": origin}]
            said = [reader.ask("GET", f"/api/v1/{path}").data for path in ("webhooks", "dead-letters", "audit/export")]
            said += [podium("webhook", verb, "--json", "--data", data).out.encode() for verb in ("list", "dead")]
            assert all(b"SECRET" not in each for each in said)
            refused = operator.ask("POST", "/api/v1/webhooks", WebhookAsk(url=told.url.replace("http", "ftp")))
            assert refused.status == 422 and b"SECRET" not in refused.data
    finally:
        stop_logging(handler)
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and b"SECRET" in path.read_bytes()]
    assert len(kept) == 1 and kept[0].parent == data / "keys" and kept[0].stat().st_mode & 0o777 == 0o600


def test_a_webhook_of_before_goes_on_and_shows_its_origin_only(told: Receiver, tmp_path: Path) -> None:
    """Its row holds the whole address, and its credential, if a service set it, is not known."""
    data = tmp_path / "data"
    with local(data) as (_, operator):
        made = set_hook(operator, told.url, "token-issued")
    FileKeys(data / "keys", alone=True).erase(f"webhook/{made.id}/url")
    with sqlite3.connect(data / "podium.db") as db:
        (body,) = db.execute("SELECT body FROM webhooks").fetchone()
        now = decode_row(body)
        assert isinstance(now, WebhookRow)
        before = json.loads(encode_row(now))
        for name in ("origin", "credential", "ended"):
            del before[name]
        before["url"] = told.url
        old = json.dumps(before, sort_keys=True, separators=(",", ":")).encode()
        db.execute("UPDATE webhooks SET body = ?", (old,))
    db.close()
    with local(data) as (_, operator):
        operator.token()
        told.wait(lambda: len(told.got) == 1)
        (view,) = listed(operator)
        assert (view.origin, view.failing) == (told.url.partition("/services")[0], "")
        assert operator.ask("DELETE", f"/api/v1/webhooks/{made.id}").status == 200


def test_a_webhook_that_was_set_just_before_a_reload_is_told(
    told: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Loop.ask

    async def ask(self: Loop, make: AskEvent) -> object:
        """The answer, and the core is gone before whoever asked goes on."""
        answer = await asked(self, make)
        monkeypatch.undo()
        self.failed(StoreFault("store-failed", what="the disk"))
        return answer

    with local(tmp_path / "data") as (server, operator):
        monkeypatch.setattr(Loop, "ask", ask)
        made = operator.post("/api/v1/webhooks", WebhookAsk(url=told.url, kinds=("token-issued",)), WebhookMade)
        assert made.secret.startswith("whsec_"), "it is set, and its secret is shown"
        assert server.plane is not None
        loop = server.plane.loop
        until(lambda: not loop.broken)
        operator.token()
        told.wait(lambda: len(told.got) == 1)


def test_what_was_left_behind_of_a_webhook_that_is_none_is_erased_at_the_next_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with PlaneServer(data):
        pass
    keys = FileKeys(data / "keys", alone=True)
    for name in ("webhook/w1", "webhook/w1/url"):
        keys.put(name, b"left")
    with PlaneServer(data):
        assert keys.names("webhook/") == []
