"""Which URLs of strangers may be fetched: their syntax, and the addresses they may lead to. Pure; opens nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from gateway.errors import URL_NOT_ALLOWED, ApiError
from gateway.request import percent_encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAX_URL = 8192
_PORTS = {"http": 80, "https": 443}
# Nothing that one program takes for an end and another for a part: no blanks, controls, backslashes, quotes, brackets.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f\\"<>^`{|}\u2028\u2029]')
_URL = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]+)(?P<target>[^#]*)(?:#.*)?", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[1-9][0-9]{0,4}))?")
_NAME = re.compile(r"(?:(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\.)*(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\.?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")  # a last label that resolvers take for part of an IPv4 address
_KEPT_IN_TARGET = "/?:@!$&'()*+,;=%~-._[]"

# Source: IANA IPv4 and IPv6 Special-Purpose Address Registries. The last one is Azure's metadata service, in none of
# them. Only 2000::/3 is given out of IPv6, so the rest is refused whole.
_NOT_PUBLIC_V4 = tuple(
    IPv4Network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
        "168.63.129.16/32",
    )
)
_GIVEN_OUT_V6 = IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # Teredo, benchmarking, ORCHID and others of IETF's own
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address inside
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})  # RFC 5214: before an embedded IPv4 address


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """Which URLs that clients name are fetched, and how much of what is there; by default none is.

    An entry of `allow` is a network, an address or a host name, each with or without `:port` (`[v6]:port`). A network
    lifts every refusal for the addresses in it, also for those inside of NAT64 and the like; a host name (`.name`: all
    below it) may be fetched while `remote` is false, but only from public addresses.
    """

    remote: bool = False  # any public address, at the ports below
    ports: tuple[str, ...] = ("80", "443")  # that may be connected to where an entry of `allow` names none
    allow: tuple[str, ...] = ()  # networks, addresses and host names: docs/fetching.md
    max_redirects: int = 3  # each is judged like the first URL
    max_bytes: int = 100 * 1024 * 1024  # of one file
    timeout_s: float = 20.0  # from the first look-up to the last byte
    connect_timeout_s: float = 5.0  # until an address accepts a connection


@dataclass(frozen=True, slots=True)
class PlainUrl:
    """A URL that every program reads alike. `host` is lower-case, an address in its one usual spelling.

    `target` is path and query, percent-encoded. `literal` is the address that `host` is, None for a name.
    """

    scheme: str
    host: str
    port: int
    target: str
    literal: Address | None

    @property
    def text(self) -> str:
        """The URL as it is sent."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.target}"


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of the allow-list; port 0 is any."""

    host: str
    network: Network | None
    port: int


@dataclass(frozen=True, slots=True)
class FetchRules:
    """The settings, read once."""

    settings: FetchSettings
    entries: tuple[_Entry, ...]
    ports: frozenset[int]

    def check_name(self, url: PlainUrl) -> None:
        """Refuse a URL that no address could make acceptable, before anything is looked up. Raises URL_NOT_ALLOWED."""
        if self._public_at(url) or any(entry.network and entry.port in (0, url.port) for entry in self.entries):
            return
        raise refusal("neither remote hosts nor this one are allowed")

    def check_address(self, url: PlainUrl, address: Address) -> None:
        """Refuse an address, which the URL's host is or resolves to, unless it is permitted. Raises URL_NOT_ALLOWED."""
        for entry in self.entries:
            if entry.network is not None and address in entry.network and entry.port in (0, url.port):
                return
        if not is_public(address):
            raise refusal("an address that is not public")
        if not self._public_at(url):
            raise refusal("neither remote hosts nor this one are allowed")

    def _public_at(self, url: PlainUrl) -> bool:
        """Tell whether public addresses of this host may be asked at this port."""
        if self.settings.remote and url.port in self.ports:
            return True
        named = (entry for entry in self.entries if entry.network is None and _is_under(url.host, entry.host))
        return any(entry.port == url.port or (entry.port == 0 and url.port in self.ports) for entry in named)


def fetch_rules(settings: FetchSettings) -> FetchRules:
    """Read the settings. Raises ValueError with one sentence for an entry that is none."""
    ports = [_port(text) for text in settings.ports]
    return FetchRules(settings, tuple(_entry(text) for text in settings.allow), frozenset(ports))


def unreadable(settings: FetchSettings) -> Iterator[str]:
    """Say what is wrong with the settings."""
    try:
        fetch_rules(settings)
    except ValueError as error:
        yield f"fetch: {error}"


def refusal(detail: str) -> ApiError:
    """Return the one refusal for all forbidden addresses: its message tells nothing of the network behind."""
    return ApiError(URL_NOT_ALLOWED, detail)


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the open internet's, and holds no other address inside."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    if address not in _GIVEN_OUT_V6 or address.scope_id or (int(address) >> 32 & 0xFFFF_FFFF) in _ISATAP:
        return False
    return not any(address in network for network in _NOT_PUBLIC_V6)


def parse_url(text: str) -> PlainUrl:
    """Read a stranger's URL: http or https, a plain host, perhaps a port, no user. Raises URL_NOT_ALLOWED.

    An address must be in its usual spelling (no octal, hexadecimal, short or decimal form, no zone); a name is ASCII,
    an international one in its `xn--` form. In the target, blanks and what is not ASCII are percent-encoded.
    """
    if len(text) > _MAX_URL or _FORBIDDEN.search(text):
        raise refusal("too long, or characters that no URL has")
    found = _URL.fullmatch(text.strip(" "))
    authority = _AUTHORITY.fullmatch(found["authority"]) if found else None
    if found is None or authority is None:
        raise refusal("not a plain http or https URL")
    scheme = found["scheme"].lower()
    host, literal = _host(authority["v6"], authority["name"])
    port = int(authority["port"] or _PORTS[scheme])
    if port > 65_535:
        raise refusal("no such port")
    target = percent_encode(found["target"], safe=_KEPT_IN_TARGET)
    return PlainUrl(scheme, host, port, target if target.startswith("/") else f"/{target}", literal)


def follow(url: PlainUrl, location: str) -> PlainUrl:
    """Return where a redirect leads. Raises URL_NOT_ALLOWED, also for one from https back to http."""
    if _FORBIDDEN.search(location):
        raise refusal("a redirect to what is no URL")
    try:
        joined = urljoin(url.text, location)
    except ValueError:
        raise refusal("a redirect to what is no URL") from None
    led = parse_url(joined)
    if url.scheme == "https" and led.scheme == "http":
        raise refusal("a redirect from https to http")
    return led


def resolved(texts: Iterable[str]) -> tuple[Address, ...]:
    """Read what a resolver answered; an address with a zone stays what it is, and is not public."""
    return tuple(ip_address(text) for text in texts)


def _host(v6: str | None, name: str | None) -> tuple[str, Address | None]:
    if v6 is not None:
        try:
            address: Address = IPv6Address(v6)
        except ValueError:
            raise refusal("not an IPv6 address") from None
        return str(address), address
    text = (name or "").lower()
    if not _NAME.fullmatch(text) or len(text) > 253:
        raise refusal("not a host name")
    if not _NUMBER.fullmatch(text.rstrip(".").rpartition(".")[2]):
        return text.rstrip("."), None
    try:
        address = IPv4Address(text)
    except ValueError:
        raise refusal("not an IPv4 address in its usual form") from None
    return text, address


def _entry(text: str) -> _Entry:
    host, port = _split(text)
    try:
        return _Entry(host, ip_network(host), port)
    except ValueError:
        pass
    name = host.lower()
    if not _NAME.fullmatch(name.removeprefix(".")) or _NUMBER.fullmatch(name.rpartition(".")[2]):
        raise ValueError(f"{text!r} is neither a network nor an address nor a host name, with or without a port")
    return _Entry(name, None, port)


def _split(text: str) -> tuple[str, int]:
    """Split an entry into its host, without brackets, and its port (0: none). Raises ValueError."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r}: an address in brackets may be followed by :port only")
        return host, _port(rest[1:]) if rest else 0
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, _port(port)
    return text, 0


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65_535:
        raise ValueError(f"{text!r} is not a port")
    return int(text)


def _is_under(host: str, name: str) -> bool:
    return host.endswith(name) if name.startswith(".") else host == name
