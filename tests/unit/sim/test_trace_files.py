"""Traces are read whole or not at all, and devices are there when their file says."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.sim.fleet import SimFleet
from podium.sim.fleet_terms import FleetTerms
from podium.sim.trace_files import Intervals, read_availability, read_capacity
from podium.sim.traces import NEVER_MS, PHASE_MS, TracedThere, availability_of
from podium.wire.problems import OperatorFault
from tests.tidy.rules.sources import ROOT

EXAMPLES = ROOT / "examples" / "traces"
FLEET = SimFleet(4, FleetTerms(), 1)
HEADER = "device,examples,seconds_per_example,download_mb_s,upload_mb_s,ram_mb,os,architecture"
ROW = {
    "device": "a",
    "examples": "5",
    "seconds_per_example": "0.1",
    "download_mb_s": "4",
    "upload_mb_s": "3",
    "ram_mb": "2048",
    "os": "linux",
    "architecture": "arm64",
}


def written(folder: Path, text: str, name: str = "trace.csv") -> Path:
    """A file of `text`."""
    path = folder / name
    path.write_bytes(text.encode())
    return path


def test_the_examples_are_read_and_both_forms_say_the_same() -> None:
    table, lines = (read_availability(EXAMPLES / f"availability.{form}") for form in ("csv", "jsonl"))
    assert table.names == lines.names == ("phone-1", "phone-2", "gateway-1")
    for name in ("offsets", "starts", "ends"):
        assert np.array_equal(getattr(table, name), getattr(lines, name))
    assert table.period_ms == lines.period_ms == 86_400_000
    assert table.offsets.tolist() == [0, 2, 3, 4]
    capacity = [read_capacity(EXAMPLES / f"capacity.{form}", table.names) for form in ("csv", "jsonl")]
    assert capacity[0].platforms == capacity[1].platforms
    assert capacity[0].examples.tolist() == capacity[1].examples.tolist() == [120, 45, 900]


def test_a_fleet_takes_what_a_capacity_file_says() -> None:
    capacity = read_capacity(EXAMPLES / "capacity.csv", ("phone-1", "phone-2", "gateway-1"))
    fleet = SimFleet(5, FleetTerms(), 1, capacity)
    assert fleet.data_facts(np.arange(5))["examples"].tolist() == [120, 45, 900, 120, 45]
    assert [fleet.capabilities()[number].os for number in fleet.class_of] == ["android", "android", "linux"] + [
        "android"
    ] * 2


def test_a_device_is_there_in_its_intervals(tmp_path: Path) -> None:
    path = written(tmp_path, "device,start_ms,end_ms\na,50,60\nb,5,9\na,10,20\n")
    there = TracedThere(read_availability(path), 1)
    asked = np.array([0, 10, 19, 20, 55, 60, 4, 8, 9, 1_000])
    devices = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
    never = NEVER_MS
    assert there.next_ms(devices, asked).tolist() == [10, 10, 19, 50, 55, never, 5, 8, never, never]


def test_a_trace_repeats_after_its_period(tmp_path: Path) -> None:
    path = written(tmp_path, "device,start_ms,end_ms,period_ms\na,10,20,100\na,50,60,100\nb,0,100,100\n")
    there = TracedThere(read_availability(path), 1)
    asked = np.array([60, 99, 110, 120, 1_060, 12_345])
    assert there.next_ms(np.zeros(6, np.int64), asked).tolist() == [110, 110, 110, 150, 1_110, 12_350]
    assert there.next_ms(np.ones(6, np.int64), asked).tolist() == asked.tolist()


def test_copies_of_a_trace_come_later_by_less_than_a_phase(tmp_path: Path) -> None:
    path = written(tmp_path, "device,start_ms,end_ms\na,1000,2000\nb,7000,8000\n")
    there = TracedThere(read_availability(path), 9)
    devices = np.arange(400)
    late = there.next_ms(devices, np.zeros(400, np.int64)) - np.where(devices % 2, 7_000, 1_000)
    assert late[:2].tolist() == [0, 0]
    assert 0 <= late.min() <= late.max() < PHASE_MS
    assert len(np.unique(late)) > 350
    assert late.mean() == pytest.approx(PHASE_MS / 2, rel=0.1)


INTERVALS = st.lists(st.lists(st.integers(0, 50), min_size=2, max_size=8, unique=True), min_size=1, max_size=4)


@given(INTERVALS, st.sampled_from([0, 50, 64]), st.lists(st.integers(0, 200), min_size=1, max_size=20))
def test_next_is_the_first_moment_that_is_in_an_interval(
    bounds: list[list[int]], period: int, asked: list[int]
) -> None:
    spans = [sorted(each)[: len(each) // 2 * 2] for each in bounds]
    there = TracedThere(
        Intervals(
            names=tuple(str(each) for each in range(len(spans))),
            offsets=np.cumsum([0, *(len(each) // 2 for each in spans)]),
            starts=np.array([each for span in spans for each in span[::2]], np.int64),
            ends=np.array([each for span in spans for each in span[1::2]], np.int64),
            period_ms=period,
        ),
        1,
    )

    def first(span: list[int], at: int) -> int:
        for moment in range(at, at + 200):
            inside = moment % period if period else moment
            if any(begin <= inside < end for begin, end in zip(span[::2], span[1::2], strict=True)):
                return moment
        return NEVER_MS

    for device, span in enumerate(spans):
        found = there.next_ms(np.full(len(asked), device, np.int64), np.array(asked, np.int64))
        assert found.tolist() == [first(span, at) for at in asked]


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        ("device,start_ms,end_ms\na,0,5\na,x,9\n", "line 3", "start_ms"),
        ("device,start_ms,end_ms\na,0,5\na,6,\n", "line 3", "end_ms"),
        ("device,start_ms,end_ms\na,-1,5\n", "line 2", ">= 0"),
        ("device,start_ms,end_ms\na,1.5,5\n", "line 2", "start_ms"),
        ("device,start_ms,end_ms\na,0,999999999999999\n", "line 2", "<="),
        ("device,start_ms,end_ms\n,0,5\n", "line 2", "device"),
        ("device,start_ms,end_ms\na,5,5\n", "line 2", "not after"),
        ("device,start_ms,end_ms\na,0,5\nb,0,5\na,4,9\n", "line 4", "overlaps that of line 2"),
        ("device,start_ms,end_ms\na,4,9\na,0,5\n", "line 3", "overlaps that of line 2"),
        ("device,start_ms,end_ms\na,0\n", "line 2", "2 cells under 3 columns"),
        ("device,start_ms,end_ms\na,0,5\n\na,7,8,9\n", "line 4", "4 cells"),
        ("device,start_ms,end_ms,sort\na,0,5,9\n", "line 2", "sort"),
        ("device,start_ms\na,0\n", "line 2", "end_ms"),
        ("device,start_ms,start_ms\na,0,1\n", "line 1", "twice"),
        ('device,start_ms,end_ms\n"a,0,5\n', "line 2", "unexpected end"),
        ("device,start_ms,end_ms,period_ms\na,0,5,9\na,6,7,8\n", "line 3", "9 before"),
        ("device,start_ms,end_ms,period_ms\na,0,5,4\n", "line 2", "cut the interval"),
        ("device,start_ms,end_ms\n", "trace.csv", "no rows"),
        ("", "trace.csv", "no rows"),
    ],
)
def test_a_malformed_table_names_its_line(tmp_path: Path, text: str, where: str, why: str) -> None:
    with pytest.raises(OperatorFault) as caught:
        read_availability(written(tmp_path, text))
    assert caught.value.code == "file-unreadable"
    assert caught.value.what.endswith(where)
    assert why in caught.value.why


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        ('{"device": "a", "start_ms": 0, "end_ms": 5}\n{"device": "a"}\n', "line 2", "start_ms"),
        ('{"device": "a", "start_ms": "0", "end_ms": 5}\n', "line 1", "start_ms"),
        ('{"device": "a", "start_ms": 0, "end_ms": 5, "more": 1}\n', "line 1", "more"),
        ('{"device": null, "start_ms": 0, "end_ms": 5}\n', "line 1", "device"),
        ('{"device": "a", "start_ms": 0, "end_ms": 5}\n\n{"device"\n', "line 3", "truncated"),
        ("[1, 2, 3]\n", "line 1", "array"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, text: str, where: str, why: str) -> None:
    with pytest.raises(OperatorFault) as caught:
        read_availability(written(tmp_path, text, "trace.jsonl"))
    assert caught.value.what.endswith(where)
    assert why in caught.value.why


@pytest.mark.parametrize("name", ["trace.csv", "trace.jsonl"])
def test_bytes_that_are_no_text_are_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    good = b"device,start_ms,end_ms\n" if name.endswith("csv") else b'{"device": "a", "start_ms": 0, "end_ms": 5}\n'
    bad = b"\xff,0,5\n" if name.endswith("csv") else b'{"device": "\xff", "start_ms": 0, "end_ms": 5}\n'
    path.write_bytes(good + bad)
    with pytest.raises(OperatorFault, match="line 2"):
        read_availability(path)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("device", ""),
        ("examples", "-1"),
        ("examples", "1.5"),
        ("examples", "3000000000"),
        ("seconds_per_example", "0"),
        ("seconds_per_example", "nan"),
        ("seconds_per_example", "fast"),
        ("download_mb_s", "inf"),
        ("download_mb_s", "-4"),
        ("upload_mb_s", ""),
        ("upload_mb_s", "nan"),
        ("ram_mb", "0"),
        ("ram_mb", "2G"),
        ("os", ""),
        ("architecture", ""),
    ],
)
def test_every_column_of_a_capacity_row_is_checked(tmp_path: Path, column: str, value: str) -> None:
    good = ",".join(ROW.values())
    bad = ",".join((ROW | {"device": "b", column: value}).values())
    with pytest.raises(OperatorFault) as caught:
        read_capacity(written(tmp_path, f"{HEADER}\n{good}\n{bad}\n"))
    assert caught.value.what.endswith("line 3")
    assert column in caught.value.why


@pytest.mark.parametrize(
    ("devices", "known", "why"),
    [
        (["a", "a"], (), "device a has a row before"),
        (["a", "c"], ("a", "b"), "device c is not in the availability file"),
        (["a"], ("a", "b"), "device b of the availability file has no row"),
    ],
)
def test_capacity_rows_are_of_the_devices_that_are_known(
    tmp_path: Path, devices: list[str], known: tuple[str, ...], why: str
) -> None:
    rows = "\n".join(",".join((ROW | {"device": device}).values()) for device in devices)
    with pytest.raises(OperatorFault) as caught:
        read_capacity(written(tmp_path, f"{HEADER}\n{rows}\n"), known)
    assert caught.value.why == why


def test_a_byte_order_mark_and_numbers_as_names_are_taken(tmp_path: Path) -> None:
    table = read_availability(written(tmp_path, "\ufeffdevice,start_ms,end_ms\r\n17,0,5\r\n"))
    lines = read_availability(written(tmp_path, '{"device": 17, "start_ms": 0, "end_ms": 5}\n', "trace.jsonl"))
    assert table.names == lines.names == ("17",)


def test_what_is_no_trace_is_refused(tmp_path: Path) -> None:
    for trace in ("lunar", str(tmp_path / "trace.parquet")):
        with pytest.raises(OperatorFault, match="flat, diurnal, or a file"):
            availability_of(trace, FLEET, 1)
    with pytest.raises(OperatorFault, match="No such file"):
        availability_of(str(tmp_path / "gone.csv"), FLEET, 1)
    with pytest.raises(OperatorFault, match=r"ends in \.csv or \.jsonl"):
        read_capacity(tmp_path / "trace.txt")


def test_flat_is_always_there() -> None:
    at = np.array([0, 5, 10**9])
    assert availability_of("flat", FLEET, 1).next_ms(np.arange(3), at).tolist() == at.tolist()
