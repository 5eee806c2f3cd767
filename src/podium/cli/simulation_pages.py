"""What one simulation came to, as a page that stands alone.

Decides: which figures a reader gets, in which words. Never: what was measured (sim/report.py), how a figure is drawn
(figures.py) or a page looks (page.py).
"""

from itertools import accumulate

import numpy as np

from podium.cli.figures import bars, line_chart
from podium.cli.output import count_of_bytes
from podium.cli.page import figure, grid, page, section, table
from podium.sim.report import SimReport, gini
from podium.wire.durations import format_duration


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
        ("bytes up", count_of_bytes(sum(each.bytes_up for each in rounds))),
        ("bytes down", count_of_bytes(sum(each.bytes_down for each in rounds))),
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
    drawn = grid(figure(name, chart) for name, chart in charts.items())
    return page(title, "", [section("What it came to", table(("", ""), facts)), section("Round by round", drawn)])
