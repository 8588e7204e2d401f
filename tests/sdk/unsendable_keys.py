"""The names that a client cannot take there and back, with the reason: the client's own, whatever it speaks to.

The tests hold these lists to be exact: each name in them fails, and no other one does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sdk.awkward_keys import KEYS

if TYPE_CHECKING:
    from collections.abc import Mapping

    Reasons = Mapping[str, tuple[str, ...]]

DOT_SEGMENTS = tuple(key for key in KEYS if {".", ".."} & set(key.split("/")))
LEADING_SLASH = tuple(key for key in KEYS if key.startswith("/"))
NOT_IN_XML = ("a\x01b", "a\x1fb")

_OSS2: Reasons = {"its HTTP library takes them for a relative URL and resolves them": (".", "..")}
_ALI_OSS: Reasons = {
    "it strips slashes from the beginning": LEADING_SLASH,
    "its URL class resolves them": DOT_SEGMENTS,
    "it lists without encoding-type, and XML cannot hold them": NOT_IN_XML,
}
UNSENDABLE: Mapping[str, Reasons] = {
    "minio-py": {"it refuses them": DOT_SEGMENTS},
    "oss2 V1": _OSS2,
    "oss2 V4": _OSS2,
    "alibabacloud-oss-v2": {"its HTTP library resolves them": DOT_SEGMENTS},
    "cos-python": {
        "it strips a slash from the beginning": LEADING_SLASH,
        "its HTTP library resolves them, where it has not encoded the slash": (".", "..", "a/.", "a/.."),
    },
    "ali-oss V1": _ALI_OSS,
    "ali-oss V4": _ALI_OSS,
    "cos-nodejs": {
        "it strips a slash from the beginning": LEADING_SLASH,
        "it puts them, but refuses to get what a path like this would lead to": (".", "..", "a/.."),
        "it lists without encoding-type, and reads no character references": ("a\rb", "a\r\nb"),
        "it lists without encoding-type, and XML cannot hold them": NOT_IN_XML,
    },
    "s3cmd": {
        "it puts other characters in the place of control characters": (
            *("a\tb", "a\nb", "a\rb", "a\r\nb", "a\x7fb", *NOT_IN_XML),
        ),
        "it puts other characters in the place of what it takes for undecodable": ("\ufffd",),
    },
}


# And where it depends on the store.
UNSENDABLE_AT: Mapping[tuple[str, str], Reasons] = {
    ("@aws-sdk/client-s3", "swift"): {
        "it lists without encoding-type, and Swift answers 500 where XML cannot hold a name": NOT_IN_XML
    },
}


def unsendable(client: str, store: str = "") -> set[str]:
    """Return the names that must fail with this client, and those that must at this store."""
    reasons = (*UNSENDABLE.get(client, {}).values(), *UNSENDABLE_AT.get((client, store), {}).values())
    return {key for keys in reasons for key in keys}
