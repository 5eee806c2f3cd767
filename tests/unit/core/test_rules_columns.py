"""Rules on columns against numbers derived by hand: clause codes, the unknown, ints at their ends, what is refused."""

from collections.abc import Callable

import numpy as np
import pytest

from podium.core.fleet.facts import Facts
from podium.core.selection import operations
from podium.core.selection.columnwise import FactColumns
from podium.core.selection.operations import Column
from podium.core.selection.rules import Rule, compile_rules
from podium.core.selection.standing import Crowded, Part, Standing
from podium.wire.problems import OperatorFault
from tests.support.core_made import task

LEAST, MOST = -(2**63), 2**63 - 1
EDGES = [0, 1, -1, 2, -2, 7, -7, 3_037_000_500, LEAST, LEAST + 1, MOST, MOST - 1]
SETS: list[Facts] = [
    {"device.os": "linux", "device.ram_mb": 4096, "device.labels": {"ward": "3"}},
    {"device.os": "ios", "device.ram_mb": MOST, "device.labels": {}},
    {},
]
FACTS = FactColumns(
    sets=np.array([0, 0, 1, 2], np.int32),
    facts_of=SETS.__getitem__,
    columns={
        "device.battery": np.array([0.5, 0.25, np.nan, 1.0], np.float32),
        "device.charging": np.array([1, 0, -1, 1], np.int8),
    },
    datasets={"hearts": np.array([120, 0, -1, 7], np.int32)},
)


def when(text: str) -> Rule:
    return compile_rules(task(when=text)).when


@pytest.mark.parametrize(
    ("rule", "codes"),
    [
        ("", [-1, -1, -1, -1]),
        ("device.charging", [-1, 0, 1, -1]),
        ("!device.charging", [0, -1, 1, 0]),
        ("!(device.charging || device.battery > 0.4)", [0, -1, 1, 0]),
        ("device.os == 'linux' && device.charging && device.battery > 0.6", [4, 2, 0, 1]),
        ("(device.os == 'linux' && device.charging) && device.battery > 0.6", [2, 0, 0, 1]),
        ("true && device.battery >= 0.25", [-1, -1, 3, -1]),
        ("1 / 0 == 1 || device.charging", [-1, 1, 1, -1]),
        ("1 / 0 == 1 && device.charging", [1, 1, 1, 1]),
        ("(1 / 0 == 1 && device.charging) || device.battery == 0.25", [1, -1, 1, 1]),
        ("device.charging || true", [-1, -1, -1, -1]),
        ("device.charging && false", [2, 0, 1, 2]),
        ("(device.charging && false) || false", [0, 0, 0, 0]),
        ("device.charging ? device.battery > 0.4 : device.ram_mb == 4096", [-1, -1, 1, -1]),
        ("device.battery < 0.3 ? device.cores == 1 : true", [-1, 1, 1, -1]),
        ("device.ram_mb + device.datasets['hearts'] > 0", [-1, -1, 1, 1]),
        ("'hearts' in device.datasets", [-1, -1, 0, -1]),
        ("has(device.datasets.lungs) || size(device.datasets) == 1", [-1, -1, 0, -1]),
        ("device.datasets.lungs > 0", [1, 1, 1, 1]),
        ("device.datasets['hea' + 'rts'] in [7, 120]", [-1, 0, 1, -1]),
        ("device.datasets['hearts'] in [7, device.ram_mb, 120]", [-1, 0, 1, 1]),
        ("'ward' in device.labels || device.charging", [-1, -1, 1, -1]),
        ("device.labels['ward'] == '3' && device.charging", [-1, 2, 1, 1]),
        ("(device.charging ? 'linux' : 'ios') == device.os", [-1, 0, 1, 1]),
        ("device.latency_ms < 50.0 || device.freshness_h > 1.0", [1, 1, 1, 1]),
        ("device.battery / 0.0 > 1e308 && 0.0 / (device.battery - 0.5) != 0.0", [-1, 2, 1, 2]),
        ("int(device.battery * 1e19) > 0", [-1, -1, 1, 1]),
    ],
)
def test_each_row_has_the_code_of_the_first_clause_that_fails(rule: str, codes: list[int]) -> None:
    assert when(rule).first_failing(FACTS).tolist() == codes
    rows = [when(rule).first_failing(FACTS.of(np.array([row]))).tolist() for row in range(4)]
    assert [code for row in rows for code in row] == codes


def test_a_batch_of_no_rows_has_no_codes() -> None:
    codes = when("device.charging").first_failing(FACTS.of(np.array([], np.int64)))
    assert codes.dtype == np.int16
    assert len(codes) == 0


def test_few_rows_left_are_evaluated_alone_and_keep_their_numbers() -> None:
    rows = np.arange(100, dtype=np.int32)
    columns = {f"device.{name}": rows.astype(np.float32) for name in ("battery", "thermal_c", "latency_ms")}
    facts = FactColumns(sets=rows % 3, facts_of=SETS.__getitem__, columns=columns, datasets={"hearts": rows})
    rule = "device.battery >= 90.0 && device.thermal_c > 91.0 && device.os == 'linux' && device.datasets.hearts < 99"
    codes = when(rule).first_failing(facts)
    assert codes[:90].tolist() == [0] * 90
    assert codes[90:].tolist() == [2, 2, 5, -1, 4, 5, -1, 4, 5, 6]


@pytest.mark.parametrize(
    ("operation", "exact"),
    [
        (operations.added, lambda a, b: a + b),
        (operations.subtracted, lambda a, b: a - b),
        (operations.multiplied, lambda a, b: a * b),
        (operations.divided, lambda a, b: None if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)),
    ],
)
def test_ints_are_exact_or_unknown(
    operation: Callable[[Column, Column], Column], exact: Callable[[int, int], int | None]
) -> None:
    pairs = [(a, b) for a in EDGES for b in EDGES]
    first, second = (np.array(each, np.int64) for each in zip(*pairs, strict=True))
    with np.errstate(all="ignore"):
        values, unknown = operation((first, None), (second, None))
    assert unknown is not None
    expected = [exact(a, b) for a, b in pairs]
    inside = [value if value is not None and LEAST <= value <= MOST else None for value in expected]
    found = [None if lost else int(value) for value, lost in zip(values, unknown, strict=True)]
    assert found == inside


@pytest.mark.parametrize("sign", ["+", "-", "*", "/", "%"])
def test_ints_at_their_ends_are_the_library_s(sign: str) -> None:
    sets: list[Facts] = [{"device.ram_mb": a, "device.cores": b} for a in EDGES for b in EDGES]
    switched = f"(device.charging ? device.ram_mb : 0) {sign} (device.charging ? device.cores : 1)"
    rows = np.arange(len(sets), dtype=np.int32)
    charging = {"device.charging": np.ones(len(rows), np.int8)}
    facts = FactColumns(sets=rows, facts_of=sets.__getitem__, columns=charging, datasets={})
    for bound in ("-1000", "-1", "0", "1", "4611686018427387904"):
        rule = when(f"{switched} > {bound}")
        expected = [rule.failing({**each, "device.charging": True}) for each in sets]
        codes = [-1 if each is None else 2 * each.index + each.unknown for each in expected]
        assert rule.first_failing(facts).tolist() == codes


@pytest.mark.parametrize(
    ("rule", "part"),
    [
        ("string(device.battery) == '1'", "`==` at character 24"),
        ("device.charging && device.datasets.exists(k, k == 'a')", "`exists, all, map or filter`"),
        ("device.datasets[device.os] > 1", "`[]` at character 16"),
        ("dyn(device.battery) > 1", "`>` at character 21"),
        ("(device.battery > 0.5 ? 'a' : 'b') == device.os", "`==`"),
        ("device.datasets == {'a': 1}", "`==`"),
        ("[device.battery][0] > 1.0", "`[]`"),
    ],
)
def test_what_has_no_array_operation_is_refused_with_its_place(rule: str, part: str) -> None:
    with pytest.raises(OperatorFault) as fault:
        compile_rules(task(when=rule))
    assert fault.value.code == "expression-invalid"
    assert part in fault.value.why
    assert "each device has its own device." in fault.value.why


def test_requires_may_name_data_facts_and_the_region() -> None:
    rule = compile_rules(task(requires="device.label_coverage > 0.5 && device.region != 'north'")).requires
    sets: list[Facts] = [{"device.region": "south"}, {"device.region": "north"}]
    facts = FactColumns(
        sets=np.array([0, 0, 1], np.int32),
        facts_of=sets.__getitem__,
        columns={"device.label_coverage": np.array([0.75, 0.25, 1.0], np.float32)},
        datasets={},
    )
    assert rule.first_failing(facts).tolist() == [-1, 0, 2]


def tens(facts: Facts) -> int | None:
    size = facts.get("device.cores")
    return size * 10 if isinstance(size, int) else None


def test_a_set_is_evaluated_once_however_the_table_grows() -> None:
    asked: list[int] = []

    def facts_of(number: int) -> Facts:
        asked.append(number)
        return {"device.cores": number} if number % 2 else {}

    standing = Standing(sets_max=1024)
    part = standing.add(Part(tens, (), np.int64))
    for start in (0, 60, 500):
        sets = np.arange(start, start + 300, dtype=np.int32)
        values, unknown = standing.column(part, standing.places(sets, facts_of), None)
        assert unknown is not None
        assert unknown.tolist() == [number % 2 == 0 for number in sets]
        assert values[~unknown].tolist() == [10 * number for number in sets if number % 2]
    assert sorted(asked) == [*range(360), *range(500, 800)]


def test_a_full_table_forgets_the_sets_of_long_ago() -> None:
    standing = Standing(sets_max=4)
    part = standing.add(Part(tens, (), np.int64))

    def values(*sets: int) -> list[int]:
        places = standing.places(np.array(sets, np.int32), lambda number: {"device.cores": number})
        return [int(value) for value in standing.column(part, places, None)[0]]

    assert values(0, 1, 2, 3) == [0, 10, 20, 30]
    assert values(5, 2, 7) == [50, 20, 70]
    assert values(0, 1) == [0, 10]
    with pytest.raises(Crowded):
        values(1, 5)


def test_a_batch_with_more_sets_than_are_remembered_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Standing.__init__, "__defaults__", (4,))
    sets = np.arange(40, dtype=np.int32)
    facts = FactColumns(sets=sets, facts_of=lambda number: {"device.cores": number}, columns={}, datasets={})
    assert when("device.cores >= 30").first_failing(facts).tolist() == [0] * 30 + [-1] * 10
