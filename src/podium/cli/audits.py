"""podium audit list, export, verify: the journal read, taken out, and verified offline, beside a live plane or not.

Decides: where the bytes come from and go to. Never: what holds (podium.server.journal.audit).
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from podium.cli.lists import Listing, Rows, show
from podium.cli.options import DATA, Data, Json, Watch, Where, at_plane, labels_of
from podium.cli.output import ago, printable, say, say_json, wall_clock
from podium.wire.messages import SignedRoot
from podium.wire.operator import EntryView
from podium.wire.problems import OperatorFault

if TYPE_CHECKING:
    from podium.ports.plane import SignedHead
    from podium.server.journal.replay import AuditResult

app = typer.Typer(help="The journal: everything that was decided.", no_args_is_help=True)


ENTRIES = Listing[EntryView](
    heads=("ENTRY", "AGE", "TIME", "KIND", "SUBJECT", "BY", "WHY"),
    row=lambda view: (
        f"{view.tree}:{view.place}" if view.place >= 0 else f"#{view.number}",
        ago(view.age_ms),
        wall_clock(view.age_ms),
        view.kind,
        printable(view.subject) or "-",
        view.actor or "-",
        printable(" ".join(f"{name}={value}" for name, value in view.why.items())) or "-",
    ),
    key=lambda view: str(view.number),
    passing=("age_ms", "place"),
    newest=True,
)


@app.command("list")
@at_plane
def list_(
    where: Where,
    label: Annotated[
        list[str] | None,
        typer.Option("-l", "--label", metavar="KEY=VALUE", help="Only those: kind=, subject=, actor=; all hold."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000, help="How many, the newest.")] = 50,
    json: Json = False,
    watch: Watch = False,
) -> None:
    """The newest entries of the journal, the newest last: who did what, when and why."""
    labels = labels_of(label)
    if unknown := sorted(labels.keys() - {"kind", "subject", "actor"}):
        raise OperatorFault("usage", what=f"-l {unknown[0]}=", why="an entry has kind, subject and actor")
    with where.link() as link:
        show(ENTRIES, Rows(link, "audit/entries", EntryView, labels, newest=limit), json=json, watch=watch)


@app.command("export")
def export(data: Data = DATA) -> None:
    """Write the journal of a data directory to stdout, as JSON lines."""
    from podium.server.journal.audit import export_data

    for line in export_data(data):
        sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


@app.command("verify")
def verify(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="An export; without it, --data is verified.", dir_okay=False)
    ] = None,
    data: Data = DATA,
    heads: Annotated[
        Path | None,
        typer.Option("--heads", help="Signed heads kept outside; default DATA.heads.jsonl.", dir_okay=False),
    ] = None,
    root: Annotated[
        Path | None, typer.Option("--root", help="The root document you trust, else the journal's own.", dir_okay=False)
    ] = None,
    json: Json = False,
) -> None:
    """Check every entry, tree and signed head; exit code 8 names the first entry that does not fit."""
    from podium.server.journal.audit import verify_data, verify_export

    trusted = None if root is None else _root(root)
    if file is None:
        found = verify_data(data, heads=None if heads is None else _heads(heads), root=trusted)
    else:
        try:
            with file.open("rb") as lines:
                found = verify_export(lines, heads=() if heads is None else _heads(heads), root=trusted)
        except OSError as error:
            raise OperatorFault("file-unreadable", what=f"cannot read {file}", why=str(error)) from error
    say_json(found) if json else say(verified_text(found))


def verified_text(found: "AuditResult") -> str:
    """What held, in one line."""
    trees = ", ".join(f"{name} {tree.size} entries {tree.root[:12]}" for name, tree in sorted(found.trees.items()))
    return (
        f"ok  plane {found.plane_id}  {found.entries} entries, {found.pending} pending, {found.erased} erased, "
        f"{found.heads} heads  ({trees})"
    )


def _heads(path: Path) -> "list[SignedHead]":
    from podium.server.journal.heads import read_heads

    if not path.exists():
        raise OperatorFault("file-unreadable", what=f"cannot read {path}", why="there is no such file")
    return list(read_heads(path))


def _root(path: Path) -> SignedRoot:
    try:
        return msgspec.json.decode(path.read_bytes(), type=SignedRoot)
    except (OSError, msgspec.DecodeError) as error:
        raise OperatorFault("file-unreadable", what=f"{path} is no root document", why=str(error)) from error
