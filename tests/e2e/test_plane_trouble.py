"""A plane in trouble: a full disk, TLS, a sweep of old blobs, metrics; over real HTTP."""

import ssl
import time
from pathlib import Path

import msgspec
import pytest
import urllib3

from podium.core.effects import Step
from podium.server.main import PlaneServer, fingerprint
from podium.tasks.digest import task_bytes
from podium.tasks.task import ModelSource
from podium.wire.asks import RunAsk, TokenAsk
from podium.wire.canonical import unb64
from podium.wire.operator import Page, PlaneFile, StatusView, VersionView, WhoAmI
from podium.wire.problems import Problem, StoreFault
from tests.e2e.test_plane_round import ended, offer_to, train
from tests.support.certificates import make_certificate
from tests.support.plane_cases import FAST, Operator, administrator, enrolled, plane, task
from tests.support.scripted_device import Refused


class Full:
    """Makes a live plane's commits fail until `free`."""

    def __init__(self, server: PlaneServer) -> None:
        assert server.plane is not None
        self.full = True
        self._store = server.plane.parts.store
        self._commit = self._store.commit

    def commit(self, name: str, steps: list[Step], salts: list[bytes]) -> None:
        """Fail, or commit."""
        if self.full:
            raise StoreFault("store-full", retryable=True)
        self._commit(name, steps, salts)


def test_a_full_disk_is_said_on_readyz_refuses_with_a_window_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with plane(tmp_path / "data") as (server, operator):
        devices = enrolled(operator, 2)
        run = operator.submit(task(goal=2))
        for device in devices:
            device.check_in()
        assert train(devices[0], offer_to(devices[0]), 0).word == "stored"
        assert server.plane is not None
        disk = Full(server)
        monkeypatch.setattr(server.plane.parts.store, "commit", disk.commit)
        refused = operator.ask("POST", "/api/v1/tokens", TokenAsk())
        assert refused.status == 503 and b'"store-full"' in refused.data
        with pytest.raises(Refused) as caught:
            devices[1].check_in()
        assert (caught.value.status, caught.value.code) == (503, "store-full")
        assert caught.value.problem.return_ms > 0
        ready = operator.ask("GET", "/readyz")
        assert ready.status == 503 and b"store-full" in ready.data
        assert operator.ask("GET", "/healthz").status == 200
        assert b"podium_ready 0.0" in operator.ask("GET", "/metrics").data
        disk.full = False
        end = time.monotonic() + 20
        while operator.ask("GET", "/readyz").status != 200 and time.monotonic() < end:
            time.sleep(0.02)
        for device in devices:
            device.open()
        assert train(devices[1], offer_to(devices[1]), 1).word == "stored"
        assert ended(operator, run).rounds_sealed == 1


def test_tls_ends_at_the_plane_and_the_token_carries_its_fingerprint(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    pem, private = certificate.file, certificate.key_file
    with PlaneServer(tmp_path / "data", tls=(pem, private), limits=FAST) as server:
        assert server.url.startswith("https://127.0.0.1:")
        trusting = urllib3.PoolManager(ssl_context=ssl.create_default_context(cafile=str(pem)), retries=False)
        assert trusting.request("GET", server.url + "/healthz").status == 200
        assert trusting.connection_from_url(server.url).num_connections == 1
        token = (tmp_path / "data" / "administrator.token").read_text().strip()
        made = trusting.request(
            "POST", server.url + "/api/v1/tokens", body=b"{}", headers={"authorization": f"Bearer {token}"}
        )
        held = msgspec.json.decode(unb64(made.json()["token"].removeprefix("pdm1.")), type=dict[str, str])
        assert held["ca"] == fingerprint(pem)
        said = msgspec.json.decode((tmp_path / "data" / "plane.json").read_bytes(), type=PlaneFile)
        assert (said.url, said.ca) == (server.url, fingerprint(pem))
        pinned = urllib3.PoolManager(assert_fingerprint=held["ca"].removeprefix("sha256:"), cert_reqs="CERT_NONE")
        assert pinned.request("GET", server.url + "/readyz").status == 200
        plain = urllib3.PoolManager(retries=False, timeout=5.0)
        with pytest.raises(urllib3.exceptions.HTTPError):
            plain.request("GET", server.url.replace("https", "http") + "/healthz")


def test_old_versions_lose_their_bytes_and_keep_their_rows(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(FAST, versions_kept=1, blob_grace_ms=100)
    with plane(tmp_path / "data", limits) as (server, operator):
        (device,) = enrolled(operator, 1)
        run = operator.submit(task(rounds=4))
        for place in range(4):
            assert train(device, offer_to(device), place).word == "stored"
        view = ended(operator, run)
        page = operator.get(f"/api/v1/versions?run={run}", Page)
        versions = [msgspec.json.decode(item, type=VersionView) for item in page.items]
        assert [version.number for version in versions] == [0, 1, 2, 3, 4]
        end = time.monotonic() + 20
        kept = [1] * 5
        while kept != [1, 0, 0, 0, 1] and time.monotonic() < end:
            assert server.plane is not None
            stored = {digest for digest, _ in server.plane.parts.blobs.digests()}
            kept = [int(version.digest in stored) for version in versions]
            time.sleep(0.02)
        assert kept == [1, 0, 0, 0, 1], "the imported one is the last of its kind; the newest has an alias"
        assert operator.ask("GET", f"/api/v1/versions/{view.base}/blob").status == 200


def test_pages_and_views(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (server, operator):
        enrolled(operator, 5)
        first = operator.get("/api/v1/devices?limit=2", Page)
        second = operator.get(f"/api/v1/devices?limit=2&after={first.next}", Page)
        third = operator.get(f"/api/v1/devices?limit=2&after={second.next}", Page)
        assert [len(page.items) for page in (first, second, third)] == [2, 2, 1]
        assert third.next == ""
        assert len({bytes(item) for page in (first, second, third) for item in page.items}) == 5
        status = operator.get("/api/v1/status", StatusView)
        assert (status.devices, status.online, status.url) == (5, 5, server.url)
        metrics = operator.ask("GET", "/metrics").data
        assert b'podium_devices{state="active"} 5.0' in metrics and b'route="/v1/enrol"' in metrics
        who = operator.get("/api/v1/whoami", WhoAmI)
        assert (who.role, who.actor, who.plane_id) == ("administrator", "person:administrator", server.plane_id)
        assert Operator(server.url, "").ask("GET", "/nowhere").status == 404
        assert msgspec.json.decode(operator.ask("GET", "/api/v1/runs/x").data, type=Problem).code == "run-unknown"
        assert administrator(server).ask("POST", "/api/v1/runs/x/stop", b"{}").status == 404


def test_a_run_from_a_version_whose_bytes_were_collected_is_refused_and_the_plane_goes_on(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (server, operator):
        (device,) = enrolled(operator, 1)
        run = operator.submit(task())
        base = operator.run(run).base
        assert train(device, offer_to(device), 0).word == "stored"
        ended(operator, run)
        assert server.plane is not None
        server.plane.parts.blobs.delete(base)
        terms = msgspec.structs.replace(task(), model=ModelSource(version=base))
        asked = operator.ask("POST", "/api/v1/runs", RunAsk(task=msgspec.Raw(task_bytes(terms))))
        assert (asked.status, msgspec.json.decode(asked.data, type=Problem).code) == (404, "version-unknown")
        assert operator.ask("GET", "/readyz").status == 200
