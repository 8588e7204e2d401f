"""Completions of uploads in small parts that fail, that meet, and that come too late."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.errors import (
    INVALID_PART,
    NO_SUCH_UPLOAD,
    ApiError,
)
from gateway.journeys import multipart
from gateway.stores import parts as hidden
from gateway.stores.uploads import Upload
from tests.fake_uploads import multipart_etag
from tests.journeys.part_uploads import (
    KEY,
    MB,
    PATH,
    bucket_of,
    data_of,
    put_all,
    refusal,
)

if TYPE_CHECKING:
    from tests.fake_store import FakeStore


@pytest.mark.parametrize("fault", ["error:503:SlowDown", "half", "reset"])
async def test_a_failed_completion_leaves_the_upload_as_it_was(upload: Upload, store: FakeStore, fault: str) -> None:
    datas = data_of(*[3 * MB] * 8)
    sent = await put_all(upload, datas)
    place = f"/b/{hidden.of(upload).folder}00007"
    store.faults[place] = fault
    await refusal(multipart.complete(upload, sent))
    assert PATH not in store.objects
    store.faults.clear()
    page = await multipart.list_parts(upload, 0, 99)
    assert [(part.number, part.size) for part in page.parts] == [(number, 3 * MB) for number in range(1, 9)]
    await multipart.complete(upload, sent)
    assert store.objects[PATH] == b"".join(datas)


async def test_a_part_that_changes_under_a_completion_stops_it(upload: Upload, store: FakeStore) -> None:
    sent = await put_all(upload, data_of(9, 8))
    place = f"/b/{hidden.of(upload).folder}00002"
    stale = await multipart._known_parts(upload, 0, 99)  # what a completion has read a moment ago
    store.objects[place] = b"12345678"
    beside = hidden.of(upload)
    assert await refusal(anext(aiter(beside.stream(stale[1:])))) is INVALID_PART
    assert await refusal(multipart.complete(upload, sent)) is INVALID_PART


async def test_two_completions_at_once_make_one_object(upload: Upload, store: FakeStore) -> None:
    datas = data_of(*[MB] * 12)
    sent = await put_all(upload, datas)
    async with bucket_of(store) as elsewhere:
        other = Upload(elsewhere, KEY, upload.upload_id)
        both = await asyncio.gather(
            multipart.complete(upload, sent), multipart.complete(other, sent), return_exceptions=True
        )
    won = [answer for answer in both if not isinstance(answer, BaseException)]
    lost = [answer.kind for answer in both if isinstance(answer, ApiError)]
    assert len(won) + len(lost) == 2
    assert won
    assert set(lost) <= {NO_SUCH_UPLOAD}
    assert (store.objects, len(store.uploads.finished)) == ({PATH: b"".join(datas)}, 1)


async def test_whoever_completes_second_with_the_same_parts_hears_of_the_same_object(
    upload: Upload, store: FakeStore
) -> None:
    sent = await put_all(upload, data_of(9, 8))

    def somebody_else_was_faster() -> None:
        done = store.uploads.running.pop(upload.upload_id)
        store.objects[PATH] = b"the same"
        store.faults[PATH] = f"etag:{multipart_etag([done.parts[1]])}"

    store.uploads.before_complete = somebody_else_was_faster
    assert (await multipart.complete(upload, sent))[0].endswith("-1")


async def test_an_abort_during_a_completion_wins(upload: Upload, store: FakeStore) -> None:
    sent = await put_all(upload, data_of(9, 8))
    store.uploads.before_complete = store.uploads.running.clear
    assert await refusal(multipart.complete(upload, sent)) is NO_SUCH_UPLOAD
    assert PATH not in store.objects
