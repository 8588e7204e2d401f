"""A gateway inside the test's own event loop, and a plain signed client to talk to it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from gateway.app import compose, public_server, utc_now
from gateway.auth import aws_v4, cos, oss_v1
from gateway.credentials import EVERYTHING, Credential, Identity, Secret, Statement
from gateway.key_file import LiveKeys
from gateway.settings import load
from gateway.telemetry import Telemetry
from tests.fake_store import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from datetime import datetime

    from gateway.live_gateway import LiveGateway

KEY_ID = "GATEWAYDEMO"
SECRET = Secret("gateway-demo-secret")
READER_ID = "READER"  # may read below demo/public/ and list nothing
HOST_SUFFIXES = {
    "s3": {"hosts": ["s3.localhost"]},
    "oss": {"hosts": ["oss.localhost"]},
    "cos": {"hosts": ["cos.localhost"]},
}


@dataclass
class GatewayUnderTest:
    """Where the gateway listens, and what it counted."""

    url: str
    telemetry: Telemetry
    session: aiohttp.ClientSession
    live: LiveGateway

    @property
    def authority(self) -> str:
        return self.url.removeprefix("http://")

    def now(self) -> datetime:
        return utc_now()

    def raw_url(self, target: str) -> URL:
        """A URL whose target stays as it is written."""
        return URL(f"{self.url}{target}", encoded=True)

    def s3_url(self, path: str, query: str = "", *, key_id: str = KEY_ID, method: str = "GET") -> URL:
        """A presigned SigV4 URL for a raw path."""
        signed = aws_v4.presign(
            method,
            path,
            query,
            self.authority,
            access_key_id=key_id,
            secret=SECRET,
            region="us-east-1",
            expires_s=600,
            now=utc_now(),
        )
        return URL(f"{self.url}{path}?{signed}", encoded=True)

    def oss_url(self, bucket: str, key: str, query: str = "", *, key_id: str = KEY_ID) -> URL:
        """An OSS V1 URL, path style."""
        signed = oss_v1.presign(
            "GET", bucket, key, query, access_key_id=key_id, secret=SECRET, expires_s=600, now=utc_now()
        )
        return URL(f"{self.url}/{bucket}/{key}?{signed}", encoded=True)

    def cos_url(self, bucket: str, key: str, query: str = "") -> tuple[URL, dict[str, str]]:
        """A COS URL, and the Host header that it was signed for."""
        host = f"{bucket}.cos.localhost"
        signed = cos.presign(
            "GET", f"/{key}", query, host, access_key_id=KEY_ID, secret=SECRET, expires_s=600, now=utc_now()
        )
        return URL(f"{self.url}/{key}?{signed}", encoded=True), {"Host": host}

    async def get(self, url: URL, **options: Any) -> tuple[int, Mapping[str, str], bytes]:
        return await self.request("GET", url, **options)

    async def request(self, method: str, url: URL, **options: Any) -> tuple[int, Mapping[str, str], bytes]:
        async with self.session.request(method, url, **options) as response:
            return response.status, response.headers.copy(), await response.read()


def impatient(endpoint: str) -> dict[str, dict[str, object]]:
    """Settings of upstreams, of which the one there is may be silent for 0.4 seconds only."""
    return {"default": {"endpoint": endpoint, "access_key": "up", "secret": "s", "idle_timeout_s": 0.4}}


def keyring() -> dict[str, Credential]:
    reader = Identity("reader", (Statement("allow", ("s3:GetObject",), ("demo/public/*",)),))
    return {
        KEY_ID: Credential(KEY_ID, SECRET, Identity("demo", EVERYTHING)),
        READER_ID: Credential(READER_ID, SECRET, reader),
    }


@asynccontextmanager
async def running_gateway(
    endpoint: str,
    scorer_address: str = "/nonexistent",
    clients: dict[str, Credential] | None = None,
    **tables: dict[str, Any],
) -> AsyncIterator[GatewayUnderTest]:
    """Run a gateway in front of `endpoint`; `tables` are settings tables that replace the default ones."""
    base: dict[str, Any] = {
        "upstream": {"default": {"endpoint": endpoint, "access_key": "up", "secret": "up-secret"}},
        "dialects": HOST_SUFFIXES,
        "buckets": {"demo": {}},
        **tables,
    }
    settings = load(None, {}, base)
    telemetry = Telemetry(ready=True, settings=settings.telemetry)
    async with AsyncExitStack() as stack:
        gateway = await compose(settings, LiveKeys(clients or keyring()), scorer_address, telemetry, stack)
        server = public_server(gateway)
        silence = asyncio.create_task(server.close_silent(settings.server.silence_s))
        stack.callback(silence.cancel)
        url = await stack.enter_async_context(served(server))
        session = aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())
        await stack.enter_async_context(session)
        yield GatewayUnderTest(url, telemetry, session, gateway)
