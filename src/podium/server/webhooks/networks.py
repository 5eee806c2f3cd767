"""Which IP addresses are public: the special-use networks, pinned here, so that no Python's own list decides.

Decides: what is no address of the open internet. Never: resolves or connects. IPv4: everything is public but what is
listed. IPv6: nothing is public but 2000::/3, the only block that IANA allots as global unicast, less what is listed;
so loopback, ::/96 (IPv4-compatible), 64:ff9b::/96 and 64:ff9b:1::/48 (NAT64, RFC 6052 and RFC 8215), 100::/64
(discard, RFC 6666), 5f00::/16 (segment routing, RFC 9602), fc00::/7 (unique local, RFC 4193; clouds' metadata at
fd00:ec2::254), fe80::/10 (link-local, RFC 4291), fec0::/10 (site-local, RFC 3879) and ff00::/8 (multicast) need none.
An IPv4 address mapped into IPv6 (RFC 4291, section 2.5.5.2) is judged, and connected to, as the IPv4 address it is.
Limits: a NAT64 under a prefix of the network's own (RFC 6052) looks like any other network: let its gateway refuse.
Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), the IANA IPv6 address space, and clouds'
documented addresses of metadata and platform services.
"""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

SPECIAL: dict[str, str] = {
    "0.0.0.0/8": "this network: RFC 791",
    "10.0.0.0/8": "private: RFC 1918",
    "100.64.0.0/10": "shared between carrier and customer: RFC 6598; metadata at 100.100.100.200",
    "127.0.0.0/8": "loopback: RFC 1122",
    "168.63.129.16/32": "a cloud's platform service, reached from every machine in it",
    "169.254.0.0/16": "link-local: RFC 3927; metadata at 169.254.169.254",
    "172.16.0.0/12": "private: RFC 1918",
    "192.0.0.0/24": "protocol assignments: RFC 6890; metadata at 192.0.0.192",
    "192.0.2.0/24": "documentation: RFC 5737",
    "192.31.196.0/24": "AS112: RFC 7535",
    "192.52.193.0/24": "multicast tunnelling: RFC 7450",
    "192.88.99.0/24": "6to4 relays, given up: RFC 7526",
    "192.168.0.0/16": "private: RFC 1918",
    "192.175.48.0/24": "AS112: RFC 7534",
    "198.18.0.0/15": "benchmarking: RFC 2544",
    "198.51.100.0/24": "documentation: RFC 5737",
    "203.0.113.0/24": "documentation: RFC 5737",
    "224.0.0.0/4": "multicast: RFC 5771",
    "240.0.0.0/4": "reserved, and limited broadcast: RFC 1112, RFC 8190",
    "2001::/23": "protocol assignments: RFC 2928; Teredo (RFC 4380), benchmarking, ORCHID among them",
    "2001:db8::/32": "documentation: RFC 3849",
    "2002::/16": "6to4, which hides an IPv4 address: RFC 3056",
    "2620:4f:8000::/48": "AS112: RFC 7534",
    "3fff::/20": "documentation: RFC 9637",
}
"""Network -> what it is for."""

_NETWORKS = [ipaddress.ip_network(text) for text in SPECIAL]
_UNICAST = ipaddress.ip_network("2000::/3")
_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


def connectable(address: Address) -> str:
    """The text of the public address that `address` is, "" if it is none."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.version == 6 and address not in _UNICAST:
        return ""
    return "" if any(address in network for network in _NETWORKS) else str(address)


def is_loopback(address: Address) -> bool:
    """Whether `address` is one of the machine's own to itself (RFC 1122, RFC 4291)."""
    return any(address in network for network in _LOOPBACK)
