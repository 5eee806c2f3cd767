"""Where a webhook may go: no address of the plane's own network, however it is written or resolved."""

import ipaddress

import pytest

from podium.server.webhooks.addresses import choose, read_url
from podium.server.webhooks.networks import SPECIAL, connectable
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
    # what some Pythons call global
    "168.63.129.16",
    "192.0.0.9",
    "192.0.0.10",
    "192.0.0.170",
    "192.0.0.192",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.175.48.1",
    "100.100.100.200",
    "::ffff:168.63.129.16",
    "::ffff:192.88.99.1",
    "64:ff9b::808:808",
    "64:ff9b:1::7f00:1",
    "100::1",
    "2001::1",
    "2001:2::1",
    "2001:20::1",
    "2001:30::1",
    "2002:808:808::1",
    "2620:4f:8000::1",
    "3fff::1",
    "3fff:fff::1",
    "4000::1",
    "5f00::1",
    "fec0::1",
    "feff::1",
    "fc00:ec2::254",
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


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:2800:220:1::1", "2a00:1450::1", "168.63.129.17"])
def test_public_addresses_are_chosen(address: str) -> None:
    assert choose(SAFE, [address], False) == address


def test_a_mapped_address_is_connected_to_as_what_it_is() -> None:
    assert choose(SAFE, ["::ffff:8.8.8.8"], False) == "8.8.8.8"


def test_each_special_network_is_refused_from_its_first_to_its_last_address() -> None:
    for text in SPECIAL:
        network = ipaddress.ip_network(text)
        for address in (network[0], network[-1]):
            assert connectable(address) == "", (text, address)
            if address.version == 4:
                assert connectable(ipaddress.IPv6Address(f"::ffff:{address}")) == "", (text, address)


def test_what_lies_beside_a_special_network_is_public() -> None:
    for text in (
        "9.255.255.255",
        "11.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "198.17.255.255",
        "198.20.0.0",
    ):
        assert connectable(ipaddress.ip_address(text)) == text
    for text in ("2001:200::", "2001:db7:ffff::", "2001:db9::", "2003::", "3fff:1000::"):
        assert connectable(ipaddress.ip_address(text)) == text


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
        "https://x..y/",
        "https://.example/",
        "https://example.org./",
        "https://example-.org/",
        "https://-example.org/",
        f"https://{'a' * 64}.org/",
        f"https://{'.'.join(['a' * 60] * 5)}/",
        "https://[v1.example]/",
        "https://[fe80::1%25eth0]/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://example.1/",
        "https://example.org'/",
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


@pytest.mark.parametrize(
    "url",
    [
        "https://user@example.org/secret?token=secret",
        "https://secret:secret@example.org/",
        "https://example.org:secret/",
        "https://[secret/",
        "https://example.org:99999/secret",
        "https://example..org/secret",
        "https://example.org/secret" + "a" * 3000,
        "secret",
    ],
)
def test_what_is_told_of_a_refusal_holds_nothing_but_the_host(url: str) -> None:
    assert "secret" not in refused(url)


def test_all_that_is_shown_of_an_address_is_its_origin() -> None:
    for url, origin in (
        ("https://Example.org/services/T0/secret?token=secret", "https://example.org"),
        ("https://example.org:8443/a", "https://example.org:8443"),
        ("https://[2606:2800:220:1::1]/a", "https://[2606:2800:220:1::1]"),
    ):
        assert read_url(url, False).origin == origin
    assert read_url("http://localhost:9999/a", True).origin == "http://localhost:9999"


def test_an_address_needs_no_resolving() -> None:
    assert read_url("https://[2606:2800:220:1:0::1]/", False).address == "2606:2800:220:1::1"
    assert read_url("https://8.8.8.8/", False).address == "8.8.8.8"
    assert SAFE.address == ""


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
