"""What becomes of uploads in small parts that nobody completes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from gateway.journeys import multipart
from gateway.stores import parts as hidden
from tests.journeys.part_uploads import (
    HOURS,
    NOW,
    begun,
    data_of,
    hidden_objects,
    put_all,
    refusal,
)

if TYPE_CHECKING:
    from gateway.stores.upstream import StoreBucket
    from tests.fake_store import FakeStore


async def test_what_nobody_completes_is_removed_by_age(bucket: StoreBucket, store: FakeStore) -> None:
    old, young, native = await begun(bucket), await begun(bucket, "young"), await begun(bucket, "native")
    for upload in (old, young):
        await put_all(upload, data_of(9, 8))
    native_parts = store.uploads.running[native.upload_id].parts
    native_parts[1] = b"of an S3 client"
    for number in (1, 2):
        store.uploads.modified[f"{hidden.of(old).folder}0000{number}"] = "2026-11-01T00:00:00.000Z"
    store.uploads.modified[f"{hidden.of(young).folder}00001"] = "2026-11-01T00:00:00.000Z"
    await begun(bucket, "another")
    assert old.upload_id not in store.uploads.running
    assert {young.upload_id, native.upload_id} <= store.uploads.running.keys()
    assert {path.rpartition("/")[0] for path in hidden_objects(store)} == {f"/b/{hidden.of(young).folder}"[:-1]}


async def test_a_sweep_is_bounded_and_reaches_everything_in_time(bucket: StoreBucket, store: FakeStore) -> None:
    for number in range(1500):
        key = f"{hidden.folder('k', str(number))}00001"
        store.objects[f"/b/{key}"] = b"x"
        store.uploads.modified[key] = "2026-11-01T00:00:00.000Z"
    await multipart.sweep(bucket, NOW, 24 * HOURS)
    assert 500 <= len(hidden_objects(store)) < 1500
    for _ in range(10):
        await multipart.sweep(bucket, NOW, 24 * HOURS)
    assert hidden_objects(store) == []


async def test_a_sweep_that_fails_hinders_nobody(bucket: StoreBucket, store: FakeStore) -> None:
    store.faults["/b"] = "error:403:AccessDenied"
    assert await refusal(multipart.sweep(bucket, NOW, HOURS)) is not None
    assert (await begun(bucket)).upload_id


async def test_a_sweep_leaves_what_is_younger_than_the_setting(bucket: StoreBucket, store: FakeStore) -> None:
    upload = await begun(bucket)
    await put_all(upload, data_of(9))
    await multipart.sweep(bucket, NOW, HOURS)
    assert hidden_objects(store)
    await multipart.sweep(bucket, NOW + timedelta(hours=2), HOURS)
    assert (hidden_objects(store), store.uploads.running) == ([], {})


async def test_without_an_age_nothing_is_swept(bucket: StoreBucket, store: FakeStore) -> None:
    upload = await begun(bucket)
    await put_all(upload, data_of(9))
    await multipart.initiate(bucket, "other", (), NOW + timedelta(days=999), 0)
    assert hidden_objects(store)


async def test_an_upload_that_a_sweep_sees_in_part_is_not_judged(bucket: StoreBucket, store: FakeStore) -> None:
    first, second = sorted(hidden.folder("k", name) for name in "ab")
    old = [*(f"{first}{number:05}" for number in range(1, hidden.SWEEP_KEYS)), f"{second}00001"]
    for key in (*old, f"{second}00002"):
        store.objects[f"/b/{key}"] = b"x"
    store.uploads.modified |= dict.fromkeys(old, "2026-11-01T00:00:00.000Z")
    assert (await hidden.expired(bucket, "2026-11-02T00:00:00.000Z", "0")).keys() == {first}
