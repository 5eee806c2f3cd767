"""Random well-typed rules and random facts, for holding the evaluation in columns to the CEL library row by row."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from podium.core.fleet.facts import DATASETS, Facts, as_told
from podium.core.selection.columnwise import FactColumns

STANDING, SWITCHES, ANY = range(3)
"""Which facts an expression may name: standing ones, switches too, numbers of one device too."""
SETS: list[Facts] = [
    {},
    {"device.os": "linux", "device.ram_mb": 4096, "device.labels": {"ward": "3"}, "device.cores": 0},
    {"device.os": "android", "device.ram_mb": 2**63 - 1, "device.labels": {}, "device.cores": -1},
    {"device.os": "ios", "device.ram_mb": -(2**63), "device.site": "linux", "device.labels": {"ward": "linux"}},
    {"device.cores": 3, "device.labels": {"ward": "", "bed": "ios"}},
]
INTS = ["0", "1", "-1", "2", "-7", "9223372036854775807", "(-9223372036854775807 - 1)"]
DOUBLES = ["0.0", "0.3", "0.7", "1.0", "-1.5", "1e300", "9.3e18"]
TEXTS = ["''", "'linux'", "'ios'", "'ward'"]
LEVELS = [None, 0.0, 0.3, 0.7, 1.0, -1.5, 7.9, 3e38]
COUNTS = [-1, 0, 1, 120, 2**31 - 1]
LEVEL_FACTS = ["device.battery", "device.latency_ms", "device.missing_rate", "device.thermal_c"]
SWITCH_FACTS = ["device.charging", "device.metered"]


@dataclass
class Made:
    """One expression: its text, what it does, and the expressions within."""

    text: str
    op: str
    parts: list["Made"] = field(default_factory=list)


class Maker:
    """Makes expressions of a type, at most `depth` operators deep, that name the facts that `own` allows."""

    def __init__(self, draw: Callable[[st.SearchStrategy[object]], object]) -> None:
        self._draw = draw

    def pick(self, options: list[str]) -> str:
        """One of `options`."""
        return str(self._draw(st.sampled_from(options)))

    def of(self, kind: str, depth: int, own: int) -> Made:
        """An expression of type `kind`: "bool", "int", "double" or "string"."""
        make = {"bool": self._bool, "int": self._int, "double": self._double, "string": self._string}[kind]
        return self._leaf(kind, own) if depth == 0 else make(depth - 1, own)

    def _leaf(self, kind: str, own: int) -> Made:
        named = {
            "bool": SWITCH_FACTS if own >= SWITCHES else ["'ward' in device.labels", "has(device.labels.bed)"],
            "int": ["device.ram_mb", "device.cores"],
            "double": LEVEL_FACTS if own == ANY else DOUBLES,
            "string": ["device.os", "device.site", "device.labels['ward']", "device.region"],
        }[kind]
        if kind == "int" and own == ANY:
            named = [*named, "device.datasets['hearts']", "device.datasets.lungs", "size(device.datasets)"]
        if kind == "bool" and own == ANY:
            named = [*named, "'hearts' in device.datasets", "has(device.datasets.none)"]
        constants = {"bool": ["true", "false"], "int": INTS, "double": DOUBLES, "string": TEXTS}[kind]
        name = self.pick(named if self.pick(["fact", "fact", "constant"]) == "fact" else constants)
        return Made(f"({name})" if " in " in name else name, name if name in named else kind)

    def _call(self, op: str, shape: str, *parts: Made) -> Made:
        return Made(shape.format(*(part.text for part in parts)), op, list(parts))

    def _chosen(self, kind: str, depth: int, own: int) -> Made:
        parts = self.of("bool", depth, own), self.of(kind, depth, own), self.of(kind, depth, own)
        return self._call("?:", "({} ? {} : {})", *parts)

    def _bool(self, depth: int, own: int) -> Made:
        op = self.pick(["&&", "||", "&&", "||", "!", "?:", "compare", "compare", "equal", "in", "text", "list", "map"])
        if op in ("&&", "||"):
            return self._call(op, f"({{}} {op} {{}})", self.of("bool", depth, own), self.of("bool", depth, own))
        if op == "!":
            return self._call(op, "!({})", self.of("bool", depth, own))
        if op == "?:":
            return self._chosen("bool", depth, own)
        if op in ("compare", "equal"):
            sign = self.pick(["==", "!="] if op == "equal" else ["<", "<=", ">", ">="])
            kind = self.pick(["int", "int", "double", "bool"])
            return self._call(sign, f"({{}} {sign} {{}})", self.of(kind, depth, own), self.of(kind, depth, own))
        if op == "in":
            kind = self.pick(["int", "double", "bool"])
            parts = [self.of(kind, depth, own) for _ in range(3)]
            return self._call("in", "({} in [{}, {}])", *parts)
        return self._by_library(op, depth, min(own, SWITCHES))

    def _by_library(self, op: str, depth: int, own: int) -> Made:
        """What no array operation does: strings, lists and maps, of standing facts and switches."""
        texts = [self.of("string", depth, own) for _ in range(2)]
        if op == "text":
            way = self.pick(["({} == {})", "({} != {})", "({} < {})", "{}.startsWith({})", "{}.matches({})"])
            return self._call("text", way, *texts)
        if op == "list":
            way = self.pick(["({} in ['ios', {}])", "['ios', {}].exists(x, x == {})", "['linux', {}].all(x, x != {})"])
            return self._call("list", way, *texts)
        way = self.pick(["({{'linux': {}}}['linux'] == {})", "({} in {{{}: 1}})", "(device.labels[{}] == {})"])
        return self._call("map", way, *texts)

    def _int(self, depth: int, own: int) -> Made:
        op = self.pick(["+", "-", "*", "/", "%", "negative", "?:", "int", "size"])
        if op == "negative":
            least = self.pick(["least", "any"]) == "least"
            part = Made("(-9223372036854775807 - 1)", "int") if least else self.of("int", depth, own)
            return self._call("-int", "-({})", part)
        if op == "?:":
            return self._chosen("int", depth, own)
        if op == "int":
            return self._call("int()", "int({})", self.of("double", depth, own))
        if op == "size":
            return self._call("size()", "size({})", self.of("string", depth, min(own, SWITCHES)))
        return self._call(f"int{op}", f"({{}} {op} {{}})", self.of("int", depth, own), self.of("int", depth, own))

    def _double(self, depth: int, own: int) -> Made:
        op = self.pick(["+", "-", "*", "/", "negative", "?:", "double"])
        if op == "negative":
            return self._call("-double", "-({})", self.of("double", depth, own))
        if op == "?:":
            return self._chosen("double", depth, own)
        if op == "double":
            return self._call("double()", "double({})", self.of("int", depth, own))
        parts = self.of("double", depth, own), self.of("double", depth, own)
        return self._call(f"double{op}", f"({{}} {op} {{}})", *parts)

    def _string(self, depth: int, own: int) -> Made:
        if self.pick(["+", "?:"]) == "+":
            return self._call("text+", "({} + {})", self.of("string", depth, own), self.of("string", depth, own))
        return self._chosen("string", depth, own)


@st.composite
def clauses_made(draw: Callable[[st.SearchStrategy[object]], object], depth: int = 3) -> list[Made]:
    """One to three clauses."""
    maker = Maker(draw)
    count = int(maker.pick(["1", "2", "3"]))
    return [maker.of("bool", int(maker.pick([str(each) for each in range(depth + 1)])), ANY) for _ in range(count)]


def facts_made(seed: int, rows: int = 40) -> FactColumns:
    """`rows` devices; now and then a column or a dataset that nobody told of."""
    draws = np.random.default_rng(seed)
    levels = np.array([np.nan if level is None else level for level in LEVELS], np.float32)
    columns: dict[str, NDArray[np.generic]] = {name: draws.choice(levels, rows) for name in LEVEL_FACTS}
    columns |= {name: draws.choice(np.array([-1, 0, 1], np.int8), rows) for name in SWITCH_FACTS}
    columns.pop(str(draws.choice(["", "", *LEVEL_FACTS, *SWITCH_FACTS])), None)
    names = ["hearts", "lungs"] if seed % 4 else ["hearts"]
    datasets = {name: draws.choice(np.array(COUNTS, np.int32), rows) for name in names}
    sets = draws.integers(0, len(SETS), rows).astype(np.int32)
    return FactColumns(sets=sets, facts_of=SETS.__getitem__, columns=columns, datasets=datasets)


def facts_of_row(facts: FactColumns, row: int) -> Facts:
    """What the library is told of one row."""
    known: Facts = dict(facts.facts_of(int(facts.sets[row])))
    for name, column in facts.columns.items():
        value = column[row].item()
        if column.dtype == np.int8 and value >= 0:
            known[name] = bool(value)
        elif column.dtype == np.float32 and value == value:
            known[name] = float(as_told(name, np.array(value)))
    known[DATASETS] = {name: int(column[row]) for name, column in facts.datasets.items() if column[row] >= 0}
    return known
