"""Two gateways behind HAProxy, replaced one after the other under load: no broken transfer and no 5xx."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from gateway.app import utc_now
from gateway.auth import aws_v4
from gateway.credentials import Secret
from tests.deploy.haproxy import haproxy, loaded
from tests.faults.table import figure
from tests.ports import free_port
from tests.proc import eventually
from tests.served import KEYS, SETTINGS, wait_ready
from tests.stores_up.debian import install
from tests.threaded_store import threaded_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fake_store import FakeStore

ROUNDS = int(os.environ.get("ROLLING_RESTARTS", "1"))  # how often each gateway is replaced
DOWNLOADS = 50
PIECES, PIECE_S = 20, 0.1  # of a long download: two seconds, longer than the pause
DATA = os.urandom(PIECES * 16 * 1024)
DIGEST = hashlib.sha256(DATA).hexdigest()
pytestmark = pytest.mark.timeout(120 + 60 * ROUNDS)


class SlowStore:
    """A store that sends the object `long` piece by piece, and any other one at once."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if "/long" not in request.raw_path:
            return web.Response(body=b"hello", headers={"ETag": '"1"'})
        response = web.StreamResponse(headers={"ETag": '"2"'})
        response.content_length = len(DATA)
        await response.prepare(request)
        for start in range(0, len(DATA), len(DATA) // PIECES):
            await response.write(DATA[start : start + len(DATA) // PIECES])
            await asyncio.sleep(PIECE_S)
        return response


@dataclass
class Replaceable:
    """A gateway at the same ports each time it is started."""

    folder: Path
    port: int = field(default_factory=free_port)
    admin_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "gateway", "serve", "--config", str(self.folder / "gateway.toml")]
        with (self.folder / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_ready(self.admin_port, self.process)

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0, (self.folder / "serve.log").read_text()

    def connections(self) -> float:
        with closing(http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10)) as connection:
            connection.request("GET", "/metrics")
            return figure(connection.getresponse().read().decode(), "gateway_connections_open")


@contextmanager
def gateway(folder: Path, endpoint: str) -> Iterator[Replaceable]:
    folder.mkdir()
    made = Replaceable(folder)
    (folder / "keys.toml").write_text(KEYS)
    (folder / "keys.toml").chmod(0o600)
    names = {"endpoint": endpoint, "key_id": "up", "secret": "any"}
    settings = SETTINGS.format(port=made.port, admin_port=made.admin_port, **names)
    assert "drain_s = 5" in settings
    (folder / "gateway.toml").write_text(settings.replace("drain_s = 5", "drain_pause_s = 1.0\ndrain_s = 60.0"))
    made.start()
    try:
        yield made
    finally:
        made.stop()


def presigned(authority: str, path: str) -> URL:
    query = aws_v4.presign(
        *("GET", path, "", authority),
        access_key_id="TESTS",
        secret=Secret("tests-secret"),
        region="us-east-1",
        expires_s=3600,
        now=utc_now(),
    )
    return URL(f"http://{authority}{path}?{query}", encoded=True)


async def download(session: aiohttp.ClientSession, url: URL, over: asyncio.Event, ended: Counter[str]) -> None:
    """Download again and again until it is over."""
    while not over.is_set():
        try:
            async with session.get(url) as answer:
                body = await answer.read()
                whole = hashlib.sha256(body).hexdigest() == DIGEST
                ended["whole" if answer.status == 200 and whole else f"{answer.status}"] += 1
        except aiohttp.ClientError as error:
            ended[type(error).__name__] += 1


def wait_for_shares(gateways: list[Replaceable]) -> None:
    """Wait until HAProxy has found every gateway, and its share of the downloads is there."""
    eventually(lambda: all(each.connections() > DOWNLOADS / 5 for each in gateways), 30)


async def replace_each(gateways: list[Replaceable]) -> None:
    for each in gateways * ROUNDS:
        await asyncio.to_thread(wait_for_shares, gateways)
        await asyncio.to_thread(each.stop)
        await asyncio.to_thread(each.start)
    await asyncio.to_thread(wait_for_shares, gateways)


async def test_a_rolling_restart_breaks_nothing(tmp_path: Path) -> None:
    install("haproxy", "wrk")
    store: FakeStore = SlowStore()  # type: ignore[assignment] # all that is asked of it is to handle requests
    with (
        threaded_store(store) as endpoint,
        gateway(tmp_path / "one", endpoint) as one,
        gateway(tmp_path / "two", endpoint) as two,
        haproxy(tmp_path, [(one.port, one.admin_port), (two.port, two.admin_port)]) as authority,
        loaded(str(presigned(authority, "/demo/short")), 60 * (ROUNDS + 1)) as report,
    ):
        over, ended = asyncio.Event(), Counter[str]()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            url = presigned(authority, "/demo/long")
            downloads = [asyncio.create_task(download(session, url, over, ended)) for _ in range(DOWNLOADS)]
            await replace_each([one, two])
            over.set()
            await asyncio.gather(*downloads)
    assert set(ended) == {"whole"}, ended
    assert ended["whole"] >= 2 * DOWNLOADS, report[0]
    assert "Non-2xx" not in report[0], report[0]
    assert "Socket errors" not in report[0], report[0]
    served = re.search(r"(\d+) requests in", report[0])
    assert served
    assert int(served[1]) > 0
