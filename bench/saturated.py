"""How long plain GETs wait while all scorers are at work, beside as many busy loops that are as nice as scorers.

A constant rate of GETs, a fifth of what the gateway can do, in rounds in which five take turns: scorers under more
requests for scores than they can answer, busy loops instead, these while somebody fetches as many pictures as are
scored, busy loops that are as nice but not of the scorers' scheduling class, and none.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench import open_loop
from bench.load import CORES, cpu_seconds_of, scorers, wrk
from bench.photos import write_large
from bench.servers import signed, start_gateway, start_origin
from bench.tools import Row
from gateway.credentials import Secret
from gateway.stores.embedded import StoreAccess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from bench.servers import Gateway

    Found = list[dict[str, float]]

ROUNDS, SECONDS, WARM_S = 9, 8, 1  # the waits' longest hundredth varies by half from round to round
CONNECTIONS, WORKERS, SCORERS = 32, 2, len(CORES)
SHARE = 0.2  # of the capacity
AT_MOST = 1.2
ASKERS = 2 * SCORERS  # clients that ask for scores: one is scored, one waits
SCORERS_BUSY, LOOPS, LOOPS_AND_PICTURES = "scorers", "busy loops", "busy loops and pictures"
NICE_LOOPS, NEITHER = "busy loops, only nice", "neither"
_ALL_ONE_PICTURE = "location ~ ^/bench/picture- {{ alias {folder}/files/bench/picture.jpg; }}"
_LOOP = """
import os
os.nice({nice})
os.sched_setscheduler(0, os.{kind}, os.sched_param(0))
while True:
    pass
"""


def rows(rounds: int = ROUNDS, seconds: int = SECONDS) -> list[Row]:
    with ExitStack() as stack:
        gateway, numbers = start(stack), count(step=1_000_000)  # of pictures that nobody has asked for yet
        plain = signed(gateway.authority, "/bench/10KB")
        found = wrk(plain, max(1, seconds // 2), CONNECTIONS)
        capacity = found["requests"] / found["seconds"]
        scored: list[float] = []  # pictures in a second, in each round so far
        disturbed: dict[str, Callable[[], AbstractContextManager[list[int]]]] = {
            SCORERS_BUSY: lambda: scoring(gateway, next(numbers), scored),
            LOOPS: lambda: looping(niceness(gateway.pid)),
            LOOPS_AND_PICTURES: lambda: looping_and_fetching(gateway, next(numbers), median(scored)),
            NICE_LOOPS: lambda: looping(niceness(gateway.pid), "SCHED_BATCH"),
            NEITHER: nothing,
        }
        seen: dict[str, Found] = {name: [] for name in disturbed}
        for _ in range(rounds):
            for name, disturbing in disturbed.items():
                seen[name].append(one_round(disturbing, plain, capacity * SHARE, seconds))
    return told(capacity, {name: middle(each) for name, each in seen.items()})


def start(stack: ExitStack) -> Gateway:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
    folder.chmod(0o755)  # nginx's workers are another user
    (folder / "files" / "bench").mkdir(parents=True)
    write_large(folder / "files" / "bench" / "picture.jpg")
    origin = start_origin(stack, folder, {"10KB": 10 * 1024}, more=_ALL_ONE_PICTURE.format(folder=folder))
    access = StoreAccess(f"http://{origin}", "us-east-1", "any", Secret("any"))  # nginx checks none
    return start_gateway(stack, folder / "gateway", access, workers=WORKERS, scorers=SCORERS)


def one_round(
    disturbing: Callable[[], AbstractContextManager[list[int]]], url: str, rate: float, seconds: int
) -> dict[str, float]:
    """Return the waits, and how many cores the disturbing processes had meanwhile."""
    with disturbing() as pids:
        time.sleep(WARM_S)
        before, started = cpu_seconds_of(pids), time.monotonic()
        waits = open_loop.measure(url, rate, seconds, CONNECTIONS)
        cores = (cpu_seconds_of(pids) - before) / (time.monotonic() - started)
    return {**waits, "cores": cores}


@contextmanager
def scoring(gateway: Gateway, first: int, paces: list[float]) -> Iterator[list[int]]:
    with asking(gateway, str(first)) as done:
        yield scorers(gateway.pid)
    paces.append(done["done"] / done["seconds"])


@contextmanager
def looping_and_fetching(gateway: Gateway, first: int, pace: float) -> Iterator[list[int]]:
    """What a picture costs everybody but a scorer: its way from the store, and somebody as nice who takes it."""
    nice = niceness(gateway.pid)
    with looping(nice) as pids, asking(gateway, str(first), str(pace), str(nice)):
        yield pids


@contextmanager
def asking(gateway: Gateway, *arguments: str) -> Iterator[dict[str, float]]:
    """Let `bench.saturate` ask; what it did is known when it has ended."""
    done: dict[str, float] = {}
    command = [sys.executable, "-m", "bench.saturate", gateway.authority, str(ASKERS), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield done
    finally:
        process.send_signal(signal.SIGTERM)
        printed, _ = process.communicate(timeout=60)
    if process.returncode:
        sys.exit(f"the clients that ask for pictures ended with {process.returncode}")
    done |= json.loads(printed)
    if done["refused"] or not done["done"]:
        sys.exit(f"the scorers were not just busy: {done}")


@contextmanager
def looping(nice: int, kind: str = "SCHED_IDLE") -> Iterator[list[int]]:
    """As many processes as there are scorers, each in a process group of its own, as scorers are."""
    command = [sys.executable, "-c", _LOOP.format(nice=nice, kind=kind)]
    processes = [subprocess.Popen(command, process_group=0) for _ in range(SCORERS)]
    try:
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


@contextmanager
def nothing() -> Iterator[list[int]]:
    yield []


def niceness(pid: int) -> int:
    """How nice the scorers below that process are, above our own."""
    return os.getpriority(os.PRIO_PROCESS, scorers(pid)[0]) - os.getpriority(os.PRIO_PROCESS, 0)


def middle(found: Found) -> dict[str, float]:
    return {name: median(each[name] for each in found) for name in found[0]}


def told(capacity: float, seen: dict[str, dict[str, float]]) -> list[Row]:
    scored, looped, fetched = (seen[name] for name in (SCORERS_BUSY, LOOPS, LOOPS_AND_PICTURES))
    nice, alone = seen[NICE_LOOPS], seen[NEITHER]
    rate = f"{capacity * SHARE:.0f} GETs/s of 10 KB"
    what, whole = f"p99 of {rate}, scorers / busy loops", ratio(scored, looped)
    return [
        Row(what, ms(scored), ms(looped), whole, at_most=AT_MOST, columns=seen),
        Row("  p50, the same", ms(scored, "p50"), ms(looped, "p50"), ratio(scored, looped, "p50")),
        Row(
            "  p99, busy loops and as many pictures fetched / busy loops",
            ms(fetched),
            ms(looped),
            ratio(fetched, looped),
        ),
        Row(
            "  p99, scorers / busy loops and as many pictures fetched", ms(scored), ms(fetched), ratio(scored, fetched)
        ),
        Row("  p99, scorers / busy loops that are only nice", ms(scored), ms(nice), ratio(scored, nice)),
        Row("  p99, scorers / neither", ms(scored), ms(alone), ratio(scored, alone)),
        Row("  cores that they had", cores(scored), cores(looped), scored["cores"] / looped["cores"]),
    ]


def ratio(one: dict[str, float], other: dict[str, float], which: str = "p99") -> float:
    return one[f"{which}_ms"] / other[f"{which}_ms"]


def ms(found: dict[str, float], which: str = "p99") -> str:
    return f"{found[f'{which}_ms']:.1f} ms"


def cores(found: dict[str, float]) -> str:
    return f"{found['cores']:.2f} cores"
