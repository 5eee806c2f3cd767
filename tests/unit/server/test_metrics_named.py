"""Alert rules and dashboard name only metrics, labels and values of the table, and pages that exist."""

import re
from collections.abc import Iterator
from pathlib import Path

from podium.core.selection.reasons import REASONS
from podium.core.views.shapes import DRIFT_MAX, ROUNDS_NEW
from podium.server.observe.table import METRICS, Metric, samples

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy" / "observability"
SERIES: dict[str, Metric] = {name: metric for metric in METRICS for name in samples(metric)}
SELECTOR = re.compile(r"\b(podium_\w+)(?:\{([^{}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*\\?"([^"\\]*)\\?"')


def unknown(text: str) -> Iterator[str]:
    """What the selectors in `text` name that no plane exports; a regular expression must match at least one value."""
    for name, matchers in SELECTOR.findall(text):
        metric = SERIES.get(name)
        if metric is None:
            yield name
            continue
        for label, operator, value in MATCHER.findall(matchers):
            values = metric.labels.get(label, ())
            if label not in ("instance", "job", "le") and "$" not in value and not _named(operator, value, values):
                yield f"{name}{{{label}{operator}{value}}}"


def _named(operator: str, value: str, values: tuple[str, ...]) -> bool:
    if operator in ("=", "!="):
        return value in values
    return any(re.fullmatch(value, each) for each in values)


def test_rules_and_dashboard_name_what_a_plane_exports() -> None:
    shipped = [DEPLOY / "alerts.yml", DEPLOY / "alerts_test.yml", *DEPLOY.glob("*.json")]
    for path in shipped:
        text = path.read_text()
        assert len(SELECTOR.findall(text)) > 10
        assert list(unknown(text)) == [], path.name


def test_an_unknown_name_label_or_value_is_noticed() -> None:
    text = 'podium_none podium_frozen podium_runs{state="GONE"} podium_runs{state=~"X.*"} podium_runs{state=~"P.*"} '
    assert list(
        unknown(text + 'podium_runs{which="a"} podium_commit_seconds_bucket{le="0.5"} podium_commit_seconds')
    ) == [
        "podium_none",
        "podium_runs{state=GONE}",
        "podium_runs{state=~X.*}",
        "podium_runs{which=a}",
        "podium_commit_seconds",
    ]


def test_every_alert_says_what_it_is_and_has_a_runbook_that_exists() -> None:
    blocks = (DEPLOY / "alerts.yml").read_text().split("- alert: ")[1:]
    page = (ROOT / "docs" / "how-to" / "observability.md").read_text()
    for block in blocks:
        name = block.split()[0]
        assert re.search(r"severity: (critical|warning|info)}", block), name
        assert "summary: " in block and "description: " in block, name
        assert f'runbook_url: "docs/how-to/observability.md#{name.lower()}"' in block
        assert f"\n### {name}\n" in page
    assert len(blocks) == page.count("\n### Podium") == 15


def test_the_alert_on_sessions_has_the_limits_of_the_cause() -> None:
    rules = (DEPLOY / "alerts.yml").read_text()
    assert f"podium_session_shape_drift > {DRIFT_MAX}\n" in rules
    assert f"over its newest {ROUNDS_NEW} rounds" in rules


def test_the_protocol_has_a_word_for_each_reason() -> None:
    page = (ROOT / "docs" / "reference" / "device-protocol.md").read_text()
    assert [reason for reason in REASONS if reason != "offered" and f"`{reason}`" not in page] == []
