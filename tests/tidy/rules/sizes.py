"""How large things may be: files, functions, classes, parameters, nesting."""

import ast
from collections.abc import Iterator

from tests.tidy.rules.sources import Finding, Source

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
CLASS_LINES_MAX = 250
PARAMETERS_MAX = 6
NESTING_MAX = 3

Function = ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)


def sizes(source: Source) -> Iterator[Finding]:
    """Everything in `source` that is larger than the house allows, with its size as the finding's value."""
    lines = source.text.count("\n")
    if lines > FILE_LINES_MAX:
        yield Finding("file-lines", source.path, f"{lines} lines, at most {FILE_LINES_MAX}", lines)
    for name, element in definitions(source.tree):
        yield from _lines(f"{source.path}::{name}", element)
        if not isinstance(element, ast.ClassDef):
            yield from _shape(f"{source.path}::{name}", element)


def definitions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function | ast.ClassDef]]:
    """(qualified name, definition) of every function and class below `tree`, outermost first."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield f"{prefix}{child.name}", child
            yield from definitions(child, f"{prefix}{child.name}.")
        else:
            yield from definitions(child, prefix)


def _lines(where: str, element: Function | ast.ClassDef) -> Iterator[Finding]:
    lines = (element.end_lineno or element.lineno) - element.lineno + 1
    rule, most = "function-lines", FUNCTION_LINES_MAX
    if isinstance(element, ast.ClassDef):
        rule, most = "class-lines", CLASS_LINES_MAX
    if lines > most:
        yield Finding(rule, where, f"{lines} lines, at most {most}", lines)


def _shape(where: str, element: Function) -> Iterator[Finding]:
    count = parameters(element)
    if count > PARAMETERS_MAX:
        yield Finding("parameters", where, f"{count} parameters, at most {PARAMETERS_MAX}", count)
    depth = nesting(element)
    if depth > NESTING_MAX:
        yield Finding("nesting", where, f"blocks nested {depth} deep, at most {NESTING_MAX}", depth)


def parameters(element: Function) -> int:
    """How many parameters a caller sees: `self` and `cls` aside, `*` and `**` one each."""
    spec = element.args
    named = [each.arg for each in (*spec.posonlyargs, *spec.args)]
    if named and named[0] in {"self", "cls"}:
        named = named[1:]
    return len(named) + len(spec.kwonlyargs) + (spec.vararg is not None) + (spec.kwarg is not None)


def nesting(element: ast.AST) -> int:
    """The depth of the deepest block statement; an `elif` is as deep as its `if`, an inner function starts anew."""
    return max((_depth(child) for child in ast.iter_child_nodes(element)), default=0)


def _depth(element: ast.AST) -> int:
    if isinstance(element, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
        return 0
    if not isinstance(element, BLOCKS):
        return nesting(element)
    if isinstance(element, ast.If) and len(element.orelse) == 1 and isinstance(element.orelse[0], ast.If):
        inside = max((_depth(each) for each in element.body), default=0)
        return max(1 + inside, _depth(element.orelse[0]))
    return 1 + nesting(element)
