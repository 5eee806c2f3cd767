"""podium model promote, rollback, alias list, alias history: names that people move, with who moved them and why.

Decides: what is printed, and which alias a short name means. Never: whether an alias may name a version (the core).
A move names the counter that was read before it, so that two people never undo one another unseen (alias-moved).
"""

from typing import TYPE_CHECKING, Annotated

import typer

from podium.cli import completing
from podium.cli.completing import VersionName
from podium.cli.lists import Listing, Rows, show
from podium.cli.options import Json, Watch, Where, Why, at_plane
from podium.cli.output import ago, note, printable, say, say_json, short
from podium.wire.asks import PromoteAsk, RollbackAsk
from podium.wire.operator import AliasMoveView, AliasView
from podium.wire.problems import OperatorFault

if TYPE_CHECKING:
    from podium.plane.link import OperatorLink

app = typer.Typer(help="Names of versions, and their history.", no_args_is_help=True)

Alias = Annotated[
    str,
    typer.Argument(
        metavar="ALIAS",
        help="TASK@NAME; NAME alone where only one can be meant.",
        autocompletion=completing.aliases,
    ),
]

ALIASES = Listing[AliasView](
    heads=("ALIAS", "VERSION", "DIGEST", "MOVES", "SINCE", "BY", "WHY"),
    row=lambda view: (
        view.alias,
        f"v{view.number}",
        short(view.version),
        str(view.counter),
        ago(view.age_ms),
        view.actor,
        printable(view.why) or "-",
    ),
    key=lambda view: view.alias,
    passing=("age_ms",),
)
MOVES = Listing[AliasMoveView](
    heads=("MOVE", "DIGEST", "BEFORE", "WHEN", "BY", "WHY"),
    row=lambda view: (
        str(view.counter),
        short(view.version),
        short(view.before),
        ago(view.age_ms),
        view.actor,
        printable(view.why) or "-",
    ),
    key=lambda view: f"{view.alias} {view.counter}",
    passing=("age_ms",),
)


@at_plane
def promote(
    where: Where,
    version: VersionName,
    alias: Annotated[
        str,
        typer.Argument(
            metavar="ALIAS",
            help="TASK@NAME; NAME alone is of the version's task.",
            autocompletion=completing.movable_aliases,
        ),
    ],
    why: Why = "",
    json: Json = False,
) -> None:
    """Let an alias name a version: candidate or canary any sealed one, production only a released one."""
    with where.link() as link:
        wanted = link.version(version)
        whole = alias if "@" in alias else f"{wanted.task}@{alias}"
        before = next((each for each in link.aliases() if each.alias == whole), None)
        ask = PromoteAsk(version=wanted.digest, counter=before.counter if before is not None else 0, why=why)
        done = link.promote(whole, ask)
    _say_moved(done, before, json)


@at_plane
def rollback(
    where: Where,
    alias: Alias,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="VERSION",
            help="One it once named; else the one before.",
            autocompletion=completing.versions,
        ),
    ] = "",
    why: Why = "",
    json: Json = False,
) -> None:
    """Let an alias name the version before its present one again; repeated, it goes further back.

    What was rolled back itself is skipped. A move by somebody else meanwhile is left as it is (alias-moved).
    """
    with where.link() as link:
        before = _named(link, alias)
        version = link.version(to).digest if to else ""
        done = link.rollback(before.alias, RollbackAsk(version=version, counter=before.counter, why=why))
    _say_moved(done, before, json)


def _say_moved(done: AliasView, before: AliasView | None, json: bool) -> None:
    if json:
        say_json(done)
        return
    say(f"{done.alias} v{done.number} {done.version}")
    if before is not None:
        note(f"before: v{before.number} {before.version}")


@app.command("list")
@at_plane
def list_(where: Where, json: Json = False, watch: Watch = False) -> None:
    """Every alias, the version it names, and who let it."""
    with where.link() as link:
        show(ALIASES, Rows(link, "aliases", AliasView), json=json, watch=watch)


@app.command("history")
@at_plane
def history(where: Where, alias: Alias, json: Json = False, watch: Watch = False) -> None:
    """Every move of an alias by a person or a service, newest first."""
    from podium.plane.calls import name

    with where.link() as link:
        path = f"aliases/{name(_named(link, alias).alias)}/moves"
        show(MOVES, Rows(link, path, AliasMoveView), json=json, watch=watch)


def _named(link: "OperatorLink", name: str) -> AliasView:
    """The alias that `name` means; `OperatorFault`: not-found, id-ambiguous where several tasks have one so named."""
    every = link.aliases()
    found = [each for each in every if name in (each.alias, each.alias.partition("@")[2])]
    if not found:
        raise OperatorFault("not-found", what=f"no alias is called {name}", next="podium model alias list shows them")
    if len(found) > 1:
        why = ", ".join(each.alias for each in found[:3])
        raise OperatorFault("id-ambiguous", what=f"{name} names {len(found)} aliases", why=why, next="write TASK@NAME")
    return found[0]
