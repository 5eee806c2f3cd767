"""Where a webhook may go: never back into the plane's own network (server-side request forgery).

Decides: which addresses are refused, twice: when a webhook is set, and at each delivery, on the very address that is
then connected to, so that a name which is resolved anew cannot lead elsewhere. Never: connects. Refused: anything but
https, user names in the address, other ports, and every address that is not global unicast: private, loopback,
link-local (clouds' metadata among them), multicast, reserved; and those that an IPv6 address hides (mapped, compatible,
6to4, Teredo; NAT64 is refused whole). One such address among those of a name refuses the name.
`allow_local` (podium serve --allow-local-webhooks) lets http and any port through, to loopback only.
"""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

import msgspec

from podium.wire.problems import OperatorFault

PORTS = (443, 8443)
URL_CHARS_MAX = 2048
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook's address taken apart: `target` is path and query as a request line holds them."""

    secure: bool
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The Host header's value."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def refused(url: str, why: str) -> OperatorFault:
    """The fault of an address that a webhook may not have; only its host is told."""
    return OperatorFault("webhook-refused", what=f"webhook to {url[:URL_CHARS_MAX]!r}", why=why)


def read_url(url: str, allow_local: bool) -> Target:
    """`url` as a `Target`; `OperatorFault(webhook-refused)` for what no webhook may have, whatever it resolves to."""
    host = ""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise refused(url.partition("?")[0], str(error)) from error
    if len(url) > URL_CHARS_MAX or not url.isascii() or not url.isprintable() or " " in url:
        raise refused(host, f"it is at most {URL_CHARS_MAX} printable ASCII characters")
    local = allow_local and parts.scheme == "http"
    if parts.scheme != "https" and not local:
        raise refused(host, "only https is spoken")
    if not host or "\\" in url or "%" in host:
        raise refused(host, "it names no host")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise refused(host, "it holds a user name, a password or a fragment")
    port = port or (443 if parts.scheme == "https" else 80)
    if port not in PORTS and not allow_local:
        raise refused(host, f"the port is one of {', '.join(map(str, PORTS))}")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(secure=parts.scheme == "https", host=host, port=port, target=target)


def choose(target: Target, resolved: Iterable[str], allow_local: bool) -> str:
    """The address to connect to, one of the texts in `resolved`, if every one of them may be connected to.

    `OperatorFault(webhook-refused)`. Plain http, and ports beyond `PORTS`, go to loopback only.
    """
    found = [ipaddress.ip_address(text.partition("%")[0]) for text in resolved]
    if not found:
        raise refused(target.host, "the name has no address")
    loopback = allow_local and all(address.is_loopback for address in found)
    if loopback:
        return str(found[0])
    if not target.secure or target.port not in PORTS:
        raise refused(target.host, "plain http and other ports go to loopback only")
    for address in found:
        if not all(_is_public(one) for one in _meant(address)):
            raise refused(target.host, "it is an address of a private, local, reserved or multicast network")
    return str(found[0])


def _is_public(address: Address) -> bool:
    if address in _TRANSLATED:
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _meant(address: Address) -> list[Address]:
    """The address, and every IPv4 address that it stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    meant: list[Address] = []
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    meant.append(address)
    if address.sixtofour is not None:
        meant.append(address.sixtofour)
    if address.teredo is not None:
        meant.extend(address.teredo)
    return meant
