"""The daily work of Aliyun's and Tencent's users, each call made the way their Python SDKs' users make it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True)
class Page:
    """One page of a listing; `marker` is where the next one starts, `""` at the end."""

    keys: list[str]
    prefixes: list[str]
    marker: str


class Vendor(Protocol):
    """The same calls on every SDK. Entity tags come without quotes."""

    def put(self, key: str, data: bytes) -> str: ...
    def get(self, key: str, start: int | None = None, end: int | None = None) -> bytes: ...
    def meta(self, key: str) -> tuple[int, str, str]: ...  # length, entity tag, metadata `colour`
    def exists(self, key: str) -> bool: ...
    def copy(self, source: str, key: str) -> str: ...
    def page(self, prefix: str = "", delimiter: str = "", marker: str = "", most: int = 100) -> Page: ...
    def delete(self, key: str) -> None: ...
    def delete_all(self, keys: list[str], *, quiet: bool = False) -> list[str]: ...
    def acl(self, key: str) -> str: ...
    def bucket_acl(self) -> str: ...
    def put_once(self, key: str, data: bytes) -> None: ...
    def copy_once(self, source: str, key: str) -> None: ...
    def begin(self, key: str) -> str: ...
    def part(self, key: str, upload: str, number: int, data: bytes) -> str: ...
    def copy_part(self, key: str, upload: str, number: int, source: str) -> str: ...
    def parts(self, key: str, upload: str) -> list[tuple[int, str, int]]: ...
    def uploads(self, prefix: str) -> list[tuple[str, str]]: ...
    def complete(self, key: str, upload: str, parts: list[tuple[int, str]]) -> str: ...
    def abort(self, key: str, upload: str) -> None: ...
    def buckets(self) -> list[str]: ...
    def location(self) -> str: ...
    def code(self, call: Callable[[], object]) -> str: ...  # the error code that a call ends with


def bare(etag: str | None) -> str:
    return (etag or "").strip('"')


def whole_listing(vendor: Vendor, prefix: str, delimiter: str, most: int) -> tuple[list[str], list[str]]:
    """Walk through all pages; return (keys, prefixes) as they came."""
    keys: list[str] = []
    prefixes: list[str] = []
    marker = ""
    while True:
        page = vendor.page(prefix, delimiter, marker, most)
        assert len(page.keys) + len(page.prefixes) <= most
        keys, prefixes, marker = keys + page.keys, prefixes + page.prefixes, page.marker
        if not marker:
            return keys, prefixes


def expected_listing(stored: Sequence[str], prefix: str, delimiter: str) -> tuple[list[str], list[str]]:
    """Say what S3 lists of these keys: in the order of their bytes, what lies behind a delimiter as one prefix."""
    keys: list[str] = []
    prefixes: list[str] = []
    for key in sorted((key for key in stored if key.startswith(prefix)), key=str.encode):
        head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
        if not found:
            keys.append(key)
        elif f"{prefix}{head}{found}" not in prefixes:
            prefixes.append(f"{prefix}{head}{found}")
    return keys, prefixes
