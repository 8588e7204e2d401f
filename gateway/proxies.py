"""What proxies in front say about a request, believed only from configured networks. Pure."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from gateway.request import split_port

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Address, IPv4Network, IPv6Network

    from gateway.request import RequestHead

    Network = IPv4Network | IPv6Network
    Address = IPv4Address | IPv6Address

_LONGEST_ADDRESS = 128  # characters, the name of an interface behind it included


def believed(head: RequestHead, trusted: Sequence[Network]) -> RequestHead:
    """Return the head as the outermost trusted proxy saw it: client's address, host and scheme.

    The client is the last address in X-Forwarded-For that is not itself a trusted proxy. X-Forwarded-Host and
    X-Forwarded-Proto count only when the request came from a trusted network, and only their last value, which the
    nearest proxy wrote or vouched for.
    """
    if not trusted or not is_within(head.peer, trusted):
        return head
    peer = head.peer
    for entry in reversed(_entries(head, "x-forwarded-for")):
        # What cannot be read is nobody: the proxy's own address may have rights that its client has not.
        peer = entry if parse_address(entry) else split_port(entry)[0].strip("[]")
        peer = peer if parse_address(peer) else ""
        if not is_within(peer, trusted):
            break
    hosts, schemes = _entries(head, "x-forwarded-host"), _entries(head, "x-forwarded-proto")
    secure = schemes[-1].lower() == "https" if schemes else head.secure
    if not hosts:
        return replace(head, peer=peer, secure=secure)
    headers = tuple((name, hosts[-1] if name == "host" else value) for name, value in head.headers)
    return replace(head, peer=peer, secure=secure, authority=hosts[-1], headers=headers)


def is_within(text: str, networks: Sequence[Network]) -> bool:
    """Tell whether an address, as text, lies in one of the networks; what is no address lies in none."""
    address = parse_address(text)
    return address is not None and any(address in network for network in networks)


def parse_address(text: str) -> Address | None:
    """Parse an address, IPv4 in IPv6 clothes as the IPv4 address that it is; None when it is none."""
    return _parsed(text) if len(text) <= _LONGEST_ADDRESS else None


@lru_cache(maxsize=4096)  # the same clients come again and again
def _parsed(text: str) -> Address | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _entries(head: RequestHead, name: str) -> list[str]:
    return [entry.strip() for entry in (head.header(name) or "").split(",") if entry.strip()]
