"""Named arrays as safetensors bytes, and what an update of a base version must look like.

Decides: the encoding `safetensors-f32`, the dtypes Podium carries, the largest an update can be. Never: whether a given
update is acceptable (adapters/engine.py). Nothing is ever unpickled: the header is JSON, the rest is raw numbers.
Limits: little-endian; dtypes of `DTYPES`; bfloat16 and float8 are not carried by numpy and are refused.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from podium.wire.messages import TensorSpec

Arrays = dict[str, NDArray[np.generic]]

DTYPES: dict[str, np.dtype[np.generic]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
"""safetensors' word -> numpy's dtype."""
FLOATS = frozenset({"F64", "F32", "F16"})
"""Tensors of these dtypes are trained and averaged; all others keep the base's value."""
_WORDS = {dtype: word for word, dtype in DTYPES.items()}

_ENTRY_BYTES = 256
"""The most that one header entry needs besides its name: dtype, eight axes, two offsets, spaces."""
_HEADER_BYTES = 4096
"""Room for the header's length, metadata and padding."""


def read_arrays(data: bytes) -> Arrays:
    """The arrays of safetensors bytes, by name; they own their memory (a copy of `data`'s tensors).

    `ValueError` if the bytes are not whole, gapless safetensors (offsets, sizes, names) or hold a dtype not carried.
    """
    try:
        arrays = load(data)
    except SafetensorError as error:
        raise ValueError(f"not safetensors: {error}") from error
    except KeyError as error:  # a dtype of the format that numpy has not
        raise ValueError(f"a tensor is {error}: {', '.join(DTYPES)} are carried") from error
    _check_carried(arrays)
    return dict(arrays)


def write_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """safetensors bytes without metadata; the same arrays give the same bytes, in whatever order they come.

    `ValueError` for a dtype not carried.
    """
    _check_carried(arrays)
    # The writer takes raw memory, so every array must be contiguous; a scalar stays a scalar.
    return save({name: np.asarray(array, order="C") for name, array in sorted(arrays.items())})


def specs_of_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> tuple[TensorSpec, ...]:
    """Name, shape and dtype of each array, sorted by name; dtypes of `DTYPES` only."""
    return tuple(
        TensorSpec(name=name, shape=array.shape, dtype=_WORDS[array.dtype.newbyteorder("<")])
        for name, array in sorted(arrays.items())
    )


def specs_of(data: bytes) -> tuple[TensorSpec, ...]:
    """Name, shape and dtype of each tensor of safetensors bytes, sorted by name. `ValueError` as of `read_arrays`."""
    return specs_of_arrays(read_arrays(data))


def update_specs(base: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """What an update of `base` holds: each float tensor as F32; integer tensors are not sent."""
    return tuple(TensorSpec(name=spec.name, shape=spec.shape, dtype="F32") for spec in base if spec.dtype in FLOATS)


def update_bytes_max(base: Sequence[TensorSpec]) -> int:
    """The most bytes a plain (unsealed) update of `base` can have: its float32 numbers and a roomy header.

    What bounds all allocation for an update before anything of it is read.
    """
    numbers = sum(4 * int(np.prod(spec.shape, dtype=np.int64)) for spec in update_specs(base))
    # A JSON writer may escape each byte of a name as six characters.
    names = sum(6 * len(spec.name.encode()) + _ENTRY_BYTES for spec in base)
    return numbers + names + _HEADER_BYTES


def _check_carried(arrays: Mapping[str, NDArray[np.generic]]) -> None:
    for name, array in arrays.items():
        if array.dtype.newbyteorder("<") not in _WORDS:
            raise ValueError(f"tensor {name} is {array.dtype}: {', '.join(DTYPES)} are carried")
