"""What Aliyun's and Tencent's own Python SDKs rely on beyond the matrix, through the gateway on every real store."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.digests import md5
from tests.sdk.live_clients import Account
from tests.sdk.vendor_calls import Vendor, expected_listing, whole_listing
from tests.sdk.vendors import VENDORS

if TYPE_CHECKING:
    from tests.stores_up.fixtures import Live

pytestmark = [pytest.mark.store, pytest.mark.timeout(400)]
MIB = 1024 * 1024
AWKWARD = (
    *("a b.jpg", "a+b.jpg", "100%25.jpg", "a&b=<c>'\".jpg", "d/e.jpg", "d/f g.jpg", "d+/h.jpg", "d /i.jpg"),
    *(
        "\u56fe\u7247/\u4e00.jpg",
        "\u00e9t\u00e9.jpg",
        "e\u0301.jpg",
        "\U0001f600.jpg",
        "z~!*();:@,$?#[].jpg",
        "zz//y.jpg",
    ),
)


@pytest.fixture(params=VENDORS)
def vendor(request: pytest.FixtureRequest, live: Live) -> Vendor:
    name: str = request.param
    return VENDORS[name](Account.of(live.gateway.place))


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> str:
    """A prefix of the test's own."""
    return f"v{hashlib.sha256(request.node.name.encode()).hexdigest()[:12]}/"


def test_a_copy_tells_its_entity_tag_and_what_it_could_not_find(vendor: Vendor, folder: str) -> None:
    source, key, data = f"{folder}from \u56fe+%.txt", f"{folder}to.txt", b"copied"
    vendor.put(source, data)
    assert vendor.copy(source, key) == md5(data)
    assert (vendor.exists(key), vendor.exists(f"{folder}not")) == (True, False)
    assert vendor.code(lambda: vendor.copy(f"{folder}not", key)) == "NoSuchKey"


@pytest.mark.parametrize(
    ("prefix", "delimiter"), [("", ""), ("", "/"), ("d", ""), ("d", "/"), ("d/", "/"), ("d ", "/")]
)
@pytest.mark.parametrize("most", [1, 3, 100])
def test_listings_tell_every_key_once_whatever_the_page(vendor: Vendor, prefix: str, delimiter: str, most: int) -> None:
    folder = "listed one+two%/"
    if not vendor.page(folder).keys:
        for name in AWKWARD:
            vendor.put(f"{folder}{name}", b"x")
    stored = [f"{folder}{name}" for name in AWKWARD]
    assert whole_listing(vendor, f"{folder}{prefix}", delimiter, most) == expected_listing(
        stored, f"{folder}{prefix}", delimiter
    )


@pytest.mark.parametrize("quiet", [False, True])
def test_a_batch_delete_removes_what_it_names_and_says_so_unless_it_is_quiet(
    vendor: Vendor,
    folder: str,
    quiet: bool,  # noqa: FBT001 # the parameter's name says it
) -> None:
    keys = [f"{folder}{name}" for name in AWKWARD]
    for key in keys:
        vendor.put(key, b"x")
    vendor.put(f"{folder}kept", b"x")
    assert sorted(vendor.delete_all(keys, quiet=quiet)) == ([] if quiet else sorted(keys))
    assert vendor.page(folder).keys == [f"{folder}kept"]


def test_an_upload_that_forbids_overwriting_leaves_what_is_there(vendor: Vendor, folder: str) -> None:
    vendor.put_once(f"{folder}a", b"first")
    assert vendor.code(lambda: vendor.put_once(f"{folder}a", b"second")) == "FileAlreadyExists"
    vendor.put(f"{folder}source", b"second")
    assert vendor.code(lambda: vendor.copy_once(f"{folder}source", f"{folder}a")) == "FileAlreadyExists"
    assert vendor.get(f"{folder}a") == b"first"
    vendor.copy_once(f"{folder}source", f"{folder}b")
    assert vendor.get(f"{folder}b") == b"second"


def test_parts_become_an_object_when_they_are_completed(vendor: Vendor, folder: str) -> None:
    key, parts = f"{folder}big a+b \u56fe.bin", [bytes([number]) * (5 * MIB) for number in (1, 2)]
    vendor.put(f"{folder}source", parts[0])
    upload = vendor.begin(key)
    other = vendor.begin(f"{key}.other")
    etags = [vendor.part(key, upload, number, data) for number, data in enumerate(parts, 1)]
    assert etags == [md5(data) for data in parts]
    assert vendor.copy_part(key, upload, 3, f"{folder}source") == md5(parts[0])
    last = vendor.part(key, upload, 4, b"end")
    told = [(1, etags[0], 5 * MIB), (2, etags[1], 5 * MIB), (3, md5(parts[0]), 5 * MIB), (4, last, 3)]
    # Swift forgets the entity tag of a part that was copied.
    assert vendor.parts(key, upload) in (told, [(*row[:1], "", row[2]) if row[0] == 3 else row for row in told])
    assert sorted(vendor.uploads(folder)) == sorted([(key, upload), (f"{key}.other", other)])
    vendor.abort(f"{key}.other", other)
    assert vendor.uploads(folder) == [(key, upload)]
    etag = vendor.complete(key, upload, [(number, tag) for number, tag, _ in told])
    assert etag.endswith("-4")
    assert vendor.meta(key)[:2] == (15 * MIB + 3, etag)
    assert vendor.get(key) == b"".join([*parts, parts[0], b"end"])
    assert vendor.code(lambda: vendor.parts(key, "no-such-upload")) == "NoSuchUpload"
