"""TLS: whom the device talks to is settled by the certificate before a byte of the conversation."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from podium.device import Device
from podium.device.link import is_loopback
from podium.wire.problems import OperatorFault
from tests.support.certificates import Certificate, make_certificate
from tests.support.device_bench import model, quick_device, task
from tests.support.scripted_plane import ScriptedPlane


@pytest.fixture(name="plane")
def _plane() -> Iterator[ScriptedPlane]:
    yield ScriptedPlane()


@pytest.fixture(name="certificate")
def _certificate(plane: ScriptedPlane, tmp_path: Path) -> Certificate:
    """The certificate of `plane`, which from now on speaks TLS."""
    made = make_certificate(tmp_path)
    plane.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    plane.tls.load_cert_chain(made.file, made.key_file)
    return made


def _with_ca(plane: ScriptedPlane, ca: str, state: Path | None = None) -> str:
    with plane, quick_device(plane, state) as device:
        assert device._token is not None
        device._token = msgspec.structs.replace(device._token, ca=ca)
        plane.offer(plane.manifest(task(), model(), 1))
        return device.run_once().word


def test_a_private_authority_in_the_token_is_trusted(plane: ScriptedPlane, certificate: Certificate) -> None:
    assert _with_ca(plane, certificate.pem) == "stored"


def test_a_pinned_certificate_is_trusted(plane: ScriptedPlane, certificate: Certificate) -> None:
    assert _with_ca(plane, certificate.fingerprint) == "stored"


@pytest.mark.parametrize("ca", ["", "sha256:" + "0" * 64])
def test_any_other_certificate_is_a_foreign_plane(plane: ScriptedPlane, certificate: Certificate, ca: str) -> None:
    with pytest.raises(OperatorFault) as caught:
        _with_ca(plane, ca)
    assert caught.value.code == "plane-foreign"
    assert plane.log == []


def test_the_pin_is_kept_with_the_identity(plane: ScriptedPlane, certificate: Certificate, tmp_path: Path) -> None:
    assert _with_ca(plane, certificate.fingerprint, tmp_path / "state") == "stored"
    assert _with_ca(plane, "", tmp_path / "state") == "stored"


def test_a_plane_that_turns_foreign_later_is_not_spoken_to(
    plane: ScriptedPlane, certificate: Certificate, tmp_path: Path
) -> None:
    assert _with_ca(plane, certificate.pem, tmp_path / "state") == "stored"
    plane.tls, plane.log[:] = None, []
    with plane, quick_device(plane, tmp_path / "state") as device:
        device._url = plane.url.replace("http:", "https:")
        assert device.run_once().word in ("away", "denied")
    assert plane.log == []


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("[::1]", True),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("", False),
    ],
)
def test_only_this_machine_is_loopback(host: str, here: bool) -> None:
    assert is_loopback(host) is here


def test_an_address_that_is_not_loopback_needs_tls(plane: ScriptedPlane) -> None:
    for url in ("http://192.0.2.7:80", "ftp://localhost", "not an address"):
        device = Device(url, token=plane.token())
        with device, pytest.raises(OperatorFault, match="usage"):
            device.run_once()
