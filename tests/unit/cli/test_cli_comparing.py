"""Runs side by side, runs as files, and versions tensor by tensor."""

import csv
import io
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest

from podium.cli.comparing import _cells, _say, compared, differing
from podium.cli.exports import figures, lease_rows, metric_rows, round_rows, safe
from podium.cli.versions import compared as tensor_compared
from podium.tasks.file import parse_task
from podium.wire.operator import LeaseView, RoundView
from tests.unit.cli.test_cli_screen import ROUND, RUN
from tests.unit.tasks.task_texts import SMALL


def sealed(number: int, accuracy: float, **fields: object) -> RoundView:
    changed = {
        "number": number,
        "state": "SEALED",
        "metrics": {"accuracy": accuracy},
        "site_metrics": {"va": {"accuracy": accuracy / 2}},
        "site_examples": {"va": {"accuracy": 45.0}},
        "examples": {"accuracy": 60.0},
        "opened_age_ms": 10_000 - number * 1_000,
        "took_ms": 900,
        **fields,
    }
    return msgspec.structs.replace(ROUND, **changed)


ROUNDS = [
    sealed(1, 0.5),
    msgspec.structs.replace(ROUND, number=2, state="ABANDONED", reason="cohort-short", metrics={}, opened_age_ms=8_000),
    sealed(3, 0.75, lost={"LAPSED": 2}),
]
LEASE = LeaseView(
    id="l1",
    run="7f3a",
    round=1,
    device="d1",
    site="va",
    state="ACCEPTED",
    reason="",
    granted_age_ms=8_500,
    held_age_ms=8_400,
    reported_age_ms=8_200,
    ended_age_ms=-1,
    upload_bytes=760,
    weight=45.0,
    norm=-1.0,
    metrics={"accuracy": 0.25},
)


def test_a_column_holds_the_last_sealed_round_and_all_losses() -> None:
    found = compared(RUN, ROUNDS, {"round.goal": "4"})
    assert (found.metrics, found.site_metrics) == ({"accuracy": 0.75}, {"va": {"accuracy": 0.375}})
    assert found.rounds_abandoned == 1
    assert found.lost == {"DECLINED:battery": 88, "DECLINED:metered": 34, "LAPSED": 78}
    cells = _cells(found, {"sha256:aa": 40})
    assert (cells["accuracy"], cells["accuracy at va"], cells["rounds"]) == ("0.75", "0.375", "11/100")
    assert (cells["version"], cells["measured"]) == ("v41 aa", "v40 aa"), "the base of the last sealed round"
    none = compared(RUN, [], {})
    assert (none.metrics, _cells(none, {})["measured"]) == ({}, "not measured yet")


def test_terms_are_those_that_differ_and_no_others() -> None:
    one = parse_task(SMALL, "one")
    other = parse_task(SMALL.replace("goal = 4", "goal = 5") + "[local]\nlr = 0.1\n", "other")
    assert differing([one, other]) == [
        {"round.goal": "4", "round.minimum": "4"},
        {"round.goal": "5", "round.minimum": "5", "local.lr": "0.1"},
    ]
    assert differing([one, one, one]) == [{}, {}, {}]


def test_runs_stand_in_columns_and_their_terms_below(capsys: pytest.CaptureFixture[str]) -> None:
    one = compared(RUN, ROUNDS, {"round.goal": "4"})
    other = compared(msgspec.structs.replace(RUN, id="8b"), [], {"round.goal": "5"})
    _say([one, other], {"sha256:aa": 40})
    said = [text.split() for text in capsys.readouterr().out.splitlines()]
    assert said[0] == ["7f3a", "8b"]
    assert ["accuracy", "0.75", "-"] in said
    assert said[-2:] == [["TERM", "7f3a", "8b"], ["round.goal", "4", "5"]]


def test_rounds_leases_and_metrics_are_rows_from_the_first_rounds_opening() -> None:
    rounds = list(round_rows(ROUNDS, 9_000))
    head = rounds[0]
    assert head[-5:] == ("lost", "losses", "granted", "reported", "accepted")
    assert [row[head.index("opened_ms")] for row in rounds[1:]] == [0, 1_000, 2_000]
    assert rounds[3][head.index("lost") :][:2] == (2, "LAPSED=2")
    later = msgspec.structs.replace(LEASE, granted_age_ms=8_700, ended_age_ms=200)
    leases = list(lease_rows([(9_000, LEASE), (9_200, later)]))
    row = dict(zip(leases[0], leases[1], strict=True))
    assert (row["granted_ms"], row["ended_ms"], row["norm"], row["accuracy"]) == (500, "", "", 0.25)
    row = dict(zip(leases[0], leases[2], strict=True))
    assert (row["granted_ms"], row["ended_ms"]) == (500, 9_000)
    metrics = list(metric_rows(ROUNDS))
    assert metrics[1:3] == [
        (1, "sha256:aa", "", "accuracy", 0.5, 60.0),
        (1, "sha256:aa", "va", "accuracy", 0.25, 45.0),
    ]
    assert len(metrics) == 5


def test_a_cell_is_never_a_formula() -> None:
    for text in ('=HYPERLINK("x")', "+1", "-1", "@sum", "\tx", "\n=1", "\uff1d1"):
        assert safe(text) == f"'{text}"
    assert (safe("accuracy"), safe(-1.5), safe(""), safe(None)) == ("accuracy", -1.5, "", None)
    out = io.StringIO()
    csv.writer(out).writerow([safe("=1")])
    assert out.getvalue().startswith("'=1")


def test_figures_are_one_for_each_metric_the_leases_and_the_time() -> None:
    made = figures(RUN, [*ROUNDS, sealed(4, 0.8, metrics={"a/b": 1.0, "a b": 2.0})])
    assert sorted(made) == ["leases", "metric-a_b", "metric-a_b_", "metric-accuracy", "time"]
    for text in made.values():
        assert ElementTree.fromstring(text).get("role") == "img"
    assert "va: 3 points" in made["metric-accuracy"]
    assert "1, granted: 1,300" in made["leases"]
    many = [sealed(number, 0.5) for number in range(1, 40)]
    assert "polyline" in figures(RUN, many)["leases"]
    assert "nothing yet" in figures(RUN, [])["time"]


def test_many_sites_are_their_lowest_and_highest() -> None:
    sites = {f"site {place}": {"accuracy": place / 10} for place in range(7)}
    made = figures(RUN, [sealed(1, 0.5, site_metrics=sites), sealed(2, 0.5, site_metrics={})])["metric-accuracy"]
    assert "lowest site: 1 points, first 0, last 0; highest site: 1 points, first 0.6, last 0.6" in made
    assert "site 3" not in made
    few = figures(RUN, [sealed(1, 0.5, site_metrics=dict(list(sites.items())[:6]))])["metric-accuracy"]
    assert "site 3: 1 points, first 0.3, last 0.3" in few


def test_two_tensors_are_compared_by_hand() -> None:
    a, b = np.array([[3.0, 0.0]], np.float32), np.array([[3.0, 4.0]], np.float32)
    found = tensor_compared("w", a, b)
    assert (found.shape, found.dtype) == ("[1, 2]", "float32")
    assert (found.l2, found.max_abs) == (4.0, 4.0)
    assert found.cosine == pytest.approx(9 / 15)
    zero = tensor_compared("w", np.zeros_like(a), b)
    assert (zero.l2, zero.cosine) == (5.0, None)
    other = tensor_compared("w", a, b.astype(np.float64).ravel())
    assert (other.shape, other.dtype, other.l2) == ("[1, 2] -> [2]", "float32 -> float64", None)
    gone = tensor_compared("w", a, None)
    assert (gone.shape, gone.max_abs) == ("[1, 2] -> none", None)
    assert tensor_compared("e", np.zeros(0, np.float32), np.zeros(0, np.float32)).max_abs == 0.0
