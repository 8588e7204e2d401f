"""Header names and values of OSS and COS against those of S3, as data. Must not know methods, queries or bodies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.errors import NOT_IMPLEMENTED, ApiError
from gateway.request import HOP_BY_HOP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.request import Headers

_S3 = "x-amz-"
# Other people's words: they mean nothing to the reader of a translation, or worse, something nobody signed.
_FOREIGN = (_S3, "x-oss-", "x-cos-", "x-minio-", "x-rgw-")
# The gateway makes these anew for the store, or verification has used them up.
_CONSUMED = frozenset(
    {
        "authorization",
        "content-length",
        "expect",
        "host",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token",
    }
)
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
    copy_source_has_host: bool  # `bucket.host/key` instead of `/bucket/key`


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
    refused=frozenset(),
    copy_source_has_host=False,
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
    copy_source_has_host=True,
)


def end_to_end(headers: Headers) -> Headers:
    """Keep the request headers that go on to the store: neither about this connection nor used up by verification."""
    named = {token.strip().lower() for name, value in headers if name == "connection" for token in value.split(",")}
    dropped = HOP_BY_HOP | _CONSUMED | named
    return tuple((name, value) for name, value in headers if name not in dropped)


def to_store(vendor: HeaderMap, headers: Headers) -> Headers:
    """Translate a vendor's request headers to S3's; empty ones and those without a counterpart are left out.

    S3's own headers in such a request are left out too: the vendor's signature does not cover them. Raises
    NOT_IMPLEMENTED for a value that S3 cannot express and for a header that may not get lost.
    """
    translated: list[tuple[str, str]] = []
    for name, value in end_to_end(headers):
        if name in vendor.refused:
            raise ApiError(NOT_IMPLEMENTED, f"header {name}", message=f"The header {name} is not supported.")
        if name.startswith(vendor.prefix):
            translated += _request_header(vendor, name, value.strip())
        elif value.strip() and not name.startswith(_FOREIGN):
            translated.append((name, value))
    return _without_overwriting(vendor, headers, tuple(translated))


def _request_header(vendor: HeaderMap, name: str, value: str) -> Headers:
    own = name.removeprefix(vendor.prefix)
    own = vendor.aliases.get(own, own)
    if not value or not (own.startswith(_META) or own in _REQUEST):
        return ()
    if own == "copy-source":
        return ((_S3 + own, _copy_source(vendor, value)),)
    values = vendor.request_values.get(_S3 + own)
    if values is None:
        return ((_S3 + own, value),)
    if value.lower() not in values:
        raise ApiError(
            NOT_IMPLEMENTED, f"{name}: {value}", message=f"This value of the header {name} is not supported."
        )
    known = values[value.lower()]
    return ((_S3 + own, known),) if known else ()


def _copy_source(vendor: HeaderMap, value: str) -> str:
    if not vendor.copy_source_has_host:
        return value
    host, slash, key = value.partition("/")
    return f"{host.partition('.')[0]}{slash}{key}"


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
