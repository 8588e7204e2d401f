"""Signed URLs that have been proven: many fetch the same one, and the same text proves the same. Pure.

Knows on what of a request a signature can depend; must not know how any scheme signs. What changes with time - keys,
windows, tokens - is for `identify.again` to look at each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from gateway.auth import cloudfront

if TYPE_CHECKING:
    from gateway.auth.base import Claim, Payload, Scheme
    from gateway.auth.identify import Verified
    from gateway.credentials import Credential
    from gateway.request import Headers, RequestHead

_MOST = 1024
_SLOTS = 8 * _MOST
_WORTH_REMEMBERING = 4096  # characters of path, query and headers
# No scheme looks at these headers unless the claim names them as signed; what is not named here counts.
_OVERLOOKED = frozenset(
    {
        *("accept", "accept-encoding", "accept-language", "cache-control", "connection", "dnt", "origin", "pragma"),
        *("if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range", "referer"),
        *("sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site"),
        *("sec-fetch-user", "upgrade-insecure-requests", "priority", "user-agent", "traceparent", "tracestate", "via"),
        *("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "x-request-id"),
        *("cdn-loop", "cf-connecting-ip", "cf-ray", "x-amzn-trace-id", "x-cloud-trace-context"),
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

    Bounded, because whoever has one URL can write it in many ways.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str, str], ProvenUrl] = {}
        self._seen = [0] * _SLOTS  # hashes of those that were proven once

    def find(self, head: RequestHead) -> ProvenUrl | None:
        """Return what was found out about this very request, apart from headers on which no proof depends."""
        if not head.raw_query:
            return None
        found = self._found.get((head.method, head.raw_path, head.raw_query, head.authority))
        if found is None or found.looked_at != _without(head.headers, found.overlooked):
            return None
        return found

    def add(self, head: RequestHead, scheme: Scheme, verified: Verified, raw_query: str) -> None:
        """Remember a URL that was proven, for the second time, as it was received, all of its parameters being covered.

        Not one whose claim stands elsewhere, nor CloudFront's, which may depend on where the client is.
        """
        claim, credential = verified.claim, verified.credential
        if claim is None or credential is None or not claim.in_query or claim.scheme == cloudfront.NAME:
            return
        key = (head.method, head.raw_path, head.raw_query, head.authority)
        hashed = hash(key)
        if self._seen[hashed % _SLOTS] != hashed:
            self._seen[hashed % _SLOTS] = hashed
            return
        overlooked = _OVERLOOKED.difference(claim.signed_headers)
        looked_at = _without(head.headers, overlooked)
        if sum(map(len, (*key, *chain.from_iterable(looked_at)))) > _WORTH_REMEMBERING:
            return
        self._found.pop(key, None)
        if len(self._found) >= _MOST:
            del self._found[next(iter(self._found))]
        self._found[key] = ProvenUrl(scheme, claim, credential, verified.payload, raw_query, overlooked, looked_at)


def _without(headers: Headers, names: frozenset[str]) -> Headers:
    return tuple([pair for pair in headers if pair[0] not in names])
