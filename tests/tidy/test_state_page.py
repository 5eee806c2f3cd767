"""The page that names each table's one writer names every table, and only modules that there are."""

import re
from pathlib import Path

from podium.core.rows import TABLES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "state.md").read_text("utf-8")


def test_every_table_names_its_writer() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.+) \|$", PAGE, re.MULTILINE)
    assert {table for table, _ in rows} == set(TABLES)
    for _, writer in rows:
        named = re.findall(r"`([\w/]+\.py)`", writer)
        assert named and all((ROOT / "src" / "podium" / "core" / name).exists() for name in named)
