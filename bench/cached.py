"""What a repeated score costs: requests a second beside a plain GET, and what the origin was asked, by its own log."""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from bench.load import cpu_seconds, wrk
from bench.servers import running, signed, start_gateway
from bench.tools import Row, interleaved
from gateway.credentials import Secret
from gateway.stores.embedded import StoreAccess
from tests.imaging.pictures import encode, photo_like
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.servers import Gateway

SCORE = "x-oss-process=image%2Fscore"
AT_ONCE = 200
ROUNDS, SECONDS, CONNECTIONS = 5, 3, 16
ORIGIN = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  log_format told "$status $request_method $uri $body_bytes_sent"; access_log {folder}/origin.log told;
  sendfile on; keepalive_requests 1000000; default_type application/octet-stream;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{origin}; root {folder}/files; }}
}}
"""


def rows(rounds: int = ROUNDS) -> list[Row]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        origin = free_port()
        write_objects(folder)
        (folder / "nginx.conf").write_text(ORIGIN.format(folder=folder, origin=origin))
        command = ["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)]
        stack.enter_context(running(command, dict(os.environ), f"http://127.0.0.1:{origin}/bench/10KB"))
        any_key = StoreAccess(f"http://127.0.0.1:{origin}", "us-east-1", "any", Secret("any"))  # nginx checks none
        gateway = start_gateway(stack, folder, any_key)
        log = folder / "origin.log"
        return [*repeated(log, gateway, rounds), *new_object(log, gateway)]


def write_objects(folder: Path) -> None:
    place = folder / "files" / "bench"
    place.mkdir(parents=True)
    (place / "10KB").write_bytes(bytes(10 * 1024))
    photo = encode(photo_like(1600, 1067), "JPEG", quality=90)
    for name in ("a.jpg", "new.jpg"):
        (place / name).write_bytes(photo)
    folder.chmod(0o755)  # nginx's workers are another user


def repeated(log: Path, gateway: Gateway, rounds: int) -> list[Row]:
    """A score that is known beside a plain GET; the origin must have been asked once a score, with a condition."""
    place, pid = gateway.authority, gateway.pid
    urls = {"plain": signed(place, "/bench/10KB"), "score": signed(place, "/bench/a.jpg", query=SCORE)}
    requests_per_second(urls["score"], seconds=1)  # the first one computes
    log.write_text("")
    cost: dict[str, list[float]] = {name: [] for name in urls}

    def speed(name: str) -> float:
        before, requests = cpu_seconds(pid), requests_per_second(urls[name])
        cost[name].append((cpu_seconds(pid) - before) / (requests * SECONDS) * 1e6)
        return requests

    speeds = interleaved({name: partial(speed, name) for name in urls}, rounds)
    score_cpu, plain_cpu = (statistics.median(cost[name]) for name in ("score", "plain"))
    asked = statuses(log, "/bench/a.jpg")
    ratio = speeds["score"] / speeds["plain"]
    downloads = asked.count("200")
    told = f"{asked.count('304')} answered 304"
    return [
        Row(
            "known score / plain GET 10 KB",
            f"score {speeds['score']:.0f}/s",
            f"plain {speeds['plain']:.0f}/s",
            ratio,
            at_least=0.8,
        ),
        Row(
            "  CPU time of the gateway process for one",
            f"score {score_cpu:.0f} us",
            f"plain {plain_cpu:.0f} us",
            score_cpu / plain_cpu,
            columns={"score": {"cpu_us": score_cpu}, "plain": {"cpu_us": plain_cpu}},
        ),
        Row("  downloads among its upstream requests", f"{downloads}", told, downloads, "downloads", at_most=0),
    ]


def new_object(log: Path, gateway: Gateway) -> list[Row]:
    """Many who ask for the score of one new object at once: what the origin sent, and how often it was computed."""
    before = computed(gateway.admin)
    log.write_text("")
    asyncio.run(at_once(signed(gateway.authority, "/bench/new.jpg", query=SCORE)))
    downloads = sum(status == "200" for status in statuses(log, "/bench/new.jpg"))
    beside = f"{AT_ONCE} at once"
    return [
        Row("one new object, downloads", f"{downloads}", beside, downloads, "downloads", at_most=1),
        Row(
            "one new object, scored",
            f"{computed(gateway.admin) - before}",
            beside,
            computed(gateway.admin) - before,
            "times",
            at_most=1,
        ),
    ]


def requests_per_second(url: str, seconds: int = SECONDS) -> float:
    found = wrk(url, seconds, CONNECTIONS)
    return found["requests"] / found["seconds"]


async def at_once(url: str) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        answers = await asyncio.gather(*(session.get(URL(url, encoded=True)) for _ in range(AT_ONCE)))
        assert {answer.status for answer in answers} == {200}
        for answer in answers:
            await answer.read()


def statuses(log: Path, path: str) -> list[str]:
    lines: Iterable[list[str]] = (line.split() for line in log.read_text().splitlines())
    return [line[0] for line in lines if line[2] == path]


def computed(admin: int) -> int:
    async def fetch() -> str:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{admin}/metrics") as answer:
            return await answer.text()

    found = re.search(r'gateway_results_total\{event="computed"\} (\d+)', asyncio.run(fetch()))
    return int(found[1]) if found else 0
