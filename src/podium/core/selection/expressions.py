"""The tree that the CEL library checked, as typed terms: what a clause calls, which facts it names, of what type.

Decides: nothing; it reads what `cel.Expression.serialize` gives, and writes a part of it back so that the library can
evaluate that part alone. Never: lexing, parsing or type checking, all of which are the library's.
Limits: the library parses 32 levels, protobuf reads 100 messages within each other; what passes the one and not the
other is `TooDeep`.
Source: cel/expr/syntax.proto and cel/expr/checked.proto of https://github.com/google/cel-spec. Only the fields that are
read are described here: protobuf carries the others along untouched, so a part keeps the library's references.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

FACT = "device."
"""What every fact's name begins with."""
_PACKAGE = "podium.cel"
_TYPE_URL = "type.googleapis.com/cel.expr.CheckedExpr"

Kind = Literal["constant", "name", "select", "call", "list", "map", "comprehension"]

_FIELDS: dict[str, dict[str, tuple[int, str]]] = {
    "Parsed": {"expr": (2, "Expr"), "source": (3, "Source")},
    "Checked": {"types": (3, "*Typed"), "expr": (4, "Expr"), "source": (5, "Source")},
    "Source": {"positions": (4, "*Position")},
    "Position": {"id": (1, "integer"), "offset": (2, "integer")},
    "Typed": {"id": (1, "integer"), "type": (2, "Type")},
    "Type": {"primitive": (3, "integer")},
    "Expr": {
        "id": (2, "integer"),
        "constant": (3, "Constant"),
        "name": (4, "Name"),
        "select": (5, "Select"),
        "call": (6, "Call"),
        "list": (7, "List"),
        "map": (8, "Map"),
        "comprehension": (9, "Comprehension"),
    },
    "Constant": {},
    "Name": {"name": (1, "string")},
    "Select": {"operand": (1, "Expr"), "field": (2, "string"), "test": (3, "integer")},
    "Call": {"target": (1, "Expr"), "function": (2, "string"), "arguments": (3, "*Expr")},
    "List": {"elements": (1, "*Expr")},
    "Map": {"entries": (2, "*Entry")},
    "Entry": {"key": (3, "Expr"), "value": (4, "Expr")},
    "Comprehension": {
        "range": (2, "Expr"),
        "start": (4, "Expr"),
        "condition": (5, "Expr"),
        "step": (6, "Expr"),
        "result": (7, "Expr"),
    },
}
"""Message -> field -> its number and what it holds; `*` is repeated. The names are ours, the numbers are CEL's."""
_KINDS: tuple[Kind, ...] = ("constant", "name", "select", "call", "list", "map", "comprehension")
_NAMES = ("name", "function", "field")
_PRIMITIVES = {1: "bool", 2: "int", 3: "uint", 4: "double", 5: "string", 6: "bytes"}


def _messages() -> dict[str, type[Message]]:
    """A class for each message of `_FIELDS`, made by protobuf in a pool of its own."""
    held = {"integer": descriptor_pb2.FieldDescriptorProto.TYPE_INT64}
    held["string"] = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
    file = descriptor_pb2.FileDescriptorProto(name="podium/cel.proto", package=_PACKAGE)
    for message, fields in _FIELDS.items():
        described = file.message_type.add(name=message)
        for name, (number, holds) in fields.items():
            field = described.field.add(name=name, number=number, label=3 if holds.startswith("*") else 1)
            kind = holds.removeprefix("*")
            field.type = held.get(kind, descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE)
            if kind not in held:
                field.type_name = f".{_PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    named = pool.FindMessageTypeByName
    return {name: message_factory.GetMessageClass(named(f"{_PACKAGE}.{name}")) for name in _FIELDS}


_MESSAGES = _messages()


class TooDeep(Exception):
    """The clause nests more deeply than protobuf reads."""


class Term(msgspec.Struct, frozen=True):
    """One term. `type` is CEL's primitive type, "other" for all the rest; `facts` are named in or below the term."""

    kind: Kind
    type: str
    name: str
    """The function of a call, the fact or variable of a name, the field of a select."""
    test: bool
    """A select that asks whether the field is there: `has()`."""
    parts: tuple["Term", ...]
    """The operands in order, a method's target first."""
    facts: frozenset[str]
    offset: int
    """Where it stands in the clause, in characters; an operator stands where its sign is."""
    id: int


class Tree:
    """The checked tree of one clause."""

    def __init__(self, serialized: bytes) -> None:
        """Read `cel.Expression.serialize()` of a checked expression; `TooDeep`."""
        self._checked = _read("Checked", serialized)
        self._types = {each.id: _PRIMITIVES.get(each.type.primitive, "other") for each in self._checked.types}
        self._offsets = _offsets(self._checked)
        self._messages: dict[int, Message] = {}
        self.root = self._term(self._checked.expr)

    def part(self, term: Term) -> bytes:
        """`term` and what is below it, for `cel.Env.deserialize`."""
        part = _MESSAGES["Checked"]()
        part.CopyFrom(self._checked)
        part.expr.CopyFrom(self._messages[term.id])
        packed = any_pb2.Any(type_url=_TYPE_URL, value=part.SerializeToString())
        serialized: bytes = packed.SerializeToString()
        return serialized

    def _term(self, expr: Message) -> Term:
        kind, body = _body(expr)
        parts = tuple(self._term(each) for each in _operands(body))
        name = next((getattr(body, field) for field in _NAMES if field in _FIELDS[type(body).__name__]), "")
        self._messages[expr.id] = expr
        own = {name} if kind == "name" and name.startswith(FACT) else set()
        return Term(
            kind=kind,
            type=self._types.get(expr.id, "other"),
            name=name,
            test=kind == "select" and bool(body.test),
            parts=parts,
            facts=frozenset(own).union(*(each.facts for each in parts)),
            offset=self._offsets.get(expr.id, 0),
            id=expr.id,
        )


def and_offsets(serialized: bytes) -> list[int]:
    """Where the `&&` stand (in characters, ascending) that join the outermost operands of a parsed expression.

    Brackets are not in the tree: an `&&` within brackets that are an operand themselves is among them. `TooDeep`.
    """
    parsed = _read("Parsed", serialized)
    offsets = _offsets(parsed)
    waiting, found = [parsed.expr], []
    while waiting:
        expr = waiting.pop()
        if expr.call.function == "_&&_":
            found.append(offsets[expr.id])
            waiting += expr.call.arguments
    return sorted(found)


def facts_tested(serialized: bytes) -> list[str]:
    """The facts of which a parsed expression asks `has()` as such: checked, the library takes each for the fact itself.

    `has()` of a key, such as `has(device.labels.locale)`, is none. `TooDeep`.
    """
    waiting, found = [_read("Parsed", serialized).expr], []
    while waiting:
        expr = waiting.pop()
        kind, body = _body(expr)
        if kind == "select" and body.test and f"{body.operand.name.name}." == FACT:
            found.append(FACT + body.field)
        waiting += _operands(body)
    return found


def _read(message: str, serialized: bytes) -> Message:
    """The message within the `Any` that the library serializes to."""
    try:
        return _MESSAGES[message].FromString(any_pb2.Any.FromString(serialized).value)
    except DecodeError as error:
        raise TooDeep(str(error)) from error


def _offsets(expression: Message) -> dict[int, int]:
    return {each.id: each.offset for each in expression.source.positions}


def _body(expr: Message) -> tuple[Kind, Message]:
    """The kind of an expression, and the message that holds it."""
    kind = next(each for each in _KINDS if expr.HasField(each))
    return kind, getattr(expr, kind)


def _operands(body: Message) -> Iterator[Message]:
    """The expressions in a message's fields, in the order of their numbers; those of a map's entries too."""
    for name, (_, holds) in _FIELDS[type(body).__name__].items():
        if holds == "Expr" and body.HasField(name):
            yield getattr(body, name)
        elif holds == "*Expr":
            yield from getattr(body, name)
        elif holds == "*Entry":
            yield from (each for entry in getattr(body, name) for each in _operands(entry))
