"""Counters of several processes in shared memory: each writes its own page, everybody reads all of them.

Knows pages and counts; must not know what is counted. No files: the memory ends with the last process that has it.
"""

from __future__ import annotations

import json
import mmap
import zlib
from collections import Counter
from dataclasses import dataclass
from struct import Struct
from time import time_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from socket import socket

Counts = Counter[tuple[str, ...]]  # (metric, label values ...) -> count

# What the supervisor counts
PROCESS_STARTS = "gateway_process_starts_total"  # by the kind of process
SCORERS_RUNNING = "gateway_scorers_running"
KEY_RELOADS = "gateway_key_reloads_total"  # by result
SETTINGS_RELOADS = "gateway_settings_reloads_total"  # by result

_HALF_BYTES = 1024 * 1024  # of address space; only what is written takes memory
_HEAD = Struct("<QLL")  # number of the writing, length, CRC-32 of what follows
_READINGS = 10


class Page:
    """The counts of one process. It survives that process, so that its successor can go on counting from there.

    There are two halves, written in turn: whoever reads while one is being written, or after its writer has died over
    it, takes the other.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 2 * _HALF_BYTES)  # shared with every process that is forked from here on

    def write(self, counts: Counts) -> None:
        """Replace the counts. Raises ValueError when they do not fit, and leaves the old ones."""
        value = json.dumps([[*name, count] for name, count in counts.items()], separators=(",", ":")).encode("ascii")
        if len(value) > _HALF_BYTES - _HEAD.size:
            raise ValueError(f"{len(counts)} counters do not fit")
        number = max(self._half(0)[0], self._half(1)[0]) + 1
        at = number % 2 * _HALF_BYTES
        self._memory[at + _HEAD.size : at + _HEAD.size + len(value)] = value
        self._memory[at : at + _HEAD.size] = _HEAD.pack(number, len(value), zlib.crc32(value))

    def read(self) -> Counts:
        """Return the counts that were written last, none at first."""
        value = b""
        for _ in range(_READINGS):  # a writer that is fast can be met in both halves, one after the other
            newest = max(self._number(0), self._number(1))
            number, value = max(self._half(0), self._half(1))
            if number >= newest:
                break
        return Counter({tuple(name): count for *name, count in json.loads(value or b"[]")})

    def _number(self, which: int) -> int:
        return int(_HEAD.unpack_from(self._memory, which * _HALF_BYTES)[0])

    def _half(self, which: int) -> tuple[int, bytes]:
        """Return the number of a half and what is in it; 0 and nothing unless it is whole."""
        at = which * _HALF_BYTES
        number, length, check = _HEAD.unpack_from(self._memory, at)
        value = self._memory[at + _HEAD.size : at + _HEAD.size + min(length, _HALF_BYTES)]
        return (number, value) if number and zlib.crc32(value) == check else (0, b"")


@dataclass(frozen=True, slots=True)
class AdminPort:
    """Where a gateway process answers its operators, and whose counts it tells: its own page, and all others'.

    `since_ns` is when the counting began, in nanoseconds since 1970, for the one process that sends all counts to
    others; 0 for the rest.
    """

    listener: socket
    own: Page
    others: Sequence[Page]
    since_ns: int = 0


def admin_ports(listener: socket, count: int) -> tuple[Page, list[AdminPort]]:
    """Return a page for who starts the processes, and so many ports for those, which share a listener."""
    pages = [Page() for _ in range(count + 1)]
    since_ns = [time_ns(), *[0] * (count - 1)]
    ports = [
        AdminPort(listener, page, [other for other in pages if other is not page], since)
        for page, since in zip(pages[1:], since_ns, strict=True)
    ]
    return pages[0], ports
