"""The journal taken out and verified offline: `podium audit export` and `podium audit verify`.

Decides: the format of an export, and what is compared. Never: erases or repairs. Verification raises
`OperatorFault(journal-broken)` naming the first entry that does not fit (exit code 8); it never returns a bool.

An export is JSON Lines, each line exactly as this file encodes it: one `journal` line (format, plane, root document),
the signed heads oldest first, the entries by number with their records in the clear, one `end` line with counts and
the SHA-256 of all bytes before it.
Limits: an export says who the plane's keys are, so give `root` (the document a device or an auditor trusts already) or
kept heads, where the one who made the export is not trusted. Free space within the database's pages is covered
only once a plane stopped cleanly (its seal).
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from podium.adapters.sqlite.inspect import check_pages, current_rows, head_rows, stored_step
from podium.adapters.sqlite.reader import DATABASE, SqliteReader, open_readonly
from podium.adapters.sqlite.seal import check_seal
from podium.crypto.root import open_root
from podium.ports.plane import Entry, SignedHead
from podium.server.journal.heads import from_signed, heads_path, read_heads, to_signed
from podium.server.journal.replay import AuditResult, Replay, broken
from podium.wire.canonical import b64, unb64
from podium.wire.messages import RootDocument, Signed, SignedRoot
from podium.wire.problems import DeviceFault, OperatorFault, StoreFault

PAGE = 1024
"""Entries read at once."""
META_ROOT = "root"
"""Meta name under which the shell keeps the plane's `SignedRoot` as JSON."""
NULL = msgspec.Raw(b"null")


class Line(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", forbid_unknown_fields=True):
    """Base of the lines of an export."""


class JournalLine(Line, frozen=True, kw_only=True, tag="journal"):
    """The first line: which plane, and the root document by which its heads verify."""

    format: Literal[1] = 1
    plane_id: str
    root: SignedRoot


class HeadLine(Line, frozen=True, kw_only=True, tag="head"):
    """A signed head."""

    head: Signed


class EntryLine(Line, frozen=True, kw_only=True, tag="entry"):
    """An entry; `record` is the record's bytes themselves, null once erased; `salt` base64url, `leaf` hex."""

    number: int
    step: int
    tree: str
    place: int
    salt: str
    leaf: str
    record: msgspec.Raw


class EndLine(Line, frozen=True, kw_only=True, tag="end"):
    """The last line: how many heads and entries came before, and the hex SHA-256 of every byte before this line."""

    heads: int
    entries: int
    sha256: str


class Journal(Protocol):
    """What an export reads: any store."""

    def entries(self, after: int, limit: int) -> list[Entry]:
        """Up to `limit` history entries with number > `after`."""
        ...

    def heads(self) -> list[SignedHead]:
        """Every signed head, oldest first."""
        ...


_LINES = msgspec.json.Decoder(JournalLine | HeadLine | EntryLine | EndLine)


# -- export --------------------------------------------------------------------------------------------------


def export(journal: Journal, root: SignedRoot) -> Iterator[bytes]:
    """The lines of an export of `journal`, each with its newline. `StoreFault` if it cannot be read."""
    digest = hashlib.sha256()
    counts = {"heads": 0, "entries": 0}
    for line in _content(journal, root):
        if isinstance(line, HeadLine):
            counts["heads"] += 1
        elif isinstance(line, EntryLine):
            counts["entries"] += 1
        data = msgspec.json.encode(line) + b"\n"
        digest.update(data)
        yield data
    yield msgspec.json.encode(EndLine(**counts, sha256=digest.hexdigest())) + b"\n"


def export_data(data: Path, root: SignedRoot | None = None) -> Iterator[bytes]:
    """The lines of an export of a data directory, one committed state of it, beside a live plane or not.

    `root` defaults to the document kept in the directory. `OperatorFault(data-missing)`, `StoreFault`.
    """
    reader = open_readonly(data)
    try:
        with reader.read("exporting the journal"):
            yield from export(reader, root or _stored_root(reader))
    finally:
        reader.close()


def _content(journal: Journal, root: SignedRoot) -> Iterator[JournalLine | HeadLine | EntryLine]:
    yield JournalLine(plane_id=_opened(root).plane_id, root=root)
    for head in journal.heads():
        yield HeadLine(head=to_signed(head))
    for entry in _entries(journal):
        yield EntryLine(
            number=entry.number,
            step=entry.step,
            tree=entry.tree,
            place=entry.place,
            salt=b64(entry.salt),
            leaf=entry.leaf.hex(),
            record=msgspec.Raw(entry.record) if entry.record else NULL,
        )


def _entries(journal: Journal) -> Iterator[Entry]:
    after = 0
    while page := journal.entries(after, PAGE):
        yield from page
        after = page[-1].number


def _opened(root: SignedRoot, trusted: RootDocument | None = None) -> RootDocument:
    try:
        return open_root(root, trusted)
    except DeviceFault as error:
        raise broken("the plane's root document", error.why or error.what) from error


def _stored_root(reader: SqliteReader) -> SignedRoot:
    text = reader.get_meta(META_ROOT)
    try:
        return msgspec.json.decode(text, type=SignedRoot)
    except msgspec.DecodeError as error:
        raise broken("the root document in the data directory", str(error)) from error


# -- verify an export ----------------------------------------------------------------------------------------


def verify_export(
    lines: Iterable[bytes], heads: Iterable[SignedHead] = (), root: SignedRoot | None = None
) -> AuditResult:
    """What held in an export given as lines with their newlines; any changed byte raises `journal-broken`.

    `heads`: kept outside, which the journal must contain. `root`: the trusted document, else the export's own.
    """
    reading = _Reading(heads, None if root is None else _opened(root))
    number = 0
    for number, data in enumerate(lines, start=1):
        reading.line(number, data)
    return reading.finish(number)


class _Reading:
    """An export as it is read, line by line."""

    def __init__(self, kept: Iterable[SignedHead], trusted: RootDocument | None) -> None:
        self._kept = kept
        self._trusted = trusted
        self._digest = hashlib.sha256()
        self._replay: Replay | None = None
        self._heads = 0
        self._entries = 0
        self._ended = False

    def line(self, number: int, data: bytes) -> None:
        """The next line, of which any byte may have been changed."""
        try:
            line = _LINES.decode(data)
        except (msgspec.DecodeError, ValueError) as error:
            raise self._broken(number, f"it does not decode: {error}") from error
        if msgspec.json.encode(line) + b"\n" != data:
            raise self._broken(number, "its bytes are not as an export writes them")
        if self._ended or isinstance(line, JournalLine) is not (self._replay is None):
            raise self._broken(number, "a line stands in the wrong place")
        if isinstance(line, EndLine):
            self._end(line)
        elif isinstance(line, JournalLine):
            self._begin(line)
        elif self._replay is not None:
            self._content(self._replay, line)
        self._digest.update(data)

    def _broken(self, number: int, why: str) -> OperatorFault:
        return broken(f"line {number} of the export (after entry {self._entries})", why)

    def _begin(self, line: JournalLine) -> None:
        document = _opened(line.root, self._trusted)
        if document.plane_id != line.plane_id:
            raise broken("the first line of the export", f"its root document is of plane {document.plane_id}")
        self._replay = Replay(document)
        self._replay.kept_heads(self._kept)

    def _content(self, replay: Replay, line: HeadLine | EntryLine) -> None:
        if isinstance(line, HeadLine):
            self._heads += 1
            if self._entries:
                raise broken(f"head {self._heads} of the export", "it stands after entries")
            try:
                head = from_signed(line.head)
            except DeviceFault as error:
                raise broken(f"head {self._heads} of the export", error.why) from error
            replay.stored_head(head)
        else:
            replay.entry(_entry(line))
            self._entries += 1

    def _end(self, line: EndLine) -> None:
        if (line.heads, line.entries) != (self._heads, self._entries):
            why = f"its last line counts {line.entries} entries and {line.heads} heads"
            raise broken(f"the export with {self._entries} entries and {self._heads} heads", why)
        if line.sha256 != self._digest.hexdigest():
            raise broken("the export", "its bytes do not have the SHA-256 that its last line says")
        self._ended = True

    def finish(self, number: int) -> AuditResult:
        """After the last line."""
        if self._replay is None or not self._ended:
            raise broken(f"the export ends after line {number} (entry {self._entries})", "its last line is missing")
        return self._replay.finish()


def _entry(line: EntryLine) -> Entry:
    record = bytes(line.record)
    try:
        salt, leaf = unb64(line.salt), bytes.fromhex(line.leaf)
    except (DeviceFault, ValueError) as error:
        raise broken(f"entry {line.number} ({line.tree})", f"its salt or leaf does not decode: {error}") from error
    if leaf.hex() != line.leaf:
        raise broken(f"entry {line.number} ({line.tree})", "its leaf is not lower-case hex")
    return Entry(
        number=line.number,
        step=line.step,
        tree=line.tree,
        place=line.place,
        salt=salt,
        record=b"" if record == b"null" else record,
        leaf=leaf,
    )


# -- verify a data directory ---------------------------------------------------------------------------------


def verify_data(data: Path, heads: Iterable[SignedHead] | None = None, root: SignedRoot | None = None) -> AuditResult:
    """What held in a data directory, opened read-only: history, heads, and tables equal to the history folded.

    `heads`: kept outside; None reads the heads file beside the directory, if there is one. `root`: the trusted
    document, else the directory's own. `OperatorFault(journal-broken | data-missing | data-newer)`.
    """
    beside = heads_path(data)
    # read before the database: a live plane appends a head only once the database holds what it signs
    kept = heads if heads is not None else read_heads(beside) if beside.exists() else ()
    try:
        reader = open_readonly(data)
    except StoreFault as error:
        raise broken(error.what, error.why) from error
    try:
        with reader.read("verifying the journal"):
            result = _verify(reader, kept, root)
        check_seal(data / DATABASE)
        return result
    except StoreFault as error:
        raise broken(error.what, error.why) from error
    finally:
        reader.close()


def _verify(reader: SqliteReader, kept: Iterable[SignedHead], root: SignedRoot | None) -> AuditResult:
    replay = Replay(_opened(_stored_root(reader), None if root is None else _opened(root)))
    replay.kept_heads(kept)
    for count, row in enumerate(head_rows(reader), start=1):
        head = replay.stored_head(row.head)
        if (row.number, row.tree, row.size) != (count, head.tree, head.size):
            raise broken(f"row {row.number} of table heads", f"it should be head {count}: {head.tree} at {head.size}")
    for entry in _readable(reader):
        replay.entry(entry)
    result = replay.finish()
    # after the entries, so that a damaged entry is named rather than its page
    check_pages(reader)
    for current in current_rows(reader):
        replay.current(current.table, current.id, current.body)
    return replay.end_of_tables(result, stored_step(reader))


def _readable(reader: SqliteReader) -> Iterator[Entry]:
    """Every entry; the first that cannot be read at all is named."""
    after = 0
    limit = PAGE
    while True:
        try:
            page = reader.entries(after, limit)
        except StoreFault as error:
            if limit == 1:
                raise broken(f"entry {after + 1} or one of those after it", error.why) from error
            limit = 1
            continue
        if not page:
            return
        yield from page
        after = page[-1].number
