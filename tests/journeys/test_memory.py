"""What a gateway process holds while gigabytes pass through it."""

from __future__ import annotations

import http.client
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from tests.served import Served, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

GIGABYTE = 1024**3
BOUND_BYTES = 30 * 1024 * 1024
BLOCK = bytes(1024 * 1024)


class Endless(BaseHTTPRequestHandler):
    """A store whose object `/demo/N` has N gigabytes."""

    protocol_version = "HTTP/1.1"
    sent = 0

    def do_GET(self) -> None:
        size = int(self.path.split("?")[0].rpartition("/")[2]) * GIGABYTE
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        for _ in range(size // len(BLOCK)):
            try:
                self.wfile.write(BLOCK)
            except ConnectionError:
                return
            Endless.sent += len(BLOCK)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def endless_store() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def resident_bytes(pid: int, field: str) -> int:
    """VmRSS (now) or VmHWM (the highest so far) of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise AssertionError(field)


@contextmanager
def opened(gateway: Served, path: str) -> Iterator[http.client.HTTPResponse]:
    with closing(http.client.HTTPConnection(gateway.place.authority, timeout=60)) as connection:
        connection.request("GET", f"{path}?{gateway.place.presigned('GET', path)}")
        with connection.getresponse() as answer:
            yield answer


def read_whole(gateway: Served, path: str) -> int:
    total = 0
    with opened(gateway, path) as answer:
        while data := answer.read(4 * 1024 * 1024):
            total += len(data)
    return total


def test_two_gigabytes_raise_the_resident_memory_by_less_than_30_mb(tmp_path: Path) -> None:
    with endless_store() as endpoint, serving(tmp_path, endpoint) as gateway:
        read_whole(gateway, "/demo/0")
        (pid,) = gateway.gateway_pids()
        before = resident_bytes(pid, "VmRSS")
        assert read_whole(gateway, "/demo/2") == 2 * GIGABYTE
        grown = resident_bytes(pid, "VmHWM") - before
        print(f"2 GB raised the gateway's resident memory by {grown / 2**20:.1f} MB")  # noqa: T201 # shown by -s
        assert grown < BOUND_BYTES


def test_a_slow_reader_does_not_make_it_grow(tmp_path: Path) -> None:
    with ExitStack() as stack:
        gateway = stack.enter_context(serving(tmp_path, stack.enter_context(endless_store())))
        read_whole(gateway, "/demo/0")
        (pid,) = gateway.gateway_pids()
        before, Endless.sent = resident_bytes(pid, "VmRSS"), 0
        answers = [stack.enter_context(opened(gateway, "/demo/1")) for _ in range(8)]
        for _ in range(10):
            for answer in answers:
                answer.read(1000)
            time.sleep(0.1)
        assert Endless.sent < 8 * 32 * 1024 * 1024, "the store is held back"
        assert resident_bytes(pid, "VmHWM") - before < BOUND_BYTES
