"""CEL's operators on columns of bools, ints and doubles: one array operation for what the library does once a device.

Decides: nothing; it says what CEL says, for many rows at once. A column is its values and where they are unknown (None:
nowhere). Whatever CEL calls an error is unknown here: a fact not told, a division by zero, an int beyond 64 bits, a
double that is no int. `&&` and `||` absorb the unknown where the other side decides; nothing else does.
Limits: where a bool is unknown its value is False, which `both` and `either` rely on; where a number is unknown its
value is anything. Doubles follow IEEE 754, so 1.0 / 0.0 is known. Not for strings, lists and maps.
Source: the language definition of https://github.com/google/cel-spec; tests hold it to the CEL library.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
"""bool, int64 or float64 of shape (rows,); an operand may be a scalar of those."""
Unknown = NDArray[np.bool_] | None
Column = tuple[Values, Unknown]

_LEAST = np.int64(-(2**63))
_BEYOND = 2.0**63


def merged(first: Unknown, second: Unknown) -> Unknown:
    """Where either is unknown."""
    if first is None or second is None:
        return second if first is None else first
    return first | second


def both(first: Column, second: Column) -> Column:
    """`&&`: false where either is known to be false."""
    (a, no_a), (b, no_b) = first, second
    values = a & b
    if no_a is None and no_b is None:
        return values, None
    may_a = a if no_a is None else a | no_a
    may_b = b if no_b is None else b | no_b
    return values, may_a & may_b & ~values


def either(first: Column, second: Column) -> Column:
    """`||`: true where either is known to be true."""
    values, unknown = first[0] | second[0], merged(first[1], second[1])
    return values, None if unknown is None else unknown & ~values


def negated(first: Column) -> Column:
    """`!`."""
    values, unknown = first
    return ~values if unknown is None else ~(values | unknown), unknown


def chosen(condition: Column, then: Column, otherwise: Column) -> Column:
    """`condition ? then : otherwise`: unknown where the condition or the branch that it takes is."""
    truth, unknown = condition
    values = np.where(truth, then[0], otherwise[0])
    if then[1] is not None or otherwise[1] is not None:
        lost = np.where(truth, _or_false(then[1]), _or_false(otherwise[1]))
        unknown = lost if unknown is None else lost | unknown
    return (values & ~unknown if unknown is not None and values.dtype == np.bool_ else values), unknown


def compared(by: np.ufunc) -> Callable[[Column, Column], Column]:
    """`==`, `!=`, `<`, `<=`, `>`, `>=` of two columns of one type, as the ufunc of that name."""

    def compare(first: Column, second: Column) -> Column:
        values, unknown = by(first[0], second[0]), merged(first[1], second[1])
        return (values if unknown is None else values & ~unknown), unknown

    return compare


def among(needle: Column, members: Sequence[Column]) -> Column:
    """`needle in [members]`: unknown where any member is, found or not."""
    values, unknown = np.zeros(np.shape(needle[0]), np.bool_), needle[1]
    for member in members:
        values = values | (needle[0] == member[0])
        unknown = merged(unknown, member[1])
    return (values if unknown is None else values & ~unknown), unknown


def of_doubles(by: np.ufunc) -> Callable[[Column, Column], Column]:
    """`+`, `-`, `*`, `/` of doubles, as the ufunc of that name."""

    def combine(first: Column, second: Column) -> Column:
        with np.errstate(all="ignore"):
            return by(first[0], second[0]), merged(first[1], second[1])

    return combine


def added(first: Column, second: Column) -> Column:
    """`+` of ints; a sum beyond 64 bits is unknown: its sign is that of neither term."""
    (a, _), (b, _) = first, second
    total = a + b
    return total, _lost(first, second, ((a ^ total) & (b ^ total)) < 0)


def subtracted(first: Column, second: Column) -> Column:
    """`-` of ints; a difference beyond 64 bits is unknown."""
    (a, _), (b, _) = first, second
    rest = a - b
    return rest, _lost(first, second, ((a ^ b) & (a ^ rest)) < 0)


def multiplied(first: Column, second: Column) -> Column:
    """`*` of ints; a product beyond 64 bits is unknown: dividing it by a factor does not give the other back."""
    (a, _), (b, _) = first, second
    product = a * b
    with np.errstate(over="ignore"):
        lost = (a != 0) & (product // np.where(a == 0, 1, a) != b)
    return product, _lost(first, second, lost | ((a == -1) & (b == _LEAST)))


def divided(first: Column, second: Column) -> Column:
    """`/` of ints, towards zero; by zero it is unknown, and so is the one quotient beyond 64 bits."""
    (a, _), (b, _) = first, second
    lost = _undivided(a, b)
    by = np.where(lost, 1, b)
    return (a - np.fmod(a, by)) // by, _lost(first, second, lost)


def remainder(first: Column, second: Column) -> Column:
    """`%` of ints, with the dividend's sign; unknown where `/` is."""
    (a, _), (b, _) = first, second
    lost = _undivided(a, b)
    return np.fmod(a, np.where(lost, 1, b)), _lost(first, second, lost)


def opposite_int(first: Column) -> Column:
    """`-` of an int; of the least one it is unknown."""
    return -first[0], _lost(first, first, first[0] == _LEAST)


def opposite_double(first: Column) -> Column:
    """`-` of a double."""
    return -first[0], first[1]


def to_int(first: Column) -> Column:
    """`int(double)`, towards zero; unknown from 2**63 and down to -2**63, which the library leaves out as well."""
    values, _ = first
    lost = ~((values > -_BEYOND) & (values < _BEYOND))
    return np.where(lost, 0.0, values).astype(np.int64), _lost(first, first, lost)


def to_double(first: Column) -> Column:
    """`double(int)`, the nearest one."""
    return np.asarray(first[0], np.float64), first[1]


def same(first: Column) -> Column:
    """A conversion to the type it has."""
    return first


def _or_false(unknown: Unknown) -> NDArray[np.bool_] | np.bool_:
    return np.False_ if unknown is None else unknown


def _undivided(a: Values, b: Values) -> NDArray[np.bool_]:
    lost: NDArray[np.bool_] = (b == 0) | ((a == _LEAST) & (b == -1))
    return lost


def _lost(first: Column, second: Column, lost: NDArray[np.bool_]) -> Unknown:
    """Where an operand or the result is unknown."""
    return merged(merged(first[1], second[1]), lost if np.any(lost) else None)
