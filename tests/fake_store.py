"""A small S3 store in memory, for what no real store does on request: faults, odd answers, MinIO's manners."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from tests.fake_uploads import FakeUploads, etag

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


@dataclass
class Seen:
    """One request as it reached the store."""

    method: str
    raw_path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class FakeStore:
    """Objects by raw path; `faults` maps a raw path to what goes wrong there, `answers` to what is said as it is."""

    flavour: str = "plain"
    objects: dict[str, bytes] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)
    answers: dict[str, tuple[int, bytes, dict[str, str]]] = field(default_factory=dict)  # by "METHOD /raw/path"
    endpoint: str = ""
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    aborted: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 0
    uploads: FakeUploads = field(default_factory=FakeUploads)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        self.entered.set()
        try:
            fault = self.faults.get(path, "")
            if fault.startswith("early:"):
                return self._error(int(fault.partition(":")[2]), "SlowDown")
            try:
                body = await request.content.read()  # without aiohttp's own limit
            except web.RequestPayloadError:
                self.aborted.set()
                raise
            self.seen.append(
                Seen(
                    request.method,
                    request.raw_path,
                    {name.lower(): value for name, value in request.headers.items()},
                    body,
                )
            )
            if scripted := self.answers.get(f"{request.method} {path}"):
                return web.Response(status=scripted[0], body=scripted[1], headers=scripted[2])
            return await (self._faulty(request, path, fault) if fault else self._plain(request, path, body))
        except (asyncio.CancelledError, ConnectionError):
            self.aborted.set()
            raise

    async def _plain(self, request: web.BaseRequest, path: str, body: bytes) -> web.StreamResponse:
        if answer := self.uploads.answer(request, path, body, self.objects, self.types):
            return answer
        if request.method == "PUT":
            self.objects[path] = body
            self.types[path] = request.headers.get("Content-Type", "")
            return web.Response(headers=self._headers(etag(body)))
        if path not in self.objects:
            return self._error(404, "NoSuchKey")
        if request.method == "DELETE":
            del self.objects[path]
            return web.Response(status=204)
        data = self.objects[path]
        response = web.StreamResponse(headers=self._headers(etag(data)))
        response.content_type = self.types.get(path) or "binary/octet-stream"
        response.content_length = len(data)
        await response.prepare(request)
        if request.method == "GET":
            for start in range(0, len(data), 65_536):
                await response.write(data[start : start + 65_536])
                self.sent += len(data[start : start + 65_536])
        return response

    async def _faulty(self, request: web.BaseRequest, path: str, fault: str) -> web.StreamResponse:
        assert request.transport is not None
        if fault == "reset":
            request.transport.abort()
            return web.Response()
        if fault == "silent":
            await asyncio.sleep(60)
        if fault.startswith("error:"):
            _, status, code = fault.split(":")
            return self._error(int(status), code)
        if fault.startswith("etag:"):  # as some other object there would be answered
            return web.Response(headers=self._headers(f'"{fault.removeprefix("etag:")}"'))
        data = self.objects[path]
        response = web.StreamResponse(headers=self._headers(etag(data)))
        response.content_length = len(data)
        await response.prepare(request)
        await response.write(data[: len(data) // 2])
        if fault == "stall":
            await asyncio.sleep(60)
        request.transport.abort()
        return response

    def _headers(self, tag: str) -> dict[str, str]:
        headers = {"ETag": tag, "Last-Modified": "Sat, 21 Nov 2026 05:01:25 GMT", "x-amz-request-id": "STORE1"}
        if self.flavour == "minio":
            headers |= {"Server": "MinIO", "x-minio-deployment-id": "d1", "x-amz-id-2": "m2", "Vary": "Origin"}
        return headers

    def _error(self, status: int, code: str) -> web.Response:
        namespace = f" {XMLNS}" if self.flavour == "minio" else ""
        text = f"<Error{namespace}><Code>{code}</Code><Message>the store says {code}</Message></Error>"
        return web.Response(status=status, text=text, content_type="application/xml")


@asynccontextmanager
async def fake_store(flavour: str = "plain") -> AsyncIterator[FakeStore]:
    store = FakeStore(flavour)
    async with served(web.Server(store.handle, access_log=None, handler_cancellation=True)) as url:
        store.endpoint = url
        yield store


@asynccontextmanager
async def served(server: web.Server) -> AsyncIterator[str]:
    """Serve on a free loopback port; yield its URL."""
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        listener.close()
        await server.shutdown(0.1)
