"""Decimals: the Number-to-string table of RFC 8785 appendix B, and what the reader refuses."""

import struct

import numpy as np
import pytest

from podium.wire.canonical import decimal, parse_decimal
from podium.wire.problems import DeviceFault

APPENDIX_B = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]


@pytest.mark.parametrize(("bits", "text"), APPENDIX_B)
def test_the_table_of_rfc8785_appendix_b(bits: str, text: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert decimal(value) == text
    assert parse_decimal(text) == value


@pytest.mark.parametrize("bits", ["7fffffffffffffff", "7ff0000000000000", "fff0000000000000"])
def test_what_is_not_finite_has_no_decimal(bits: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    with pytest.raises(ValueError, match="no decimal form"):
        decimal(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-1.0, "-1"),
        (100.0, "100"),
        (0.1, "0.1"),
        (0.73, "0.73"),
        (1e30, "1e+30"),
        (4.50, "4.5"),
        (2e-3, "0.002"),
        (1e-27, "1e-27"),
        (1e20, "100000000000000000000"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (-1.5e-7, "-1.5e-7"),
        (1.25e25, "1.25e+25"),
    ],
)
def test_layouts_of_ecmascript(value: float, text: str) -> None:
    assert decimal(value) == text
    assert parse_decimal(text) == value


def test_numbers_of_numpy_and_integers_are_written_alike() -> None:
    assert decimal(np.float64(0.5)) == "0.5"
    assert decimal(float(np.float32(0.1))) == "0.10000000149011612"
    assert decimal(104) == "104"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "nan",
            "NaN",
            "inf",
            "-inf",
            "Infinity",
            "0x1p3",
            "0x10",
            "1_0",
            " 1",
            "1 ",
            "1\n",
            "+1",
            "-0",
            "00",
            "01",
        ),
        *("1.0", "1.", ".5", "-.5", "1e3", "1E3", "1e21", "1e+021", "1e-6", "0.10", "1e400", "١", "1,5", "--1", "1e"),
        *("0.1000000000000000055511151231257827", "9007199254740993", "100000000000000000000000"),
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(DeviceFault) as caught:
        parse_decimal(text)
    assert caught.value.code == "body-malformed"
    assert caught.value.why
