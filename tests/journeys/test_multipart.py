"""Uploads in parts that S3 finds too small, on a store that knows S3's rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.auth.base import Unsigned
from gateway.body.filters import plan
from gateway.errors import (
    BAD_DIGEST,
    ENTITY_TOO_SMALL,
    INVALID_ARGUMENT,
    INVALID_PART,
    INVALID_PART_ORDER,
    INVALID_REQUEST,
    NO_SUCH_UPLOAD,
    ErrorKind,
)
from gateway.journeys import multipart
from gateway.stores import parts as hidden
from gateway.stores.uploads import Upload
from gateway.stores.upstream import Body, StoreBucket
from tests.fake_uploads import MIN_PART_BYTES, etag, multipart_etag
from tests.journeys.part_uploads import (
    KEY,
    MB,
    PATH,
    SMALL,
    begun,
    bucket_of,
    data_of,
    hidden_objects,
    once,
    put,
    put_all,
    refusal,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fake_store import FakeStore

SIZES = {
    "100 KB each": [SMALL] * 60 + [17],
    "one small part": [3],
    "one empty part": [0],
    "less than 5 MB in all": [SMALL, SMALL, 9],
    "1 MB each": [MB] * 23 + [77],
    "large ones": [6 * MB, 5 * MB],
    "large ones and a small last": [5 * MB, 5 * MB, 100],
    "mixed": [SMALL, 6 * MB, SMALL, 5 * MB, 3, MB],
    "large, then small, then large": [5 * MB, SMALL, 6 * MB, SMALL],
    "just too small": [MIN_PART_BYTES - 1, MIN_PART_BYTES - 1, MIN_PART_BYTES - 1],
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
async def test_parts_of_any_size_become_one_object(upload: Upload, store: FakeStore, sizes: list[int]) -> None:
    datas = data_of(*sizes)
    sent = await put_all(upload, datas)
    assert [tag for _, tag in sent] == [etag(data) for data in datas], "a part's tag is its MD5"
    assert PATH not in store.objects, "nothing half-written is an object"
    tag, _ = await multipart.complete(upload, sent)
    assert store.objects[PATH] == b"".join(datas)
    assert tag == multipart_etag([store.uploads.finished[0].parts[number] for number in sent_numbers(store)])
    assert (store.types[PATH], store.uploads.finished[0].headers["x-amz-meta-a"]) == ("image/jpeg", "1")
    assert (list(store.objects), store.uploads.running) == ([PATH], {})


def sent_numbers(store: FakeStore) -> list[int]:
    """The parts that the last completion named."""
    last = [seen for seen in store.seen if seen.method == "POST" and "uploadId=" in seen.raw_path][-1]
    return [int(row.partition(b"<")[0]) for row in last.body.split(b"<PartNumber>")[1:]]


async def test_an_upload_in_large_parts_is_the_stores_own_with_the_tag_that_s3_promises(
    upload: Upload, store: FakeStore
) -> None:
    datas = data_of(5 * MB, 5 * MB, 6 * MB)
    sent = await put_all(upload, datas)
    assert hidden_objects(store) == []
    assert (await multipart.complete(upload, sent))[0] == multipart_etag(datas)


async def test_small_parts_are_sent_to_the_store_twice_and_read_once(upload: Upload, store: FakeStore) -> None:
    datas = data_of(*[MB] * 8)
    sent = await put_all(upload, datas)
    store.seen.clear()
    await multipart.complete(upload, sent)
    assert sum(len(seen.body) for seen in store.seen if seen.method == "PUT") == 8 * MB
    assert len([seen for seen in store.seen if seen.method == "GET" and ".gateway-parts/" in seen.raw_path]) == 8


async def test_many_small_parts_need_few_of_the_stores_own(upload: Upload, store: FakeStore) -> None:
    folder = hidden.of(upload).folder
    data = bytes(20_000)
    for number in range(1, 1201):  # more than a page of a listing
        store.objects[f"/b/{folder}{number:05}"] = data
    tag, _ = await multipart.complete(upload, [(number, etag(data)) for number in range(1, 1201)])
    assert (len(store.objects[PATH]), tag[-2:]) == (24_000_000, "-2")
    assert hidden_objects(store) == []


async def test_another_process_goes_on_where_the_first_one_was(upload: Upload, store: FakeStore) -> None:
    datas = data_of(*[SMALL] * 5)
    await put_all(upload, datas[:3])
    async with bucket_of(store) as elsewhere:
        same = Upload(elsewhere, "pictures%2Fa%20b.jpg".replace("%2F", "/"), upload.upload_id)
        page = await multipart.list_parts(same, 0, 100)
        assert [(part.number, part.size, part.etag) for part in page.parts] == [
            (number, SMALL, etag(data).strip('"')) for number, data in enumerate(datas[:3], 1)
        ]
        for number in (4, 5):
            await put(same, number, datas[number - 1])
        await multipart.complete(same, [(number, etag(data)) for number, data in enumerate(datas, 1)])
    assert store.objects[PATH] == b"".join(datas)


async def test_parts_are_listed_page_by_page_wherever_they_are(upload: Upload, store: FakeStore) -> None:
    store.uploads.page = 2
    datas = data_of(5 * MB, 5 * MB, 9, 8, 7)
    await put_all(upload, datas)
    seen, after = [], 0
    while True:
        page = await multipart.list_parts(upload, after, 2)
        seen += [(part.number, part.size, part.hidden) for part in page.parts]
        if not page.truncated:
            break
        after = page.parts[-1].number
    assert seen == [(1, 5 * MB, False), (2, 5 * MB, False), (3, 9, True), (4, 8, True), (5, 7, True)]
    assert (await multipart.list_parts(upload, 5, 2)) == multipart.PartPage((), truncated=False)


@pytest.mark.parametrize("sizes", [(9, 8), (9, 6 * MB), (6 * MB, 9), (6 * MB, 5 * MB)], ids=str)
async def test_a_later_part_of_the_same_number_takes_the_place_of_the_earlier(
    upload: Upload, store: FakeStore, sizes: tuple[int, int]
) -> None:
    first, second = data_of(*sizes)
    _, old = await put(upload, 1, first)
    _, new = await put(upload, 1, second)
    assert [part.size for part in (await multipart.list_parts(upload, 0, 9)).parts] == [len(second)]
    assert await refusal(multipart.complete(upload, [(1, old)])) is INVALID_PART
    await multipart.complete(upload, [(1, new)])
    assert store.objects[PATH] == second


async def test_a_part_that_the_store_copies_takes_the_place_of_a_hidden_one(upload: Upload, store: FakeStore) -> None:
    _, second = await put_all(upload, data_of(9, 8))
    store.uploads.running[upload.upload_id].parts[1] = b"copied by the store"
    for _ in range(2):
        await multipart.part_was_copied(upload, 1)
    assert [(part.size, part.hidden) for part in (await multipart.list_parts(upload, 0, 9)).parts] == [
        (19, False),
        (8, True),
    ]
    assert second[1] == etag(next(data for path, data in store.objects.items() if path.endswith("00002")))


async def test_parts_that_the_client_leaves_out_are_no_part_of_the_object(upload: Upload, store: FakeStore) -> None:
    datas = data_of(9, 8, 7)
    sent = await put_all(upload, datas)
    await multipart.complete(upload, [sent[0], sent[2]])
    assert (store.objects[PATH], hidden_objects(store)) == (datas[0] + datas[2], [])


async def test_entity_tags_may_be_written_without_quotes_and_in_capitals(upload: Upload, store: FakeStore) -> None:
    (data,) = data_of(9)
    _, tag = await put(upload, 1, data)
    await multipart.complete(upload, [(1, tag.strip('"').upper())])
    assert store.objects[PATH] == data


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        ([], INVALID_REQUEST),
        ([(number, "x") for number in range(1, 10_002)], INVALID_REQUEST),
        ([(0, "x")], INVALID_ARGUMENT),
        ([(1, "x"), (10_001, "x")], INVALID_ARGUMENT),
        ([(2, "x"), (1, "x")], INVALID_PART_ORDER),
        ([(1, "x"), (1, "x")], INVALID_PART_ORDER),
        ([(1, "0" * 32)], INVALID_PART),
        ([(1, "")], INVALID_PART),
        ([(3, "0" * 32)], INVALID_PART),
        ([(number, "0" * 32) for number in range(1, 500)], INVALID_PART),
    ],
    ids=["none", "10,001", "0", "number", "order", "twice", "tag", "no tag", "missing", "many missing"],
)
async def test_a_wrong_list_of_parts_is_refused_and_the_upload_goes_on(
    upload: Upload, store: FakeStore, wanted: list[tuple[int, str]], kind: ErrorKind
) -> None:
    datas = data_of(9, 8)
    sent = await put_all(upload, datas)
    assert await refusal(multipart.complete(upload, wanted)) is kind
    assert PATH not in store.objects
    await multipart.complete(upload, sent)
    assert store.objects[PATH] == b"".join(datas)


@pytest.mark.parametrize("number", [0, -1, 10_001])
async def test_a_part_number_out_of_range_is_refused(upload: Upload, store: FakeStore, number: int) -> None:
    assert await refusal(put(upload, number, b"x")) is INVALID_ARGUMENT
    assert hidden_objects(store) == []


@pytest.mark.parametrize("size", [9, 5 * MB])
async def test_a_part_whose_digest_is_wrong_never_comes_into_being(upload: Upload, size: int) -> None:
    (data,) = data_of(size)
    headers = (("content-md5", "AAAAAAAAAAAAAAAAAAAAAA=="),)
    planned = plan(Unsigned(), headers, size)

    async def filtered() -> AsyncIterator[bytes]:
        yield planned.body_filter.feed(data)
        yield planned.body_filter.finish()

    assert await refusal(multipart.put_part(upload, 1, Body(filtered(), size), headers)) is BAD_DIGEST
    assert (await multipart.list_parts(upload, 0, 9)).parts == ()


@pytest.mark.parametrize("like_ceph", [False, True])
async def test_an_upload_that_is_unknown_is_no_upload(
    bucket: StoreBucket, store: FakeStore, *, like_ceph: bool
) -> None:
    store.uploads.like_ceph = like_ceph
    for unknown in (Upload(bucket, KEY, "nothing"), Upload(bucket, "other", (await begun(bucket)).upload_id)):
        assert await refusal(put(unknown, 1, b"x")) is NO_SUCH_UPLOAD
        assert await refusal(put(unknown, 1, bytes(5 * MB))) is NO_SUCH_UPLOAD
        assert await refusal(multipart.list_parts(unknown, 0, 9)) is NO_SUCH_UPLOAD
        assert await refusal(multipart.complete(unknown, [(1, "x")])) is NO_SUCH_UPLOAD
        assert await refusal(multipart.abort(unknown)) is NO_SUCH_UPLOAD
    assert store.objects == {}


async def test_an_aborted_upload_leaves_nothing(upload: Upload, store: FakeStore) -> None:
    store.uploads.page = 2
    await put_all(upload, data_of(5 * MB, 9, 8, 7))
    await multipart.abort(upload)
    assert (store.objects, store.uploads.running) == ({}, {})
    assert await refusal(put(upload, 1, b"x")) is NO_SUCH_UPLOAD


async def test_in_a_versioned_bucket_no_version_of_a_part_stays(upload: Upload, store: FakeStore) -> None:
    store.uploads.versioned = True
    sent = await put_all(upload, data_of(9, 8, 7))
    await multipart.complete(upload, sent)
    assert (list(store.objects), store.uploads.markers) == ([PATH], set())


async def test_small_parts_between_large_ones_that_came_first_are_refused_as_too_small(
    upload: Upload, store: FakeStore
) -> None:
    datas = data_of(5 * MB, 9, 5 * MB)
    sent = sorted([await put(upload, number, datas[number - 1]) for number in (1, 3, 2)])
    assert await refusal(multipart.complete(upload, sent)) is ENTITY_TOO_SMALL
    assert PATH not in store.objects
    await put(upload, 2, larger := bytes(5 * MB))
    await multipart.complete(upload, [sent[0], (2, etag(larger)), sent[2]])
    assert store.objects[PATH] == datas[0] + larger + datas[2]


async def test_a_part_that_a_listing_lacks_is_asked_for_itself(upload: Upload, store: FakeStore) -> None:
    datas = data_of(9, 8)
    sent = await put_all(upload, datas)
    store.uploads.unlisted.add(f"{hidden.of(upload).folder}00002")
    await multipart.complete(upload, sent)
    assert store.objects[PATH] == b"".join(datas)


async def test_parts_with_a_customers_key_are_never_hidden(bucket: StoreBucket, store: FakeStore) -> None:
    upload = await begun(bucket)
    headers = (("x-amz-server-side-encryption-customer-key", "k"),)
    tag = await multipart.put_part(upload, 1, Body(once(b"abc"), 3), headers)
    assert (hidden_objects(store), tag) == ([], etag(b"abc"))
