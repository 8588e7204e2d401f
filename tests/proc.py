"""What /proc says about processes: who lives, whose child it is, what it runs."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

GONE = (FileNotFoundError, ProcessLookupError)


def eventually(condition: Callable[[], bool], timeout_s: float = 15) -> None:
    """Wait for a condition that other processes bring about; fails when it does not come."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def open_descriptors(pid: int) -> int:
    """The number of a process's open descriptors."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def threads(pid: int) -> set[int]:
    """The threads of a process; the first has the process's own number."""
    return {int(folder.name) for folder in Path(f"/proc/{pid}/task").iterdir()}


def resident_bytes(pid: int) -> int:
    """The memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def is_alive(pid: int) -> bool:
    """Tell whether the process runs; a zombie does not."""
    try:
        return _fields(pid)[0] != "Z"
    except GONE:
        return False


def children(pid: int) -> dict[int, str]:
    """The living children of a process, with their command lines."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = _fields(int(folder.name))[:2]
            if int(parent) == pid and state != "Z":
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except GONE:
            continue
    return found


def family(pid: int) -> dict[int, str]:
    """The living descendants of a process, with their command lines."""
    found = children(pid)
    for child in list(found):
        found |= family(child)
    return found


def _fields(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
