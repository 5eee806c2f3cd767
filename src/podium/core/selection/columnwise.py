"""Clauses on columns: a checked tree as array operations, one call for a batch of devices.

Decides: what of a clause is computed how. A part that names standing facts alone is computed once per fact set
(standing.py); operators on bools, ints and doubles are array operations (operations.py); another part is computed once
per fact set and value of its switches, if those are all it names. Anything else is refused at submission: it names a
number that differs from device to device and has no array operation. Never: a result that the library would not give.
Limits: `device.datasets` is read by constant names, by `in`, `has()` and `size()`.
"""

from collections.abc import Callable, Mapping
from functools import partial

import msgspec
import numpy as np
from cel_expr_python import cel
from numpy.typing import NDArray

from podium.core.fleet.facts import DATASETS, Fact, Facts, as_told
from podium.core.selection import operations
from podium.core.selection.declared import OWN, SWITCHES
from podium.core.selection.expressions import Term, Tree
from podium.core.selection.operations import Column, Values
from podium.core.selection.standing import Part, Standing, told_number


class FactColumns(msgspec.Struct, frozen=True):
    """What is known of the devices of a batch, a row each; rows and names that are missing are unknown.

    `columns` holds what differs from device to device by the fact's name: float32 with NaN unknown, int8 with -1.
    """

    sets: NDArray[np.int32]
    """The number of the device's standing fact set, >= 0."""
    facts_of: Callable[[int], Facts]
    """The facts of a set by its number."""
    columns: Mapping[str, Values]
    datasets: Mapping[str, NDArray[np.int32]]
    """Dataset -> its examples, 0 not told, -1 no such dataset."""

    def of(self, rows: NDArray[np.int64]) -> "FactColumns":
        """The facts of some rows by their positions."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        datasets = {name: column[rows] for name, column in self.datasets.items()}
        return FactColumns(sets=self.sets[rows], facts_of=self.facts_of, columns=columns, datasets=datasets)


class View:
    """Some rows of a batch: `rows` are their positions, None for all; `places` are those of their fact sets."""

    def __init__(self, facts: FactColumns, places: NDArray[np.int64], rows: NDArray[np.int64] | None = None) -> None:
        self.size = len(places)
        self.places = places
        self._facts, self._rows = facts, rows

    def of(self, rows: NDArray[np.int64]) -> "View":
        """The view of `rows` of this view's rows."""
        return View(self._facts, self.places[rows], rows if self._rows is None else self._rows[rows])

    def fact(self, name: str) -> Values | None:
        """The column of a fact, None if nobody told it."""
        return self._of(self._facts.columns.get(name))

    def switch(self, name: str) -> NDArray[np.int8]:
        """The column of a fact that is so or not: -1 unknown, 0, 1."""
        column = self.fact(name)
        return np.full(self.size, -1, np.int8) if column is None else column

    def dataset(self, name: str) -> NDArray[np.int32]:
        """The examples of a dataset; -1 for all rows if nobody has it."""
        column = self._of(self._facts.datasets.get(name))
        return np.full(self.size, -1, np.int32) if column is None else column

    def datasets(self) -> NDArray[np.int64]:
        """How many datasets each device has."""
        counts = np.zeros(self.size, np.int64)
        for name in self._facts.datasets:
            counts += self.dataset(name) >= 0
        return counts

    def _of(self, column: Values | None) -> Values | None:
        return column if column is None or self._rows is None else column[self._rows]


Operation = Callable[[View], Column]


class NotInColumns(Exception):
    """`part` of a clause has no array operation, and names facts that have too many values to compute it for each."""

    def __init__(self, part: Term) -> None:
        macro = "exists, all, map or filter"
        sign = macro if part.kind == "comprehension" else part.name.replace("_", "").removeprefix("@") or part.kind
        super().__init__(f"`{sign}` at character {part.offset + 1}")
        self.part = part


DTYPES: dict[str, type[np.generic]] = {"bool": np.bool_, "int": np.int64, "double": np.float64}
_BINARY: dict[tuple[str, str], Callable[[Column, Column], Column]] = {
    ("_&&_", "bool"): operations.both,
    ("_||_", "bool"): operations.either,
    ("_+_", "int"): operations.added,
    ("_-_", "int"): operations.subtracted,
    ("_*_", "int"): operations.multiplied,
    ("_/_", "int"): operations.divided,
    ("_%_", "int"): operations.remainder,
    ("_+_", "double"): operations.of_doubles(np.add),
    ("_-_", "double"): operations.of_doubles(np.subtract),
    ("_*_", "double"): operations.of_doubles(np.multiply),
    ("_/_", "double"): operations.of_doubles(np.divide),
}
_UNARY: dict[tuple[str, str], Callable[[Column], Column]] = {
    ("!_", "bool"): operations.negated,
    ("-_", "int"): operations.opposite_int,
    ("-_", "double"): operations.opposite_double,
    ("int", "double"): operations.to_int,
    ("int", "int"): operations.same,
    ("double", "int"): operations.to_double,
    ("double", "double"): operations.same,
}
_COMPARISONS: dict[str, np.ufunc] = {
    "_==_": np.equal,
    "_!=_": np.not_equal,
    "_<_": np.less,
    "_<=_": np.less_equal,
    "_>_": np.greater,
    "_>=_": np.greater_equal,
}
_BINARY |= {(name, type): operations.compared(by) for name, by in _COMPARISONS.items() for type in DTYPES}


class Clause:
    """One clause as an `operation`; what it computes once per fact set goes to `standing`."""

    def __init__(self, expression: cel.Expression, environment: cel.Env, standing: Standing) -> None:
        """Of an expression compiled in `environment`. `TooDeep`; `NotInColumns`."""
        self._tree = Tree(expression.serialize())
        self._environment = environment
        self._standing = standing
        self.lasting = not self._tree.root.facts & OWN
        operation = self._operation(self._tree.root)
        self.operation = operation if self._tree.root.facts else _everywhere(operation)

    def _operation(self, term: Term) -> Operation:
        own = term.facts & OWN
        if not term.facts:
            return _constant(self._evaluate(term, {}), term.type)
        operation = self._in_columns(term) if own else None
        if operation is not None:
            return operation
        if not own <= SWITCHES:
            raise NotInColumns(term)
        return self._looked_up(term, tuple(sorted(own)))

    def _in_columns(self, term: Term) -> Operation | None:
        """`term` as an array operation, None if there is none for its types."""
        if term.kind == "name":
            return _FACTS.get(term.type, lambda _: None)(term.name)
        if any(part.kind == "name" and part.name == DATASETS for part in term.parts):
            return self._of_datasets(term)
        types = {part.type for part in term.parts}
        if term.kind != "call" or not term.parts:
            return None
        if term.name == "@in" and term.parts[1].kind == "list":
            return self._among(term)
        if term.name == "_?_:_" and term.type in DTYPES:
            return self._applied(operations.chosen, term)
        if len(types) > 1:
            return None
        by = (_UNARY if len(term.parts) == 1 else _BINARY).get((term.name, types.pop()))
        return None if by is None else self._applied(by, term)

    def _applied(self, by: Callable[..., Column], term: Term) -> Operation:
        parts = [self._operation(part) for part in term.parts]
        if len(parts) == 2:
            first, second = parts
            return lambda view: by(first(view), second(view))
        return lambda view: by(*(part(view) for part in parts))

    def _among(self, term: Term) -> Operation | None:
        needle, members = term.parts[0], term.parts[1].parts
        if needle.type not in DTYPES or any(each.type != needle.type for each in members):
            return None
        sought, parts = self._operation(needle), [self._operation(each) for each in members]
        return lambda view: operations.among(sought(view), [part(view) for part in parts])

    def _of_datasets(self, term: Term) -> Operation | None:
        """What may be asked of `device.datasets`: `[name]`, `.name`, `has(.name)`, `name in`, `size()`."""
        if term.kind == "select":
            return partial(_has if term.test else _examples, term.name)
        if term.name == "size":
            return lambda view: (view.datasets(), None)
        keys = {"_[_]": term.parts[-1], "@in": term.parts[0]}
        key = self._evaluate(keys[term.name], {}) if term.name in keys and not keys[term.name].facts else None
        if not isinstance(key, str):
            return None
        return partial(_has if term.name == "@in" else _examples, key)

    def _looked_up(self, term: Term, switches: tuple[str, ...]) -> Operation:
        """`term` computed by the library once per fact set and value of `switches`."""
        part = Part(self._evaluation(term), switches, DTYPES.get(term.type, np.bool_))
        number, standing = self._standing.add(part), self._standing

        def look_up(view: View) -> Column:
            told = told_number([view.switch(name) for name in switches]) if switches else None
            return standing.column(number, view.places, told)

        return look_up

    def _evaluate(self, term: Term, facts: Facts) -> Fact | None:
        return self._evaluation(term)(facts)

    def _evaluation(self, term: Term) -> Callable[[Facts], Fact | None]:
        """The library's evaluation of `term` alone; of a clause that may be anything, whether it is true."""
        expression, typed = self._environment.deserialize(self._tree.part(term)), term.type != "other"

        def evaluate(facts: Facts) -> Fact | None:
            value = evaluated(expression, facts)
            if value is None:
                return None
            known: Fact = value.value() if typed else value.value() is True
            return known

        return evaluate


def evaluated(expression: cel.Expression, facts: Facts) -> cel.Value | None:
    """What the library says of `facts`; None if it is unknown: an error, or more iterations than it allows."""
    try:
        value = expression.eval(data=facts)
    except RuntimeError:  # what `exists` and its like go through grows with what devices tell, such as their labels
        return None
    return None if value.type() == cel.Type.ERROR else value


def _constant(value: Fact | None, type: str) -> Operation:
    dtype = DTYPES.get(type, np.bool_)
    if value is None:
        return lambda view: (np.zeros(view.size, dtype), np.ones(view.size, np.bool_))
    column: Column = (np.array(value, dtype), None)
    return lambda _: column


def _everywhere(constant: Operation) -> Operation:
    """A constant with a value for each row: all that a clause is."""

    def repeat(view: View) -> Column:
        value, unknown = constant(view)
        return np.full(view.size, value, np.bool_), unknown

    return repeat


def _double(name: str) -> Operation:
    def read(view: View) -> Column:
        column = view.fact(name)
        if column is None:
            return np.zeros(view.size), np.ones(view.size, np.bool_)
        values = as_told(name, column.astype(np.float64))
        unknown = np.isnan(values)
        return values, unknown if np.count_nonzero(unknown) else None

    return read


def _switch(name: str) -> Operation:
    def read(view: View) -> Column:
        column = view.switch(name)
        unknown = column < 0
        return column > 0, unknown if np.count_nonzero(unknown) else None

    return read


_FACTS: dict[str, Callable[[str], Operation]] = {"double": _double, "bool": _switch}


def _examples(name: str, view: View) -> Column:
    values = view.dataset(name).astype(np.int64)
    unknown = values < 0
    return values, unknown if np.count_nonzero(unknown) else None


def _has(name: str, view: View) -> Column:
    return view.dataset(name) >= 0, None
