"""The data directory: secrets and credentials that a first start makes and later ones find."""

import stat
from functools import partial
from pathlib import Path

import msgspec
import pytest

from podium.adapters.disk import write_durably
from podium.adapters.entropy import SystemEntropy
from podium.adapters.keys import MemoryKeys
from podium.core.access.roles import READING
from podium.core.rows import ServiceRow
from podium.server.plane_data import (
    SERVICE_PREFIX,
    Credentials,
    Who,
    remove_plane_file,
    session_root,
    token_hash,
    write_plane_file,
)
from podium.wire.operator import PlaneFile
from podium.wire.problems import OperatorFault, StoreFault


def test_the_session_root_stays(tmp_path: Path) -> None:
    keys = MemoryKeys()
    assert session_root(keys, SystemEntropy()) == session_root(keys, SystemEntropy())
    assert len(session_root(keys, SystemEntropy())) == 32


def test_credentials_are_private_files_and_prove_one_role(tmp_path: Path) -> None:
    credentials = Credentials(tmp_path, SystemEntropy())
    tokens = {}
    for role, prefix in (("administrator", "pdma_"), ("viewer", "pdmv_")):
        path = tmp_path / f"{role}.token"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        tokens[role] = path.read_text().strip()
        assert tokens[role].startswith(prefix) and len(tokens[role]) > 40
        assert credentials.role(f"Bearer {tokens[role]}") == role
        assert credentials.role(f"bearer  {tokens[role]}") == role
        assert Credentials(tmp_path, SystemEntropy()).role(f"Bearer {tokens[role]}") == role
    for missing in ("", "Bearer", "Bearer ", f"Basic {tokens['viewer']}"):
        with pytest.raises(OperatorFault, match="credential-missing"):
            credentials.role(missing)
    for wrong in (tokens["viewer"][:-1], tokens["viewer"] + "A", "pdma_" + tokens["viewer"][5:]):
        with pytest.raises(OperatorFault, match="credential-invalid"):
            credentials.role(f"Bearer {wrong}")
    (tmp_path / "viewer.token").write_text("\n")
    with pytest.raises(OperatorFault, match="file-unreadable"):
        Credentials(tmp_path, SystemEntropy())


def service(token: str, **changed: object) -> dict[str, ServiceRow]:
    """The rows of one service's credential."""
    row = ServiceRow(
        id=token_hash(token),
        name="nightly",
        verbs=("runs.read",),
        actor="person:administrator",
        made_ms=0,
        expires_ms=1_000,
        revoked=False,
    )
    return {row.id: msgspec.structs.replace(row, **changed)}


def test_a_credential_proves_a_person_or_a_service_until_it_is_over(tmp_path: Path) -> None:
    credentials = Credentials(tmp_path, SystemEntropy())
    viewer = (tmp_path / "viewer.token").read_text().strip()

    def unasked() -> dict[str, ServiceRow]:
        raise AssertionError("a person's credential needs nothing of the core, which may be away")

    assert credentials.who(f"Bearer {viewer}", unasked, 0) == Who(actor="person:viewer", verbs=READING)
    token = SERVICE_PREFIX + "A" * 43
    told = credentials.who(f"Bearer {token}", lambda: service(token), 999)
    assert told == Who(actor="service:nightly", verbs=frozenset({"runs.read"}), service=token_hash(token))
    no_rows: dict[str, ServiceRow] = {}
    over = [(service(token), 1_000), (service(token, revoked=True), 0), (no_rows, 0), (service(token + "A"), 0)]
    for rows, now_ms in over:
        with pytest.raises(OperatorFault, match="credential-invalid") as caught:
            credentials.who(f"Bearer {token}", partial(dict, rows), now_ms)
        assert token not in str(caught.value)
    with pytest.raises(OperatorFault, match="credential-missing"):
        credentials.who("", unasked, 0)
    with pytest.raises(OperatorFault, match="credential-invalid"):
        credentials.role(f"Bearer {token}")


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_durably(path, b"old")
    with pytest.raises(StoreFault, match="store-failed"):
        write_durably(tmp_path / "missing" / "file", b"new")
    write_durably(path, b"new")
    assert path.read_bytes() == b"new"
    assert [child.name for child in tmp_path.iterdir()] == ["x"]


def test_the_plane_file_says_where_it_answers(tmp_path: Path) -> None:
    write_plane_file(tmp_path, "http://127.0.0.1:1", "p1", "")
    said = msgspec.json.decode((tmp_path / "plane.json").read_bytes(), type=PlaneFile)
    assert (said.url, said.plane_id) == ("http://127.0.0.1:1", "p1")
    remove_plane_file(tmp_path)
    remove_plane_file(tmp_path)
    assert not (tmp_path / "plane.json").exists()
