"""podium model release: the offline release key's word that a version may leave training.

Decides: what must hold before a version is signed: its own statement, by the plane of the root document. Never: sends
the key, nor reads it anywhere but in this process. With a model file nothing is asked of a plane until the release is
sent, so the signing can happen on a machine without a network (--out) and the sending elsewhere.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from podium.cli.models import checked, digest_of, file_bytes, read_root, root_beside, stated, statement_beside
from podium.cli.options import Json, Where, at_plane
from podium.cli.output import say, say_json
from podium.wire.messages import RootDocument
from podium.wire.problems import OperatorFault

if TYPE_CHECKING:
    from podium.plane.link import OperatorLink


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A release that was made: what it is about and its envelope."""

    version: str
    envelope: bytes


@at_plane
def release(
    where: Where,
    version: Annotated[
        str, typer.Argument(metavar="VERSION|FILE", help="A version of the plane, or a file that model pull wrote.")
    ],
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="The release key; it stays here.", dir_okay=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Keep the release here and send nothing.")
    ] = None,
    made: Annotated[
        Path | None, typer.Option("--release", metavar="FILE", help="Send what --out kept; no key is needed.")
    ] = None,
    json: Json = False,
) -> None:
    """Sign a version with the release key, offline if it is a FILE, and send that to the plane; with --out keep it."""
    if (key is None) is (made is None) or (out is not None and key is None):
        raise OperatorFault("usage", what="one of --key and --release is needed", why="--out keeps what --key signs")
    file = Path(version) if Path(version).is_file() else None
    if key is not None and file is not None:
        signed = _of_file(file, key)
    elif key is not None:
        with where.link() as link:
            signed = _of_plane(link, version, key)
    else:
        signed = _kept(version if file is None else digest_of(file), made)
    if out is not None:
        _keep(out, signed.envelope)
        return
    with where.link() as link:
        view = link.release(signed.version, signed.envelope)
    say_json(view) if json else say(view.version)


def _of_file(file: Path, key: Path) -> Signed:
    """The release of a model file beside which its statement and its plane's root document lie."""
    document = read_root(root_beside(file))
    found = checked(file, statement_beside(file), document)
    return _signed(document, key, found.digest, found.origin.task_digest)


def _of_plane(link: "OperatorLink", name: str, key: Path) -> Signed:
    """The release of a version that the plane describes, once the plane's own signature over it holds."""
    from podium.crypto.root import open_root

    document = open_root(link.root(), None)
    digest = link.version(name).digest
    origin = stated(document, link.statement(digest), digest, f"version {digest}")
    return _signed(document, key, digest, origin.task_digest)


def _signed(document: RootDocument, key: Path, digest: str, task_digest: str) -> Signed:
    from podium.crypto.release import seal_release
    from podium.server.identity import read_release_key

    return Signed(version=digest, envelope=seal_release(document, read_release_key(key), digest, task_digest))


def _kept(version: str, made: Path | None) -> Signed:
    """What --out kept, about `version`; the plane looks whether it holds."""
    envelope = b"" if made is None else file_bytes(made)
    try:
        msgspec.json.decode(envelope)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OperatorFault("release-invalid", what=f"{made} is no release", why=str(error)) from error
    return Signed(version=version, envelope=envelope)


def _keep(out: Path, envelope: bytes) -> None:
    try:
        out.write_bytes(envelope)
    except OSError as error:
        raise OperatorFault("usage", what=f"cannot write {out}", why=str(error), next="choose another --out") from error
    say(str(out))
