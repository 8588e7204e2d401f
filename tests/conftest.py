from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.settings import Server
from gateway.supervisor import scorer_queue
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.fake_store import FakeStore

# One thread, as scorers have: twice as fast as several that wait for each other. Said before anything imports numpy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
pytest_plugins = ("tests.stores_up.fixtures", "tests.stores_up.redis_server")
ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def scorer_address() -> Iterator[str]:
    """Two scorer processes, as the supervisor starts them."""
    with scorer_queue(Server(scorers=2)) as (address, children):
        for child in children:
            child.ensure(time.monotonic())
        yield address
        for child in children:
            child.send(signal.SIGKILL)
            os.waitpid(child.pid, 0)


@pytest.fixture
async def store() -> AsyncIterator[FakeStore]:
    from tests.fake_store import fake_store  # noqa: PLC0415 # aiohttp only where it is needed

    async with fake_store() as running:
        yield running


@dataclass
class Demo:
    """A running `gateway demo` with a store of its own."""

    port: int
    admin_port: int
    lines: str
    process: subprocess.Popen[bytes]
    data: Path

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def start_demo(data: Path, *arguments: str, **environment: str) -> Demo:
    """Start `gateway demo` and wait for its lines; fails with its output when it ends instead."""
    port, admin_port = free_port(), free_port()
    ours = {
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "GATEWAY_ADMIN_LISTEN": f"127.0.0.1:{admin_port}",
        "GATEWAY_DATA_DIR": str(data),
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    data.mkdir(parents=True, exist_ok=True)
    with (data / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "demo", *arguments],
            env=clean | ours | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        text = (data / "output").read_text()
        if "answer.read().decode()" in text:
            return Demo(port, admin_port, text, process, data)
        time.sleep(0.1)
    process.kill()
    process.wait()
    raise AssertionError((data / "output").read_text())


def stop_demo(demo: Demo) -> int:
    demo.process.send_signal(signal.SIGINT)
    return demo.process.wait(60)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The whole product on the embedded store, as `make run` starts it."""
    pytest.importorskip("swift", reason="the embedded store is not installed (pip install .[demo])")
    running = start_demo(tmp_path_factory.mktemp("demo") / "data")
    yield running
    stop_demo(running)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GATEWAY_")]:
        monkeypatch.delenv(name)
