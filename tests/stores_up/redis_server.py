"""Fixtures: a Redis server from Debian's package, on a socket of its own, started when the first test asks for it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.stores_up.debian import install

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def redis_program() -> str:
    pytest.importorskip("redis", reason="the shared cache's client is not installed (pip install .[redis])")
    install("redis-server")
    return shutil.which("redis-server") or "redis-server"


@pytest.fixture
def redis_url(redis_program: str, tmp_path: Path) -> Iterator[str]:
    """A server of one test's own, empty."""
    with redis_server(redis_program, tmp_path) as url:
        yield url


@contextmanager
def redis_server(program: str, folder: Path) -> Iterator[str]:
    place = folder / "redis.sock"
    command = [program, "--port", "0", "--unixsocket", str(place), "--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(500):
                if _accepts(place):  # the file is there a moment earlier
                    break
                assert process.poll() is None, "redis-server ended"
                time.sleep(0.01)
            yield f"unix://{place}"
        finally:
            process.kill()


def _accepts(place: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(place)) == 0
