"""A comparison of strategies as a page that stands alone and as a Markdown table.

Decides: which figures a reader gets, in which words. Never: what was measured (sim/compare.py), how a figure is drawn
(figures.py) or a page looks (page.py).
"""

from collections.abc import Sequence

from podium.cli.figures import line_chart, strips
from podium.cli.output import count_of_bytes
from podium.cli.page import figure, grid, page, said, section, table
from podium.sim.compare import Compared, Measured, Summary
from podium.wire.durations import format_duration

HOUR_MS = 3_600_000
HEAD = ("strategy", "reached", "time", "x baseline", "up", "down", "waste", "Gini", "accuracy at end")
RUNS_HEAD = ("run", "target", "time", "x baseline", "rounds", "up", "down", "waste", "Gini", "accuracy at end")
TARGET = "target"
AFTER = 1.1
"""A race is shown until so many times the slowest one's time."""
MEANS = (
    "Medians over the seeds, up to the moment at which a run reached the accuracy that the baseline has at the end of "
    "its budget; of the whole run where it did not. x baseline: the time by that of the baseline with the same seed. "
    "Waste: the share of devices' time on leases that brought nothing; a lease that lapsed counts until it did. Gini: "
    "of accepted updates by device, 0 if all sent equally many."
)


def comparison_markdown(summaries: Sequence[Summary]) -> str:
    """The table of strategies, one row each: medians over the seeds."""
    rule = ["---", *("---:" for _ in HEAD[1:])]
    lines = [HEAD, rule, *map(_cells, summaries)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def verdict(summaries: Sequence[Summary], baseline: str) -> str:
    """One sentence on who was faster than the baseline and who was not, by the median of the seeds' times."""
    others = [each for each in summaries if each.strategy != baseline]
    faster = [f"{each.strategy} ({each.times:.2f})" for each in others if each.times is not None and each.times < 1]
    slower = [f"{each.strategy} ({each.times:.2f})" for each in others if each.times is not None and each.times >= 1]
    never = [each.strategy for each in others if each.times is None]
    parts = [
        f"{word} {', '.join(names)}"
        for word, names in (("Faster:", faster), ("not faster:", slower), ("never there:", never))
        if names
    ]
    return f"Time to the accuracy of {baseline}, its own being 1. {'; '.join(parts) or 'Nothing to compare'}."


def comparison_page(title: str, told: Compared) -> str:
    """The table, the paired times, accuracy by virtual time for each seed and each strategy, runs and parameters."""
    terms = told.terms
    lead = (
        f"{len(told.strategies)} strategies, {terms.devices:,} simulated devices, availability {terms.trace}, seeds "
        f"{', '.join(map(str, terms.seeds))}. {verdict(told.summaries, terms.baseline)}"
    )
    medians = table(HEAD, [_cells(each) for each in told.summaries], marked=terms.baseline)
    paired = strips(times_of(told), title="Time to the target", x_label="time by the baseline's", mark=1.0)
    return page(
        title,
        lead,
        [
            section("What it took to get as far as the baseline", medians, said(MEANS)),
            section("Time by the baseline's, seed by seed", paired),
            section("Accuracy over virtual time, by seed", grid(_by_seed(told))),
            section("Accuracy over virtual time, by strategy", grid(_by_strategy(told))),
            section("Every run", table(RUNS_HEAD, runs_of(told))),
            section("What was asked", _asked(told)),
        ],
    )


def times_of(told: Compared) -> dict[str, list[float]]:
    """Strategy -> its times over the baseline's, by seed; seeds that one of them did not reach are left out."""
    return {
        name: [time for row in told.rows if row.strategy == name and (time := _time(row, told))]
        for name in _names(told)
    }


def runs_of(told: Compared) -> list[tuple[str, ...]]:
    """The cells of every run, under `RUNS_HEAD`."""
    return [_run_cells(row, told) for row in told.rows]


def race(told: Compared, seed: int) -> str:
    """The accuracy of each strategy with one seed, by virtual hours, and the target: an SVG.

    Up to a little after the last of them was there: a long tail would hide the race.
    """
    rows = [row for row in told.rows if row.seed == seed]
    ends = [row.curve[-1][0] if row.reached_ms is None else row.reached_ms for row in rows if row.curve]
    until = AFTER * max(ends, default=HOUR_MS) / HOUR_MS
    series = {row.strategy: [at for at in _points(row) if at[0] <= until] for row in rows}
    series = {name: series[name] for name in _names(told)}
    series[TARGET] = [(0.0, rows[0].target), (until, rows[0].target)]
    return line_chart(series, title=f"Seed {seed}", x_label="virtual hours", y_label="accuracy held out")


def _names(told: Compared) -> list[str]:
    return [each.strategy for each in told.summaries]


def _by_seed(told: Compared) -> list[str]:
    targets = {row.seed: row.target for row in told.rows}
    return [figure(f"Seed {seed}: the target is {target:.3f}", race(told, seed)) for seed, target in targets.items()]


def _by_strategy(told: Compared) -> list[str]:
    drawn = []
    for name in _names(told):
        series = {f"seed {row.seed}": _points(row) for row in told.rows if row.strategy == name}
        chart = line_chart(series, title=name, x_label="virtual hours", y_label="accuracy held out")
        drawn.append(figure(name, chart))
    return drawn


def _points(row: Measured) -> list[tuple[float, float]]:
    return [(at / HOUR_MS, value) for at, value in row.curve]


def _time(row: Measured, told: Compared) -> float | None:
    """The time of `row` over the baseline's with its seed, None if one of them was never there."""
    own = next(
        (each.reached_ms for each in told.rows if (each.strategy, each.seed) == (told.terms.baseline, row.seed)), None
    )
    return row.reached_ms / own if row.reached_ms is not None and own else None


def _asked(told: Compared) -> str:
    terms = told.terms
    facts = [
        ("task", terms.task),
        ("devices", f"{terms.devices:,}"),
        ("availability", terms.trace),
        ("seeds", ", ".join(map(str, terms.seeds))),
        ("baseline", terms.baseline),
        ("an accuracy is", f"the mean of the last {terms.window} rounds'"),
    ]
    facts += [(name, "; ".join(each.laid) or "the task as it stands") for name, each in told.strategies.items()]
    facts += [(f"task of {name}", each.digest) for name, each in told.strategies.items()]
    return table(("", ""), facts, words=True)


def _cells(each: Summary) -> tuple[str, ...]:
    return (
        each.strategy,
        f"{each.reached} of {each.seeds}",
        *_spent(each.reached_ms, each.times),
        count_of_bytes(int(each.bytes_up)),
        count_of_bytes(int(each.bytes_down)),
        f"{each.waste:.1%}",
        f"{each.gini:.3f}",
        f"{each.accuracy:.3f}",
    )


def _run_cells(row: Measured, told: Compared) -> tuple[str, ...]:
    return (
        f"{row.strategy}, seed {row.seed}",
        f"{row.target:.3f}",
        *_spent(row.reached_ms, _time(row, told)),
        f"{row.rounds}",
        count_of_bytes(row.bytes_up),
        count_of_bytes(row.bytes_down),
        f"{row.waste:.1%}",
        f"{row.gini:.3f}",
        f"{row.accuracy:.3f}",
    )


def _spent(reached_ms: float | None, times: float | None) -> tuple[str, str]:
    return (
        "-" if reached_ms is None else format_duration(int(reached_ms)),
        "-" if times is None else f"{times:.2f}",
    )
