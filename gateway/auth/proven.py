"""Signed URLs that have been proven: many fetch the same one, and the same text proves the same. Pure.

Knows on what of a request a signature can depend; must not know how any scheme signs. What changes with time - keys,
windows, tokens - is for `identify.again` to look at each time. Settings are part of nothing here: new ones begin with
nothing remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from gateway.auth import cloudfront
from gateway.request import RequestHead

if TYPE_CHECKING:
    from gateway.auth.base import Claim, Payload, Scheme
    from gateway.auth.identify import Verified
    from gateway.credentials import Credential
    from gateway.request import Headers, Target

_MOST = 1024
_SLOTS = 8 * _MOST
_ADMITTED_EACH = 16  # of the newcomers, while all places are taken
_WORTH_REMEMBERING = 4096  # characters of path, query and headers
_MOST_PARAMETERS = 16  # beside the claim: each is kept taken apart
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
    """What a signed URL has proven; of `asked`, the request without its claim, headers and client, the query counts."""

    claim: Claim
    credential: Credential
    payload: Payload
    asked: RequestHead


class Shown(NamedTuple):
    """What a head shows before anybody is believed: claims of which schemes, in which dialect, and of what.

    For the same URL with the same headers, apart from those that are overlooked, it is the same under the same
    settings; `proven` is what that URL has proven before.
    """

    schemes: tuple[Scheme, ...]
    scheme_names: tuple[str, ...]
    dialect: str  # its name
    target: Target
    proven: ProvenUrl | None = None


class _Remembered(NamedTuple):
    overlooked: frozenset[str]
    looked_at: Headers
    shown: Shown


class ProvenUrls:
    """Signed URLs that were proven, from the second time on: most are asked for once.

    Bounded, because whoever has one URL can write it in many ways. While all places are taken most newcomers are not
    let in: of more URLs in turn than there are places as many stay as there are, and none would if each went in.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str, str], _Remembered] = {}
        self._seen = [0] * _SLOTS  # hashes of those that were proven once
        self._newcomers = 0  # while all places were taken

    def find(self, head: RequestHead) -> Shown | None:
        """Return what was found out about this very request, apart from headers on which none of it depends."""
        if not head.raw_query:
            return None
        found = self._found.get((head.method, head.raw_path, head.raw_query, head.authority))
        if found is None or found.looked_at != _without(head.headers, found.overlooked):
            return None
        return found.shown

    def add(self, head: RequestHead, shown: Shown, verified: Verified, stripped: RequestHead) -> None:
        """Remember a URL that was proven, for the second time, as it was received, all of its parameters being covered.

        `stripped` is the head without the claim. Not one whose claim stands elsewhere, nor CloudFront's, which may
        depend on where the client is.
        """
        claim, credential = verified.claim, verified.credential
        if claim is None or credential is None or not claim.in_query or claim.scheme == cloudfront.NAME:
            return
        key = (head.method, head.raw_path, head.raw_query, head.authority)
        hashed = hash(key)
        if self._seen[hashed % _SLOTS] != hashed:
            self._seen[hashed % _SLOTS] = hashed
            return
        if len(self._found) >= _MOST and key not in self._found:
            self._newcomers += 1
            if self._newcomers % _ADMITTED_EACH:
                return
        signs_more = not _OVERLOOKED.isdisjoint(claim.signed_headers)
        overlooked = _OVERLOOKED.difference(claim.signed_headers) if signs_more else _OVERLOOKED  # one for them all
        looked_at = _without(head.headers, overlooked)
        if sum(map(len, (*key, *chain.from_iterable(looked_at)))) > _WORTH_REMEMBERING:
            return
        if len(stripped.parameters) > _MOST_PARAMETERS:
            return
        self._found.pop(key, None)
        if len(self._found) >= _MOST:
            del self._found[next(iter(self._found))]
        asked = RequestHead(head.method, head.raw_path, stripped.raw_query, head.authority, ())
        proven = ProvenUrl(claim, credential, verified.payload, asked)
        self._found[key] = _Remembered(overlooked, looked_at, shown._replace(proven=proven))


def _without(headers: Headers, names: frozenset[str]) -> Headers:
    return tuple([pair for pair in headers if pair[0] not in names])
