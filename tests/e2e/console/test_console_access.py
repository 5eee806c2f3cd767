"""Everybody can use the console: axe finds nothing serious on any screen in either scheme, keys reach everything, and
without scripts every page, table and form works.

axe is not added to the page by a script element, which the page's policy would refuse: Playwright evaluates its source
over the browser's debugging protocol. So the policy stays in force while axe looks, and is seen to.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from podium.plane.finding import connect_data
from podium.server.plane_data import SERVICE_PREFIX
from podium.wire.operator import RUN_OPEN
from tests.e2e.console.conftest import DESKTOP, PHONE, Stage

pytestmark = pytest.mark.long
GRAVE = ("serious", "critical")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture(scope="module")
def paths(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Every screen, once a run has sealed a few rounds and is paused, so that all see the same."""
    folder = tmp_path_factory.mktemp("task")
    said = stage.podium("run", stage.task(folder, goal="6", minimum="4", rounds="400"))
    assert said.code == 0, said.err
    run = said.out.strip()
    with connect_data(stage.data) as link:
        while link.run(run).rounds_sealed < 4:
            assert link.run(run).state in RUN_OPEN
        link.pause(run, now=True)
        version, device = link.run(run).base, link.devices()[0].id
        yield [
            "/",
            "/runs",
            f"/runs/{run}",
            f"/runs/{run}/stop",
            f"/runs/{run}/rounds/2",
            "/fleet",
            f"/fleet/{device}",
            f"/fleet/{device}/mark?mark=banned",
            f"/models?run={run}",
            f"/models/{version}",
            "/journal",
            "/journal/verify",
            "/settings",
            "/freeze",
            "/runs/none",
        ]
        link.stop(run)


def grave(page: Page) -> list[str]:
    """What axe finds serious or critical on the page as it stands: rule, and where."""
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    found = Axe().run(page, options=RULES)
    return [
        f"{page.url}: {each['id']} ({each['impact']}) at {each['nodes'][0]['target']}: {each['nodes'][0]['html'][:160]}"
        for each in found.response["violations"]
        if each["impact"] in GRAVE
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_serious(stage: Stage, paths: list[str], scheme: str, size: tuple[int, int]) -> None:
    with stage.context(size, scheme) as context:
        page = context.new_page()
        page.goto(f"{stage.url}/sign-in")
        found = grave(page)
        page = stage.signed_in(context)
        for path in paths:
            page.goto(stage.url + path)
            found += grave(page)
        assert found == []


def test_axe_would_notice_what_is_serious(stage: Stage) -> None:
    with stage.context() as context:
        page = stage.signed_in(context)
        assert grave(page) == []
        page.evaluate("document.querySelector('main').append(document.createElement('input'), new Image())")
        assert {text.split(": ")[1].split(" ")[0] for text in grave(page)} == {"label", "image-alt"}


def test_the_policy_is_in_force_while_axe_looks(stage: Stage, paths: list[str]) -> None:
    with stage.context() as context:
        page = stage.signed_in(context)
        refused: list[str] = []
        page.on("console", lambda said: refused.append(said.text))
        page.evaluate("document.head.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
        page.evaluate("document.body.setAttribute('style', 'color: red')")
        page.evaluate("document.head.append(Object.assign(document.createElement('style'), {textContent: 'x {}'}))")
        page.evaluate("fetch('https://elsewhere.example/').catch(() => 0)")
        assert page.evaluate("window.ran") is None
        assert [text for text in refused if "Content Security Policy" in text], refused
        stage.told.clear()


def test_no_screen_is_wider_than_a_small_phone(stage: Stage, paths: list[str]) -> None:
    with stage.context((360, 740)) as context:
        page = stage.signed_in(context)
        for path in paths:
            page.goto(stage.url + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_keys_alone_reach_the_content_and_the_acts(stage: Stage, paths: list[str]) -> None:
    with stage.context() as context:
        page = stage.signed_in(context)
        page.goto(stage.url + paths[2])
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_be_focused()
        reached: list[str] = []
        while "Stop" not in reached and len(reached) < 20:
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.innerText"))
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", f"nothing shows that {reached[-1]!r} has the focus"
        assert {"Runs", "Resume", "Stop"} <= set(reached)


def test_without_scripts_pages_tables_and_forms_work(stage: Stage, paths: list[str]) -> None:
    with stage.context(scripts=False) as context:
        page = stage.signed_in(context)
        for path in paths:
            page.goto(stage.url + path)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.goto(stage.url + paths[2])
        page.get_by_text("As a table").first.click()
        expect(page.get_by_role("region", name="accuracy by round, as a table")).to_contain_text("lowest site")
        page.get_by_role("button", name="Resume", exact=True).click()
        expect(page.locator(".note.good")).to_contain_text("goes on")
        page.get_by_role("button", name="Pause now", exact=True).click()
        expect(page.locator(".note.good")).to_contain_text("is paused")
        page.goto(f"{stage.url}/fleet")
        page.get_by_label("Name begins with").fill("device-11")
        page.get_by_role("button", name="Filter").click()
        expect(page.get_by_role("region", name="Devices").locator("tbody tr")).to_have_count(1)
        page.get_by_role("link", name="device-11").click()
        page.get_by_role("link", name="Cordon", exact=True).click()
        page.get_by_label("Why (kept in the journal)").fill("a test")
        page.get_by_role("button", name="Cordon").click()
        expect(page.locator(".tile .chip").first).to_have_text("cordoned")
        page.get_by_role("link", name="Uncordon", exact=True).click()
        page.get_by_role("button", name="Uncordon").click()
        expect(page.locator(".tile .chip").first).to_have_text("active")


def test_a_service_gets_a_credential_that_is_shown_once(stage: Stage, tmp_path: Path) -> None:
    with stage.context() as context:
        page = stage.signed_in(context)
        page.goto(f"{stage.url}/settings")
        page.get_by_text("New service credential").click()
        page.get_by_label("Name").fill("grafana")
        page.get_by_label("status.read").check()
        page.get_by_role("button", name="Make").click()
        secret = page.locator("pre.secret").inner_text()
        assert secret.startswith(SERVICE_PREFIX)
        page.get_by_role("link", name="I have kept it").click()
        row = page.get_by_role("region", name="Service credentials").locator("tr", has_text="grafana")
        expect(row).to_contain_text("status.read")
        assert secret not in page.content()
        row.get_by_role("link", name="Revoke").click()
        page.get_by_role("button", name="Revoke").click()
        expect(row).to_contain_text("revoked")


def test_a_viewer_looks_and_cannot_act(stage: Stage, paths: list[str]) -> None:
    with stage.context() as context:
        page = stage.signed_in(context, "viewer")
        for path in paths:
            page.goto(stage.url + path)
            assert page.locator("form[method=post]").count() == 1, f"{path}: signing out is all a viewer may send"
            assert page.locator("button[formaction]").count() == 0


def test_a_stream_ends_with_its_session(stage: Stage, paths: list[str]) -> None:
    with stage.context() as context:
        watching, other = stage.signed_in(context), context.new_page()
        expect(watching.locator(".stream")).to_have_text("Live")
        other.goto(f"{stage.url}/settings")
        other.get_by_role("button", name="Sign out").click()
        other.wait_for_url(f"{stage.url}/sign-in")
        watching.wait_for_url(f"{stage.url}/sign-in", timeout=30_000)
