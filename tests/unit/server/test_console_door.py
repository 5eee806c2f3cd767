"""The console's door on a real plane: who sees a page, who may send a form, and what every answer carries."""

import re
from collections.abc import Iterator

import pytest

from podium.server.console.door import OVER
from podium.server.console.guard import POLICY, local_path
from podium.server.main import PlaneServer
from podium.wire.asks import StopAsk
from podium.wire.limits import Limits
from podium.wire.operator import Page, RunView
from tests.support.console_browser import Browser
from tests.support.plane_cases import FAST, administrator, plane, task

LIMITS = Limits(
    form_settle_ms=20,
    window_rendezvous_ms=10,
    window_idle_ms=20,
    drain_ms=2_000,
    sign_in_tries_max=4,
)
PAGES = ("/", "/runs", "/freeze")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlaneServer]:
    with plane(tmp_path_factory.mktemp("console") / "data", LIMITS) as (serving, _):
        yield serving


def credential(server: PlaneServer, role: str) -> str:
    return (server.data / f"{role}.token").read_text().strip()


@pytest.fixture
def admin(server: PlaneServer) -> Browser:
    return Browser(server.url).sign_in(credential(server, "administrator"))


@pytest.fixture
def viewer(server: PlaneServer) -> Browser:
    return Browser(server.url).sign_in(credential(server, "viewer"))


def test_nobody_sees_a_page_and_is_brought_back_to_it_after_signing_in(server: PlaneServer) -> None:
    browser = Browser(server.url)
    answer = browser.get("/runs?after=5")
    assert (answer.status, answer.headers["location"]) == (303, "/sign-in?next=/runs%3Fafter%3D5")
    assert 'name="next" value="/runs?after=5"' in browser.page("/sign-in?next=/runs%3Fafter%3D5")
    told = browser.post("/sign-in", {"credential": credential(server, "viewer"), "next": "/runs?after=5"})
    assert (told.status, told.headers["location"]) == (303, "/runs?after=5")
    assert browser.get("/sign-in").headers["location"] == "/"
    assert Browser(server.url).get("/live/").data == OVER


@pytest.mark.parametrize(
    ("asked", "led"),
    [
        ("/fleet?site=a", "/fleet?site=a"),
        ("https://elsewhere.example/", "/"),
        ("//elsewhere.example/", "/"),
        ("/\\elsewhere.example", "/"),
        ("/a\r\nset-cookie: x", "/"),
        ("", "/"),
    ],
)
def test_nobody_is_led_elsewhere_after_signing_in(asked: str, led: str) -> None:
    assert local_path(asked) == led


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(server: PlaneServer) -> None:
    browser = Browser(server.url)
    answer = browser.post("/sign-in", {"credential": credential(server, "viewer")})
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("podium=")
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie
    assert "secure" not in cookie, "plain loopback: a Secure cookie would not come back"
    assert "max-age" not in cookie and "expires" not in cookie


@pytest.mark.parametrize("path", [*PAGES, "/sign-in", "/runs/none"])
def test_every_answer_carries_the_policy(admin: Browser, path: str) -> None:
    headers = admin.get(path).headers
    assert headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"


def test_static_files_are_kept_for_a_year_under_their_hash(admin: Browser) -> None:
    page = admin.page("/")
    for name in ("console.css", "console.js", "podium.svg"):
        path = next(part for part in page.split('"') if part.endswith(name))
        answer = admin.get(path)
        assert (answer.status, "immutable" in answer.headers["cache-control"]) == (200, True)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert admin.get(path.replace("/static/", "/static/0")).status == 404


def test_no_page_holds_a_style_or_a_script_of_its_own(admin: Browser) -> None:
    for path in PAGES:
        page = admin.page(path)
        assert " style=" not in page and "<style" not in page and " onclick=" not in page
        assert page.count("<script") == page.count('<script type="module" src="/static/') == 1
        assert "http://" not in page.replace(admin.url, "").replace("http://www.w3.org/2000/svg", "")


def test_a_form_is_refused_unless_a_page_of_this_origin_sent_it(server: PlaneServer, admin: Browser) -> None:
    fields = {"csrf": admin.csrf(), "why": "a test"}
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "https://elsewhere.example"},
        {"origin": "null"},
        {},
    ):
        answer = admin.post("/freeze", fields, headers)
        assert (answer.status, b"form-refused" in answer.data) == (403, True), headers
        told = Browser(server.url).post("/sign-in", {"credential": "x"}, headers)
        assert told.status == 403, "nobody is signed in by another site either"
    assert "Frozen" not in admin.page("/")
    assert admin.post("/freeze", fields, {"origin": server.url}).status == 303, "an old browser says its origin"
    assert admin.send("/unfreeze").status == 303


def test_a_form_is_refused_without_its_sessions_token(server: PlaneServer, admin: Browser) -> None:
    other = Browser(server.url).sign_in(credential(server, "administrator"))
    for fields in ({}, {"csrf": ""}, {"csrf": other.csrf()}, {"csrf": "é"}):
        answer = admin.post("/freeze", {"why": "a test", **fields})
        assert (answer.status, b"form-refused" in answer.data) == (403, True)
    assert "Frozen" not in admin.page("/")


def test_a_viewer_sees_no_form_and_can_send_none(server: PlaneServer, viewer: Browser) -> None:
    run = administrator(server).submit(task(goal=1, rounds=1))
    for path in ("/", "/freeze", "/runs", f"/runs/{run}", f"/runs/{run}/stop"):
        page = viewer.page(path)
        assert page.count('method="post"') == 1 and 'action="/sign-out"' in page, path
        assert "formaction" not in page, path
    for path in ("/freeze", f"/runs/{run}/stop", f"/runs/{run}/pause"):
        answer = viewer.send(path)
        assert (answer.status, b"verb-denied" in answer.data) == (403, True)
    assert administrator(server).run(run).state == "RUNNING"
    administrator(server).ask("POST", f"/api/v1/runs/{run}/stop", b"{}")


def test_a_form_that_is_sent_twice_makes_one_thing(server: PlaneServer, admin: Browser) -> None:
    operator = administrator(server)
    origin = operator.submit(task())
    operator.post(f"/api/v1/runs/{origin}/stop", StopAsk(), RunView)
    retry = hidden(admin.page(f"/runs/{origin}"), "acts")
    led = [admin.post(f"/runs/{origin}/retry", retry) for _ in range(2)]
    assert {answer.status for answer in led} == {303} and len({answer.headers["location"] for answer in led}) == 1
    again = admin.post(f"/runs/{origin}/retry", hidden(admin.page(f"/runs/{origin}"), "acts"))
    assert again.headers["location"] != led[0].headers["location"], "whoever opens the page again means it again"
    made = hidden(admin.page("/settings"), "new-service") | {"name": "nightly", "verb:runs.read": "yes"}
    secrets = [re.findall(r"pdms1\.[\w-]+", admin.post("/settings/services", made).data.decode()) for _ in range(2)]
    assert secrets[0] and secrets[0] == secrets[1]
    assert len(operator.get("/api/v1/services", Page).items) == 1
    for run in {led[0].headers["location"], again.headers["location"]}:
        operator.post(f"/api/v1{run}/stop", StopAsk(), RunView)


def hidden(page: str, name: str) -> dict[str, str]:
    """The hidden fields of a form of `page`: that of the id `name`, or the one in the element of that id."""
    form = page[page.index(f'id="{name}"') :].partition("</form>")[0]
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]+)">', form))


def test_signing_out_ends_the_session(server: PlaneServer, admin: Browser) -> None:
    stolen = Browser(server.url)
    stolen.cookies = dict(admin.cookies)
    assert admin.post("/sign-out", {}).status == 403, "another page cannot sign anybody out"
    assert admin.send("/sign-out").headers["location"] == "/sign-in"
    assert stolen.get("/").status == 303
    assert admin.get("/").status == 303


def test_a_wrong_credential_is_told_and_too_many_wait(tmp_path_factory: pytest.TempPathFactory) -> None:
    limits = Limits(drain_ms=2_000, sign_in_tries_max=2)
    with plane(tmp_path_factory.mktemp("tries") / "data", limits) as (server, _):
        browser = Browser(server.url)
        for _ in range(2):
            answer = browser.post("/sign-in", {"credential": "pdma_wrong", "next": "/runs"})
            assert (answer.status, b'role="alert"' in answer.data) == (401, True)
            assert b"pdma_wrong" not in answer.data and b'value="/runs"' in answer.data
        answer = browser.post("/sign-in", {"credential": "pdma_wrong"})
        assert (answer.status, b"too many wrong credentials" in answer.data) == (429, True)
        browser.sign_in(credential(server, "administrator")).page("/settings")


def test_whoever_is_not_signed_in_is_read_little_of(server: PlaneServer) -> None:
    browser = Browser(server.url)
    assert browser.post("/sign-in", {"credential": "x" * LIMITS.sign_in_bytes_max}).status == 413
    longest = browser.page("/sign-in?next=/" + "a" * 2_000)
    assert 'name="next" value="/"' in longest


def test_a_form_that_is_no_form_is_refused(admin: Browser) -> None:
    many = {f"f{number}": "" for number in range(100)}
    assert admin.post("/freeze", {"csrf": admin.csrf(), **many}).status == 400
    assert admin.post("/freeze", {"csrf": admin.csrf(), "why": "x" * (FAST.body_bytes_max + 1)}).status == 413


def test_what_is_not_there_is_told_as_a_page(admin: Browser) -> None:
    answer = admin.get("/runs/%3Cscript%3E")
    assert (answer.status, b"run-unknown" in answer.data) == (404, True)
    assert b"<script>" not in answer.data.replace(b'<script type="module"', b"")
    assert b"&lt;script&gt;" in answer.data


@pytest.mark.parametrize("path", ["/nonsense", "/runs/a/b/c", "/devices/x%3Cimg%3E"])
def test_an_address_that_nothing_serves_is_a_page_for_who_signed_in_alone(
    server: PlaneServer, admin: Browser, path: str
) -> None:
    told = admin.get(path)
    assert (told.status, told.headers["content-type"]) == (404, "text/html; charset=utf-8")
    page = told.data.decode()
    assert "no page has this address" in page
    assert "<img>" not in page
    stranger = Browser(server.url).get(path)
    assert (stranger.status, stranger.headers["content-type"]) == (404, "application/problem+json")
