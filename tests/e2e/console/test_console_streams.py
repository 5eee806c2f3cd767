"""A page and its stream in a real browser: what it says when nothing is heard or there is no room; and unseen pages."""

import os
import signal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from podium.plane.finding import connect_data, read_plane_file
from podium.server.main import PlaneServer
from podium.server.operators.live import Live
from podium.wire.limits import Limits
from podium.wire.operator import StatusView
from tests.e2e.cli_made import dev
from tests.e2e.console.conftest import Stage

pytestmark = pytest.mark.long


def test_a_page_notices_a_plane_that_says_nothing_and_takes_it_up_again(tmp_path: Path, browser: Browser) -> None:
    with dev(tmp_path / "data") as plane:
        stage = Stage(url=plane.url, data=plane.data, browser=browser)
        process = read_plane_file(plane.data).pid
        with stage.context() as context:
            context.clock.install()
            page = stage.signed_in(context)
            live = page.locator(".stream")
            expect(live).to_have_text("Live")
            os.kill(process, signal.SIGSTOP)  # its connections stay open
            try:
                context.clock.fast_forward("00:20")
                expect(live).to_have_text("Reconnecting")
            finally:
                os.kill(process, signal.SIGCONT)
            expect(live).to_have_text("Live")
            context.clock.fast_forward("00:10")
            expect(live).to_have_text("Live")
        assert stage.told == []


def test_a_page_that_was_refused_a_stream_asks_again(tmp_path: Path, browser: Browser) -> None:
    with PlaneServer(tmp_path / "data", limits=Limits(viewers_max=1)) as server, connect_data(server.data) as link:
        stage = Stage(url=server.url, data=server.data, browser=browser)
        with stage.context() as context:
            watching = link.follow("status", StatusView)
            next(watching)
            live = stage.signed_in(context).locator(".stream")
            expect(live).to_have_text("Reconnecting")
            watching.close()
            expect(live).to_have_text("Live", timeout=15_000)


def seen_by(live: Live, count: int, page: Page) -> None:
    """Wait until so many watch."""
    while live.viewers != count:
        page.evaluate("1")


def test_a_page_that_nobody_sees_holds_no_connection(tmp_path: Path, browser: Browser) -> None:
    with PlaneServer(tmp_path / "data") as server:
        assert server.plane is not None
        live = server.plane.surface.live
        stage = Stage(url=server.url, data=server.data, browser=browser)
        with stage.context() as context:
            page = stage.signed_in(context)
            expect(page.locator(".stream")).to_have_text("Live")
            assert live.viewers == 1
            hide = "([hidden]) => Object.defineProperty(document, 'hidden', {value: hidden, configurable: true})"
            for hidden in (True, False):
                page.evaluate(hide, [hidden])
                page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
                seen_by(live, 0 if hidden else 1, page)
            expect(page.locator(".stream")).to_have_text("Live")
