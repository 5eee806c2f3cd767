"""podium model release: the offline key's word, made with a network or without, and what cannot be released."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from podium.cli import models
from podium.server.identity import read_release_key, release_key_path, write_release_key
from podium.server.main import PlaneServer
from podium.wire.operator import VersionView
from tests.e2e.cli_made import podium
from tests.e2e.test_plane_round import ended, offer_to, train
from tests.support.plane_cases import Operator, enrolled, plane, task


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PlaneServer, Operator, str]]:
    """A plane with one sealed version, and that version's digest."""
    with plane(tmp_path_factory.mktemp("releases") / "data") as (server, operator):
        (device,) = enrolled(operator, 1)
        run = operator.submit(task())
        assert train(device, offer_to(device), 0).word == "stored"
        yield server, operator, ended(operator, run).base


def released(operator: Operator, digest: str) -> bool:
    return operator.get(f"/api/v1/versions/{digest}", VersionView).released


def pulled(server: PlaneServer, folder: Path, version: str = "@last") -> Path:
    """A model file with statement and root beside it."""
    file = folder / "model.safetensors"
    said = podium("model", "pull", version, "--out", file, "--data", server.data)
    assert said.code == 0, said.err
    return file


def test_signed_without_a_network_and_sent_from_elsewhere(
    serving: tuple[PlaneServer, Operator, str], tmp_path: Path
) -> None:
    server, operator, digest = serving
    key = tmp_path / "moved.release.key"
    write_release_key(key, read_release_key(release_key_path(server.data)))
    file = pulled(server, tmp_path)
    envelope = tmp_path / "release.json"
    said = podium("model", "release", file, "--key", key, "--out", envelope, "--data", tmp_path / "no-plane-here")
    assert (said.code, said.out) == (0, f"{envelope}\n"), said.err
    assert not released(operator, digest), "signing alone tells nobody"
    said = podium("model", "release", digest, "--release", envelope, "--data", server.data)
    assert (said.code, said.out) == (0, f"{digest}\n"), said.err
    assert released(operator, digest)
    again = podium("model", "release", digest, "--key", key, "--data", server.data, "--json")
    assert again.code == 0 and msgspec.json.decode(again.out)["version"] == digest


def test_a_version_that_was_brought_in_is_released_by_its_file(
    serving: tuple[PlaneServer, Operator, str], tmp_path: Path
) -> None:
    server, operator, _ = serving
    first = next(view for view in _versions(operator) if not view.run)
    file = pulled(server, tmp_path, first.digest)
    said = podium("model", "release", file, "--key", release_key_path(server.data), "--data", server.data)
    assert said.code == 0, said.err
    assert released(operator, first.digest)


def _versions(operator: Operator) -> list[VersionView]:
    page = msgspec.json.decode(operator.ask("GET", "/api/v1/versions").data)
    return [msgspec.convert(item, VersionView) for item in page["items"]]


def test_what_may_not_be_released_is_named(serving: tuple[PlaneServer, Operator, str], tmp_path: Path) -> None:
    server, _, digest = serving
    file = pulled(server, tmp_path)
    key = release_key_path(server.data)
    stranger = tmp_path / "stranger.key"
    write_release_key(stranger, bytes(32))
    said = podium("model", "release", digest, "--key", stranger, "--data", server.data)
    assert said.code == 2 and "release-invalid" in said.err and "not the plane's release key" in said.err
    token = server.data / "administrator.token"
    said = podium("model", "release", digest, "--key", token, "--data", server.data)
    assert said.code == 2 and "holds no release key" in said.err
    assert token.read_text().strip() not in said.err
    said = podium("model", "release", "sha256:" + "0" * 64, "--key", key, "--data", server.data)
    assert said.code == 3 and "version-unknown" in said.err
    for words in ((), ("--out", tmp_path / "x"), ("--key", key, "--release", key)):
        said = podium("model", "release", digest, *words, "--data", server.data)
        assert said.code == 2 and "usage" in said.err, said.err
    said = podium("model", "release", digest, "--release", file, "--data", server.data)
    assert said.code == 2 and "release-invalid" in said.err, said.err
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    said = podium("model", "release", file, "--key", key, "--data", server.data)
    assert said.code == 8 and "digest-mismatch" in said.err
    file.write_bytes(data)
    models.statement_beside(file).unlink()
    said = podium("model", "release", file, "--key", key, "--data", server.data)
    assert said.code == 2 and "file-unreadable" in said.err


def test_the_plane_takes_no_release_of_another_version(
    serving: tuple[PlaneServer, Operator, str], tmp_path: Path
) -> None:
    server, operator, digest = serving
    key, envelope = release_key_path(server.data), tmp_path / "release.json"
    assert podium("model", "release", digest, "--key", key, "--out", envelope, "--data", server.data).code == 0
    first = next(view.digest for view in _versions(operator) if not view.run)
    said = podium("model", "release", first, "--release", envelope, "--data", server.data)
    assert said.code == 2 and "it is no release of" in said.err, said.err
