"""podium simulate COMPARISON.toml: strategies side by side, told as they come, then as a table, a page and JSON.

Decides: which options a comparison takes (its file says the rest), and what is written of it. Never: what is compared
(sim/compare.py), how a page looks (comparison_page.py). Nothing is written before all of it is there.
"""

from pathlib import Path

import msgspec

from podium.cli.comparison_page import comparison_markdown, comparison_page
from podium.cli.output import note, say, write_file
from podium.cli.simulations import check_memory, free_mb
from podium.sim.compare import Compared, Measured, compared, read_comparison, run_comparison
from podium.sim.run import train_each
from podium.wire.durations import format_duration


def compare(path: Path, seeds: int, json: Path | None, report: Path | None) -> None:
    """Run the comparison at `path` with its first `seeds` seeds (0: all); `OperatorFault` as of its file and plan."""
    comparison = read_comparison(path, seeds)
    terms = comparison.terms
    check_memory(terms.devices, free_mb())
    note(
        f"comparing {', '.join(comparison.tasks)} over {terms.devices:,} devices, seeds "
        f"{', '.join(map(str, terms.seeds))}: {len(comparison.runs())} runs"
    )
    rows: list[Measured] = []
    for row in run_comparison(comparison, train_each):
        rows.append(row)
        reached = "not reached" if row.reached_ms is None else f"reached after {format_duration(row.reached_ms)}"
        at_last = f"{row.rounds} rounds, at last {row.accuracy:.3f}"
        note(f"{row.strategy}, seed {row.seed}: {row.target:.3f} {reached}, {at_last}")
    result = compared(comparison, rows)
    if report is not None:
        write_file(report, comparison_page(f"Strategies of {path.name}", result))
    if json is None:
        say(comparison_markdown(result.summaries).rstrip())
    elif str(json) == "-":
        say(result_text(result).rstrip())
    else:
        write_file(json, result_text(result))


def result_text(result: Compared) -> str:
    """`result` as JSON, a line for each run: its curve is long."""
    rows = ",\n".join(msgspec.json.encode(row).decode() for row in result.rows)
    told = msgspec.structs.replace(result, rows=())
    whole = msgspec.json.format(msgspec.json.encode(told), indent=2).decode()
    return whole.replace('"rows": []', f'"rows": [\n{rows}\n]') + "\n"
