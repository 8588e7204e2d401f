"""Deleting many objects in one request: which keys its body names, so that each of them can be judged.

The store must not read another key out of the body than was judged here, so only the document that S3 describes is
taken: nothing unknown inside, no comment that might end a key for one parser and not for another, one encoding; and a
key that a store might trim counts in both forms.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from typing import TYPE_CHECKING

from gateway.dialects.hidden import is_hidden
from gateway.dialects.xml import Element, XmlError, XmlLimits, parse
from gateway.errors import ACCESS_DENIED, INVALID_REQUEST, ApiError
from gateway.stores.upstream import Body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from gateway.authorise import MayDelete

MAX_KEYS = 1000  # S3's own limit
LIMITS = XmlLimits(max_bytes=2 * 1024 * 1024, max_depth=3, max_elements=6 * MAX_KEYS + 2)
_OBJECT = frozenset({"Key", "VersionId", "ETag", "LastModifiedTime", "Size"})
_ENCODING = re.compile(rb"""^\s*<\?xml[^>]*?\sencoding\s*=\s*["']([^"']*)""")


async def checked(body: Body | None, may_delete: MayDelete) -> Body:
    """Read the body and return one of the same bytes if every key in it may be deleted.

    Raises ACCESS_DENIED, INVALID_REQUEST for a body that cannot be judged, and whatever reading it raises.
    """
    document = await _whole(body) if body else b""
    try:
        wanted = list(named_keys(document))
    except XmlError as error:
        raise ApiError(INVALID_REQUEST, message=f"The list of objects to delete is not valid: {error}.") from None
    for key, version in wanted:
        if not all(may_delete(form, version) and not is_hidden(form) for form in {key, key.strip()}):
            message = "Access Denied: the list holds an object that you may not delete."
            raise ApiError(ACCESS_DENIED, f"may not delete {key}", message=message)
    return Body(_once(document), len(document), body.payload) if body else Body(_once(document), 0)


def named_keys(document: bytes) -> Iterator[tuple[str, bool]]:
    """Yield the key of each object that S3's `Delete` document names, and whether it means one version of it.

    Raises XmlError for any other document.
    """
    document = document.removeprefix(BOM_UTF8)
    encoding = _ENCODING.match(document)
    if document[:1] not in (b"<", b"\n", b" ") or (encoding and encoding[1].lower() not in (b"utf-8", b"us-ascii")):
        raise XmlError("its encoding is not UTF-8")
    if b"<!" in document or document.lstrip().rfind(b"<?") > 0:
        raise XmlError("it holds a comment, a CDATA section or an instruction")
    root = parse(document, LIMITS)
    objects = [child for child in root.children if child.name == "Object"]
    if root.name != "Delete" or not objects or len(objects) > MAX_KEYS:
        raise XmlError(f"it must be a Delete of 1 to {MAX_KEYS} objects")
    if any(child.name not in ("Object", "Quiet") for child in root.children):
        raise XmlError("it holds an unknown element")
    for each in objects:
        yield _named_key(each)


def _named_key(element: Element) -> tuple[str, bool]:
    names = [child.name for child in element.children]
    if not _OBJECT.issuperset(names) or len(set(names)) < len(names) or any(row.children for row in element.children):
        raise XmlError("an object has an unknown or doubled element")
    key = next((child.text for child in element.children if child.name == "Key"), "")
    if not key:
        raise XmlError("an object has no key")
    return key, bool(element.child_text("VersionId"))


async def _whole(body: Body) -> bytes:
    data = bytearray()
    async for chunk in body.chunks:
        data += chunk
        if len(data) > LIMITS.max_bytes:
            raise ApiError(INVALID_REQUEST, message="The list of objects to delete exceeds 2 MiB.")
    return bytes(data)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data
