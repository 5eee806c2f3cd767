"""Generate docs/explanation/strategies-compared.md from bench/results/compare.json, which one command writes.

Decides: which tables and figures stand where. What follows from them is prose in strategies_page.txt beside it. Never:
a figure of its own. Usage: python -m tools.strategies_page, after
podium simulate examples/mnist/compare.toml --json bench/results/compare.json
"""

from pathlib import Path

import msgspec

from podium.cli.comparison_page import MEANS, RUNS_HEAD, comparison_markdown, race, runs_of, times_of, verdict
from podium.cli.figures import strips
from podium.sim.compare import Compared
from tools.pages import ROOT, Pages, table, write

RESULT = ROOT / "bench" / "results" / "compare.json"
FILE = ROOT / "examples" / "mnist" / "compare.toml"
PAGE = "docs/explanation/strategies-compared.md"
_GROUND = '<rect width="100%" height="100%" fill="#ffffff"/>'


def result() -> Compared:
    """The stored comparison."""
    return msgspec.json.decode(RESULT.read_bytes(), type=Compared)


def page(told: Compared) -> str:
    """The whole page."""
    asked = [(name, "<br>".join(f"`{line}`" for line in each.laid)) for name, each in told.strategies.items()]
    parts = {
        "medians": comparison_markdown(told.summaries),
        "means": MEANS,
        "verdict": verdict(told.summaries, told.terms.baseline),
        "runs": table(RUNS_HEAD, runs_of(told)),
        "asked": table(("strategy", "laid over the task"), asked),
    }
    text = Path(__file__).with_suffix(".txt").read_text()
    for name, part in parts.items():
        text = text.replace(f"<!-- {name} -->", part.rstrip())
    return text


def pages() -> Pages:
    """The page and its two figures."""
    told = result()
    paired = strips(times_of(told), title="Time to the target", x_label="time by the baseline's", mark=1.0)
    figures = {"times": paired, "race": race(told, told.terms.seeds[0])}
    return {PAGE: page(told)} | {
        f"docs/images/strategies-{name}.svg": drawn.replace(">", f">{_GROUND}", 1) + "\n"
        for name, drawn in figures.items()
    }


if __name__ == "__main__":
    write(pages())
