"""What is durable of a rotation before it is done: a crash anywhere leaves one that was told and happens, or neither.

Decides: which root documents a start may find in the database, and when one that was only staged counts: once the
journal tells of its key. Never: rotates (operators/keys.py), nor what a root document says (identity.py).
The order: the new private key is durable; the next root document is staged; the record of the rotation is durable,
which decides; the document is the plane's, in its file and in the database; only then is anything signed under it; the
private key before is erased last. A start finishes what the journal tells of, and erases the key of what it does not.
"""

import msgspec

from podium.adapters.sqlite.reader import SqliteReader
from podium.crypto.root import open_root
from podium.ports.plane import EntriesWanted, Pages
from podium.server.journal.audit import META_ROOT
from podium.wire.messages import RootDocument, SignedRoot
from podium.wire.problems import DeviceFault, StoreFault

META_NEXT = "root-next"
"""Meta name of the root document that the last rotation staged, as JSON; it stays when it is done."""


def kept_roots(store: SqliteReader, pages: Pages) -> list[SignedRoot]:
    """The root document that the database keeps, and the staged one if the journal tells of it; none at a first start.

    `StoreFault(store-corrupt)` for a document that does not hold.
    """
    roots = [_decoded(text) for text in (store.get_meta(META_ROOT), store.get_meta(META_NEXT)) if text]
    try:
        documents = [open_root(root, None) for root in roots]
    except DeviceFault as error:
        raise _corrupt(error.why) from error
    told = len(roots) < 2 or is_told(pages, documents[1], documents[0])
    return roots if told else roots[:1]


def is_told(pages: Pages, staged: RootDocument, before: RootDocument) -> bool:
    """Whether the journal tells of every key that `staged` has and `before` has not. `StoreFault`."""
    return all(
        pages.journal(EntriesWanted(kind="key-rotated", subject=name), 0, 1).numbers
        for name in staged.keys.keys() - before.keys.keys()
    )


def _decoded(text: str) -> SignedRoot:
    try:
        return msgspec.json.decode(text, type=SignedRoot)
    except msgspec.DecodeError as error:
        raise _corrupt(str(error)) from error


def _corrupt(why: str) -> StoreFault:
    return StoreFault("store-corrupt", what="a root document in the database does not hold", why=why)
