"""The forms in which a client may have signed what a proxy then changed on its way here. Pure.

Knows what the configuration says of the way; must not know any scheme. Every form leads to the same bucket and key:
another form may explain a signature, never another address.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gateway.auth.base import Claim
    from gateway.request import RequestHead, Target


@dataclass(frozen=True, slots=True)
class PublicFace:
    """How clients see the gateway from the other side of its proxies; all empty: as it sees itself.

    `hosts` are public `host[:port]`s, `path_prefix` (`/s3`) is what a proxy takes off the path, `accept_encodings`
    are the values that clients sign and CDNs rewrite.
    """

    hosts: tuple[str, ...] = ()
    path_prefix: str = ""
    accept_encodings: tuple[str, ...] = ()


def candidates(
    head: RequestHead, claim: Claim, target: Target, face: PublicFace, locate: Callable[[RequestHead], Target]
) -> Iterable[RequestHead]:
    """Return the heads to verify, first as received; a public host only where it leads to the same bucket and key."""
    if not (face.hosts or face.path_prefix or face.accept_encodings):
        return (head,)
    return _candidates(head, claim, target, face, locate)


def _candidates(
    head: RequestHead, claim: Claim, target: Target, face: PublicFace, locate: Callable[[RequestHead], Target]
) -> Iterator[RequestHead]:
    hosts = [head.authority, *(host for host in face.hosts if locate(_with_host(head, host)).ref == target.ref)]
    prefixes = ["", *([face.path_prefix] if face.path_prefix else [])]
    encodings: list[str | None] = [None]
    if "accept-encoding" in claim.signed_headers:
        encodings += face.accept_encodings
    for host, prefix, encoding in product(hosts, prefixes, encodings):
        candidate = _with_host(head, host)  # the first is the head itself, with all that was parsed of it
        if prefix:
            candidate = replace(candidate, raw_path=prefix + head.raw_path)
        yield candidate if encoding is None else _with_header(candidate, "accept-encoding", encoding)


def difference(head: RequestHead, candidate: RequestHead) -> str:
    """Say for the log in which parts a candidate differs from the request as received; `""` when it does not."""
    if candidate is head:
        return ""
    parts = []
    if candidate.authority != head.authority:
        parts.append(f"host {candidate.authority}")
    if candidate.raw_path != head.raw_path:
        parts.append("the path prefix")
    if candidate.header("accept-encoding") != head.header("accept-encoding"):
        parts.append(f"accept-encoding {candidate.header('accept-encoding')}")
    return ", ".join(parts)


def _with_host(head: RequestHead, host: str) -> RequestHead:
    return head if host == head.authority else replace(_with_header(head, "host", host), authority=host)


def _with_header(head: RequestHead, name: str, value: str) -> RequestHead:
    others = tuple(pair for pair in head.headers if pair[0] != name)
    return replace(head, headers=(*others, (name, value)))
