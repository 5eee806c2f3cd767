"""The data directory that the audit's tests read and break."""

from pathlib import Path

import pytest

from podium.adapters.sqlite.seal import seal_path
from podium.adapters.sqlite.store import SqliteStore
from podium.server.journal.heads import heads_path
from tests.unit.audit.journal_made import fill


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    store = SqliteStore(path)
    fill(store, heads_path(path))
    store.close()
    seal_path(path / "podium.db").unlink()  # so that every other check stands alone
    return path
