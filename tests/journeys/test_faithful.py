"""The same request, directly to the embedded store and through the gateway: same status, headers, bytes."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

import pytest

from gateway.request import percent_encode
from tests.digests import md5
from tests.served import Place, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.store

# The two hops' own words: they differ between any two requests, with or without a gateway.
OWN = frozenset({"date", "x-amz-request-id", "x-amz-id-2", "x-trans-id", "x-openstack-request-id", "connection"})
META = (
    ("content-type", "image/x-odd"),
    ("cache-control", "max-age=60"),
    ("content-disposition", 'inline; filename="x"'),
)
MORE = (("content-language", "de"), ("expires", "Thu, 01 Dec 2033 16:00:00 GMT"), ("x-amz-meta-colour", "red wine"))
GZIP = (("content-encoding", "gzip"), ("content-type", "text/plain"))
NAMES = {
    "empty": 0,
    "one byte": 1,
    "a+b": 1000,
    "100%25 sure": 1001,
    "double//slash": 65_536,
    "//leading": 65_537,
    "trailing/": 10,
    "中文/照片.jpg": 300_000,
    "emoji 📷🌄": 12_345,
    "dots/../up": 77,
    "./dot": 78,
    "quotes'\"<>&": 79,
    "~!*();:@&=$,?#[]": 80,
    "é NFC": 81,
    "é NFD": 82,
    "back\\slash|pipe": 83,
    "long " + "n" * 900: 84,
    "middle": 5_000_000,
    "gzipped": 4000,
    "big": 200_000_000,
}
RAW = random.Random(1).randbytes(200_000_000)  # noqa: S311 # bytes, not secrets


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Place]]:
    """The embedded store itself, and a gateway in front of it, with the objects above put through the gateway."""
    pytest.importorskip("swift", reason="the embedded store is not installed (pip install .[demo])")
    from gateway.stores.embedded import EmbeddedStore  # noqa: PLC0415 # only where Swift is there

    folder = tmp_path_factory.mktemp("faithful")
    store = EmbeddedStore(folder / "store")
    access = store.start()
    try:
        with serving(folder, access.endpoint, access.access_key_id, access.secret.reveal()) as gateway:
            direct = Place(access.endpoint.removeprefix("http://"), access.access_key_id, access.secret)
            assert gateway.place.request("PUT", "/faithful")[0] == 200
            for name, size in NAMES.items():
                headers = GZIP if name == "gzipped" else (*META, *MORE)
                assert gateway.place.request("PUT", path(name), headers, RAW[:size])[0] == 200, name
            yield direct, gateway.place
    finally:
        store.stop()


def path(name: str) -> str:
    return f"/faithful/{percent_encode(name, safe='/')}"


def same(places: tuple[Place, Place], method: str, target: str, **options: object) -> tuple[int, dict[str, str], bytes]:
    """Ask both and insist that they answer alike; return the answer."""
    answers = []
    for place in places:
        status, headers, body = place.request(method, target, **options)  # type: ignore[arg-type] # passed on as given
        told = {name: value for name, value in headers.items() if name not in OWN}
        if status >= 400:
            told.pop("content-length", None)  # the store's error names its own request id
            body = b""
        boundary = told.get("content-type", "").partition("boundary=")[2]  # drawn anew for each answer
        if boundary:
            told["content-type"], body = "multipart", body.replace(boundary.encode(), b"")
        answers.append((status, told, body))
    assert answers[0][:2] == answers[1][:2]
    assert hashlib.sha256(answers[0][2]).digest() == hashlib.sha256(answers[1][2]).digest()
    return answers[0]


@pytest.mark.parametrize("name", NAMES, ids=[str(number) for number in range(len(NAMES))])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_bytes_and_entity_headers_are_the_stores_own(places: tuple[Place, Place], name: str, method: str) -> None:
    status, headers, body = same(places, method, path(name))
    assert (status, headers["content-length"]) == (200, str(NAMES[name]))
    if method == "GET":
        assert body == RAW[: NAMES[name]]
    if name != "gzipped":
        assert headers["x-amz-meta-colour"] == "red wine"


TAG = f'"{md5(RAW[:65_536])}"'
PAST, FUTURE = "Sat, 01 Jan 2000 00:00:00 GMT", "Wed, 01 Jan 2070 00:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"range": "bytes=0-0"}, 206),
        ({"range": "bytes=0-99"}, 206),
        ({"range": "bytes=100-"}, 206),
        ({"range": "bytes=-7"}, 206),
        ({"range": "bytes=0-65535"}, 206),
        ({"range": "bytes=0-999999"}, 206),
        ({"range": "bytes=65536-"}, 416),
        ({"range": "bytes=9-3"}, 200),
        ({"range": "lines=1-2"}, 200),
        ({"range": "bytes=0-1,4-5"}, None),
        ({"if-match": TAG}, 200),
        ({"if-match": '"other"'}, 412),
        ({"if-match": "*"}, 200),
        ({"if-none-match": TAG}, 304),
        ({"if-none-match": '"other"'}, 200),
        ({"if-none-match": "*"}, 304),
        ({"if-modified-since": PAST}, 200),
        ({"if-modified-since": FUTURE}, 304),
        ({"if-unmodified-since": PAST}, 412),
        ({"if-unmodified-since": FUTURE}, 200),
        ({"if-match": '"other"', "range": "bytes=99999999-"}, 412),
        ({"if-none-match": TAG, "range": "bytes=0-9"}, 304),
        ({"if-range": TAG, "range": "bytes=0-9"}, None),
        ({"if-range": '"other"', "range": "bytes=0-9"}, None),
    ],
    ids=str,
)
def test_ranges_and_conditions_are_the_stores_own(
    places: tuple[Place, Place], headers: dict[str, str], status: int | None
) -> None:
    got, _, _ = same(places, "GET", path("double//slash"), headers=tuple(headers.items()))
    assert status is None or got == status
    same(places, "HEAD", path("double//slash"), headers=tuple(headers.items()))


@pytest.mark.parametrize(
    "query",
    [
        "response-content-type=text%2Fplain&response-cache-control=no-store",
        "response-content-disposition=attachment%3B%20filename%3D%22a%20b.txt%22",
        "response-expires=Thu%2C%2001%20Dec%202033%2016%3A00%3A00%20GMT&response-content-language=fr",
        "partNumber=1",
        "versionId=null",
        "x-id=GetObject",
        "acl",
    ],
)
def test_overrides_and_subresources_are_the_stores_own(places: tuple[Place, Place], query: str) -> None:
    same(places, "GET", path("a+b"), query=query)


@pytest.mark.parametrize(
    ("method", "target", "query"),
    [
        ("GET", "/", ""),
        ("GET", "/faithful", ""),
        ("GET", "/faithful/", "list-type=2&prefix=do&delimiter=%2F&encoding-type=url"),
        ("GET", "/faithful", "max-keys=2&marker=a%2Bb"),
        ("GET", "/faithful", "location"),
        ("HEAD", "/faithful", ""),
        ("GET", "/none", ""),
        ("GET", "/faithful/none", ""),
        ("HEAD", "/faithful/none", ""),
        ("GET", "/faithful", "versioning"),
    ],
)
def test_buckets_and_listings_are_the_stores_own(
    places: tuple[Place, Place], method: str, target: str, query: str
) -> None:
    same(places, method, target, query=query)


def test_an_object_and_a_bucket_can_be_deleted(places: tuple[Place, Place]) -> None:
    direct, gateway = places
    assert gateway.request("PUT", "/passing")[0] == 200
    assert gateway.request("PUT", "/passing/x", (), b"1")[0] == 200
    assert gateway.request("DELETE", "/passing")[0] == 409
    assert direct.request("GET", "/passing/x")[2] == b"1"
    assert gateway.request("DELETE", "/passing/x")[0] == 204
    assert gateway.request("DELETE", "/passing")[0] == 204
    assert direct.request("GET", "/passing")[0] == 404
