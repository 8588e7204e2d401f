"""An upload to OSS that asks for a callback is answered by the callback; there is none here, so nothing is stored."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import oss2
import pytest
from yarl import URL

from gateway.app import utc_now
from gateway.auth import oss_v1, oss_v4
from tests.harness import KEY_ID, SECRET, running_gateway

if TYPE_CHECKING:
    from tests.fake_store import FakeStore

CALLBACK = "eyJjYWxsYmFja1VybCI6Imh0dHA6Ly9hcHAuZXhhbXBsZS9ob29rIn0="
IN_QUERY = "callback=" + CALLBACK.replace("=", "%3D")


def query_of(scheme: str, query: str) -> str:
    """The query of a signed URL for `PUT /demo/new`."""
    if scheme == "oss_v1":
        return oss_v1.presign(
            "PUT", "demo", "new", query, access_key_id=KEY_ID, secret=SECRET, expires_s=600, now=utc_now()
        )
    return oss_v4.presign(
        "PUT",
        "demo",
        "new",
        query,
        access_key_id=KEY_ID,
        secret=SECRET,
        region="cn-hangzhou",
        expires_s=600,
        now=utc_now(),
    )


@pytest.mark.parametrize("scheme", ["oss_v1", "oss_v4"])
async def test_a_signed_url_with_a_callback_stores_nothing(store: FakeStore, scheme: str) -> None:
    async with running_gateway(store.endpoint) as gateway:

        async def put(query: str) -> tuple[int, bytes]:
            url = URL(f"{gateway.url}/demo/new?{query_of(scheme, query)}", encoded=True)
            status, _, body = await gateway.request("PUT", url, data=b"hello", skip_auto_headers=("content-type",))
            return status, body

        status, body = await put(IN_QUERY)
        assert (status, b"<Code>NotImplemented</Code>" in body, b"callback" in body) == (501, True, True), body
        assert store.objects == {}
        assert (await put(""))[0] == 200
    assert store.objects == {"/demo/new": b"hello"}


async def test_an_sdk_that_sends_a_callback_raises_its_own_exception(store: FakeStore) -> None:
    async with running_gateway(store.endpoint) as gateway:
        auth = oss2.Auth(KEY_ID, SECRET.reveal())
        bucket = oss2.Bucket(auth, gateway.url, "demo", is_path_style=True)
        with pytest.raises(oss2.exceptions.ServerError) as caught:
            await asyncio.to_thread(bucket.put_object, "new", b"hello", headers={"x-oss-callback": CALLBACK})
    assert (caught.value.status, caught.value.code, "x-oss-callback" in caught.value.message) == (
        *(501, "NotImplemented"),
        True,
    )
    assert store.objects == {}
