"""Pass-through beside nginx's proxy_pass and beside the store itself, on a fast origin and on the embedded store.

The fast origin is nginx serving files: the embedded store is far too slow to show what a gateway costs.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

from bench.tools import Row, interleaved
from gateway.auth import aws_v4
from gateway.credentials import Secret
from gateway.stores.embedded import EmbeddedStore, StoreAccess

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES = {"10 KB": 10 * 1024, "1 MB": 1024 * 1024}
ROUNDS, SECONDS, CONNECTIONS = 3, 3, 16
KEY_ID, SECRET = "BENCH", Secret("bench-secret")
NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; sendfile on; keepalive_requests 1000000;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 64; }}
  server {{ listen 127.0.0.1:{origin}; root {folder}/files; }}
  server {{ listen 127.0.0.1:{proxy};
    location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}
}}
"""
GATEWAY = """
[server]
listen = "127.0.0.1:{listen}"
admin_listen = "127.0.0.1:{admin}"
scorers = 1
[upstream.origin]
endpoint = "{access.endpoint}"
region = "{access.region}"
access_key = "{access.access_key_id}"
secret = "{secret}"
[keys]
file = "{folder}/keys.toml"
"""
KEYS = f"""
[[identity]]
name = "bench"
[[identity.key]]
id = "{KEY_ID}"
secret = "{SECRET.reveal()}"
[[identity.statement]]
actions = ["*"]
resources = ["*"]
"""


def rows() -> list[Row]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        origin, proxy, listen, admin = (free_port() for _ in range(4))
        start_nginx(stack, folder, origin, proxy)
        any_key = StoreAccess(f"http://127.0.0.1:{origin}", "us-east-1", "any", Secret("any"))  # nginx checks none
        start_gateway(stack, folder, any_key, listen, admin)
        found = []
        for label in SIZES:
            path = f"/bench/{label.replace(' ', '')}"
            urls = {
                "store": f"http://127.0.0.1:{origin}{path}",
                "nginx": f"http://127.0.0.1:{proxy}{path}",
                "gateway": signed(f"127.0.0.1:{listen}", path),
            }
            found += compare(f"pass-through {label}, fast origin", urls)
        return [*found, *embedded_rows()]


def embedded_rows() -> list[Row]:
    """The same on the demo's own store; its figures show the store, not the gateway."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        store = EmbeddedStore(folder / "store")
        stack.callback(store.stop)
        access = store.start()
        listen, admin = free_port(), free_port()
        start_gateway(stack, folder, access, listen, admin)
        client = boto3.client(
            "s3",
            endpoint_url=access.endpoint,
            region_name=access.region,
            aws_access_key_id=access.access_key_id,
            aws_secret_access_key=access.secret.reveal(),
        )
        client.create_bucket(Bucket="bench")
        found = []
        for label, size in SIZES.items():
            key = label.replace(" ", "")
            client.put_object(Bucket="bench", Key=key, Body=os.urandom(size))
            authority = access.endpoint.removeprefix("http://")
            urls = {
                "store": signed(authority, f"/bench/{key}", access.access_key_id, access.secret),
                "gateway": signed(f"127.0.0.1:{listen}", f"/bench/{key}"),
            }
            found += compare(f"pass-through {label}, embedded store", urls)
        return found


def compare(what: str, urls: dict[str, str]) -> list[Row]:
    speeds = interleaved({name: partial(requests_per_second, url) for name, url in urls.items()}, ROUNDS)
    subject = f"gateway {speeds['gateway']:.0f}/s"
    peers = [name for name in urls if name != "gateway"]
    return [
        Row(f"{what} / {peer}", subject, f"{peer} {speeds[peer]:.0f}/s", speeds["gateway"] / speeds[peer])
        for peer in peers
    ]


def requests_per_second(url: str) -> float:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        sys.exit(f"wrk met errors at {url.partition('?')[0]}:\n{output}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert found, output
    return float(found[1])


def signed(authority: str, path: str, key_id: str = KEY_ID, secret: Secret = SECRET) -> str:
    query = aws_v4.presign(
        "GET",
        path,
        "",
        authority,
        access_key_id=key_id,
        secret=secret,
        region="us-east-1",
        expires_s=3600,
        now=datetime.now(UTC),
    )
    return f"http://{authority}{path}?{query}"


def start_nginx(stack: ExitStack, folder: Path, origin: int, proxy: int) -> None:
    files = folder / "files" / "bench"
    files.mkdir(parents=True)
    for label, size in SIZES.items():
        (files / label.replace(" ", "")).write_bytes(os.urandom(size))
    folder.chmod(0o755)  # nginx's workers are another user
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, origin=origin, proxy=proxy))
    command = ["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)]
    stack.enter_context(running(command, dict(os.environ), f"http://127.0.0.1:{proxy}/bench/10KB"))


def start_gateway(stack: ExitStack, folder: Path, access: StoreAccess, listen: int, admin: int) -> None:
    settings = folder / "gateway.toml"
    secret = access.secret.reveal()
    settings.write_text(GATEWAY.format(listen=listen, admin=admin, access=access, secret=secret, folder=folder))
    (folder / "keys.toml").write_text(KEYS)
    (folder / "keys.toml").chmod(0o600)
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(settings)]
    stack.enter_context(running(command, dict(os.environ), f"http://127.0.0.1:{admin}/readyz"))


@contextmanager
def running(command: list[str], environment: dict[str, str], ready: str) -> Iterator[None]:
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if subprocess.run(["curl", "-sf", "-o", "/dev/null", ready], check=False).returncode == 0:
                break
            time.sleep(0.1)
        else:
            sys.exit(f"{command[0]} did not become ready")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
