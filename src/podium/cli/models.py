"""podium model list, verify: which versions there are, and whether a file is one of them, offline.

Decides: what must hold of a version's statement. Never: trusts a statement's own word for who signed it: the plane's
root document says whose key that is.
"""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from podium.cli import completing
from podium.cli.completing import VersionName
from podium.cli.lists import Listing, Rows, show
from podium.cli.options import Json, Watch, Where, at_plane, labels_of
from podium.cli.output import count_of_bytes, decimals, say, say_json, short
from podium.wire.messages import RootDocument, SignedRoot
from podium.wire.operator import VersionView
from podium.wire.problems import DeviceFault, OperatorFault

app = typer.Typer(help="Model versions.", no_args_is_help=True)

STATEMENT_TYPE = "application/vnd.in-toto+json"


class _Subject(msgspec.Struct, frozen=True):
    digest: dict[str, str]


class Origin(msgspec.Struct, frozen=True):
    """Where a version comes from, as its plane signed it."""

    plane_id: str
    parent: str
    task_digest: str
    run: str
    round: int
    contributors: int
    privacy: str


class _Statement(msgspec.Struct, frozen=True):
    """What is read of an in-toto statement: which bytes it is about, and where they come from."""

    subject: tuple[_Subject, ...]
    predicate: Origin


NOT_MEASURED = "not measured yet"


def measured(view: VersionView) -> str:
    """What was measured on a version itself, as one cell."""
    return " ".join(f"{name} {decimals(value)}" for name, value in sorted(view.metrics.items())) or NOT_MEASURED


VERSIONS = Listing[VersionView](
    heads=("VERSION", "DIGEST", "PARENT", "RUN", "ROUND", "DEVICES", "SIZE", "METRICS", "ALIASES"),
    row=lambda view: (
        f"v{view.number}",
        short(view.digest),
        short(view.parent),
        view.run or "-",
        str(view.round) if view.run else "-",
        str(view.contributors) if view.run else "-",
        count_of_bytes(view.size_bytes),
        measured(view),
        " ".join(view.aliases) or "-",
    ),
    key=lambda view: view.digest,
    passing=("made_age_ms",),
)


@app.command("list")
@at_plane
def list_(
    where: Where,
    run: Annotated[
        str,
        typer.Option("--run", help="Only those that this run began with or made.", autocompletion=completing.runs),
    ] = "",
    label: Annotated[
        list[str] | None,
        typer.Option("-l", "--label", metavar="KEY=VALUE", help="Only those: task=, alias=, released=yes; all hold."),
    ] = None,
    json: Json = False,
    watch: Watch = False,
) -> None:
    """Every model version, oldest first, with the round that made its bytes first.

    METRICS are those measured on the version itself: by the round that trained from it, before it trained, or by an
    evaluation. The newest version of a run is not measured until one of them was.
    """
    labels = labels_of(label)
    if unknown := sorted(labels.keys() - {"task", "alias", "released"}):
        raise OperatorFault("usage", what=f"-l {unknown[0]}=", why="a version has task, alias and released")
    with where.link() as link:
        rows = Rows(
            link,
            "versions",
            VersionView,
            {"run": run, "task": labels.pop("task", "")},
            keep=lambda view: _fits(view, labels),
        )
        show(VERSIONS, rows, json=json, watch=watch)


def _fits(view: VersionView, labels: dict[str, str]) -> bool:
    """Whether alias and released hold of a version; an alias counts with its task's name and without."""
    names = {*view.aliases, *(alias.rpartition("@")[2] for alias in view.aliases)}
    own = {"alias": names, "released": {"yes" if view.released else "no"}}
    return all(value in own[name] for name, value in labels.items())


@app.command("pull")
@at_plane
def pull(
    where: Where,
    name: VersionName,
    out: Annotated[Path, typer.Option("--out", help="The file; its statement goes beside it.", dir_okay=False)],
) -> None:
    """Fetch a version with its signed statement and the plane's root document beside it; prints its digest."""
    with where.link() as link:
        view = link.version(name)
        model, statement, root = link.blob(view.digest), link.statement(view.digest), link.root()
    try:
        out.write_bytes(model)
        statement_beside(out).write_bytes(statement)
        root_beside(out).write_bytes(msgspec.json.encode(root))
    except OSError as error:
        raise OperatorFault("usage", what=f"cannot write {out}", why=str(error), next="choose another --out") from error
    say(view.digest)


def statement_beside(model: Path) -> Path:
    """Where the statement of the model file `model` lies."""
    return model.with_name(model.name + ".statement.json")


def root_beside(model: Path) -> Path:
    """Where the root document of the plane that made `model` lies."""
    return model.with_name(model.name + ".root.json")


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The safetensors file.", dir_okay=False)],
    statement: Annotated[
        Path | None, typer.Option("--statement", help="Its statement; default FILE.statement.json.", dir_okay=False)
    ] = None,
    root: Annotated[
        Path | None, typer.Option("--root", help="The root document you trust; default FILE.root.json.", dir_okay=False)
    ] = None,
    json: Json = False,
) -> None:
    """Check offline that FILE is exactly what a plane signed, and say where it comes from; exit code 8 if it is not."""
    found = checked(file, statement or statement_beside(file), read_root(root or root_beside(file)))
    if json:
        say_json({"digest": found.digest, **msgspec.structs.asdict(found.origin)})
    else:
        origin = found.origin
        made = f"run {origin.run} round {origin.round}, {origin.contributors} devices, privacy {origin.privacy}"
        say(f"ok  {found.digest}  plane {origin.plane_id}  {made if origin.run else 'brought in by a person'}")


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A version that is what a plane signed: its digest, and where its statement says it comes from."""

    digest: str
    origin: Origin


def checked(file: Path, statement: Path, document: RootDocument) -> Checked:
    """The model `file` once `statement` is about its bytes and signed by the plane of `document`.

    `OperatorFault(digest-mismatch | signature-invalid | file-unreadable)`.
    """
    digest = digest_of(file)
    return Checked(digest=digest, origin=stated(document, file_bytes(statement), digest, str(file)))


def digest_of(file: Path) -> str:
    """The digest that names the model `file`; `OperatorFault(file-unreadable)`."""
    from podium.wire.canonical import sha256_digest

    return sha256_digest(file_bytes(file))


def stated(document: RootDocument, envelope: bytes, digest: str, what: str) -> Origin:
    """Where `envelope`, signed by the plane of `document`, says the version `digest` comes from; `what` names it."""
    found = _statement(_opened(document, envelope))
    about = [f"sha256:{subject.digest.get('sha256', '')}" for subject in found.subject]
    if digest not in about:
        why = f"it is {digest}, the statement is about {', '.join(about)}"
        raise OperatorFault(
            "digest-mismatch", what=f"{what} is not what was signed", why=why, next="do not use it; pull it again"
        )
    if found.predicate.plane_id != document.plane_id:
        why = f"the statement is of plane {found.predicate.plane_id}, the root of {document.plane_id}"
        raise OperatorFault("signature-invalid", what=f"{what} is of another plane", why=why, next="pass its --root")
    return found.predicate


def _opened(document: RootDocument, envelope: bytes) -> bytes:
    """The statement in `envelope` once the plane's online key's signature holds."""
    from podium.crypto.dsse import open_statement
    from podium.crypto.root import role_key

    names = document.roles["online"].key_ids if "online" in document.roles else ()
    refused = DeviceFault("signature-invalid", why="the root document names no online key")
    for name in names:
        try:
            return open_statement(role_key(document, "online", name), STATEMENT_TYPE, envelope)
        except DeviceFault as error:
            refused = error
    raise OperatorFault(
        "signature-invalid",
        what="the statement is not signed by the plane of this root document",
        why=refused.why or refused.what,
        next="do not use the file; pull it again",
    )


def _statement(payload: bytes) -> _Statement:
    try:
        return msgspec.json.decode(payload, type=_Statement)
    except msgspec.DecodeError as error:
        raise OperatorFault("signature-invalid", what="the statement is no provenance", why=str(error)) from error


def read_root(path: Path) -> RootDocument:
    """The root document in the file `path`, which vouches for itself only. `OperatorFault(file-unreadable)`."""
    from podium.crypto.root import open_root

    try:
        return open_root(msgspec.json.decode(file_bytes(path), type=SignedRoot), None)
    except msgspec.DecodeError as error:
        raise OperatorFault("file-unreadable", what=f"{path} is no root document", why=str(error)) from error


def file_bytes(path: Path) -> bytes:
    """The bytes of the file `path`; `OperatorFault(file-unreadable)`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise OperatorFault("file-unreadable", what=f"cannot read {path}", why=error.strerror or str(error)) from error
