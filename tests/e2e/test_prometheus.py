"""Debian's promtool on what is shipped and on a real scrape: rules, their tests, the example configuration, metrics."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.scrape import lived, scraped
from tools import dashboard

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "observability"
pytestmark = pytest.mark.long


def promtool(*arguments: str, told: str = "") -> subprocess.CompletedProcess[str]:
    """Run it; fails with the one line to run where it is missing."""
    tool = shutil.which("promtool")
    assert tool, "promtool is missing; run: apt-get install --no-install-recommends prometheus"
    return subprocess.run([tool, *arguments], input=told, capture_output=True, text=True, check=False)


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A copy of the shipped files, to be changed."""
    return Path(shutil.copytree(DEPLOY, tmp_path / "observability"))


def test_rules_and_configuration_are_valid() -> None:
    for kind, name in (("rules", "alerts.yml"), ("config", "prometheus.yml")):
        done = promtool("check", kind, str(DEPLOY / name))
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_query_of_the_dashboard_parses(tmp_path: Path) -> None:
    queries = [query for _, row in dashboard.ROWS for panel in row for query, _ in panel.lines]
    asked = [query.replace("$__rate_interval", "5m").replace("$instance", ".*") for query in queries]
    rules = [{"record": f"asked:{place}", "expr": query} for place, query in enumerate(asked)]
    text = json.dumps({"groups": [{"name": "dashboard", "rules": rules}]})  # JSON is YAML too
    (tmp_path / "rules.yml").write_text(text)
    done = promtool("check", "rules", str(tmp_path / "rules.yml"))
    assert done.returncode == 0 and f"{len(queries)} rules found" in done.stdout, done.stdout + done.stderr


def test_each_alert_fires_when_it_should_and_only_then() -> None:
    done = promtool("test", "rules", str(DEPLOY / "alerts_test.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("expression", ["vector(0) > 1", 'label_replace(vector(1), "instance", "p:1", "", "")'])
def test_alerts_that_never_fire_or_always_do_are_noticed(shipped: Path, expression: str) -> None:
    rules = (shipped / "alerts.yml").read_text()
    changed = re.sub(r"( expr:).*?(?=\n +(?:for|labels):)", rf"\1 {expression}", rules, flags=re.S)
    (shipped / "alerts.yml").write_text(changed)
    done = promtool("test", "rules", str(shipped / "alerts_test.yml"))
    failed = set(re.findall(r"alertname: (\w+)", done.stdout + done.stderr))
    assert failed == set(re.findall(r"- alert: (\w+)", rules)) and len(failed) == 15


def test_a_real_scrape_passes_the_linter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with lived(tmp_path / "data", monkeypatch) as (server, _, _):
        done = promtool("check", "metrics", told=scraped(server.url))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
