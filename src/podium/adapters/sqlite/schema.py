"""The tables of the embedded store, as numbered migrations, and which fields of a row are columns.

Decides: tables, indexes, and the triggers by which the database itself keeps history append-only. Never: when a row is
written (store.py). A migration, once released, is never edited: a new one follows it. `PRAGMA user_version` holds the
number of the last one applied.
"""

from podium.core.rows import AnyRow

APPLICATION_ID = 0x506F6469  # "Podi", so that `file` and a wrong path are told apart

FIRST = """
CREATE TABLE tokens (id TEXT PRIMARY KEY, population TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE devices (id TEXT PRIMARY KEY, number INTEGER NOT NULL, population TEXT NOT NULL, state TEXT NOT NULL,
  body BLOB NOT NULL);
CREATE TABLE tasks (id TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE runs (id TEXT PRIMARY KEY, task TEXT NOT NULL, state TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE rounds (id TEXT PRIMARY KEY, run TEXT NOT NULL, number INTEGER NOT NULL, state TEXT NOT NULL,
  body BLOB NOT NULL);
CREATE TABLE leases (id TEXT PRIMARY KEY, run TEXT NOT NULL, round INTEGER NOT NULL, device TEXT NOT NULL,
  state TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE versions (id TEXT PRIMARY KEY, run TEXT NOT NULL, number INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE aliases (id TEXT PRIMARY KEY, version TEXT NOT NULL, body BLOB NOT NULL);
-- the arbiter: a device holds at most one live lease
CREATE UNIQUE INDEX leases_live ON leases (device) WHERE state IN ('OFFERED', 'HELD');

CREATE TABLE history (number INTEGER PRIMARY KEY, step INTEGER NOT NULL, tree TEXT NOT NULL, place INTEGER NOT NULL,
  salt BLOB NOT NULL, record BLOB NOT NULL, leaf BLOB NOT NULL);
CREATE INDEX history_unplaced ON history (number) WHERE place = -1;
CREATE UNIQUE INDEX history_places ON history (tree, place) WHERE place >= 0;
CREATE TRIGGER history_changed BEFORE UPDATE ON history WHEN NOT (
  NEW.number = OLD.number AND NEW.step = OLD.step AND NEW.tree = OLD.tree AND NEW.leaf = OLD.leaf
  AND (NEW.place = OLD.place OR (OLD.place = -1 AND NEW.place >= 0))
  AND ((NEW.salt = OLD.salt AND NEW.record = OLD.record) OR (NEW.salt = x'' AND NEW.record = x'')))
BEGIN SELECT RAISE(ABORT, 'history is append-only: an entry is placed once or erased'); END;
CREATE TRIGGER history_removed BEFORE DELETE ON history
BEGIN SELECT RAISE(ABORT, 'history is append-only: no entry is removed'); END;

CREATE TABLE heads (number INTEGER PRIMARY KEY, tree TEXT NOT NULL, size INTEGER NOT NULL, payload BLOB NOT NULL,
  key_id TEXT NOT NULL, signature BLOB NOT NULL, UNIQUE (tree, size));
CREATE TRIGGER heads_changed BEFORE UPDATE ON heads
BEGIN SELECT RAISE(ABORT, 'a signed head is not changed'); END;
CREATE TRIGGER heads_removed BEFORE DELETE ON heads
BEGIN SELECT RAISE(ABORT, 'a signed head is not removed'); END;

CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL, digest TEXT NOT NULL);
"""

ACTS = """
CREATE TABLE alias_moves (id TEXT PRIMARY KEY, alias TEXT NOT NULL, counter INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE releases (id TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE freezes (id TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE services (id TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE webhooks (id TEXT PRIMARY KEY, body BLOB NOT NULL);
-- pages (pages.py) go on from a key, whatever the table's length; an index of a table with rowids ends with them
CREATE INDEX leases_by_device ON leases (device);
CREATE INDEX leases_by_round ON leases (run, round);
CREATE INDEX rounds_by_run ON rounds (run, number);
CREATE INDEX versions_by_run ON versions (run);
CREATE INDEX alias_moves_by_alias ON alias_moves (alias, counter);
ALTER TABLE devices ADD COLUMN site TEXT NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN name TEXT NOT NULL DEFAULT '';
UPDATE devices SET site = json_extract(CAST(body AS TEXT), '$.site'), name = json_extract(CAST(body AS TEXT), '$.name');
CREATE INDEX devices_by_number ON devices (number);
CREATE INDEX devices_by_site ON devices (site, number);
CREATE INDEX devices_by_name ON devices (name, number);
CREATE INDEX devices_marked ON devices (state, number) WHERE state <> 'active';
CREATE TABLE device_labels (label TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (label, number)) WITHOUT ROWID;
INSERT OR IGNORE INTO device_labels SELECT label, number FROM ({of_devices});
-- labels are given at enrolment and stay: whoever lets them change adds a trigger on UPDATE
CREATE TRIGGER devices_labelled AFTER INSERT ON devices
BEGIN INSERT OR IGNORE INTO device_labels SELECT label, NEW.number FROM ({of_new}); END;
-- derived from the record and gone with it when it is erased; NULL for bytes that are no record
ALTER TABLE history ADD COLUMN kind TEXT AS ({in_record}.kind') END) VIRTUAL;
ALTER TABLE history ADD COLUMN subject TEXT AS ({in_record}.subject') END) VIRTUAL;
ALTER TABLE history ADD COLUMN actor TEXT AS ({in_record}.actor') END) VIRTUAL;
CREATE INDEX history_by_kind ON history (kind);
CREATE INDEX history_by_subject ON history (subject);
-- what people and services did is rare beside what devices and the plane did
CREATE INDEX history_by_person ON history (actor) WHERE actor NOT LIKE 'device:%' AND actor <> 'plane';
"""

FACTS = """
-- what devices told, in chunks (core/fleet/snapshot.py): no record makes it, and it may be gone without harm
CREATE TABLE facts (number INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, digest BLOB NOT NULL, body BLOB NOT NULL);
"""


def _labels(table: str) -> str:
    """A select of `number` and `label` ("name=value") of each label of the devices in `table` with its column body.

    An only label that reads as the tag of a decimal stands with one more `_` before it (wire/plain.py).
    """
    labels = f"CAST({table}.body AS TEXT), '$.labels'"
    only = f"(SELECT count(*) FROM json_each({labels})) = 1"
    name = f"CASE WHEN ltrim(key, '_') = 'decimal' AND {only} THEN substr(key, 2) ELSE key END"
    from_devices = "devices, " if table == "devices" else ""
    return f"SELECT {table}.number AS number, {name} || '=' || value AS label FROM {from_devices}json_each({labels})"


LABELS = _labels("devices")
"""What table device_labels must hold, as a select of (number, label)."""

ACTS = ACTS.format(
    of_devices=LABELS,
    of_new=_labels("NEW"),
    in_record="CASE WHEN json_valid(CAST(record AS TEXT)) THEN json_extract(CAST(record AS TEXT), '$",
)

MIGRATIONS: tuple[str, ...] = (FIRST, ACTS, FACTS)
"""Migration n takes a database from version n - 1 to n."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "tokens": ("population",),
    "devices": ("number", "population", "state", "site", "name"),
    "tasks": (),
    "runs": ("task", "state"),
    "rounds": ("run", "number", "state"),
    "leases": ("run", "round", "device", "state"),
    "versions": ("run", "number"),
    "aliases": ("version",),
    "alias_moves": ("alias", "counter"),
    "releases": (),
    "freezes": (),
    "services": (),
    "webhooks": (),
}
"""Table -> the fields of its row that are columns, between `id` (the row's key) and `body` (its canonical bytes)."""


CHANGING = frozenset({"state", "version"})
"""The columns that change while a row lives, but for a lease's round (store.py). SQLite writes no index anew whose
columns a statement does not set."""


def upsert(table: str) -> str:
    """The statement that writes one row of `table`: id, its columns, body."""
    names = ("id", *COLUMNS[table], "body")
    marks = ", ".join("?" * len(names))
    news = ", ".join(f"{name} = excluded.{name}" for name in names[1:] if name in CHANGING or name == "body")
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {news}"


def values(table: str, row: AnyRow, body: bytes) -> tuple[str | int | bytes, ...]:
    """What `upsert(table)` takes for `row` with its canonical bytes `body`."""
    return (row.key(), *(getattr(row, name) for name in COLUMNS[table]), body)
