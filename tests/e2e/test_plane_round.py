"""Whole rounds through a real plane over real HTTP, with scripted devices and one-hot updates."""

import contextlib
import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np

from podium.crypto.dsse import open_statement
from podium.crypto.root import open_root, role_key
from podium.crypto.sign import open_signed
from podium.server.aggregation.manifests import STATEMENT_TYPE
from podium.server.journal.audit import verify_data, verify_export
from podium.tasks.digest import task_digest
from podium.wire import messages as m
from podium.wire.operator import Page, RunView, StatusView, VersionView
from podium.wire.tensors import read_arrays
from tests.support.plane_cases import SIZE, Operator, enrolled, one_hot, plane, task
from tests.support.scripted_device import CHUNK, Refused, ScriptedDevice


def offer_to(device: ScriptedDevice, within_s: float = 10.0) -> m.OfferMessage:
    """Check in, keeping the windows, until there is an offer."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        answer = device.check_in(battery=0.9, charging=True, metered=False)
        if answer.offer is not None:
            return answer.offer
        time.sleep(answer.window_ok_ms / 1000)
    raise AssertionError(f"no offer within {within_s} s; the last reason was {answer.reason}")


def train(device: ScriptedDevice, offer: m.OfferMessage, place: int) -> m.LeaseAnswer:
    """Steps 4 to 8 with a one-hot update."""
    assert device.lease(offer.lease, "accept", m.Accept()).word == "go"
    manifest = device.manifest(offer)
    update = device.update(offer, manifest, one_hot(place))
    assert device.lease(offer.lease, "progress", m.Progress(done=1, total=1)).word == "extended"
    device.upload(offer.lease, update.sealed)
    return device.report(offer.lease, update.report)


def ended(operator: Operator, run: str, within_s: float = 20.0) -> RunView:
    """The run once it is over."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        view = operator.run(run)
        if view.state != "RUNNING":
            return view
        time.sleep(0.02)
    raise AssertionError(f"the run is still {view}")


def test_a_round_of_one_hot_updates_becomes_a_signed_version(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (server, operator):
        devices = enrolled(operator, 3, site="north")
        made = task(goal=3)
        run = operator.submit(made)
        for device in devices:
            device.check_in()
        for place, device in enumerate(devices):
            assert train(device, offer_to(device), place).word == "stored"
        view = ended(operator, run)
        assert (view.state, view.reason, view.rounds_sealed) == ("FINISHED", "rounds-done", 1)
        assert view.history == {"accuracy": [0.75]}
        assert view.round is not None and view.round.site_metrics == {"north": {"accuracy": 0.75}}

        page = operator.get(f"/api/v1/versions?run={run}", Page)
        first, last = (msgspec.json.decode(item, type=VersionView) for item in page.items)
        assert (first.number, last.number, last.parent) == (0, 1, first.digest)
        blob = operator.ask("GET", f"/api/v1/versions/{last.digest}/blob").data
        weights = read_arrays(blob)["w"].astype(np.float64)
        expected = np.zeros(SIZE)
        expected[:3] = 1 / 3
        np.testing.assert_allclose(weights, expected, rtol=0, atol=8 * 2**-23)

        root = open_root(
            msgspec.json.decode(devices[0].whole(devices[0].send("GET", "/v1/root")), type=m.SignedRoot), None
        )
        online = role_key(root, "online", root.roles["online"].key_ids[0])
        statement = operator.ask("GET", f"/api/v1/versions/{last.digest}/statement").data
        told = msgspec.json.decode(open_statement(online, STATEMENT_TYPE, statement))
        assert told["subject"][0]["digest"]["sha256"] == last.digest.removeprefix("sha256:")
        assert told["predicate"]["contributors"] == 3
        assert told["predicate"]["task_digest"] == task_digest(made)
        status = operator.get("/api/v1/status", StatusView)
        assert status.devices == 3 and status.journal_entries > 10
        assert server.plane is not None
        kept = server.plane.parts
        end = time.monotonic() + 10  # the round is sealed first, and tidied up after
        while kept.blobs.uploads() and time.monotonic() < end:
            time.sleep(0.01)
        assert kept.blobs.uploads() == [] and kept.keys.names("upload/") == []


def test_the_manifest_is_signed_for_the_round(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (_, operator):
        (device,) = enrolled(operator, 1)
        made = task()
        run = operator.submit(made)
        offer = offer_to(device)
        root = open_root(msgspec.json.decode(device.send("GET", "/v1/root").data, type=m.SignedRoot), None)
        online = role_key(root, "online", root.roles["online"].key_ids[0])
        signed = msgspec.json.decode(device.blob(offer.manifest), type=m.Signed)
        manifest = open_signed(online, "round-manifest", signed, m.RoundManifest)
        assert (manifest.run, manifest.round, manifest.base) == (run, 1, offer.base)
        assert manifest.task_digest == task_digest(made)
        assert manifest.tensors == (m.TensorSpec(name="w", shape=(SIZE,), dtype="F32"),)
        assert manifest.plane_id == root.plane_id


def test_several_rounds_follow_each_other(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (_, operator):
        devices = enrolled(operator, 2)
        run = operator.submit(task(goal=2, rounds=3))
        for round_number in range(3):
            for device in devices:
                device.check_in()
            for place, device in enumerate(devices):
                assert train(device, offer_to(device), 2 * round_number + place).word == "stored"
        view = ended(operator, run)
        assert (view.state, view.rounds_sealed, view.version_number) == ("FINISHED", 3, 3)
        weights = read_arrays(operator.ask("GET", f"/api/v1/versions/{view.base}/blob").data)["w"]
        np.testing.assert_allclose(weights[:6].astype(np.float64), np.full(6, 0.5), atol=1e-5)
        assert not weights[6:].any()


def test_an_evaluation_uploads_nothing_and_pools_metrics(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (_, operator):
        devices = enrolled(operator, 2)
        run = operator.submit(task(goal=2, kind="evaluate"))
        for device in devices:
            device.check_in()
        for device in devices:
            offer = offer_to(device)
            assert device.lease(offer.lease, "accept", m.Accept()).word == "go"
            manifest = device.manifest(offer)
            assert manifest.upload.bytes_max == 0
            nothing = hashlib.sha256(b"").hexdigest()
            report = device.update(offer, manifest, {}, None, length=0, sha256=nothing, sealed_key="").report
            assert device.report(offer.lease, report).word == "stored"
        view = ended(operator, run)
        assert (view.state, view.version_number, view.history) == ("FINISHED", 0, {"accuracy": [0.75]})


def test_a_model_of_many_chunks_goes_both_ways(tmp_path: Path) -> None:
    size = 2_500_000  # 10 MB: streamed down by pieces, uploaded in ten chunks
    with plane(tmp_path / "data") as (_, operator):
        (device,) = enrolled(operator, 1)
        first = np.linspace(0.0, 1.0, size, dtype=np.float32)
        run = operator.submit(task(), {"w": first})
        offer = offer_to(device)
        device.lease(offer.lease, "accept", m.Accept())
        manifest = device.manifest(offer)
        base = read_arrays(device.blob(offer.base))["w"]
        np.testing.assert_array_equal(base, first)
        tail = device.ask("GET", f"/v1/blobs/{offer.base}", b"", range="bytes=9000000-")
        assert (tail.status, len(tail.data)) == (206, manifest.variants[0].size - 9_000_000)
        update = device.update(offer, manifest, {"w": np.full(size, 0.01, np.float32)})
        assert len(update.sealed) > 9 * CHUNK
        device.upload(offer.lease, update.sealed)
        assert device.report(offer.lease, update.report).word == "stored"
        view = ended(operator, run)
        made = read_arrays(operator.ask("GET", f"/api/v1/versions/{view.base}/blob").data)["w"]
        np.testing.assert_allclose(made.astype(np.float64), base.astype(np.float64) + 0.01, atol=8 * 2**-23)


def served(operator: Operator, run: str, devices: list[ScriptedDevice]) -> None:
    """All `devices` train for the run at once, a one-hot update each, until it is over."""

    def serve(place: int) -> None:
        device = devices[place]
        while operator.run(run).state == "RUNNING":
            answer = device.check_in(battery=1.0)
            if answer.offer is None:
                time.sleep(answer.window_else_ms / 1000)
                continue
            with contextlib.suppress(Refused):  # the round may close while this device still works
                train(device, answer.offer, place)

    with ThreadPoolExecutor(len(devices)) as pool:
        list(pool.map(serve, range(len(devices))))


def test_many_devices_at_once_and_each_counts_once_or_not_at_all(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (_, operator):
        devices = enrolled(operator, 16)
        run = operator.submit(task(goal=8, minimum=4, rounds=3))
        served(operator, run, devices)
        view = operator.run(run)
        assert (view.state, view.rounds_sealed) == ("FINISHED", 3)
        page = operator.get(f"/api/v1/versions?run={run}", Page)
        versions = [msgspec.json.decode(item, type=VersionView) for item in page.items]
        before = np.zeros(SIZE)
        for version in versions[1:]:
            data = operator.ask("GET", f"/api/v1/versions/{version.digest}/blob").data
            weights = read_arrays(data)["w"].astype(np.float64)
            counted = (weights - before) * version.contributors
            np.testing.assert_allclose(counted, np.round(counted), atol=1e-3)
            assert set(np.round(counted).tolist()) <= {0.0, 1.0}, "a 2 would be a double count"
            assert np.round(counted).sum() == version.contributors >= 8
            before = weights
        journal = operator.ask("GET", "/api/v1/audit/export").data
        assert journal.count(b'"kind":"round-sealed"') == 3
        assert verify_export(journal.splitlines(keepends=True)).entries > 50
    assert verify_data(tmp_path / "data").entries > 50
