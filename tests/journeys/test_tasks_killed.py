"""Promised analyses while gateways are killed: each comes to one end, each is told, each telling is signed.

Two gateways with processes and scorers of their own share one ledger, in a file or in Redis. Receivers fail at random.
In the middle the one's gateway process gets SIGKILL, and the other one as a whole, supervisor included.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import cloudinary
import pytest
from cloudinary.utils import verify_notification_signature

from gateway.credentials import Secret
from tests.imaging.pictures import encode, photo_like
from tests.journeys.clouds import basic
from tests.journeys.neighbourhood import Neighbourhood, neighbourhood, until
from tests.ports import free_port
from tests.proc import eventually
from tests.served import KEYS, SETTINGS, Place, Served, wait_ready

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.fake_store import FakeStore

TASKS = int(os.environ.get("KILLED_TASKS", "100"))
LIMIT_S = 60 + TASKS * 0.6
AUTH = basic("TESTS", "tests-secret")
CLOUD = """
[clouds.demo]
bucket = "demo"
[fetch]
allow = ["{around}"]
[tasks]
url = "{url}"
lease_s = 3.0
poll_s = 0.1
first_wait_s = 0.1
longest_wait_s = 1.0
deliveries = 60
max_open = 100000
[limits]
deadline_s = 30.0
[telemetry]
store_check_s = 0
"""  # the store is of the loop that waits for the gateways, and cannot answer meanwhile
FAILING = 7  # one task in so many has a source that is not there


@dataclass
class Pair:
    """Two gateways on one ledger."""

    a: Served
    b: Served
    second: subprocess.Popen[bytes]

    def kill_a_process(self) -> None:
        """Kill the gateway process of the first; its supervisor starts another."""
        killed = self.a.gateway_pids()
        assert len(killed) == 1
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: bool(self.a.gateway_pids() - killed))

    def kill_the_second(self) -> None:
        """Kill all of the second at once, so that nobody starts anything again."""
        pids = {*self.b.gateway_pids(), *self.b.scorer_pids()}
        assert len(pids) == 2
        for pid in (self.b.pid, *pids):
            os.kill(pid, signal.SIGKILL)
        assert self.second.wait(10) == -signal.SIGKILL


@contextmanager
def one_gateway(folder: Path, endpoint: str, more: str) -> Iterator[tuple[Served, subprocess.Popen[bytes]]]:
    """Run `gateway serve`; unlike `tests.served.serving` it does not mind how that ends."""
    port, admin_port = free_port(), free_port()
    settings = folder / "gateway.toml"
    folder.mkdir()
    (folder / "keys.toml").write_text(KEYS)
    (folder / "keys.toml").chmod(0o600)
    text = SETTINGS.format(port=port, admin_port=admin_port, endpoint=endpoint, key_id="up", secret="any")
    settings.write_text(text.replace("[upstream", f'data_dir = "{folder.parent}/data"\n[upstream', 1) + more)
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(settings)]
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=dict(os.environ))
    try:
        place = Place(f"127.0.0.1:{port}", "TESTS", Secret("tests-secret"))
        yield Served(place, f"127.0.0.1:{admin_port}", process.pid), process
    finally:
        process.terminate()
        process.wait(30)


@dataclass
class Client:
    """Somebody who asks for analyses and watches how far they are, on whichever gateway answers."""

    session: aiohttp.ClientSession
    places: list[str]
    promised: list[str] = field(default_factory=list)
    seen: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    async def ask(self, number: int, hook: str) -> None:
        """Ask until somebody promises: a gateway may be dying just now."""
        name = "none" if number % FAILING == 0 else f"a{number % 5}"
        request = {"source": {"uri": f"s3://demo/{name}.jpg"}, "async": True, "notification_url": hook}
        document = await self._any("POST", "analyze/image_quality", number, json=request)
        self.promised.append(document["data"]["task_id"])

    async def look(self, task_id: str) -> str:
        """Ask how far a task is, and remember it."""
        document = await self._any("GET", f"tasks/{task_id}", len(self.seen))
        status: str = document["data"]["status"]
        self.seen[task_id].append(status)
        return status

    async def _any(self, method: str, path: str, turn: int, **options: Any) -> dict[str, Any]:
        for attempt in range(1000):
            place = self.places[(turn + attempt) % len(self.places)]
            url = f"http://{place}/v2/analysis/demo/{path}"
            try:
                async with self.session.request(method, url, headers=AUTH, **options) as answer:
                    if answer.status in (200, 202):
                        document: dict[str, Any] = await answer.json()
                        return document
                    assert answer.status >= 500, await answer.text()
            except (aiohttp.ClientError, OSError):
                pass
            await asyncio.sleep(0.05)
        raise AssertionError("no gateway answers")


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    """Where the ledger is."""
    return str(request.getfixturevalue("redis_url")) if request.param == "redis" else ""


@pytest.fixture
async def around() -> AsyncIterator[Neighbourhood]:
    chance = random.Random(6)  # noqa: S311 # not a secret
    async with neighbourhood() as running:
        running.takes = lambda: chance.random() > 0.4
        yield running


@pytest.fixture
def pair(tmp_path: Path, store: FakeStore, around: Neighbourhood, url: str) -> Iterator[Pair]:
    for number in range(5):
        store.objects[f"/demo/a{number}.jpg"] = encode(photo_like(160 + number, 120), "JPEG", quality=80)
    more = CLOUD.format(around=around.authority, url=url)
    with ExitStack() as stack:
        started = [
            stack.enter_context(one_gateway(tmp_path / name, store.endpoint, more)) for name in ("first", "second")
        ]
        for served, process in started:  # both start at once
            wait_ready(int(served.admin.rpartition(":")[2]), process)
        yield Pair(started[0][0], started[1][0], started[1][1])


@pytest.mark.timeout(LIMIT_S + 60)
async def test_every_task_comes_to_one_end_and_is_told_whoever_dies(pair: Pair, around: Neighbourhood) -> None:
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        client = Client(session, [pair.a.place.authority, pair.b.place.authority])
        asking = asyncio.create_task(_ask_for_all(client, around.hook))
        await until(lambda: len(client.promised) >= TASKS // 4, LIMIT_S)
        await asyncio.to_thread(pair.kill_a_process)
        await until(lambda: len(client.promised) >= TASKS // 2, LIMIT_S)
        await asyncio.to_thread(pair.kill_the_second)
        client.places.remove(pair.b.place.authority)
        await asking
        watching = [asyncio.create_task(_watch(client, task_id)) for task_id in client.promised]
        await until(lambda: {n.document["task_id"] for n in _taken(around)} >= {*client.promised}, LIMIT_S)
        await asyncio.gather(*watching)
    _check(client, around)


async def _ask_for_all(client: Client, hook: str) -> None:
    for number in range(TASKS):
        await client.ask(number, hook)


async def _watch(client: Client, task_id: str) -> None:
    """Look until a final status has been seen, and once more."""
    while await client.look(task_id) not in ("completed", "failed"):  # noqa: ASYNC110 # nobody announces it
        await asyncio.sleep(0.5)
    await asyncio.sleep(0.5)
    await client.look(task_id)


def _taken(around: Neighbourhood) -> list[Any]:
    return [note for note in around.notes if note.accepted]


def _check(client: Client, around: Neighbourhood) -> None:
    cloudinary.config(cloud_name="demo", api_key="TESTS", api_secret="tests-secret")
    assert len({*client.promised}) == TASKS
    told = defaultdict(set)
    for note in around.notes:
        assert verify_notification_signature(note.body, note.timestamp, note.signature)
        told[note.document["task_id"]].add((note.document["http_status"], note.body))
    assert all(len(told[task_id]) == 1 for task_id in client.promised), "one task, two outcomes"
    ends = []
    for task_id in client.promised:
        ((http_status, _),) = told[task_id]
        statuses = client.seen[task_id]
        final = "completed" if http_status == 200 else "failed"
        assert statuses[-2:] == [final, final]
        assert {*statuses[:-2]} <= {"pending", "processing", final}
        ends.append(final)
    assert ends.count("failed") == len(range(0, TASKS, FAILING))
    assert len(around.notes) > TASKS  # receivers did fail
