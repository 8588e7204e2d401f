"""What a gateway process holds while a large file is uploaded through Cloudinary's API."""

from __future__ import annotations

import http.client
import json
import threading
import time
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from tests.journeys.clouds import signature
from tests.journeys.test_memory import BLOCK, BOUND_BYTES, resident_bytes
from tests.served import Served, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEGABYTES = 90


class Sink(BaseHTTPRequestHandler):
    """A store that has nothing, and counts what it is given."""

    protocol_version = "HTTP/1.1"
    taken = 0

    def do_HEAD(self) -> None:
        self._answer(404)

    def do_PUT(self) -> None:
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, len(BLOCK))))
        Sink.taken += int(self.headers["Content-Length"])
        self._answer(200)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("ETag", '"e"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def sink() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Sink) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def upload(gateway: Served, megabytes: int, timestamp: str) -> dict[str, object]:
    fields = {"timestamp": timestamp, "public_id": f"large-{megabytes}"}
    signed = {**fields, "signature": signature(fields, "tests-secret"), "api_key": "TESTS"}
    part = '--b\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n'
    start = "".join(part.format(name, "") + value + "\r\n" for name, value in signed.items())
    head, tail = (start + part.format("file", '; filename="large.bin"')).encode(), b"\r\n--b--\r\n"
    with closing(http.client.HTTPConnection(gateway.place.authority, timeout=60)) as connection:
        connection.putrequest("POST", "/v1_1/demo/raw/upload")
        connection.putheader("Content-Type", "multipart/form-data; boundary=b")
        connection.putheader("Content-Length", str(len(head) + megabytes * len(BLOCK) + len(tail)))
        connection.endheaders(head)
        for _ in range(megabytes):
            connection.send(BLOCK)
        connection.send(tail)
        reply: dict[str, object] = json.loads(connection.getresponse().read())
        return reply


def test_a_large_upload_waits_on_disk_and_not_in_memory(tmp_path: Path) -> None:
    cloud = '[clouds.demo]\nbucket = "demo"\n'
    with sink() as endpoint, serving(tmp_path, endpoint, more_settings=cloud) as gateway:
        timestamp = str(int(time.time()))
        upload(gateway, 1, timestamp)  # so that everything is loaded
        pids = gateway.gateway_pids()
        before = sum(resident_bytes(pid, "VmRSS") for pid in pids)
        reply = upload(gateway, MEGABYTES, timestamp)
        highest = sum(resident_bytes(pid, "VmHWM") for pid in pids)
    assert reply["bytes"] == MEGABYTES * len(BLOCK)
    assert Sink.taken == (MEGABYTES + 1) * len(BLOCK)
    assert highest - before < BOUND_BYTES
