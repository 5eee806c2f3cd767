"""The MAC of a request: its layout, and that nothing of a request can be changed or moved under it."""

import hashlib
import hmac

import pytest

from podium.crypto.mac import COUNTER_HEADER, MAC_HEADER, SESSION_HEADER, check_mac, request_mac
from podium.wire.canonical import unb64
from podium.wire.problems import DeviceFault

KEY = b"k" * 32
DIGEST = hashlib.sha256(b"{}").digest()
REQUEST = ("POST", "/v1/checkin", "a=1", DIGEST, 7)


def refused(key: bytes, request: tuple[str, str, str, bytes, int], given: str) -> None:
    with pytest.raises(DeviceFault) as caught:
        check_mac(key, *request, given=given)
    assert caught.value.code == "mac-invalid"
    assert caught.value.why


def test_the_headers_have_their_names() -> None:
    assert (SESSION_HEADER, COUNTER_HEADER, MAC_HEADER) == ("Podium-Session", "Podium-Counter", "Podium-Mac")


def test_the_layout_is_label_and_fields_each_after_its_length() -> None:
    fields = [b"podium/v1/request", b"POST", b"/v1/checkin", b"a=1", DIGEST, (7).to_bytes(8, "big")]
    message = b"".join(len(field).to_bytes(4, "big") + field for field in fields)
    assert unb64(request_mac(KEY, *REQUEST)) == hmac.new(KEY, message, hashlib.sha256).digest()


def test_the_right_mac_holds() -> None:
    for request in (REQUEST, ("GET", "/", "", bytes(32), 0), ("PUT", "/é", "ü", DIGEST, 2**64 - 1)):
        check_mac(KEY, *request, given=request_mac(KEY, *request))


def test_any_other_request_or_key_is_refused() -> None:
    given = request_mac(KEY, *REQUEST)
    method, path, query, digest, counter = REQUEST
    refused(b"x" * 32, REQUEST, given)
    refused(KEY, ("PUT", path, query, digest, counter), given)
    refused(KEY, (method, path + "/", query, digest, counter), given)
    refused(KEY, (method, path, "a=2", digest, counter), given)
    refused(KEY, (method, path, query, hashlib.sha256(b"{ }").digest(), counter), given)
    refused(KEY, (method, path, query, digest, counter + 1), given)


def test_fields_cannot_lend_each_other_bytes() -> None:
    digest = bytes(32)
    cells = [
        ("POST", "/ab", "c"),
        ("POST", "/a", "bc"),
        ("POST/", "ab", "c"),
        ("POS", "T/ab", "c"),
        ("POST", "/abc", ""),
    ]
    macs = {request_mac(KEY, method, path, query, digest, 1) for method, path, query in cells}
    assert len(macs) == len(cells)


@pytest.mark.parametrize("given", ["", "A", "é", "\ud800", "x" * 43, "=" * 44])
def test_other_texts_are_refused(given: str) -> None:
    refused(KEY, REQUEST, given)
    refused(KEY, REQUEST, request_mac(KEY, *REQUEST) + "x" + given)


def test_a_shorter_mac_is_refused() -> None:
    whole = request_mac(KEY, *REQUEST)
    for length in range(len(whole)):
        refused(KEY, REQUEST, whole[:length])


@pytest.mark.parametrize("counter", [-1, 2**64, 2**70])
def test_counters_out_of_range_are_refused(counter: int) -> None:
    refused(KEY, ("POST", "/", "", DIGEST, counter), request_mac(KEY, *REQUEST))


def test_a_path_that_is_no_text_is_refused() -> None:
    refused(KEY, ("POST", "/\udcff", "", DIGEST, 1), request_mac(KEY, *REQUEST))
