"""Debian's nginx, run with the configuration that stands in `docs/cdn.md`."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.conftest import ROOT
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CACHE = "/var/cache/nginx/gateway"


def block(language: str) -> str:
    """Return the one code block of this language in the recipe."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / "cdn.md").read_text(), re.DOTALL)
    return str(found)


def put_in(text: str, changes: dict[str, str]) -> str:
    """Replace what a reader would replace as well; each of it must be there."""
    for old, new in changes.items():
        assert old in text, f"the recipe no longer says {old}"
        text = text.replace(old, new)
    return text


@contextmanager
def nginx(folder: Path, gateway: str) -> Iterator[str]:
    """Run the recipe in front of a gateway; yield its authority. Its cache is `folder/cache`."""
    port = free_port()
    changes = {"127.0.0.1:9000": gateway, "listen 8080;": f"listen 127.0.0.1:{port};", CACHE: f"{folder}/cache"}
    (folder / "nginx.conf").write_text(
        put_in(block("nginx"), changes).replace("http {", f"http {{ access_log off;{_temp(folder)}", 1)
    )
    user = "user root; " if os.geteuid() == 0 else ""
    # `exec`d by setpriv, so that it dies with this process, however that ends.
    command = ["setpriv", "--pdeathsig", "TERM", "nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    options = ["-e", str(folder / "error.log"), "-g", f"{user}daemon off; pid {folder}/pid;"]
    process = subprocess.Popen([*command, *options])
    try:
        _wait(port, process, folder)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _temp(folder: Path) -> str:
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return "".join(f" {name}_temp_path {folder}/{name};" for name in names)


def _wait(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert process.poll() is None, (folder / "error.log").read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("nginx did not listen")
