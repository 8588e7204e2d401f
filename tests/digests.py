"""MD5 as S3 uses it."""

from __future__ import annotations

import hashlib
from base64 import b64encode


def md5(data: bytes) -> str:
    """The entity tag of an object or a part, without its quotes."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def content_md5(data: bytes) -> str:
    """The value of a Content-MD5 header."""
    return b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
