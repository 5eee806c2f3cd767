"""The import law: which room may know which, what pure rooms may not touch, what a device must not load."""

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from tests.tidy.rules.sources import Finding, Source, room_of

PURE = ("wire", "crypto", "kernels", "learning", "secagg", "tasks", "core")
EVERYTHING = frozenset({*PURE, "ports", "ports.plane", "adapters", "device"})

LAW: dict[str, frozenset[str]] = {
    "wire": frozenset(),
    "crypto": frozenset({"wire"}),
    "kernels": frozenset(),
    "secagg": frozenset({"kernels", "crypto", "wire"}),
    "learning": frozenset({"kernels"}),
    "tasks": frozenset({"wire", "learning"}),
    "core": frozenset({"kernels", "crypto", "wire", "tasks"}),
    "ports": frozenset({"wire"}),
    "ports.plane": frozenset({"core", "wire", "tasks", "ports"}),
    "adapters": frozenset({"ports", "ports.plane", "crypto", "kernels", "learning", "secagg", "wire", "tasks"}),
    "device": frozenset({"wire", "crypto", "kernels", "secagg", "tasks", "ports"}),
    "server": EVERYTHING,
    "sim": EVERYTHING | {"podium_examples"},
    "plane": EVERYTHING | {"server", "sim"},
    "cli": EVERYTHING | {"plane", "server", "sim", "podium", "podium_examples"},
    "podium": EVERYTHING | {"plane", "server", "sim"},
    "podium_examples": frozenset({"wire", "tasks", "kernels", "learning", "device", "plane", "podium"}),
}
"""Room -> the rooms it may import besides itself: the contracts' table. `plane` is a person's side of a plane."""

ADAPTER_TYPES = (
    "podium.core.rows",
    "podium.core.effects",
    "podium.core.events",
    "podium.core.records",
    "podium.core.journal.tree",
    "podium.core.selection.strategies.strategy",
)
"""The modules of the core that adapters may name: its types, and how a record becomes bytes and a leaf."""

THIRD_PARTY: dict[str, frozenset[str]] = {
    "wire": frozenset({"msgspec", "numpy"}),
    "crypto": frozenset({"cryptography", "nacl", "msgspec", "numpy"}),
    "kernels": frozenset({"numpy", "safetensors"}),
    "secagg": frozenset({"numpy", "msgspec"}),
    "learning": frozenset({"numpy", "msgspec"}),
    "tasks": frozenset({"numpy", "msgspec"}),
    "core": frozenset({"numpy", "msgspec"}),
    "ports": frozenset({"numpy", "msgspec"}),
    "ports.plane": frozenset({"numpy", "msgspec"}),
    "device": frozenset({"numpy", "msgspec", "cryptography", "nacl", "safetensors", "urllib3"}),
}
"""What else a pure or light room may import; a room that is not named may import any declared dependency."""

THIRD_PARTY_FILES: dict[str, frozenset[str]] = {
    "podium.wire.tensors": frozenset({"safetensors"}),
    "podium.core.selection": frozenset({"cel_expr_python"}),
    "podium.core.selection.expressions": frozenset({"google"}),
}
"""Module (and what lies below it) -> what it may import beyond its room's list."""

DECISION_ROOMS = ("core", "kernels", "secagg")
ENTROPY = frozenset({"time", "datetime", "random", "secrets", "uuid", "os", "numpy.random"})
FILES = frozenset({"io", "pathlib", "tempfile", "shutil", "glob", "sqlite3", "sys", "logging", "warnings"})
NETWORK = frozenset({"socket", "ssl", "http", "urllib", "select", "selectors"})
CONCURRENCY = frozenset(
    {"asyncio", "threading", "multiprocessing", "subprocess", "concurrent", "queue", "sched", "signal"}
)
IMPURE = ENTROPY | FILES | NETWORK | CONCURRENCY
IMPURE_CALLS = frozenset({"open", "print", "input", "hash", "exec", "eval", "breakpoint"})

LIGHT_ROOTS = ("podium", "podium.device", "podium.plane", "podium.cli.main")
HEAVY_ROOMS = frozenset({"core", "server", "sim", "adapters", "ports.plane"})
HEAVY_PACKAGES = frozenset(
    {
        "uvicorn",
        "uvloop",
        "httptools",
        "starlette",
        "jinja2",
        "obstore",
        "cel_expr_python",
        "google",
        "prometheus_client",
        "sklearn",
    }
)

QUICK_ROOT = "podium.cli.main"
SLOW = frozenset({"numpy", "rich", "urllib3", "cryptography", "nacl", "safetensors", "podium.device", "podium.plane"})
"""What a verb loads when it needs it, and the command line not before: `podium status` answers at once."""


@dataclass(frozen=True)
class Import:
    """One import: the dotted `target`, and whether it happens when the module is loaded."""

    target: str
    line: int
    at_load: bool


@cache
def imports(source: Source) -> tuple[Import, ...]:
    """Every import of `source`; `from a import b` gives a.b, relative imports are made absolute."""
    return tuple(_below(source, source.tree, at_load=True))


def _below(source: Source, element: ast.AST, at_load: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(element):
        if isinstance(child, ast.Import):
            yield from (Import(each.name, child.lineno, at_load) for each in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = _absolute(source, child)
            yield from (Import(f"{base}.{each.name}", child.lineno, at_load) for each in child.names)
        else:
            later = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) or _type_checking(child)
            yield from _below(source, child, at_load and not later)


def _absolute(source: Source, element: ast.ImportFrom) -> str:
    if not element.level:
        return element.module or ""
    package = source.module.split(".")
    keep = len(package) - element.level + source.path.endswith("__init__.py")
    return ".".join([*package[:keep], *([element.module] if element.module else [])])


def _type_checking(element: ast.AST) -> bool:
    return isinstance(element, ast.If) and "TYPE_CHECKING" in ast.dump(element.test)


def law(source: Source) -> Iterator[Finding]:
    """Imports of a room that the import law does not allow; a room without a row in it is one too."""
    room = source.room
    if not room:
        return
    if room not in LAW:
        yield Finding("import-law", source.path, f"room {room} has no row in the import law")
        return
    for each in imports(source):
        target = room_of(each.target)
        target = target if target in LAW or not target else "podium"  # a name of the package itself
        allowed = not target or target == room or target in LAW[room]
        if room == "adapters" and each.target.startswith(ADAPTER_TYPES):
            allowed = True
        if not allowed:
            yield Finding("import-law", source.path, f"line {each.line}: {room} may not import {each.target}")


def third_party(source: Source) -> Iterator[Finding]:
    """Third-party packages that a pure or light room may not import."""
    if source.room not in THIRD_PARTY:
        return
    allowed = set(THIRD_PARTY[source.room])
    for module, more in THIRD_PARTY_FILES.items():
        if f"{source.module}.".startswith(f"{module}."):
            allowed |= more
    for each in imports(source):
        top = each.target.split(".")[0]
        if not room_of(each.target) and top not in sys.stdlib_module_names and top not in allowed:
            yield Finding("third-party", source.path, f"line {each.line}: {source.room} may not import {top}")


def purity(source: Source) -> Iterator[Finding]:
    """A clock, entropy, I/O or concurrency in a room that decides; entropy in crypto and learning."""
    decides = source.room in DECISION_ROOMS
    banned = IMPURE if decides else ENTROPY if source.room in {"crypto", "learning"} else frozenset()
    for each in imports(source):
        hits = [name for name in banned if f"{each.target}.".startswith(f"{name}.")]
        yield from (Finding("purity", source.path, f"line {each.line}: imports {name}") for name in hits)
    if not decides:
        return
    for element in ast.walk(source.tree):
        if isinstance(element, ast.Call) and isinstance(element.func, ast.Name) and element.func.id in IMPURE_CALLS:
            yield Finding("purity", source.path, f"line {element.lineno}: calls {element.func.id}()")
        if isinstance(element, ast.Attribute) and ast.unparse(element) in {"np.random", "numpy.random"}:
            yield Finding("purity", source.path, f"line {element.lineno}: uses numpy.random")


def loaded(sources: Iterable[Source]) -> dict[str, set[str]]:
    """Module -> what is loaded with it: our modules by full name, others by their top package."""
    ours = {each.module: each for each in sources if each.module}
    return {
        name: {_resolve(each.target, ours) for each in imports(source) if each.at_load} for name, source in ours.items()
    }


def _resolve(target: str, ours: dict[str, Source]) -> str:
    if not room_of(target):
        return target.split(".")[0]
    while target not in ours and "." in target:
        target = target.rpartition(".")[0]
    return target


def cycles(sources: Iterable[Source]) -> Iterator[Finding]:
    """Modules that need one another to load, one finding for each circle."""
    graph = loaded(sources)
    reach = {name: _reach(graph, name) for name in graph}
    seen: set[str] = set()
    for name in sorted(graph):
        circle = sorted(other for other in reach[name] if name in reach.get(other, ()))
        if name in reach[name] and name not in seen:
            seen |= set(circle)
            yield Finding("import-cycle", name, " <-> ".join(circle))


def _reach(graph: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    open_ends = [start]
    while open_ends:
        new = graph.get(open_ends.pop(), set()) - found
        found |= new
        open_ends.extend(new)
    return found


def light(sources: Iterable[Source]) -> Iterator[Finding]:
    """What loading the device's side would drag in: the plane's rooms or its dependencies; and what is slow."""
    graph = {name: _with_parents(targets) for name, targets in loaded(sources).items()}
    for root in LIGHT_ROOTS:
        heavy = {each for each in _reach(graph, root) if _heavy(each) or (root == QUICK_ROOT and each in SLOW)}
        yield from (Finding("light", root, f"loading {root} loads {each}") for each in sorted(heavy))


def _with_parents(targets: set[str]) -> set[str]:
    parts = [target.split(".") for target in targets]
    return {".".join(each[:length]) for each in parts for length in range(1, len(each) + 1)}


def _heavy(name: str) -> bool:
    return room_of(name) in HEAVY_ROOMS or name in HEAVY_PACKAGES
