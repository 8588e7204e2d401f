"""What clients must not see: the keys below which the gateway keeps parts of uploads. Pure; knows S3's listings.

A listing meets the hidden keys as one unbroken stretch, since they share a prefix. So a page that breaks off inside of
it needs one more question to the store, and no more than one: for what comes behind the stretch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from gateway.errors import ACCESS_DENIED, ApiError
from gateway.request import copy_source, parse_query, percent_encode

if TYPE_CHECKING:
    from gateway.dialects.base import StoreRequest
    from gateway.request import Headers, ObjectRef

HIDDEN = ".gateway-parts/"
_BEHIND = f"{HIDDEN}~"  # every hidden key goes on with a hexadecimal digit, so this sorts behind all of them
_HIDDEN = HIDDEN.encode()
_MAX_KEYS = 1000
_ROW = re.compile(rb"<(Contents|Version|DeleteMarker|CommonPrefixes)>.*?</\1>", re.DOTALL)
_KEY = re.compile(rb"<(?:Key|Prefix)>(.*?)</(?:Key|Prefix)>", re.DOTALL)
# How a listing of each kind says where to begin, and what must go because it says the same.
_BEGINS = {"2": "start-after", "": "marker", "versions": "key-marker"}
_REPLACED = frozenset({"max-keys", "continuation-token", "version-id-marker", *_BEGINS.values()})
# What the end of a page says: where it came from the page behind the stretch, it holds for both.
_ENDS = ("IsTruncated", "NextMarker", "NextContinuationToken", "NextKeyMarker", "NextVersionIdMarker")


@dataclass(frozen=True, slots=True)
class MultipartSettings:
    """How uploads in parts too small for S3 are taken, and how long what nobody completes is kept."""

    small_parts: bool = True  # OSS and COS clients may upload parts under 5 MiB: ADR 10
    max_age_s: float = 7 * 24 * 3600.0  # an upload's hidden parts go so long after the last of them came; 0: never


@dataclass(frozen=True, slots=True)
class Page:
    """A listing as clients may see it; `more` says that it ends inside of the hidden keys and goes on behind them."""

    document: bytes
    more: bool


def is_hidden(key: str) -> bool:
    """Tell whether a key (decoded) is the gateway's own, also for a store that overlooks slashes before it (MinIO)."""
    return key.lstrip("/").startswith(HIDDEN)


def refuse_hidden(ref: ObjectRef) -> None:
    """Raise ACCESS_DENIED for an object that only the gateway itself may touch."""
    if is_hidden(ref.key):
        raise ApiError(ACCESS_DENIED, "a hidden key", message=f"Keys that begin with {HIDDEN} are reserved.")


def refuse_hidden_source(headers: Headers) -> None:
    """Raise ACCESS_DENIED for a copy (x-amz-copy-source) out of what only the gateway may read."""
    if copied := copy_source(headers):
        refuse_hidden(copied.ref)


def visible(document: bytes) -> Page:
    """Take the hidden keys out of a store's listing of objects or of versions (S3's XML as it came).

    A page without any comes back as it was, to the byte.
    """
    rows = _ROW.finditer(document) if b"gateway" in document else ()  # no encoding touches its letters
    encoded = _text(document, "EncodingType") == b"url"
    names = [_key(row[0], encoded=encoded) for row in rows]
    if not any(name.startswith(_HIDDEN) for name in names):
        return Page(document, more=False)
    # Common prefixes come behind the keys that they lie among: what a page ends with is its greatest one.
    more = _text(document, "IsTruncated") == b"true" and max(names).startswith(_HIDDEN)
    kept = _ROW.sub(lambda row: b"" if _key(row[0], encoded=encoded).startswith(_HIDDEN) else row[0], document)
    return Page(_counted(kept), more)


def _key(row: bytes, *, encoded: bool) -> bytes:
    found = _KEY.search(row)
    text = unescape((found[1] if found else b"").decode("utf-8", "surrogateescape"))
    raw = text.encode("utf-8", "surrogateescape")
    return unquote_to_bytes(raw) if encoded else raw


def behind(request: StoreRequest, page: Page) -> StoreRequest:
    """Return the request for what a listing's page lacks, from behind the hidden keys on."""
    parameters = parse_query(request.raw_query)
    asked = {parameter.name: parameter.value for parameter in parameters}
    kind = "versions" if "versions" in asked else asked.get("list-type", "")
    text = asked.get("max-keys", "")
    wanted = min(int(text), _MAX_KEYS) if text.isdecimal() else _MAX_KEYS
    rest = max(1, wanted - len(_ROW.findall(page.document)))
    kept = [parameter.raw for parameter in parameters if parameter.name not in _REPLACED]
    begin = f"{_BEGINS.get(kind, 'marker')}={percent_encode(_BEHIND)}"
    return replace(request, raw_query="&".join([*kept, begin, f"max-keys={rest}"]))


def joined(page: Page, rest: bytes) -> bytes:
    """Return one listing of two pages: all rows of both, and the end of the second (what `behind` asked for)."""
    following = visible(rest).document
    rows = b"".join(row[0] for row in _ROW.finditer(following))
    document = page.document
    for name in _ENDS:
        document = re.sub(rb"<%b>.*?</%b>|<%b ?/>" % ((name.encode(),) * 3), b"", document, flags=re.DOTALL)
    ends = b"".join(_element(following, name) for name in _ENDS)
    head, close, tail = document.rpartition(b"</")
    return _counted(head + rows + ends + close + tail)


def _counted(document: bytes) -> bytes:
    """Let KeyCount (ListObjectsV2) say how many rows there are."""
    count = len(_ROW.findall(document))
    return re.sub(rb"<KeyCount>\d+</KeyCount>", b"<KeyCount>%d</KeyCount>" % count, document)


def _text(document: bytes, name: str) -> bytes:
    found = re.search(rb"<%b>\s*(.*?)\s*</" % name.encode(), document, re.DOTALL)
    return found[1] if found else b""


def _element(document: bytes, name: str) -> bytes:
    found = re.search(rb"<%b>.*?</%b>" % ((name.encode(),) * 2), document, re.DOTALL)
    return found[0] if found else b""
