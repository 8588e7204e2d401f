"""The relay that the gateway is measured beside: what comes through it is what was sent."""

from __future__ import annotations

import os
from contextlib import ExitStack
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from bench.servers import start_relay
from gateway.credentials import Secret
from gateway.stores.embedded import StoreAccess

CONTENT = os.urandom(3 * 2**20)


class Store(BaseHTTPRequestHandler):
    """Answers with the content, and says what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("x-asked", self.path)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_bytes_go_both_ways_and_a_client_that_leaves_disturbs_nobody() -> None:
    with ExitStack() as stack:
        store = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Store))
        Thread(target=store.serve_forever, daemon=True).start()
        stack.callback(store.shutdown)
        access = StoreAccess(f"http://127.0.0.1:{store.server_port}", "us-east-1", "any", Secret("any"))
        authority, _ = start_relay(stack, access, 2)
        stays = HTTPConnection(authority, timeout=30)
        for number in range(6):
            leaves = HTTPConnection(authority, timeout=30)
            leaves.request("GET", "/left")
            assert leaves.getresponse().read(10) == CONTENT[:10]
            leaves.close()
            stays.request("GET", f"/{number}?a=b")
            answer = stays.getresponse()
            assert (answer.headers["x-asked"], answer.read()) == (f"/{number}?a=b", CONTENT)
        stays.close()
