"""What one simulation came to, as a page that stands alone.

Decides: which figures a reader gets, in which words; accuracy and loss only of a fleet that trained. Never: what was
measured (sim/report.py), how a figure is drawn (figures.py) or a page looks (page.py).
"""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from podium.cli.figures import bars, line_chart
from podium.cli.output import count_of_bytes
from podium.cli.page import figure, grid, page, said, section, table
from podium.sim.report import RoundReport, SimReport
from podium.sim.run import FleetResult
from podium.wire.durations import format_duration

HOUR_MS = 3_600_000
X_LABEL = "virtual hours"
MEANING = (
    "The busiest quarter of an hour is told without the first hour, in which devices come that nobody paced. Waste: "
    "the share of devices' time on leases that brought nothing; a lease that lapsed counts until it did. Gini: of "
    "accepted updates by device, 0 if all sent equally many, near 1 if most had no turn."
)


def report_page(title: str, result: FleetResult, report: SimReport, asked: Sequence[tuple[str, str]]) -> str:
    """One simulation as a whole HTML page: what it came to, its check-ins and rounds drawn, and what was asked."""
    rounds = report.rounds
    charts = _by_time(result)
    if result.accuracy is not None:
        charts |= _learning(rounds)
    if rounds:
        held = np.bincount(report.participation(len(rounds)))
        turns = {str(times): {"devices": float(count)} for times, count in enumerate(held)}
        charts |= _by_round(rounds)
        charts["Participation"] = bars(turns, title="Participation", x_label="accepted updates", y_label="devices")
    return page(
        title,
        _lead(result),
        [
            section("What it came to", table(("", ""), _facts(result, rounds), words=True), said(MEANING)),
            section("By virtual time", grid(figure(name, chart) for name, chart in charts.items())),
            section("What was asked", table(("", ""), asked, words=True)),
        ],
    )


def _lead(result: FleetResult) -> str:
    """The answer in a sentence."""
    told = f"After {format_duration(result.virtual_ms)} of virtual time the run is {result.state}: "
    told += f"{result.rounds_sealed:,} rounds sealed, {sum(result.rounds_abandoned.values()):,} abandoned"
    return told + (f" ({by_reason(result.rounds_abandoned)})." if result.rounds_abandoned else ".")


def by_reason(counts: dict[str, int]) -> str:
    """Counts by their reason, the most first: "5 cohort-short, 1 stopped"."""
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items(), key=lambda each: -each[1]))


def _facts(result: FleetResult, rounds: Sequence[RoundReport]) -> list[tuple[str, str]]:
    sealed = result.rounds_sealed
    ended = by_reason({state.lower(): count for state, count in result.outcomes.items()})
    told = [
        ("check-ins", f"{result.checkins:,}, {result.checkins_per_device_h:.2f} a device and hour"),
        ("busiest quarter hour, by the mean", f"{result.peak_to_mean:.2f}" if result.peak_to_mean >= 0 else "-"),
        ("sessions", f"{result.sessions:,}"),
        ("a round, on the mean", format_duration(rounds[-1].sealed_ms // sealed) if rounds else "-"),
        ("leases that ended", ended or "none"),
        ("bytes up, down", f"{count_of_bytes(result.bytes_up)}, {count_of_bytes(result.bytes_down)}"),
        ("waste", f"{result.waste:.1%}" if rounds else "-"),
        ("Gini of participation", f"{result.gini:.3f}" if rounds else "-"),
    ]
    if result.accuracy is not None:
        told.insert(0, ("accuracy at end", f"{result.accuracy:.4f}"))
    return told


def _by_time(result: FleetResult) -> dict[str, str]:
    rates = {f"{place / 4:g}": {"check-ins": rate} for place, rate in enumerate(result.checkins_per_s)}
    return {"Check-ins": bars(rates, title="Check-ins", x_label=X_LABEL, y_label="check-ins a second")}


def _learning(rounds: Sequence[RoundReport]) -> dict[str, str]:
    accuracy = {"accuracy": [(each.sealed_ms / HOUR_MS, each.accuracy) for each in rounds]}
    loss = {"loss": [(each.sealed_ms / HOUR_MS, each.loss) for each in rounds]}
    return {
        "Accuracy": line_chart(accuracy, title="Accuracy", x_label=X_LABEL, y_label="accuracy held out"),
        "Loss": line_chart(loss, title="Loss", x_label=X_LABEL, y_label="nats held out"),
    }


def _by_round(rounds: Sequence[RoundReport]) -> dict[str, str]:
    hours = [each.sealed_ms / HOUR_MS for each in rounds]
    sealed = {"rounds": [(0.0, 0.0), *((at, float(place)) for place, at in enumerate(hours, 1))]}
    totals = {
        "up": [(0.0, 0.0), *zip(hours, (each / 1e6 for each in accumulate(r.bytes_up for r in rounds)), strict=True)],
        "down": [
            (0.0, 0.0),
            *zip(hours, (each / 1e6 for each in accumulate(r.bytes_down for r in rounds)), strict=True),
        ],
    }
    spent = {
        "used": [(at, each.device_ms_used / HOUR_MS) for at, each in zip(hours, rounds, strict=True)],
        "wasted": [(at, each.device_ms_wasted / HOUR_MS) for at, each in zip(hours, rounds, strict=True)],
    }
    return {
        "Sealed rounds": line_chart(sealed, title="Sealed rounds", x_label=X_LABEL, y_label="rounds so far"),
        "Bytes": line_chart(totals, title="Bytes", x_label=X_LABEL, y_label="MB so far"),
        "Devices' time": line_chart(spent, title="Devices' time", x_label=X_LABEL, y_label="hours in each round"),
    }
