"""Every relative link in the project's Markdown leads to a file that is there."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.tidy.rules.sources import ROOT, text_files

LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")


def broken(root: Path, path: str, text: str) -> Iterator[str]:
    """The targets of `text`'s relative links that do not exist below `root`."""
    here = (root / path).parent
    yield from (f"{path}: {target}" for target in LINK.findall(text) if not (here / target).exists())


def test_no_link_is_broken() -> None:
    pages = [(path, text) for path, text in text_files() if path.endswith(".md")]
    assert pages
    assert [each for path, text in pages for each in broken(ROOT, path, text)] == []


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("")
    text = "[a](there.md) [b](there.md#part) [c](https://example.org/x) [d](#part) [e](gone.md)"
    assert list(broken(tmp_path, "page.md", text)) == ["page.md: gone.md"]
