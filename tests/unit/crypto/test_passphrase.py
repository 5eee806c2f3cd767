"""Bytes under a passphrase: only it opens them, only whole, only for their purpose, and never at any cost."""

import msgspec
import pytest

from podium.crypto.passphrase import COST_MAX, open_with, seal_with
from podium.wire.problems import OperatorFault

WORDS, PURPOSE = "correct horse battery", "keys"
RANDOM = bytes(range(28))
SEALED = seal_with(WORDS, PURPOSE, b"secret", RANDOM)


def refused(code: str, passphrase: str = WORDS, purpose: str = PURPOSE, envelope: bytes = SEALED) -> None:
    with pytest.raises(OperatorFault) as caught:
        open_with(passphrase, purpose, envelope)
    assert caught.value.code == code
    assert passphrase not in f"{caught.value.what} {caught.value.why} {caught.value.next}"


def changed(**header: object) -> bytes:
    """The envelope with another header."""
    read = msgspec.json.decode(SEALED)
    return msgspec.json.encode(read | {"header": read["header"] | header})


def test_the_passphrase_opens_what_it_sealed() -> None:
    assert open_with(WORDS, PURPOSE, SEALED) == b"secret"
    assert b"secret" not in SEALED


def test_another_passphrase_purpose_or_byte_does_not() -> None:
    refused("signature-invalid", passphrase=WORDS + ".")
    refused("signature-invalid", purpose="other")
    refused("signature-invalid", purpose="other", envelope=changed(purpose="other"))
    body = msgspec.json.decode(SEALED)["body"]
    refused("signature-invalid", envelope=SEALED.replace(body.encode(), (body[:4] + "AAAA" + body[8:]).encode()))
    refused("signature-invalid", envelope=changed(cost=2**15))


def test_short_passphrases_and_short_randomness_are_refused() -> None:
    with pytest.raises(OperatorFault, match="12 characters"):
        seal_with("short", PURPOSE, b"", RANDOM)
    with pytest.raises(ValueError, match="28 random bytes"):
        seal_with(WORDS, PURPOSE, b"", RANDOM[:-1])


@pytest.mark.parametrize("cost", [0, 1, 3, -2, COST_MAX * 2, 2**40])
def test_costs_that_cannot_be_are_refused_before_anything_is_derived(cost: int) -> None:
    refused("file-unreadable", envelope=changed(cost=cost))


@pytest.mark.parametrize(
    "envelope", [b"", b"{}", b"null", b"\xff", changed(nonce="AA"), changed(salt="!"), changed(more=1)]
)
def test_what_is_no_envelope_is_refused(envelope: bytes) -> None:
    refused("file-unreadable", envelope=envelope)
