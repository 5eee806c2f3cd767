"""Lists, numbers, limits and counts as the command line reads and writes them."""

from pathlib import Path

import pytest
import typer

from podium.cli.output import count_of_bytes, decimals, printable, say_table, short
from podium.cli.planes import limits_from, make_directory
from podium.cli.simulations import counted
from podium.wire.limits import Limits
from podium.wire.problems import OperatorFault


def test_columns_are_as_wide_as_their_widest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    say_table(("RUN", "STATE"), [("7f3a", "RUNNING"), ("8", "-")])
    assert capsys.readouterr().out == "RUN   STATE\n7f3a  RUNNING\n8     -\n"
    say_table(("RUN", "STATE"), [])
    assert capsys.readouterr().out == "RUN  STATE\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (12_345_678, "12.3 MB"), (4_100_000_000_000, "4100.0 GB")],
)
def test_bytes_are_written_in_decimal_units(count: int, text: str) -> None:
    assert count_of_bytes(count) == text


def test_metrics_have_four_digits_and_digests_twelve() -> None:
    assert decimals(0.123456) == "0.1235"
    assert decimals(12345.6) == "1.235e+04"
    assert short("sha256:" + "ab" * 32) == "abababababab"
    assert short("") == "-"


def test_settings_change_limits_by_name_and_type() -> None:
    limits = limits_from(["window_idle_ms=200", "over_max=3"])
    assert (limits.window_idle_ms, limits.over_max) == (200, 3.0)
    assert limits_from([]) == Limits()


@pytest.mark.parametrize("setting", ["window_idle_ms", "body_ms=1", "window_idle_ms=soon", "over_max=0.5", "x=1"])
def test_a_setting_that_cannot_be_is_named(setting: str) -> None:
    with pytest.raises(OperatorFault) as refused:
        limits_from([setting])
    assert refused.value.code == "limit-invalid"
    assert setting in refused.value.what or setting.split("=")[0] in refused.value.what


def test_a_data_directory_that_cannot_be_is_no_bug(tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.touch()
    for path in (taken, taken / "below"):
        with pytest.raises(OperatorFault, match="usage"):
            make_directory(path)


def test_what_a_device_told_cannot_steer_a_terminal() -> None:
    assert printable("Traceback\n\tZero\x1b]0;owned\x07 \x9b2J\r é") == "Traceback\n\tZero?]0;owned? ?2J? é"


def test_a_count_of_devices_may_be_written_with_an_exponent() -> None:
    assert (counted("1000"), counted("1e4")) == (1_000, 10_000)
    for text in ("0", "many", "1.5", "-3", "nan"):
        with pytest.raises(typer.BadParameter):
            counted(text)
