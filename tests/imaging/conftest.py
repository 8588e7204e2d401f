from __future__ import annotations

import socket
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from gateway.imaging.launch import worker_command, worker_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Scorers:
    """A queue in a temporary folder, and the scorer processes that serve it."""

    listener: socket.socket
    address: str
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, count: int = 1, *, max_jobs: int = 0) -> subprocess.Popen[bytes]:
        number = self.listener.fileno()
        command, environment = worker_command(number, max_jobs), worker_environment()
        for _ in range(count):
            process = subprocess.Popen(command, env=environment, pass_fds=[number], start_new_session=True, cwd=ROOT)
            self.processes.append(process)
        return self.processes[-1]

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def scorers() -> Iterator[Scorers]:
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        address = str(Path(folder) / "jobs")
        listener.bind(address)
        listener.listen(2)
        scorers = Scorers(listener, address)
        stack.callback(scorers.stop)
        yield scorers
