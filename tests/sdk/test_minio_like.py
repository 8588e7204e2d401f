"""Aliyun's and Tencent's Python SDKs in front of a store that speaks XML as MinIO does: no real one can be had."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.digests import md5
from tests.fake_store import fake_store
from tests.harness import HOST_SUFFIXES, KEY_ID, SECRET, running_gateway
from tests.sdk.live_clients import COS_DOMAIN, Account
from tests.sdk.vendor_calls import expected_listing, whole_listing
from tests.sdk.vendors import VENDORS
from tests.stores_up.fixtures import BUCKET, COS_BUCKET

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fake_store import FakeStore
    from tests.sdk.vendor_calls import Vendor

each_vendor = pytest.mark.parametrize("name", VENDORS)
MIB = 1024 * 1024
KEYS = ("a b+c.jpg", "d/e.jpg", "d/f g.jpg", "\u56fe%.jpg", "z&<.jpg")


async def in_front_of_minio(name: str, work: Callable[[Vendor, FakeStore], None]) -> None:
    """Let an SDK work in a thread of its own, through a gateway in front of a fake MinIO."""
    hosts = HOST_SUFFIXES | {"cos": {"hosts": ["cos.localhost", COS_DOMAIN]}}
    buckets = {BUCKET: {"aliases": [COS_BUCKET]}}
    async with (
        fake_store("minio") as store,
        running_gateway(store.endpoint, dialects=hosts, buckets=buckets) as gateway,
    ):
        port = int(gateway.authority.rpartition(":")[2])
        vendor = VENDORS[name](Account(port, 0, "", KEY_ID, SECRET.reveal()))
        await asyncio.to_thread(work, vendor, store)


@each_vendor
async def test_listings_are_read_to_their_end(name: str) -> None:
    def work(vendor: Vendor, _store: FakeStore) -> None:
        for key in KEYS:
            vendor.put(key, b"x")
        for prefix, delimiter in (("", ""), ("", "/"), ("d/", "/")):
            for most in (1, 2, 100):
                wanted = expected_listing(KEYS, prefix, delimiter)
                assert whole_listing(vendor, prefix, delimiter, most) == wanted

    await in_front_of_minio(name, work)


@each_vendor
async def test_objects_are_put_copied_and_deleted_and_errors_are_told(name: str) -> None:
    def work(vendor: Vendor, store: FakeStore) -> None:
        assert vendor.put("a b.txt", b"data") == md5(b"data")
        assert vendor.copy("a b.txt", "c.txt") == md5(b"data")
        assert vendor.get("c.txt") == b"data"
        assert vendor.code(lambda: vendor.copy("none", "c.txt")) == "NoSuchKey"
        assert vendor.code(lambda: vendor.get("none")) == "NoSuchKey"
        vendor.delete_all(["a b.txt", "c.txt"])
        assert store.objects == {}

    await in_front_of_minio(name, work)


@each_vendor
async def test_parts_are_listed_and_become_an_object(name: str) -> None:
    def work(vendor: Vendor, _store: FakeStore) -> None:
        pieces = [b"1" * (5 * MIB), b"end"]
        upload = vendor.begin("big")
        etags = [vendor.part("big", upload, number, data) for number, data in enumerate(pieces, 1)]
        told = vendor.parts("big", upload)
        assert told == [(number, md5(data), len(data)) for number, data in enumerate(pieces, 1)]
        assert vendor.uploads("") == [("big", upload)]
        assert vendor.complete("big", upload, list(enumerate(etags, 1))).endswith("-2")
        assert vendor.get("big") == b"".join(pieces)

    await in_front_of_minio(name, work)


@each_vendor
async def test_buckets_and_acls_are_told(name: str) -> None:
    def work(vendor: Vendor, store: FakeStore) -> None:
        store.objects[f"/{BUCKET}/a"] = b"x"
        assert vendor.buckets() == [BUCKET]
        assert (vendor.acl("a"), vendor.bucket_acl()) == ("private", "private")
        assert vendor.location()

    await in_front_of_minio(name, work)
