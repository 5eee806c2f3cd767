"""The bench of pages: it asks for every screen, and its directory is one that a plane would have written."""

import re
import time
from importlib.resources import files
from pathlib import Path

import pytest

from bench import _fleet_data, _fleet_runs
from bench._console import SCREENS, Asker, Watchers, signed_in
from podium.core.check import check
from podium.core.state import State
from podium.server.journal.audit import verify_data
from podium.server.main import PlaneServer
from podium.server.plane import open_parts
from podium.wire.limits import Limits

APART = {"/journal/verify", "/settings/webhooks/{}/remove"}
"""Verifying has a row of its own; a webhook is asked about like a service."""


def test_every_page_of_the_console_is_measured() -> None:
    source = (files("podium.server.console") / "pages.py").read_text()
    served = {re.sub(r"{\w+}", "{}", path) for path in re.findall(r'console\.page\("([^"]+)"', source)}
    asked = {re.sub(r"rounds/50$", "rounds/{}", re.sub(r"{\w+}", "{}", path.partition("?")[0])) for path in SCREENS}
    assert len(served) > 15
    assert served - APART == asked


def test_the_directory_is_one_that_a_plane_goes_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fleet_data, "DEVICES", 1_000)
    for name, value in (
        ("ROUNDS", 12),
        ("LEASED_ROUNDS", 8),
        ("BUSY_LEASES", 5),
        ("WIDE_ROUNDS", 1),
        ("SHORT_RUNS", 2),
    ):
        monkeypatch.setattr(_fleet_runs, name, value)
    data = tmp_path / "data"
    _fleet_data.fill(data)
    told = verify_data(data)
    assert told.entries > 2_000 and told.pending == 0
    parts = open_parts(data, Limits())
    check(State(parts.store.load().rows, Limits()))
    parts.store.close()
    with PlaneServer(data) as server:
        person = signed_in(server.url, (data / "administrator.token").read_text().strip())
        console = Asker(server.url, person)
        for path in ("/", f"/runs/{_fleet_runs.RUN}", f"/runs/{_fleet_runs.RUN}/rounds/11", "/models", "/settings"):
            assert console.ask_ms(path) > 0
        with Watchers(server.url, f"/live/runs/{_fleet_runs.RUN}", [person] * 3) as watchers:
            while watchers.fewest() < 1:
                time.sleep(0.01)
        with pytest.raises(RuntimeError, match="404"):
            console.ask_ms("/runs/nobody")
