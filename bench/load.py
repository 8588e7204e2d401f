"""Load by wrk, exactly counted, and what a server's processes took for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.proc import GONE, children, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

CORES = sorted(os.sched_getaffinity(0))
# wrk's own text rounds; this says the same as one line of JSON, times in microseconds.
_REPORT = """
done = function(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  local line = '{"seconds": %f, "requests": %d, "bytes": %d, "failed": %d, "p50_ms": %f, "p99_ms": %f}'
  io.write("\\n" .. string.format(line, summary.duration / 1e6, summary.requests, summary.bytes, failed,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3) .. "\\n")
end
"""
# Their heads are written beforehand, so that wrk has no more to do than with one URL.
_IN_TURN = """
local heads, turn = {{}}, 0
init = function()
  for _, target in ipairs({{{targets}}}) do heads[#heads + 1] = wrk.format("GET", target) end
end
request = function()
  turn = turn % #heads + 1
  return heads[turn]
end
"""


@dataclass(frozen=True)
class Server:
    """Something that serves the object at `url`; `pid` is its first process, None where its cost is of no interest.

    `in_turn` are other URLs of the same object, to be asked for one after the other instead.
    """

    name: str
    url: str
    pid: int | None = None
    in_turn: Sequence[str] = ()


@dataclass(frozen=True)
class Measured:
    """What one load met. `cpu_s` is the servers' CPU seconds for 1,000 whole objects."""

    requests_per_s: float
    mb_per_s: float
    cpu_s: float
    p50_ms: float
    p99_ms: float
    memory_mb: float


def load(server: Server, size: int, seconds: int, connections: int, core: int | None = None) -> Measured:
    """Ask for the object of `size` bytes again and again; ends the program where an answer fails.

    What has come of an object when the time is up counts as that part of a request.
    """
    before = cpu_seconds(server.pid)
    found = wrk(server.url, seconds, connections, core, server.in_turn)
    requests = max(found["requests"], found["bytes"] / size if size >= 2**20 else 0)
    return Measured(
        requests_per_s=requests / found["seconds"],
        mb_per_s=requests * size / found["seconds"] / 1e6,
        cpu_s=(cpu_seconds(server.pid) - before) / requests * 1000,
        p50_ms=found["p50_ms"],
        p99_ms=found["p99_ms"],
        memory_mb=sum(resident_bytes(pid) for pid in family(server.pid)) / 1e6,
    )


def wrk(
    url: str, seconds: int, connections: int, core: int | None = None, in_turn: Sequence[str] = ()
) -> dict[str, float]:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_REPORT)
        if in_turn:
            targets = (urlsplit(each) for each in in_turn)
            script.write(_IN_TURN.format(targets=",\n".join(f'"{each.path}?{each.query}"' for each in targets)))
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "-s", script.name, url]
        output = subprocess.run(pinned(command, core), capture_output=True, text=True, check=True).stdout
    found: dict[str, float] = json.loads(output.rstrip().rpartition("\n")[2])
    if found["failed"] or not found["bytes"]:
        sys.exit(f"wrk met errors at {url.partition('?')[0]}:\n{output}")
    return found


def within(command: Sequence[str]) -> dict[str, float]:
    """Run a load of our own; return the figures it prints, or end the program with its last words."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command[2]} ended: {done.stderr.strip().rpartition(chr(10))[2]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def pinned(command: Sequence[str], core: int | None) -> list[str]:
    return [*command] if core is None else ["taskset", "-c", str(core), *command]


def family(pid: int | None) -> list[int]:
    """The processes that serve: those below the first one, and it; no scorers, which have no part in this."""
    if pid is None:
        return []
    return [pid, *(each for each, command in children(pid).items() if "imaging.worker" not in command)]


def scorers(pid: int) -> list[int]:
    """The processes below the first one that score."""
    return [each for each, command in children(pid).items() if "imaging.worker" in command]


def cpu_seconds(pid: int | None) -> float:
    return cpu_seconds_of(family(pid))


def cpu_seconds_of(pids: Sequence[int]) -> float:
    total = 0
    for each in pids:
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except GONE:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def medians(found: Sequence[Measured]) -> Measured:
    names = Measured.__dataclass_fields__
    return Measured(**{name: median(getattr(each, name) for each in found) for name in names})
