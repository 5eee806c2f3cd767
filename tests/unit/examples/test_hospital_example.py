"""The hospitals: the rows that contracts name, hand-derived numbers, exact slopes, and rounds done by hand."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from podium.device.plan import load_data, load_init, load_plan
from podium.tasks.file import read_task
from podium.wire.extras import how_to_install
from podium.wire.problems import OperatorFault
from podium_examples.hospital import data, evaluate, init, train
from podium_examples.hospital import table as tables
from podium_examples.hospital.plan import gradient, measure
from podium_examples.hospital.table import FEATURES, HOSPITALS, Hospital, clean, find, read, split
from tests.unit.examples.by_hand import average, outcome, pooled, told

LOCAL: dict[str, int | float | str | bool] = {"epochs": 1, "batch": 32, "lr": 0.1}


@pytest.fixture(scope="module")
def hospitals() -> dict[str, Hospital]:
    return {site: data(site)["heart"] for site in HOSPITALS}


def test_each_hospital_has_the_rows_that_the_published_split_gives(hospitals: dict[str, Hospital]) -> None:
    counts = {site: (len(rows), len(rows.y_test)) for site, rows in hospitals.items()}
    assert counts == {"cleveland": (199, 104), "hungary": (172, 89), "switzerland": (30, 16), "va": (85, 45)}
    for rows in hospitals.values():
        assert rows.x_train.shape == (len(rows.y_train), 13)
        assert rows.x_test.shape == (len(rows.y_test), 13)
        assert {rows.x_train.dtype, rows.x_test.dtype, rows.y_train.dtype, rows.y_test.dtype} == {np.dtype("float32")}
        assert set(np.concatenate([rows.y_train, rows.y_test])) == {0.0, 1.0}


def test_each_column_is_standardised_by_the_hospitals_own_training_rows(hospitals: dict[str, Hospital]) -> None:
    constant = 0
    for rows in hospitals.values():
        x = rows.x_train.astype(np.float64)
        deviation = x.std(axis=0, ddof=1)
        assert np.allclose(x.mean(axis=0), 0.0, atol=1e-5)
        assert np.all(np.isclose(deviation, 1.0, atol=1e-5) | (deviation == 0.0))
        assert np.isfinite(rows.x_test).all()
        constant += int((deviation == 0.0).sum())
    assert constant > 0  # Switzerland's cholesterol was never measured: the 1e-9 is needed


def test_a_rows_features_are_these() -> None:
    rows = read(find())
    assert len(rows) == 920
    x, y = clean(rows, "cleveland")
    assert dict(zip(FEATURES, x[0], strict=True)) == {
        "age": 63.0,
        "sex=Male": 1.0,
        "trestbps": 145.0,
        "chol": 233.0,
        "fbs=TRUE": 1.0,
        "thalch": 150.0,
        "exang=TRUE": 0.0,
        "oldpeak": 2.3,
        "cp=atypical angina": 0.0,
        "cp=non-anginal": 0.0,
        "cp=asymptomatic": 0.0,
        "restecg=st-t abnormality": 0.0,
        "restecg=lv hypertrophy": 1.0,
    }
    assert (y[0], y[1]) == (0, 1)


def test_row_304_belongs_to_hungary_and_a_row_that_lacks_a_value_is_dropped() -> None:
    rows = read(find())
    assert next(row["dataset"] for row in rows if row["id"] == "304") == "Cleveland"
    assert [len(clean(rows, site)[1]) for site in HOSPITALS] == [303, 261, 46, 130]
    only = [row for row in rows if row["id"] in ("304", "305")]
    assert len(clean(only, "cleveland")[1]) == 0
    assert len(clean(only, "hungary")[1]) == 2
    for name in tables.NEEDED:
        assert len(clean([{**only[0], name: ""}], "hungary")[1]) == 0
    assert len(clean([{**only[0], "ca": "", "thal": "", "slope": ""}], "hungary")[1]) == 1


def test_a_class_of_two_rows_is_not_stratified() -> None:
    x = np.arange(40.0).reshape(20, 2)
    for positives in (2, 3, 10):
        rows = split(x, np.array([1] * positives + [0] * (20 - positives)))
        assert (len(rows.y_train), len(rows.y_test)) == (13, 7)
        if positives > 2:
            assert rows.y_test.sum() >= 1


def test_another_table_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "heart_disease_uci.csv"
    other.write_bytes(find().read_bytes() + b"\n")
    with pytest.raises(OperatorFault, match="checksum-wrong"):
        read(other)
    with pytest.raises(OperatorFault, match="file-unreadable"):
        read(tmp_path / "absent.csv")
    monkeypatch.setattr(tables, "VERSION", "0.0.9")
    with pytest.raises(OperatorFault, match="checksum-wrong") as caught:
        find()
    assert "0.1.0" in caught.value.why
    monkeypatch.setattr(tables, "PACKAGE", "no-such-package-here")
    with pytest.raises(OperatorFault, match="file-unreadable") as caught:
        find()
    assert caught.value.next == f"{how_to_install('demo')}, or: pip install no-such-package-here==0.0.9"
    with pytest.raises(OperatorFault, match="no hospital is called 'berlin'"):
        data("berlin")


def tiny() -> Hospital:
    """Two training and two test rows of one feature that matters."""
    x = np.zeros((2, 13), np.float32)
    x[0, 0], x[1, 0] = 1.0, -1.0
    y = np.array([1.0, 0.0], np.float32)
    return Hospital(x_train=x, y_train=y, x_test=x, y_test=y)


def test_one_step_from_zero_is_what_the_formula_gives() -> None:
    # at zero every chance is 1/2: errors -1/2 and +1/2; slope of the weight = (1 * -1/2 + -1 * 1/2) / 2 = -1/2
    zero = {"bias": np.zeros(1, np.float32), "weight": np.zeros(13, np.float32)}
    result = outcome(train, zero, {"heart": tiny()}, told("train", {"epochs": 1, "batch": 2, "lr": 0.5}, 1, 0))
    assert result.weights is not None
    assert result.weights["weight"].dtype == np.float32
    assert result.weights["weight"].tolist() == [0.25] + [0.0] * 12
    assert result.weights["bias"].tolist() == [0.0]
    assert result.weight == 2.0
    # of the base: a logit of 0 is no disease, so one of two rows is right; ln 2 nats a row
    assert result.metrics["accuracy"] == (1.0, 2.0)
    assert result.metrics["loss"] == pytest.approx((2 * np.log(2), 2.0))


def test_the_metrics_are_sums_over_the_test_rows_and_bear_huge_logits() -> None:
    sure = {"bias": np.zeros(1), "weight": np.array([1000.0] + [0.0] * 12)}
    assert measure(sure, tiny()) == {"accuracy": (2.0, 2.0), "loss": (0.0, 2.0)}
    wrong = {"bias": np.zeros(1), "weight": -sure["weight"]}
    assert measure(wrong, tiny()) == {"accuracy": (0.0, 2.0), "loss": (2000.0, 2.0)}
    assert np.isfinite(gradient(wrong, tiny().x_train, tiny().y_train)["weight"]).all()


def test_the_slope_is_that_of_the_loss(hospitals: dict[str, Hospital]) -> None:
    rows = hospitals["va"]
    model = {name: values.astype(np.float64) * 30 for name, values in init(3).items()}
    model["bias"] += 0.2

    def loss(name: str, index: int, step: float) -> float:
        nudged = {key: values.copy() for key, values in model.items()}
        nudged[name][index] += step
        total, count = measure(nudged, rows)["loss"]
        return total / count

    slopes = gradient(model, rows.x_test, rows.y_test)
    for name, values in slopes.items():
        for index in range(len(values)):
            rise = (loss(name, index, 1e-5) - loss(name, index, -1e-5)) / 2e-5
            assert values[index] == pytest.approx(rise, abs=1e-8)


def test_the_seed_moves_the_initial_weights_and_the_batches(hospitals: dict[str, Hospital]) -> None:
    assert np.array_equal(init(1)["weight"], init(1)["weight"])
    assert not np.array_equal(init(1)["weight"], init(2)["weight"])
    base, held = init(1), {"heart": hospitals["hungary"]}
    trained = []
    for round, seed in ((1, 5), (1, 5), (2, 5), (1, 6)):
        weights = outcome(train, base, held, told("train", LOCAL, round, seed)).weights
        assert weights is not None
        trained.append(weights["weight"].tolist())
    assert trained[0] == trained[1]
    assert len({tuple(weights) for weights in trained}) == 3
    assert np.array_equal(base["weight"], init(1)["weight"])


def test_an_evaluation_has_the_metrics_that_training_tells_of_its_base(hospitals: dict[str, Hospital]) -> None:
    base, held = init(4), {"heart": hospitals["cleveland"]}
    measured = outcome(evaluate, base, held, told("evaluate", {}, 1, 0))
    assert measured.weights is None
    assert measured.weight == 104.0
    assert measured.metrics == outcome(train, base, held, told("train", LOCAL, 1, 0)).metrics


def test_fifteen_rounds_by_hand_come_near_to_pooling_all_rows(hospitals: dict[str, Hospital]) -> None:
    every = list(hospitals.values())
    x = np.concatenate([rows.x_train for rows in every])
    y = np.concatenate([rows.y_train for rows in every])
    fitted = LogisticRegression(C=np.inf, max_iter=1000).fit(x, y)
    central = {"weight": fitted.coef_[0], "bias": fitted.intercept_}
    wanted = pooled(
        [outcome(evaluate, central, {"heart": rows}, told("evaluate", {}, 1, 0)) for rows in every], "accuracy"
    )
    for seed in (0, 1, 42):
        model = init(seed)
        first = 0.0
        for round in range(1, 16):
            config = told("train", LOCAL, round, seed)
            results = [outcome(train, model, {"heart": rows}, config) for rows in every]
            first = first or pooled(results, "loss")
            model = average(model, results)
        last = [outcome(evaluate, model, {"heart": rows}, told("evaluate", {}, 1, 0)) for rows in every]
        assert pooled(last, "accuracy") > wanted - 0.02
        assert pooled(last, "loss") < 0.85 * first


def test_the_tasks_names_lead_to_these_functions() -> None:
    task = read_task(Path(__file__).parents[3] / "examples" / "hospital" / "task.toml")
    assert load_plan(task.task.plan).function is train
    assert load_init(task.model.init) is init
    assert len(load_data("podium_examples.hospital:data?va")["heart"]) == 85
    assert task.local == LOCAL
    assert (task.round.goal, task.round.minimum, task.run.rounds, task.run.seed) == (4, 3, 15, 42)
