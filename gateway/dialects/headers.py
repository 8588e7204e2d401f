"""Header names and values of OSS and COS against those of S3, as data. Must not know methods, queries or bodies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.dialects.extensions import is_extension
from gateway.errors import INVALID_ARGUMENT, INVALID_REQUEST, NOT_IMPLEMENTED, ApiError
from gateway.request import HOP_BY_HOP, split_port

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.request import Headers

_S3 = "x-amz-"
# Other people's words: they mean nothing to the reader of a translation, or worse, something nobody signed.
_FOREIGN = (_S3, "x-oss-", "x-cos-", "x-minio-", "x-rgw-")
# Headers that change what a request asks for or proves. `Connection` has no say over them: it is never signed, so it
# would take a signed condition or encryption out of somebody else's request.
_MEANT_FOR_THE_STORE = (
    *("x-amz-", "x-oss-", "x-cos-", "content-", "if-", "accept", "authorization", "cache-control", "cookie", "date"),
    *("expect", "expires", "host", "origin", "pic-operations", "range", "referer", "user-agent"),
)
# The gateway makes these anew for the store, or verification has used them up.
_CONSUMED = frozenset(
    {
        "authorization",
        "content-length",
        "cookie",  # no store's business, and CloudFront's are a bearer's credentials
        "expect",
        "host",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token",
    }
)
_STAYS_BEHIND = HOP_BY_HOP | _CONSUMED
# What follows the prefix, the same in all three languages.
_REQUEST = frozenset(
    {
        "acl",
        "copy-source",
        "copy-source-if-match",
        "copy-source-if-modified-since",
        "copy-source-if-none-match",
        "copy-source-if-unmodified-since",
        "copy-source-range",
        "metadata-directive",
        "server-side-encryption",
        "server-side-encryption-customer-algorithm",
        "server-side-encryption-customer-key",
        "server-side-encryption-customer-key-md5",
        "storage-class",
        "tagging",
        "tagging-directive",
    }
)
_ANSWER = frozenset(
    {
        "copy-source-version-id",
        "delete-marker",
        "expiration",
        "restore",
        "server-side-encryption",
        "server-side-encryption-customer-algorithm",
        "server-side-encryption-customer-key-md5",
        "storage-class",
        "tagging-count",
        "version-id",
    }
)
_META = "meta-"
_DIRECTIVE = {"copy": "COPY", "replace": "REPLACE", "replaced": "REPLACE"}
_CANNED_ACL = {name: name for name in ("private", "public-read", "public-read-write")}


@dataclass(frozen=True, slots=True)
class HeaderMap:
    """One vendor's headers against S3's.

    `aliases`: request names (after the prefix) that S3 spells otherwise. `request_values`: per S3 name, the vendor's
    value in lower case to S3's; `""` leaves the header out, a value that is missing is refused. `answer_values`: per
    S3 name, S3's value to the vendor's; `""` leaves the header out, a value that is missing passes as it is.
    """

    prefix: str
    aliases: Mapping[str, str]
    request_values: Mapping[str, Mapping[str, str]]
    answer_values: Mapping[str, Mapping[str, str]]
    refused: frozenset[str]  # request headers whose loss would silently lose what the client asked for
    # For `bucket.host/key` instead of `/bucket/key`: the vendor's own hosts, the bucket as first group.
    copy_source_host: re.Pattern[str] | None


OSS = HeaderMap(
    prefix="x-oss-",
    aliases={"object-acl": "acl"},
    request_values={
        "x-amz-acl": {**_CANNED_ACL, "default": ""},
        "x-amz-metadata-directive": _DIRECTIVE,
        "x-amz-server-side-encryption": {"aes256": "AES256"},
        "x-amz-storage-class": {
            "standard": "STANDARD",
            "ia": "STANDARD_IA",
            "archive": "GLACIER",
            "coldarchive": "DEEP_ARCHIVE",
            "deepcoldarchive": "DEEP_ARCHIVE",
        },
        "x-amz-tagging-directive": _DIRECTIVE,
    },
    answer_values={
        "x-amz-server-side-encryption": {"aws:kms": "KMS"},
        "x-amz-storage-class": {
            "": "Standard",
            "STANDARD": "Standard",
            "REDUCED_REDUNDANCY": "Standard",
            "INTELLIGENT_TIERING": "Standard",
            "STANDARD_IA": "IA",
            "ONEZONE_IA": "IA",
            "GLACIER_IR": "Archive",
            "GLACIER": "Archive",
            "DEEP_ARCHIVE": "ColdArchive",
        },
    },
    refused=frozenset({"x-oss-callback", "x-oss-complete-all"}),
    copy_source_host=None,
)
COS = HeaderMap(
    prefix="x-cos-",
    aliases={},
    request_values={
        "x-amz-acl": {**_CANNED_ACL, "default": "", "authenticated-read": "authenticated-read"},
        "x-amz-metadata-directive": _DIRECTIVE,
        "x-amz-server-side-encryption": {"aes256": "AES256"},
        "x-amz-storage-class": {
            "standard": "STANDARD",
            "standard_ia": "STANDARD_IA",
            "intelligent_tiering": "INTELLIGENT_TIERING",
            "archive": "GLACIER",
            "deep_archive": "DEEP_ARCHIVE",
        },
        "x-amz-tagging-directive": _DIRECTIVE,
    },
    answer_values={
        "x-amz-server-side-encryption": {"aws:kms": "cos/kms"},
        "x-amz-storage-class": {
            "STANDARD": "",
            "REDUCED_REDUNDANCY": "",
            "ONEZONE_IA": "STANDARD_IA",
            "GLACIER_IR": "ARCHIVE",
            "GLACIER": "ARCHIVE",
        },
    },
    refused=frozenset({"pic-operations"}),
    # A bucket's name holds no dot there, so that the first label is the whole of it.
    copy_source_host=re.compile(r"([a-z0-9-]+)\.cos(?:-internal)?\.[a-z0-9-]+\.(?:myqcloud\.com|tencentcos\.cn)"),
)


def end_to_end(headers: Headers) -> Headers:
    """Keep the request headers that go on to the store.

    Those about this connection, those that verification used up and those that ask a store for more than S3 stay
    behind. Raises INVALID_REQUEST when `Connection` names a header that is meant for the store.
    """
    named = _named_by_connection(headers)
    dropped = _STAYS_BEHIND | named if named else _STAYS_BEHIND
    return tuple([pair for pair in headers if pair[0] not in dropped and not is_extension(pair[0])])


def _named_by_connection(headers: Headers) -> frozenset[str]:
    values = [value for name, value in headers if name == "connection"]
    if not values:
        return frozenset()
    named = frozenset(token.strip().lower() for value in values for token in value.split(","))
    for name in sorted(named):
        if name.startswith(_MEANT_FOR_THE_STORE):
            raise ApiError(INVALID_REQUEST, f"connection: {name}", message=f"Connection may not name {name}.")
    return named


def to_store(vendor: HeaderMap, headers: Headers, suffix: str = "") -> Headers:
    """Translate a vendor's request headers to S3's; empty ones and those without a counterpart are left out.

    S3's own headers in such a request are left out too: the vendor's signature does not cover them. `suffix` is what
    follows the bucket in the request's own host, `""` where the host does not name it. Raises NOT_IMPLEMENTED for a
    value that S3 cannot express and for a header that may not get lost, INVALID_ARGUMENT for a copy source that does
    not name its bucket for certain.
    """
    translated: list[tuple[str, str]] = []
    for name, value in end_to_end(headers):
        if name in vendor.refused:
            raise ApiError(NOT_IMPLEMENTED, f"header {name}", message=f"The header {name} is not supported.")
        if name.startswith(vendor.prefix):
            translated += _request_header(vendor, name, value.strip(), suffix)
        elif value.strip() and not name.startswith(_FOREIGN):
            translated.append((name, value))
    return _without_overwriting(vendor, headers, tuple(translated))


def _request_header(vendor: HeaderMap, name: str, value: str, suffix: str) -> Headers:
    own = name.removeprefix(vendor.prefix)
    own = vendor.aliases.get(own, own)
    if not value or not (own.startswith(_META) or own in _REQUEST):
        return ()
    if own == "copy-source":
        known_hosts = vendor.copy_source_host
        return ((_S3 + own, _copy_source(value, known_hosts, suffix) if known_hosts else value),)
    values = vendor.request_values.get(_S3 + own)
    if values is None:
        return ((_S3 + own, value),)
    if value.lower() not in values:
        raise ApiError(
            NOT_IMPLEMENTED, f"{name}: {value}", message=f"This value of the header {name} is not supported."
        )
    known = values[value.lower()]
    return ((_S3 + own, known),) if known else ()


def _copy_source(value: str, known_hosts: re.Pattern[str], suffix: str) -> str:
    """Return `bucket/key` for `bucket.host/key`, where the host is the request's own or one of the vendor's.

    Under any other host it would be a guess where the bucket's name ends. Raises INVALID_ARGUMENT.
    """
    authority, _, key = value.partition("/")
    host = split_port(authority)[0].lower()
    own = re.fullmatch(rf"([a-z0-9.-]+)\.{re.escape(suffix)}", host) if suffix else None
    match = own or known_hosts.fullmatch(host)
    if match is None or not key:
        message = "The copy source must be bucket.host/key, with a host of this service."
        raise ApiError(INVALID_ARGUMENT, f"copy source at {host}", message=message)
    return f"{match[1]}/{key}"


def _without_overwriting(vendor: HeaderMap, headers: Headers, translated: Headers) -> Headers:
    wish = (f"{vendor.prefix}forbid-overwrite", "true")
    if wish not in ((name, value.strip().lower()) for name, value in headers):
        return translated
    return (*((name, value) for name, value in translated if name != "if-none-match"), ("if-none-match", "*"))


def to_client(vendor: HeaderMap, headers: Headers) -> Headers:
    """Translate a store's answer headers to the vendor's; the store's own ones without a counterpart are left out."""
    translated: list[tuple[str, str]] = []
    for name, value in headers:
        lower = name.lower()
        if lower.startswith(_S3):
            translated += _answer_header(vendor, lower, value)
        elif not lower.startswith(_FOREIGN):
            translated.append((name, value))
    return tuple(translated)


def _answer_header(vendor: HeaderMap, name: str, value: str) -> Headers:
    own = name.removeprefix(_S3)
    if not (own.startswith(_META) or own in _ANSWER):
        return ()
    theirs = vendor.answer_values.get(name, {}).get(value, value)
    return ((vendor.prefix + own, theirs),) if theirs else ()


def storage_class(vendor: HeaderMap, value: str) -> str:
    """Return the vendor's name of S3's storage class (`""`: not told, thus standard); `""` when it is not sent."""
    return vendor.answer_values["x-amz-storage-class"].get(value, value)
