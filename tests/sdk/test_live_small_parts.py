"""Aliyun's and Tencent's own Python SDKs upload in parts that S3 finds too small, on every real store.

LIVE_LONG=1 does it with a file of 23 MB; otherwise it has 12 MB, which become three parts that are large enough.
"""

from __future__ import annotations

import hashlib
import os
import random
from typing import TYPE_CHECKING

import pytest

from tests.digests import md5
from tests.sdk.live_clients import Account
from tests.sdk.vendor_calls import Vendor, whole_listing
from tests.sdk.vendors import VENDORS
from tests.stores_up.fixtures import BUCKET

if TYPE_CHECKING:
    from tests.stores_up.fixtures import Live

pytestmark = [pytest.mark.store, pytest.mark.timeout(400)]
KB, MB = 1024, 1024 * 1024
FILE_MB = 23 if os.environ.get("LIVE_LONG") == "1" else 12
DATA = random.Random(7).randbytes(FILE_MB * MB)  # noqa: S311 # bytes, not secrets
HIDDEN = ".gateway-parts/"


@pytest.fixture(params=[name for name in VENDORS if name != "alibabacloud-oss-v2"])
def vendor(request: pytest.FixtureRequest, live: Live) -> Vendor:
    name: str = request.param
    return VENDORS[name](Account.of(live.gateway.place))


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key of the test's own, which sorts before the hidden ones."""
    return f"-{hashlib.sha256(request.node.name.encode()).hexdigest()[:12]}/a b+\u56fe.bin"


def pieces(size: int) -> list[bytes]:
    return [DATA[start : start + size] for start in range(0, len(DATA), size)]


def of_s3(live: Live, query: str) -> str:
    status, _, document = live.gateway.place.request("GET", f"/{BUCKET}", query=query)
    assert status == 200
    return document.decode()


def hidden_at_store(live: Live) -> str:
    return live.store.request("GET", f"/{BUCKET}", query=f"list-type=2&prefix={HIDDEN}")[2].decode()


@pytest.mark.parametrize("size", [100 * KB, MB])
def test_a_file_in_small_parts_becomes_an_object(vendor: Vendor, live: Live, key: str, size: int) -> None:
    parts = pieces(size)
    upload = vendor.begin(key)
    etags = [vendor.part(key, upload, number, data) for number, data in enumerate(parts, 1)]
    assert [etag.lower() for etag in etags] == [md5(data) for data in parts]
    assert "<Contents>" in hidden_at_store(live), "the parts do wait there"
    assert not vendor.exists(key)
    etag = vendor.complete(key, upload, list(enumerate(etags, 1)))
    assert vendor.meta(key)[:2] == (len(DATA), etag)
    assert md5(vendor.get(key)) == md5(DATA)
    assert "<Contents>" not in hidden_at_store(live)
    vendor.delete(key)


def test_parts_that_wait_are_in_no_listing(vendor: Vendor, live: Live, key: str) -> None:
    vendor.put(key, b"before")
    vendor.put(f"z{key}", b"behind")
    upload = vendor.begin(f"{key}.big")
    for number, data in enumerate(pieces(100 * KB)[:5], 1):
        vendor.part(f"{key}.big", upload, number, data)
    for most in (1, 2, 100):
        keys, _ = whole_listing(vendor, "", "", most)
        assert {key, f"z{key}"} <= set(keys)
        assert not [each for each in keys if each.startswith(HIDDEN)]
        assert not [each for each in whole_listing(vendor, "", "/", most)[1] if each.startswith(HIDDEN)]
    for query in ("", "list-type=2", "list-type=2&delimiter=%2F", f"prefix={HIDDEN}", "list-type=2&max-keys=2"):
        document = of_s3(live, query)
        assert "<Key>.gateway" not in document
        assert "<Prefix>.gateway-parts/</Prefix></CommonPrefixes>" not in document
    vendor.abort(f"{key}.big", upload)
    vendor.delete_all([key, f"z{key}"])


def test_a_part_that_waits_can_be_neither_read_nor_removed(vendor: Vendor, live: Live, key: str) -> None:
    upload = vendor.begin(key)
    vendor.part(key, upload, 1, b"small")
    name = hidden_at_store(live).partition("<Key>")[2].partition("</Key>")[0]
    assert name.startswith(HIDDEN)
    assert vendor.code(lambda: vendor.get(name)) == "AccessDenied"
    assert vendor.code(lambda: vendor.delete(name)) == "AccessDenied"
    assert vendor.code(lambda: vendor.put(name, b"mine")) == "AccessDenied"
    for method in ("GET", "DELETE"):
        assert live.gateway.place.request(method, f"/{BUCKET}/{name}")[0] == 403
    vendor.abort(key, upload)


def test_an_aborted_upload_leaves_nothing(vendor: Vendor, live: Live, key: str) -> None:
    upload = vendor.begin(key)
    vendor.part(key, upload, 1, b"small")
    vendor.abort(key, upload)
    assert "<Contents>" not in hidden_at_store(live)
    assert vendor.code(lambda: vendor.part(key, upload, 2, b"more")) == "NoSuchUpload"
    assert vendor.code(lambda: vendor.complete(key, upload, [(1, md5(b"small"))])) == "NoSuchUpload"


def test_an_upload_is_resumed_from_the_list_of_its_parts(vendor: Vendor, key: str) -> None:
    parts = pieces(MB)[:8]
    upload = vendor.begin(key)
    for number in (1, 2, 4):
        vendor.part(key, upload, number, parts[number - 1])
    told = vendor.parts(key, upload)
    assert [(number, etag.lower(), size) for number, etag, size in told] == [
        (number, md5(parts[number - 1]), MB) for number in (1, 2, 4)
    ]
    known = {number: etag for number, etag, _ in told}
    for number in {*range(1, 9)} - set(known):
        known[number] = vendor.part(key, upload, number, parts[number - 1])
    vendor.complete(key, upload, sorted(known.items()))
    assert vendor.get(key) == b"".join(parts)
    vendor.delete(key)


def test_a_wrong_list_of_parts_is_refused_and_the_upload_stays(vendor: Vendor, key: str) -> None:
    upload = vendor.begin(key)
    etag = vendor.part(key, upload, 1, b"small")
    assert vendor.code(lambda: vendor.complete(key, upload, [(1, "0" * 32)])) == "InvalidPart"
    vendor.complete(key, upload, [(1, etag)])
    assert vendor.get(key) == b"small"
    vendor.delete(key)


def test_small_and_large_parts_and_copied_ones_make_one_object(vendor: Vendor, key: str) -> None:
    large = DATA[: 6 * MB]
    vendor.put(f"{key}.source", large)
    upload = vendor.begin(key)
    vendor.part(key, upload, 2, b"will be replaced by a copy")
    tags = [(1, vendor.part(key, upload, 1, large)), (2, vendor.copy_part(key, upload, 2, f"{key}.source"))]
    tags.append((3, vendor.part(key, upload, 3, b"end")))
    vendor.complete(key, upload, tags)
    assert vendor.get(key) == large + large + b"end"
    vendor.delete_all([key, f"{key}.source"])
