"""A form upload as the PUT that it stands for, and the answer to it. Knows S3's, OSS's and COS's fields; no policies.

Sources: Amazon S3 API Reference, "POST Object"; OSS documentation, "PostObject"; COS documentation, "POST Object". All
three have the same fields but for the prefix of their own ones.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit, urlunsplit

from gateway.dialects.base import Rendered
from gateway.dialects.xml import DECLARATION, XmlError, XmlLimits, parse, write
from gateway.errors import INVALID_ARGUMENT, NOT_IMPLEMENTED, ApiError
from gateway.request import ObjectRef, RequestHead, Target, percent_encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.request import Headers

    Fields = Mapping[str, str]  # a form's fields by lower-case name

# What a header's name may be made of: RFC 9110 section 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_PREFIX = {"s3": "x-amz-", "oss": "x-oss-", "cos": "x-cos-"}
_ENTITY = ("cache-control", "content-disposition", "content-encoding", "content-language", "content-md5", "expires")
# What follows the vendor's prefix: what becomes a header of the PUT, what S3 alone has, and what is used up already.
_KEPT = ("acl", "forbid-overwrite", "object-acl", "storage-class", "tagging")
_KEPT_GROUPS = ("meta-", "server-side-encryption")
_KEPT_GROUPS_OF_S3 = ("checksum-", "grant-", "object-lock-", "website-redirect-location")
_USED_UP = ("algorithm", "content-type", "credential", "date", "security-token", "signature", "signature-version")
_HARMLESS = ("traffic-limit",)
_TAGGING_LIMITS = XmlLimits(max_bytes=16 * 1024, max_depth=5, max_elements=64)
_NOT_RELAYED = frozenset({"content-length", "content-type", "location"})


def as_put(
    dialect: str, fields: Fields, file_type: str, head: RequestHead, target: Target
) -> tuple[RequestHead, Target]:
    """Return the PUT, without a body, that the form stands for, and its target.

    `file_type` is the media type of the file's part. Raises INVALID_ARGUMENT for a form without a key or with a value
    that no header can hold, NOT_IMPLEMENTED for a field of the vendor's that is not known here.
    """
    key = _key(fields)
    raw_key = percent_encode(key, safe="/")
    path = f"/{raw_key}" if target.addressed != "path" else f"/{percent_encode(target.ref.bucket)}/{raw_key}"
    headers = (("host", head.authority), *_headers(dialect, fields, file_type))
    put = RequestHead("PUT", path, "", head.authority, headers, head.peer, head.secure)
    return put, Target(ObjectRef(target.ref.bucket, key), raw_key, target.addressed)


def _key(fields: Fields) -> str:
    if "key" not in fields:
        message = (
            "Bucket POST must contain a field named 'key'. If it is specified, please check the order of the fields."
        )
        raise ApiError(INVALID_ARGUMENT, "no key", message=message)
    if not fields["key"]:
        raise ApiError(INVALID_ARGUMENT, "empty key", message="User key must have a length greater than 0.")
    return fields["key"]


def _headers(dialect: str, fields: Fields, file_type: str) -> Headers:
    """Return the headers of the PUT, each of them once."""
    found: dict[str, str] = {}
    for name, value in _named(dialect, fields, file_type):
        text = value.strip(" \t")
        if not _TOKEN.fullmatch(name):
            raise ApiError(INVALID_ARGUMENT, "no header name", message="A form field's name cannot be a header's name.")
        if name in found:
            raise ApiError(INVALID_ARGUMENT, f"{name} twice", message=f"The form says {name} in two fields.")
        if any(ord(character) < 32 or ord(character) == 127 for character in text):
            raise ApiError(INVALID_ARGUMENT, name, message=f"The form field for {name} holds a control character.")
        if text:
            found[name] = text
    return tuple(found.items())


def _named(dialect: str, fields: Fields, file_type: str) -> Iterator[tuple[str, str]]:
    if dialect == "oss" and "callback" in fields:
        raise ApiError(NOT_IMPLEMENTED, "callback", message="Callbacks after an upload are not supported.")
    prefix = _PREFIX[dialect]
    yield "content-type", media_type(dialect, fields, file_type)
    for name, value in fields.items():
        if name in _ENTITY:
            yield name, value
        elif name == "acl":
            yield f"{prefix}acl", value
        elif name == "tagging" and dialect == "s3":
            yield f"{prefix}tagging", _tags(value)
        elif name.startswith(prefix) and _is_kept(dialect, name.removeprefix(prefix)):
            yield name, value


def _is_kept(dialect: str, own: str) -> bool:
    """Tell whether a vendor's field goes on as a header. Raises NOT_IMPLEMENTED when nobody here knows it."""
    groups = (*_KEPT_GROUPS, *_KEPT_GROUPS_OF_S3) if dialect == "s3" else _KEPT_GROUPS
    if own in _KEPT or own.startswith(groups):
        return True
    if own in _USED_UP or own in _HARMLESS:
        return False
    message = f"The form field {_PREFIX[dialect]}{own} is not supported."
    raise ApiError(NOT_IMPLEMENTED, f"field {own}", message=message)


def media_type(dialect: str, fields: Fields, file_type: str) -> str:
    """Return the object's media type: OSS alone believes the file's part, and has a field that is stronger."""
    own = (fields.get("x-oss-content-type"), file_type) if dialect == "oss" else ()
    return next((text for text in (*own, fields.get("content-type")) if text), "")


def _tags(document: str) -> str:
    """Turn S3's Tagging document into the header's `key=value&...`. Raises INVALID_ARGUMENT."""
    try:
        root = parse(document.encode("utf-8"), _TAGGING_LIMITS)
    except XmlError as error:
        raise ApiError(INVALID_ARGUMENT, message=f"The field tagging is not valid: {error}.") from None
    sets = [child for child in root.children if child.name == "TagSet"]
    tags = [child for child in sets[0].children if child.name == "Tag"] if len(sets) == 1 else []
    if root.name != "Tagging" or not tags:
        raise ApiError(INVALID_ARGUMENT, message="The field tagging is not valid: it must be a Tagging document.")
    return urlencode([(tag.child_text("Key"), tag.child_text("Value")) for tag in tags])


# The answer


def render_success(fields: Fields, ref: ObjectRef, location: str, headers: Headers) -> Rendered:
    """Render the answer that the form asked for: a redirect, 200, 201 with a document, or 204.

    `headers` are those of the store's answer that go on, in the vendor's words; `location` is the object's URL. A wish
    that cannot be met counts as none.
    """
    relayed = tuple((name, value) for name, value in headers if name.lower() not in _NOT_RELAYED)
    etag = next((value for name, value in headers if name.lower() == "etag"), "")
    redirect = _redirect(fields.get("success_action_redirect") or fields.get("redirect", ""), ref, etag)
    if redirect:
        return Rendered(303, (*relayed, ("Location", redirect)), b"")
    told = (*relayed, ("Location", location))
    match fields.get("success_action_status"):
        case "200":
            return Rendered(200, told, b"")
        case "201":
            rows = (("Location", location), ("Bucket", ref.bucket), ("Key", ref.key), ("ETag", etag))
            document = DECLARATION + write(("PostResponse", rows))
            return Rendered(201, (*told, ("Content-Type", "application/xml")), document)
        case _:
            return Rendered(204, told, b"")


def _redirect(text: str, ref: ObjectRef, etag: str) -> str:
    """Return the URL with the result in its query, `""` for anything but an absolute http or https URL."""
    try:
        url = urlsplit(text)
    except ValueError:
        return ""
    is_plain = text.isascii() and text.isprintable() and " " not in text
    if not is_plain or url.scheme not in ("http", "https") or not url.netloc:
        return ""
    result = "&".join(
        f"{name}={percent_encode(value)}" for name, value in (("bucket", ref.bucket), ("key", ref.key), ("etag", etag))
    )
    return urlunsplit(url._replace(query=f"{url.query}&{result}" if url.query else result))


def location(head: RequestHead) -> str:
    """Return the URL of the object that a PUT writes."""
    return f"{'https' if head.secure else 'http'}://{head.authority}{head.raw_path}"
