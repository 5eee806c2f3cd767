"""The console on a real plane: what devices tell stays text, what was refused is marked, forms do their verb."""

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import urllib3
from markupsafe import escape
from msgspec.structs import replace

from podium.cli.standing import Standing
from podium.plane.finding import connect_data
from podium.server.console import PAGES
from podium.server.main import PlaneServer
from podium.tasks.task import Aggregate
from podium.wire import messages as m
from podium.wire.asks import PauseAsk, StopAsk
from podium.wire.operator import RUN_OPEN, Page, RunView
from tests.e2e.test_plane_round import ended, offer_to, train
from tests.e2e.test_plane_trouble import Full
from tests.support.console_browser import Browser
from tests.support.plane_cases import Operator, enrolled, plane, task
from tests.support.scripted_device import ScriptedDevice

NASTY = "<img src=x onerror=alert(1)>\"'&"
TRACE = "Traceback (most recent call last):\n  <script>alert(1)</script>"


@dataclass
class Shown:
    """A plane on which a run was trained, one device failed, and one told nasty names."""

    server: PlaneServer
    operator: Operator
    run: str
    device: str
    version: str

    def browser(self, role: str = "administrator") -> Browser:
        """Somebody signed in."""
        return Browser(self.server.url).sign_in((self.server.data / f"{role}.token").read_text().strip())

    def pages(self) -> list[str]:
        """Every screen."""
        return [
            each.format(run=self.run, round=1, device=self.device, task="one-hot", version=self.version)
            for each in PAGES
        ]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    with plane(tmp_path_factory.mktemp("shown") / "data") as (server, operator):
        nasty = ScriptedDevice(operator.url, name=NASTY)
        nasty.enrol(operator.token(site=NASTY))
        nasty.open()
        (good,) = enrolled(operator, 1, site="north")
        run = operator.submit(task(goal=1, rounds=2))
        offer = offer_to(nasty)
        nasty.lease(offer.lease, "accept", m.Accept())
        nasty.lease(offer.lease, "fail", m.Failure(code="plan-raised", detail=TRACE))
        for place in range(2):
            train(good, offer_to(good), place)
        view = ended(operator, run)
        assert view.state == "FINISHED"
        yield Shown(server, operator, run, nasty.device_id, view.base)


def test_every_screen_has_a_title_its_command_and_one_heading(shown: Shown) -> None:
    browser = shown.browser()
    titles = set()
    for path in shown.pages():
        page = browser.page(path)
        titles.update(re.findall(r"<title>(.+) · Podium</title>", page))
        assert page.count("<h1>") == 1 and '<main id="main"' in page, path
        assert re.search(r'<aside class="twin".*<code>podium [a-z]+', page), path
        assert path == "/" or 'aria-label="Breadcrumb"' in page, path
        assert re.findall(r"<table(?![^>]*>\s*<caption)", page) == [], f"{path} has a table without a caption"
    assert len(titles) == len(PAGES)


def test_what_a_device_tells_stays_text_on_every_screen(shown: Shown) -> None:
    browser = shown.browser()
    seen = 0
    for path in shown.pages():
        page = browser.page(path)
        assert "<img src=x" not in page and "<script>alert" not in page, path
        seen += NASTY in unescape(unescape(page))
    assert seen >= 2, "the fleet and the device name it"
    assert TRACE in unescape(browser.page(f"/fleet/{shown.device}"))
    assert "plan-raised" in browser.page("/fleet")


def test_a_round_tells_each_lease_and_how_it_ended(shown: Shown) -> None:
    page = shown.browser().page(f"/runs/{shown.run}/rounds/1")
    assert page.count("mark bad") >= 1, "the failed lease is marked by its shape"
    assert "failed" in page and "accepted" in page
    assert "deadline" in page and "bound" in page
    assert shown.browser().get(f"/runs/{shown.run}/rounds/99").status == 404
    assert shown.browser().get(f"/runs/{shown.run}/rounds/x").status == 422


def test_a_refused_update_is_marked_with_its_norm(shown: Shown) -> None:
    (device,) = enrolled(shown.operator, 1)
    bound = replace(task(goal=1, rounds=1), aggregate=Aggregate(norm_max=1.0))
    run = shown.operator.submit(bound)
    offer = offer_to(device)
    device.lease(offer.lease, "accept", m.Accept())
    update = device.update(offer, device.manifest(offer), {"w": np.full(64, 0.5, np.float32)})
    device.upload(offer.lease, update.sealed)
    device.report(offer.lease, update.report)
    browser = shown.browser()
    path = f"/runs/{run}/rounds/1"
    while ", the largest 4<" not in (page := browser.page(path)) or "norm-bound" not in page:
        assert shown.operator.run(run).state == "RUNNING"
    norms = page[page.index('id="norms-title"') : page.index('id="norms-table"')]
    assert norms.count("mark bad") == 2, "the mark, and its key"
    assert ">bound 1<" in norms and ", the largest 4<" in norms
    assert browser.send(f"/runs/{run}/stop", why="seen").status == 303


def test_forms_pause_resume_stop_and_retry_a_run(shown: Shown) -> None:
    run, browser = (
        shown.operator.submit(task(goal=1, rounds=1, minimum=1, requires="device.ram_mb > 1000000000")),
        shown.browser(),
    )

    def sent(form: str, **fields: str) -> str:
        answer = browser.send(f"/runs/{run}/{form}", **fields)
        assert answer.status == 303, answer.data
        return browser.page(answer.headers["location"])

    assert "is paused" in sent("pause-now")
    assert shown.operator.run(run).state == "PAUSED"
    assert "Resume" in browser.page(f"/runs/{run}")
    assert "goes on" in sent("resume")
    assert "pauses after its present round" in sent("pause")
    sent("resume")
    assert "lose their lease" in browser.page(f"/runs/{run}/stop")
    page = sent("stop", why="a test")
    assert "is stopped" in page and "Retry" in page
    assert "is stopped" not in browser.page(f"/runs/{run}"), "a notice is said once"
    assert shown.operator.run(run).reason == "a test"
    assert "goes on from the last sealed version" in sent("retry")
    again = shown.operator.get("/api/v1/runs?state=RUNNING", Page)
    made = [json.loads(bytes(item)) for item in again.items]
    assert [each["retry_of"] for each in made if each["retry_of"] == run] == [run]
    for each in made:
        browser.send(f"/runs/{each['id']}/stop")


def test_forms_move_an_alias_there_and_back(shown: Shown) -> None:
    browser = shown.browser()
    page = Page(items=shown.operator.get(f"/api/v1/versions?run={shown.run}", Page).items)
    digests = [json.loads(bytes(item))["digest"] for item in page.items]
    for digest in digests[1:]:
        answer = browser.send(f"/models/{digest}/promote", alias="one-hot@candidate", why="because")
        assert answer.status == 303, answer.data
    told = browser.page("/models?run=one-hot")
    assert "candidate is at v2" in told and "because" in told
    asked = browser.page("/models/rollback?alias=one-hot@candidate")
    assert "names v2 now; it will name v1" in asked
    counter = re.findall(r'name="counter" value="(\d+)"', asked)
    assert counter == ["2"]
    stale = browser.send("/models/rollback", alias="one-hot@candidate", counter="1")
    assert (stale.status, b"alias-moved" in stale.data) == (409, True)
    back = browser.send("/models/rollback", alias="one-hot@candidate", counter="2")
    there = browser.page(back.headers["location"])
    assert "one-hot@candidate is back at v1" in there and "/models/rollback" not in there, "v2 was rolled back itself"
    assert browser.get("/models/rollback?alias=one-hot@candidate").status == 404
    refused = browser.send(f"/models/{digests[1]}/promote", alias="one-hot@production")
    assert (refused.status, b"not-released" in refused.data, b"podium model release" in refused.data) == (
        409,
        True,
        True,
    )
    assert browser.get("/models/rollback?alias=one-hot@canary").status == 404


def test_a_device_is_marked_after_a_question(shown: Shown) -> None:
    browser = shown.browser()
    path = f"/fleet/{shown.device}"
    assert "1 device" in browser.page(f"{path}/mark?mark=banned")
    assert browser.get(f"{path}/mark?mark=eaten").status == 422
    for mark, state in (("cordoned", "cordoned"), ("active", "active"), ("banned", "banned"), ("active", "active")):
        assert browser.send(f"{path}/mark", mark=mark).status == 303
        assert f">{state}</span>" in browser.page(path)
    assert browser.send(f"{path}/mark", mark="eaten").status == 422


def test_lists_are_filtered_by_their_url(shown: Shown) -> None:
    browser = shown.browser()
    assert "device-0" in browser.page("/fleet?site=north")
    none = browser.page("/fleet?site=south")
    assert "No device matches" in none and 'value="south"' in none
    assert "podium device list -l site=south" in none
    page = browser.page("/journal?kind=run-finished")
    assert shown.run in page and "podium audit list -l kind=run-finished" in page
    assert "No entry matches" in browser.page("/journal?kind=nothing")
    assert shown.run in browser.page("/runs?state=FINISHED&task=one-hot")
    assert browser.get("/fleet?after=nonsense").status == 422
    assert "Verified" in browser.page("/journal/verify")


def events(browser: Browser, path: str) -> Iterator[tuple[str, str]]:
    """(event, data) of a page's stream."""
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    response = urllib3.PoolManager(timeout=20.0).request(
        "GET", f"{browser.url}/live{path}", headers={"cookie": cookie}, preload_content=False
    )
    assert (response.status, response.headers["content-type"].split(";")[0]) == (200, "text/event-stream")
    name = ""
    with contextlib.closing(response):
        for line in lines_of(response):
            if line.startswith(b"event: "):
                name = line[7:].decode()
            if line.startswith(b"data: "):
                yield name, line[6:].decode()


def lines_of(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """The whole lines of a response, as they come."""
    rest = b""
    for chunk in response.stream(65_536):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def test_every_screen_says_of_a_freeze_since_when_by_whom_and_why(shown: Shown) -> None:
    browser = shown.browser("viewer")
    shown.browser().send("/freeze", why=NASTY)
    since = r"Frozen: no device gets a lease\. Since \d{4}-\d\d-\d\d \d\d:\d\d UTC"
    told = f"{since} by person:administrator: {re.escape(escape(NASTY))}"
    try:
        for path in shown.pages():
            assert re.search(told, browser.page(path)), path
        assert re.search(r"Frozen .* ago by person:administrator: ", browser.page("/freeze"))
    finally:
        shown.browser().send("/unfreeze")
    assert "Frozen" not in browser.page("/")


@pytest.mark.parametrize("why", ["", NASTY])
def test_the_page_of_a_run_says_who_paused_it_and_why(shown: Shown, why: str) -> None:
    run = shown.operator.submit(task(goal=1, rounds=1, requires="device.ram_mb > 1000000000"))
    shown.operator.post(f"/api/v1/runs/{run}/pause", PauseAsk(now=True, why=why), RunView)
    reason = re.escape(f": {escape(why)}" if why else "")
    page = shown.browser("viewer").page(f"/runs/{run}")
    assert re.search(rf"stands still for [^<]+, by person:administrator{reason}</span>", page)
    shown.operator.post(f"/api/v1/runs/{run}/stop", StopAsk(), RunView)


def test_a_pause_after_the_round_is_its_person_s_also_once_the_plane_let_the_run_rest(shown: Shown) -> None:
    (device,) = enrolled(shown.operator, 1)
    run = shown.operator.submit(task(goal=1, rounds=2))
    offer = offer_to(device)
    shown.operator.post(f"/api/v1/runs/{run}/pause", PauseAsk(why="lunch"), RunView)
    with connect_data(shown.server.data) as link:
        for state, says in (("PAUSING", "after its present round"), ("PAUSED", "stands still for")):
            if state == "PAUSED":
                train(device, offer, 0)
            while (view := link.run(run)).state != state:
                assert view.state in RUN_OPEN
            page = shown.browser("viewer").page(f"/runs/{run}")
            assert re.search(f"{says}[^<]*, by person:administrator: lunch</span>", page)
            (line,) = Standing(link).lines(view)
            assert line.startswith(f"{state} ") and " by person:administrator: lunch" in line
    shown.operator.post(f"/api/v1/runs/{run}/stop", StopAsk(), RunView)


def test_a_stream_tells_every_fragment_then_only_what_changed(shown: Shown) -> None:
    browser = shown.browser()
    told = events(browser, "/")
    name, data = next(told)
    fragments = json.loads(data)
    named = set(re.findall(r'data-live="([a-z]+)"', browser.page("/")))
    assert (name, set(fragments)) == ("fragments", named)
    run = shown.operator.submit(task(goal=1, rounds=1, requires="device.ram_mb > 1000000000"))
    changed: dict[str, str] = {}
    while run not in changed.get("runs", ""):
        changed = json.loads(next(told)[1])
    assert set(changed) < named
    shown.operator.post(f"/api/v1/runs/{run}/stop", m.Accept(), RunView)


def test_a_stream_is_for_those_who_are_signed_in_and_ends_with_them(shown: Shown) -> None:
    browser = shown.browser("viewer")
    told = events(browser, f"/runs/{shown.run}")
    assert "formaction" not in next(told)[1], "a viewer's fragments hold no act"
    browser.send("/sign-out")
    names = [name for name, _ in told]
    assert names[-1] == "over"
    assert [name for name, _ in events(Browser(shown.server.url), "/runs")] == ["over"], "so that a page learns of it"
    assert shown.browser().get("/live/runs/none").status == 404


def test_a_screen_says_live_that_the_store_fails_and_is_whole_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with plane(tmp_path / "data") as (server, operator):
        run = operator.submit(task(goal=1, rounds=1))
        assert server.plane is not None
        disk = Full(server)
        monkeypatch.setattr(server.plane.parts.store, "commit", disk.commit)
        browser = Browser(server.url).sign_in((server.data / "administrator.token").read_text().strip())
        assert operator.ask("POST", "/api/v1/tokens", b"{}").status == 503
        page = unescape(browser.page("/runs/%24%28id%29"))
        assert "<code>store-full</code>" in page
        assert page.count("podium explain '$(id)'") == 3, (
            "what a link names is no command: the step, the twin, its copy"
        )
        told = events(browser, f"/runs/{run}")
        first = json.loads(next(told)[1])
        assert "<code>store-full</code>" in first["why"] and "tiles" not in first
        disk.full = False
        while "tiles" not in (fragments := json.loads(next(told)[1])):
            pass
        assert "<code>too-few-enrolled</code>" in fragments["why"]


def test_a_plane_that_stops_waits_for_no_watcher(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with plane(tmp_path / "data") as (server, _):
        browser = Browser(server.url).sign_in((server.data / "administrator.token").read_text().strip())
        told = events(browser, "/")
        assert next(told)[0] == "fragments"
        server.stop()
        assert [name for name, _ in told][-1:] in ([], ["fragments"])
    assert "timeout graceful shutdown exceeded" not in caplog.text
