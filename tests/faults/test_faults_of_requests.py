"""Faults around one gateway process: the store, Redis, the disk, the clock."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from gateway.app import utc_now
from tests.faults.table import CUT, Fault, happens
from tests.harness import running_gateway
from tests.imaging.pictures import encode, photo_like
from tests.journeys.clouds import picture, running_cloud
from tests.journeys.neighbourhood import BASIC
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from yarl import URL

    from tests.fake_store import FakeStore
    from tests.harness import GatewayUnderTest

PICTURE = encode(photo_like(320, 240), "JPEG", quality=90)
SCORE = "x-oss-process=image/score"
# At the store, by the fault's name.
AT_THE_STORE = {
    "store slow": "silent",
    "store resets": "reset",
    "store breaks off": "half",
    "store stalls": "stall",
    "store says SlowDown": "error:503:SlowDown",
}


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


async def answer(gateway: GatewayUnderTest, url: URL, method: str = "GET", **options: Any) -> tuple[int, bytes]:
    try:
        status, headers, body = await gateway.request(method, url, **options)
    except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError):
        return CUT
    assert status != 503 or "Retry-After" in headers, "a client is told when to come back"
    return status, body


@happens(*AT_THE_STORE)
async def test_a_store_that_fails(fault: Fault, store: FakeStore, caplog: pytest.LogCaptureFixture) -> None:
    store.objects["/demo/a"] = b"hello" * 100_000
    store.faults["/demo/a"] = AT_THE_STORE[fault.name]
    row = {"endpoint": store.endpoint, "response_timeout_s": 0.3, "idle_timeout_s": 0.3}
    upstream = {"default": {**row, "access_key": "up", "secret": "up-secret"}}
    async with running_gateway(store.endpoint, upstream=upstream) as gateway:
        before = gateway.telemetry.exposition()
        got = [(await gateway.get(gateway.s3_url("/demo/a")))[::2]] if "says" in fault.name else []
        got = got or [await answer(gateway, gateway.s3_url("/demo/a"))]
        fault.check(got, before, gateway.telemetry.exposition(), caplog.text)
        del store.faults["/demo/a"]
        assert (await gateway.get(gateway.s3_url("/demo/a")))[0] == 200, "as soon as it is over all is well"


@happens("store down")
async def test_a_store_that_is_not_there(fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
    async with running_gateway(f"http://127.0.0.1:{free_port()}") as gateway:
        before = gateway.telemetry.exposition()
        got = await answer(gateway, gateway.s3_url("/demo/a"))
        fault.check([got], before, gateway.telemetry.exposition(), caplog.text)


@happens("one of two addresses down")
async def test_a_node_that_is_not_there(fault: Fault, store: FakeStore, caplog: pytest.LogCaptureFixture) -> None:
    store.objects["/demo/a"] = b"hello"
    row = {"endpoint": f"http://127.0.0.1:{free_port()}", "endpoints": [store.endpoint]}
    upstream = {"default": {**row, "access_key": "up", "secret": "up-secret"}}
    async with running_gateway("", upstream=upstream) as gateway:
        before = gateway.telemetry.exposition()
        got = {await answer(gateway, gateway.s3_url("/demo/a")) for _ in range(6)}
        assert (await answer(gateway, gateway.s3_url("/demo/b", method="PUT"), "PUT", data=b"kept"))[0] == 200
        fault.check(list(got), before, gateway.telemetry.exposition(), caplog.text)
    assert store.objects["/demo/b"] == b"kept"


@happens("store fails again and again")
async def test_a_store_that_is_left_alone(fault: Fault, store: FakeStore, caplog: pytest.LogCaptureFixture) -> None:
    store.objects["/demo/a"], store.faults["/demo/a"] = b"hello", "reset"
    row = {"endpoint": store.endpoint, "breaker_failures": 3, "breaker_pause_s": 0.2}
    async with running_gateway("", upstream={"default": {**row, "access_key": "up", "secret": "up-secret"}}) as gateway:
        before = gateway.telemetry.exposition()
        assert [(await answer(gateway, gateway.s3_url("/demo/a")))[0] for _ in range(3)] == [502] * 3
        seen = len(store.seen)
        got = await answer(gateway, gateway.s3_url("/demo/a"))
        assert len(store.seen) == seen, "it is not asked"
        assert 'gateway_store_breaker_open{store="default",address="http' in gateway.telemetry.exposition()
        del store.faults["/demo/a"]
        await asyncio.sleep(0.3)
        assert (await answer(gateway, gateway.s3_url("/demo/a")))[0] == 200
        fault.check([got], before, gateway.telemetry.exposition(), caplog.text)


@happens("all addresses down, second tries spent")
async def test_stores_that_are_not_there(fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
    row = {"endpoint": f"http://127.0.0.1:{free_port()}", "endpoints": [f"http://127.0.0.1:{free_port()}"]}
    upstream = {"default": {**row, "breaker_failures": 0, "access_key": "up", "secret": "up-secret"}}
    async with running_gateway("", upstream=upstream) as gateway:
        before = gateway.telemetry.exposition()
        got = {await answer(gateway, gateway.s3_url("/demo/a")) for _ in range(20)}
        assert {status for status, _ in got} == {503}
        fault.check([got.pop()], before, gateway.telemetry.exposition(), caplog.text)


@happens("Redis down, as a cache")
async def test_without_redis_scores_are_computed(
    fault: Fault, store: FakeStore, scorer_address: str, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("redis", reason="the shared cache's client is not installed (pip install .[redis])")
    store.objects["/demo/a.jpg"] = PICTURE
    cache = {"url": f"redis://127.0.0.1:{free_port()}/0"}
    async with running_gateway(store.endpoint, scorer_address, cache=cache) as gateway:
        before = gateway.telemetry.exposition()
        got = await answer(gateway, gateway.s3_url("/demo/a.jpg", SCORE))
        fault.check([got], before, gateway.telemetry.exposition(), caplog.text)


@happens("Redis down, for tasks")
async def test_without_redis_no_analysis_is_promised(
    fault: Fault, store: FakeStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("redis", reason="the client of Redis is not installed (pip install .[redis])")
    store.objects["/demo/a.jpg"] = PICTURE
    tasks = {"url": f"redis://127.0.0.1:{free_port()}/0"}
    async with running_cloud(store.endpoint, "/nonexistent", tmp_path, tasks=tasks) as cloud:
        gateway, document = cloud.gateway, {"source": {"uri": "s3://demo/a.jpg"}, "async": True}
        before, url = gateway.telemetry.exposition(), gateway.raw_url("/v2/analysis/demo/analyze/image_quality")
        got = await answer(gateway, url, "POST", json=document, headers=BASIC)
        fault.check([got], before, gateway.telemetry.exposition(), caplog.text)


@contextmanager
def full_disk(folder: Path) -> Iterator[Path]:
    """A small file system with no room left."""
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)  # noqa: PLW1510 # it is quick, and looked at below
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode()}")
    try:
        (folder / "filling").write_bytes(bytes(1024 * 1024))
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@happens("disk full, body without a length")
async def test_a_body_that_cannot_be_kept_aside(
    fault: Fault, store: FakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield bytes(100_000)

    async with running_gateway(store.endpoint) as gateway:
        before = gateway.telemetry.exposition()
        with full_disk(tmp_path / "disk") as disk, monkeypatch.context() as patch:
            patch.setattr("tempfile.tempdir", str(disk))
            got = await answer(gateway, gateway.s3_url("/demo/a", method="PUT"), "PUT", data=body())
        fault.check([got], before, gateway.telemetry.exposition(), caplog.text)
        assert store.objects == {}
        assert (await answer(gateway, gateway.s3_url("/demo/a", method="PUT"), "PUT", data=body()))[0] == 200


@happens("disk full, data folder")
async def test_a_ledger_that_cannot_grow(
    fault: Fault, store: FakeStore, scorer_address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with full_disk(tmp_path / "disk") as disk:
        async with running_cloud(store.endpoint, scorer_address, disk / "data") as cloud:
            before = cloud.gateway.telemetry.exposition()
            status, reply = await cloud.upload(picture(), public_id="one")
            got = (status, reply["error"]["message"].encode())
            fault.check([got], before, cloud.gateway.telemetry.exposition(), caplog.text)


@happens("queue of scorers full")
async def test_a_queue_without_a_place(
    fault: Fault, store: FakeStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.objects["/demo/a.jpg"] = PICTURE
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as jobs, ExitStack() as waiting:
        jobs.bind(str(tmp_path / "jobs"))
        jobs.listen(0)
        waiting.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)).connect(str(tmp_path / "jobs"))
        async with running_gateway(store.endpoint, str(tmp_path / "jobs")) as gateway:
            before = gateway.telemetry.exposition()
            got = await answer(gateway, gateway.s3_url("/demo/a.jpg", SCORE))
            fault.check([got], before, gateway.telemetry.exposition(), caplog.text)


@happens("clock ahead by an hour", "clock behind by an hour")
async def test_a_clock_that_jumps(
    fault: Fault, store: FakeStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    jump = [timedelta()]
    monkeypatch.setattr("gateway.app.utc_now", lambda: utc_now() + jump[0])
    store.objects["/demo/a"] = b"hello"
    async with running_gateway(store.endpoint) as gateway:
        before = gateway.telemetry.exposition()
        jump[0] = timedelta(hours=1 if "ahead" in fault.name else -1)
        got = await answer(gateway, gateway.s3_url("/demo/a"))
        fault.check([got], before, gateway.telemetry.exposition(), caplog.text)
        jump[0] = timedelta()
        assert (await gateway.get(gateway.s3_url("/demo/a")))[0] == 200
