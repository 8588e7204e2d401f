"""Signed URLs that have been proven: many fetch the same one, and the same text proves the same. Pure.

Knows on what of a request a signature can depend; must not know how any scheme signs. What changes with time - keys,
windows, tokens - is for `identify.again` to look at each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.auth import cloudfront

if TYPE_CHECKING:
    from gateway.auth.base import Claim, Payload, Scheme
    from gateway.credentials import Credential
    from gateway.request import Headers, RequestHead

_MOST = 1024
_WORTH_REMEMBERING = 4096  # characters of path and query
# No scheme looks at these headers unless the claim names them as signed; what is not named here counts.
_OVERLOOKED = frozenset(
    {
        *("accept", "accept-encoding", "accept-language", "cache-control", "connection", "dnt", "origin", "pragma"),
        *("if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range", "referer"),
        *("sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "traceparent", "tracestate", "user-agent", "via"),
        *("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"),
    }
)


@dataclass(frozen=True, slots=True)
class ProvenUrl:
    """What was found out about a signed URL; `raw_query` is what is left of its query without the claim."""

    scheme: Scheme
    claim: Claim
    credential: Credential
    payload: Payload
    raw_query: str
    overlooked: frozenset[str]
    looked_at: Headers


class ProvenUrls:
    """The signed URLs that were proven last, from the second time on: most are asked for once.

    What is remembered was true, so strangers cannot fill it.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str, str], ProvenUrl] = {}
        self._seen = [0] * _MOST  # hashes of those that were proven once

    def find(self, head: RequestHead) -> ProvenUrl | None:
        """Return what was found out about this very request, apart from headers on which no proof depends."""
        if not head.raw_query:
            return None
        found = self._found.get((head.method, head.raw_path, head.raw_query, head.authority))
        if found is None or found.looked_at != _without(head.headers, found.overlooked):
            return None
        return found

    def add(
        self, head: RequestHead, scheme: Scheme, claim: Claim, credential: Credential, payload: Payload, raw_query: str
    ) -> None:
        """Remember a URL that was proven, for the second time, as it was received, all of its parameters being covered.

        Not one whose claim stands elsewhere, nor CloudFront's, which may depend on where the client is.
        """
        too_long = len(head.raw_path) + len(head.raw_query) > _WORTH_REMEMBERING
        if too_long or not claim.in_query or claim.scheme == cloudfront.NAME:
            return
        key = (head.method, head.raw_path, head.raw_query, head.authority)
        hashed = hash(key)
        if self._seen[hashed % _MOST] != hashed:
            self._seen[hashed % _MOST] = hashed
            return
        if len(self._found) >= _MOST:
            del self._found[next(iter(self._found))]
        overlooked = _OVERLOOKED.difference(claim.signed_headers)
        looked_at = _without(head.headers, overlooked)
        self._found[key] = ProvenUrl(scheme, claim, credential, payload, raw_query, overlooked, looked_at)


def _without(headers: Headers, names: frozenset[str]) -> Headers:
    return tuple([pair for pair in headers if pair[0] not in names])
