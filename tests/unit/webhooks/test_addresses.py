"""Where a webhook may go: no address of the plane's own network, however it is written or resolved."""

import pytest

from podium.server.webhooks.addresses import choose, read_url
from podium.wire.problems import OperatorFault

PUBLIC = "93.184.216.34"
SAFE = read_url("https://example.org/hook", False)

PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "198.18.0.1",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:0:7f00:1::",
    "2001:db8::1",
]


def refused(url: str, allow_local: bool = False) -> str:
    with pytest.raises(OperatorFault) as caught:
        read_url(url, allow_local)
    assert caught.value.code == "webhook-refused"
    return f"{caught.value.what} {caught.value.why}"


def not_chosen(*resolved: str, url: str = "https://example.org/", allow_local: bool = False) -> None:
    with pytest.raises(OperatorFault) as caught:
        choose(read_url(url, allow_local), resolved, allow_local)
    assert caught.value.code == "webhook-refused"


@pytest.mark.parametrize("address", PRIVATE)
def test_private_local_reserved_and_hidden_addresses_are_refused(address: str) -> None:
    not_chosen(address)
    not_chosen(PUBLIC, address)
    not_chosen(address, PUBLIC)


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:2800:220:1::1", "::ffff:8.8.8.8"])
def test_public_addresses_are_chosen(address: str) -> None:
    assert choose(SAFE, [address], False) == address.replace("::ffff:8.8.8.8", "::ffff:808:808")


def test_a_name_without_address_is_refused() -> None:
    not_chosen()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "http://example.org/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "https://",
        "https:///path",
        "https://user@example.org/",
        "https://user:word@example.org/",
        "https://@example.org/",
        "https://example.org/#part",
        "https://example.org:22/",
        "https://example.org:80/",
        "https://example.org:65536/",
        "https://example.org:x/",
        "https://exa mple.org/",
        "https://example.org/a\r\nhost: other",
        "https://example.org\\@other.org/",
        "https://ex%61mple.org/",
        "https://exämple.org/",
        "https://[::1",
        "https://example.org/" + "a" * 3000,
    ],
)
def test_addresses_that_no_webhook_may_have(url: str) -> None:
    refused(url)


def test_an_address_taken_apart() -> None:
    told = read_url("https://Example.org:8443/a/b?c=d", False)
    assert (told.secure, told.host, told.port, told.target) == (True, "example.org", 8443, "/a/b?c=d")
    assert told.authority == "example.org:8443" and SAFE.authority == "example.org"
    assert read_url("https://[2606:2800:220:1::1]", False).authority == "[2606:2800:220:1::1]"
    assert read_url("https://example.org", False).target == "/"


def test_what_is_told_of_a_refusal_holds_no_path() -> None:
    assert "secret" not in refused("https://user@example.org/secret?token=secret")


def test_allowing_local_lets_loopback_through_and_nothing_else() -> None:
    url = "http://localhost:9999/"
    for address in ("127.0.0.1", "::1"):
        assert choose(read_url(url, True), [address], True) == address
    for address in ("10.0.0.1", "169.254.169.254", PUBLIC, "192.168.1.1"):
        not_chosen(address, url=url, allow_local=True)
        if address != PUBLIC:
            not_chosen(address, allow_local=True)
    not_chosen("127.0.0.1", PUBLIC, url=url, allow_local=True)
    not_chosen(PUBLIC, url="https://example.org:9999/", allow_local=True)
    assert choose(SAFE, [PUBLIC], True) == PUBLIC
    refused("ftp://localhost/", True)
