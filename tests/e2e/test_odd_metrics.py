"""A device may report numbers whose ratio no float holds: whoever looks at its round still sees it, and exports it."""

import csv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from podium.wire import messages as m
from podium.wire.operator import LeaseView, Page, RoundView
from tests.e2e.cli_made import podium
from tests.e2e.test_plane_round import ended, offer_to, train
from tests.support.console_browser import Browser
from tests.support.plane_cases import enrolled, one_hot, plane, task

ENDLESS = {"accuracy": {"numerator": "1e+100", "denominator": "5e-324"}}


def test_a_metric_that_no_float_holds_hides_nothing_else(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    with plane(data) as (server, operator):
        (odd,) = enrolled(operator, 1, site="=odd")
        (good,) = enrolled(operator, 1, site="north")
        run = operator.submit(task(goal=2, rounds=1))
        with ThreadPoolExecutor(2) as pool:
            offers = list(pool.map(offer_to, [odd, good]))
        assert odd.lease(offers[0].lease, "accept", m.Accept()).word == "go"
        update = odd.update(offers[0], odd.manifest(offers[0]), one_hot(0), metrics=ENDLESS)
        odd.upload(offers[0].lease, update.sealed)
        odd.report(offers[0].lease, update.report)
        train(good, offers[1], 1)
        assert ended(operator, run).state == "FINISHED"
        assert operator.get(f"/api/v1/runs/{run}/rounds/1", RoundView).site_metrics == {
            "=odd": {},
            "north": {"accuracy": 0.75},
        }
        page = operator.get(f"/api/v1/runs/{run}/rounds/1/leases", Page)
        leases = [msgspec.json.decode(item, type=LeaseView) for item in page.items]
        assert sorted(len(lease.metrics) for lease in leases) == [0, 1]
        person = Browser(server.url).sign_in((data / "administrator.token").read_text().strip())
        assert "<h1>" in person.page(f"/runs/{run}") and "<h1>" in person.page(f"/runs/{run}/rounds/1")
        assert podium("export", run, "--out", out, "--data", data).code == 0
    with (out / "leases.csv").open(newline="") as opened:
        rows = {row["site"]: row["accuracy"] for row in csv.DictReader(opened)}
    assert rows == {"'=odd": "", "north": "0.75"}
