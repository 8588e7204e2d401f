"""`gateway serve` as a process of its own, in front of any store, and raw requests signed for either of them."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.app import utc_now
from gateway.auth import aws_v4
from gateway.credentials import Secret
from tests.ports import free_port
from tests.proc import children

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = """
[server]
listen = "127.0.0.1:{port}"
admin_listen = "127.0.0.1:{admin_port}"
scorers = 1
drain_s = 5
[upstream.main]
endpoint = "{endpoint}"
access_key = "{key_id}"
secret = "{secret}"
[keys]
file = "keys.toml"
"""
KEYS = """
[[identity]]
name = "tests"
[[identity.key]]
id = "TESTS"
secret = "tests-secret"
[[identity.statement]]
actions = ["*"]
resources = ["*"]
"""


@dataclass(frozen=True)
class Place:
    """Something that speaks S3, and a key for it."""

    authority: str
    key_id: str
    secret: Secret

    def presigned(self, method: str, path: str, query: str = "") -> str:
        """Return the query of a URL that is signed for ten minutes: the given one and the claim."""
        return aws_v4.presign(
            method,
            path,
            query,
            self.authority,
            access_key_id=self.key_id,
            secret=self.secret,
            region="us-east-1",
            expires_s=600,
            now=utc_now(),
        )

    def request(
        self, method: str, path: str, headers: tuple[tuple[str, str], ...] = (), body: bytes = b"", query: str = ""
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one signed request whose target stays as it is written."""
        signature = aws_v4.sign(
            method,
            path,
            query,
            (("host", self.authority), *headers),
            access_key_id=self.key_id,
            secret=self.secret,
            region="us-east-1",
            payload="UNSIGNED-PAYLOAD",
            now=utc_now(),
        )
        connection = http.client.HTTPConnection(self.authority, timeout=60)
        target = f"{path}?{query}" if query else path
        connection.request(method, target, body or None, dict([*headers, *signature]))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content


@dataclass(frozen=True)
class Served:
    """A running `gateway serve`."""

    place: Place
    admin: str
    pid: int

    def scorer_pids(self) -> set[int]:
        """The pids of its scorers."""
        return {pid for pid, command in children(self.pid).items() if "imaging.worker" in command}

    def gateway_pids(self) -> set[int]:
        """The pids of its gateway processes: the children that are not scorers."""
        return {pid for pid, command in children(self.pid).items() if "imaging.worker" not in command}


@contextmanager
def serving(
    folder: Path, endpoint: str, key_id: str = "up", secret: str = "any", more_settings: str = "", server: str = ""
) -> Iterator[Served]:
    """Start `gateway serve` and stop it again; it must end by itself, with status 0. `server` goes into its table."""
    port, admin_port = free_port(), free_port()
    settings = folder / "gateway.toml"
    (folder / "keys.toml").write_text(KEYS)
    (folder / "keys.toml").chmod(0o600)
    text = SETTINGS.format(port=port, admin_port=admin_port, endpoint=endpoint, key_id=key_id, secret=secret)
    text = text.replace('"keys.toml"', f'"{folder}/keys.toml"').replace("[upstream.main]", f"{server}\n[upstream.main]")
    settings.write_text(text + more_settings)
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(settings)]
    environ = {**os.environ, "GATEWAY_DATA_DIR": str(folder / "data")}
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environ)
    try:
        wait_ready(admin_port, process)
        place = Place(f"127.0.0.1:{port}", "TESTS", Secret("tests-secret"))
        yield Served(place, f"127.0.0.1:{admin_port}", process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, (folder / "serve.log").read_text()


def wait_ready(admin_port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", admin_port, timeout=5)) as connection:
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return
        except OSError:
            assert process.poll() is None, "gateway serve ended"
        time.sleep(0.05)
    raise AssertionError("gateway serve did not become ready")
