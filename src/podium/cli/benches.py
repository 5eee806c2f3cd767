"""podium bench: the benches of the checkout, each with its limit from the same run.

Decides: where the benches are and how their rows are printed. Never: what they measure (bench/ of the checkout).
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated

import msgspec
import typer

from podium.cli.options import Json
from podium.cli.output import decimals, note, say_json, say_table
from podium.wire.problems import OperatorFault


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure and its limit; `ratio` >= 1 and smaller is better, whichever way `better` points."""

    bench: str
    name: str
    value: float
    unit: str
    limit: float
    limit_name: str
    ratio: float
    target: float | None
    better: str
    met: bool | None


def bench(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="checkin, fleet, pages, round, select, simulate")
    ],
    json: Json = False,
    out: Annotated[Path | None, typer.Option("--out", help="Also write NAME.json here.", file_okay=False)] = None,
) -> None:
    """Measure; each row has a limit measured in the same run. Exit code 0 whether targets are met or not."""
    modules = [(name, _module(name)) for name in names]
    rows: list[Row] = []
    for name, module in modules:
        note(f"bench {name} ...")
        measured = [msgspec.convert(row, Row) for row in module.measure()]
        rows += measured
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            text = msgspec.json.format(msgspec.json.encode(measured), indent=2)
            (out / f"{name}.json").write_bytes(text + b"\n")
    if json:
        say_json(rows)
        return
    say_table(
        ("BENCH", "NAME", "VALUE", "LIMIT", "RATIO", "TARGET", "MET"),
        [
            (
                row.bench,
                row.name,
                f"{decimals(row.value)} {row.unit}",
                f"{decimals(row.limit)} {row.unit} {row.limit_name}",
                f"{row.ratio:.2f}",
                "-" if row.target is None else f"{row.target:.2f}",
                "-" if row.met is None else "yes" if row.met else "no",
            )
            for row in rows
        ],
    )


def _module(name: str) -> ModuleType:
    """The bench `name` of the checkout that Podium runs from."""
    top = Path(__file__).resolve().parents[3]
    if not (top / "bench" / "limits").is_dir():
        raise OperatorFault(
            "not-available",
            what=f"bench {name} is not installed",
            why="the benches are part of the source tree, not of the package",
            next="run it from a checkout: make bench",
        )
    known = sorted(path.stem for path in (top / "bench").glob("*.py") if not path.stem.startswith("_"))
    if name not in known:
        raise OperatorFault("usage", what=f"no bench is called {name}", why=f"there are {', '.join(known)}")
    if str(top) not in sys.path:
        sys.path.insert(0, str(top))
    return importlib.import_module(f"bench.{name}")
