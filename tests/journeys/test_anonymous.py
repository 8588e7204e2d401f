from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from yarl import URL

from tests.harness import running_gateway

if TYPE_CHECKING:
    from tests.fake_store import FakeStore

OPEN = {"anonymous": "configured", "anonymous_prefixes": ["public/"]}


@pytest.mark.parametrize(
    ("settings", "method", "path", "status"),
    [
        ({}, "GET", "/demo/public/a", 403),
        (OPEN, "GET", "/demo/public/a", 200),
        (OPEN, "HEAD", "/demo/public/a", 200),
        (OPEN, "GET", "/demo/private/a", 403),
        (OPEN, "GET", "/demo/?prefix=public/", 403),
        (OPEN, "PUT", "/demo/public/a", 403),
        (OPEN, "DELETE", "/demo/public/a", 403),
        (OPEN, "GET", "/demo/public/a?acl", 403),
        (OPEN, "GET", "/demo/public/a?x-oss-process=image/score", 403),
        (OPEN, "GET", "/demo/public/a?ci-process=AssessQuality", 403),
        (OPEN, "GET", "/other/public/a", 403),
    ],
)
async def test_the_unsigned_may_do_what_is_configured_and_nothing_else(
    store: FakeStore, settings: dict[str, object], method: str, path: str, status: int
) -> None:
    store.objects |= {"/demo/public/a": b"1", "/demo/private/a": b"2", "/other/public/a": b"3"}
    async with running_gateway(store.endpoint, buckets={"demo": settings}) as gateway:
        got, _, _ = await gateway.request(method, URL(f"{gateway.url}{path}", encoded=True))
    assert got == status
    assert len(store.seen) == (status == 200)
