from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.journeys.clouds import running_cloud
from tests.journeys.part_uploads import begun, bucket_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.stores.uploads import Upload
    from gateway.stores.upstream import StoreBucket
    from tests.fake_store import FakeStore
    from tests.journeys.clouds import CloudUnderTest


@pytest.fixture
async def bucket(store: FakeStore) -> AsyncIterator[StoreBucket]:
    async with bucket_of(store) as made:
        yield made


@pytest.fixture
async def upload(bucket: StoreBucket) -> Upload:
    return await begun(bucket)


@pytest.fixture
async def cloud(store: FakeStore, scorer_address: str, tmp_path: Path) -> AsyncIterator[CloudUnderTest]:
    async with running_cloud(store.endpoint, scorer_address, tmp_path) as running:
        yield running
