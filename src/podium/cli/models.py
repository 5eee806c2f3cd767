"""podium model list, verify: which versions there are, and whether a file is one of them, offline.

Decides: what must hold of a version's statement. Never: trusts a statement's own word for who signed it: the plane's
root document says whose key that is.
"""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from podium.cli.options import DATA, Data, Json, TokenFile, Url, connect
from podium.cli.output import count_of_bytes, decimals, say, say_json, say_table, short
from podium.wire.messages import RootDocument, SignedRoot
from podium.wire.operator import VersionView
from podium.wire.problems import DeviceFault, OperatorFault

app = typer.Typer(help="Model versions.", no_args_is_help=True)

STATEMENT_TYPE = "application/vnd.in-toto+json"


class _Subject(msgspec.Struct, frozen=True):
    digest: dict[str, str]


class _Predicate(msgspec.Struct, frozen=True):
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
    predicate: _Predicate


@app.command("list")
def list_(
    run: Annotated[str, typer.Option("--run", help="Only the versions of this run.")] = "",
    json: Json = False,
    data: Data = DATA,
    plane: Url = "",
    token_file: TokenFile = None,
) -> None:
    """Every model version, oldest first."""
    with connect(data, plane, token_file) as link:
        views = link.versions(run)
    say_json(views) if json else say_versions(views)


def say_versions(views: list[VersionView]) -> None:
    """The list of versions to stdout."""
    say_table(
        ("VERSION", "DIGEST", "PARENT", "RUN", "ROUND", "DEVICES", "SIZE", "METRICS"),
        [
            (
                f"v{view.number}",
                short(view.digest),
                short(view.parent),
                view.run or "-",
                str(view.round) if view.run else "-",
                str(view.contributors) if view.run else "-",
                count_of_bytes(view.size_bytes),
                " ".join(f"{name} {decimals(value)}" for name, value in sorted(view.metrics.items())) or "-",
            )
            for view in views
        ],
    )


@app.command("pull")
def pull(
    name: Annotated[str, typer.Argument(metavar="VERSION", help="A digest, a unique prefix, v3, an alias, or @last.")],
    out: Annotated[Path, typer.Option("--out", help="The file; its statement goes beside it.", dir_okay=False)],
    data: Data = DATA,
    plane: Url = "",
    token_file: TokenFile = None,
) -> None:
    """Fetch a version with its signed statement and the plane's root document beside it; prints its digest."""
    with connect(data, plane, token_file) as link:
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
    from podium.wire.canonical import sha256_digest

    digest = sha256_digest(_bytes(file))
    document = _root(root or root_beside(file))
    payload = _opened(document, _bytes(statement or statement_beside(file)))
    found = _statement(payload)
    stated = [f"sha256:{subject.digest.get('sha256', '')}" for subject in found.subject]
    if digest not in stated:
        why = f"the file is {digest}, the statement is about {', '.join(stated)}"
        raise OperatorFault(
            "digest-mismatch", what=f"{file} is not what was signed", why=why, next="do not use it; pull it again"
        )
    if found.predicate.plane_id != document.plane_id:
        why = f"the statement is of plane {found.predicate.plane_id}, the root of {document.plane_id}"
        raise OperatorFault("signature-invalid", what=f"{file} is of another plane", why=why, next="pass its --root")
    if json:
        say_json({"digest": digest, **msgspec.structs.asdict(found.predicate)})
    else:
        origin = found.predicate
        made = f"run {origin.run} round {origin.round}, {origin.contributors} devices, privacy {origin.privacy}"
        say(f"ok  {digest}  plane {origin.plane_id}  {made if origin.run else 'brought in by a person'}")


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


def _root(path: Path) -> RootDocument:
    from podium.crypto.root import open_root

    try:
        return open_root(msgspec.json.decode(_bytes(path), type=SignedRoot), None)
    except msgspec.DecodeError as error:
        raise OperatorFault("file-unreadable", what=f"{path} is no root document", why=str(error)) from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OperatorFault("file-unreadable", what=f"cannot read {path}", why=error.strerror or str(error)) from error
