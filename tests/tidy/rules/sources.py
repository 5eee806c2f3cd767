"""What the house rules read: the project's Python files, parsed once, each with its room.

Decides: which files there are and which room a file belongs to. Never: whether they are good (the rules).
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PYTHON_FOLDERS = ("src", "tests", "tools", "bench", "examples")
TEXT_SUFFIXES = {
    ".py",
    ".md",
    ".toml",
    ".json",
    ".jsonl",
    ".txt",
    ".sql",
    ".yml",
    ".yaml",
    ".sh",
    ".css",
    ".js",
    ".html",
}


@dataclass(frozen=True)
class Finding:
    """One breach: of `rule`, at `where` (a path, or path::name), as large as `value`, said in `message`."""

    rule: str
    where: str
    message: str
    value: int = 1


@dataclass(frozen=True)
class Source:
    """One Python file: `path` relative to the root with forward slashes, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree; a SyntaxError is the file's own fault and is let through."""
        return ast.parse(self.text, filename=self.path)

    @property
    def module(self) -> str:
        """The dotted name, such as podium.core.step; "" outside src."""
        if not self.path.startswith("src/"):
            return ""
        return self.path[len("src/") : -len(".py")].removesuffix("/__init__").replace("/", ".")

    @property
    def room(self) -> str:
        """The room the import law knows the file by; see `room_of`."""
        return room_of(self.module)


def room_of(module: str) -> str:
    """The room of a dotted module: "core", "ports.plane", "podium" for the package itself, "" for what is not ours."""
    parts = module.split(".")
    if parts[0] == "podium_examples":
        return "podium_examples"
    if parts[0] != "podium":
        return ""
    if parts[1:3] == ["ports", "plane"]:
        return "ports.plane"
    return parts[1] if len(parts) > 1 else "podium"


def python_sources(root: Path = ROOT) -> tuple[Source, ...]:
    """Every Python file of the project, sorted by path."""
    paths = sorted(path for folder in PYTHON_FOLDERS for path in (root / folder).rglob("*.py"))
    return tuple(Source(path.relative_to(root).as_posix(), path.read_text()) for path in paths)


def text_files(root: Path = ROOT) -> Iterator[tuple[str, str]]:
    """(relative path, text) of every text file of the project, the licence and the constraints aside."""
    folders = (*PYTHON_FOLDERS, "docs", "deploy", "changelog.d", ".ci")
    paths = [path for folder in folders for path in (root / folder).rglob("*")]
    for path in sorted([*paths, *root.glob("*.md"), *root.glob("*.toml"), root / "Makefile"]):
        if path.is_file() and (path.suffix in TEXT_SUFFIXES or path.name in {"Makefile", "run"}):
            yield path.relative_to(root).as_posix(), path.read_text()
