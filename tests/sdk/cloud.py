"""A served gateway with two clouds over the embedded store, and the pictures that their clients send."""

from __future__ import annotations

import http.server
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.served import serving
from tests.stores_up.fixtures import BUCKET

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.served import Place, Served

KEY_ID, SECRET = "TESTS", "tests-secret"
SETTINGS = """
[clouds.demo]
bucket = "{bucket}"
identity = "tests"
delivery_host = "res.localhost"
[clouds.demo.presets.preset1]
unsigned = true
quality_analysis = true
[clouds.rich]
bucket = "{bucket}"
extended_analysis = true
analyse_on_update = true
[fetch]
allow = ["127.0.0.1:{port}"]
"""


@dataclass(frozen=True)
class CloudHost:
    """Where the gateway is, and where a picture can be fetched from."""

    gateway: Served
    picture_url: str

    @property
    def prefix(self) -> str:
        return f"http://{self.gateway.place.authority}"


@contextmanager
def cloud_host(store: Place, folder: Path, picture: bytes) -> Iterator[CloudHost]:
    """Serve the clouds, and the picture at a URL that they may fetch."""
    with picture_server(picture) as port:
        settings = SETTINGS.format(bucket=BUCKET, port=port)
        with serving(folder, f"http://{store.authority}", store.key_id, store.secret.reveal(), settings) as gateway:
            assert gateway.place.request("PUT", f"/{BUCKET}")[0] in (200, 409)
            yield CloudHost(gateway, f"http://127.0.0.1:{port}/user_photo.jpg")


@contextmanager
def picture_server(picture: bytes) -> Iterator[int]:
    """Serve one picture at any path on a free loopback port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(picture)))
            self.end_headers()
            self.wfile.write(picture)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()
