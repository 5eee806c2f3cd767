"""The whole story of an operator, in a real browser: start, watch, pause, resume, release, promote, roll back, explain.

Screenshots of every screen, at desktop and phone width, are kept under build/screens.
"""

import re
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from podium.plane.finding import connect_data
from podium.server.identity import release_key_path
from tests.e2e.console.conftest import DESKTOP, PHONE, SITES, Stage, keep

pytestmark = pytest.mark.long


def started(stage: Stage, folder: Path, **changed: str) -> str:
    """A run started by the command line; its id."""
    said = stage.podium("run", stage.task(folder, **changed))
    assert said.code == 0, said.err
    return said.out.strip()


def points(page: Page) -> int:
    """How many rounds the first metric chart has drawn."""
    line = page.locator("#metric-0-title").locator("xpath=..").locator("polyline.line")
    drawn = line.get_attribute("points") if line.count() else None
    return len((drawn or "").split())


def funnel(page: Page) -> str:
    """The funnel as it now reads."""
    return page.locator('[data-live="funnel"]').inner_text()


def press(page: Page, name: str) -> None:
    """Press a button of the page's head; what it led to is said."""
    page.locator("main .head").get_by_role("button", name=name, exact=True).click()


def see_the_run(page: Page) -> None:
    """The funnel moves and the metric chart fills, without a reload."""
    expect(page.locator(".stream")).to_have_text("Live")
    page.evaluate("window.kept = true")
    before, drawn = funnel(page), points(page)
    page.wait_for_function(
        "before => document.querySelector('[data-live=\"funnel\"]').innerText !== before",
        arg=before,
        timeout=30_000,
    )
    page.wait_for_function(
        "least => { const line = document.querySelector('#metric-0-title')?.parentElement.querySelector('.line');"
        " return Boolean(line) && line.getAttribute('points').trim().split(' ').length >= least }",
        arg=max(3, drawn + 2),
        timeout=60_000,
    )
    assert page.evaluate("window.kept") is True, "the page was not loaded again"
    assert points(page) >= drawn + 2


def pause_and_resume(page: Page, stage: Stage, run: str) -> None:
    """Paused after the present round, said on the page and by the API; then it goes on."""
    press(page, "Pause after round")
    expect(page.locator(".note.good")).to_contain_text("pauses after its present round")
    expect(page.locator(".tile .chip").first).to_have_text("paused", timeout=30_000)
    with connect_data(stage.data) as link:
        view = link.run(run)
        assert (view.state, view.paused_ms >= 0) == ("PAUSED", True)
    keep(page, "run-paused-desktop")
    press(page, "Resume")
    expect(page.locator(".tile .chip").first).to_have_text("running", timeout=30_000)


def promote(page: Page, stage: Stage, version: str, alias: str) -> None:
    """Promote a version on its page."""
    page.goto(f"{stage.url}/models/{version}")
    page.get_by_label("Alias").select_option(label=alias)
    page.get_by_label("Why (kept in the journal)").fill(f"the story promotes to {alias}")
    page.get_by_role("button", name="Promote").click()


def release_and_promote(page: Page, stage: Stage, versions: list[str]) -> None:
    """What is not released is refused for production with the next step; what is, is promoted, then taken back."""
    promote(page, stage, versions[1], "production")
    expect(page.locator("main")).to_contain_text("P2017 not-released")
    expect(page.locator("main")).to_contain_text("podium model release")
    for version in versions[1:3]:
        said = stage.podium("model", "release", version, "--key", release_key_path(stage.data))
        assert said.code == 0, said.err
        promote(page, stage, version, "production")
        expect(page.locator(".note.good")).to_contain_text("digits@production names v")
    expect(page.locator(".chip", has_text="released").first).to_be_visible()
    keep(page, "version-desktop")
    page.goto(f"{stage.url}/models?task=digits")
    row = page.locator('[data-live="aliases"] tr', has_text="production")
    expect(row).to_contain_text("v2")
    row.get_by_role("link", name="Roll back").click()
    expect(page.locator("main")).to_contain_text("digits@production names v2 now; it will name v1")
    keep(page, "rollback-desktop")
    page.get_by_label("Why (kept in the journal)").fill("the story takes it back")
    page.get_by_role("button", name="Roll back").click()
    expect(page.locator(".note.good")).to_contain_text("digits@production is back at v1")
    expect(page.locator('[data-live="moves"]')).to_contain_text("the story takes it back")
    expect(page.locator('[data-live="aliases"] tr', has_text="production")).to_contain_text("v1")


def find_the_reason(page: Page, stage: Stage, folder: Path) -> str:
    """A run that cannot start: its page names the cause and what to do; the id of the run."""
    run = started(stage, folder, name='"stuck"', minimum="500", goal="500")
    page.goto(f"{stage.url}/runs/{run}")
    why = page.locator('[data-live="why"]')
    with connect_data(stage.data) as link:
        told = link.explain("run", run)
    assert told.cause and told.next
    expect(why).to_contain_text(told.cause, timeout=30_000)
    expect(why).to_contain_text("What to do next")
    keep(page, "run-stuck-desktop")
    page.get_by_role("link", name="Stop", exact=True).click()
    expect(page.locator("main")).to_contain_text("devices at work lose their lease")
    page.get_by_role("button", name="Stop the run").click()
    expect(page.locator(".tile .chip").first).to_have_text("stopped")
    return run


def verify_the_journal(page: Page, stage: Stage) -> None:
    """The badge, and a search that finds who did it."""
    page.goto(f"{stage.url}/journal")
    expect(page.locator("#badge")).to_contain_text("Not verified yet")
    page.get_by_role("link", name="Verify now").click()
    expect(page.locator("#badge")).to_contain_text(re.compile(r"Verified.*entries fit"), timeout=60_000)
    page.get_by_label("What").fill("alias-moved")
    page.get_by_role("button", name="Search").click()
    expect(page).to_have_url(re.compile(r"kind=alias-moved"))
    table = page.get_by_role("region", name="Journal entries")
    expect(table).to_contain_text("person:administrator")
    expect(page.locator("#badge")).to_contain_text("Verified")
    expect(page.locator(".twin code")).to_have_text("podium audit list -l kind=alias-moved")


def freeze(page: Page, stage: Stage) -> None:
    """The kill switch is said on every screen, and taken back."""
    page.goto(stage.url)
    page.get_by_role("link", name="Freeze", exact=True).click()
    page.get_by_label("Why (kept in the journal)").fill("the story freezes")
    page.get_by_role("button", name="Freeze the plane").click()
    for path in ("/", "/runs", "/fleet", "/models", "/journal", "/settings"):
        page.goto(stage.url + path)
        told = re.compile(r"no device gets a lease\. Since .* UTC by person:administrator: the story freezes")
        expect(page.locator(".banner")).to_contain_text(told)
    page.goto(stage.url)
    keep(page, "overview-frozen-desktop")
    page.get_by_role("link", name="Unfreeze", exact=True).click()
    page.get_by_role("button", name="Unfreeze the plane").click()
    expect(page.locator(".banner")).to_have_count(0)


def screens(stage: Stage, run: str, device: str, version: str) -> dict[str, str]:
    """Every screen by name."""
    assert stage.url
    return {
        "overview": "/",
        "runs": "/runs",
        "run": f"/runs/{run}",
        "round": f"/runs/{run}/rounds/2",
        "fleet": "/fleet",
        "device": f"/fleet/{device}",
        "models": f"/models?run={run}",
        "version": f"/models/{version}",
        "journal": "/journal",
        "settings": "/settings",
    }


def test_an_operator_steers_a_plane_from_the_browser(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with stage.context(DESKTOP) as context:
        page = stage.signed_in(context)
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        run = started(stage, tmp_path, goal="6", minimum="4", rounds="400", epochs="20")
        page.get_by_role("region", name="Open runs").get_by_role("link", name="digits").click(timeout=20_000)
        expect(page).to_have_url(f"{stage.url}/runs/{run}")
        see_the_run(page)
        pause_and_resume(page, stage, run)
        with connect_data(stage.data) as link:
            versions = [each.digest for each in link.versions(run)]
            device = link.devices()[0].id
            assert len(link.round(run, 2).site_metrics) <= SITES
        release_and_promote(page, stage, versions)
        find_the_reason(page, stage, tmp_path)
        verify_the_journal(page, stage)
        freeze(page, stage)
        for name, path in screens(stage, run, device, versions[2]).items():
            page.goto(stage.url + path)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            keep(page, f"{name}-desktop")
    for scheme in ("light", "dark"):
        with stage.context(PHONE, scheme) as context:
            page = stage.signed_in(context)
            for name, path in screens(stage, run, device, versions[2]).items():
                page.goto(stage.url + path)
                wide = page.evaluate("document.documentElement.scrollWidth")
                assert wide <= PHONE[0], f"{name} is {wide} px wide on a phone"
                kept = keep(page, f"{name}-phone" if scheme == "light" else f"{name}-phone-dark")
    with capsys.disabled():
        sys.stdout.write(f"\nscreenshots: {kept.parent}\n")
