"""podium export: a run as files that other programs read: CSV, JSON and figures as SVG.

Decides: which files there are and what stands in their columns. Never: how a figure is drawn (figures.py). Files of
two runs, or of a run and others, are not mixed in one directory: it holds nothing, or an older export of the same run.
Times count from the opening of the run's first round, in ms; the plane tells ages, so they are as exact as one answer
is quick. A text that a spreadsheet would run as a formula gets an apostrophe before it (OWASP, "CSV Injection").
Limits: everything of a run is read into memory, round by round; `SITES_DRAWN` sites are drawn one by one.
"""

import csv
import re
import time
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from podium.cli.completing import RunName
from podium.cli.figures import bars, line_chart
from podium.cli.options import Where, at_plane
from podium.cli.output import note, say
from podium.wire.operator import LeaseView, RoundView, RunView
from podium.wire.problems import OperatorFault

BARS_MAX = 12
"""More rounds than these are drawn as lines."""
SITES_DRAWN = 6
"""More sites than these are drawn as the lowest and the highest of each round."""
MEASURED_AT = "round, measured before it trained"
PROGRESS_S = 10.0
"""Progress is told so often."""
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a formula begins with, in full width too."""
LEASES = ("granted", "reported", "accepted")
"""What stays of a round's leases when it has ended; `training` says how many are at work now."""
_ROUNDS = ("round", "state", "reason", "base", "version", "goal", "minimum", "opened_ms", "took_ms", "lost", "losses")
_LEASES = ("lease", "round", "device", "site", "state", "reason", "granted_ms", "ended_ms", "upload_bytes", "weight")

Row = tuple[object, ...]


@at_plane
def export(
    where: Where,
    name: RunName,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Made if need be; it holds nothing, or an older export of the run.",
            file_okay=False,
        ),
    ],
) -> None:
    """Write a run's rounds, leases and metrics as CSV, run.json, and figures as SVG; prints the files."""
    with where.link() as link:
        view = link.run(name)
        check_place(out, view.id)
        rounds, asked_s = sorted(link.rounds(view.id), key=lambda each: each.number), time.monotonic()
        now_ms, noted_s = max((each.opened_age_ms for each in rounds), default=0), asked_s
        leases: list[tuple[int, LeaseView]] = []
        for each in rounds:
            if time.monotonic() - noted_s >= PROGRESS_S:
                noted_s = time.monotonic()
                note(f"round {each.number} of {len(rounds)}")
            found = link.leases(view.id, each.number)
            later_ms = now_ms + int((time.monotonic() - asked_s) * 1000)
            leases += [(later_ms, lease) for lease in found]
    files: dict[str, str | bytes] = {"run.json": msgspec.json.format(msgspec.json.encode(view), indent=2) + b"\n"}
    tables = {
        "rounds.csv": round_rows(rounds, now_ms),
        "leases.csv": lease_rows(leases),
        "metrics.csv": metric_rows(rounds),
    }
    files |= {f"{name}.svg": text for name, text in figures(view, rounds).items()}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for file, data in files.items():
            (out / file).write_bytes(data if isinstance(data, bytes) else data.encode())
        for file, rows in tables.items():
            with (out / file).open("w", newline="", encoding="utf-8") as opened:
                csv.writer(opened).writerows([safe(cell) for cell in row] for row in rows)
    except OSError as error:
        what = f"cannot write in {out}"
        raise OperatorFault("usage", what=what, why=str(error), next="choose another --out") from error
    for file in [*files, *tables]:
        say(str(out / file))


def check_place(out: Path, run: str) -> None:
    """`OperatorFault(usage)` unless `out` is not there, holds nothing, or holds what an export of `run` left."""
    try:
        held = out.is_dir() and any(out.iterdir())
        told = (out / "run.json").read_bytes() if held else b""
        other = held and msgspec.json.decode(told, type=_Exported).id != run
    except (OSError, msgspec.DecodeError):
        other = True
    if other:
        why = f"it holds something other than an export of run {run}, and files are not mixed"
        raise OperatorFault("usage", what=f"cannot export into {out}", why=why, next="choose another --out")


class _Exported(msgspec.Struct, frozen=True):
    """The part of a run.json that says whose it is."""

    id: str


def safe(cell: object) -> object:
    """A cell that no spreadsheet takes for a formula: texts that begin as one get an apostrophe before them."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULAS) else cell


def round_rows(rounds: Sequence[RoundView], now_ms: int) -> Iterable[Row]:
    """rounds.csv: a head, then a row for each round, told at `now_ms`. lost: how many leases; losses: why."""
    yield (*_ROUNDS, *LEASES)
    for each in rounds:
        losses = ";".join(f"{reason}={count}" for reason, count in each.lost.items())
        plain = (each.number, each.state, each.reason, each.base, each.version, each.goal, each.minimum)
        times = (now_ms - each.opened_age_ms, each.took_ms)
        lost = sum(each.lost.values())
        yield (*plain, *times, lost, losses, *(each.leases.get(stage, 0) for stage in LEASES))


def lease_rows(leases: Sequence[tuple[int, LeaseView]]) -> Iterable[Row]:
    """leases.csv: a head, then a row for each lease, told at the ms beside it; one column for each metric.

    Empty where a thing never was.
    """
    metrics = sorted({name for _, each in leases for name in each.metrics})
    yield (*_LEASES, "norm", *metrics)
    for now_ms, each in leases:
        ended = now_ms - each.ended_age_ms if each.ended_age_ms >= 0 else ""
        whose = (each.id, each.round, each.device, each.site, each.state, each.reason)
        times = (now_ms - each.granted_age_ms, ended)
        norm = each.norm if each.norm >= 0 else ""
        yield (*whose, *times, each.upload_bytes, each.weight, norm, *(each.metrics.get(name, "") for name in metrics))


def metric_rows(rounds: Sequence[RoundView]) -> Iterable[Row]:
    """metrics.csv: a row for each round, site ("" pooled over all) and metric; examples: the metric's denominator.

    measured: the version that the metric is of, with which the round began.
    """
    yield ("round", "measured", "site", "metric", "value", "examples")
    for each in rounds:
        for name, value in sorted(each.metrics.items()):
            yield (each.number, each.base, "", name, value, each.examples.get(name, ""))
        for site, metrics in sorted(each.site_metrics.items()):
            examples = each.site_examples.get(site, {})
            yield from (
                (each.number, each.base, site, name, value, examples.get(name, ""))
                for name, value in sorted(metrics.items())
            )


def figures(view: RunView, rounds: Sequence[RoundView]) -> dict[str, str]:
    """File name without its ending -> SVG: each metric over sealed rounds, pooled and by site; leases; round times."""
    sealed = [each for each in rounds if each.state == "SEALED"]
    made: dict[str, str] = {}
    for metric in sorted({name for each in sealed for name in each.metrics}):
        series = {"pooled": _points(sealed, [each.metrics.get(metric) for each in sealed]), **_by_site(sealed, metric)}
        title = f"{metric} per round, run {view.id}"
        made[_file(metric, made)] = line_chart(series, title=title, x_label=MEASURED_AT, y_label=metric)
    made["leases"] = _leases(view, rounds)
    took = {"round": _points(rounds, [each.took_ms / 1000 for each in rounds])}
    made["time"] = line_chart(took, title=f"time per round, run {view.id}", x_label="round", y_label="seconds")
    return made


def _by_site(sealed: Sequence[RoundView], metric: str) -> dict[str, list[tuple[float, float]]]:
    """A line for each site that measured the metric; of many sites two: the lowest and the highest of each round."""
    told = [{site: each[metric] for site, each in row.site_metrics.items() if metric in each} for row in sealed]
    sites = sorted({site for each in told for site in each})
    if len(sites) <= SITES_DRAWN:
        return {site or "no site": _points(sealed, [each.get(site) for each in told]) for site in sites}
    ends = {"lowest site": min, "highest site": max}
    return {name: _points(sealed, [end(each.values(), default=None) for each in told]) for name, end in ends.items()}


def _points(rounds: Sequence[RoundView], values: Sequence[float | None]) -> list[tuple[float, float]]:
    return [(float(each.number), float(value)) for each, value in zip(rounds, values, strict=True) if value is not None]


def _leases(view: RunView, rounds: Sequence[RoundView]) -> str:
    title = f"leases per round, run {view.id}"
    if len(rounds) <= BARS_MAX:
        groups = {str(each.number): {stage: float(each.leases.get(stage, 0)) for stage in LEASES} for each in rounds}
        return bars(groups, title=title, x_label="round", y_label="leases")
    series = {stage: _points(rounds, [each.leases.get(stage, 0) for each in rounds]) for stage in LEASES}
    return line_chart(series, title=title, x_label="round", y_label="leases")


def _file(metric: str, taken: Container[str]) -> str:
    """The name of a metric's file, which no other has."""
    name = "metric-" + re.sub(r"[^A-Za-z0-9._-]", "_", metric)
    while name in taken:
        name += "_"
    return name
