from __future__ import annotations

import mmap
import threading
import time

from gateway.imaging.watch import resident_bytes, watched
from tests.proc import eventually


def test_memory_that_is_taken_is_seen_and_memory_that_is_only_reserved_is_not() -> None:
    before = resident_bytes()
    # Not of the heap, which may hold as much that others have given back.
    with mmap.mmap(-1, 50_000_000, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        assert resident_bytes() - before < 5_000_000
        for place in range(0, len(memory), mmap.PAGESIZE):
            memory[place] = 1
        assert 45_000_000 < resident_bytes() - before < 80_000_000


def test_work_is_looked_at_again_and_again_from_beside_it() -> None:
    looks: list[threading.Thread] = []
    with watched(lambda: looks.append(threading.current_thread())):
        eventually(lambda: len(looks) > 3)
    assert len(set(looks)) == 1
    assert looks[0] is not threading.current_thread()
    assert not looks[0].is_alive()


def test_work_that_has_ended_is_not_looked_at() -> None:
    looks: list[int] = []
    for _ in range(20):
        with watched(lambda: looks.append(1)):
            time.sleep(0.02)  # the first look may come just now
        count = len(looks)
        time.sleep(0.001)
        assert len(looks) == count
