from __future__ import annotations

import socket
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from gateway.imaging.launch import heavy_address, worker_command, worker_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Scorers:
    """Two queues in a temporary folder, and the scorer processes that serve them."""

    listener: socket.socket
    heavy_listener: socket.socket
    address: str
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, count: int = 1, *, max_jobs: int = 0, heavy: bool = True) -> subprocess.Popen[bytes]:
        numbers = [self.listener.fileno(), *([self.heavy_listener.fileno()] if heavy else [])]
        command, environment = worker_command(numbers[0], max_jobs, *numbers[1:]), worker_environment()
        for _ in range(count):
            process = subprocess.Popen(command, env=environment, pass_fds=numbers, process_group=0, cwd=ROOT)
            self.processes.append(process)
        return self.processes[-1]

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


def queue(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen(2)
    return listener


@pytest.fixture
def scorers() -> Iterator[Scorers]:
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        address = str(Path(folder) / "jobs")
        listener, heavy = (stack.enter_context(queue(path)) for path in (address, heavy_address(address)))
        scorers = Scorers(listener, heavy, address)
        stack.callback(scorers.stop)
        yield scorers
