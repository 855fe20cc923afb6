"""Addresses of the internet: who is behind one, and whether it is this machine."""

from __future__ import annotations

import ipaddress

CONNECTIONS_OF_ONE = 200  # of one address at the same time: a room of fifty people with four connections each


def network(address: str) -> str:
    """Whom an address belongs to: itself in IPv4, its 64 bits of network in IPv6, of which one machine has all."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def is_loopback(host: str) -> bool:
    """Whether an address is reachable from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
