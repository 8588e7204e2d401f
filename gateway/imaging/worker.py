"""A scorer process: takes jobs from sockets, one at a time. Knows descriptors and alarms; must not know HTTP.

`python -m gateway.imaging.worker FD [MAX_JOBS [HEAVY_FD]]`: FD and HEAVY_FD are inherited, listening AF_UNIX
SOCK_SEQPACKET sockets, the queues: FD's is served by every scorer, HEAVY_FD's, for pictures that take much memory and
time, only by a few. Per connection one job comes in, with the reading end of a socketpair and perhaps a file
that is to hold a thumbnail; two messages go out, the first when the job is taken up, the second with its result.
"""

from __future__ import annotations

import logging
import os
import resource
import select
import signal
import socket
import sys
from contextlib import ExitStack, suppress
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from gateway.errors import IMAGE_TOO_LARGE, SCORER_DIED, ApiError
from gateway.imaging.decode import Picture, loading
from gateway.imaging.launch import PARENT_VARIABLE
from gateway.imaging.leisure import Leisure, finish, nothing
from gateway.imaging.messages import MAX_MESSAGE_BYTES, Accepted, Computed, decode_job, encode_answer
from gateway.imaging.registry import PROCESSORS
from gateway.imaging.thumbnail import thumbnail
from gateway.imaging.watch import resident_bytes, watched
from gateway.processes import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.imaging.facts import Facts
    from gateway.imaging.leisure import Steps
    from gateway.imaging.messages import Job
    from gateway.report import Result

_JOB_TIMEOUT_S = 5.0  # a client sends its job right after connecting
_GRACE_S = 0.5  # the client gives up first; the alarm is for a decoder that does not notice that its input ended
_NICENESS = 10  # the gateway's own processes answer before pictures are decoded
_OOM_SCORE = "500"  # where the whole machine runs out of memory, the kernel ends a scorer, not what it serves

_log = logging.getLogger(__name__)


class Process(Protocol):
    """What the module of a processor of pixels offers under this name. May raise ApiError."""

    def __call__(self, picture: Picture, facts: Facts, /) -> Steps[Result]:
        """Compute the result, of a JPEG without libvips' sinks, in steps of a few milliseconds."""


@cache
def _processes() -> Mapping[str, Process]:
    return {row.name: import_module(row.module).process for row in PROCESSORS if not row.header_only}


def main(arguments: list[str]) -> None:
    """Serve jobs until MAX_JOBS are done (0 or absent: for ever)."""
    die_with_parent(int(os.environ.get(PARENT_VARIABLE, os.getppid())))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    _stand_back()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash must not leave a client's picture on the disk
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
    _processes()  # loaded before the first job's time runs
    max_jobs = int(arguments[1]) if len(arguments) > 1 else 0
    with ExitStack() as stack:
        queues = [stack.enter_context(socket.socket(fileno=int(fd))) for fd in (arguments[0], *arguments[2:])]
        leisure, done = Leisure(), 0
        while not max_jobs or done < max_jobs:
            with _next(queues) as connection:
                done += _serve(connection, leisure)


def _stand_back() -> None:
    """Leave the CPU to whoever wants it, above all when a job's next bytes wake this process up."""
    os.nice(_NICENESS)
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _next(queues: list[socket.socket]) -> socket.socket:
    """Accept a connection; the queue that it came from stands behind the others next time, so that none starves."""
    for queue in queues:
        queue.settimeout(0)  # another scorer may be faster
    while True:
        ready, _, _ = select.select(queues, [], [])
        for queue in queues:
            if queue in ready:
                with suppress(BlockingIOError):
                    connection, _ = queue.accept()
                    queues.append(queues.pop(queues.index(queue)))
                    return connection


def _serve(connection: socket.socket, leisure: Leisure) -> bool:
    """Do the job of one connection; tell whether there was one. A client that has gone costs nothing."""
    descriptors: list[int] = []
    try:
        connection.settimeout(_JOB_TIMEOUT_S)
        message, descriptors, _, _ = socket.recv_fds(connection, MAX_MESSAGE_BYTES, 2)
        if not descriptors:
            return False
        connection.sendall(encode_answer(Accepted(os.getpid())))
        connection.sendall(encode_answer(_work(decode_job(message), connection, leisure, *descriptors)))
    except OSError:
        return False
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    return True


def _work(
    job: Job, connection: socket.socket, leisure: Leisure, descriptor: int, thumbnail_to: int | None = None
) -> Computed | ApiError:
    """Process what the descriptor brings, under an alarm whose default action ends this process, whatever it does."""
    signal.setitimer(signal.ITIMER_REAL, max(0.0, job.deadline_s) + _GRACE_S)
    try:
        steps = _steps(job, descriptor, thumbnail_to)

        def take(after_each: Callable[[], None]) -> Computed:
            with watched(partial(_look, job, connection)):
                return finish(steps, after_each)

        # libvips' threads are of the class of whoever first needs them, and work for others later.
        return leisure.have(take) if job.facts.format == "jpeg" and thumbnail_to is None else take(nothing)
    except ApiError as error:
        return error
    except Exception:  # noqa: BLE001 - a picture that our own code cannot take must not cost the process as well
        _log.exception("scoring failed")
        return ApiError(SCORER_DIED, "scoring raised an exception, see the scorer's log")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _steps(job: Job, descriptor: int, thumbnail_to: int | None) -> Steps[Computed]:
    began = monotonic()
    picture = yield from loading(descriptor, job.facts, max_pixels=job.max_pixels)
    decoded = monotonic()
    if thumbnail_to is not None:
        os.write(thumbnail_to, thumbnail(picture))
    looked = monotonic()
    result = yield from _processes()[job.processor](picture, job.facts)
    return Computed(result, {"decode": (began, decoded), "model": (looked, monotonic())})


def _look(job: Job, connection: socket.socket) -> None:
    """End this process when its job takes too much memory, or soon after its client has gone.

    Nothing less stops a decoder, and the memory goes back whole.
    """
    if resident_bytes() > job.max_memory_bytes:
        try:
            connection.sendall(encode_answer(_too_much_memory(job.max_memory_bytes)))
        finally:
            os._exit(0)
    if _has_gone(connection) and signal.getitimer(signal.ITIMER_REAL)[0] > _GRACE_S:
        signal.setitimer(signal.ITIMER_REAL, _GRACE_S)  # most decoders see the end of their input and end by themselves


def _has_gone(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, 0)  # a hang-up is reported in any case
    return bool(poll.poll(0))


def _too_much_memory(limit_bytes: int) -> ApiError:
    return ApiError(
        IMAGE_TOO_LARGE, message=f"The image takes more memory to decode than the limit of {limit_bytes:,} bytes."
    )


if __name__ == "__main__":
    main(sys.argv[1:])
