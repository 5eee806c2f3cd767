"""Definitions nobody uses: module-level functions, classes and constants of src that nothing but tests names.

A name counts as used when any other place in src, tools, bench or examples reads it (as a name, an attribute,
a whole string or `module:name`), when a decorator registers it, or when it is exported (`import x as x`, `__all__`).
Names are matched without types, so this finds too little rather than too much.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from tests.tidy.rules.sources import Finding, Source

_PROOFS = "src/podium/core/journal/proofs.py"
_PROOF = "an auditor with one head and one entry needs it; our own verbs read whole journals"
KEPT: dict[str, str] = {
    f"{_PROOFS}::inclusion_proof": _PROOF,
    f"{_PROOFS}::consistency_proof": _PROOF,
    f"{_PROOFS}::verify_inclusion": _PROOF,
    f"{_PROOFS}::verify_consistency": _PROOF,
    "src/podium/adapters/blobs.py::MemoryBlobs": "the port's second adapter: the contract suite holds both to one text",
    "src/podium/adapters/keys.py::MemoryKeys": "the port's second adapter: the contract suite holds both to one text",
    "src/podium/kernels/exact.py::sum_steps": "the slow exact twin of kernels/sums.py, its definition",
    "src/podium/kernels/exact.py::exact_mean": "the slow exact twin of kernels/sums.py, its definition",
    "src/podium/learning/fedavg.py::merge": "one of the four functions of every aggregation rule: shards merge",
}
"""path::name -> why it stays although nothing here names it."""

PASSIVE_DECORATORS = frozenset(
    {"dataclass", "cache", "lru_cache", "total_ordering", "runtime_checkable", "contextmanager"}
)
ENTRY = re.compile(r"[\w.]+:(\w+)")


def dead(sources: Iterable[Source], texts: Iterable[str] = ()) -> Iterator[Finding]:
    """Definitions in src used nowhere; `texts` are files (TOML) whose `module:name` strings use a name too."""
    users = [each for each in sources if not each.path.startswith("tests/")]
    used = Counter(name for text in texts for name in ENTRY.findall(text))
    for source in users:
        used.update(uses(source.tree))
    for source in users:
        yield from (each for each in _unused(source, used) if each.where not in KEPT)


def kept_without_need(sources: Iterable[Source]) -> Iterator[Finding]:
    """Entries of `KEPT` that name no definition any more."""
    there = {f"{source.path}::{name}" for source in sources for name, _ in module_level(source.tree)}
    yield from (Finding("dead", where, "is kept but is not there") for where in sorted(KEPT.keys() - there))


def _unused(source: Source, used: Counter[str]) -> Iterator[Finding]:
    if source.path.startswith("src/"):
        for name, element in module_level(source.tree):
            if used[name] <= Counter(uses(element))[name]:
                yield Finding("dead", f"{source.path}::{name}", f"line {element.lineno}: {name} is used nowhere")


def module_level(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """(name, statement) of each definition of a module that nothing registers at once."""
    for element in tree.body:
        if isinstance(element, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names = {re.split(r"[(\s]", ast.unparse(each))[0].rpartition(".")[2] for each in element.decorator_list}
            if not names - PASSIVE_DECORATORS and not _dunder(element.name):
                yield element.name, element
        elif isinstance(element, (ast.Assign, ast.AnnAssign)):
            targets = element.targets if isinstance(element, ast.Assign) else [element.target]
            yield from ((each.id, element) for each in targets if isinstance(each, ast.Name) and not _dunder(each.id))


def _dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def uses(tree: ast.AST) -> Iterator[str]:
    """Every name that `tree` reads, once per time it does."""
    for element in ast.walk(tree):
        if isinstance(element, ast.Name) and not isinstance(element.ctx, ast.Store):
            yield element.id
        elif isinstance(element, ast.Attribute):
            yield element.attr
        elif isinstance(element, ast.ImportFrom):
            yield from (each.name for each in element.names if each.asname == each.name)
        elif isinstance(element, ast.Constant) and isinstance(element.value, str):
            yield from _named_in(element.value)


def _named_in(text: str) -> Iterator[str]:
    if text.isidentifier():
        yield text
    elif re.fullmatch(ENTRY, text):
        yield text.partition(":")[2]
    elif len(text) < 80 and re.fullmatch(r"[\w.\[\]|, ]+", text) and ("|" in text or "[" in text):
        yield from re.findall(r"\w+", text)
