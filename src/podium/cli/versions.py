"""podium model show, diff: one version with its lineage and aliases, and two versions tensor by tensor.

Decides: what is printed, and how two tensors are compared. Never: trusts that bytes are what a digest says; podium
model verify does that. Limits: `LINEAGE_MAX` ancestors are walked; both models are held in memory.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from podium.cli.advice import advised
from podium.cli.completing import VersionName, versions
from podium.cli.models import measured
from podium.cli.options import Json, Where, at_plane
from podium.cli.output import ago, count_of_bytes, decimals, printable, say, say_json, say_pairs, say_table, short
from podium.wire.operator import AliasMoveView, VersionView
from podium.wire.problems import OperatorFault

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from podium.plane.link import OperatorLink

LINEAGE_MAX = 12
MEASURED_SHOWN = 3


class VersionShown(msgspec.Struct, frozen=True, kw_only=True):
    """What `model show --json` prints."""

    version: VersionView
    lineage: list[str]  # digests, the parent first
    moves: list[AliasMoveView]  # of aliases that named it, newest first
    variants: list[str]


@at_plane
def show(
    where: Where,
    name: VersionName,
    json: Json = False,
) -> None:
    """One version: where it comes from, what devices measured, which aliases name it, whether it is released."""
    with where.link() as link:
        view = link.version(name)
        ancestors = _lineage(link, view)
        moves = _moves(link, view)
    if json:
        lineage = [each.digest for each in ancestors]
        say_json(VersionShown(version=view, lineage=lineage, moves=moves, variants=[]))
        return
    line = " <- ".join(f"v{each.number} {short(each.digest)}" for each in ancestors)
    more = " <- ..." if ancestors and ancestors[-1].parent else ""
    made = f"run {view.run} round {view.round}, {view.contributors} devices" if view.run else "brought in by a person"
    say_pairs(
        [
            ("version", f"v{view.number} {view.digest}"),
            ("task", view.task),
            ("made", f"{made}, {ago(view.made_age_ms)}"),
            ("lineage", f"{line}{more}" if line else "it has no parent"),
            ("size", count_of_bytes(view.size_bytes)),
            ("metrics", measured(view)),
            ("measured", _measured_by(view)),
            ("aliases", " ".join(view.aliases) or "none"),
            (
                "released",
                "yes" if view.released else advised("no: podium model release signs it, production wants that"),
            ),
            ("variants", "none"),
        ]
    )
    for move in moves:
        went = "came to it" if move.version == view.digest else f"left it for {short(move.version)}"
        say(
            f"{move.alias} {went} {ago(move.age_ms)} by {move.actor}" + (f": {printable(move.why)}" if move.why else "")
        )


def _measured_by(view: VersionView) -> str:
    """Which rounds measured the version, the newest first."""
    if not view.measured_by:
        return "no round has begun with it: run one from it, or an evaluation"
    rounds = [f"round {number} of run {run}" for run, _, number in (each.rpartition(".") for each in view.measured_by)]
    more = f" and {len(rounds) - MEASURED_SHOWN} more" if len(rounds) > MEASURED_SHOWN else ""
    return f"by {', '.join(rounds[:MEASURED_SHOWN])}{more}; a round measures its base before it trains"


def _lineage(link: "OperatorLink", view: VersionView) -> list[VersionView]:
    """The ancestors of `view`, its parent first; at most `LINEAGE_MAX`."""
    found: list[VersionView] = []
    while view.parent and len(found) < LINEAGE_MAX:
        view = link.version(view.parent)
        found.append(view)
    return found


def _moves(link: "OperatorLink", view: VersionView) -> list[AliasMoveView]:
    """Every move of an alias of the version's task to it or away from it, newest first."""
    names = [each.alias for each in link.aliases() if each.alias.rpartition("@")[0] == view.task]
    moves = [move for name in names for move in link.alias_moves(name) if view.digest in (move.version, move.before)]
    return sorted(moves, key=lambda move: move.age_ms)


class TensorDiff(msgspec.Struct, frozen=True, kw_only=True):
    """One tensor of two versions: shapes and types as "A" or "A -> B", distances in float64, None where shapes differ.

    `l2`: the Euclidean norm of B - A; `max_abs`: its largest absolute entry; `cosine`: of the angle between A and B,
    None where one is zero.
    """

    tensor: str
    shape: str
    dtype: str
    l2: float | None
    max_abs: float | None
    cosine: float | None


@at_plane
def diff(
    where: Where,
    a: Annotated[
        str, typer.Argument(metavar="A", help="A version of the plane, or a safetensors file.", autocompletion=versions)
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="The other one.", autocompletion=versions)],
    json: Json = False,
) -> None:
    """Compare two versions tensor by tensor: shape, type, L2 distance, largest difference, cosine."""
    from podium.wire.tensors import read_arrays

    try:
        first, second = (read_arrays(data) for data in _both(where, a, b))
    except ValueError as error:
        raise OperatorFault("file-unreadable", what=f"{a} or {b} is no model", why=str(error)) from error
    found = [compared(name, first.get(name), second.get(name)) for name in sorted({*first, *second})]
    if json:
        say_json(found)
        return
    say_table(
        ("TENSOR", "SHAPE", "TYPE", "L2", "MAX", "COSINE"),
        [
            (printable(each.tensor), each.shape, each.dtype, _told(each.l2), _told(each.max_abs), _told(each.cosine))
            for each in found
        ],
    )


def _told(value: float | None) -> str:
    return "-" if value is None else decimals(value)


def _both(where: Where, a: str, b: str) -> tuple[bytes, bytes]:
    """The bytes of both; no plane is asked when both are files."""
    held = {name: Path(name).read_bytes() for name in (a, b) if Path(name).is_file()}
    wanted = [name for name in (a, b) if name not in held]
    if wanted:
        with where.link() as link:
            held |= {name: link.blob(link.version(name).digest) for name in wanted}
    return held[a], held[b]


def compared(name: str, a: "NDArray[np.generic] | None", b: "NDArray[np.generic] | None") -> TensorDiff:
    """How the tensor `name` differs; None for a side that has no such tensor."""
    import numpy as np

    shapes = [str(list(each.shape)) if each is not None else "none" for each in (a, b)]
    kinds = [str(each.dtype) if each is not None else "none" for each in (a, b)]
    shape, dtype = (one if one == two else f"{one} -> {two}" for one, two in (shapes, kinds))
    if a is None or b is None or a.shape != b.shape:
        return TensorDiff(tensor=name, shape=shape, dtype=dtype, l2=None, max_abs=None, cosine=None)
    x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    norms = float(np.linalg.norm(x)) * float(np.linalg.norm(y))
    return TensorDiff(
        tensor=name,
        shape=shape,
        dtype=dtype,
        l2=float(np.linalg.norm(y - x)),
        max_abs=float(np.max(np.abs(y - x), initial=0.0)),
        cosine=float(x @ y) / norms if norms else None,
    )
