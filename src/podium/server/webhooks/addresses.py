"""Where a webhook may go: never back into the plane's own network (server-side request forgery).

Decides: which addresses are refused, twice: when a webhook is set, and at each delivery, on the very address that is
then connected to, so that a name which is resolved anew cannot lead elsewhere. Never: connects. Refused: anything but
https, user names in the address, other ports, what is no host name, and every address that networks.py does not call
public. One such address among those of a name refuses the name.
`allow_local` (podium serve --allow-local-webhooks) lets http and any port through, to loopback only.
Source: RFC 3986, section 3.2; RFC 1123, section 2.1 (host names); RFC 6454, section 6.2 (an origin as text).
"""

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

import msgspec

from podium.core.rows import WebhookRow
from podium.server.webhooks.networks import connectable, is_loopback
from podium.wire.problems import OperatorFault

PORTS = (443, 8443)
URL_CHARS_MAX = 2048
HOST_CHARS_MAX = 253

_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_NUMBER = re.compile(r"([0-9]+|0x[0-9a-f]*)")
"""The last label of what some resolvers take for an IPv4 address in another notation, such as 127.1 or 0x7f000001."""


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

    @property
    def origin(self) -> str:
        """Scheme, host and port: all of the address that is shown, since what follows is often a secret."""
        return f"{'https' if self.secure else 'http'}://{self.authority}"

    @property
    def address(self) -> str:
        """The address itself if the host is one, "" if it is a name."""
        try:
            return str(ipaddress.ip_address(self.host))
        except ValueError:
            return ""


def origin_of(row: WebhookRow) -> str:
    """All that is shown of a webhook's address: scheme, host and port; what follows is often a secret."""
    if row.origin:
        return row.origin
    parts = urlsplit(row.url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def refused(host: str, why: str) -> OperatorFault:
    """The fault of an address that a webhook may not have; only its host is told."""
    return OperatorFault("webhook-refused", what=f"webhook to {host[:HOST_CHARS_MAX]!r}", why=why)


def read_url(url: str, allow_local: bool) -> Target:
    """`url` as a `Target`; `OperatorFault(webhook-refused)` for what no webhook may have, whatever it resolves to."""
    if len(url) > URL_CHARS_MAX or not url.isascii() or not url.isprintable() or " " in url:
        raise refused("", f"it is at most {URL_CHARS_MAX} printable ASCII characters")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise refused("", "it is no address of the web") from error  # the error's text may quote all of it
    _check_host(parts.netloc, host)
    local = allow_local and parts.scheme == "http"
    if parts.scheme != "https" and not local:
        raise refused(host, "only https is spoken")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise refused(host, "it holds a user name, a password or a fragment")
    port = port or (443 if parts.scheme == "https" else 80)
    if port not in PORTS and not allow_local:
        raise refused(host, f"the port is one of {', '.join(map(str, PORTS))}")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(secure=parts.scheme == "https", host=host, port=port, target=target)


def _check_host(netloc: str, host: str) -> None:
    """Return if `host` is an IP address or a host name; a name that ends in a number is neither."""
    if _is_address(host) and "\\" not in netloc:
        return
    named = len(host) <= HOST_CHARS_MAX and _NAME.fullmatch(host) is not None
    if not named or _NUMBER.fullmatch(host.rpartition(".")[2]) or "\\" in netloc or "[" in netloc:
        raise refused(host, "it names no host: a name has labels of 1 to 63 letters, digits and hyphens")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host  # a zone is of one machine only


def choose(target: Target, resolved: Iterable[str], allow_local: bool) -> str:
    """The address to connect to, one of the texts in `resolved`, if every one of them may be connected to.

    `OperatorFault(webhook-refused)`. Plain http, and ports beyond `PORTS`, go to loopback only.
    """
    found = [ipaddress.ip_address(text.partition("%")[0]) for text in resolved]
    if not found:
        raise refused(target.host, "the name has no address")
    if allow_local and all(is_loopback(address) for address in found):
        return str(found[0])
    if not target.secure or target.port not in PORTS:
        raise refused(target.host, "plain http and other ports go to loopback only")
    public = [connectable(address) for address in found]
    if not all(public):
        raise refused(target.host, "it is an address of a private, local, reserved or multicast network")
    return public[0]
