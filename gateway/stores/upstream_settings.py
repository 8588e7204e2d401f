"""What an operator can say of a store, and what cannot be meant. Opens nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from gateway.credentials import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """One S3 store. Without `access_key` the AWS provider chain (environment, profile, role ...) supplies keys."""

    endpoint: str
    endpoints: tuple[str, ...] = ()  # further addresses of the same store, asked in turn and instead of one that fails
    region: str = "us-east-1"  # what requests to the store are signed for
    access_key: str = ""  # the one key that the gateway signs with
    secret: Secret = field(default_factory=lambda: Secret(""))
    addressing: Literal["path", "virtual"] = "path"  # where the bucket stands: in the path, or in the host name
    ca: str = ""  # PEM file of authorities that are trusted for https instead of the system's
    verify: bool = True  # False believes any certificate, and so anybody on the way
    connect_timeout_s: float = 5.0  # until the store accepts a connection
    response_timeout_s: float = 30.0  # until the head of an answer, for requests without a body
    idle_timeout_s: float = 60.0  # longest silence of the store inside a request; 0: any
    breaker_failures: int = 5  # an address that failed so many requests in a row is left alone; 0: never
    breaker_pause_s: float = 2.0  # between two requests that try an address which is left alone
    retry_share: float = 0.1  # second tries, at another address, as a share of all requests; 0: there are none


def upstream_contradictions(upstreams: Mapping[str, UpstreamSettings]) -> Iterator[str]:
    """Yield each mistake, with its setting's name."""
    for name, upstream in upstreams.items():
        endpoints = (upstream.endpoint, *upstream.endpoints)
        if not all(each.startswith(("http://", "https://")) for each in endpoints):
            yield f"upstream.{name}.endpoint, endpoints: must start with http:// or https://"
        elif not all(map(_is_address, endpoints)):
            yield (
                f"upstream.{name}.endpoint, endpoints: must be a scheme and a host, with a port or a path if need be, "
                "and with neither user nor query"
            )
        if bool(upstream.access_key) != bool(upstream.secret.reveal()):
            yield f"upstream.{name}: access_key and secret are needed together (or neither, for the provider chain)"
        for limit in ("connect_timeout_s", "response_timeout_s"):
            if not getattr(upstream, limit):
                yield f"upstream.{name}.{limit}: must not be 0"
        if upstream.breaker_failures and not upstream.breaker_pause_s:
            yield f"upstream.{name}.breaker_pause_s: must not be 0 (breaker_failures = 0 switches the breaker off)"
        if upstream.retry_share > 1:
            yield f"upstream.{name}.retry_share: must not be more than 1"


def _is_address(url: str) -> bool:
    """Tell whether requests can go there: a host that can be one, a port of 1 to 65535, the beginning of a path."""
    try:
        parts = urlsplit(url)
        is_place = bool((parts.hostname or "").encode("idna")) and parts.port != 0
    except ValueError:  # of a bracket, of a port, of a host too long to ask anybody for
        return False
    return is_place and "@" not in parts.netloc and url.isascii() and url.isprintable() and not {*url} & {*" ?#\\"}
