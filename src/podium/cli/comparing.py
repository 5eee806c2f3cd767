"""podium compare: runs side by side: what they cost, what they measured, and the terms in which their tasks differ.

Decides: which figures stand side by side. Never: which run is better. Metrics are those of a run's last sealed round,
pooled and by site: of the version that this round began with, not of the one that it made; losses are summed over its
rounds.
"""

from collections import Counter
from typing import Annotated

import msgspec
import typer

from podium.cli import completing
from podium.cli.models import NOT_MEASURED
from podium.cli.options import Json, Where, at_plane
from podium.cli.output import count_of_bytes, decimals, say, say_json, say_table, short
from podium.cli.screen import lost_text
from podium.tasks.task import Task
from podium.tasks.toml import task_terms
from podium.wire.durations import format_duration
from podium.wire.operator import MetricView, RoundView, RunView
from podium.wire.problems import OperatorFault


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a comparison. `terms`: those in which the compared tasks differ, as the task file writes them."""

    run: str
    task: str
    state: str
    rounds_sealed: int
    rounds: int
    rounds_abandoned: int
    elapsed_ms: int
    bytes_down: int
    bytes_up: int
    lost: dict[str, int]
    base: str  # the version that the run has come to
    version_number: int
    measured: str  # the version that the metrics were measured on; "" none yet
    metrics: MetricView
    site_metrics: dict[str, MetricView]
    terms: dict[str, str]


@at_plane
def compare(
    where: Where,
    names: Annotated[
        list[str], typer.Argument(metavar="RUN RUN...", help="Two runs or more.", autocompletion=completing.runs)
    ],
    json: Json = False,
) -> None:
    """Runs side by side: metrics of the last sealed round, by site, time, bytes, losses, and terms that differ.

    A round measures its base before it trains, so the metrics are those of the version named as measured.
    """
    from podium.tasks.digest import read_task_bytes

    if len(names) < 2:
        raise OperatorFault("usage", what="compare needs two runs or more", next="podium status --all lists them")
    with where.link() as link:
        views = [link.run(name) for name in names]
        seen = [(view, link.rounds(view.id)) for view in views]
        tasks = [read_task_bytes(link.task(view.id)) for view in views]
        found = [compared(view, rounds, terms) for (view, rounds), terms in zip(seen, differing(tasks), strict=True)]
        numbers = {each.measured: link.version(each.measured).number for each in found if each.measured}
    if json:
        say_json(found)
    else:
        _say(found, numbers)


def differing(tasks: list[Task]) -> list[dict[str, str]]:
    """For each task the terms that are not the same in all of them; a term a task has not is left out of its own."""
    every = [task_terms(task) for task in tasks]
    known = dict.fromkeys(key for terms in every for key in terms)
    keys = [key for key in known if len({terms.get(key) for terms in every}) > 1]
    return [{key: terms[key] for key in keys if key in terms} for terms in every]


def compared(view: RunView, rounds: list[RoundView], terms: dict[str, str]) -> Compared:
    """What stands in the column of one run."""
    sealed = [each for each in rounds if each.state == "SEALED"]
    last = max((each for each in sealed if each.metrics), key=lambda each: each.number, default=None)
    lost: Counter[str] = Counter()
    for each in rounds:
        lost.update(each.lost)
    return Compared(
        run=view.id,
        task=view.task,
        state=view.state,
        rounds_sealed=view.rounds_sealed,
        rounds=view.rounds,
        rounds_abandoned=sum(each.state == "ABANDONED" for each in rounds),
        elapsed_ms=view.elapsed_ms,
        bytes_down=view.bytes_down,
        bytes_up=view.bytes_up,
        lost=dict(lost),
        base=view.base,
        version_number=view.version_number,
        measured=last.base if last is not None else "",
        metrics=last.metrics if last is not None else {},
        site_metrics=last.site_metrics if last is not None else {},
        terms=terms,
    )


def _cells(each: Compared, numbers: dict[str, int]) -> dict[str, str]:
    """The rows of one run's column, by their heads. `numbers`: of the versions that were measured."""
    cells = {
        "task": each.task,
        "state": each.state,
        "rounds": f"{each.rounds_sealed}/{each.rounds}",
        "abandoned": str(each.rounds_abandoned),
        "elapsed": format_duration(each.elapsed_ms),
        "down": count_of_bytes(each.bytes_down),
        "up": count_of_bytes(each.bytes_up),
        "lost": lost_text(each.lost) or "none",
        "version": f"v{each.version_number} {short(each.base)}",
        "measured": f"v{numbers[each.measured]} {short(each.measured)}" if each.measured else NOT_MEASURED,
    }
    cells |= {name: decimals(value) for name, value in sorted(each.metrics.items())}
    for site, metrics in sorted(each.site_metrics.items()):
        cells |= {f"{name} at {site or 'no site'}": decimals(value) for name, value in sorted(metrics.items())}
    return cells


def _say(found: list[Compared], numbers: dict[str, int]) -> None:
    columns = [_cells(each, numbers) for each in found]
    heads = list(dict.fromkeys(head for cells in columns for head in cells))
    rows = [(head, *(cells.get(head, "-") for cells in columns)) for head in heads]
    say_table(("", *(each.run for each in found)), rows)
    terms = list(dict.fromkeys(key for each in found for key in each.terms))
    if terms:
        say("")
        say_table(
            ("TERM", *(each.run for each in found)),
            [(key, *(each.terms.get(key, "-") for each in found)) for key in terms],
        )
