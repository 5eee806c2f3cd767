"""Habits of the code: honest handlers, typed doors, documented surfaces, the product's own words."""

import ast
import re
from collections.abc import Iterator

from tests.tidy.rules.sizes import Function, definitions
from tests.tidy.rules.sources import Finding, Source

SUPERVISED: dict[str, str] = {
    "src/podium/server/loop/loop.py::Loop._step": "whatever broke the core, its memory is dropped and loaded again",
}
"""path::function -> why a broad except is right there. Everywhere else it hides somebody's bug."""

BROAD = frozenset({"Exception", "BaseException"})
DICTS = frozenset({"dict", "Dict", "Mapping", "MutableMapping", "defaultdict", "OrderedDict"})
FOREIGN_WORDS = frozenset({"client", "clients", "node", "nodes", "worker", "workers"})
"""Words that other frameworks use for a device; here they would be a second word for one thing."""

WORD_PLACES: dict[tuple[str, str], str] = {
    ("src/podium/wire/limits.py", "clients_max"): "connections of any kind that one gateway keeps, devices or not",
    (
        "src/podium/server/aggregation/role.py",
        "_worker",
    ): "the aggregation worker, the architecture's word for that role",
    ("src/podium/core/journal/", "node_hash"): "a node of the Merkle tree, RFC 6962's own word",
}
"""(path or folder, identifier) -> what else the word means there."""


def handlers(source: Source) -> Iterator[Finding]:
    """Broad excepts outside the supervised places that do not raise again, and handlers that do nothing."""
    if source.path.startswith("tests/"):
        return
    for where, element in _functions_and_module(source):
        for child in _own(element):
            yield from _handler(where, child) if isinstance(child, ast.ExceptHandler) else _suppress(where, child)


def _suppress(where: str, element: ast.AST) -> Iterator[Finding]:
    if not isinstance(element, ast.Call) or ast.unparse(element.func) not in {"suppress", "contextlib.suppress"}:
        return
    if {ast.unparse(each) for each in element.args} & BROAD:
        yield Finding("broad-except", where, f"line {element.lineno}: suppresses everything")


def _handler(where: str, element: ast.ExceptHandler) -> Iterator[Finding]:
    caught = element.type.elts if isinstance(element.type, ast.Tuple) else [element.type]
    broad = any(each is None or ast.unparse(each) in BROAD for each in caught)
    if broad and where not in SUPERVISED and not _raises_again(element):
        yield Finding("broad-except", where, f"line {element.lineno}: catches everything")
    if all(isinstance(each, ast.Pass) or _constant(each) for each in element.body):
        yield Finding("empty-handler", where, f"line {element.lineno}: the handler does nothing")


def _raises_again(element: ast.ExceptHandler) -> bool:
    last = element.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _constant(element: ast.stmt) -> bool:
    return isinstance(element, ast.Expr) and isinstance(element.value, ast.Constant)


def supervised_unused(sources: tuple[Source, ...]) -> Iterator[Finding]:
    """Supervised places that no longer catch anything broadly."""
    places = {where.partition("::")[0] for where in SUPERVISED}
    named = [source for source in sources if source.path in places]
    known = {where for source in named for where, element in _functions_and_module(source) if _catches_all(element)}
    yield from (Finding("broad-except", where, "is supervised no more") for where in sorted(SUPERVISED.keys() - known))


def _catches_all(element: ast.AST) -> bool:
    found = [child for child in _own(element) if isinstance(child, ast.ExceptHandler)]
    return any(each.type is None or set(re.findall(r"\w+", ast.unparse(each.type))) & BROAD for each in found)


def _functions_and_module(source: Source) -> Iterator[tuple[str, ast.AST]]:
    yield source.path, source.tree
    for name, element in definitions(source.tree):
        if not isinstance(element, ast.ClassDef):
            yield f"{source.path}::{name}", element


def _own(element: ast.AST) -> Iterator[ast.AST]:
    """All below `element` but what lies in a function within it."""
    for child in ast.iter_child_nodes(element):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield child
            yield from _own(child)


def any_dicts(source: Source) -> Iterator[Finding]:
    """Dicts typed with Any, or not at all, in the product's code."""
    if not source.path.startswith("src/"):
        return
    for element in ast.walk(source.tree):
        if isinstance(element, ast.Subscript) and _dict_of_any(element):
            yield Finding("any-dict", source.path, f"line {element.lineno}: {ast.unparse(element)}")
        for annotation in _annotations(element):
            if _last_name(annotation) in DICTS:
                yield Finding("any-dict", source.path, f"line {annotation.lineno}: bare {ast.unparse(annotation)}")


def _dict_of_any(element: ast.Subscript) -> bool:
    return _last_name(element.value) in DICTS and any(_last_name(each) == "Any" for each in ast.walk(element.slice))


def _annotations(element: ast.AST) -> Iterator[ast.expr]:
    if isinstance(element, (ast.arg, ast.AnnAssign)) and element.annotation:
        yield element.annotation
    if isinstance(element, (ast.FunctionDef, ast.AsyncFunctionDef)) and element.returns:
        yield element.returns


def _last_name(element: ast.AST) -> str:
    if isinstance(element, ast.Name):
        return element.id
    return element.attr if isinstance(element, ast.Attribute) else ""


def docstrings(source: Source) -> Iterator[Finding]:
    """Files, public classes, functions and methods of the product that say nothing about themselves."""
    if not source.path.startswith(("src/", "tools/")):
        return
    if not ast.get_docstring(source.tree):
        yield Finding("docstring", source.path, "the file says nothing about itself")
    for name, element in _public(source.tree):
        if not ast.get_docstring(element):
            yield Finding("docstring", f"{source.path}::{name}", f"line {element.lineno}: no docstring")


def _public(element: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[tuple[str, Function | ast.ClassDef]]:
    for child in element.body:
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not child.name.startswith("_"):
            decorators = {ast.unparse(each).rpartition(".")[2] for each in child.decorator_list}
            if not decorators & {"overload", "setter"}:
                yield f"{prefix}{child.name}", child
            if isinstance(child, ast.ClassDef):
                yield from _public(child, f"{prefix}{child.name}.")


def words(source: Source) -> Iterator[Finding]:
    """Names the product gives in another framework's words for a device."""
    if not source.path.startswith("src/"):
        return
    for name, line in _named(source.tree):
        tokens = set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()))
        if tokens & FOREIGN_WORDS and not _permitted(source.path, name):
            yield Finding("foreign-word", source.path, f"line {line}: {name}")


def _permitted(path: str, name: str) -> bool:
    return any(path.startswith(place) and name == word for place, word in WORD_PLACES)


def _named(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for element in ast.walk(tree):
        if isinstance(element, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield element.name, element.lineno
        elif isinstance(element, ast.arg):
            yield element.arg, element.lineno
        elif isinstance(element, ast.Name) and isinstance(element.ctx, ast.Store):
            yield element.id, element.lineno
        elif isinstance(element, ast.Attribute) and isinstance(element.ctx, ast.Store):
            yield element.attr, element.lineno
