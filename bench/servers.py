"""The servers under test: the gateway, nginx as origin and as proxy, rclone, a plain aiobotocore proxy, a relay."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from bench.load import pinned
from gateway.auth import aws_v4
from gateway.credentials import Secret
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import ExitStack

    from gateway.stores.embedded import StoreAccess

_LARGE = 2**27
KEY_ID, SECRET = "BENCH", Secret("bench-secret")
NGINX = """
daemon off; worker_processes {workers}; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; default_type application/octet-stream;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
{servers}
}}
"""
ORIGIN = """
  server {{ listen 127.0.0.1:{port}; root {folder}/files;
    add_header x-amz-request-id $request_id; add_header x-amz-id-2 "c3RvcmU="; add_header x-amz-version-id null;
    add_header x-amz-meta-made-by bench; send_timeout 1h;
    {more} }}
"""
PROXY = """
  upstream origin {{ server {origin}; keepalive 64; }}
  server {{ listen 127.0.0.1:{port};
    location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_buffering {buffering};
      proxy_set_header Connection ""; proxy_set_header Host {origin}; }} }}
"""
GATEWAY = """
[server]
listen = "127.0.0.1:{listen}"
admin_listen = "127.0.0.1:{admin}"
scorers = {scorers}
workers = {workers}
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


def signed(
    authority: str, path: str, key_id: str = KEY_ID, secret: Secret = SECRET, query: str = "", expires_s: int = 3600
) -> str:
    query = aws_v4.presign(
        "GET",
        path,
        query,
        authority,
        access_key_id=key_id,
        secret=secret,
        region="us-east-1",
        expires_s=expires_s,
        now=datetime.now(UTC),
    )
    return f"http://{authority}{path}?{query}"


def start_origin(
    stack: ExitStack, folder: Path, sizes: Mapping[str, int], core: int | None = None, more: str = ""
) -> str:
    """Serve files of these sizes with S3's headers; return the authority. `more` goes into nginx's server block.

    The content is random, but for large files, which are holes.
    """
    files = folder / "files" / "bench"
    files.mkdir(parents=True, exist_ok=True)
    for key, size in sizes.items():
        with (files / key).open("wb") as file:
            file.write(os.urandom(size if size <= _LARGE else 0))
            file.truncate(size)
    port = free_port()
    _start_nginx(stack, folder, ORIGIN.format(port=port, folder=folder, more=more), port, 1, core)
    return f"127.0.0.1:{port}"


def start_nginx_proxy(
    stack: ExitStack, folder: Path, origin: str, *, buffering: bool, workers: int, core: int | None
) -> tuple[str, int]:
    """Start nginx in front of an origin; return its authority and its pid."""
    port = free_port()
    servers = PROXY.format(origin=origin, port=port, buffering="on" if buffering else "off")
    return f"127.0.0.1:{port}", _start_nginx(stack, folder, servers, port, workers, core)


def _start_nginx(stack: ExitStack, folder: Path, servers: str, port: int, workers: int, core: int | None) -> int:
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)  # nginx's workers are another user
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, servers=servers, workers=workers))
    command = pinned(["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)], core)
    return stack.enter_context(running(command, dict(os.environ), f"http://127.0.0.1:{port}/"))


@dataclass(frozen=True)
class Gateway:
    """A running gateway: where it serves, its admin port, its first process."""

    authority: str
    admin: int
    pid: int


def start_gateway(
    stack: ExitStack,
    folder: Path,
    access: StoreAccess,
    *,
    workers: int = 1,
    scorers: int = 1,
    core: int | None = None,
) -> Gateway:
    """Start the gateway in front of a store."""
    listen, admin = free_port(), free_port()
    folder.mkdir(exist_ok=True)
    settings = folder / "gateway.toml"
    secret = access.secret.reveal()
    places = {"listen": listen, "admin": admin, "access": access, "secret": secret, "folder": folder}
    settings.write_text(GATEWAY.format(**places, workers=workers, scorers=scorers))
    (folder / "keys.toml").write_text(KEYS)
    (folder / "keys.toml").chmod(0o600)
    command = pinned([sys.executable, "-m", "gateway", "serve", "--config", str(settings)], core)
    pid = stack.enter_context(running(command, dict(os.environ), f"http://127.0.0.1:{admin}/readyz"))
    return Gateway(f"127.0.0.1:{listen}", admin, pid)


def start_plain_proxy(stack: ExitStack, access: StoreAccess, workers: int, core: int | None) -> tuple[str, int]:
    """Start what people write with aiobotocore; return its authority and its pid."""
    store = [access.endpoint, access.access_key_id, access.secret.reveal()]
    return _start_own(stack, "bench.plain_proxy", workers, store, core)


def start_relay(stack: ExitStack, access: StoreAccess, workers: int) -> tuple[str, int]:
    """Start what moves bytes to and from a store and reads none; return its authority and its pid."""
    return _start_own(stack, "bench.relay", workers, [access.endpoint.rpartition(":")[2]], None)


def _start_own(stack: ExitStack, module: str, workers: int, store: list[str], core: int | None) -> tuple[str, int]:
    """Start a server of the bench's own, which is told its port, its processes and its store, in this order."""
    port = free_port()
    command = pinned([sys.executable, "-m", module, str(port), str(workers), *store], core)
    return f"127.0.0.1:{port}", stack.enter_context(running(command, dict(os.environ), f"http://127.0.0.1:{port}/"))


def rclone_program() -> str | None:
    """Return where rclone is: a wheel beside this Python, or the system's own."""
    return shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")


def start_rclone(stack: ExitStack, program: str, access: StoreAccess) -> tuple[str, int]:
    """Start `rclone serve s3` in front of a store, its listings kept for an hour; return its authority and its pid."""
    port = free_port()
    remote = {
        "TYPE": "s3",
        "PROVIDER": "Ceph",
        "ENDPOINT": access.endpoint,
        "ACCESS_KEY_ID": access.access_key_id,
        "SECRET_ACCESS_KEY": access.secret.reveal(),
    }
    environment = {**os.environ, **{f"RCLONE_CONFIG_STORE_{name}": value for name, value in remote.items()}}
    key = f"{KEY_ID},{SECRET.reveal()}"
    command = [program, "serve", "s3", "store:", "--addr", f"127.0.0.1:{port}", "--auth-key", key]
    command += ["--read-only", "--dir-cache-time", "1h", "--config", os.devnull]
    return f"127.0.0.1:{port}", stack.enter_context(running(command, environment, f"http://127.0.0.1:{port}/"))


@contextmanager
def running(command: list[str], environment: dict[str, str], ready: str) -> Iterator[int]:
    """Run a server until leaving; it is ready when it answers at all, whatever it answers (/readyz: 503 is "no")."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=said)
        try:
            _wait_ready(process, ready, said)
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _wait_ready(process: subprocess.Popen[bytes], ready: str, said: IO[str]) -> None:
    """Wait until it answers; end the program with its last words where it never does."""
    strict = ["-f"] if ready.endswith("/readyz") else []
    for _ in range(600):
        probe = ["curl", "-s", *strict, "-o", os.devnull, ready]
        if subprocess.run(probe, check=False).returncode == 0:
            return
        if process.poll() is not None:
            said.seek(0)
            sys.exit(f"{process.args!r} ended with {process.returncode}: {said.read()[-500:]}")
        time.sleep(0.1)
    sys.exit(f"{process.args!r} did not become ready")
