"""CPU seconds of judging one picture, beside a bare libvips decode of it to memory.

`python -m bench.cost FILE JUDGE...`, a program of its own since its environment sets the number of threads: prints
the median seconds of `decode` and of each judge, all in turn in one run, and the number of `rounds`.
"""

from __future__ import annotations

import json
import math
import os
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Any

import pyvips

from bench import peers
from bench.tools import interleaved
from gateway.imaging.assess import assess
from gateway.imaging.decode import load
from gateway.imaging.limits import Limits
from gateway.imaging.probe import Probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.imaging.facts import Facts

    Judge = Callable[[], Any]

ROUNDS = 9
FEW_ROUNDS = 3  # where one call takes longer than _LONG_S: its ratio is so large that noise hardly shows
_LEAST_S = 0.04  # what takes less is repeated within a round, since a clock's tick and a cache's miss would show
_LONG_S = 2.0
_PIECE = 2**16
MAX_PIXELS = Limits().max_pixels


def main(path: Path, names: list[str]) -> None:
    judges: dict[str, Judge] = {"decode": bare_decode(path), **{name: JUDGES[name](path) for name in names}}
    usual_s = {name: warm_s(judge) for name, judge in judges.items()}
    rounds = FEW_ROUNDS if max(usual_s.values()) > _LONG_S else ROUNDS
    measures = {name: partial(cpu_s, judge, math.ceil(_LEAST_S / usual_s[name])) for name, judge in judges.items()}
    print(json.dumps({"rounds": rounds, **interleaved(measures, rounds)}))


def warm_s(judge: Judge) -> float:
    """Return about how long a call takes once the first has prepared what is prepared once."""
    first = cpu_s(judge, 1)
    return first if first > _LONG_S else cpu_s(judge, 1)


def cpu_s(judge: Judge, repeats: int) -> float:
    """Return the CPU seconds of one call, all threads together."""
    started = process_time()
    for _ in range(repeats):
        judge()
    return (process_time() - started) / repeats


def bare_decode(path: Path) -> Judge:
    """What everything is measured against: the whole file, at its full size, into memory."""
    data = path.read_bytes()
    return lambda: pyvips.Image.new_from_buffer(data, "", access="sequential").copy_memory()


def score(path: Path) -> Judge:
    """From the file to the report: header, decoding, everything."""

    def judge() -> object:
        with opened(path) as descriptor:
            return assess(descriptor, probe(path), max_pixels=MAX_PIXELS)

    return judge


def load_only(path: Path) -> Judge:
    """The part of scoring that decodes and shrinks."""

    def judge() -> object:
        with opened(path) as descriptor:
            return load(descriptor, probe(path), max_pixels=MAX_PIXELS)

    return judge


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def probe(path: Path) -> Facts:
    """Read the header in pieces, as the gateway does."""
    reader = Probe()
    with path.open("rb") as file:
        while data := file.read(_PIECE):
            if facts := reader.feed(data):
                return facts
    return reader.finish()


JUDGES: dict[str, Callable[[Path], Judge]] = {
    "score": score,
    "load": load_only,
    "laplacian": peers.laplacian,
    "cleanvision": peers.cleanvision,
    "brisque": peers.brisque,
}

if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
