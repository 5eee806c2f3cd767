"""Arrays as safetensors: round trips, determinism, what is refused, and how large an update can be."""

import json
import struct

import numpy as np
import pytest

from podium.wire.messages import TensorSpec
from podium.wire.tensors import DTYPES, Arrays, read_arrays, specs_of, update_bytes_max, update_specs, write_arrays


def raw(header: object, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


@pytest.mark.parametrize("word", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3)])
def test_round_trip(word: str, shape: tuple[int, ...]) -> None:
    array = np.arange(int(np.prod(shape))).reshape(shape).astype(DTYPES[word])
    data = write_arrays({"t": array})
    back = read_arrays(data)["t"]
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert specs_of(data) == (TensorSpec(name="t", shape=shape, dtype=word),)


def test_known_bytes() -> None:
    data = write_arrays({"b": np.array([1.0], np.float32)})
    assert data == raw(b'{"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}  ', b"\x00\x00\x80\x3f")


def test_the_same_arrays_are_the_same_bytes_however_they_lie() -> None:
    a, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.arange(3)
    data = write_arrays({"a": a, "b": b})
    assert write_arrays({"b": b, "a": np.asfortranarray(a)}) == data
    assert write_arrays({"a": a.T.copy().T, "b": b[::-1].copy()[::-1]}) == data
    assert write_arrays({"a": a.astype(">f4"), "b": b}) == data
    assert read_arrays(data)["a"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_what_is_read_owns_its_memory() -> None:
    data = write_arrays({"a": np.ones(3, np.float32)})
    array = read_arrays(data)["a"]
    array[...] = 2
    assert read_arrays(data)["a"].tolist() == [1.0, 1.0, 1.0]


BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "short": b"abc",
    "header beyond the bytes": struct.pack("<Q", 2**60) + b"{}",
    "no JSON": raw(b"{]"),
    "pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00cos\nsystem\n.",
    "hole": raw({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, b"\0" * 8),
    "bytes left over": raw({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 8),
    "overlap": raw({n: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for n in "ab"}, b"\0" * 4),
    "shape beyond its bytes": raw({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"\0" * 4),
    "shape that overflows": raw({"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}}, b"\0" * 4),
    "negative shape": raw({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"\0" * 4),
    "unknown dtype": raw({"a": {"dtype": "Q7", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4),
    "bfloat16": raw({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, b"\0" * 4),
    "complex": raw({"a": {"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}}, b"\0" * 8),
}


@pytest.mark.parametrize("case", BROKEN)
def test_refused(case: str) -> None:
    with pytest.raises(ValueError, match=r"safetensors|carried"):
        read_arrays(BROKEN[case])


def test_dtypes_not_carried_are_not_written() -> None:
    for array in (np.zeros(1, np.complex64), np.array(["text"]), np.zeros(1, np.longdouble)):
        with pytest.raises(ValueError, match="carried"):
            write_arrays({"a": array})


def test_an_update_holds_the_floats_as_float32() -> None:
    base: Arrays = {"n": np.zeros(3, np.int64), "h": np.zeros((2, 2), np.float16), "d": np.zeros((), np.float64)}
    assert update_specs(specs_of(write_arrays(base))) == (
        TensorSpec(name="d", shape=(), dtype="F32"),
        TensorSpec(name="h", shape=(2, 2), dtype="F32"),
    )


def test_every_update_fits_its_bound_and_the_bound_is_near() -> None:
    base: Arrays = {f"layer.{n}.ü": np.zeros((n, 3, 1, 1, 1, 1, 1, 10**5), np.float32) for n in range(3)}
    specs = specs_of(write_arrays(base))
    plain = write_arrays(base)
    assert len(plain) <= update_bytes_max(specs) <= len(plain) + 8192
    widest = {
        name: {"dtype": "F32", "shape": list(array.shape), "data_offsets": [10**12, 10**12]}
        for name, array in base.items()
    }
    assert len(json.dumps(widest, indent=1)) < update_bytes_max(specs) - 4 * sum(a.size for a in base.values())
