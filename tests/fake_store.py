"""A small S3 store in memory, for what no real store does on request: faults, odd answers, MinIO's manners."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from tests import fake_minio
from tests.fake_uploads import FakeUploads, error, etag

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from gateway.listener import PublicServer

XMLNS = fake_minio.XMLNS


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
    acts: dict[str, Callable[[], object]] = field(default_factory=dict)  # others' doing, once, just before such a one
    endpoint: str = ""
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    aborted: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 0  # bytes of bodies
    peers: set[tuple[str, int]] = field(default_factory=set)  # the other ends of the connections that were used
    answered: Counter[int] = field(default_factory=Counter)  # objects, by status
    honours_ranges: bool = True
    open_gate: asyncio.Event = field(default_factory=asyncio.Event)  # while it is not set, bodies and 304s wait for it
    told: dict[str, str] = field(default_factory=dict)  # headers of objects, instead of the usual ones or beside them
    uploads: FakeUploads = field(default_factory=FakeUploads)

    def __post_init__(self) -> None:
        self.open_gate.set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        self.entered.set()
        if request.transport is not None:
            self.peers.add(request.transport.get_extra_info("peername"))
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
            if act := self.acts.pop(f"{request.method} {path}", None):
                act()
            if scripted := self.answers.get(f"{request.method} {path}"):
                return web.Response(status=scripted[0], body=scripted[1], headers=scripted[2])
            response = await (self._faulty(request, path, fault) if fault else self._plain(request, path, body))
            return fake_minio.in_its_manner(response) if self.flavour == "minio" else response
        except (asyncio.CancelledError, ConnectionError):
            self.aborted.set()
            raise

    async def _plain(self, request: web.BaseRequest, path: str, body: bytes) -> web.StreamResponse:
        if self.flavour == "minio" and (answer := fake_minio.answer(request, path, self.objects)):
            return answer
        uploaded = self.uploads.answer(request, path, body, self.objects, self.types)
        if answer := uploaded or fake_minio.copied(request, path, self.objects):
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
        return await self._object(request, self.objects[path], self.types.get(path))

    async def _object(self, request: web.BaseRequest, data: bytes, kind: str | None) -> web.StreamResponse:
        if request.headers.get("If-None-Match") == etag(data):
            self.answered[304] += 1
            await self.open_gate.wait()
            return web.Response(status=304, headers=self._headers(etag(data)))
        span = self._span(request, len(data))
        if span is not None and span[0] >= len(data):
            return self._error(416, "InvalidRange")
        response = web.StreamResponse(status=200 if span is None else 206, headers=self._headers(etag(data)))
        if span is not None:
            response.headers["Content-Range"] = f"bytes {span[0]}-{span[1] - 1}/{len(data)}"
            data = data[span[0] : span[1]]
        self.answered[response.status] += 1
        response.content_type = kind or "binary/octet-stream"
        response.content_length = len(data)
        await response.prepare(request)
        if request.method == "GET":
            await self.open_gate.wait()
            for start in range(0, len(data), 65_536):
                await response.write(data[start : start + 65_536])
                self.sent += len(data[start : start + 65_536])
        return response

    def _span(self, request: web.BaseRequest, length: int) -> tuple[int, int] | None:
        """What a Range header asks for, as a half-open interval; None for the whole."""
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        if asked is None or not self.honours_ranges:
            return None
        return int(asked[1]), min(length, int(asked[2]) + 1 if asked[2] else length)

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
            headers |= fake_minio.HEADERS
        return headers | self.told

    def _error(self, status: int, code: str) -> web.Response:
        return error(status, code)


@asynccontextmanager
async def fake_store(flavour: str = "plain") -> AsyncIterator[FakeStore]:
    store = FakeStore(flavour)
    async with served(web.Server(store.handle, access_log=None, handler_cancellation=True)) as url:
        store.endpoint = url
        yield store


@asynccontextmanager
async def served(server: web.Server | PublicServer) -> AsyncIterator[str]:
    """Serve on a free loopback port; yield its URL."""
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        listener.close()
        await server.shutdown(0.1)
