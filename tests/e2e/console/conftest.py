"""A real browser before a real plane with devices that train: Debian's chromium, driven by Playwright.

The plane lives in this process, its devices in threads; verbs of the command line are processes of their own, as a
person would run them. Nothing of the page's content security policy is bypassed: Playwright evaluates in the page over
the browser's debugging protocol, which the policy does not govern.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from podium.cli.demo_devices import Member, Threads
from podium.plane import Plane
from podium.wire.limits import Limits
from tests.e2e.cli_made import ROOT, Said, podium

EXPECTED = re.compile(r"status of (401|403|404|409)")
"""What a browser says of an answer that a test asked for."""
SCREENS = ROOT / "build" / "screens"
"""Where screenshots are kept; git ignores it."""
DIGITS = ROOT / "src" / "podium_examples" / "digits" / "task.toml"
DESKTOP, PHONE = (1280, 800), (390, 844)
DEVICES, SITES = 12, 4
PLANS = ("podium_examples.digits:train", "podium_examples.digits:evaluate")


def chromium() -> str:
    """The path of Debian's chromium; the test fails with the line that installs it."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.fail("no chromium on this machine: make counterparts, or: sudo apt-get install -y chromium")
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One chromium for all tests; each test has contexts of its own."""
    with sync_playwright() as started:
        root = getattr(os, "geteuid", lambda: 1)() == 0
        opened = started.chromium.launch(executable_path=chromium(), args=["--no-sandbox"] if root else [])
        yield opened
        opened.close()


@dataclass
class Stage:
    """A plane with devices, and the browsers before it; `told` is what any page said on its console."""

    url: str
    data: Path
    browser: Browser
    told: list[str] = field(default_factory=list)

    def podium(self, *words: str | Path) -> Said:
        """A verb of the command line against this plane."""
        return podium(*words, "--data", self.data)

    def credential(self, role: str = "administrator") -> str:
        """The credential of a role."""
        return (self.data / f"{role}.token").read_text().strip()

    @contextlib.contextmanager
    def context(
        self, size: tuple[int, int] = DESKTOP, scheme: str = "light", scripts: bool = True
    ) -> Iterator[BrowserContext]:
        """A browser window of that size and colour scheme."""
        made = self.browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if scheme == "dark" else "light",
            java_script_enabled=scripts,
            reduced_motion="reduce",
        )
        try:
            yield made
        finally:
            made.close()

    def signed_in(self, context: BrowserContext, role: str = "administrator") -> Page:
        """A page of a person who signed in with the form."""
        page = context.new_page()
        page.on("console", lambda said: self.told.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.told.append(str(error)))
        page.goto(f"{self.url}/sign-in")
        page.get_by_label("Credential").fill(self.credential(role))
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{self.url}/")
        return page

    def task(self, folder: Path, **changed: str) -> Path:
        """The digits' task with `key = value` lines changed."""
        lines = []
        for line in DIGITS.read_text().splitlines():
            key = line.split("=")[0].strip()
            lines.append(f"{key} = {changed[key]}" if key in changed else line)
        path = folder / "task.toml"
        path.write_text("\n".join(lines) + "\n")
        return path


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Stage]:
    """A plane that twelve devices of four sites serve; its pages must not have complained at the end."""
    data = tmp_path_factory.mktemp("console") / "data"
    members = [
        Member(
            site=f"site-{number % SITES}",
            name=f"device-{number}",
            dataset=f"podium_examples.digits:data?{number}",
            plans=PLANS,
        )
        for number in range(DEVICES)
    ]
    data.mkdir(mode=0o700)
    with (
        Plane.open(data, Limits(window_idle_ms=250, form_settle_ms=100)) as plane,
        Threads(plane.link, members, data / "devices"),
    ):
        made = Stage(url=plane.url, data=data, browser=browser)
        yield made
    assert [said for said in made.told if not EXPECTED.search(said)] == []


def keep(page: Page, name: str) -> Path:
    """Keep the whole page as a picture under build/screens."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    path = SCREENS / f"{name}.png"
    page.screenshot(path=path, full_page=True)
    return path
