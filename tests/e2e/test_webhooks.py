"""Webhooks to a real receiver: signed CloudEvents in order, tried again, given up, told twice but never lost."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from podium.server.main import PlaneServer
from podium.wire.asks import WebhookAsk
from podium.wire.limits import Limits
from podium.wire.operator import DeadLetterView, Page, WebhookMade, WebhookView
from tests.e2e.cli_made import podium
from tests.support.certificates import make_certificate
from tests.support.plane_cases import FAST, Operator, administrator, enrolled, viewer

Event = dict[str, Any]
"""A delivery's JSON."""
QUICK = msgspec.structs.replace(
    FAST, webhook_first_ms=10, webhook_backoff_ms=40, webhook_tries_max=3, webhook_ms=1_000, journal_merge_ms=50
)
TYPES = "io.podium."

PROGRAM = """
import sys
from pathlib import Path
from podium.server.main import PlaneServer, serve
from tests.e2e.test_webhooks import QUICK
server = PlaneServer(Path(sys.argv[1]), limits=QUICK)
server.local_webhooks = True
serve(server, lambda server: print(server.url, flush=True), Path(sys.argv[1] + ".log"))
"""


class Receiver:
    """An HTTP server that keeps what it is sent; `answer` says with which status each delivery is taken.

    It serves while its `with` lasts.
    """

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answer: Callable[[Event], int] = lambda event: 204
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append((dict(self.headers.items()), body))
                status = receiver.answer(json.loads(body))
                self.send_response(status)
                self.send_header("location", "http://127.0.0.1:1/")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing is printed."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook?a=b"

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def events(self) -> list[Event]:
        """What was sent, in order."""
        return [json.loads(body) for _, body in self.got]

    def ids(self) -> list[str]:
        """The ids of what was sent, in order."""
        return [event["id"] for event in self.events()]

    def wait(self, holds: Callable[[], bool], within_s: float = 15.0) -> None:
        """Until `holds`."""
        end = time.monotonic() + within_s
        while not holds():
            assert time.monotonic() < end, f"only {len(self.got)} deliveries: {self.ids()}"
            time.sleep(0.01)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on loopback."""
    with Receiver() as made:
        yield made


@contextmanager
def local(data: Path, limits: Limits = QUICK) -> Iterator[tuple[PlaneServer, Operator]]:
    """A plane that may tell this machine."""
    server = PlaneServer(data, limits=limits)
    server.local_webhooks = True
    with server:
        yield server, administrator(server)


def set_hook(operator: Operator, url: str, *kinds: str) -> WebhookMade:
    return operator.post("/api/v1/webhooks", WebhookAsk(url=url, kinds=kinds), WebhookMade)


def hook(operator: Operator) -> WebhookView:
    """The only webhook."""
    (item,) = operator.get("/api/v1/webhooks", Page).items
    return msgspec.json.decode(item, type=WebhookView)


def dead(operator: Operator) -> list[DeadLetterView]:
    return [msgspec.json.decode(item, type=DeadLetterView) for item in operator.get("/api/v1/dead-letters", Page).items]


def test_records_arrive_in_order_signed_and_without_secrets(receiver: Receiver, tmp_path: Path) -> None:
    with local(tmp_path / "data") as (server, operator):
        enrolled(operator, 1)
        made = set_hook(operator, receiver.url)
        token = operator.token(uses=5)
        enrolled(operator, 3)
        receiver.wait(lambda: sum(event["type"].endswith("device-enrolled") for event in receiver.events()) == 3)
        events = receiver.events()
        numbers = [event["data"]["number"] for event in events]
        assert numbers == sorted(set(numbers)), "each once, in the journal's order"
        assert events[0]["type"] == TYPES + "webhook-set" and not any("url" in event["data"]["why"] for event in events)
        assert len([event for event in events if event["type"].endswith("device-enrolled")]) == 3, "none of before"
        for headers, body in receiver.got:
            assert Webhook(made.secret).verify(body, headers)["specversion"] == "1.0"
            given = {name.lower(): value for name, value in headers.items()}
            assert given["content-type"] == "application/cloudevents+json"
            assert given["webhook-id"] == json.loads(body)["id"]
            with pytest.raises(WebhookVerificationError):
                Webhook(made.secret).verify(body + b" ", headers)
        for event in events:
            assert event["source"] == f"urn:podium:{server.plane_id}" and event["time"].endswith("Z")
            tree, number, leaf = event["id"].split("/")
            assert (tree, number) == (event["data"]["tree"], str(event["data"]["number"])) and event["subject"]
            assert len(bytes.fromhex(leaf)) == 8
        told = b"".join(body for _, body in receiver.got)
        for secret in (token, (server.data / "administrator.token").read_text().strip(), made.secret):
            assert secret.encode() not in told
        assert hook(operator).delivered == len(events) and hook(operator).failing == ""


def test_only_the_kinds_that_were_asked_for(receiver: Receiver, tmp_path: Path) -> None:
    with local(tmp_path / "data") as (_, operator):
        set_hook(operator, receiver.url, "device-enrolled")
        enrolled(operator, 2)
        receiver.wait(lambda: len(receiver.got) >= 2)
        assert {event["type"] for event in receiver.events()} == {TYPES + "device-enrolled"}


def test_a_failed_delivery_is_tried_again_and_nothing_overtakes_it(receiver: Receiver, tmp_path: Path) -> None:
    failed: list[str] = []

    def answer(event: Event) -> int:
        if event["type"].endswith("token-issued") and len(failed) < 2:
            failed.append(event["id"])
            return 503
        return 200

    receiver.answer = answer
    with local(tmp_path / "data") as (_, operator):
        set_hook(operator, receiver.url, "token-issued", "device-enrolled")
        enrolled(operator, 1)
        receiver.wait(lambda: len(receiver.got) == 4)
        ids = receiver.ids()
        assert ids[0] == ids[1] == ids[2] == failed[0] and ids[3] != ids[0]
        receiver.wait(lambda: hook(operator).delivered == 2)
        assert dead(operator) == []


@pytest.mark.parametrize("status", [301, 307, 400, 500])
def test_what_is_never_taken_is_given_up_listed_and_tried_again_on_demand(
    receiver: Receiver, tmp_path: Path, status: int
) -> None:
    receiver.answer = lambda event: status if event["type"].endswith("token-issued") else 200
    with local(tmp_path / "data") as (server, operator):
        made = set_hook(operator, receiver.url, "token-issued", "device-enrolled")
        enrolled(operator, 1)
        receiver.wait(lambda: len(receiver.got) == 4)
        assert len(set(receiver.ids())) == 2, "three tries of one, then the next: a redirect is not followed"
        (letter,) = dead(operator)
        assert (letter.webhook, letter.kind, letter.event) == (made.id, "token-issued", receiver.ids()[0])
        assert f"it answered {status}" in letter.why and hook(operator).dead == 1
        listed = podium("webhook", "dead", "--data", server.data)
        assert listed.code == 0 and letter.event in listed.out
        assert podium("webhook", "retry", made.id, "--data", server.data).code == 0
        receiver.wait(lambda: len(receiver.got) == 5)
        assert len(dead(operator)) == 1, "in vain"
        receiver.answer = lambda event: 200
        operator.ask("POST", f"/api/v1/webhooks/{made.id}/retry", b"{}")
        receiver.wait(lambda: dead(operator) == [])
        assert receiver.ids()[-1] == letter.event and hook(operator).delivered == 2


def test_a_full_list_of_dead_letters_stands_still_and_loses_nothing(receiver: Receiver, tmp_path: Path) -> None:
    receiver.answer = lambda event: 500
    limits = msgspec.structs.replace(QUICK, webhook_dead_max=2, webhook_tries_max=1)
    with local(tmp_path / "data", limits) as (_, operator):
        made = set_hook(operator, receiver.url, "token-issued")
        for _ in range(4):
            operator.token()
        receiver.wait(lambda: "dead letters wait" in hook(operator).failing)
        assert len(receiver.got) == 2 and len(dead(operator)) == 2
        receiver.answer = lambda event: 200
        operator.ask("POST", f"/api/v1/webhooks/{made.id}/retry", b"{}")
        receiver.wait(lambda: hook(operator).delivered == 4)
        assert len(set(receiver.ids())) == 4


def test_a_slow_receiver_slows_nobody_else(receiver: Receiver, tmp_path: Path) -> None:
    released = threading.Event()
    receiver.answer = lambda event: 200 if released.wait(10) else 500
    slow = msgspec.structs.replace(QUICK, webhook_ms=8_000)
    with Receiver() as other, local(tmp_path / "data", slow) as (_, operator):
        set_hook(operator, receiver.url)
        receiver.wait(lambda: len(receiver.got) == 1)
        set_hook(operator, other.url, "device-enrolled")
        devices = enrolled(operator, 2)
        assert all(device.check_in().reason == "no-task" for device in devices)
        other.wait(lambda: len(other.got) == 2)
        assert len(receiver.got) == 1, "it holds its own first delivery still"
        released.set()


@pytest.mark.long
def test_a_kill_between_delivery_and_cursor_repeats_and_loses_nothing(receiver: Receiver, tmp_path: Path) -> None:
    data = tmp_path / "data"
    planes: list[subprocess.Popen[str]] = []
    seen: list[str] = []

    def answer(event: Event) -> int:
        if event["id"] not in seen:
            seen.append(event["id"])
            planes[-1].kill()  # delivered, and the plane dies before it hears so
            planes[-1].wait()
        return 200

    receiver.answer = answer
    try:
        operator = started(data, planes)
        set_hook(operator, receiver.url, "token-issued")
        for number in range(1, 4):
            operator.token()
            receiver.wait(partial(dead_after, planes, seen, number))
            operator = started(data, planes)
        receiver.wait(lambda: hook(operator).delivered == 3)
        assert receiver.ids() == [each for each in seen for _ in range(2)], "each twice, in order, none lost"
    finally:
        for process in planes:
            process.kill()
            process.wait()


def dead_after(planes: list[subprocess.Popen[str]], seen: list[str], number: int) -> bool:
    """Whether the newest plane died of the delivery `number`."""
    return len(seen) == number and planes[-1].poll() is not None


def started(data: Path, planes: list[subprocess.Popen[str]]) -> Operator:
    """Another plane over `data`, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(data)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    planes.append(process)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    return Operator(url, (data / "administrator.token").read_text().strip())


def test_a_webhook_goes_on_after_a_restart_where_it_was(receiver: Receiver, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with local(data) as (_, operator):
        set_hook(operator, receiver.url, "token-issued")
        operator.token()
        receiver.wait(lambda: hook(operator).delivered == 1)
        receiver.answer = lambda event: 500
        operator.token()
        receiver.wait(lambda: len(receiver.got) >= 2)
    receiver.answer = lambda event: 200
    with local(data) as (_, operator):
        operator.token()
        receiver.wait(lambda: len(set(receiver.ids())) == 3)
        first = receiver.ids().index(receiver.ids()[0])
        assert receiver.ids().count(receiver.ids()[first]) == 1, "what was taken is not told again"
    (data / "webhooks.db").unlink()
    with local(data) as (_, operator):
        receiver.wait(lambda: len(receiver.got) >= 6)
        assert len(set(receiver.ids())) == 3, "without its ledger it begins where it was set"


def test_setting_listing_and_removing_by_the_verbs(receiver: Receiver, tmp_path: Path) -> None:
    with local(tmp_path / "data") as (server, operator):
        said = podium("webhook", "set", receiver.url, "--kind", "token-issued", "--json", "--data", server.data)
        assert said.code == 0, said.err
        made = msgspec.json.decode(said.out, type=WebhookMade)
        assert made.secret.startswith("whsec_")
        inside = b"".join(
            path.read_bytes() for path in server.data.rglob("*") if path.is_file() and path.suffix != ".key"
        )
        assert made.secret.removeprefix("whsec_").encode() not in inside
        listed = podium("webhook", "list", "--data", server.data)
        assert listed.code == 0 and made.id in listed.out and "token-issued" in listed.out
        assert made.secret not in listed.out
        said = podium("webhook", "remove", made.id, "--data", server.data)
        assert said.code == 2 and "--yes" in said.err
        said = podium("webhook", "remove", made.id, "--yes", "--data", server.data)
        assert said.code == 0 and said.out.strip() == made.id
        assert operator.get("/api/v1/webhooks", Page).items == []
        assert server.plane is not None and server.plane.parts.keys.names("webhook/") == []
        operator.token()
        assert podium("webhook", "remove", made.id, "--yes", "--data", server.data).code == 3
        assert viewer(server).ask("POST", "/api/v1/webhooks", WebhookAsk(url=receiver.url)).status == 403
        for _ in range(QUICK.webhooks_max):
            set_hook(operator, receiver.url, "run-submitted")
        answer = operator.ask("POST", "/api/v1/webhooks", WebhookAsk(url=receiver.url))
        assert answer.status == 422 and b"too many webhooks" in answer.data


def test_no_address_of_this_machine_unless_the_plane_was_told(receiver: Receiver, tmp_path: Path) -> None:
    with PlaneServer(tmp_path / "data", limits=QUICK) as server:
        operator = administrator(server)
        for url in (receiver.url, receiver.url.replace("http:", "https:"), "https://localhost/", "https://[::1]/"):
            answer = operator.ask("POST", "/api/v1/webhooks", WebhookAsk(url=url))
            assert answer.status == 422 and b'"webhook-refused"' in answer.data, answer.data
        assert operator.get("/api/v1/webhooks", Page).items == []
        assert server.plane is not None and server.plane.parts.keys.names("webhook/") == [], "no secret is left behind"
    assert receiver.got == []


def test_https_is_verified_by_the_hosts_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl

    certificate = make_certificate(tmp_path)
    secure = Receiver()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key_file)
    secure.server.socket = context.wrap_socket(secure.server.socket, server_side=True)
    with secure:
        url = secure.url.replace("http:", "https:")
        with local(tmp_path / "stranger") as (_, operator):
            set_hook(operator, url, "token-issued")
            operator.token()
            secure.wait(lambda: len(dead(operator)) == 1)
            assert "CERTIFICATE_VERIFY_FAILED" in dead(operator)[0].why and secure.got == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
        with local(tmp_path / "trusting") as (_, operator):
            made = set_hook(operator, url, "token-issued")
            operator.token()
            secure.wait(lambda: len(secure.got) == 1)
            headers, body = secure.got[0]
            Webhook(made.secret).verify(body, headers)
