"""Takes names of objects through a client and back, and looks at the store itself meanwhile. Knows no client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from gateway.request import percent_encode
from tests.digests import md5
from tests.stores_up.fixtures import BUCKET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tests.served import Place

_SPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@dataclass(frozen=True)
class KeyCalls:
    """What a client does with one key, and the names that it lists."""

    put: Callable[[str, bytes], object]
    get: Callable[[str], bytes]
    length: Callable[[str], int]
    delete: Callable[[str], object]
    listed: Callable[[], Iterable[str]]


def body_of(key: str) -> bytes:
    """Return bytes that no other key has."""
    return b"the object of " + key.encode()


def round_trips(calls: KeyCalls, store: Place, keys: Iterable[str]) -> dict[str, str]:
    """Put, list, look at, get and delete these keys; return what went wrong, by key.

    Those with a slash before them go apart from the others: a client that strips it would overwrite these. Names that
    XML cannot hold go one by one: a client that cannot read a listing with them in it sees nothing there.
    """
    legal = [key for key in keys if not in_no_xml(key)]
    groups = [[key for key in legal if key.startswith("/") == is_apart] for is_apart in (False, True)]
    groups += [[key] for key in keys if in_no_xml(key)]
    return {key: text for group in groups if group for key, text in _round_trip(calls, store, group).items()}


def in_no_xml(key: str) -> bool:
    """Tell whether XML cannot hold a name, not even escaped."""
    return any(ord(each) < 32 and each not in "\t\n\r" for each in key)


def _round_trip(calls: KeyCalls, store: Place, keys: list[str]) -> dict[str, str]:
    before = names(store)
    told = _failures("put", keys, lambda key: calls.put(key, body_of(key)))
    after = names(store)
    here = {key: md5(body_of(key)) for key in keys}
    told |= {key: "put: not stored" for key in keys if key not in told and after.get(key) != here[key]}
    strays = set(after) - set(before) - (set(keys) - set(told))  # put under other names than asked for
    stored = [key for key in keys if key not in told]
    try:
        seen = set(calls.listed())
    except Exception as error:  # noqa: BLE001 # each SDK raises its own
        told |= dict.fromkeys(stored, f"list: {error!r}")
    else:
        missing = [key for key in stored if key not in seen]
        told |= dict.fromkeys(missing, "list: not in it")
        assert len(seen - set(after)) <= len(missing), "a name that is listed otherwise is one that is missing"
    told |= _failures("head", stored, lambda key: _same(calls.length(key), len(body_of(key))))
    told |= _failures("get", stored, lambda key: _same(calls.get(key), body_of(key)))
    told |= _failures("delete", stored, calls.delete)
    left = names(store)
    told |= {key: "delete: still there" for key in stored if key in left}
    assert set(before) - strays <= set(left), "what a client deletes is what it was asked to delete"
    for key in strays | (set(left) - set(before)):
        assert store.request("DELETE", path(key))[0] in (204, 404)
    return told


def _failures(what: str, keys: Iterable[str], call: Callable[[str], object]) -> dict[str, str]:
    told = {}
    for key in keys:
        try:
            call(key)
        except Exception as error:  # noqa: BLE001 # each SDK raises its own
            told[key] = f"{what}: {error!r}"[:300]
    return told


def _same(found: object, wanted: object) -> None:
    if found != wanted:
        raise ValueError(f"{found!r:.60}")


def path(key: str) -> str:
    """Return the target of an object."""
    return f"/{BUCKET}/{percent_encode(key, safe='/')}"


def names(store: Place) -> Mapping[str, str]:
    """Ask the store itself for its objects: name to entity tag."""
    found: dict[str, str] = {}
    query = first = "list-type=2&encoding-type=url"
    while True:
        status, _, document = store.request("GET", f"/{BUCKET}", query=query)
        assert status == 200, document
        root = ET.fromstring(document)  # noqa: S314 # the test's own store
        for row in root.iter(f"{_SPACE}Contents"):
            name, etag = row.findtext(f"{_SPACE}Key") or "", row.findtext(f"{_SPACE}ETag") or ""
            found[unquote_plus(name)] = etag.strip('"')
        if root.findtext(f"{_SPACE}IsTruncated") != "true":
            return found
        query = f"{first}&continuation-token={percent_encode(root.findtext(f'{_SPACE}NextContinuationToken') or '')}"


def raw(place: Place) -> KeyCalls:
    """Speak S3 without any SDK."""

    def call(method: str, key: str, body: bytes = b"") -> tuple[dict[str, str], bytes]:
        status, headers, content = place.request(method, path(key), body=body)
        if status >= 300:
            raise ValueError(f"{status} {content[:120]!r}")
        return headers, content

    return KeyCalls(
        lambda key, data: call("PUT", key, data),
        lambda key: call("GET", key)[1],
        lambda key: int(call("HEAD", key)[0]["content-length"]),
        lambda key: call("DELETE", key),
        lambda: names(place),
    )
