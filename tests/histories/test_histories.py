"""Old histories on today's code: an export of each release verifies, decodes, and folds to rows that a core loads."""

import json
from pathlib import Path

import pytest

from podium.core.check import check
from podium.core.events import Booted
from podium.core.records import read_record
from podium.core.rows import AnyRow, table_of
from podium.core.step import Core
from podium.server.journal.audit import verify_export
from podium.wire.canonical import canonical
from podium.wire.limits import Limits
from tests.support.core_made import rows_of

HISTORIES = sorted(Path(__file__).parent.glob("release-*.jsonl"))


def folded(path: Path) -> dict[tuple[str, str], AnyRow]:
    """The rows that the records of an export leave behind."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    entries = sorted((line for line in lines if line["line"] == "entry"), key=lambda line: int(line["number"]))
    records = [read_record(canonical(line["record"])).record() for line in entries]
    return {(table_of(row), row.key()): row for record in records for row in record.rows}


def test_there_is_a_history() -> None:
    assert next(path.name for path in HISTORIES) == "release-0.1.0.jsonl"


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_an_old_export_still_verifies(path: Path) -> None:
    result = verify_export(path.read_bytes().splitlines(keepends=True))
    assert result.entries == sum('"line":"entry"' in line for line in path.read_text().splitlines())
    assert result.pending == 0


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_core_loads_what_an_old_history_folds_to(path: Path) -> None:
    rows = folded(path)
    core = Core(rows.values(), step=1_000_000, at_ms=0, limits=Limits())
    assert rows_of(core.state) == rows
    core.step(Booted(at_ms=2_000_000_000_000, down_ms=0))
    check(core.state)
    trained = [run for run in core.state.runs.values() if core.state.tasks[run.task].task.task.kind == "train"]
    assert [(run.state, run.rounds_sealed) for run in trained] == [("FINISHED", 2)]
    assert core.state.versions[trained[0].base].number == 2
