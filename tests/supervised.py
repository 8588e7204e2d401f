"""Scorers under a real supervisor in a process of its own, for tests that end some of them."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.proc import children, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

_SUPERVISOR = """
import sys
from gateway.settings import Server
from gateway.supervisor import run_with_scorers

def job(address):
    print(address, flush=True)
    sys.stdin.read()
    return 0

sys.exit(run_with_scorers(Server(**eval(sys.argv[1])), job))
"""


@dataclass(frozen=True)
class Supervised:
    """A supervisor's pid, and the address of its scorers."""

    address: str
    pid: int
    count: int

    def scorers(self) -> set[int]:
        """The pids of the scorers that run now."""
        return {pid for pid, command in children(self.pid).items() if "imaging.worker" in command}

    def is_complete(self) -> bool:
        """Tell whether every scorer runs."""
        return len(self.scorers()) == self.count


@contextmanager
def supervised(scorers: int, **server: int) -> Iterator[Supervised]:
    """Start a supervisor with so many scorers, and settings of `[server]`; it must end by itself, with status 0."""
    settings = repr({"scorers": scorers, **server})
    command = [sys.executable, "-c", _SUPERVISOR, settings]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        running = Supervised(process.stdout.readline().strip(), process.pid, scorers)
        eventually(running.is_complete)
        try:
            yield running
        finally:
            process.stdin.close()
            assert process.wait(30) == 0
