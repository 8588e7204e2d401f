"""Peak memory of scoring one picture, beside that of only copying the same shrunken decode to memory.

Both in a fresh process with a scorer's modules and environment (`bench.peak`), fed through a socketpair.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import suppress
from statistics import median
from typing import TYPE_CHECKING

from bench.cost import MAX_PIXELS, opened, probe
from bench.tools import Row
from gateway.imaging.decode import load
from gateway.imaging.facts import to_json
from gateway.imaging.launch import worker_environment

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.imaging.facts import Facts

_ROUNDS, _WRITE_BYTES = 5, 256 * 2**10
_AT_MOST_MB = 24


def rows(pictures: dict[str, Path]) -> list[Row]:
    return [row(name, path) for name, path in pictures.items()]


def row(name: str, path: Path) -> Row:
    facts = probe(path)
    with opened(path) as descriptor:
        small = load(descriptor, facts, max_pixels=MAX_PIXELS).image
    shrink = round(facts.width / small.width)
    score, copy = (median(peak_mb(task, path, facts, shrink) for _ in range(_ROUNDS)) for task in ("score", "copy"))
    what, beside = f"peak memory, {name}: scoring - copying", f"copy at 1/{shrink} {copy:.1f} MB"
    return Row(what, f"score {score:.1f} MB", beside, score - copy, "MB", at_most=_AT_MOST_MB)


def peak_mb(task: str, path: Path, facts: Facts, shrink: int) -> float:
    """Start the process, feed it the file, return what it prints."""
    feed, source = socket.socketpair()
    with feed:
        with source:
            descriptor = source.fileno()
            arguments = [task, str(descriptor), json.dumps(to_json(facts)), str(shrink)]
            process = subprocess.Popen(
                [sys.executable, "-m", "bench.peak", *arguments],
                pass_fds=[descriptor],
                env=worker_environment(),
                stdout=subprocess.PIPE,
            )
        with suppress(BrokenPipeError, ConnectionResetError), path.open("rb") as file:  # it may have seen enough
            while data := file.read(_WRITE_BYTES):
                feed.sendall(data)
    printed, _ = process.communicate()
    if process.returncode:
        sys.exit(f"the process that measures memory ended with {process.returncode}")
    return float(printed)
