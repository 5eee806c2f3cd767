"""A fleet simulated by the clock: the same core, unchecked from outside, and cohorts that train for real."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from podium.cli.simulations import simulate
from podium.core.draws import uniform
from podium.sim.beginning import Setting
from podium.sim.engine import ListEngine
from podium.sim.run import simulate_fleet
from podium.sim.training_engine import FIRST, TrainingEngine
from podium.tasks.file import read_task
from podium.tasks.task import Task
from podium.wire.problems import OperatorFault
from tests.support.core_made import task

MNIST = Path(__file__).parents[3] / "examples" / "mnist" / "task.toml"
KEY = ("sim", 1)
A, B = "sim.1.1", "sim.1.2"


def few_rounds(rounds: int = 4) -> Task:
    whole = read_task(MNIST)
    return msgspec.structs.replace(whole, run=msgspec.structs.replace(whole.run, rounds=rounds))


def test_a_checked_and_an_unchecked_world_decide_alike() -> None:
    terms = task(goal=20, rounds=3, stall=60_000, report_deadline=600_000)
    checked = Setting(devices=300, seed=4, window_ms=1_000)
    unchecked = msgspec.structs.replace(checked, checked=False)
    (one, rounds), (other, same) = simulate_fleet(terms, checked), simulate_fleet(terms, unchecked)
    assert one.rounds_sealed == 3 and one.outcomes == other.outcomes and one.checkins == other.checkins
    assert rounds.rounds == same.rounds
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(rounds.members, same.members, strict=True))


def test_a_simulation_by_the_clock_ends_in_the_middle_of_a_run() -> None:
    terms = task(goal=20, rounds=10_000, stall=60_000, report_deadline=600_000, deadline=86_400_000)
    setting = Setting(devices=2_000, seed=1, window_ms=5_000, until_ms=3_600_000, checked=False, trace="diurnal")
    told: list[int] = []
    result, report = simulate_fleet(terms, setting, tell=lambda now_ms, rounds: told.append(now_ms))
    assert (result.state, result.virtual_ms) == ("RUNNING", 3_600_000)
    assert told == sorted(told) and told[-1] == 3_600_000
    assert result.rounds_sealed == len(report.rounds) > 3
    assert result.sessions >= 2_000 * 0.2 and result.checkins > result.sessions
    assert result.checkins_per_device_h == result.checkins / 2_000


def test_cohorts_that_train_learn_and_the_same_seed_learns_the_same() -> None:
    setting = Setting(devices=500, seed=3, checked=False)
    (result, report), (again, _) = (simulate_fleet(few_rounds(10), setting, trained=25) for _ in range(2))
    assert result == again
    accuracies = [each.accuracy for each in report.rounds]
    assert accuracies[-1] > 0.6 > accuracies[0], accuracies
    assert result.bytes_up == sum(each.bytes_up for each in report.rounds) >= 10 * 25 * 7_850 * 4


def test_a_sample_of_a_cohort_trains_and_every_update_counts() -> None:
    setting = Setting(devices=500, seed=2, checked=False)
    result, report = simulate_fleet(few_rounds(2), setting, trained=5)
    assert result.rounds_sealed == 2 and report.rounds[-1].accepted >= 25
    assert 0.1 < report.rounds[-1].accuracy < 0.9


def test_a_cohort_of_which_nobody_is_in_the_sample_moves_nothing() -> None:
    engine = TrainingEngine(few_rounds(), 1)  # of 25: one in 25 of them trains
    engine.begin(KEY, FIRST)
    draws = uniform(few_rounds().run.seed, "train/1", np.arange(30))
    left_out = np.flatnonzero(draws > 0.5)[:2].tolist()
    assert engine.judge(KEY, [(A, left_out[0], False), (B, left_out[1], False)]) == ["", ""]
    assert not engine.finish(KEY, (A, B))[1].any(), "the first model is zeros"


def test_training_is_idempotent_and_forgets_rounds_and_their_bases() -> None:
    engine = TrainingEngine(few_rounds(), 25)
    engine.begin(KEY, FIRST)
    assert engine.judge(KEY, [(A, 1, False), (B, 2, True)]) == ["", "not-finite"]
    assert engine.judge(KEY, [(A, 1, False)]) == [""]
    once, _ = engine.finish(KEY, (A,))
    engine.drop(KEY, [KEY])
    engine.begin(KEY, FIRST)
    engine.judge(KEY, [(A, 1, False)])
    assert engine.finish(KEY, (A,))[0] == once, "it was added once"
    with pytest.raises(ValueError, match="is over"):
        engine.finish(KEY, (A, B))
    ((weight, metrics),) = engine.measure(KEY, np.array([1]))
    assert weight == metrics["loss"][1] == 8.0
    assert metrics["loss"][0] / 8 == pytest.approx(np.log(10), rel=1e-3), "a model of zeros knows nothing"
    engine.drop(KEY, [KEY])
    assert engine.measure(KEY, np.array([1])) == []


def test_an_update_moves_the_base_that_its_lease_was_granted_with() -> None:
    engine, later = TrainingEngine(few_rounds(), 25), (KEY[0], KEY[1] + 1)
    engine.begin(KEY, FIRST)
    engine.judge(KEY, [(A, 1, False)])
    second, weights = engine.finish(KEY, (A,))
    engine.drop(KEY, [])
    assert engine.judge(later, [(B, 2, False)]) == [""], "reported while nothing is prepared"
    engine.begin(later, second)
    moved = engine.finish(later, (B,))[1]
    alone = TrainingEngine(few_rounds(), 25)
    alone.begin(KEY, FIRST)
    alone.judge(KEY, [(B, 2, False)])
    of_zeros = alone.finish(KEY, (B,))[1]
    np.testing.assert_allclose(moved, weights + of_zeros, atol=1e-6)
    assert np.abs(of_zeros).max() > 0.01


def test_a_plan_without_block_form_cannot_train() -> None:
    with pytest.raises(OperatorFault, match="cannot train"):
        TrainingEngine(task(), 1)


def test_a_task_that_does_not_say_how_to_train_is_refused_with_the_terms_it_lacks() -> None:
    without = msgspec.structs.replace(few_rounds(), local={"batch": 4})
    with pytest.raises(OperatorFault, match="lacks epochs, lr"):
        TrainingEngine(without, 1)


def test_lists_hold_who_was_added_and_nothing_else() -> None:
    engine = ListEngine()
    assert engine.judge(KEY, [("a", 7, False), ("b", 3, False), ("c", 1, True)]) == ["", "", "not-finite"]
    assert engine.finish(KEY, ("a", "b"))[1].tolist() == [3.0, 7.0]
    with pytest.raises(ValueError, match="is over"):
        engine.finish(KEY, ("a",))


def test_the_verb_writes_a_page_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, results = tmp_path / "r.html", tmp_path / "r.json"
    simulate(hours=0.5, trace="diurnal", report=page, json=results, task=MNIST, devices="2e3")
    (told,) = msgspec.json.decode(results.read_bytes())
    assert told["devices"] == 2_000 and told["virtual_ms"] == 1_800_000
    assert "<svg" in page.read_text() and "2,000 devices" in capsys.readouterr().err
    with pytest.raises(OperatorFault, match="--faults by the clock"):
        simulate(hours=1.0, task=MNIST, faults="all")


def test_traces_of_ones_own_say_who_is_there_and_what_they_are(tmp_path: Path) -> None:
    traces, told = MNIST.parents[1] / "traces", tmp_path / "told.json"
    simulate(
        hours=2.0,
        trace=str(traces / "availability.csv"),
        capacity=traces / "capacity.csv",
        json=told,
        task=MNIST,
        devices="600",
    )
    (result,) = msgspec.json.decode(told.read_bytes())
    assert result["checkins"] > 600 and result["rounds_sealed"] > 0
    with pytest.raises(OperatorFault, match=r"capacity\.csv"):
        simulate(hours=1.0, trace=str(traces / "capacity.csv"), task=MNIST)
