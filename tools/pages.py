"""Write generated pages, or say which of them are stale.

Decides: nothing. Usage from a generator: `write(pages())`; from a test: `stale(pages())`.
"""

from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
Pages = dict[str, str]
"""Path below the root -> the page's whole text."""


def write(pages: Pages) -> None:
    """Write every page, making folders as needed."""
    for path, text in pages.items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text)


def stale(pages: Pages) -> list[str]:
    """Paths whose file is absent or holds another text than its generator makes now."""
    return [path for path, text in pages.items() if not (ROOT / path).exists() or (ROOT / path).read_text() != text]


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table; pipes within cells are escaped."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
