"""What a real plane tells an operator's tools: every metric of the table and no other, within its closed sets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from podium.server.main import PlaneServer
from podium.server.observe.table import METRICS, OTHER, Metric, samples
from tests.support.certificates import make_certificate
from tests.support.plane_cases import FAST
from tests.support.scrape import Series, lived, scraped, series, value


def outside(metric: Metric, found: Series) -> Iterator[str]:
    """The series of `metric` whose labels are not those of the table, with values of the closed sets."""
    for sample, labels in ((name, dict(each)) for name in samples(metric) for each in found[name]):
        labels.pop("le", None)
        named = all(text in metric.labels.get(label, ()) and text != OTHER for label, text in labels.items())
        if not named or labels.keys() != metric.labels.keys():
            yield f"{sample} {labels}"


def test_a_plane_exports_every_metric_of_the_table_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lived(tmp_path / "data", monkeypatch) as (server, _, run):
        text = scraped(server.url)
        found = series(text)
        assert set(found) == {name for metric in METRICS for name in samples(metric)}
        assert [each for metric in METRICS for each in outside(metric, found)] == []
        assert run not in text and "device-0" not in text

        assert value(found, "podium_leases_total", state="OFFERED") >= 5
        for state in ("DECLINED", "LAPSED", "FAILED", "REFUSED", "ACCEPTED"):
            assert value(found, "podium_leases_total", state=state) >= 1, state
        assert value(found, "podium_updates_judged_total", code="ok") == 1
        assert value(found, "podium_updates_judged_total", code="value-bound") == 1
        assert value(found, "podium_rounds_total", state="SEALED", reason="none") == 1
        assert value(found, "podium_rounds_total", state="ABANDONED", reason="run-stopped") == 1
        assert value(found, "podium_round_duration_seconds_count", state="SEALED") == 1
        assert value(found, "podium_runs", state="FINISHED") == 1 and value(found, "podium_runs", state="STOPPED") == 1
        assert value(found, "podium_refusals_total", side="operator", code="run-unknown") == 1
        assert value(found, "podium_refusals_total", side="operator", code="store-full") >= 1
        assert value(found, "podium_refusals_total", side="device", code="lease-unknown") == 1
        assert value(found, "podium_store_failures_total", code="store-full") == 1
        assert value(found, "podium_reloads_total") == 1
        assert value(found, "podium_checkins_total", reason="offered") >= 5
        assert value(found, "podium_transfer_bytes_total", direction="up") > 0
        assert value(found, "podium_transfer_bytes_total", direction="down") > 0
        assert value(found, "podium_request_duration_seconds_count", route="/v1/enrol", status="2xx") == 3
        assert value(found, "podium_devices", state="active") == 3
        assert 0 < value(found, "podium_disk_free_bytes") < value(found, "podium_disk_size_bytes")
        assert value(found, "podium_journal_entries") > 20
        assert value(found, "podium_ready") == 1 and value(found, "podium_frozen") == 0


def test_beyond_loopback_a_scrape_wants_a_credential(tmp_path: Path) -> None:
    made = make_certificate(tmp_path)
    with PlaneServer(tmp_path / "data", host="0.0.0.0", tls=(made.file, made.key_file), limits=FAST) as server:
        assert server.plane is not None and server.plane.surface.pages.guarded
    with PlaneServer(tmp_path / "data", limits=FAST) as server:
        assert server.plane is not None
        server.plane.surface.pages.guarded = True
        with pytest.raises(AssertionError, match="credential-missing"):
            scraped(server.url)
        with pytest.raises(AssertionError, match="credential-invalid"):
            scraped(server.url, "Bearer pdmv_guessed")
        token = (tmp_path / "data" / "viewer.token").read_text().strip()
        assert "podium_ready 1.0" in scraped(server.url, f"Bearer {token}")
