"""What the XML bodies of OSS and COS requests become for the store. Must not know headers, rights or journeys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gateway.dialects.xml import DECLARATION, Element, XmlError, XmlLimits, parse, write
from gateway.errors import INVALID_ARGUMENT, MALFORMED_XML, ApiError

if TYPE_CHECKING:
    from gateway.dialects.xml import Node

MAX_KEYS = 1000  # of one batch delete, at all three vendors
MAX_PARTS = 10_000  # of one upload, at all three vendors
_NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_LIMITS = XmlLimits()
_PART_NUMBER = re.compile(r"0*[1-9][0-9]{0,4}")


def delete_objects(body: bytes) -> bytes:
    """Return S3's Delete for a vendor's one. Raises MALFORMED_XML, also for no keys or more than 1,000 of them."""
    root = _parsed(body, "Delete")
    rows = [child for child in root.children if child.name == "Object"]
    if not 1 <= len(rows) <= MAX_KEYS:
        raise _malformed(f"a Delete names 1 to {MAX_KEYS} objects")
    quiet: list[Node] = [("Quiet", "true")] if root.child_text("Quiet").lower() == "true" else []
    objects: list[Node] = [("Object", _named(row)) for row in rows]
    return DECLARATION + write((f"Delete {_NAMESPACE}", [*quiet, *objects]))


def _named(row: Element) -> list[Node]:
    keys = [child.text for child in row.children if child.name == "Key"]
    if len(keys) != 1 or not keys[0]:
        raise _malformed("each Object has one Key")
    version = row.child_text("VersionId")
    return [("Key", keys[0]), *([("VersionId", version)] if version else [])]


def complete_upload(body: bytes) -> bytes:
    """Return S3's CompleteMultipartUpload for a vendor's one. Raises MALFORMED_XML, INVALID_ARGUMENT."""
    root = _parsed(body, "CompleteMultipartUpload")
    rows = [child for child in root.children if child.name == "Part"]
    if not 1 <= len(rows) <= MAX_PARTS:
        raise _malformed(f"an upload is completed with 1 to {MAX_PARTS} parts")
    parts: list[Node] = [
        ("Part", [("PartNumber", str(part_number(row.child_text("PartNumber")))), ("ETag", row.child_text("ETag"))])
        for row in rows
    ]
    return DECLARATION + write((f"CompleteMultipartUpload {_NAMESPACE}", parts))


def create_bucket(body: bytes) -> bytes:
    """Return no body: a vendor's storage class and zones mean nothing to the store. Raises MALFORMED_XML."""
    if body.strip():
        _parsed(body, "CreateBucketConfiguration")
    return b""


def part_number(text: str) -> int:
    """Return the number of a part, 1..10000. Raises INVALID_ARGUMENT."""
    number = int(text) if _PART_NUMBER.fullmatch(text) else 0
    if not 1 <= number <= MAX_PARTS:
        message = f"A part number is an integer between 1 and {MAX_PARTS}."
        raise ApiError(INVALID_ARGUMENT, f"part number {text[:20]!r}", message=message)
    return number


def _parsed(body: bytes, name: str) -> Element:
    try:
        root = parse(body, _LIMITS)
    except XmlError as error:
        raise _malformed(str(error)) from None
    if root.name != name:
        raise _malformed(f"a {name} is expected")
    return root


def _malformed(what: str) -> ApiError:
    return ApiError(MALFORMED_XML, what, message=f"The XML you provided is not valid: {what}.")
