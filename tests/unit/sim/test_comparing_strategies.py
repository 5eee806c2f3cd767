"""Strategies compared: Gini and times by hand, overlays of the task file, and the page that tells them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.cli.comparison_page import comparison_markdown, comparison_page, times_of, verdict
from podium.cli.comparisons import result_text
from podium.cli.simulation_pages import report_page
from podium.sim.compare import Compared, Job, compared, measured, read_comparison, run_comparison
from podium.sim.report import RoundReport, SimReport, gini
from podium.wire.durations import format_duration
from podium.wire.problems import OperatorFault

MNIST = Path(__file__).resolve().parents[3] / "examples" / "mnist"


NOTHING = SimReport(rounds=(), members=(), devices=2)


def report(accuracies: Sequence[float], step_ms: int = 1_000, members: Sequence[int] = (0, 1)) -> SimReport:
    """Rounds of these accuracies and members of two devices, one each `step_ms`.

    In each 3 leases, 2 accepted, 30 bytes up, 60 down, a quarter of the time wasted.
    """
    rounds = tuple(
        RoundReport(
            number=number,
            sealed_ms=number * step_ms,
            accuracy=accuracy,
            loss=1.0 - accuracy,
            leases=3,
            accepted=2,
            bytes_up=30,
            bytes_down=60,
            device_ms_used=300,
            device_ms_wasted=100,
        )
        for number, accuracy in enumerate(accuracies, start=1)
    )
    return SimReport(rounds=rounds, members=(np.array(members),) * len(rounds), devices=2)


def test_gini_by_hand() -> None:
    # mean absolute difference over all ordered pairs, over twice the mean
    assert gini(np.array([3, 3, 3])) == 0.0
    assert gini(np.array([0, 0, 0, 8])) == pytest.approx(0.75)
    # 1, 2, 3: pairs differ by 1, 1, 2, twice each, over nine pairs: 8/9; over twice the mean 4: 2/9
    assert gini(np.array([2, 1, 3])) == pytest.approx(2 / 9)
    assert gini(np.zeros(5, np.int64)) == 0.0


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=30), st.integers(1, 9))
def test_gini_is_the_mean_difference_and_knows_no_scale_or_order(counts: list[int], scale: int) -> None:
    held = np.array(counts)
    if held.sum():
        pairs = np.abs(held[:, None] - held[None, :]).mean()
        assert gini(held) == pytest.approx(pairs / (2 * held.mean()), abs=1e-12)
    assert gini(held[::-1] * scale) == pytest.approx(gini(held), abs=1e-12)


def test_participation_is_counted_up_to_a_round() -> None:
    told = SimReport(rounds=(), members=(np.array([0, 2]), np.array([2, 2])), devices=4)
    assert told.participation(0).tolist() == [0, 0, 0, 0]
    assert told.participation(1).tolist() == [1, 0, 1, 0]
    assert told.participation(2).tolist() == [1, 0, 3, 0]


def test_what_it_took_to_reach_the_target() -> None:
    # windows of two: 0.1, 0.2, 0.4, 0.6; 0.4 is reached with the third round
    row = measured("a", 1, report([0.1, 0.3, 0.5, 0.7], members=[1, 1]), 0.4, 2)
    assert (row.reached_ms, row.rounds, row.bytes_up, row.bytes_down) == (3_000, 3, 90, 180)
    assert (row.waste, row.gini) == (0.25, 0.5)
    assert row.accuracy == pytest.approx(0.6)
    assert [value for _, value in row.curve] == pytest.approx([0.1, 0.2, 0.4, 0.6])


def test_a_lucky_first_round_ends_no_race() -> None:
    assert measured("a", 1, report([0.9, 0.1, 0.1, 0.8, 0.9]), 0.8, 2).reached_ms == 5_000
    assert measured("a", 1, report([0.9]), 0.8, 2).reached_ms == 1_000  # a run that is shorter than the window


def test_a_target_that_is_not_reached_costs_the_whole_run() -> None:
    row = measured("a", 1, report([0.1, 0.2]), 0.5, 1)
    assert (row.reached_ms, row.rounds, row.bytes_up) == (None, 2, 60)
    nothing = measured("a", 1, NOTHING, 0.5, 1)
    assert (nothing.reached_ms, nothing.waste, nothing.accuracy, nothing.curve) == (None, 0.0, 0.0, ())


def comparison_file(folder: Path, strategies: str, compare: str = "devices = 9\nseeds = [4, 5]\nwindow = 1") -> Path:
    (folder / "task.toml").write_text((MNIST / "task.toml").read_text())
    path = folder / "compare.toml"
    path.write_text(f'[compare]\ntask = "task.toml"\n{compare}\n{strategies}')
    return path


def test_a_strategy_is_laid_over_the_task_key_by_key(tmp_path: Path) -> None:
    text = (
        "[strategies.uniform]\n[strategies.slow.round]\ngoal = 7\nminimum = 7\n[strategies.slow.select]\nover = 2.0\n"
    )
    tasks = read_comparison(comparison_file(tmp_path, text)).tasks
    assert list(tasks) == ["uniform", "slow"]
    assert (tasks["uniform"].round.goal, tasks["slow"].round.goal) == (25, 7)
    assert tasks["slow"].round.report_deadline == tasks["uniform"].round.report_deadline == 600_000
    assert (tasks["slow"].select.over, tasks["slow"].run.rounds) == (2.0, 100)


@pytest.mark.parametrize(
    ("strategies", "compare", "said"),
    [
        (
            "[strategies.uniform.round]\ngaol = 3",
            "devices = 9\nseeds = [1]",
            "strategy uniform: unknown key round.gaol",
        ),
        ("[strategies.uniform]", "devices = 9\nseeds = []", "no comparison"),
        ("[strategies.uniform]", "devices = 9\nseeds = [1, -1]", "no comparison"),
        ("[strategies.other]", "devices = 9\nseeds = [1]", "no comparison"),
        ("[strategies.uniform]", "devices = 9\nseeds = [1]\nrounds = 3", "no comparison"),
        ("", "devices = 9\nseeds = [1]", "no comparison"),
        ("[strategies", "devices = 9\nseeds = [1]", "is not TOML"),
    ],
)
def test_what_a_comparison_file_says_wrongly_is_named(tmp_path: Path, strategies: str, compare: str, said: str) -> None:
    with pytest.raises(OperatorFault, match=said):
        read_comparison(comparison_file(tmp_path, strategies, compare))


def test_strategies_race_for_what_the_baseline_reached(tmp_path: Path) -> None:
    text = "[strategies.fast.round]\ngoal = 30\n[strategies.uniform]\n[strategies.never.round]\ngoal = 20"
    asked: list[Job] = []
    came = {25: report([0.2, 0.4, 0.6]), 30: report([0.6, 0.7], 2_000), 20: report([0.1], 9, [0, 0])}

    def simulate(jobs: Sequence[Job]) -> Iterator[SimReport]:
        asked.extend(jobs)
        return (came[job.task.round.goal] for job in jobs)

    comparison = read_comparison(comparison_file(tmp_path, text))
    rows = list(run_comparison(comparison, simulate))
    assert [(job.task.round.goal, *job[1:]) for job in asked] == [
        (goal, 9, seed, "flat") for seed in (4, 5) for goal in (25, 30, 20)
    ]
    assert {row.target for row in rows} == {0.6}
    told = compared(comparison, rows)
    uniform, fast, never = told.summaries
    assert (uniform.strategy, uniform.reached, uniform.reached_ms, uniform.times) == ("uniform", 2, 3_000, 1.0)
    assert fast.reached_ms == 2_000
    assert fast.times == pytest.approx(2 / 3)
    assert (never.reached, never.reached_ms, never.times, never.gini) == (0, None, None, 0.5)
    table = comparison_markdown(told.summaries).splitlines()
    assert len(table) == 5
    assert table[3].split(" | ")[1:4] == ["2 of 2", format_duration(2_000), "0.67"]
    assert verdict(told.summaries, "uniform").endswith("Faster: fast (0.67); never there: never.")
    assert times_of(told) == {"uniform": [1.0, 1.0], "fast": pytest.approx([2 / 3, 2 / 3]), "never": []}
    assert msgspec.json.decode(result_text(told), type=Compared) == told
    assert len(result_text(told).splitlines()) < 100  # a run is one line, whatever its curve


def test_a_comparison_page_stands_alone(tmp_path: Path) -> None:
    text = '[strategies.uniform]\n[strategies."o<rt"]\nselect.strategy = "oort"\nselect.options = { alpha = 1.5 }'
    comparison = read_comparison(comparison_file(tmp_path, text))
    rows = list(run_comparison(comparison, lambda jobs: (report([0.2, 0.6]) for _ in jobs)))
    page = comparison_page("a <race>", compared(comparison, rows))
    figures = page.split("<svg")[1:]
    assert len(figures) == 5  # the paired times, two seeds, two strategies
    for figure in figures:
        ElementTree.fromstring("<svg" + figure.split("</svg>")[0] + "</svg>")
    assert "a &lt;race&gt;" in page and "o&lt;rt" in page and "<script" not in page
    assert "select.strategy = &quot;oort&quot;; select.options.alpha = 1.5" in page
    assert comparison.strategies["uniform"].digest in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_only_the_first_seeds_are_run_if_so_asked(tmp_path: Path) -> None:
    path = comparison_file(tmp_path, "[strategies.uniform]")
    assert read_comparison(path).runs() == [("uniform", 4), ("uniform", 5)]
    assert read_comparison(path, 1).runs() == [("uniform", 4)]
    assert read_comparison(path, 9).runs() == read_comparison(path).runs()


def test_a_baseline_that_seals_nothing_leaves_nothing_to_reach(tmp_path: Path) -> None:
    comparison = read_comparison(comparison_file(tmp_path, "[strategies.uniform]"))
    with pytest.raises(OperatorFault, match="seals no round with seed 4"):
        list(run_comparison(comparison, lambda jobs: (NOTHING for _ in jobs)))


def test_a_report_page_draws_each_figure_and_stands_without_rounds() -> None:
    page = report_page("mnist", report([0.1, 0.5]))
    figures = page.split("<svg")[1:]
    assert len(figures) == 5
    for figure in figures:
        ElementTree.fromstring("<svg" + figure.split("</svg>")[0] + "</svg>")
    assert "<td>25.0%</td>" in page
    assert "<td>0.5000</td>" in page
    assert "nothing yet" in report_page("none", NOTHING)


def test_the_comparison_of_the_example_is_whole() -> None:
    told = read_comparison(MNIST / "compare.toml")
    assert list(told.tasks) == ["uniform", "stratified", "oort", "power_of_choice", "buffered"]
    assert len(told.terms.seeds) == 3
