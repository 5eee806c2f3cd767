"""What simulations came to, as a page that stands alone and as a Markdown table.

Decides: which figures a reader gets, in which words. Never: what was measured (sim/report.py, sim/compare.py), or how a
figure is drawn (figures.py). A page is one file: no script, no style from elsewhere, no picture to fetch.
"""

from collections.abc import Sequence
from html import escape
from itertools import accumulate

import numpy as np

from podium.cli.figures import bars, line_chart
from podium.sim.compare import Measured, Summary
from podium.sim.report import SimReport, gini
from podium.wire.durations import format_duration

_HEAD = ("strategy", "reached", "time", "x baseline", "up", "down", "waste", "Gini", "accuracy at end")
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 54rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }}
th, td {{ padding: 0.2rem 0.7rem; border-bottom: 1px solid #ccc; text-align: right; white-space: nowrap }}
th:first-child, td:first-child {{ text-align: left }}
svg {{ max-width: 100%; height: auto; display: block; margin: 1rem 0 }}
</style>
<h1>{title}</h1>
{body}
</html>
"""


def comparison_markdown(summaries: Sequence[Summary]) -> str:
    """The table of strategies, one row each: medians over the seeds."""
    rule = ["---", *("---:" for _ in _HEAD[1:])]
    lines = [_HEAD, rule, *map(_cells, summaries)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def comparison_page(title: str, summaries: Sequence[Summary], rows: Sequence[Measured]) -> str:
    """The table, and for each seed the accuracy of each strategy by virtual time, as a whole HTML page."""
    charts = []
    for seed in dict.fromkeys(row.seed for row in rows):
        of_seed = [row for row in rows if row.seed == seed]
        series = {row.strategy: [(at / 3_600_000, value) for at, value in row.curve] for row in of_seed}
        name = f"Seed {seed}: the target is an accuracy of {of_seed[0].target:.3f}"
        charts.append(line_chart(series, title=name, x_label="virtual hours", y_label="accuracy held out"))
        charts.insert(-1, f"<h2>{escape(name)}</h2>")
    said = (
        "<p>Medians over the seeds. Time, bytes, waste and Gini are those up to the accuracy that the baseline has at "
        "the end of its budget, or of the whole run where it was not reached; waste is the share of devices' time "
        "on leases that brought nothing; Gini is of accepted updates by device.</p>"
    )
    return _page(title, said + _table(_HEAD, [_cells(each) for each in summaries]) + "".join(charts))


def report_page(title: str, report: SimReport) -> str:
    """One simulation as a whole HTML page: accuracy and loss by virtual time, bytes, devices' time, participation."""
    rounds = report.rounds
    hours = [each.sealed_ms / 3_600_000 for each in rounds]
    used = sum(each.device_ms_used for each in rounds)
    wasted = sum(each.device_ms_wasted for each in rounds)
    facts = [
        ("sealed rounds", f"{len(rounds)}"),
        ("virtual time", format_duration(rounds[-1].sealed_ms) if rounds else "-"),
        ("accuracy at end", f"{rounds[-1].accuracy:.4f}" if rounds else "-"),
        ("leases, accepted", f"{sum(each.leases for each in rounds)}, {sum(each.accepted for each in rounds)}"),
        ("bytes up, down", f"{_bytes(sum(r.bytes_up for r in rounds))}, {_bytes(sum(r.bytes_down for r in rounds))}"),
        ("waste", f"{wasted / (used + wasted):.1%}" if used + wasted else "-"),
        ("Gini of participation", f"{gini(report.participation(len(rounds))):.3f}"),
    ]
    held = np.bincount(report.participation(len(rounds)))
    totals = {
        "up": list(zip(hours, (each / 1e6 for each in accumulate(r.bytes_up for r in rounds)), strict=True)),
        "down": list(zip(hours, (each / 1e6 for each in accumulate(r.bytes_down for r in rounds)), strict=True)),
    }
    spent = {
        "used": [(at, each.device_ms_used / 3_600_000) for at, each in zip(hours, rounds, strict=True)],
        "wasted": [(at, each.device_ms_wasted / 3_600_000) for at, each in zip(hours, rounds, strict=True)],
    }
    accuracy = {"accuracy": [(at, each.accuracy) for at, each in zip(hours, rounds, strict=True)]}
    loss = {"loss": [(at, each.loss) for at, each in zip(hours, rounds, strict=True)]}
    devices = {str(times): {"devices": float(count)} for times, count in enumerate(held)}
    x_label = "virtual hours"
    charts = {
        "Accuracy": line_chart(accuracy, title="Accuracy", x_label=x_label, y_label="accuracy held out"),
        "Loss": line_chart(loss, title="Loss", x_label=x_label, y_label="nats held out"),
        "Bytes": line_chart(totals, title="Bytes", x_label=x_label, y_label="MB so far"),
        "Devices' time": line_chart(spent, title="Devices' time", x_label=x_label, y_label="hours in each round"),
        "Participation": bars(devices, title="Participation", x_label="accepted updates", y_label="devices"),
    }
    titled = (f"<h2>{escape(name)}</h2>{chart}" for name, chart in charts.items())
    return _page(title, _table(("", ""), facts) + "".join(titled))


def _cells(each: Summary) -> tuple[str, ...]:
    return (
        each.strategy,
        f"{each.reached} of {each.seeds}",
        "-" if each.reached_ms is None else format_duration(int(each.reached_ms)),
        "-" if each.times is None else f"{each.times:.2f}",
        _bytes(each.bytes_up),
        _bytes(each.bytes_down),
        f"{each.waste:.1%}",
        f"{each.gini:.3f}",
        f"{each.accuracy:.3f}",
    )


def _bytes(count: float) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    titles = "".join(f"<th>{escape(each)}</th>" for each in head) if any(head) else ""
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in ([titles] if titles else []) + lines) + "</table>"


def _page(title: str, body: str) -> str:
    return _PAGE.format(title=escape(title), body=body)
