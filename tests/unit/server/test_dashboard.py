"""The shipped dashboard: every panel has its place and its queries, and every metric has a panel."""

import re
from itertools import combinations

import msgspec

from podium.server.observe.table import METRICS, samples
from tests.unit.server.test_metrics_named import SELECTOR, SERIES
from tools import dashboard


class Grid(msgspec.Struct, frozen=True):
    """Where a panel is."""

    x: int
    y: int
    w: int
    h: int


class Placed(msgspec.Struct, rename={"grid": "gridPos"}):
    """What is read of a panel."""

    id: int
    type: str
    title: str
    grid: Grid
    targets: list[dict[str, msgspec.Raw]] = []


class Shown(msgspec.Struct):
    """What is read of the dashboard."""

    uid: str
    panels: list[Placed]


def shown() -> Shown:
    """The dashboard, decoded."""
    return msgspec.json.decode(dashboard.dashboard(), type=Shown)


def test_panels_fill_the_grid_without_overlap() -> None:
    panels = shown().panels
    assert len({panel.id for panel in panels}) == len(panels) > 30
    grids = [panel.grid for panel in panels]
    assert all(grid.x >= 0 and grid.x + grid.w <= dashboard.WIDTH for grid in grids)
    for one, other in combinations(grids, 2):
        apart_x = one.x + one.w <= other.x or other.x + other.w <= one.x
        assert apart_x or one.y + one.h <= other.y or other.y + other.h <= one.y, (one, other)


def test_every_panel_queries_and_every_metric_is_drawn() -> None:
    panels = [panel for panel in shown().panels if panel.type != "row"]
    assert all(panel.targets for panel in panels)
    drawn = {name for name, _ in SELECTOR.findall(dashboard.dashboard())}
    missing = [each.name for each in METRICS if not drawn & set(samples(each))]
    assert missing == []


def test_a_legend_names_labels_that_its_series_has() -> None:
    lines = [line for _, row in dashboard.ROWS for panel in row for line in panel.lines]
    for query, legend in lines:
        metrics = [SERIES[name] for name, _ in SELECTOR.findall(query)]
        known = {"instance"} | {label for metric in metrics for label in metric.labels}
        assert set(re.findall(r"{{(\w+)}}", legend)) <= known, (query, legend)
    assert len(lines) > 35


def test_queries_narrow_to_the_chosen_planes() -> None:
    for _, row in dashboard.ROWS:
        for panel in row:
            for query, _ in panel.lines:
                assert query.count('instance=~"$instance"') == len(SELECTOR.findall(query)), query
