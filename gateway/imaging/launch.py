"""How a scorer process is started and where its queues are. Must not know what it computes (no numpy here)."""

from __future__ import annotations

import os
import sys

_ONE_THREAD = (
    "VIPS_CONCURRENCY",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
)
# Which allocator, and how it behaves: the scorers are where it counts.
_ALLOCATOR = ("LD_PRELOAD", "MALLOC_CONF")
PARENT_VARIABLE = "SCORER_PARENT_PID"


def heavy_address(address: str) -> str:
    """Return the path of the socket for heavy pictures, beside the one for all others at `address`."""
    return f"{address}.heavy"


def worker_command(fd: int, max_jobs: int, heavy_fd: int | None = None) -> list[str]:
    """Return the command of a scorer that accepts jobs on the inherited socket `fd` and ends after `max_jobs`.

    With `heavy_fd` it accepts heavy pictures, too.
    """
    heavy = [] if heavy_fd is None else [str(heavy_fd)]
    return [sys.executable, "-m", "gateway.imaging.worker", str(fd), str(max_jobs), *heavy]


def worker_environment() -> dict[str, str]:
    """Return the whole environment of a scorer: one thread each, our allocator, and nothing that it could leak.

    The modules' search path is handed on as it is in this process, so that a scorer runs the same code.
    """
    one_thread = dict.fromkeys(_ONE_THREAD, "1")
    modules = os.pathsep.join(path for path in sys.path if path)
    allocator = {name: os.environ[name] for name in _ALLOCATOR if name in os.environ}
    return {**one_thread, **allocator, "PYTHONPATH": modules, "LC_ALL": "C.UTF-8", PARENT_VARIABLE: str(os.getpid())}
