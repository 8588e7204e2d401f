"""What lies around a gateway in a vendor's eyes: a host of pictures, and a receiver of notifications; both loopback."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.fake_store import served
from tests.harness import running_gateway
from tests.journeys.clouds import basic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from tests.harness import GatewayUnderTest

BASIC = basic()


async def until(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    """Wait for something that nobody announces."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 # see above
            await asyncio.sleep(0.02)


@dataclass(frozen=True)
class Note:
    """One delivery of a notification: its text, and the headers that prove it."""

    body: str
    timestamp: str
    signature: str
    accepted: bool

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document


@dataclass
class Neighbourhood:
    """Pictures by path, notifications as they come; `takes` decides whether the receiver takes the next one."""

    url: str = ""
    pictures: dict[str, bytes] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    takes: Callable[[], bool] = lambda: True

    @property
    def authority(self) -> str:
        return self.url.removeprefix("http://")

    @property
    def hook(self) -> str:
        return f"{self.url}/hook"

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "GET":
            data = self.pictures.get(request.raw_path)
            return web.Response(status=404) if data is None else web.Response(body=data, content_type="image/jpeg")
        body, accepted = await request.text(), self.takes()
        headers = request.headers
        self.notes.append(Note(body, headers["X-Cld-Timestamp"], headers["X-Cld-Signature"], accepted))
        return web.Response(status=200 if accepted else 500)

    async def note(self, task_id: str) -> Note:
        """Wait for a notification of this task that was taken."""
        await until(lambda: any(self._told(task_id)))
        return next(iter(self._told(task_id)))

    def _told(self, task_id: str) -> list[Note]:
        return [note for note in self.notes if note.accepted and note.document["task_id"] == task_id]


@asynccontextmanager
async def neighbourhood() -> AsyncIterator[Neighbourhood]:
    around = Neighbourhood()
    async with served(web.Server(around.handle, access_log=None)) as url:
        around.url = url
        yield around


@asynccontextmanager
async def cloud_gateway(
    endpoint: str, scorer_address: str, folder: Path, around: Neighbourhood, **tables: Mapping[str, Any]
) -> AsyncIterator[GatewayUnderTest]:
    """Run a gateway with the cloud `demo`, which may fetch from the neighbourhood and tell it what comes of tasks."""
    quick = {"poll_s": 0.05, "first_wait_s": 0.05, "longest_wait_s": 0.2}
    merged: dict[str, Any] = {
        "server": {"data_dir": str(folder)},
        "fetch": {"allow": [around.authority]},
        "clouds": {"demo": {"bucket": "demo"}},
        **tables,
        "tasks": {**quick, **tables.get("tasks", {})},
    }
    async with running_gateway(endpoint, scorer_address, **merged) as gateway:
        yield gateway


async def analyze(
    gateway: GatewayUnderTest, document: object, auth: Mapping[str, str] = BASIC, path: str = ""
) -> tuple[int, dict[str, Any]]:
    """Post to the Analyze API."""
    target = path or "/v2/analysis/demo/analyze/image_quality"
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    status, _, body = await gateway.request("POST", gateway.raw_url(target), data=data, headers=auth)
    return status, json.loads(body)


async def task_status(gateway: GatewayUnderTest, task_id: str, auth: Mapping[str, str] = BASIC) -> tuple[int, Any]:
    """Ask how far a task is."""
    status, _, body = await gateway.get(gateway.raw_url(f"/v2/analysis/demo/tasks/{task_id}"), headers=auth)
    document = json.loads(body)
    return status, document["data"]["status"] if status == 200 else document["error"]["message"]
