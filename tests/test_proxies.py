from __future__ import annotations

from ipaddress import ip_network

import pytest

from gateway.proxies import believed, is_within, parse_address
from gateway.request import RequestHead

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def head(peer: str, **headers: str) -> RequestHead:
    fields = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return RequestHead("GET", "/b/k", "", "inside:9000", (("host", "inside:9000"), *fields), peer)


def test_a_stranger_is_not_believed() -> None:
    told = head("192.0.2.1", x_forwarded_for="10.1.1.1", x_forwarded_host="evil", x_forwarded_proto="https")
    assert believed(told, TRUSTED) == told
    assert believed(head("10.1.1.1", x_forwarded_host="evil"), ()).authority == "inside:9000"


def test_a_trusted_proxy_tells_client_host_and_scheme() -> None:
    told = head("10.1.1.1", x_forwarded_for="192.0.2.7", x_forwarded_host="s3.example.com", x_forwarded_proto="https")
    seen = believed(told, TRUSTED)
    assert (seen.peer, seen.authority, seen.header("host"), seen.secure) == (
        "192.0.2.7",
        "s3.example.com",
        "s3.example.com",
        True,
    )


@pytest.mark.parametrize(
    ("forwarded_for", "peer"),
    [
        ("", "10.1.1.1"),
        ("192.0.2.7", "192.0.2.7"),
        ("1.2.3.4, 192.0.2.7, 10.9.9.9", "192.0.2.7"),
        ("10.2.2.2, 10.3.3.3", "10.2.2.2"),
        ("192.0.2.7, nonsense", ""),
        ("unknown", ""),
        ("203.0.113.9:51234", "203.0.113.9"),
        ("[2001:db8::1]:5", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.7"),
    ],
)
def test_the_client_is_the_last_address_that_is_no_trusted_proxy(forwarded_for: str, peer: str) -> None:
    assert believed(head("10.1.1.1", x_forwarded_for=forwarded_for), TRUSTED).peer == peer


def test_only_the_nearest_proxys_word_counts() -> None:
    told = head("10.1.1.1", x_forwarded_host="evil, real", x_forwarded_proto="https, http")
    assert (believed(told, TRUSTED).authority, believed(told, TRUSTED).secure) == ("real", False)


def test_addresses_are_compared_as_what_they_are() -> None:
    assert is_within("::ffff:10.1.2.3", TRUSTED)
    assert is_within("fd12::1", TRUSTED)
    assert not is_within("10.1.2", TRUSTED)
    assert parse_address("nobody") is None
    assert parse_address(f"fe80::1%{'x' * 65_000}") is None
