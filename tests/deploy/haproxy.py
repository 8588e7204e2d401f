"""Debian's HAProxy, run with the configuration that stands in `docs/operations.md`, and wrk to load it."""

from __future__ import annotations

import re
import signal
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


@contextmanager
def haproxy(folder: Path, servers: list[tuple[int, int]]) -> Iterator[str]:
    """Run the recipe in front of two gateways, (port, admin port) each; yield its authority."""
    port = free_port()
    (recipe,) = re.findall(r"```haproxy\n(.*?)```", (ROOT / "docs" / "operations.md").read_text(), re.DOTALL)
    for there, here in zip((("9000", "9001"), ("9010", "9011")), servers, strict=True):
        line = f"127.0.0.1:{there[0]} port {there[1]}"
        assert line in recipe
        recipe = recipe.replace(line, f"127.0.0.1:{here[0]} port {here[1]}")
    assert "bind :8080" in recipe
    (folder / "haproxy.cfg").write_text(recipe.replace("bind :8080", f"bind 127.0.0.1:{port}"))
    # `exec`d by setpriv, so that it dies with this process, however that ends.
    command = ["setpriv", "--pdeathsig", "TERM", "haproxy", "-db", "-f", str(folder / "haproxy.cfg")]
    with (folder / "haproxy.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        while True:
            assert process.poll() is None, (folder / "haproxy.log").read_text()
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "HAProxy did not listen"
                time.sleep(0.02)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def loaded(url: str, most_s: int) -> Iterator[list[str]]:
    """Load a URL with wrk until leaving, or for at most so many seconds; what it reports is appended then."""
    report: list[str] = []
    command = ["wrk", "-t1", "-c4", f"-d{most_s}s", "--timeout", "20s", url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield report
    finally:
        process.send_signal(signal.SIGINT)
        report.append(process.communicate(timeout=30)[0])
