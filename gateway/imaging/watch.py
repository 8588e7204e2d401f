"""Looks at this process while it works. Knows threads and /proc; must not know jobs or pictures."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_INTERVAL_S = 0.02  # a decoder fills up to 60 MiB in this time
_STATM = Path("/proc/self/statm")
_PAGE_BYTES = os.sysconf("SC_PAGESIZE")


@contextmanager
def watched(look: Callable[[], None]) -> Iterator[None]:
    """Call `look` 50 times a second, in a thread, while the block runs, and never once the block has ended.

    It works beside C code that does not return to Python, as long as that code releases the interpreter's lock, which
    decoders do.
    """
    ended, looking = threading.Event(), threading.Lock()

    def run() -> None:
        while not ended.wait(_INTERVAL_S):
            with looking:
                if not ended.is_set():
                    look()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        with looking:
            ended.set()
        thread.join()


def resident_bytes() -> int:
    """Return the memory that this process holds, shared libraries included."""
    return int(_STATM.read_bytes().split()[1]) * _PAGE_BYTES
